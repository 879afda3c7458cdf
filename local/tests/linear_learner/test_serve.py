"""The model server over HTTP: formats, shapes, refusals, and its end."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_aws.linear_learner.csv_text import LARGE

from .data import Split, examples
from .jobs import Client, csv, serving, unpack
from .sdk import dense, labels_of
from .sdk import sparse as sparse_records

REFUSED = (400, "text/plain", b"unable to evaluate payload provided")
JSON, LINES, RECORDIO = "application/json", "application/jsonlines", "application/x-recordio-protobuf"


@pytest.fixture(scope="session")
def row(wdbc: Split) -> list[float]:
    features: list[float] = wdbc.validation[0, 1:].tolist()
    return features


def test_every_request_format_gets_the_same_answer(server: Client, row: list[float]) -> None:
    sparse = {"keys": list(range(30)), "shape": [30], "values": row}
    requests: list[tuple[bytes | str, str | None]] = [
        (",".join(map(repr, row)), "text/csv"),
        (",".join(map(repr, row)) + "\r\n", "text/csv; charset=utf-8"),
        (",".join(map(repr, [1.0, *row])), "text/csv; label_size=1"),
        (json.dumps({"instances": [{"features": row}]}), JSON),
        (json.dumps({"instances": [{"features": row}]}), None),
        (json.dumps({"instances": [{"data": {"features": {"values": row}}}]}), JSON),
        (json.dumps({"instances": [{"data": {"features": sparse}}]}), JSON),
        (json.dumps({"features": row}) + "\n", LINES),
        (json.dumps({"data": {"features": sparse}}), LINES),
        *((write(np.array([row], np.float32), np.zeros(1, np.float32)), RECORDIO) for write in (dense, sparse_records)),
    ]
    answers = {server.call(body, content_type) for body, content_type in requests}
    assert len(answers) == 1
    status, content_type, body = answers.pop()
    assert (status, content_type) == (200, JSON)
    assert list(json.loads(body)["predictions"][0]) == ["score", "predicted_label"]
    assert isinstance(json.loads(body)["predictions"][0]["predicted_label"], int)


def test_answers_are_json_unless_json_lines_or_recordio_is_accepted(
    server: Client, wdbc_job: tuple[Path, str], row: list[float]
) -> None:
    model = unpack(wdbc_job[0])
    score = float(np.float32(model.scores(np.array([row]))[0]))
    label = int(score >= model.additional["threshold"])
    one = f'{{"score": {score}, "predicted_label": {label}}}'
    two = csv(np.array([row, row]))
    assert server.call(two, accept=LINES) == (200, LINES, f"{one}\n{one}\n".encode())
    for accept in (None, JSON, "text/csv", "*/*", "application/xml"):
        assert server.call(two, accept=accept) == (200, JSON, f'{{"predictions": [{one}, {one}]}}'.encode())
    status, content_type, body = server.call(two, accept=RECORDIO)
    assert (status, content_type) == (200, RECORDIO)
    assert labels_of(body) == [{"score": [score], "predicted_label": [float(label)]}] * 2


BAD_PAYLOADS: dict[str, list[str]] = {
    "text/csv": ["", "1,2", *(f"{word}," * 29 + "1" for word in ("x", "nan", "1e39"))],
    JSON: [
        *("", "{", "[]", '{"instances": [1]}', '{"instances": [{"features": [true]}]}', "[" * 100_000),
        json.dumps({"instances": [{"features": [10**400] * 30}]}),
        json.dumps({"instances": [{"data": {"features": {"keys": [30], "shape": [30], "values": [1]}}}]}),
    ],
    LINES: ['{"features": [1]}\n{"features"'],
    RECORDIO: ["nothing"],
}


@pytest.mark.parametrize("content_type", BAD_PAYLOADS)
def test_a_bad_payload_is_refused_with_the_containers_message(server: Client, content_type: str) -> None:
    for body in BAD_PAYLOADS[content_type]:
        assert server.call(body, content_type) == REFUSED, body


def test_other_content_types_and_paths_are_refused(server: Client) -> None:
    assert server.call("1", "text/plain") == (415, "text/plain", b"content-type text/plain not supported")
    assert server.get("/nowhere") == (404, "text/plain", b"Not Found")


def test_the_server_answers_the_ping_and_the_parameters_of_batch_transform(server: Client) -> None:
    assert server.get("/ping") == (200, None, b"")
    status, content_type, body = server.get("/execution-parameters")
    assert (status, content_type) == (200, JSON)
    assert json.loads(body) == {"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}


def test_a_row_scores_the_same_whatever_batch_it_is_in(server: Client, wdbc: Split) -> None:
    features = wdbc.validation[:50, 1:]
    together = server.scores(features)
    assert together.tolist() == [server.scores(features[number : number + 1])[0] for number in range(50)]


@pytest.mark.parametrize(
    "fault", [None, '{"features": [1]}', '{"features": [NaN, %s]}', '{"features": [true, %s]}', "{"]
)
def test_a_long_payload_of_json_lines_is_answered_as_its_lines_are(
    server: Client, wdbc: Split, fault: str | None
) -> None:
    lines = [json.dumps({"features": row}) for row in wdbc.train[:, 1:].tolist()]
    assert len("\n".join(lines)) > LARGE
    wrong = [] if fault is None else [fault.replace("%s", ", ".join(29 * ["1"]))]
    together = server.call("\n".join([*lines, *wrong]), LINES, LINES)
    alone = [] if wrong else [server.call(line, LINES, LINES)[2] for line in lines]
    assert together == (REFUSED if wrong else (200, LINES, b"".join(alone)))


NUMBERS = st.floats(width=32) | st.floats() | st.integers() | st.sampled_from([0, 1e38, -1e38, True, None, "1"])
ROWS = st.lists(st.lists(NUMBERS, min_size=30, max_size=30) | st.lists(NUMBERS), min_size=1, max_size=3)
BODIES = st.one_of(
    st.tuples(ROWS.map(lambda rows: "\n".join(",".join(map(str, row)) for row in rows).encode()), st.just("text/csv")),
    st.tuples(
        ROWS.map(lambda rows: json.dumps({"instances": [{"features": row} for row in rows]}).encode()), st.just(JSON)
    ),
    st.tuples(st.binary(), st.sampled_from(["text/csv", JSON, LINES, RECORDIO])),
    st.tuples(st.binary().map(lambda tail: b"\n#\xd7\xce\x10\0\0\0" + tail), st.just(RECORDIO)),
)


@pytest.mark.parametrize("examples", examples(few=100, many=5000))
def test_any_rows_get_a_finite_score_or_a_400(server: Client, examples: settings) -> None:
    @examples
    @given(BODIES)
    def check(request: tuple[bytes, str]) -> None:
        status, _, answer = server.call(*request)
        if status == 200:
            assert all(np.isfinite(row["score"]) for row in json.loads(answer)["predictions"])
        else:
            assert (status, answer) == (400, REFUSED[2])

    check()


def test_many_clients_at_once_are_all_answered(server: Client, row: list[float]) -> None:
    text, expected = ",".join(map(repr, row)), server.scores(np.array([row]))[0]

    def ask() -> list[float]:
        client = Client(server.port, server.process)
        scores = [json.loads(client.call(text)[2])["predictions"][0]["score"] for _ in range(20)]
        client.connection.close()
        return scores

    with ThreadPoolExecutor(20) as pool:
        scores = pool.map(lambda _: ask(), range(20))
        assert [score for each in scores for score in each] == [expected] * 400


def test_a_stopped_server_exits_with_0_though_a_client_is_connected(wdbc_job: tuple[Path, str]) -> None:
    with serving(wdbc_job[0]) as client:
        client.get("/ping")
        client.process.send_signal(signal.SIGTERM)
        assert client.process.wait(10) == 0
