"""The model registry: the group of every model package that the project registers."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct


def model_registry(scope: Construct, project: str) -> sagemaker.CfnModelPackageGroup:
    """Return the group, deleted with the stack: its name is fixed, so a kept group would stop the next stack."""
    description = f"Every model that a run of {project} trained"
    group = sagemaker.CfnModelPackageGroup(
        scope, "ModelRegistry", model_package_group_name=project, model_package_group_description=description
    )
    group.apply_removal_policy(RemovalPolicy.DESTROY)
    return group
