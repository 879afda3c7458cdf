"""What the endpoint's answers mean: not yet, never, another config, or live."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.endpoint.endpoint import (
    EndpointChanging,
    EndpointFailed,
    EndpointOfOtherKind,
    RollbackOvertaken,
    RolledBack,
    find_champion,
    live_package,
    wait_for,
)

LIVE = {"model": "model-of-new", "config": "new", "variant": "signature-abc", "instances": 3}
NOTHING = {**dict.fromkeys(("model", "config", "variant"), "none"), "instances": 2}
ALARMS = ["shop-5xx", "shop-latency"]
CODES = {"ValidationException": "Could not find endpoint", "ThrottlingException": "", "InternalFailure": "no answer"}
MISSING, THROTTLED, BROKEN = (
    ClientError({"Error": {"Code": code, "Message": text}}, "DescribeEndpoint") for code, text in CODES.items()
)


def sagemaker(status: str | ClientError, config: str = "new", reason: str = "", **capacity: Any) -> Any:
    """A client whose endpoint is in this status."""

    def describe_endpoint(EndpointName: str) -> dict[str, Any]:  # noqa: N803
        assert EndpointName == "shop"
        if isinstance(status, ClientError):
            raise status
        variants = [{"VariantName": "signature-abc", "DesiredInstanceCount": 3}]
        members = {"EndpointStatus": status, "EndpointConfigName": config, "ProductionVariants": variants}
        return members | ({"FailureReason": reason} if reason else {})

    variants = [{"ModelName": f"model-of-{config}", "VariantName": "signature-abc", **capacity}]
    return SimpleNamespace(
        describe_endpoint=describe_endpoint,
        describe_endpoint_config=lambda **_: {"ProductionVariants": variants},
    )


def cloudwatch(*in_alarm: str) -> Any:
    def describe_alarms(AlarmNames: list[str], StateValue: str) -> dict[str, Any]:  # noqa: N803
        assert (AlarmNames, StateValue) == (ALARMS, "ALARM")
        return {"MetricAlarms": [{"AlarmName": name} for name in in_alarm]}

    return SimpleNamespace(describe_alarms=describe_alarms)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("InService", {**LIVE, "status": "InService"}),
        ("OutOfService", {**LIVE, "status": "OutOfService"}),
        ("Failed", {**NOTHING, "status": "Failed"}),
        (MISSING, {**NOTHING, "status": "none"}),
    ],
)
def test_the_champion_is_what_is_live(status: Any, found: dict[str, str]) -> None:
    assert find_champion(sagemaker(status), "shop", 2) == found


@pytest.mark.parametrize("status", ["InService", "Failed", MISSING])
def test_a_rollback_ends_if_another_config_is_live_than_the_one_that_it_takes_back(status: Any) -> None:
    if status == "InService":
        assert find_champion(sagemaker(status, "old"), "shop", 2, replaces="old")["config"] == "old"
    with pytest.raises(
        RollbackOvertaken, match=r"^Another model went live .* --force a rollback does not check this\.$"
    ):
        find_champion(sagemaker(status), "shop", 2, replaces="old")


@pytest.mark.parametrize("serverless", [False, True])
def test_an_endpoint_changes_from_instances_to_serverless_and_back_only_by_its_deletion(serverless: bool) -> None:
    own = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5}}
    same, other = (own, {}) if serverless else ({}, own)
    assert find_champion(sagemaker("InService", **same), "shop", serverless=serverless)["config"] == "new"
    words = "on instances, .* to serverless" if serverless else "serverless, .* to instances"
    with pytest.raises(
        EndpointOfOtherKind, match=f"is {words}.*: run aws sagemaker delete-endpoint --endpoint-name shop"
    ):
        find_champion(sagemaker("InService", **other), "shop", serverless=serverless)
    assert find_champion(sagemaker(MISSING), "shop", serverless=serverless)["config"] == "none"
    assert find_champion(sagemaker("InService", **other), "shop")["config"] == "new"


def test_an_endpoint_that_changes_may_still_be_the_one_that_a_rollback_takes_back() -> None:
    with pytest.raises(EndpointChanging):
        find_champion(sagemaker("Updating"), "shop", 2, replaces="old")


def test_a_champion_has_at_least_the_instances_of_the_settings() -> None:
    assert [find_champion(sagemaker("InService"), "shop", least)["instances"] for least in (1, 5)] == [3, 5]


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting", THROTTLED])
def test_an_endpoint_that_is_changing_is_asked_again(status: Any) -> None:
    with pytest.raises(EndpointChanging):
        find_champion(sagemaker(status), "shop")
    with pytest.raises(EndpointChanging):
        wait_for("new", sagemaker(status), cloudwatch(), "shop", ALARMS)


def test_no_other_error_means_that_there_is_no_endpoint() -> None:
    with pytest.raises(ClientError, match="InternalFailure"):
        find_champion(sagemaker(BROKEN), "shop")


def test_the_wait_ends_when_the_wanted_config_is_in_service() -> None:
    assert wait_for("new", sagemaker("InService"), cloudwatch(), "shop", ALARMS) == {"config": "new"}


CANNOT = (EndpointFailed, "The endpoint cannot serve: reason")


@pytest.mark.parametrize(
    ("status", "config", "error", "message"),
    [
        (MISSING, "new", EndpointChanging, r"Not InService within endpoint\.deadline_minutes: missing"),
        *((status, "new", *CANNOT) for status in ("Failed", "UpdateRollbackFailed", "OutOfService")),
        ("InService", "old", RolledBack, r'alarms in ALARM: \["shop-5xx"\]. reason'),
    ],
)
def test_an_endpoint_that_does_not_serve_the_config_says_why(
    status: Any, config: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        wait_for("new", sagemaker(status, config, "reason"), cloudwatch("shop-5xx"), "shop", ALARMS)


def test_a_rollback_is_reported_when_cloudwatch_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def describe_alarms(**_: object) -> None:
        raise BROKEN

    with pytest.raises(RolledBack, match=r"alarms in ALARM: \[\]"):
        wait_for("new", sagemaker("InService", "old"), SimpleNamespace(describe_alarms=describe_alarms), "shop", ALARMS)
    assert "DescribeAlarms failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tags", "found"), [({"model-package": "arn:package/3", "execution": "e"}, "arn:package/3"), ({}, "none")]
)
def test_the_tags_of_the_live_config_name_its_package(tags: dict[str, str], found: str) -> None:
    client = SimpleNamespace(
        describe_endpoint_config=lambda **given: {"EndpointConfigArn": f"arn:{given['EndpointConfigName']}"},
        list_tags=lambda **given: {
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items() if given["ResourceArn"] == "arn:new"]
        },
    )
    assert live_package(client, "new") == found


def test_nothing_live_has_no_package() -> None:
    assert live_package(SimpleNamespace(), "none") == "none"
