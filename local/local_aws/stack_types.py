"""CloudFormation types that ministack refuses and stacks here use: two real ones, and recorded placeholders.

A handler is ministack's: `create(logical_id, properties, stack_name)` returns the physical id, which is what Ref gives,
and the attributes of Fn::GetAtt. Physical ids are the primary identifiers of the types' schemas in the registry.
"""

import uuid
from collections.abc import Callable
from typing import Any

from local_aws.sagemaker.api.errors import ServiceError, ValidationException
from local_aws.sagemaker.api.records import tags_of
from local_aws.sagemaker.api.service import SageMaker

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
Handlers = dict[str, Callable[..., Any]]
RANDOM = ("AWS::Budgets::Budget", "AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup")
GROUP = ("ModelPackageGroupName", "ModelPackageGroupDescription", "Tags")


def handlers(
    service: SageMaker, put_composite: Callable[[Properties], None], delete_composite: Callable[[str], None]
) -> dict[str, Handlers]:
    """The handlers by type; the last two arguments are CloudWatch's PutCompositeAlarm and DeleteAlarms of one name."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = properties.get("AlarmName") or f"{stack_name}-{logical_id}"
        put_composite({**properties, "AlarmName": name})
        return name, {"Arn": service.host.arn("cloudwatch", f"alarm:{name}")}

    return {
        "AWS::SageMaker::ModelPackageGroup": _model_package_group(service),
        "AWS::CloudWatch::CompositeAlarm": {"create": create, "delete": lambda name, _: delete_composite(name)},
        **dict.fromkeys(RANDOM, _placeholder(lambda properties: str(uuid.uuid4()))),
        "AWS::EC2::FlowLog": _placeholder(lambda properties: f"fl-{uuid.uuid4().hex[:17]}"),
        "AWS::WAFv2::WebACLAssociation": _placeholder(lambda given: f"{given['ResourceArn']}|{given['WebACLArn']}"),
    }


def _placeholder(name: Callable[[Properties], str]) -> Handlers:
    """A resource that its stack shows and that does nothing."""
    return {
        "create": lambda logical_id, properties, stack_name: (name(properties), {}),
        "update": lambda physical_id, before, after, stack_name: (physical_id, {}),
        "delete": lambda physical_id, properties: None,
    }


def _model_package_group(service: SageMaker) -> Handlers:
    def shown(arn: str) -> Created:
        return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        request = {name: properties[name] for name in GROUP if name in properties}
        try:
            return shown(service.call("CreateModelPackageGroup", request)["ModelPackageGroupArn"])
        except ServiceError as error:
            raise ValueError(error.message) from error

    def update(arn: str, before: Properties, after: Properties, stack_name: str) -> Created:
        group = service.shelves["ModelPackageGroup"].find(arn)
        group.update(ModelPackageGroupDescription=after.get("ModelPackageGroupDescription"))
        group.tags = tags_of(after)
        return shown(arn)

    def delete(arn: str, properties: Properties) -> None:
        try:
            service.call("DeleteModelPackageGroup", {"ModelPackageGroupName": arn})
        except ValidationException:
            return  # it is deleted already
        except ServiceError as error:  # not empty: the stack's deletion fails, as on AWS
            raise ValueError(error.message) from error

    return {"create": create, "update": update, "delete": delete}
