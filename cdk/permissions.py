"""What the state machine and the SageMaker jobs may do: every action by name, every resource by its narrowest ARN."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam

JOBS = {"Processing": "processing-job", "Training": "training-job", "Transform": "transform-job"}


def _arn(stack: Stack, service: str, resource: str, name: str, account: str | None = None) -> str:
    arn_format = ArnFormat.COLON_RESOURCE_NAME if service == "logs" else ArnFormat.SLASH_RESOURCE_NAME
    return stack.format_arn(
        service=service, resource=resource, resource_name=name, account=account, arn_format=arn_format
    )


def allow(action: str, *resources: str) -> iam.PolicyStatement:
    """One action."""
    return iam.PolicyStatement(actions=[action], resources=list(resources))


def tell(stack: Stack, topic: str) -> list[iam.PolicyStatement]:
    """Telling people and machines how a run ended."""
    bus = stack.format_arn(service="events", resource="event-bus", resource_name="default")
    return [allow("sns:Publish", topic), allow("events:PutEvents", bus)]


def run_jobs(stack: Stack, project: str, kinds: Sequence[str] = tuple(JOBS)) -> list[iam.PolicyStatement]:
    """The `.sync` integrations of the job kinds (Step Functions Developer Guide, "Manage SageMaker jobs").

    Step Functions follows a job through a rule that it manages itself, and tags it: hence the events and tag actions.
    """
    statements = []
    for kind, resource in ((kind, JOBS[kind]) for kind in kinds):
        actions = [f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")]
        arn = _arn(stack, "sagemaker", resource, f"{project}-*")
        statements.append(
            iam.PolicyStatement(actions=[*actions, "sagemaker:AddTags", "sagemaker:ListTags"], resources=[arn])
        )
    rules = [_arn(stack, "events", "rule", f"StepFunctionsGetEventsForSageMaker{kind}JobsRule") for kind in kinds]
    events = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    return [*statements, iam.PolicyStatement(actions=events, resources=rules)]


def release(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Models, packages, endpoint configs, and the one endpoint."""
    model = _arn(stack, "sagemaker", "model", f"{project}-*")
    config = _arn(stack, "sagemaker", "endpoint-config", f"{project}-*")
    live = _arn(stack, "sagemaker", "endpoint", endpoint)
    group = _arn(stack, "sagemaker", "model-package-group", project)
    package = _arn(stack, "sagemaker", "model-package", f"{project}/*")
    return [
        iam.PolicyStatement(actions=["sagemaker:CreateModel"], resources=[model]),
        iam.PolicyStatement(actions=["sagemaker:CreateModelPackage"], resources=[group, package]),
        iam.PolicyStatement(
            actions=["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"], resources=[package]
        ),
        iam.PolicyStatement(
            actions=["sagemaker:CreateEndpointConfig", "sagemaker:DescribeEndpointConfig", "sagemaker:AddTags"],
            resources=[config],
        ),
        # CreateEndpoint and UpdateEndpoint are authorised on the endpoint and on its config.
        iam.PolicyStatement(actions=["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"], resources=[live, config]),
        iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], resources=[live]),
    ]


def scale(stack: Stack, endpoint: str) -> list[iam.PolicyStatement]:
    """Autoscaling of the endpoint's one variant, and what Application Auto Scaling tries in its caller's name.

    The latter is SageMaker's list ("Auto scaling prerequisites"). CloudWatch is tried without naming an alarm
    (Application Auto Scaling User Guide, "Permissions validation for API calls on target resources").
    """
    service = "sagemaker.application-autoscaling.amazonaws.com"
    linked = f"{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    role = stack.format_arn(service="iam", region="", resource="role", resource_name=f"aws-service-role/{linked}")
    return [
        # A target's id is Application Auto Scaling's own; the conditions bound it to variants.
        iam.PolicyStatement(
            actions=["application-autoscaling:RegisterScalableTarget", "application-autoscaling:PutScalingPolicy"],
            resources=[_arn(stack, "application-autoscaling", "scalable-target", "*")],
            conditions={
                "StringEquals": {
                    "application-autoscaling:service-namespace": "sagemaker",
                    "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
                }
            },
        ),
        iam.PolicyStatement(
            actions=["iam:CreateServiceLinkedRole"],
            resources=[role],
            conditions={"StringEquals": {"iam:AWSServiceName": service}},
        ),
        allow("sagemaker:UpdateEndpointWeightsAndCapacities", _arn(stack, "sagemaker", "endpoint", endpoint)),
        iam.PolicyStatement(
            actions=["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"],
            resources=["*"],
        ),
    ]


def predict(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Scoring, and telling callers which model did it: the endpoint config's tags name its package."""
    config = _arn(stack, "sagemaker", "endpoint-config", f"{project}-*")
    live = _arn(stack, "sagemaker", "endpoint", endpoint)
    package = _arn(stack, "sagemaker", "model-package", f"{project}/*")
    return [
        iam.PolicyStatement(actions=["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"], resources=[live]),
        allow("sagemaker:ListTags", config),
        allow("sagemaker:DescribeModelPackage", package),
    ]


def tidy(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Listing, which names no resource (Service Authorization Reference, SageMaker), and deleting what is old."""
    model = _arn(stack, "sagemaker", "model", f"{project}-*")
    config = _arn(stack, "sagemaker", "endpoint-config", f"{project}-*")
    live = _arn(stack, "sagemaker", "endpoint", endpoint)
    return [
        iam.PolicyStatement(actions=["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"], resources=["*"]),
        iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint"], resources=[live]),
        iam.PolicyStatement(actions=["sagemaker:DeleteEndpointConfig"], resources=[config]),
        iam.PolicyStatement(actions=["sagemaker:DeleteModel"], resources=[model]),
    ]


def look_at_owner(stack: Stack, machine: str) -> iam.PolicyStatement:
    """Describing the executions of the machine itself: a run asks whether the lease's owner still runs."""
    arn = stack.format_arn(
        service="states", resource="execution", resource_name=f"{machine}:*", arn_format=ArnFormat.COLON_RESOURCE_NAME
    )
    return iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[arn])


def look_at_alarms(*alarms: cloudwatch.IAlarm) -> iam.PolicyStatement:
    """Naming the alarm that rolled a deployment back."""
    return iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=[alarm.alarm_arn for alarm in alarms])


def pass_role(role: iam.IRole) -> iam.PolicyStatement:
    """Handing the jobs' role to SageMaker, and to nothing else."""
    return iam.PolicyStatement(
        actions=["iam:PassRole"],
        resources=[role.role_arn],
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )


def inside_jobs(stack: Stack, images: list[str]) -> list[iam.PolicyStatement]:
    """What a job needs beside its data: its image, its log and its metrics."""
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    owners = {image.split("/", 1)[1].split(":")[0]: image.split(".")[0] for image in images}  # repository -> account
    write_log = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return [
        # GetAuthorizationToken names no resource (Service Authorization Reference, Amazon ECR).
        iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]),
        iam.PolicyStatement(
            actions=pull,
            resources=[_arn(stack, "ecr", "repository", name, owners[name]) for name in sorted(owners)],
        ),
        iam.PolicyStatement(actions=write_log, resources=[_arn(stack, "logs", "log-group", "/aws/sagemaker/*")]),
        # PutMetricData names no resource; its namespace is the bound (Service Authorization Reference, CloudWatch).
        iam.PolicyStatement(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "AWS/SageMaker"]}},
        ),
    ]
