"""Autoscaling of the production variant, which a deployment keeps.

The scalable target is the variant by its name, which never changes, and UpdateEndpoint retains the instance count that
autoscaling left (RetainAllVariantProperties). Registering again changes the limits and nothing else.
"""

from typing import Any

from pipeline.asl import Pass, Retry, State, Task, format_
from pipeline.states.building import Building

VARIANT = "AllTraffic"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/${{EndpointName}}/variant/{VARIANT}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
COOLDOWN_SECONDS = 300
"""SageMaker's default in both directions, and the time that a new instance takes to answer."""
BUSY = "SageMaker.SageMakerException"
"""The error while an endpoint is being scaled, among others: UpdateEndpoint has no error of its own for it."""
BUSY_SECONDS, BUSY_ATTEMPTS = 60, 10
TRANSIENT = [
    f"ApplicationAutoScaling.{name}Exception"
    for name in ("ApplicationAutoScaling", "ConcurrentUpdate", "InternalService", "Validation")
]
"""The first is throttling's, too; the last comes while the new service-linked role is not visible yet."""


def autoscaling(build: Building) -> list[State]:
    """RegisterAutoscaling and PutAutoscalingPolicy, if the settings have it; their failure leaves the model live."""
    endpoint = build.settings.endpoint
    if not endpoint.autoscaled:
        return []
    failed = Pass(
        "AutoscalingFailed",
        parameters={
            "Error": "AutoscalingFailed",
            "Cause": format_("The new model is live, but autoscaling was not set: {}", "$.error.Cause"),
        },
        result_path="$.error",
    )
    failed.next(build.on_error)
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
    limits = {"MinCapacity": endpoint.instance_count, "MaxCapacity": endpoint.max_instances}
    return [
        _call(build, "RegisterAutoscaling", "registerScalableTarget", limits, failed),
        _call(build, "PutAutoscalingPolicy", "putScalingPolicy", policy, failed),
    ]


def _call(build: Building, state_id: str, action: str, parameters: dict[str, Any], failed: State) -> Task:
    request = {**TARGET, **parameters}
    step = build.call(state_id, action, request, service="applicationautoscaling", on_error=failed)
    step.add_retry(Retry(error_equals=TRANSIENT, interval_seconds=5, max_attempts=5, backoff_rate=2.0))
    return step


def retried_while_scaling(build: Building, update: Task) -> Task:
    """An update of the endpoint with retries, minutes apart, while the variant is being scaled."""
    if build.settings.endpoint.autoscaled:
        retry = Retry(error_equals=[BUSY], interval_seconds=BUSY_SECONDS, max_attempts=BUSY_ATTEMPTS, backoff_rate=1.0)
        update.retries.insert(0, retry)
    return update
