"""The retraining workflow, top to bottom as the diagram reads."""

import json
import re
from itertools import pairwise
from typing import Any

from pipeline.asl import Chain, Graph, State
from pipeline.config import Settings
from pipeline.states.champion import find_champion
from pipeline.states.common import Building
from pipeline.states.evaluate import evaluate
from pipeline.states.lease import acquire
from pipeline.states.prepare import name_run, preprocess, wants_release
from pipeline.states.registry import approval, from_package, register
from pipeline.states.release import release
from pipeline.states.tell import ended, failed, outcome
from pipeline.states.tidy import tidy
from pipeline.states.train import train

DEADLINE_HOURS = 24
"""No run outlives this, whatever its tasks do; Step Functions' own limit is a year. The lease expires with it."""


def definition(settings: Settings, partition: str = "aws") -> dict[str, Any]:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    A run ends Succeeded as `accepted` (the endpoint serves its model), `rejected` or `superseded` (the endpoint was not
    touched), or Failed with the cause that a task gave; a release that went wrong is taken back first.
    """
    project = settings.project.name
    build = Building(settings, on_error=failed(project))
    told = ended(project)
    turned_down = _chain(outcome("rejected"), told[0])
    rejected = _chain(register(build, "RegisterRejected", "Rejected"), turned_down)
    superseded = _chain(outcome("superseded"), told[0])
    released = release(build)
    package = _chain(*from_package(build, released[0]))

    run = Chain(
        [
            *name_run(build),
            *acquire(build, superseded=superseded),
            *find_champion(build, then=wants_release(package)),
            preprocess(build),
            *train(build),
            *evaluate(build, rejected=rejected),
            *approval(build, rejected=turned_down),
            *released,
            *tidy(build, then=outcome("accepted")),
            told[0],
        ]
    )
    graph = Graph(run, comment=f"Retrains and releases {project}", timeout_seconds=DEADLINE_HOURS * 3600)
    # The SDK takes the partition from whatever region is ambient.
    rendered: dict[str, Any] = json.loads(
        re.sub(r'"arn:[a-z-]+:states:::', f'"arn:{partition}:states:::', graph.to_json())
    )
    return rendered


def _chain(*states: State) -> State:
    """Links the states and gives back the first, which is what another state goes on to."""
    for before, after in pairwise(states):
        if before.next_step is not after:
            before.next(after)
    return states[0]
