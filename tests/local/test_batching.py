import pytest

from local.sagemaker.batching import assembled, payloads, records
from local.sagemaker.errors import JobError


def test_records_are_the_lines_whatever_the_chunks_and_line_ends() -> None:
    assert list(records([b"a,1\r\nb", b",2\n\n  \nc", b",3"])) == [b"a,1", b"b,2", b"c,3"]
    assert list(records([])) == []


@pytest.mark.parametrize(
    ("limit", "many", "expected"),
    [
        (5, True, [b"aa\nbb", b"cc\ndd"]),
        (4, True, [b"aa", b"bb", b"cc", b"dd"]),
        (100, True, [b"aa\nbb\ncc\ndd"]),
        (100, False, [b"aa", b"bb", b"cc", b"dd"]),
    ],
)
def test_payloads_hold_as_many_lines_as_fit(limit: int, many: bool, expected: list[bytes]) -> None:
    assert list(payloads([b"aa", b"bb", b"cc", b"dd"], limit, many)) == expected


def test_a_line_above_the_limit_is_refused() -> None:
    with pytest.raises(JobError, match="a record of 5 bytes is larger than MaxPayloadInMB"):
        list(payloads([b"aa", b"bbbbb"], 4, many=True))


def test_assembling_by_line_ends_each_answer_once() -> None:
    assert assembled(b"x", "Line") == b"x\n"
    assert assembled(b"x\n", "Line") == b"x\n"
    assert assembled(b"x", "None") == b"x"
