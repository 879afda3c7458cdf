"""Stages: what `[stage.<name>]` says goes over the rest of the file, value by value."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.settings import Table, like

DEFAULT = "dev"


class Stack(Table):
    """What the stack is like around the pipeline; money in US dollars a month, 0 for no budget."""

    keep_data: bool = True
    log_days: Literal[7, 30, 90, 180, 365] = 90
    monthly_budget: Annotated[int, Field(ge=0)] = 0
    email: Annotated[str, like("([^@ ]+@[^@ ]+)?", "team@example.com")] = ""


class Network(Table):
    """With `vpc` the jobs and the endpoint are in a VPC of the stack's own, which reaches S3 and nothing else."""

    vpc: bool = False


class Delivery(Table):
    """Where the code comes from: a GitHub repository, by a connection of CodeConnections."""

    repository: Annotated[str, like("([^/ ]+/[^/ ]+)?", "team/pipeline")] = ""
    branch: Annotated[str, Field(min_length=1)] = "main"
    connection: Annotated[
        str, like("(arn:[a-z-]+:code(connections|star-connections):.+)?", "arn:aws:codeconnections:…")
    ] = ""


def at(document: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return the document as it is at a stage. Raises ValueError when it has no such stage; `dev` needs no table."""
    stages = document.get("stage", {})
    if stage not in stages and stage != DEFAULT:
        raise ValueError(
            f'no stage "{stage}": add [stage.{stage}] or choose one of {", ".join(dict.fromkeys([DEFAULT, *stages]))}'
        )
    base = {key: value for key, value in document.items() if key != "stage"}
    return _over(base, stages.get(stage, {}))


def _over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        # What the gate asks for is replaced as a whole: a bound that is not named is not asked for.
        merged[key] = _over(base[key], value) if both and key not in {"minimum", "maximum"} else value
    return merged
