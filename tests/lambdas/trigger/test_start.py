"""Which requests start a run, against real services."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lambdas.retrain.data import listed
from lambdas.retrain.start import BadRequest, Overtaken, Request, start
from tests.lambdas.retrain.conftest import Place

UPLOAD = Request("upload", False, "11111111-2222")
FORCED = Request("manual", True, "abcd-0123-4567-89ef")


def name_of(place: Place) -> str:
    data = listed(place.pipeline.s3, place.pipeline.bucket, "raw/", "")
    return f"{data.fingerprint[:24]}-01234567"


@pytest.mark.cloud
def test_data_starts_a_run_whose_input_says_why_and_on_what(place: Place) -> None:
    place.put("raw/a.csv", b"12")
    place.put("raw/b.csv", b"345")
    place.put("raw/folder/")
    place.put("other/c.csv")
    place.put("raw/gone.csv")
    place.delete("raw/gone.csv")
    data = listed(place.pipeline.s3, place.pipeline.bucket, "raw/", "")
    name = name_of(place)
    answer = start(place.pipeline, [UPLOAD])
    arn = f"{place.pipeline.machine.replace(':stateMachine:', ':execution:')}:{name}"
    assert answer == {"result": "started", "detail": f"run {name}, 2 objects", "execution": arn}
    assert place.runs() == {
        name: {
            "reason": "upload",
            "data": {"fingerprint": data.fingerprint, "objects": 2, "bytes": 5, "newest": data.newest},
            "settings": "0123456789abcdef",
            "commit": "c0ffee",
            "request": "11111111-2222",
        }
    }
    assert place.latest() == name


@pytest.mark.cloud
def test_the_same_data_starts_nothing_and_the_answer_says_so(place: Place) -> None:
    place.put("raw/a.csv")
    start(place.pipeline, [UPLOAD])
    assert start(place.pipeline, [Request("schedule", False, "another")]) == {
        "result": "nothing new",
        "detail": f"run {name_of(place)} had this data and these settings, and is RUNNING; --force runs them again",
    }
    assert list(place.runs()) == [name_of(place)]


@pytest.mark.cloud
def test_other_settings_or_a_new_version_of_an_object_are_something_new(place: Place) -> None:
    place.put("raw/a.csv")
    start(place.pipeline, [UPLOAD])
    assert start(replace(place.pipeline, settings="fedcba98"), [UPLOAD])["result"] == "started"
    place.put("raw/a.csv")
    assert start(place.pipeline, [UPLOAD])["result"] == "started"
    assert len(place.runs()) == 3


@pytest.mark.cloud
def test_force_runs_again_once_for_each_message(place: Place) -> None:
    place.put("raw/a.csv")
    start(place.pipeline, [UPLOAD])
    forced = f"{name_of(place)}-abcd0123"
    assert start(place.pipeline, [UPLOAD, FORCED])["detail"] == f"run {forced}, 1 objects"
    assert start(place.pipeline, [FORCED])["result"] == "nothing new"
    assert {name: run["reason"] for name, run in place.runs().items()} == {name_of(place): "upload", forced: "manual"}


@pytest.mark.cloud
def test_a_late_duplicate_does_not_make_a_forced_run_superseded(place: Place) -> None:
    place.put("raw/a.csv")
    start(place.pipeline, [UPLOAD])
    start(place.pipeline, [FORCED])
    assert start(place.pipeline, [UPLOAD])["result"] == "nothing new"
    assert place.latest() == f"{name_of(place)}-abcd0123"


@pytest.mark.cloud
def test_less_data_is_newer_when_the_newest_object_was_deleted(place: Place) -> None:
    for key in ("raw/a.csv", "raw/b.csv", "raw/bad.csv"):
        place.put(key)
    start(place.pipeline, [UPLOAD])
    place.delete("raw/bad.csv")
    assert start(place.pipeline, [Request("manual", False, "m")])["result"] == "started"
    assert place.latest() == name_of(place)
    assert place.runs()[name_of(place)]["data"]["objects"] == 2


@pytest.mark.cloud
def test_without_data_nothing_starts(place: Place) -> None:
    place.put("raw/")
    folder = f"s3://{place.pipeline.bucket}/raw/"
    assert start(place.pipeline, [FORCED]) == {"result": "no data", "detail": f"{folder} is empty: upload a CSV"}
    assert place.runs() == {}


@pytest.mark.cloud
def test_a_marker_holds_back_what_was_put_after_it(place: Place) -> None:
    pipeline = replace(place.pipeline, marker="_SUCCESS")
    held = {"result": "held back", "detail": f"until s3://{pipeline.bucket}/raw/_SUCCESS is put after the data"}
    place.put("raw/a.csv")
    assert start(pipeline, [UPLOAD]) == held
    assert start(pipeline, [FORCED]) == held
    place.put("raw/_SUCCESS")
    assert start(pipeline, [UPLOAD])["detail"].endswith(", 1 objects")
    place.put("raw/_SUCCESS")
    assert start(pipeline, [UPLOAD])["result"] == "nothing new"
    place.put("raw/b.csv")
    assert start(pipeline, [UPLOAD]) == held
    place.put("raw/_SUCCESS")
    assert start(pipeline, [UPLOAD])["detail"].endswith(", 2 objects")
    assert len(place.runs()) == 2


@pytest.mark.cloud
def test_a_message_whose_first_try_died_before_the_start_still_starts_its_run(place: Place) -> None:
    place.put("raw/a.csv")
    nowhere = place.pipeline.machine.replace("stateMachine:", "stateMachine:no-")
    with pytest.raises(place.pipeline.states.exceptions.StateMachineDoesNotExist):
        start(replace(place.pipeline, machine=nowhere), [UPLOAD])
    assert place.latest() == name_of(place)
    assert start(place.pipeline, [UPLOAD])["result"] == "started"


@pytest.mark.cloud
def test_of_requests_that_race_the_newest_wanted_run_has_all_data(place: Place) -> None:
    failures: list[Exception] = []

    def upload(number: int) -> None:
        try:
            place.put(f"raw/{number}.csv")
            start(place.pipeline, [UPLOAD])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert place.latest() == name_of(place)
    assert place.runs()[name_of(place)]["data"]["objects"] == 8


class Hurried:
    """S3, where a run on newer data is asked for during every look."""

    def __init__(self, place: Place) -> None:
        self.place, self.looks = place, 0

    def get_paginator(self, name: str) -> Any:
        self.looks += 1
        return self

    def paginate(self, **arguments: str) -> Iterator[Any]:
        self.place.put("raw/a.csv")
        pages = list(self.place.pipeline.s3.get_paginator("list_object_versions").paginate(**arguments))
        self.place.put("raw/a.csv")
        start(self.place.pipeline, [UPLOAD])
        return iter(pages)


@pytest.mark.cloud
def test_a_look_that_is_always_overtaken_is_left_to_the_queue(place: Place) -> None:
    place.put("raw/a.csv")
    hurried = Hurried(place)
    with pytest.raises(Overtaken, match=f"^10 looks at s3://{place.pipeline.bucket}/raw/, and each was overtaken"):
        start(replace(place.pipeline, s3=hurried), [Request("drift", False, "d")])
    assert hurried.looks == 10
    assert place.latest() == name_of(place)
    assert {run["reason"] for run in place.runs().values()} == {"upload"}


def test_a_request_says_why_and_whether_to_force() -> None:
    assert Request.of({"reason": "upload", "key": "raw/a.csv"}, "1") == Request("upload", False, "1")
    assert Request.of({"reason": "manual", "force": True}, "2") == Request("manual", True, "2")


@pytest.mark.parametrize(
    "junk", [None, 3, "x", [], {}, {"reason": "x"}, {"reason": []}, {"reason": "manual", "force": 1}]
)
def test_what_is_no_request_is_refused_with_what_is_wanted(junk: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        Request.of(junk, "1")
    reasons = "upload, schedule, drift, manual, delivery"
    assert str(refused.value) == f'want {{"reason": one of {reasons}, "force": true or false}}'
