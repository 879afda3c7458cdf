"""The model registry: versions in groups, approval, models of versions, and the group as a stack's resource."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from .aws import ARN, ROLE, STUB, Aws, packed, refused, template, unique, until

STACK = Path(__file__).with_name("stack.json").read_text(encoding="utf-8")


def group(aws: Aws) -> str:
    name = unique("Group")
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="all models")
    return name


def package(aws: Aws, name: str, container: dict[str, Any] | None = None, **members: Any) -> str:
    url = aws.put(f"{name}/model.tar.gz", packed("model.json", json.dumps({"label": "registered"})))
    container = container or {"Image": STUB, "ModelDataUrl": url, "Environment": {"A": "1"}}
    model = {"Containers": [container], **template("inference")}
    answer = aws.sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=model, **members)
    return str(answer["ModelPackageArn"])


def test_versions_count_up_in_their_group(aws: Aws) -> None:
    name = group(aws)
    arns = [package(aws, name) for _ in range(3)]
    place = f"{ARN}:model-package/{name.lower()}"
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
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Approved", "better by 0.02")
    assert found["CustomerMetadataProperties"] == {"data": "2", "parent": "none"}
    assert found["LastModifiedTime"] > found["CreationTime"]


def test_an_update_of_the_model_card_keeps_what_it_does_not_name(aws: Aws) -> None:
    card = {"ModelCardContent": json.dumps({"intended_uses": {}}), "ModelCardStatus": "Draft"}
    arn = package(aws, group(aws), ModelCard=card)
    aws.sagemaker.update_model_package(ModelPackageArn=arn, ModelCard={"ModelCardStatus": "Approved"})
    found = aws.sagemaker.describe_model_package(ModelPackageName=arn)["ModelCard"]
    assert found == {**card, "ModelCardStatus": "Approved"}


def test_packages_are_listed_by_group_and_approval_in_pages(aws: Aws) -> None:
    name = group(aws)
    for number in range(5):
        package(aws, name, ModelApprovalStatus="Approved" if number % 2 == 0 else "Rejected")
    order = {"SortBy": "CreationTime", "SortOrder": "Descending", "PaginationConfig": {"PageSize": 2}}
    paginator = aws.sagemaker.get_paginator("list_model_packages")
    pages = paginator.paginate(ModelPackageGroupName=name, ModelApprovalStatus="Approved", **order)
    found = [[entry["ModelPackageVersion"] for entry in page["ModelPackageSummaryList"]] for page in pages]
    assert found == [[5, 3], [1]]
    arn = f"{ARN}:model-package-group/{name.lower()}"
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
    full = "Model Package Group cannot be deleted as it still contains Model Packages."
    assert refused(aws.sagemaker.delete_model_package_group, ModelPackageGroupName=name) == ("ConflictException", full)
    aws.sagemaker.delete_model_package(ModelPackageName=arn)
    aws.sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    missing = ("ValidationException", f"ModelPackageGroup {found['ModelPackageGroupArn']} does not exist.")
    assert refused(aws.sagemaker.describe_model_package_group, ModelPackageGroupName=name) == missing


def test_a_model_of_a_package_serves_what_was_registered(aws: Aws) -> None:
    arn = package(aws, group(aws), ModelApprovalStatus="Approved")
    name = unique("packaged")
    aws.sagemaker.create_model(
        ModelName=name, PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn=ROLE, EnableNetworkIsolation=True
    )
    assert aws.sagemaker.describe_model(ModelName=name)["PrimaryContainer"] == {"ModelPackageName": arn}
    assert aws.invoke(aws.serve(name), "1") == "registered:1"


def test_a_stack_creates_and_deletes_types_that_ministack_lacks(aws: Aws) -> None:
    name = unique("stack")
    resources = json.loads(STACK.replace("$name", name))
    stack = aws.stack(name, resources, Ref={"Ref": "Models"}, Arn={"Fn::GetAtt": ["Models", "ModelPackageGroupArn"]})
    arn = aws.sagemaker.describe_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
    assert (stack["StackStatus"], stack["Outputs"]) == ("CREATE_COMPLETE", {"Ref": arn, "Arn": arn})
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == resources["Models"]["Properties"]["Tags"]
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-any"], AlarmTypes=["CompositeAlarm"])
    assert [entry["AlarmRule"] for entry in alarms["CompositeAlarms"]] == [f'ALARM("{name}-child")']
    stacks = aws.client("cloudformation")
    stacks.delete_stack(StackName=name)
    describe = partial(stacks.describe_stacks, StackName=stack["StackId"])
    until(lambda: describe()["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE")
    assert refused(aws.sagemaker.describe_model_package_group, ModelPackageGroupName=name)[0] == "ValidationException"
