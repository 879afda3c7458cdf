"""What golden rows demand, the same for the job before a deployment and for the smoke test after it."""

import pytest

from lambdas.predict import golden as of_the_api
from pipeline.jobs.shared import golden
from pipeline.jobs.shared.golden import Demand, fault_of, wrong_rows
from tests.conftest import ROOT


def test_the_job_and_the_smoke_test_judge_by_the_same_code() -> None:
    of_the_job = ROOT / "pipeline" / "jobs" / "shared" / "golden.py"
    assert (ROOT / "lambdas" / "predict" / "golden.py").read_bytes() == of_the_job.read_bytes()
    assert of_the_api.NAMED == golden.NAMED


@pytest.mark.parametrize(
    ("demand", "label", "score", "fault"),
    [
        ({"label": "M"}, "M", 0.9, ""),
        ({"label": "M"}, "B", 0.1, "expected M, got B"),
        ({"label": "c"}, "b", [0.1, 0.7, 0.2], "expected c, got b"),
        ({"at_least": 0.5}, "M", 0.5, ""),
        ({"at_least": 0.5}, "B", 0.49, "expected a score of at least 0.5, got 0.49"),
        ({"at_least": 0.1, "at_most": 0.4}, "B", 0.4, ""),
        ({"at_least": 0.1, "at_most": 0.4}, "M", 0.5, "expected a score of at least 0.1 and at most 0.4, got 0.5"),
        ({"at_most": 0.4}, None, 0.5, "expected a score of at most 0.4, got 0.5"),
        ({"at_most": 0.4}, "b", [0.1, 0.9], "expected one score, got [0.1, 0.9]"),
        ({"value": 150.0, "tolerance": 1.5}, None, 151.5, ""),
        ({"value": 150.0, "tolerance": 1.5}, None, 151.6, "expected 150.0 within 1.5, got 151.6"),
    ],
)
def test_an_answer_has_a_fault_if_it_is_not_what_is_demanded(
    demand: Demand, label: str | None, score: float | list[float], fault: str
) -> None:
    assert fault_of(demand, label, score) == fault


def test_rows_are_wrong_if_fewer_than_the_share_are_right() -> None:
    faults = ["", "expected M, got B", "expected B, got M"]
    named = "golden row 2: expected M, got B; golden row 3: expected B, got M"
    assert [wrong_rows(faults, share) for share in (0.33, 0.34, 1.0)] == ["", named, named]
    assert wrong_rows([], 1.0) == wrong_rows([""], 1.0) == ""


def test_a_sentence_names_at_most_ten_wrong_rows() -> None:
    names = [f"golden row {number}: wrong" for number in range(1, 11)]
    assert wrong_rows(["wrong"] * 10, 1.0) == "; ".join(names)
    assert wrong_rows(["wrong"] * 13, 1.0) == "; ".join([*names, "and 3 more"])
