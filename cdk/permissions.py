"""The permissions of the stack's roles: every action by name, every resource by its narrowest ARN."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct

PERMISSIONS = Path(__file__).with_name("permissions.toml")
FOLLOW = "events:PutTargets events:PutRule events:DescribeRule"
"""Step Functions follows what a `.sync` integration started by a rule that it manages itself."""
HASH = "?" * 32
"""An MD5 in a name, as IAM writes it: `shop-*` would be `shop-prod`'s, too."""
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


def allow_service(scope: IConstruct, service: str, actions: str, resource: str) -> iam.PolicyStatement:
    """Return the statement of a resource's policy for a service that acts for the stack's account."""
    return iam.PolicyStatement(
        actions=actions.split(),
        principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
        resources=[resource],
        conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}},
    )


def granted(scope: IConstruct, role: str, project: str) -> list[iam.PolicyStatement]:
    """Return the statements of permissions.toml for a role or a task."""
    text = PERMISSIONS.read_text(encoding="utf-8").replace("{project}", project).replace("{hash}", HASH)
    table = tomllib.loads(text)
    arns = {"*": "*", **{name: arn(scope, **parts) for name, parts in table["resources"].items()}}
    return [
        allow(each["actions"], *(arns[name] for name in each["on"].split()), where=each.get("where"))
        for each in table["statements"][role]
    ]


def invoke(*functions: lambda_.IFunction) -> iam.PolicyStatement:
    """Allow calls of these functions."""
    return allow("lambda:InvokeFunction", *(function.function_arn for function in functions))


def run_jobs(scope: IConstruct, project: str, **kinds: Sequence[str]) -> list[iam.PolicyStatement]:
    """Allow the `.sync` integrations of the jobs (Step Functions Developer Guide, "Manage SageMaker jobs").

    `kinds` are the second parts of the jobs' names, `{project}-{kind}-{hash}-{attempt}`, by SageMaker's type of job.
    """
    rules = [arn(scope, "events:rule", f"StepFunctionsGetEventsForSageMaker{kind}JobsRule") for kind in kinds]
    jobs = [
        allow(
            f"sagemaker:Create{kind}Job sagemaker:Describe{kind}Job sagemaker:Stop{kind}Job sagemaker:AddTags"
            " sagemaker:ListTags",
            *(arn(scope, f"sagemaker:{kind.lower()}-job", f"{project}-{name}-{HASH}-?") for name in names),
        )
        for kind, names in kinds.items()
    ]
    return [*jobs, allow(FOLLOW, *rules)]


def tune(scope: IConstruct, project: str) -> list[iam.PolicyStatement]:
    """Allow the `.sync` integration of tuning jobs, which start their training jobs without their caller's permission.

    A tuning job's name is the project's with 12 characters at random.
    """
    noun = "HyperParameterTuningJob"
    return [
        allow(
            f"sagemaker:Create{noun} sagemaker:Describe{noun} sagemaker:Stop{noun} sagemaker:AddTags"
            " sagemaker:ListTags",
            arn(scope, "sagemaker:hyper-parameter-tuning-job", f"{project}-{'?' * 12}"),
        ),
        allow(FOLLOW, arn(scope, "events:rule", "StepFunctionsGetEventsForSageMakerTuningJobsRule")),
    ]


def pass_role(role: iam.IRole) -> iam.PolicyStatement:
    """Allow to pass the jobs' role to SageMaker, and to no other service."""
    return allow(
        "iam:PassRole", role.role_arn, where={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    )
