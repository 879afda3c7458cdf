"""The actions that SageMaker requires: of the caller of an operation, and of the role of a job or an endpoint.

Actions and resources are the Service Authorization Reference's; what a role needs is what the Developer Guide's "How to
use SageMaker execution roles" lists for CreateTrainingJob, CreateProcessingJob and CreateModel.
"""

from collections.abc import Callable, Iterator
from typing import Any

from local_aws.iam import Need
from local_aws.sagemaker.api.records import path

SERVICE = "sagemaker.amazonaws.com"
Arn = Callable[[str, str], str]
"""Makes an ARN of a service and a resource part."""
Vpc = dict[str, list[str]]
JOBS = ("ProcessingJob", "HyperParameterTuningJob", "TrainingJob", "TransformJob")
NOUNS = ("EndpointConfig", "Endpoint", "ModelPackageGroup", "ModelPackage", "Model", *JOBS)


def of_caller(operation: str, request: dict[str, Any], arn: Arn) -> Iterator[Need]:
    """What the caller of an operation must be allowed."""
    resources = list(_resources(operation, request, arn)) or ["*"]
    for resource in resources:
        yield Need(f"sagemaker:{operation}", resource)
    if operation.startswith("Create") and request.get("Tags"):
        yield Need("sagemaker:AddTags", resources[0])
    if operation == "CreateEndpointConfig" and "KmsKeyId" in request:
        yield from of_volume(request["KmsKeyId"])
    if role := passed_role(request):
        yield Need("iam:PassRole", role, {"iam:PassedToService": SERVICE})


def passed_role(request: dict[str, Any]) -> str | None:
    """The role that a request passes to SageMaker, if there is one."""
    definition = request.get("TrainingJobDefinition") or {}
    role: str | None = request.get("RoleArn") or request.get("ExecutionRoleArn") or definition.get("RoleArn")
    return role


def _resources(operation: str, request: dict[str, Any], arn: Arn) -> Iterator[str]:
    if operation == "CreateModelPackage":
        group = request.get("ModelPackageGroupName", "").rsplit("/", 1)[-1].lower()
        yield arn("sagemaker", f"model-package-group/{group}")
        yield arn("sagemaker", f"model-package/{group}/*")
        return
    if "ResourceArn" in request:
        yield request["ResourceArn"]
        return
    if operation.startswith("List") and not operation.endswith("TuningJob"):
        return
    operation = operation.removesuffix("WeightsAndCapacities")
    noun = next((noun for noun in NOUNS if operation.endswith(noun)), "")
    name = request.get(f"{noun}Name") or request.get(f"{noun}Arn", "")
    if name:
        yield name if name.startswith("arn:") else arn("sagemaker", f"{path(noun)}/{name.lower()}")
    if "EndpointConfigName" in request and operation in ("CreateEndpoint", "UpdateEndpoint"):
        yield arn("sagemaker", f"endpoint-config/{request['EndpointConfigName'].lower()}")


def of_sync(operation: str, request: dict[str, Any], arn: Arn) -> Iterator[Need]:
    """What Step Functions needs to follow and to stop a job ("Create and manage SageMaker AI jobs" in its guide).

    AWS checks the rule when the machine is created and Stop when a job is stopped; here all is checked at once.
    """
    noun = operation.removeprefix("Create")
    job = arn("sagemaker", f"{path(noun)}/{request.get(f'{noun}Name', '').lower()}")
    for action in ("AddTags", "ListTags", f"Describe{noun}", f"Stop{noun}"):
        yield Need(f"sagemaker:{action}", job)
    followed = noun.removeprefix("HyperParameter")
    yield from _of_rule(arn("events", f"rule/StepFunctionsGetEventsForSageMaker{followed}sRule"))


def of_nested(machine: str, arn: Arn) -> Iterator[Need]:
    """Step Functions' guide, "Start workflow executions from a task state", IAM policies."""
    for action in ("DescribeExecution", "StopExecution"):
        yield Need(f"states:{action}", arn("states", f"execution:{machine.split(':')[6]}:*"))
    yield from _of_rule(arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"))


def _of_rule(rule: str) -> Iterator[Need]:
    for action in ("PutTargets", "PutRule", "DescribeRule"):
        yield Need(f"events:{action}", rule)


def of_role(images: list[str], group: str, arn: Arn, keys: list[str], vpc: Vpc | None) -> Iterator[Need]:
    """What a role must be allowed beside its data.

    AWS goes on without logs and metrics that the role may not write; here the job fails, so that the gap is seen.
    `group` is the log group, `keys` are the KMS keys of volumes.
    """
    yield Need("ecr:GetAuthorizationToken", "*")
    for image in images:
        registry, _, repository = image.partition("/")
        account, _, _, region, _ = registry.split(".", 4)
        for action in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"):
            yield Need(f"ecr:{action}", f"arn:aws:ecr:{region}:{account}:repository/{repository.partition(':')[0]}")
    for action in ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"):
        # As AWS's refusals name a group: a policy needs `log-group:NAME:*`.
        yield Need(f"logs:{action}", arn("logs", f"log-group:{group}:log-stream:"))
    yield Need("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": group})
    for key in keys:
        yield from of_volume(key)
        yield Need("kms:Encrypt", key)
    if vpc:
        yield from _of_interfaces(vpc, arn)


def _of_interfaces(vpc: Vpc, arn: Arn) -> Iterator[Need]:
    """SageMaker takes one of the subnets, so the role must be allowed all."""
    interface = arn("ec2", "network-interface/eni-0")
    subnets = [arn("ec2", f"subnet/{subnet}") for subnet in vpc["Subnets"]]
    groups = [arn("ec2", f"security-group/{group}") for group in vpc["SecurityGroupIds"]]
    for resource in (interface, *subnets, *groups):
        yield Need("ec2:CreateNetworkInterface", resource)
    for subnet in subnets:
        for call in ("CreateNetworkInterfacePermission", "DeleteNetworkInterface", "DeleteNetworkInterfacePermission"):
            yield Need(f"ec2:{call}", interface, {"ec2:Subnet": subnet})
    for what in ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs"):
        yield Need(f"ec2:Describe{what}", "*")


def of_volume(key: str) -> Iterator[Need]:
    """What the role of encrypted volumes needs of their key."""
    yield Need("kms:DescribeKey", key)
    yield Need("kms:CreateGrant", key, {"kms:GrantIsForAWSResource": "true"})
