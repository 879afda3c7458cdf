from collections.abc import Callable, Iterator
from io import BytesIO
from typing import IO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from local_aws.sagemaker.api.errors import JobError
from local_aws.sagemaker.jobs.transform import assembled, many, records, single


def test_records_are_the_lines_whatever_the_chunks_and_line_ends() -> None:
    assert list(records([b"a,1\r\nb", b",2\n\n  \nc", b",3"])) == [b"a,1", b"b,2", b"c,3"]
    assert list(records([])) == []


@pytest.mark.parametrize(
    ("limit", "expected"), [(5, [b"aa\nbb", b"cc\ndd"]), (4, [b"aa", b"bb", b"cc", b"dd"]), (100, [b"aa\nbb\ncc\ndd"])]
)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_payloads_hold_as_many_lines_as_fit(limit: int, expected: list[bytes], end: bytes) -> None:
    assert list(many(BytesIO(b"aa\nbb\ncc\ndd" + end), limit)) == expected


def test_payloads_have_no_empty_lines_and_plain_line_ends() -> None:
    assert list(single(BytesIO(b"aa\nbb\n"), 100)) == [b"aa", b"bb"]
    assert list(many(BytesIO(b"\n\na\r\n\n  \nb\n\n"), 100)) == [b"a\nb"]


@example([b"  ", b"", b""], 10)
@example([b"\x0b", b" ", b"a", b"\t", b"b"], 6)
@given(st.lists(st.binary(max_size=6).filter(lambda line: not set(line) & set(b"\n\r"))), st.integers(6, 20))
def test_payloads_hold_every_record_once_in_order(lines: list[bytes], limit: int) -> None:
    expected = [line for line in lines if line.strip()]
    found = list(many(BytesIO(b"\n".join(lines)), limit))
    assert [line for payload in found for line in payload.split(b"\n")] == expected
    assert all(len(payload) <= limit for payload in found)


@pytest.mark.parametrize("cut", [single, many])
def test_a_line_above_the_limit_is_refused(cut: Callable[[IO[bytes], int], Iterator[bytes]]) -> None:
    with pytest.raises(JobError, match="a record of 9 bytes is larger than MaxPayloadInMB"):
        list(cut(BytesIO(b"aa\nbbbbbbbbb\r\ncc"), 4))


def test_assembling_by_line_ends_each_answer_once() -> None:
    assert assembled(b"x", "Line") == b"x\n"
    assert assembled(b"x\n", "Line") == b"x\n"
    assert assembled(b"x", "None") == b"x"
