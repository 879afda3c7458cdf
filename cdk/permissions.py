"""What the state machine and the SageMaker jobs may do: every action by name, every resource by its narrowest ARN."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn

JOBS = {"Processing": "processing-job", "Training": "training-job", "Transform": "transform-job"}


_FOLLOW = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
"""By a rule of its own Step Functions follows what a `.sync` integration started."""


def arn(stack: Stack, service: str, resource: str, name: str, account: str | None = None) -> str:
    """The ARN of a resource in the stack's region."""
    colon = service in ("logs", "states")
    arn_format = ArnFormat.COLON_RESOURCE_NAME if colon else ArnFormat.SLASH_RESOURCE_NAME
    return stack.format_arn(
        service=service, resource=resource, resource_name=name, account=account, arn_format=arn_format
    )


def allow(action: str, *resources: str) -> iam.PolicyStatement:
    """One action."""
    return iam.PolicyStatement(actions=[action], resources=list(resources))


def invoke(*functions: lambda_.IFunction) -> iam.PolicyStatement:
    """Calling these functions."""
    return allow("lambda:InvokeFunction", *(function.function_arn for function in functions))


def use_table(table: dynamodb.ITable, *operations: str) -> iam.PolicyStatement:
    """These operations on the table's items."""
    return iam.PolicyStatement(actions=[f"dynamodb:{name}" for name in operations], resources=[table.table_arn])


def notify(stack: Stack, topic: str) -> list[iam.PolicyStatement]:
    """Publishing to the topic, and to EventBridge's default bus."""
    return [allow("sns:Publish", topic), allow("events:PutEvents", arn(stack, "events", "event-bus", "default"))]


def run_jobs(stack: Stack, project: str, kinds: Sequence[str] = tuple(JOBS)) -> list[iam.PolicyStatement]:
    """The `.sync` integrations of the job kinds (Step Functions Developer Guide, "Manage SageMaker jobs").

    Step Functions follows a job through a rule that it manages itself, and tags it: hence the events and tag actions.
    """
    statements = []
    for kind, resource in ((kind, JOBS[kind]) for kind in kinds):
        actions = [f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")]
        job = arn(stack, "sagemaker", resource, f"{project}-*")
        statements.append(
            iam.PolicyStatement(actions=[*actions, "sagemaker:AddTags", "sagemaker:ListTags"], resources=[job])
        )
    rules = [arn(stack, "events", "rule", f"StepFunctionsGetEventsForSageMaker{kind}JobsRule") for kind in kinds]
    return [*statements, iam.PolicyStatement(actions=_FOLLOW, resources=rules)]


def run_machine(stack: Stack, machine: sfn.IStateMachine, name: str) -> list[iam.PolicyStatement]:
    """The `startExecution.sync:2` integration (Step Functions Developer Guide, "Manage nested executions")."""
    rule = arn(stack, "events", "rule", "StepFunctionsGetEventsForStepFunctionsExecutionRule")
    executions = arn(stack, "states", "execution", f"{name}:*")
    return [
        allow("states:StartExecution", machine.state_machine_arn),
        iam.PolicyStatement(actions=["states:DescribeExecution", "states:StopExecution"], resources=[executions]),
        iam.PolicyStatement(actions=_FOLLOW, resources=[rule]),
    ]


def create_model(stack: Stack, project: str) -> iam.PolicyStatement:
    """Models of the project."""
    return allow("sagemaker:CreateModel", arn(stack, "sagemaker", "model", f"{project}-*"))


def packages(stack: Stack, project: str, *verbs: str) -> iam.PolicyStatement:
    """`verbs` of the project's model packages: Describe, Update."""
    actions = [f"sagemaker:{verb}ModelPackage" for verb in verbs]
    package = arn(stack, "sagemaker", "model-package", f"{project}/*")
    return iam.PolicyStatement(actions=actions, resources=[package])


def register_packages(stack: Stack, project: str) -> iam.PolicyStatement:
    """Versions of the project's model package group."""
    group = arn(stack, "sagemaker", "model-package-group", project)
    return allow("sagemaker:CreateModelPackage", group, arn(stack, "sagemaker", "model-package", f"{project}/*"))


def change_endpoint(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Endpoint configs of the project, and the one endpoint."""
    config = arn(stack, "sagemaker", "endpoint-config", f"{project}-*")
    live = arn(stack, "sagemaker", "endpoint", endpoint)
    return [
        iam.PolicyStatement(actions=["sagemaker:CreateEndpointConfig", "sagemaker:AddTags"], resources=[config]),
        # CreateEndpoint and UpdateEndpoint are authorised on the endpoint and on its config.
        iam.PolicyStatement(actions=["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"], resources=[live, config]),
        allow("sagemaker:DeleteEndpoint", live),
    ]


def describe_endpoint(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Describing the one endpoint, and endpoint configs of the project."""
    return [
        allow("sagemaker:DescribeEndpoint", arn(stack, "sagemaker", "endpoint", endpoint)),
        allow("sagemaker:DescribeEndpointConfig", arn(stack, "sagemaker", "endpoint-config", f"{project}-*")),
    ]


def autoscale(stack: Stack, endpoint: str) -> list[iam.PolicyStatement]:
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
            resources=[arn(stack, "application-autoscaling", "scalable-target", "*")],
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
        allow("sagemaker:UpdateEndpointWeightsAndCapacities", arn(stack, "sagemaker", "endpoint", endpoint)),
        iam.PolicyStatement(
            actions=["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"],
            resources=["*"],
        ),
    ]


def predict(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Scoring, and telling callers which model did it: the endpoint config's tags name its package."""
    config = arn(stack, "sagemaker", "endpoint-config", f"{project}-*")
    live = arn(stack, "sagemaker", "endpoint", endpoint)
    package = arn(stack, "sagemaker", "model-package", f"{project}/*")
    return [
        iam.PolicyStatement(actions=["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"], resources=[live]),
        allow("sagemaker:ListTags", config),
        allow("sagemaker:DescribeModelPackage", package),
    ]


def cleanup(stack: Stack, project: str, endpoint: str) -> list[iam.PolicyStatement]:
    """Listing, which names no resource (Service Authorization Reference, SageMaker), and deleting what is old."""
    model = arn(stack, "sagemaker", "model", f"{project}-*")
    config = arn(stack, "sagemaker", "endpoint-config", f"{project}-*")
    live = arn(stack, "sagemaker", "endpoint", endpoint)
    return [
        iam.PolicyStatement(actions=["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"], resources=["*"]),
        iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint"], resources=[live]),
        iam.PolicyStatement(actions=["sagemaker:DeleteEndpointConfig"], resources=[config]),
        iam.PolicyStatement(actions=["sagemaker:DeleteModel"], resources=[model]),
    ]


def describe_executions(stack: Stack, *machines: str) -> iam.PolicyStatement:
    """Describing executions of these machines: which one owns the lease is known only at run time."""
    executions = [arn(stack, "states", "execution", f"{name}:*") for name in machines]
    return iam.PolicyStatement(actions=["states:DescribeExecution"], resources=executions)


def describe_alarms(*alarms: cloudwatch.IAlarm) -> iam.PolicyStatement:
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
            resources=[arn(stack, "ecr", "repository", name, owners[name]) for name in sorted(owners)],
        ),
        iam.PolicyStatement(actions=write_log, resources=[arn(stack, "logs", "log-group", "/aws/sagemaker/*")]),
        # PutMetricData names no resource; its namespace is the bound (Service Authorization Reference, CloudWatch).
        iam.PolicyStatement(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringLike": {"cloudwatch:namespace": ["/aws/sagemaker/*", "AWS/SageMaker"]}},
        ),
    ]
