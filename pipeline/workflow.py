"""The retraining workflow, top to bottom as the diagram reads."""

import json
import re
from itertools import pairwise
from typing import Any

from pipeline.asl import Chain, Graph, State, format_
from pipeline.config import Settings
from pipeline.states.abandoned import abandoned
from pipeline.states.champion import find_champion
from pipeline.states.common import Building
from pipeline.states.evaluate import evaluate
from pipeline.states.lease import LATEST, acquire
from pipeline.states.prepare import name_run, preprocess, wants_release
from pipeline.states.registry import approval, from_package, register
from pipeline.states.release import release
from pipeline.states.scaling import scaling
from pipeline.states.tell import DECISION, ended, failed, outcome, waiting
from pipeline.states.tidy import tidy
from pipeline.states.train import train

DEADLINE_HOURS = 24
"""No run outlives this, waits for a person aside; Step Functions' own limit is a year. The lease expires with it."""
CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def definition(settings: Settings, partition: str = "aws") -> dict[str, Any]:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    A run ends Succeeded as `accepted` (the endpoint serves its model), `rejected` or `superseded` (the endpoint was not
    touched), or Failed with the cause that a task gave; a release that went wrong is taken back first.
    """
    project = settings.project.name
    console = CONSOLES.get(partition, "console.aws.amazon.com")
    build = Building(settings, on_error=failed(project, console))
    told = ended(project, console)
    rejected = _chain(
        register(build, "RegisterRejected", "Rejected"), outcome("Rejected", "rejected", DECISION), told[0]
    )
    turned_down = _chain(outcome("TurnedDown", "rejected", "turned down by a person (ops reject)"), told[0])
    newer = format_("run {} is on newer data or settings", LATEST)
    superseded = _chain(outcome("Superseded", "superseded", newer), told[0])
    released = release(build)
    package = _chain(*from_package(build, released[0]))

    run = Chain(
        [
            *name_run(build),
            *acquire(build, superseded=superseded, deadline_seconds=deadline_seconds(settings)),
            *find_champion(build, then=wants_release(package)),
            *preprocess(build),
            *train(build),
            *evaluate(build, rejected=rejected),
            *approval(build, ask=lambda wait: waiting(project, console, then=wait), turned_down=turned_down),
            *released,
            *scaling(build),
            *tidy(build, then=outcome("Accepted", "accepted", DECISION)),
            told[0],
        ]
    )
    return _rendered(run, f"Retrains and releases {project}", deadline_seconds(settings), partition)


def deadline_seconds(settings: Settings) -> int:
    """How long a run may live: DEADLINE_HOURS, and the time that a person has for an approval."""
    wait = settings.release.approval_hours if settings.release.approval == "manual" else 0
    return (DEADLINE_HOURS + wait) * 3600


def ending(settings: Settings, partition: str = "aws") -> dict[str, Any]:
    """The state machine that ends what a run left undone: started by each that was aborted, timed out or failed."""
    steps = abandoned(settings.project.name, CONSOLES.get(partition, "console.aws.amazon.com"))
    return _rendered(Chain(steps), f"Ends the aborted runs of {settings.project.name}", 600, partition)


def _rendered(states: Chain, comment: str, timeout_seconds: int, partition: str) -> dict[str, Any]:
    """The graph; the SDK takes the partition from whatever region is ambient."""
    text = Graph(states, comment=comment, timeout_seconds=timeout_seconds).to_json()
    rendered: dict[str, Any] = json.loads(re.sub(r'"arn:[a-z-]+:states:::', f'"arn:{partition}:states:::', text))
    return rendered


def _chain(*states: State) -> State:
    """Links the states and gives back the first, which is what another state goes on to."""
    for before, after in pairwise(states):
        if before.next_step is not after:
            before.next(after)
    return states[0]
