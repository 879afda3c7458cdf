"""Application Auto Scaling: targets and policies of variants, and what it refuses."""

from typing import Any

import pytest

from .aws import Aws, refused
from .test_access import but, user

pytestmark = pytest.mark.cloud
DIMENSION = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
POLICY = {
    "PolicyName": "calls",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    },
}


@pytest.fixture
def scaling(aws: Aws) -> Any:
    return aws.client("application-autoscaling")


def target(endpoint: str) -> dict[str, str]:
    return {**DIMENSION, "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic"}


def live(aws: Aws, instance_type: str = "ml.m5.large") -> str:
    """An endpoint on such an instance."""
    name = aws.model("scaled")
    return aws.serve(name, InstanceType=instance_type)


def shown(scaling: Any, place: dict[str, str]) -> tuple[list[tuple[int, int]], list[float]]:
    """Bounds of the targets there, and values of their policies."""
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[place["ResourceId"]])
    policies = scaling.describe_scaling_policies(**place)["ScalingPolicies"]
    return (
        [(each["MinCapacity"], each["MaxCapacity"]) for each in targets["ScalableTargets"]],
        [each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for each in policies],
    )


def test_a_target_and_its_policy_are_kept_changed_and_taken_away(aws: Aws, scaling: Any) -> None:
    place = target(live(aws))
    first = scaling.register_scalable_target(**place, MinCapacity=1, MaxCapacity=2)
    made = scaling.put_scaling_policy(**place, **POLICY)
    assert shown(scaling, place) == ([(1, 2)], [70.0])
    again = scaling.register_scalable_target(**place, MaxCapacity=5)
    assert again["ScalableTargetARN"] == first["ScalableTargetARN"]
    assert scaling.put_scaling_policy(**place, **POLICY)["PolicyARN"] == made["PolicyARN"]
    assert shown(scaling, place) == ([(1, 5)], [70.0])
    scaling.deregister_scalable_target(**place)
    assert shown(scaling, place) == ([], [])


def test_bounds_and_variants_that_cannot_be_are_refused(aws: Aws, scaling: Any) -> None:
    name = live(aws)
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "turned around": ({**target(name), "MinCapacity": 2, "MaxCapacity": 1}, "Maximum capacity cannot be less than"),
        "without bounds": (target(name), "MinCapacity and MaxCapacity must be given"),
        "no such variant": ({**target(name), "ResourceId": f"endpoint/{name}/variant/Other"}, "Could not find variant"),
        "no such endpoint": (target("nothing"), "Could not find endpoint"),
        "no variant": ({**target(name), "ResourceId": name}, "Unsupported resource ID"),
        "another service": ({**target(name), "ServiceNamespace": "ecs"}, "is scalable"),
    }
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    for case, (given, words) in wrong.items():
        request = given if case == "without bounds" else bounds | given
        code, message = refused(scaling.register_scalable_target, **request)
        assert (code, words in message) == ("ValidationException", True), message
    assert shown(scaling, target(name)) == ([], [])


def test_burstable_instances_are_refused(aws: Aws, scaling: Any) -> None:
    code, message = refused(
        scaling.register_scalable_target, **target(live(aws, "ml.t2.medium")), MinCapacity=1, MaxCapacity=2
    )
    assert (code, "ml.t2.medium is burstable" in message) == ("ValidationException", True)


@pytest.mark.parametrize(("operation", "more"), [("put_scaling_policy", POLICY), ("deregister_scalable_target", {})])
def test_what_was_not_registered_has_no_policy(scaling: Any, operation: str, more: dict[str, Any]) -> None:
    code, message = refused(getattr(scaling, operation), **target("nothing"), **more)
    assert (code, "endpoint/nothing/variant/AllTraffic" in message) == ("ObjectNotFoundException", True)


def test_an_update_keeps_the_instances_that_were_scaled(aws: Aws) -> None:
    name = live(aws)
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    aws.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    assert aws.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    aws.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=aws.endpoint_config("newer"), RetainAllVariantProperties=True
    )
    assert aws.settled(name)["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    other = [{"VariantName": "Other", "DesiredInstanceCount": 2}]
    code, message = refused(
        aws.sagemaker.update_endpoint_weights_and_capacities, EndpointName=name, DesiredWeightsAndCapacities=other
    )
    assert (code, message) == ("ValidationException", f"Could not find variant(s) Other of {name}")


@pytest.mark.parametrize(
    "action",
    [
        "application-autoscaling:RegisterScalableTarget",
        "iam:CreateServiceLinkedRole",
        "cloudwatch:PutMetricAlarm",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    ],
)
def test_what_aws_tries_in_the_callers_name_must_be_allowed(aws: Aws, action: str) -> None:
    client = user(aws, "application-autoscaling", but(action))
    code, message = refused(client.register_scalable_target, **target("any"), MinCapacity=1, MaxCapacity=2)
    assert (code, f"is not authorized to perform: {action} on" in message) == ("AccessDeniedException", True)


def test_a_caller_may_be_bound_to_variants(aws: Aws) -> None:
    keys = {
        "application-autoscaling:service-namespace": "sagemaker",
        "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
    }
    for namespace, code in (("sagemaker", "ObjectNotFoundException"), ("ecs", "AccessDeniedException")):
        condition = {"StringEquals": keys | {"application-autoscaling:service-namespace": namespace}}
        action = "application-autoscaling:DeregisterScalableTarget"
        bound = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
        client = user(aws, "application-autoscaling", bound)
        assert refused(client.deregister_scalable_target, **target("any"))[0] == code
