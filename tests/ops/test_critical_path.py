"""The critical path: the longest way through the machines of the settings, and what a run waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.critical_path import Phase, Planner, of_run, rows, seconds, starts, waits_of
from ops.jobs import Job
from ops.runs import Step
from pipeline import deploy, retrain
from pipeline.config import load
from pipeline.settings import Serverless
from tests.conftest import SHIPPED

START_UP = {"processing": 300.0, "training": 200.0, "transform": 100.0, "endpoint": 50.0}
PROCESSING = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync"}
TRANSFORM = {"Type": "Task", "Resource": "arn:aws-cn:states:::sagemaker:createTransformJob.sync"}
CALL = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}


def chain(**states: dict[str, Any]) -> dict[str, Any]:
    """A machine of these states one after another."""
    names = [*states]
    ends: list[dict[str, Any]] = [*({"Next": name} for name in names[1:]), {"End": True}]
    linked = {name: {**end, **state} for (name, state), end in zip(states.items(), ends, strict=True)}
    return {"StartAt": names[0], "States": linked}


@cache
def planned(**changed: Any) -> list[Phase]:
    """The path by the shipped settings, with other values of their tables, each as (key, value)."""
    settings = load(SHIPPED)
    tables = {name: getattr(settings, name).model_copy(update=dict([value])) for name, value in changed.items()}
    settings = settings.model_copy(update=tables)
    return Planner(START_UP, deploy=deploy.definition(settings)).phases(retrain.definition(settings))


def waited(phases: list[Phase]) -> dict[str, tuple[int, float, float | None]]:
    """(job starts, start-up, work) of the phases that have any."""
    shown = {phase.name: (phase.jobs, phase.start_up, phase.work) for phase in phases}
    return {name: values for name, values in shown.items() if any(values)}


def test_at_most_four_jobs_start_one_after_another_with_a_champion() -> None:
    assert starts(planned()) == 4
    assert waited(planned()) == {
        "Preprocess": (1, 300, None),
        "Train": (1, 200, None),
        "ScoreHoldout": (1, 100, None),
        "Evaluate": (1, 300, None),
        "Deploy/UpdateEndpoint": (0, 50, 300),
    }


def test_the_path_ends_when_the_new_model_serves_and_has_no_failure_on_it() -> None:
    names = [phase.name for phase in planned()]
    assert names[:3] == ["AcquireLease", "FindChampion", "ListData"]
    assert names[-3:] == ["Deploy/CreateModel", "Deploy/CreateEndpointConfig", "Deploy/UpdateEndpoint"]
    assert {"RegisterApproved", "Deploy"} < set(names)
    assert not {"RegisterRejected", "FinishFailed", "Finish", "Deploy/RestoreChampion"} & set(names)


@pytest.mark.parametrize(
    ("table", "key", "value", "phase", "expected"),
    [
        ("release", "rollout", "canary", "Deploy/UpdateEndpoint", (0, 50, 600)),
        ("release", "rollout", "linear", "Deploy/UpdateEndpoint", (0, 50, 3000)),
        ("endpoint", "serverless", Serverless(memory_mb=1024, max_concurrency=5), "Deploy/UpdateEndpoint", (0, 50, 0)),
        ("tuning", "jobs", 5, "Tune", (3, 600, None)),
        ("processing", "instance_count", 2, "Merge", (1, 300, None)),
        ("training", "spot", True, "Train", (1, 200, None)),
    ],
)
def test_a_setting_that_changes_the_machines_changes_the_plan(
    table: str, key: str, value: object, phase: str, expected: tuple[int, float, float | None]
) -> None:
    phases = planned(**{table: (key, value)})
    assert waited(phases)[phase] == expected
    assert "TrainOnDemand" not in waited(phases)


def test_an_approval_is_waited_for_only_if_every_model_needs_one() -> None:
    asked, incomparable = planned(release=("approval", "manual")), planned(gate=("approve_incomparable", True))
    assert [phase.name for phase in asked if "Wait" in phase.name] == ["WaitForApproval"]
    assert [phase.name for phase in incomparable if "Wait" in phase.name] == []


def test_a_parallel_counts_with_its_longest_branch_alone() -> None:
    branches = [chain(One=PROCESSING), chain(Two=TRANSFORM, Three=TRANSFORM, Four=TRANSFORM, Five=TRANSFORM)]
    machine = chain(First=CALL, Both={"Type": "Parallel", "Branches": branches}, Last=TRANSFORM)
    work = {"First": 1.0, "Both": 7.0}
    expected = [Phase("First", 0, 0, 1.0), Phase("Both", 4, 400, 7.0), Phase("Last", 1, 100, None)]
    assert Planner(START_UP, work).phases(machine) == expected
    measured = [expected[0], Phase("Both", 1, 300, 500.0), expected[2]]
    assert Planner(START_UP, {**work, "One": 500.0, "Two": 9.0}).phases(machine) == measured


def test_a_way_that_may_skip_a_job_counts_with_the_job() -> None:
    """Both as a Choice and as a file that may be missing; a failure is no way."""
    skip = {"Type": "Choice", "Choices": [{"Next": "Job"}], "Default": "Last"}
    missing = {"ErrorEquals": ["S3.NoSuchKeyException"], "Next": "Job"}
    failed = {"ErrorEquals": ["States.ALL"], "Next": "Slow"}
    states = {"Job": {**PROCESSING, "Next": "Last"}, "Last": {**CALL, "End": True}, "Slow": {**PROCESSING, "End": True}}
    for first in (skip, {**CALL, "Next": "Last", "Catch": [missing, failed]}):
        machine = {"StartAt": "First", "States": {"First": first, **states}}
        long, short = Planner(START_UP).phases(machine), Planner(START_UP).phases(machine, without="Job")
        assert [phase.name for phase in long if phase.name != "First"] == ["Job", "Last"]
        assert [phase.name for phase in short if phase.name != "First"] == ["Last"]
    assert Planner(START_UP).phases(chain(Job=PROCESSING, Last=CALL), without="Job") == []


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def step(state: str, entered: float, left: float, kind: str = "Task") -> Step:
    return Step(state, at(entered), at(left), type=kind)


def job(kind: str, created: float, begun: float, ended: float) -> Job:
    times = {"started": at(created), "ended": at(ended), "begun": at(begun)}
    return Job(kind, kind, "Processing", "Completed", reason="", instance_type="m", instance_count=1, **times)


STEPS = [
    *(step("AcquireLease", 0, 2), step("Train", 2, 400), step("TrainingCompleted", 400, 401, "Choice")),
    *(step("ScoreHoldout", 401, 800, "Parallel"), step("ScoreChallenger", 402, 700), step("ScoreChampion", 403, 799)),
    *(step("Deploy", 800, 1900), step("Deploy/CreateModel", 803, 804), step("Deploy/UpdateEndpoint", 804, 805)),
    *(step("Deploy/WaitForEndpoint", 805, 1800), step("Deploy/SmokeTest", 1800, 1900), step("Finish", 1900, 1901)),
]
JOBS = [job("train", 3, 203, 393), job("score", 403, 603, 690), job("champion", 404, 654, 790)]


def test_the_phases_of_a_run_have_its_jobs_start_up_and_work_until_its_model_serves() -> None:
    phases = of_run(STEPS, JOBS, 300.0)
    assert phases == [
        Phase("AcquireLease", 0, 0, 2),
        Phase("Train", 1, 399 - 190, 190),
        Phase("ScoreHoldout", 1, 399 - 187, 187),
        Phase("Deploy", 0, 0, 3),
        Phase("Deploy/CreateModel", 0, 0, 1),
        Phase("Deploy/UpdateEndpoint", 0, 696, 300),
    ]
    assert seconds(phases) == 1800
    assert rows(phases)[-1] == ("until the new model serves", 2, 1117.0, 683.0)


def test_a_run_whose_model_does_not_serve_counts_to_its_end() -> None:
    phases = of_run([*STEPS[:6], step("Finish", 800, 803)], JOBS, 300.0, served=False)
    assert (phases[-1], seconds(phases)) == (Phase("Finish", 0, 0, 3), 803)


def test_jobs_one_after_another_count_each_and_their_work_without_what_is_between() -> None:
    steps = [step("Tune", 0, 100)]
    jobs = [job("tune", *times) for times in ((0, 10, 20), (0, 12, 24), (30, 40, 50), (31, 45, 49))]
    assert of_run(steps, jobs, 0.0, served=False) == [Phase("Tune", 2, 76, 24)]


def test_a_job_that_never_worked_only_started() -> None:
    never = replace(job("train", 1, 0, 9), begun=None)
    assert of_run([step("Train", 0, 10)], [never], 0.0, served=False) == [Phase("Train", 1, 10, 0)]


def test_the_first_model_waits_for_no_rollout() -> None:
    steps = [step("Deploy/CreateEndpoint", 0, 1), step("Deploy/WaitForEndpoint", 1, 400)]
    assert of_run(steps, [], 300.0) == [Phase("Deploy/CreateEndpoint", 0, 400, 0)]
    assert waits_of(deploy.definition(load(SHIPPED))) == 300


@given(st.lists(st.tuples(*[st.floats(0, 100)] * 4), min_size=1, max_size=8))
def test_the_phases_add_up_to_the_duration_whatever_their_jobs_did(times: list[tuple[float, ...]]) -> None:
    steps, jobs, now = list[Step](), list[Job](), 0.0
    for number, (pause, created, begun, ended) in enumerate(times):
        last = now + pause
        steps.append(step(f"S{number}", now, last))
        jobs.append(job(f"s{number}", now + created, now + created + begun, now + created + begun + ended))
        now = last
    phases = of_run(steps, jobs, 0.0, served=False)
    assert [phase.name for phase in phases] == [each.state for each in steps]
    assert seconds(phases) == pytest.approx(now, abs=1e-3)
    assert all(phase.start_up >= 0 and (phase.work or 0) >= 0 for phase in phases)
    assert rows(phases)[-1][1] == starts(phases) == len(times)
