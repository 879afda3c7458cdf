"""Scaling: autoscaling of the live variant, which a release keeps.

The scalable target is the variant by its name, which never changes, and UpdateEndpoint retains the instance count that
scaling left (RetainAllVariantProperties). Registering again changes the bounds and nothing else.
"""

from typing import Any

from pipeline.asl import Retry, State, Task
from pipeline.states.common import Building

VARIANT = "AllTraffic"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/${{EndpointName}}/variant/{VARIANT}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
COOLDOWN_SECONDS = 300
"""SageMaker's default both ways, and what a new instance takes to answer."""
BUSY = "SageMaker.SageMakerException"
"""Of an endpoint that is being scaled, among others: UpdateEndpoint has no error of its own for it."""
BUSY_SECONDS, BUSY_TRIES = 60, 10
PASSING = [f"ApplicationAutoScaling.{name}Exception"
           for name in ("ApplicationAutoScaling", "ConcurrentUpdate", "InternalService", "Validation")]  # fmt: skip
"""The first is throttling's, too; the last comes while the service-linked role that was just made is not seen yet."""


def scaling(build: Building) -> list[State]:
    """RegisterScaling and PutScaling, if the settings ask for them; what goes wrong leaves the model live."""
    endpoint = build.settings.endpoint
    if not endpoint.scales:
        return []
    bounds = {"MinCapacity": endpoint.instance_count, "MaxCapacity": endpoint.max_instances}
    tracking = {
        "TargetValue": endpoint.calls_per_minute,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": COOLDOWN_SECONDS,
        "ScaleInCooldown": COOLDOWN_SECONDS,
    }
    policy = {
        "PolicyName": "calls-per-instance",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    unscaled = build.failure("NotScaled", "The new model is live, but autoscaling was not set: {}", "$.error.Cause")
    return [
        _call(build, "RegisterScaling", "registerScalableTarget", bounds, unscaled),
        _call(build, "PutScaling", "putScalingPolicy", policy, unscaled),
    ]


def _call(build: Building, state_id: str, action: str, parameters: dict[str, Any], unscaled: State) -> Task:
    step = build.call(state_id, action, {**TARGET, **parameters}, service="applicationautoscaling")
    step.add_retry(Retry(error_equals=PASSING, interval_seconds=5, max_attempts=5, backoff_rate=2.0))
    step.catches[0].next_step = unscaled
    return step


def patient(build: Building, update: Task) -> Task:
    """An update of the endpoint that is tried again while the variant is being scaled, minutes each time."""
    if build.settings.endpoint.scales:
        retry = Retry(error_equals=[BUSY], interval_seconds=BUSY_SECONDS, max_attempts=BUSY_TRIES, backoff_rate=1.0)
        update.retries.insert(0, retry)
    return update
