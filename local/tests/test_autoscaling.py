"""Application Auto Scaling: targets and policies of variants, and permissions."""

from typing import Any

import pytest

from .aws import Aws, but, refused, unique

DIMENSION = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
METRIC = {"PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}
POLICY = {
    "PolicyName": "calls",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0, **METRIC},
}


def target(endpoint: str) -> dict[str, str]:
    return {**DIMENSION, "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic"}


def stored(scaling: Any, variant: dict[str, str]) -> tuple[list[tuple[int, int]], list[float]]:
    """The bounds of a variant's targets and the values of its policies."""
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[variant["ResourceId"]])
    policies = scaling.describe_scaling_policies(**variant)["ScalingPolicies"]
    return (
        [(each["MinCapacity"], each["MaxCapacity"]) for each in targets["ScalableTargets"]],
        [each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for each in policies],
    )


def test_a_target_and_its_policy_are_stored_changed_and_deleted(aws: Aws) -> None:
    scaling = aws.client("application-autoscaling")
    variant = target(aws.serve(unique("scaled"), aws.model("scaled"), InstanceType="ml.m5.large"))
    assert refused(scaling.register_scalable_target, **variant)[0] == "ValidationException"
    assert stored(scaling, variant) == ([], [])
    first = scaling.register_scalable_target(**variant, MinCapacity=1, MaxCapacity=2)
    policy = scaling.put_scaling_policy(**variant, **POLICY)
    assert stored(scaling, variant) == ([(1, 2)], [70.0])
    again = scaling.register_scalable_target(**variant, MaxCapacity=5)
    assert again["ScalableTargetARN"] == first["ScalableTargetARN"]
    assert scaling.put_scaling_policy(**variant, **POLICY)["PolicyARN"] == policy["PolicyARN"]
    assert stored(scaling, variant) == ([(1, 5)], [70.0])
    scaling.deregister_scalable_target(**variant)
    assert stored(scaling, variant) == ([], [])


def test_an_update_keeps_the_instances_that_were_scaled(aws: Aws) -> None:
    name = aws.endpoint("scaled")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    aws.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    assert aws.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    updated = aws.update(name, aws.endpoint_config("newer"), RetainAllVariantProperties=True)
    assert updated["ProductionVariants"][0]["DesiredInstanceCount"] == 2


@pytest.mark.parametrize(
    "action",
    [
        "application-autoscaling:RegisterScalableTarget",
        "iam:CreateServiceLinkedRole",
        "cloudwatch:PutMetricAlarm",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    ],
)
def test_a_caller_needs_the_permissions_of_the_calls_that_aws_makes_for_it(aws: Aws, action: str) -> None:
    client = aws.user("application-autoscaling", but(action))
    code, message = refused(client.register_scalable_target, **target("any"), MinCapacity=1, MaxCapacity=2)
    assert (code, f"is not authorized to perform: {action} on" in message) == ("AccessDeniedException", True)


def test_a_condition_can_limit_a_caller_to_variants(aws: Aws) -> None:
    keys = {"application-autoscaling:scalable-dimension": DIMENSION["ScalableDimension"]}
    for namespace, code in (("sagemaker", "ObjectNotFoundException"), ("ecs", "AccessDeniedException")):
        condition = {"StringEquals": keys | {"application-autoscaling:service-namespace": namespace}}
        action = "application-autoscaling:DeregisterScalableTarget"
        bound = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
        client = aws.user("application-autoscaling", bound)
        assert refused(client.deregister_scalable_target, **target("any"))[0] == code


def test_a_scalable_target_is_deregistered_before_its_variant_goes(aws: Aws) -> None:
    scaling, model = aws.client("application-autoscaling"), aws.model("scaled")
    endpoint = aws.serve(unique("scaled"), model, InstanceType="ml.m5.large")
    scaling.register_scalable_target(**target(endpoint), MinCapacity=1, MaxCapacity=2)
    for name, change in (("removed", {"VariantName": "other"}), ("retyped", {"InstanceType": "ml.m5.xlarge"})):
        config = aws.config(unique(name), model, 1, **({"InstanceType": "ml.m5.large"} | change))
        update = {"EndpointName": endpoint, "EndpointConfigName": config}
        code, message = refused(aws.sagemaker.update_endpoint, **update)
        assert (code, "deregister it before" in message) == ("ValidationException", True)
    aws.update(endpoint, aws.config(unique("same"), model, 1, InstanceType="ml.m5.large"))
    scaling.deregister_scalable_target(**target(endpoint))
    other = aws.config(unique("other"), model, 1, VariantName="other", InstanceType="ml.m5.large")
    aws.update(endpoint, other)
    of_other = {**DIMENSION, "ResourceId": f"endpoint/{endpoint}/variant/other"}
    scaling.register_scalable_target(**of_other, MinCapacity=1, MaxCapacity=2)
    aws.delete(endpoint)
    assert stored(scaling, of_other) == ([], [])
