"""The permissions of the stack's roles: every action by name, every resource by its narrowest ARN."""

from collections.abc import Mapping, Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct

RESOURCES = {
    "bus": ("events:event-bus", "default"),
    "config": ("sagemaker:endpoint-config", "{project}-*"),
    "deployments": ("states:execution", "{project}-deploy:*"),
    "endpoint": ("sagemaker:endpoint", "{project}"),
    "group": ("sagemaker:model-package-group", "{project}"),
    "model": ("sagemaker:model", "{project}-*"),
    "nested-rule": ("events:rule", "StepFunctionsGetEventsForStepFunctionsExecutionRule"),
    "package": ("sagemaker:model-package", "{project}/*"),
    "runs": ("states:execution", "{project}-retrain:*"),
}
"""The kind and the name of each resource that GRANTS names."""
FOLLOW = "events:PutTargets events:PutRule events:DescribeRule"
"""Step Functions follows what a `.sync` integration started by a rule that it manages itself."""
DESCRIBE_ENDPOINT = [("sagemaker:DescribeEndpoint", "endpoint"), ("sagemaker:DescribeEndpointConfig", "config")]
GRANTS = {
    "predict": [
        ("sagemaker:InvokeEndpoint sagemaker:DescribeEndpoint", "endpoint"),
        # The answer names the model: the endpoint config's tags name its package.
        ("sagemaker:ListTags", "config"),
        ("sagemaker:DescribeModelPackage", "package"),
    ],
    "lease": [("states:DescribeExecution", "runs deployments")],  # the owner is known only at run time
    "endpoint": DESCRIBE_ENDPOINT,
    "cleanup": [
        ("sagemaker:ListEndpointConfigs sagemaker:ListModels", "*"),  # they have no resource
        ("sagemaker:DescribeEndpoint", "endpoint"),
        ("sagemaker:DeleteEndpointConfig", "config"),
        ("sagemaker:DeleteModel", "model"),
    ],
    "finish": [("events:PutEvents", "bus")],
    "drift_window": [*DESCRIBE_ENDPOINT, ("sagemaker:DescribeModel", "model")],
    "retrain": [("sagemaker:CreateModel", "model"), ("sagemaker:CreateModelPackage", "group package")],
    "approval": [("sagemaker:UpdateModelPackage", "package")],
    # `startExecution.sync:2` (Step Functions Developer Guide, "Manage nested executions").
    "nested": [("states:DescribeExecution states:StopExecution", "deployments"), (FOLLOW, "nested-rule")],
    "change_endpoint": [
        ("sagemaker:CreateEndpointConfig sagemaker:AddTags", "config"),
        # CreateEndpoint and UpdateEndpoint are authorised on the endpoint and on its config.
        ("sagemaker:CreateEndpoint sagemaker:UpdateEndpoint", "endpoint config"),
        ("sagemaker:DeleteEndpoint", "endpoint"),
    ],
    "deploy": [
        ("sagemaker:CreateModel", "model"),
        ("sagemaker:DescribeModelPackage sagemaker:UpdateModelPackage", "package"),
    ],
}
"""The actions and the resources of each role's statements; statements with conditions are below."""
Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]


def arn(scope: IConstruct, kind: str, name: str, **parts: str) -> str:
    """Return the ARN of a resource, by default in the stack's region; `kind` is `service:resource`."""
    service, resource = kind.split(":")
    colon = service in ("logs", "states")
    arn_format = ArnFormat.COLON_RESOURCE_NAME if colon else ArnFormat.SLASH_RESOURCE_NAME
    return Stack.of(scope).format_arn(
        service=service, resource=resource, resource_name=name, arn_format=arn_format, **parts
    )


def allow(actions: str, *resources: str, where: Conditions | None = None) -> iam.PolicyStatement:
    """Return the statement for actions, separated by spaces, under the conditions `where`."""
    return iam.PolicyStatement(actions=actions.split(), resources=list(resources), conditions=where)


def granted(scope: IConstruct, role: str, project: str) -> list[iam.PolicyStatement]:
    """Return the statements of GRANTS for a role."""
    arns = {key: arn(scope, kind, name.format(project=project)) for key, (kind, name) in RESOURCES.items()}
    return [allow(actions, *(arns.get(key, key) for key in keys.split())) for actions, keys in GRANTS[role]]


def invoke(*functions: lambda_.IFunction) -> iam.PolicyStatement:
    """Allow calls of these functions."""
    return allow("lambda:InvokeFunction", *(function.function_arn for function in functions))


def run_jobs(scope: IConstruct, project: str, *kinds: str) -> list[iam.PolicyStatement]:
    """Allow the `.sync` integrations of the job kinds (Step Functions Developer Guide, "Manage SageMaker jobs")."""
    rules = [arn(scope, "events:rule", f"StepFunctionsGetEventsForSageMaker{kind}JobsRule") for kind in kinds]
    jobs = [
        allow(
            f"sagemaker:Create{kind}Job sagemaker:Describe{kind}Job sagemaker:Stop{kind}Job sagemaker:AddTags"
            " sagemaker:ListTags",
            arn(scope, f"sagemaker:{kind.lower()}-job", f"{project}-*"),
        )
        for kind in kinds
    ]
    return [*jobs, allow(FOLLOW, *rules)]


def autoscale(scope: IConstruct, project: str) -> list[iam.PolicyStatement]:
    """Allow the autoscaling of the endpoint's variant, and what Application Auto Scaling tries in its caller's name.

    The latter is SageMaker's list ("Auto scaling prerequisites"). CloudWatch is tried without naming an alarm
    (Application Auto Scaling User Guide, "Permissions validation for API calls on target resources").
    """
    service = "sagemaker.application-autoscaling.amazonaws.com"
    linked = f"aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    variants = {
        "application-autoscaling:service-namespace": "sagemaker",
        "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
    }
    return [
        # Application Auto Scaling generates the id of a target; the conditions restrict it to variants.
        allow(
            "application-autoscaling:RegisterScalableTarget application-autoscaling:PutScalingPolicy",
            arn(scope, "application-autoscaling:scalable-target", "*"),
            where={"StringEquals": variants},
        ),
        allow(
            "iam:CreateServiceLinkedRole",
            arn(scope, "iam:role", linked, region=""),
            where={"StringEquals": {"iam:AWSServiceName": service}},
        ),
        allow("sagemaker:UpdateEndpointWeightsAndCapacities", arn(scope, "sagemaker:endpoint", project)),
        allow("cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm", "*"),
    ]


def pass_role(role: iam.IRole) -> iam.PolicyStatement:
    """Allow to pass the jobs' role to SageMaker, and to no other service."""
    return allow(
        "iam:PassRole", role.role_arn, where={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    )


def put_metrics(operator: str, *namespaces: str) -> iam.PolicyStatement:
    """Allow PutMetricData, which has no resource: a condition restricts it (Service Authorization Reference)."""
    names = list(namespaces) if len(namespaces) > 1 else namespaces[0]
    return allow("cloudwatch:PutMetricData", "*", where={operator: {"cloudwatch:namespace": names}})


def inside_jobs(scope: IConstruct, images: Sequence[str]) -> list[iam.PolicyStatement]:
    """Allow what a job needs beside its data: its image, its log and its metrics."""
    owners = {image.split("/", 1)[1].split(":")[0]: image.split(".")[0] for image in images}  # repository -> account
    repositories = [arn(scope, "ecr:repository", name, account=owners[name]) for name in sorted(owners)]
    return [
        allow("ecr:GetAuthorizationToken", "*"),  # it has no resource (Service Authorization Reference)
        allow("ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer", *repositories),
        allow(
            "logs:CreateLogGroup logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents",
            arn(scope, "logs:log-group", "/aws/sagemaker/*"),
        ),
        put_metrics("StringLike", "/aws/sagemaker/*", "AWS/SageMaker"),
    ]
