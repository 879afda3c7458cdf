"""What a task's integration asks IAM of the state machine's role, and how a refusal is named."""

from collections.abc import Callable, Iterator
from typing import Any

from local import autoscaling
from local.access import Need
from local.sagemaker import permissions

Arn = Callable[[str, str], str]
Document = dict[str, Any]
SDK_NAMES = {"sfn": "states"}
"""IAM's name of a service where the integration has another."""
REFUSALS = {
    "lambda": "Lambda.AWSLambdaException",
    "dynamodb": "DynamoDB.AmazonDynamoDBException",
    "sns": "SNS.AmazonSNSException",
    "events": "EventBridge.AmazonEventBridgeException",
    "states": "StepFunctions.AWSStepFunctionsException",
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
    *_, service, called = resource.removesuffix(":2").split(":")
    action, _, pattern = called.partition(".")
    if ":aws-sdk:" in resource:
        prefix = SDK_CLASSES.get(service, service.title())
        error = f"{prefix}.{prefix}Exception"
    else:
        error = REFUSALS.get(service, "States.Permissions")
    operation = action[0].upper() + action[1:]
    if service == "applicationautoscaling":
        return error, list(autoscaling.needs(operation, parameters, arn))
    return error, list(SERVICES.get(service, _other)(service, operation, pattern, parameters, arn))


def _sagemaker(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    def own(part: str) -> str:
        return arn("sagemaker", part)

    yield from permissions.of_caller(action, {**parameters, "Tags": parameters.get("Tags") or pattern}, own)
    if pattern == "sync":
        yield from permissions.of_sync(action, parameters, own, lambda part: arn("events", part))


def _lambda(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    function = parameters["FunctionName"]
    yield Need(
        "lambda:InvokeFunction", function if function.startswith("arn:") else arn(service, f"function:{function}")
    )


def _states(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    """Step Functions' guide, "Start workflow executions from a task state", IAM policies."""
    machine = parameters["StateMachineArn"]
    yield Need("states:StartExecution", machine)
    if pattern == "sync":
        for call in ("DescribeExecution", "StopExecution"):
            yield Need(f"states:{call}", arn("states", f"execution:{machine.split(':')[6]}:*"))
        rule = arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")
        for call in ("PutTargets", "PutRule", "DescribeRule"):
            yield Need(f"events:{call}", rule)


def _events(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    for entry in parameters["Entries"]:
        yield Need("events:PutEvents", arn(service, f"event-bus/{entry.get('EventBusName', 'default')}"))


def _cloudwatch(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    for name in parameters.get("AlarmNames", ()):
        yield Need(f"cloudwatch:{action}", arn(service, f"alarm:{name}"))
    if "AlarmNames" not in parameters:  # metrics have no resource; the namespace is a key of conditions
        yield Need(f"cloudwatch:{action}", "*", {"cloudwatch:namespace": parameters.get("Namespace", "")})


def _other(service: str, action: str, pattern: str, parameters: Document, arn: Arn) -> Iterator[Need]:
    """Services of which a task names at most one resource."""
    if service == "dynamodb":
        resource = arn(service, f"table/{parameters['TableName']}")
    elif service == "s3":
        resource = f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}"
    else:
        named = [parameters.get("TopicArn"), *parameters.values()]
        resource = next((value for value in named if str(value).startswith("arn:")), "*")
    yield Need(f"{SDK_NAMES.get(service, service)}:{action}", resource)


SERVICES: dict[str, Callable[[str, str, str, Document, Arn], Iterator[Need]]] = {
    "sagemaker": _sagemaker,
    "lambda": _lambda,
    "states": _states,
    "events": _events,
    "cloudwatch": _cloudwatch,
}
