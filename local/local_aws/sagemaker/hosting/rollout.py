"""Deployment guardrails: traffic shifts from the old fleet (blue) to the new one (green), or is rolled back.

Source: "Blue/Green Hosting" and "Auto-Rollback Configuration and Monitoring" in the SageMaker AI developer guide.
"""

import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

from local_aws.sagemaker.api.errors import ValidationException
from local_aws.sagemaker.hosting.fleet import Fleet
from local_aws.sagemaker.hosting.monitor import Monitor

LOOK_SECONDS = 0.1
DEFAULT_LIMIT_SECONDS = 28800
SIZES = {"CANARY": ("CanarySize", 0.0), "LINEAR": ("LinearStepSize", 0.1)}  # the size's member, its smallest share
LARGEST = 0.5


class Traffic:
    """Fleets with their shares of the requests, dealt out evenly: of 10 in a row a canary of 10 % gets exactly one."""

    def __init__(self, shares: dict[Fleet, float]) -> None:
        self._shares = shares
        self._credit = dict.fromkeys(shares, 0.0)

    def next(self) -> Fleet | None:
        """The fleet of the next request; call it under a lock."""
        for fleet, share in self._shares.items():
            self._credit[fleet] += share
        chosen = max(self._credit, key=lambda fleet: self._credit[fleet], default=None)
        if chosen is not None:
            self._credit[chosen] -= 1.0
        return chosen


@dataclass(frozen=True)
class Plan:
    """A DeploymentConfig: green's share of the traffic after each step, the last 1, and the seconds between steps.

    `termination_wait` are the seconds after the last step, `limit` those of the whole; `alarms` roll it back.
    """

    shares: tuple[float, ...] = (1.0,)
    wait: int = 0
    termination_wait: int = 0
    limit: int = DEFAULT_LIMIT_SECONDS
    alarms: tuple[str, ...] = ()

    @classmethod
    def of(cls, deployment: dict[str, Any] | None, instances: int) -> "Plan":
        """Read a DeploymentConfig for a fleet of so many instances; all at once without one.

        Raises ValidationException: AWS would refuse it, or it does not run here.
        """
        if not deployment:
            return cls()
        if "RollingUpdatePolicy" in deployment:
            raise ValidationException("RollingUpdatePolicy does not run locally; use BlueGreenUpdatePolicy.")
        alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        names = tuple(alarm["AlarmName"] for alarm in alarms)
        policy = deployment.get("BlueGreenUpdatePolicy")
        if policy is None:
            return cls(alarms=names)
        routing = policy["TrafficRoutingConfiguration"]
        shares = _shares(routing, instances)
        wait, termination = routing["WaitIntervalInSeconds"], policy.get("TerminationWaitInSeconds", 0)
        limit = policy.get("MaximumExecutionTimeoutInSeconds", DEFAULT_LIMIT_SECONDS)
        total = wait * (len(shares) - 1) + termination
        if limit <= total:
            raise ValidationException(
                f"MaximumExecutionTimeoutInSeconds ({limit}) must be larger than the total waiting time of "
                f"WaitIntervalInSeconds and TerminationWaitInSeconds ({total})."
            )
        return cls(shares, wait, termination, limit, names)


def _shares(routing: dict[str, Any], instances: int) -> tuple[float, ...]:
    kind = routing["Type"]
    if kind == "ALL_AT_ONCE":
        return (1.0,)
    member, smallest = SIZES[kind]
    if member not in routing:
        raise ValidationException(f"TrafficRoutingConfiguration of type {kind} must have a {member}.")
    size = routing[member]
    share = size["Value"] / (100 if size["Type"] == "CAPACITY_PERCENT" else instances)
    if not smallest <= share <= LARGEST:
        allowed = "10-50%" if smallest else "at most 50%"
        raise ValidationException(
            f"{member} must be {allowed} of the variant's total instance count ({instances}); "
            f"{size['Value']} as {size['Type']} is {share:.0%}."
        )
    if kind == "CANARY":
        return share, 1.0
    steps = [number * share for number in range(1, int(1 / share + 1))]
    return *(step for step in steps if step < 0.999), 1.0


def shift(
    plan: Plan,
    monitor: Monitor,
    wait_scale: float,
    *,
    ended: threading.Event,
    route: Callable[[float], None],
    stage: Callable[[str, str], None],
) -> str | None:
    """Move the traffic step by step, with a wait after each.

    `route` gives green its share of the requests, `stage` shows a variant status and its message, `ended` ends waits.

    Returns None when all traffic is on green, else why it must go back to blue.
    """
    began = time.monotonic()
    for share in plan.shares:
        last = share == plan.shares[-1]
        stage("ActivatingTraffic", f"Activating {share:.0%} of the traffic on the new fleet.")
        route(share)
        seconds = plan.termination_wait if last else plan.wait
        member = "TerminationWaitInSeconds" if last else "WaitIntervalInSeconds"
        stage("Baking", f"Baking for {seconds} seconds ({member}) with {share:.0%} of the traffic on the new fleet.")
        deadline = time.monotonic() + seconds * wait_scale
        remaining = 1.0
        while remaining > 0:
            remaining = deadline - time.monotonic()  # an alarm of the last moment counts, too
            if reason := monitor.tripped(plan.alarms):
                return reason
            if time.monotonic() - began > plan.limit:
                return f"The deployment took longer than MaximumExecutionTimeoutInSeconds ({plan.limit})."
            if ended.wait(min(LOOK_SECONDS, max(0.0, remaining))):
                return "The local AWS ended."
    return None


def retained(
    config: dict[str, Any], live: dict[str, Any], variants: list[dict[str, Any]], request: dict[str, Any]
) -> dict[str, Any]:
    """A new endpoint config with what UpdateEndpoint's RetainAllVariantProperties keeps of the live one.

    `config` and `live` are DescribeEndpointConfig's documents, `variants` is DescribeEndpoint's ProductionVariants.
    """
    if not request.get("RetainAllVariantProperties"):
        return config
    excluded = {entry["VariantPropertyType"] for entry in request.get("ExcludeRetainedVariantProperties", ())}
    capture = {} if "DataCaptureConfig" in excluded else {"DataCaptureConfig": live.get("DataCaptureConfig")}
    return resized({**config, **capture}, variants, excluded)


def resized(config: dict[str, Any], desired: list[dict[str, Any]], excluded: Set[str] = frozenset()) -> dict[str, Any]:
    """An endpoint config whose variants have the desired instance counts and weights of the same names."""
    members = {"DesiredInstanceCount": "InitialInstanceCount", "DesiredWeight": "InitialVariantWeight"}
    wanted = {
        entry["VariantName"]: {ours: entry[name] for name, ours in members.items() if name in entry.keys() - excluded}
        for entry in desired
    }
    variants = [{**variant, **wanted.get(variant["VariantName"], {})} for variant in config["ProductionVariants"]]
    return {**config, "ProductionVariants": variants}
