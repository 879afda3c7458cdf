"""The model registry: the group of every model package that the project registers."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct


def model_registry(scope: Construct, construct_id: str, *, project: str) -> sagemaker.CfnModelPackageGroup:
    """The group, which goes with the stack: its name is fixed, so a kept one would stop the next stack."""
    group = sagemaker.CfnModelPackageGroup(
        scope,
        construct_id,
        model_package_group_name=project,
        model_package_group_description=f"Every model that a run of {project} trained",
    )
    group.apply_removal_policy(RemovalPolicy.DESTROY)
    return group
