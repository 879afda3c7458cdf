"""Autoscaling of the production variant, which a deployment keeps.

The scalable target is the variant by its name, which never changes, and UpdateEndpoint retains the instance count that
autoscaling left (RetainAllVariantProperties). Registering again changes the limits and nothing else.
"""

from typing import Any

from pipeline.asl import State, format_, retry
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
    cause = format_("The new model is live, but autoscaling was not set: {}", "$.error.Cause")
    failed = build.failure("AutoscalingFailed", cause)
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
    retries = [retry(TRANSIENT, seconds=5, attempts=5)]
    fields: dict[str, Any] = {"service": "applicationautoscaling", "on_error": failed, "retries": retries}
    return [
        build.call("RegisterAutoscaling", "registerScalableTarget", TARGET | limits, **fields),
        build.call("PutAutoscalingPolicy", "putScalingPolicy", TARGET | policy, **fields),
    ]
