"""What the endpoint serves, and whether it serves what was asked for."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
BROKEN = ("Failed", "UpdateRollbackFailed", "OutOfService")
NONE = "none"
"""The champion's model and config when nothing is live."""


class EndpointChanging(Exception):
    """The endpoint is being changed, or DescribeEndpoint was throttled: ask again."""


class EndpointFailed(Exception):
    """The endpoint cannot serve."""


class RollbackOvertaken(Exception):
    """Another config went live after a rollback was asked for, so its package is too old."""


class EndpointOfOtherKind(Exception):
    """A serverless endpoint is asked to run on instances, or one on instances to be serverless."""


class RolledBack(Exception):
    """The endpoint serves another config than the one that was asked for."""


def find_champion(
    sagemaker: Any, endpoint: str, instances: int = 1, replaces: str = "", serverless: bool | None = None
) -> dict[str, Any]:
    """Return {"model", "config", "status", "variant", "instances"} of what is live.

    All names are "none" when nothing is. `instances` are those that it has, or the given number if that is more. An
    endpoint whose creation Failed serves nothing and allows DeleteEndpoint alone (API reference, EndpointStatus).
    `serverless` says of what kind the next model's endpoint is; without it both kinds are right. SageMaker updates no
    endpoint on instances to serverless, and a serverless one to instances, but not back (Developer Guide, "Serverless
    Inference", exclusions): a deployment could not restore the champion.

    Raises EndpointChanging: it is being changed, or the call was throttled. Raises ClientError: nothing is known.
    Raises RollbackOvertaken: not the config that is to be replaced is live. Raises EndpointOfOtherKind.
    """
    found = _describe(sagemaker, endpoint)
    status = found.get("EndpointStatus", NONE)
    if status in CHANGING:
        raise EndpointChanging(f"the endpoint {endpoint} is {status}")
    if replaces and found.get("EndpointConfigName") != replaces:
        words = "Another model went live while this rollback waited, and its own is older"
        advice = "ops rollback takes the live one back; with --force a rollback does not check this."
        raise RollbackOvertaken(f"{words}: {advice}")
    if status in (NONE, "Failed"):
        return {**dict.fromkeys(("model", "config", "variant"), NONE), "status": status, "instances": instances}
    config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    variant = config["ProductionVariants"][0]
    if serverless is not None and ("ServerlessConfig" in variant) != serverless:
        is_now, wanted = ("on instances", "serverless") if serverless else ("serverless", "instances")
        raise EndpointOfOtherKind(
            f"The endpoint is {is_now}, and SageMaker has no update to {wanted} that could be rolled back: run aws "
            f"sagemaker delete-endpoint --endpoint-name {endpoint}, then ops retrain --force, which creates it anew"
        )
    return {
        "model": variant["ModelName"],
        "config": found["EndpointConfigName"],
        "status": status,
        "variant": variant["VariantName"],
        "instances": max(instances, found["ProductionVariants"][0].get("DesiredInstanceCount", 0)),
    }


def live_package(sagemaker: Any, config: str) -> str:
    """Return the ARN of the model package that an endpoint config's tags name; "none" when nothing is live."""
    if config == NONE:
        return NONE
    arn = sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    return str(tags.get("model-package", NONE))


def wait_for(config: str, sagemaker: Any, cloudwatch: Any, endpoint: str, alarms: list[str]) -> dict[str, str]:
    """Return {"config"} when the endpoint is InService with it.

    A failed or rolled back update ends InService too, with the old config and a FailureReason, so the status alone
    reads as success. How AWS words the reason of a rollback is not documented, so the error names the alarms in ALARM.

    Raises EndpointChanging (not InService yet), EndpointFailed, or RolledBack (InService with another config).
    """
    found = _describe(sagemaker, endpoint)
    status, reason = found.get("EndpointStatus", "missing"), found.get("FailureReason", "")
    if status in BROKEN:
        raise EndpointFailed(f"The endpoint cannot serve: {reason}")
    if status != "InService":
        raise EndpointChanging(f"Not InService within endpoint.deadline_minutes: {status} {reason}".rstrip())
    if found["EndpointConfigName"] == config:
        return {"config": config}
    in_alarm = json.dumps(_in_alarm(cloudwatch, alarms))
    raise RolledBack(f"The endpoint went back to its previous config; alarms in ALARM: {in_alarm}. {reason}")


def _describe(sagemaker: Any, endpoint: str) -> dict[str, Any]:
    """DescribeEndpoint's answer, empty without an endpoint; only the message "Could not find" means that."""
    try:
        return dict(sagemaker.describe_endpoint(EndpointName=endpoint))
    except ClientError as error:
        if "Could not find" in str(error):
            return {}
        if "Throttling" in error.response["Error"]["Code"]:
            raise EndpointChanging(f"DescribeEndpoint was throttled: {error}") from error
        raise


def _in_alarm(cloudwatch: Any, alarms: list[str]) -> list[str]:
    """The names of those in ALARM; none when CloudWatch does not answer, as the reason is worth more than the names."""
    try:
        found = cloudwatch.describe_alarms(AlarmNames=alarms, StateValue="ALARM")["MetricAlarms"]
    except (BotoCoreError, ClientError) as error:
        print(json.dumps({"message": "DescribeAlarms failed", "error": str(error)}))
        return []
    return [alarm["AlarmName"] for alarm in found]
