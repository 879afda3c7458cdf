"""The deploy machine: its role alone may change the endpoint."""

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.permissions import allow, granted, invoke, pass_role
from cdk.state_machine import Parts, state_machine
from pipeline import deploy


def deploy_machine(scope: Construct, parts: Parts) -> sfn.StateMachine:
    """Return the state machine that `pipeline.deploy` defines."""
    scope, live = Construct(scope, "Deploy"), parts.live
    allowed = [
        *granted(scope, "change_endpoint", parts.project),
        *(granted(scope, "autoscale", parts.project) if parts.settings.endpoint.autoscaled else []),
        *granted(scope, "deploy", parts.project),
        pass_role(parts.jobs.role),
        invoke(parts.lease.function, live.function, live.cleanup, parts.serving.function),
        invoke(*parts.finish.functions.values()),
        # The endpoint's volumes: CreateEndpointConfig uses the key in its caller's name.
        allow("kms:DescribeKey", parts.data.key.key_arn),
        parts.data.encrypt_volumes(),
    ]
    return state_machine(scope, "deploy", deploy.definition, parts, ports={}, allowed=allowed)
