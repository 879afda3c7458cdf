"""The model registry: versions in groups, approval, models made of them, and the group as a stack's resource."""

import json
from typing import Any

import pytest

from .aws import ROLE, STUB, Aws, packed, refused, unique, until

pytestmark = pytest.mark.cloud


def group(aws: Aws) -> str:
    name = unique("Group")
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="all models")
    return name


def package(aws: Aws, group_name: str, **members: Any) -> str:
    url = aws.put(f"{group_name}/model.tar.gz", packed("model.json", json.dumps({"label": "registered"})))
    specification = {
        "Containers": [{"Image": STUB, "ModelDataUrl": url, "Environment": {"A": "1"}}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    answer = aws.sagemaker.create_model_package(
        ModelPackageGroupName=group_name, InferenceSpecification=specification, **members
    )
    return str(answer["ModelPackageArn"])


def test_versions_count_up_in_their_group(aws: Aws) -> None:
    name = group(aws)
    arns = [package(aws, name) for _ in range(3)]
    place = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{name.lower()}"
    assert arns == [f"{place}/1", f"{place}/2", f"{place}/3"]
    aws.sagemaker.delete_model_package(ModelPackageName=arns[2])
    assert package(aws, name) == f"{place}/4"
    found = aws.sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert {key: found[key] for key in found if key.startswith("Model") and key != "ModelPackageArn"} == {
        "ModelPackageName": name,
        "ModelPackageGroupName": name,
        "ModelPackageVersion": 2,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "ModelApprovalStatus": "PendingManualApproval",
    }


def test_the_same_client_token_makes_one_version(aws: Aws) -> None:
    name = group(aws)
    assert package(aws, name, ClientToken="once") == package(aws, name, ClientToken="once")
    assert len(aws.sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]) == 1


def test_approval_description_and_metadata_change(aws: Aws) -> None:
    arn = package(aws, group(aws), CustomerMetadataProperties={"commit": "abc", "data": "1"})
    aws.sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="better by 0.02",
        CustomerMetadataProperties={"data": "2", "parent": "none"},
        CustomerMetadataPropertiesToRemove=["commit"],
    )
    found = aws.sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"], found["CustomerMetadataProperties"]) == (
        "Approved",
        "better by 0.02",
        {"data": "2", "parent": "none"},
    )
    assert found["LastModifiedTime"] > found["CreationTime"]


def test_packages_are_listed_by_group_and_approval_in_pages(aws: Aws) -> None:
    name = group(aws)
    for number in range(5):
        package(aws, name, ModelApprovalStatus="Approved" if number % 2 == 0 else "Rejected")
    pages = aws.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=name,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"PageSize": 2},
    )
    found = [[entry["ModelPackageVersion"] for entry in page["ModelPackageSummaryList"]] for page in pages]
    assert found == [[5, 3], [1]]
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package-group/{name.lower()}"
    by_arn = aws.sagemaker.list_model_packages(ModelPackageGroupName=arn)["ModelPackageSummaryList"]
    assert [entry["ModelPackageVersion"] for entry in by_arn] == [1, 2, 3, 4, 5]
    assert "ModelPackageName" not in by_arn[0]


def test_a_group_is_described_listed_and_deleted_once_it_is_empty(aws: Aws) -> None:
    name = group(aws)
    arn = package(aws, name)
    found = aws.sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    assert (found["ModelPackageGroupDescription"], found["ModelPackageGroupStatus"]) == ("all models", "Completed")
    listed = aws.sagemaker.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
    assert [entry["ModelPackageGroupArn"] for entry in listed] == [found["ModelPackageGroupArn"]]
    assert refused(aws.sagemaker.create_model_package_group, ModelPackageGroupName=name) == (
        "ValidationException",
        f"Model Package Group already exists: {found['ModelPackageGroupArn']}",
    )
    assert refused(aws.sagemaker.delete_model_package_group, ModelPackageGroupName=name) == (
        "ConflictException",
        "Model Package Group cannot be deleted as it still contains Model Packages.",
    )
    aws.sagemaker.delete_model_package(ModelPackageName=arn)
    aws.sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    assert refused(aws.sagemaker.describe_model_package_group, ModelPackageGroupName=name) == (
        "ValidationException",
        f"ModelPackageGroup {found['ModelPackageGroupArn']} does not exist.",
    )


def test_a_model_of_a_package_serves_what_was_registered(aws: Aws) -> None:
    arn = package(aws, group(aws), ModelApprovalStatus="Approved")
    name = unique("packaged")
    aws.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn=ROLE, EnableNetworkIsolation=True
    )
    assert aws.sagemaker.describe_model(ModelName=name)["PrimaryContainer"] == {"ModelPackageName": arn}
    aws.serve(name)
    assert aws.invoke(name, "1") == "registered:1"
    aws.sagemaker.delete_endpoint(EndpointName=name)


def test_what_is_missing_or_not_of_a_group_is_refused(aws: Aws) -> None:
    name = group(aws)
    missing = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{name.lower()}/7"
    assert refused(aws.sagemaker.describe_model_package, ModelPackageName=missing) == (
        "ValidationException",
        f"ModelPackage {missing} does not exist.",
    )
    assert refused(aws.sagemaker.create_model_package, ModelPackageName=name)[1] == (
        "A local model package is a version in a group: give a ModelPackageGroupName."
    )
    tags = [{"Key": "a", "Value": "b"}]
    assert refused(aws.sagemaker.create_model_package, ModelPackageGroupName=name, Tags=tags)[1] == (
        "A versioned model package cannot have tags: tag its group."
    )


def test_a_stack_creates_and_deletes_what_ministack_does_not_know(aws: Aws) -> None:
    stacks, name = aws.client("cloudformation"), unique("stack")
    alarm = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": f"{name}-child",
            "Namespace": "Made",
            "MetricName": "Up",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    }
    composite = {"AlarmName": f"{name}-any", "AlarmRule": f'ALARM("{name}-child")'}
    budget = {"BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": 10, "Unit": "USD"}}
    template = {
        "Resources": {
            "Child": alarm,
            "Any": {"Type": "AWS::CloudWatch::CompositeAlarm", "DependsOn": "Child", "Properties": composite},
            "Budget": {"Type": "AWS::Budgets::Budget", "Properties": {"Budget": budget}},
            "Firewall": {
                "Type": "AWS::WAFv2::WebACLAssociation",
                "Properties": {"ResourceArn": "arn:of:api", "WebACLArn": "arn:of:acl"},
            },
            "Models": {
                "Type": "AWS::SageMaker::ModelPackageGroup",
                "Properties": {"ModelPackageGroupName": name, "Tags": [{"Key": "a", "Value": "b"}]},
            },
        },
        "Outputs": {
            "Ref": {"Value": {"Ref": "Models"}},
            "Arn": {"Value": {"Fn::GetAtt": ["Models", "ModelPackageGroupArn"]}},
        },
    }

    def settled() -> dict[str, Any] | None:
        (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("_IN_PROGRESS") else dict(stack)

    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    stack = until(settled)
    arn = aws.sagemaker.describe_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
    assert (stack["StackStatus"], {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}) == (
        "CREATE_COMPLETE",
        {"Ref": arn, "Arn": arn},
    )
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-any"], AlarmTypes=["CompositeAlarm"])
    assert [entry["AlarmRule"] for entry in alarms["CompositeAlarms"]] == [composite["AlarmRule"]]
    stack_id = stack["StackId"]
    stacks.delete_stack(StackName=name)
    until(lambda: stacks.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE" or None)
    assert refused(aws.sagemaker.describe_model_package_group, ModelPackageGroupName=name)[0] == "ValidationException"
