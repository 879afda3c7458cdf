"""Model registry: a model package for every run that trained, with its lineage and its evaluation."""

from typing import Any

from pipeline.asl import ChoiceRule, Intrinsic, State, Task, choice, format_
from pipeline.states.building import EXECUTION, EXECUTION_ARN, ROLE, Building, folder, resource

JSON = ["application/json", "application/jsonlines"]
ENCODER = {
    "ContainerHostname": "encoder",
    "Image": "${ProcessingImage}",
    "ModelDataUrl": folder("encoder/model.tar.gz"),
    # The module's path within the artifact (SageMaker Python SDK, "Using Scikit-learn").
    "Environment": {"SAGEMAKER_PROGRAM": "encoder.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
}
"""The container that encodes raw rows for the linear learner."""


def trained(build: Building) -> list[dict[str, Any]]:
    """The containers of the model that this run trained; with an encoder it is an inference pipeline."""
    # The SDK's ModelStep renders the artifact without regard to where the training result was put.
    artifact = format_("s3://${DataBucket}/runs/{}/model/{}/output/model.tar.gz", EXECUTION, "$.train.job")
    learner = {"Image": "${TrainingImage}", "ModelDataUrl": artifact}
    return [ENCODER, {"ContainerHostname": "linear-learner", **learner}] if build.settings.data.encoded else [learner]


def create_model(build: Building, containers: list[dict[str, Any]]) -> Task:
    """CreateModel: a model named after the execution."""
    request = {
        "ModelName": resource(build.project),
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": True,
        **build.vpc,
        "Containers": containers,
    }
    return build.call("CreateModel", "createModel", request)


def register(build: Building, status: str) -> Task:
    """RegisterApproved, RegisterRejected or RegisterPending: `$.package` = {arn, status}."""
    statistics = {"ContentType": "application/json", "S3Uri": folder("evaluation/evaluation.json")}
    request = {
        "ModelPackageGroupName": "${ModelPackageGroup}",
        "ModelPackageDescription": format_("Run {}, started by {}", EXECUTION, "$.request.reason"),
        "ModelApprovalStatus": status,
        "InferenceSpecification": {
            "Containers": trained(build),
            "SupportedContentTypes": ["text/csv", *([] if build.settings.data.encoded else JSON)],
            "SupportedResponseMIMETypes": JSON,
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": {
            "execution": EXECUTION_ARN,
            "model": resource(build.project),
            "data": Intrinsic("$.request.data.fingerprint"),
            "settings": build.settings.hash,
            "signature": build.settings.signature.name,
            "variant": build.settings.signature.variant,
            "commit": Intrinsic("$.request.commit"),
            "parent": Intrinsic("$.champion.model"),
            "job": Intrinsic("$.train.job"),
            # A value takes no braces, quotes or commas, so not all of them as JSON (CustomerMetadataValue).
            **{f"hyperparameters/{name}": value for name, value in build.settings.hyperparameters().items()},
        },
    }
    state_id = f"Register{status.removesuffix('ManualApproval')}"
    select = {"arn.$": "$.ModelPackageArn", "status": status}
    return build.call(state_id, "createModelPackage", request, result_path="$.package", select=select)


def set_approval(build: Building, state_id: str, status: Intrinsic | str, why: str, **fields: Any) -> Task:
    """The package's new approval status, and why."""
    package = {"ModelPackageArn": Intrinsic("$.package.arn"), "ModelApprovalStatus": status}
    return build.call(state_id, "updateModelPackage", {**package, "ApprovalDescription": why}, **fields)


def approval(build: Building, *, rejected: State) -> list[State]:
    """By the settings: RegisterApproved, or RegisterPending and a wait for the {"status"} that `ops approve` sends."""
    release = build.settings.release
    if release.approval == "automatic":
        return [register(build, "Approved")]
    payload = {"execution": EXECUTION_ARN, "token": Intrinsic("$$.Task.Token"), "state": Intrinsic("$")}
    wait = build.task(
        "WaitForApproval",
        "lambda:invoke.waitForTaskToken",
        {"FunctionName": "${ApprovalFunction}", "Payload": payload},
        timeout_seconds=release.approval_hours * 3600,
        result_path="$.approval",
    )
    record = set_approval(build, "RecordApproval", Intrinsic("$.approval.status"), "Answered by `ops`")
    refused = ChoiceRule.Not(ChoiceRule.StringEquals("$.approval.status", "Approved"))
    return [register(build, "PendingManualApproval"), wait, record, choice("Approved", refused, rejected)]
