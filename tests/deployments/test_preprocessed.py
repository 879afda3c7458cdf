"""A run on data that an earlier one preprocessed by the same settings, on the deployed pipeline."""

import re

import pytest

from ops.jobs import jobs_of
from ops.report.page import contents
from ops.retrain import follow
from ops.runs import Run
from tests.deployments.world import World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(400)]
JOBS = ["train", "champion", "score", "evaluate"]


def accepted(world: World, execution: str) -> Run:
    run = world.ended(execution)
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    return run


def test_the_second_run_on_the_same_data_starts_one_job_less_and_a_forced_one_does_not(
    shipped: World, capsys: pytest.CaptureFixture[str]
) -> None:
    account = shipped.account
    first = shipped.run()
    second, forced = (accepted(shipped, shipped.by_hand(force=force)) for force in (False, True))
    started = {run.name: sorted(job.kind for job in jobs_of(account, run)) for run in (first, second, forced)}
    assert started == {
        first.name: sorted([*JOBS, "preprocess"]),
        second.name: sorted(JOBS),
        forced.name: sorted([*JOBS, "preprocess"]),
    }
    before, after, anew = (contents(account, run) for run in (first, second, forced))
    assert (before["preprocessed"], anew["preprocessed"]) == ({}, {})
    assert after["preprocessed"]["run"] == first.name
    assert after["baseline"] == before["baseline"] == anew["baseline"]
    assert after["evaluation"]["rows"] == before["evaluation"]["rows"]
    assert after["evaluation"]["comparison"]["difference"] == pytest.approx(0, abs=1e-9)
    metadata = [each["package"]["CustomerMetadataProperties"]["preprocessed-by"] for each in (before, after, anew)]
    assert metadata == [first.name, first.name, forced.name]
    assert {"IsPreprocessed", "Preprocess"} & {*shipped.entered(second.arn)} == {"IsPreprocessed"}
    follow(account, second)
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"IsPreprocessed [0-9.]+ s by run {first.name} Train ", printed)
