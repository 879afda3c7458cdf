"""The deploy machine: its role alone may change the endpoint."""

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk import permissions
from cdk.data import DataStore
from cdk.finish import Finish
from cdk.jobs import Jobs
from cdk.lease import Lease
from cdk.live_endpoint import LiveEndpoint
from cdk.state_machine import state_machine
from pipeline import deploy
from pipeline.config import Settings


class Deploy(Construct):
    """The state machine that `pipeline.deploy` defines, with its ports filled in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        jobs: Jobs,
        lease: Lease,
        live: LiveEndpoint,
        finish: Finish,
        predict: lambda_.IFunction,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack, project = Stack.of(self), settings.project.name
        self.machine = state_machine(
            self,
            "deploy",
            settings=settings,
            definition=deploy.definition,
            ports={
                **jobs.ports,
                **finish.ports,
                "CleanupFunction": live.cleanup.function_arn,
                "EndpointFunction": live.function.function_arn,
                "EndpointName": endpoint_name,
                "ErrorAlarm": live.error_alarm.alarm_name,
                "LatencyAlarm": live.latency_alarm.alarm_name,
                "LeaseFunction": lease.function.function_arn,
                "PredictFunction": predict.function_arn,
            },
            allowed=[
                *permissions.change_endpoint(stack, project, endpoint_name),
                *(permissions.autoscale(stack, endpoint_name) if settings.endpoint.autoscaled else []),
                permissions.create_model(stack, project),
                permissions.packages(stack, project, "Describe", "Update"),
                permissions.pass_role(jobs.role),
                permissions.invoke(lease.function, live.function, live.cleanup, predict),
                finish.invoke(),
                # The endpoint's volumes: CreateEndpointConfig uses the key in its caller's name.
                permissions.allow("kms:DescribeKey", data.key.key_arn),
                data.encrypt_volumes(),
            ],
        )
