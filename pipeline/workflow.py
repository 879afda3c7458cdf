"""The retraining workflow, top to bottom as the diagram reads."""

import json
import re
from typing import Any

from pipeline.asl import Chain, Graph
from pipeline.config import Settings
from pipeline.states.common import Building
from pipeline.states.evaluate import evaluate
from pipeline.states.prepare import prepare
from pipeline.states.release import release
from pipeline.states.tell import ended, failed, outcome
from pipeline.states.train import train

DEADLINE_HOURS = 24
"""No run outlives this, whatever its tasks do; Step Functions' own limit is a year."""


def definition(settings: Settings, partition: str = "aws") -> dict[str, Any]:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    A run either ends Succeeded with the outcome `accepted` (the endpoint serves its model) or `rejected` (the endpoint
    was not touched), or Failed with the cause that a task gave.
    """
    project = settings.project.name
    build = Building(settings, on_error=failed(project))
    told = ended(project)
    rejected = outcome("rejected")
    rejected.next(told[0])

    run = Chain(
        [
            *prepare(build),
            *train(build),
            *evaluate(build, rejected=rejected),
            *release(build),
            outcome("accepted"),
            *told,
        ]
    )
    graph = Graph(run, comment=f"Retrains and releases {project}", timeout_seconds=DEADLINE_HOURS * 3600)
    # The SDK takes the partition from whatever region is ambient.
    rendered: dict[str, Any] = json.loads(re.sub(r'"arn:[a-z-]+:states:::', f'"arn:{partition}:states:::', graph.to_json()))
    return rendered
