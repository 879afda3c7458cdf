"""What a task's integration asks IAM of the state machine's role, and how a refusal is named."""

from collections.abc import Callable, Iterator
from typing import Any

from local import autoscaling
from local.access import Need
from local.sagemaker import permissions

Arn = Callable[[str, str], str]
SDK_NAMES = {"sfn": "states"}
"""IAM's name of a service where the integration has another."""
REFUSALS = {
    "lambda": "Lambda.AWSLambdaException",
    "dynamodb": "DynamoDB.AmazonDynamoDBException",
    "sns": "SNS.AmazonSNSException",
    "events": "EventBridge.AmazonEventBridgeException",
    "sagemaker": "SageMaker.AmazonSageMakerException",
}
"""Optimised integrations name a refusal that the API does not model after the service's class in the SDK for Java 1."""
SDK_CLASSES = {"cloudwatch": "CloudWatch", "sfn": "Sfn", "s3": "S3", "dynamodb": "DynamoDb", "sagemaker": "SageMaker",
               "applicationautoscaling": "ApplicationAutoScaling"}  # fmt: skip


def needs(resource: str, parameters: dict[str, Any], arn: Arn) -> tuple[str, list[Need]]:
    """The error's name and what the role must be allowed.

    Args:
        resource: The task's, as `arn:aws:states:::aws-sdk:s3:getObject`.
        parameters: The task's.
        arn: Makes an ARN of a service and its resource part.
    """
    *_, service, called = resource.split(":")
    action, _, pattern = called.partition(".")
    if ":aws-sdk:" in resource:
        prefix = SDK_CLASSES.get(service, service.title())
        error = f"{prefix}.{prefix}Exception"
    else:
        error = REFUSALS.get(service, "States.Permissions")
    operation = action[0].upper() + action[1:]
    if service == "applicationautoscaling":
        return error, list(autoscaling.needs(operation, parameters, arn))
    return error, list(_needs(service, operation, pattern, parameters, arn))


def _needs(service: str, action: str, pattern: str, parameters: dict[str, Any], arn: Arn) -> Iterator[Need]:
    if service == "sagemaker":

        def own(part: str) -> str:
            return arn("sagemaker", part)

        tagged = {**parameters, "Tags": parameters.get("Tags") or pattern}
        yield from permissions.of_caller(action, tagged, own)
        if pattern == "sync":
            yield from permissions.of_sync(action, parameters, own, lambda part: arn("events", part))
    elif service == "lambda":
        function = parameters["FunctionName"]
        yield Need(
            "lambda:InvokeFunction",
            function if function.startswith("arn:") else arn("lambda", f"function:{function}"),
        )
    elif service == "sns":
        yield Need("sns:Publish", parameters["TopicArn"])
    elif service == "events":
        for entry in parameters["Entries"]:
            yield Need("events:PutEvents", arn("events", f"event-bus/{entry.get('EventBusName', 'default')}"))
    elif service == "dynamodb":
        yield Need(f"dynamodb:{action}", arn("dynamodb", f"table/{parameters['TableName']}"))
    elif service == "s3":
        yield Need(f"s3:{action}", f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}")
    elif "AlarmNames" in parameters:
        for name in parameters["AlarmNames"]:
            yield Need(f"cloudwatch:{action}", arn(service, f"alarm:{name}"))
    elif service == "cloudwatch":  # metrics have no resource; the namespace is a key of conditions
        yield Need(f"cloudwatch:{action}", "*", {"cloudwatch:namespace": parameters.get("Namespace", "")})
    else:
        named = next((value for value in parameters.values() if str(value).startswith("arn:")), "*")
        yield Need(f"{SDK_NAMES.get(service, service)}:{action}", named)
