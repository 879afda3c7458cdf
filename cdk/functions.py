"""What every Lambda function here has alike: tracing, JSON logs, and a role that writes to its own log alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

LAMBDAS = Path(__file__).parent.parent / "lambdas"
LOG_DAYS = "log_days"
RETENTION = {7: "ONE_WEEK", 30: "ONE_MONTH", 90: "THREE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR"}


def function(
    scope: Construct,
    construct_id: str,
    *,
    code: lambda_.Code,
    handler: str,
    environment: Mapping[str, str],
    timeout: Duration,
    allowed: Iterable[iam.PolicyStatement],
    memory_mb: int = 512,
    concurrency: int | None = None,
) -> lambda_.Function:
    """A Python function that may do what `allowed` says; `concurrency` is reserved for it in the account."""
    group = log_group(scope, f"{construct_id}Log")
    role = iam.Role(scope, f"{construct_id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    # Lambda's managed policy would let it write to every log group of the account.
    write_log = iam.PolicyStatement(
        actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[group.log_group_arn]
    )
    for statement in (write_log, *allowed):
        role.add_to_principal_policy(statement)
    return lambda_.Function(
        scope,
        construct_id,
        runtime=lambda_.Runtime.PYTHON_3_12,
        architecture=lambda_.Architecture.ARM_64,
        code=code,
        handler=handler,
        environment=environment,
        timeout=timeout,
        memory_size=memory_mb,
        reserved_concurrent_executions=concurrency,
        role=role,
        tracing=lambda_.Tracing.ACTIVE,
        logging_format=lambda_.LoggingFormat.JSON,
        log_group=group,
    )


def package(name: str) -> lambda_.Code:
    """The code of one package of lambdas/."""
    return lambda_.Code.from_asset(str(LAMBDAS), exclude=["*", f"!{name}", f"!{name}/*.py"])


def log_group(scope: Construct, construct_id: str) -> logs.LogGroup:
    """Return a log group that is deleted with the stack; the stack's context LOG_DAYS sets its retention, else 90."""
    days = logs.RetentionDays[RETENTION[int(scope.node.try_get_context(LOG_DAYS) or 90)]]
    return logs.LogGroup(scope, construct_id, retention=days, removal_policy=RemovalPolicy.DESTROY)
