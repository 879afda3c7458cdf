"""The Lambda functions: tracing, JSON logs, and a role that may write only to the function's own log."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Stage
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.permissions import allow

LAMBDAS = Path(__file__).parent.parent / "lambdas"
LOG_DAYS = "log_days"
RETENTION = {7: "ONE_WEEK", 30: "ONE_MONTH", 90: "THREE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR"}


def function(
    scope: Construct,
    construct_id: str,
    package: str,
    *,
    environment: Mapping[str, str],
    allowed: Iterable[iam.PolicyStatement],
    handler: str = "handler.handle",
    timeout: Duration | None = None,
    code: lambda_.Code | None = None,
    concurrency: int | None = None,
) -> lambda_.Function:
    """Return a function of lambdas/ that may do what `allowed` says; `concurrency` is reserved for it."""
    group = log_group(scope, f"{construct_id}Log")
    role = iam.Role(scope, f"{construct_id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    # Lambda's managed policy would let it write to every log group of the account.
    for statement in (allow("logs:CreateLogStream logs:PutLogEvents", group.log_group_arn), *allowed):
        role.add_to_principal_policy(statement)
    return lambda_.Function(
        scope,
        construct_id,
        runtime=lambda_.Runtime.PYTHON_3_12,
        architecture=lambda_.Architecture.ARM_64,
        code=code or lambda_.Code.from_asset(str(LAMBDAS), exclude=["*", f"!{package}", f"!{package}/*.py"]),
        handler=f"{package}.{handler}",
        environment=environment,
        timeout=timeout or Duration.seconds(30),
        memory_size=512,
        reserved_concurrent_executions=concurrency,
        role=role,
        tracing=lambda_.Tracing.ACTIVE,
        logging_format=lambda_.LoggingFormat.JSON,
        log_group=group,
    )


def log_group(scope: Construct, construct_id: str, name: str | None = None) -> logs.LogGroup:
    """Return a log group that is deleted with the stack; the stack's context LOG_DAYS sets its retention, else 90."""
    days = logs.RetentionDays[RETENTION[int(scope.node.try_get_context(LOG_DAYS) or 90)]]
    return logs.LogGroup(scope, construct_id, log_group_name=name, retention=days, removal_policy=RemovalPolicy.DESTROY)


def output_folder(scope: Construct) -> Path:
    """Return the output folder of the app, so that apps that are synthesised at once share no file."""
    stage = Stage.of(scope)
    assert stage is not None, "the construct is in no app"
    return Path(stage.outdir)
