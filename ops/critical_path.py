"""The critical path of a retraining: what it waits for, one phase after another, until the new model serves.

That of a plan is the longest way through the definitions of the state machines, that of a run is its history.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops.jobs import Job, of_state
from ops.runs import Step

Definition = dict[str, Any]
"""A state machine in Amazon States Language."""
SERVES = "WaitForEndpoint"
"""The new model serves at the end of this state. The state before it began what it waits for."""
STARTED = {
    "createProcessingJob": "processing",
    "createTrainingJob": "training",
    "createHyperParameterTuningJob": "training",
    "createTransformJob": "transform",
    "createEndpoint": "endpoint",
    "updateEndpoint": "endpoint",
}
"""The kind of start_up.toml that a call of SageMaker starts."""
MISSING = ["S3.NoSuchKeyException"]
"""The errors of a Catch that is a way to go on: a file may be missing. All others are failures."""
HEADINGS = ("phase", "job starts", "start-up", "work")
TOTAL = "until the new model serves"


@dataclass(frozen=True)
class Phase:
    """A state that the path waits for: the jobs that it starts one after another, seconds of start-up and of work.

    The work of an endpoint is its rollout's waits. Work that is not known is None.
    """

    name: str
    jobs: int
    start_up: float
    work: float | None


def starts(phases: Sequence[Phase]) -> int:
    """The number of jobs that start one after another."""
    return sum(phase.jobs for phase in phases)


def seconds(phases: Sequence[Phase]) -> float:
    """The seconds of all phases; work that is not known counts as none."""
    return sum(phase.start_up + (phase.work or 0.0) for phase in phases)


def rows(phases: Sequence[Phase], total: str = TOTAL) -> list[tuple[object, ...]]:
    """The rows below HEADINGS, in seconds; the last one is the total."""
    shown: list[tuple[object, ...]] = [
        (phase.name, phase.jobs or None, _rounded(phase.start_up), _rounded(phase.work)) for phase in phases
    ]
    start_up = sum(phase.start_up for phase in phases)
    return [*shown, (total, starts(phases), _rounded(start_up), _rounded(seconds(phases) - start_up))]


def _rounded(value: float | None) -> float | None:
    return value and round(value, 1)


@dataclass(frozen=True)
class Planner:
    """Seconds of start-up by kind, of work by phase or state, and the machine that the state Deploy starts."""

    start_up: Mapping[str, float]
    work: Mapping[str, float] = field(default_factory=dict)
    deploy: Definition = field(default_factory=dict)

    def phases(self, machine: Definition, without: str = "") -> list[Phase]:
        """The longest way through a machine to its success, until the new model serves; none if there is no such way.

        Of a Parallel it is that through the longest branch. Of ways of equal length it is the first: Next or Default.
        It does not pass the state `without`.
        """
        found = self._path(machine, passed=frozenset([without]))
        served = (number for number, phase in enumerate(found) if _state(phase.name) == SERVES)
        return found[: next(served, None)]

    def _path(self, machine: Definition, prefix: str = "", passed: frozenset[str] = frozenset()) -> list[Phase]:
        return self._from(machine["States"], machine["StartAt"], prefix, passed) or []

    def _from(self, states: Definition, name: str, prefix: str, passed: frozenset[str]) -> list[Phase] | None:
        """The phases from this state on; None if they end in a failure or in a state that they passed."""
        state = states[name]
        if name in passed or state["Type"] == "Fail":
            return None
        own, ways = list(self._of_state(f"{prefix}{name}", state)), list(_ways(state))
        if not ways:
            return own
        ended = (self._from(states, way, prefix, passed | {name}) for way in ways)
        found = [phases for phases in ended if phases is not None]
        return [*own, *max(found, key=seconds)] if found else None

    def _of_state(self, name: str, state: Definition) -> Iterator[Phase]:
        if state["Type"] == "Parallel":
            longest = max((self._path(branch) for branch in state["Branches"]), key=seconds)
            known = [phase.work for phase in longest if phase.work is not None]
            work = sum(known) if known else self.work.get(name)
            yield Phase(name, starts(longest), sum(phase.start_up for phase in longest), work)
        elif state["Type"] == "Task":
            parameters, parts = state.get("Parameters", {}), re.split(r"[:.]", state["Resource"].partition(":::")[2])
            kind = next((STARTED[part] for part in parts if part in STARTED), "")
            jobs = rounds(parameters) if kind not in ("", "endpoint") else 0
            work = rollout(parameters) if kind == "endpoint" else self.work.get(name)
            yield Phase(name, jobs, self.start_up[kind] * (jobs or 1) if kind else 0.0, work)
            if "startExecution" in parts:
                yield from self._path(self.deploy, f"{name}/")


def _ways(state: Definition) -> Iterator[str]:
    """The states that may follow when nothing fails, the usual one first."""
    yield from (state[key] for key in ("Default", "Next") if key in state)
    yield from (choice["Next"] for choice in state.get("Choices", []))
    yield from (catch["Next"] for catch in state.get("Catch", []) if catch["ErrorEquals"] == MISSING)


def _state(name: str) -> str:
    return name.rpartition("/")[2]


def rounds(parameters: Definition) -> int:
    """The number of jobs one after another: those of a tuning job run some at a time."""
    limits: dict[str, int] = parameters.get("HyperParameterTuningJobConfig", {}).get("ResourceLimits", {})
    return math.ceil(limits.get("MaxNumberOfTrainingJobs", 1) / limits.get("MaxParallelTrainingJobs", 1))


def rollout(parameters: Definition) -> float:
    """The seconds of waits of an update: after each part of the traffic, and before the old instances end."""
    policy = parameters.get("DeploymentConfig", {}).get("BlueGreenUpdatePolicy")
    if not policy:
        return 0.0
    routing = policy["TrafficRoutingConfiguration"]
    steps = {"CANARY": 2, "LINEAR": math.ceil(100 / routing.get("LinearStepSize", {}).get("Value", 100))}
    waits = steps.get(routing["Type"], 1) - 1
    return float(waits * routing["WaitIntervalInSeconds"] + policy["TerminationWaitInSeconds"])


def waits_of(deploy: Definition) -> float:
    """The seconds of waits of an update by the deploy machine."""
    return max((rollout(state.get("Parameters", {})) for state in deploy["States"].values()), default=0.0)


def of_run(steps: Sequence[Step], jobs: Sequence[Job], waits: float, *, served: bool = True) -> list[Phase]:
    """The phases of a run that has ended: each lasts until the next one begins, so they add up to its duration.

    The work of a phase is the time in which one of its jobs, or the rollout of an endpoint with these waits, ran. The
    rest is its start-up. A state without either only works. A run that `served` its model counts until then.
    """
    shown: list[Step] = []
    for step in steps:
        within = [each for each in shown if each.left is None or step.entered < each.left]
        # The states in a Parallel take no time of their own, those of a deployment take Deploy's.
        if step.type in ("Task", "Parallel") and all(step.state.startswith(f"{each.state}/") for each in within):
            shown.append(step)
    last = [number for number, step in enumerate(shown) if _state(step.state) == SERVES] if served else []
    end = shown[last[0]].left if last else max((step.left for step in steps if step.left), default=None)
    if end is None:
        return []
    shown = shown[: last[0]] if last else shown
    ends = [*(step.entered for step in shown[1:]), end]
    return [
        _measured(step, (until - step.entered).total_seconds(), of_state([*jobs], step.state), waits)
        for step, until in zip(shown, ends, strict=True)
    ]


def _measured(step: Step, taken: float, jobs: list[Job], waits: float) -> Phase:
    if jobs:
        work = min(taken, _union([(job.begun, job.ended) for job in jobs if job.begun and job.ended]))
        return Phase(step.state, _chain(jobs), taken - work, work)
    endpoint = {"UpdateEndpoint": waits, "ReplaceChampion": waits, "CreateEndpoint": 0.0}.get(_state(step.state))
    work = taken if endpoint is None else min(taken, endpoint)
    return Phase(step.state, 0, taken - work, work)


def _union(times: list[tuple[datetime, datetime]]) -> float:
    """The seconds that at least one of the intervals covers."""
    covered, until = 0.0, datetime.min.replace(tzinfo=UTC)
    for begun, ended in sorted(times):
        covered += max(0.0, (ended - max(begun, until)).total_seconds())
        until = max(until, ended)
    return covered


def _chain(jobs: list[Job]) -> int:
    """The most jobs of which each was created after the one before had ended."""
    count, until = 0, None
    for ended, started in sorted((job.ended, job.started) for job in jobs if job.ended):
        if until is None or started >= until:
            count, until = count + 1, ended
    return count
