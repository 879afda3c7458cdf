"""What the endpoint's answers mean: not yet, never, another config, or live."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.endpoint.endpoint import EndpointChanging, EndpointFailed, RolledBack, find_champion, wait_for

ALARMS = ["shop-5xx", "shop-latency"]
CODES = {"ValidationException": "Could not find endpoint", "ThrottlingException": "", "InternalFailure": "no answer"}
MISSING, THROTTLED, BROKEN = (
    ClientError({"Error": {"Code": code, "Message": text}}, "DescribeEndpoint") for code, text in CODES.items()
)


def sagemaker(status: str | ClientError, config: str = "new", reason: str = "") -> Any:
    """A client whose endpoint is in this status."""

    def describe_endpoint(EndpointName: str) -> dict[str, str]:  # noqa: N803
        assert EndpointName == "shop"
        if isinstance(status, ClientError):
            raise status
        return {"EndpointStatus": status, "EndpointConfigName": config, **({"FailureReason": reason} if reason else {})}

    variants = [{"ModelName": f"model-of-{config}", "VariantName": "AllTraffic"}]
    tags = [{"Key": "model-package", "Value": f"package-of-{config}"}]
    known = {"package-of-new": {"variant": "signature-new"}, "package-of-old": {}}
    return SimpleNamespace(
        describe_endpoint=describe_endpoint,
        describe_endpoint_config=lambda **_: {"ProductionVariants": variants, "EndpointConfigArn": f"arn:{config}"},
        list_tags=lambda ResourceArn: {"Tags": tags if ResourceArn != "arn:by-hand" else []},  # noqa: N803
        describe_model_package=lambda **asked: {"CustomerMetadataProperties": known[asked["ModelPackageName"]]},
    )


def cloudwatch(*in_alarm: str) -> Any:
    def describe_alarms(AlarmNames: list[str], StateValue: str) -> dict[str, Any]:  # noqa: N803
        assert (AlarmNames, StateValue) == (ALARMS, "ALARM")
        return {"MetricAlarms": [{"AlarmName": name} for name in in_alarm]}

    return SimpleNamespace(describe_alarms=describe_alarms)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("InService", {"model": "model-of-new", "config": "new", "status": "InService", "variant": "signature-new"}),
        (
            "OutOfService",
            {"model": "model-of-new", "config": "new", "status": "OutOfService", "variant": "signature-new"},
        ),
        ("Failed", {"model": "none", "config": "none", "status": "Failed", "variant": "none"}),
        (MISSING, {"model": "none", "config": "none", "status": "none", "variant": "none"}),
    ],
)
def test_the_champion_is_what_is_live(status: Any, found: dict[str, str]) -> None:
    assert find_champion(sagemaker(status), "shop") == found


@pytest.mark.parametrize(("config", "variant"), [("old", "AllTraffic"), ("by-hand", "AllTraffic")])
def test_without_a_signature_the_variant_has_its_own_name(config: str, variant: str) -> None:
    assert find_champion(sagemaker("InService", config), "shop")["variant"] == variant


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
