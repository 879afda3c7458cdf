"""Registry: a model package for every run that trained, with where it came from and how good it is."""

from collections.abc import Callable, Mapping

from pipeline import names
from pipeline.asl import Catch, Choice, ChoiceRule, Intrinsic, State, Task, format_
from pipeline.states.common import ROLE, Building

ARTIFACT = format_("s3://${DataBucket}/runs/{}/model/{}/output/model.tar.gz", names.EXECUTION, "$.train.job")
"""The trained model; the SDK's ModelStep renders it without regard to where the training result was put."""


def register(build: Building, state_id: str, status: str) -> Task:
    """A model package in the group, `status` Approved, Rejected or PendingManualApproval, as `$.package`."""
    return build.call(
        state_id,
        "createModelPackage",
        {
            "ModelPackageGroupName": "${ModelPackageGroup}",
            "ModelPackageDescription": format_("Run {}, started by {}", names.EXECUTION, "$.request.reason"),
            "ModelApprovalStatus": status,
            "InferenceSpecification": {
                "Containers": [{"Image": "${TrainingImage}", "ModelDataUrl": ARTIFACT}],
                "SupportedContentTypes": ["text/csv", "application/json", "application/jsonlines"],
                "SupportedResponseMIMETypes": ["application/json", "application/jsonlines"],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": format_("s3://${DataBucket}/runs/{}/evaluation/evaluation.json", names.EXECUTION),
                    }
                }
            },
            "CustomerMetadataProperties": {
                "execution": names.EXECUTION_ARN,
                "model": names.RESOURCE,
                "data": Intrinsic("$.request.data.fingerprint"),
                "settings": Intrinsic("$.request.settings"),
                "commit": Intrinsic("$.request.commit"),
                "parent": Intrinsic("$.champion.model"),
                "job": Intrinsic("$.train.job"),
                # A value takes no braces, quotes or commas, so not all of them as JSON (CustomerMetadataValue).
                **{f"hyperparameters/{name}": value for name, value in build.settings.hyperparameters().items()},
            },
        },
        result_path="$.package",
        result_selector={"arn": Intrinsic("$.ModelPackageArn")},
    )


def create_model(build: Building) -> Task:
    """The model of this run's own artifact, for the hold-out and for the endpoint."""
    container = {"Image": "${TrainingImage}", "ModelDataUrl": ARTIFACT}
    return _create_model(build, "CreateModel", container)


def from_package(build: Building, then: State) -> list[State]:
    """DescribePackage and CreateModelOfPackage: the release of a registered model, which must be Approved."""
    describe = build.call(
        "DescribePackage",
        "describeModelPackage",
        {"ModelPackageName": Intrinsic("$.request.model_package")},
        result_path="$.package",
        result_selector={
            "arn": Intrinsic("$.ModelPackageArn"),
            "status": Intrinsic("$.ModelApprovalStatus"),
            "container": Intrinsic("$.InferenceSpecification.Containers[0]"),
        },
    )
    refused = build.failure(
        "PackageNotApproved", "{} is {}: approve it first (ops approve).", "$.package.arn", "$.package.status"
    )
    approved = Choice("PackageApproved")
    approved.add_choice(ChoiceRule.Not(ChoiceRule.StringEquals("$.package.status", "Approved")), refused)
    container = {
        "Image": Intrinsic("$.package.container.Image"),
        "ModelDataUrl": Intrinsic("$.package.container.ModelDataUrl"),
    }
    create = _create_model(build, "CreateModelOfPackage", container)
    create.next(then)
    return [describe, approved, create]


def _create_model(build: Building, state_id: str, container: Mapping[str, object]) -> Task:
    return build.call(
        state_id,
        "createModel",
        {
            "ModelName": names.RESOURCE,
            "ExecutionRoleArn": ROLE,
            "EnableNetworkIsolation": True,
            **build.vpc,
            "PrimaryContainer": container,
        },
        result_path="$.model",
        result_selector={"arn": Intrinsic("$.ModelArn")},
    )


def approval(build: Building, *, ask: Callable[[State], State], turned_down: State) -> list[State]:
    """By the settings: RegisterApproved, or RegisterPending and a wait for `ops approve` or `ops reject`.

    The wait leaves a task token in the lease's item; who answers it sends {"approved": true} or {"approved": false}.
    `ask` makes the state that tells a person, given what comes after it.
    """
    release = build.settings.release
    if release.approval == "automatic":
        return [register(build, "RegisterApproved", "Approved")]
    wait = Task(
        "WaitForApproval",
        resource="arn:aws:states:::aws-sdk:dynamodb:updateItem.waitForTaskToken",
        parameters={
            "TableName": "${LeaseTable}",
            "Key": {"endpoint": {"S": "${EndpointName}"}},
            "UpdateExpression": "SET approval = :token, package = :package",
            "ExpressionAttributeValues": {
                ":token": {"S": Intrinsic("$$.Task.Token")},
                ":package": {"S": Intrinsic("$.package.arn")},
            },
        },
        timeout_seconds=release.approval_hours * 3600,
        result_path="$.approval",
    )
    build.guard(wait)
    late = build.failure(
        "ApprovalDeadline",
        f"Nobody answered within {release.approval_hours} hours (release.approval_hours); {{}} stays pending.",
        "$.package.arn",
    )
    wait.catches.insert(0, Catch(error_equals=["States.Timeout"], result_path="$.error", next_step=late))
    reject = decide(build, "RejectPackage", "Rejected", "Turned down by a person")
    reject.next(turned_down)
    answered = Choice("Approved")
    answered.add_choice(ChoiceRule.Not(ChoiceRule.BooleanEquals("$.approval.approved", True)), reject)
    approve = decide(build, "ApprovePackage", "Approved", "Approved by a person")
    return [register(build, "RegisterPending", "PendingManualApproval"), ask(wait), wait, answered, approve]


def decide(build: Building, state_id: str, status: str, why: str) -> Task:
    """The package's new status, and why."""
    package = {"ModelPackageArn": Intrinsic("$.package.arn"), "ModelApprovalStatus": status}
    return build.call(state_id, "updateModelPackage", {**package, "ApprovalDescription": why})
