"""How each state machine is deployed: from its definition, with its ports filled in, and rights of its own."""

import json
from collections.abc import Callable, Iterable, Mapping

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk.functions import log_group
from pipeline.config import Settings
from pipeline.states.building import Definition


def state_machine(
    scope: Construct,
    name: str,
    *,
    settings: Settings,
    definition: Callable[[Settings, str], Definition],
    ports: Mapping[str, str],
    allowed: Iterable[iam.PolicyStatement],
) -> sfn.StateMachine:
    """The machine `{project}-{name}`, logged and traced, with the `ports` that it needs and the rights `allowed`."""
    partition = RegionInfo.get(Stack.of(scope).region).partition or "aws"
    text = json.dumps(definition(settings, partition), indent=1)
    machine = sfn.StateMachine(
        scope,
        "Machine",
        state_machine_name=f"{settings.project.name}-{name}",
        definition_body=sfn.DefinitionBody.from_string(text),
        definition_substitutions={port: value for port, value in ports.items() if f"${{{port}}}" in text},
        logs=sfn.LogOptions(destination=log_group(scope, "Log"), level=sfn.LogLevel.ALL),
        tracing_enabled=True,
    )
    for statement in allowed:
        machine.add_to_role_policy(statement)
    return machine
