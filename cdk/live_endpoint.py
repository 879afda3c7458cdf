"""The live endpoint, which deployments make at run time: its alarms, and the Lambdas that wait for it and clean up."""

from aws_cdk import Duration
from constructs import Construct

from cdk.alarms import alarm, endpoint_metric, label
from cdk.functions import function
from cdk.permissions import allow, granted

SLOW_MICROSECONDS = 1_000_000
"""One second per row is a fault of a linear model; ModelLatency is in microseconds (CloudWatch metrics)."""


class LiveEndpoint(Construct):
    """The alarms roll a deployment back; `function` is FindChampion and WaitForEndpoint, `cleanup` is Cleanup.

    The endpoint has the project's name.
    """

    def __init__(self, scope: Construct, construct_id: str, project: str) -> None:
        super().__init__(scope, construct_id)
        self.error_alarm, self.latency_alarm = (
            alarm(
                self,
                alarm_id,
                endpoint_metric(project, metric, statistic, period=Duration.minutes(1)),
                threshold,
                label(project, name, f"{metric} of the live model"),
            )
            for alarm_id, name, metric, statistic, threshold in (
                ("Errors", "5xx", "Invocation5XXErrors", "Sum", 1),
                ("Latency", "latency", "ModelLatency", "p99", SLOW_MICROSECONDS),
            )
        )
        alarms = [self.error_alarm.alarm_arn, self.latency_alarm.alarm_arn]
        self.function = function(
            self,
            "Endpoint",
            "endpoint",
            environment={"ENDPOINT_NAME": project},
            # After a rollback, the Lambda names the alarm that caused it.
            allowed=[*granted(self, "endpoint", project), allow("cloudwatch:DescribeAlarms", *alarms)],
        )
        self.cleanup = function(
            self,
            "Cleanup",
            "cleanup",
            environment={"PROJECT": project, "ENDPOINT_NAME": project},
            timeout=Duration.minutes(2),
            allowed=granted(self, "cleanup", project),
        )
