"""Prepare an account and region, once: API Gateway may write access logs."""

import time
from contextlib import suppress

from ops.account import Account
from ops.output import Result, command

ROLE = "api-gateway-logs"
ATTEMPTS, SECONDS = 12, 5
"""API Gateway refuses a new role until IAM has distributed it."""


@command
def bootstrap(account: Account) -> Result:
    """Set the role by which API Gateway writes logs, once per account and region; a role that is set stays."""
    if role := log_role(account):
        return Result({"role": role}, f"API Gateway writes logs in the role {role}")
    iam, gateway = account.session.client("iam"), account.session.client("apigateway")
    trust = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",'
        ' "Principal": {"Service": "apigateway.amazonaws.com"}}]}'
    )
    with suppress(iam.exceptions.EntityAlreadyExistsException):  # IAM is global: another region may have made it
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)
    role = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    partition = role.split(":")[1]
    policy = f"arn:{partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=policy)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            gateway.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])
            break
        except gateway.exceptions.BadRequestException:
            if attempt == ATTEMPTS:
                raise
            time.sleep(SECONDS)
    return Result({"role": role}, f"API Gateway now writes logs in the role {role}")


def log_role(account: Account) -> str:
    """Return the ARN of the role in which API Gateway writes logs; empty without one."""
    return account.session.client("apigateway").get_account().get("cloudwatchRoleArn", "")
