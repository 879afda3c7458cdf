"""Model registry: a model package for every run that trained, with its lineage and its evaluation."""

from typing import Any

from pipeline.asl import ChoiceRule, Intrinsic, State, Task, choice, format_
from pipeline.states.building import EXECUTION, EXECUTION_ARN, ROLE, ROWS_OF, Building, folder, resource

JSON = ["application/json", "application/jsonlines"]
TUNED = "$.tuning.BestTrainingJob.TunedHyperParameters"
ENCODER = {
    "ContainerHostname": "encoder",
    "Image": "${ProcessingImage}",
    "ModelDataUrl": folder("encoder/model.tar.gz"),
    # The module's path within the artifact (SageMaker Python SDK, "Using Scikit-learn").
    "Environment": {"SAGEMAKER_PROGRAM": "encoder.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
}
"""The container that encodes raw rows for the linear learner."""


def artifact() -> Intrinsic:
    """The S3 URI of the linear learner's model.tar.gz."""
    # The SDK's ModelStep renders it without regard to where the training result was put.
    return format_("s3://${DataBucket}/runs/{}/model/{}/output/model.tar.gz", EXECUTION, "$.train.job")


def trained(build: Building) -> list[dict[str, Any]]:
    """The containers of the model that this run trained; with an encoder it is an inference pipeline."""
    learner = {"Image": "${TrainingImage}", "ModelDataUrl": artifact()}
    return [ENCODER, {"ContainerHostname": "linear-learner", **learner}] if build.settings.data.encoded else [learner]


def hyperparameters(build: Building) -> dict[str, str | Intrinsic]:
    """The hyperparameters of the model: the settings' and those that tuning chose."""
    tuned = build.settings.tuning.ranges.given if build.settings.tuning.jobs else {}
    chosen = {name: Intrinsic(f"{TUNED}.{name}") for name in tuned}
    return {**build.settings.hyperparameters(), **chosen}


def create_model(build: Building, containers: list[dict[str, Any]], kind: str = "", *, isolated: bool = True) -> Task:
    """CreateModel: a model named after the execution, `isolated` from the network.

    One that does not go behind the endpoint is also named after its `kind`.
    """
    request = {
        "ModelName": resource(build.project, kind),
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": isolated,
        **build.vpc,
        "Containers": containers,
    }
    return build.call("CreateModel", "createModel", request)


def register(build: Building, status: str | Intrinsic) -> Task:
    """RegisterApproved, RegisterRejected or RegisterPending, or Register: `$.package` = {arn, status}."""
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
        "ModelCard": {
            "ModelCardContent": Intrinsic("States.JsonToString($.evaluation.document.card)"),
            "ModelCardStatus": "PendingReview",
        },
        "CustomerMetadataProperties": {
            "execution": EXECUTION_ARN,
            "model": resource(build.project),
            "data": Intrinsic("$.request.data.fingerprint"),
            "preprocessed-by": Intrinsic(ROWS_OF),
            "settings": build.settings.hash,
            "signature": build.settings.signature.name,
            "variant": build.settings.signature.variant,
            "commit": Intrinsic("$.request.commit"),
            "parent": Intrinsic("$.champion.model"),
            "job": Intrinsic("$.train.job"),
            # A value takes no braces, quotes or commas, so not all of them as JSON (CustomerMetadataValue).
            **{f"hyperparameters/{name}": value for name, value in hyperparameters(build).items()},
            **({"tuning": Intrinsic("$.tuning.HyperParameterTuningJobName")} if build.settings.tuning.jobs else {}),
        },
    }
    state_id = "Register" + ("" if isinstance(status, Intrinsic) else status.removesuffix("ManualApproval"))
    fixed = {} if isinstance(status, Intrinsic) else {"status": status}
    select = {"arn.$": "$.ModelPackageArn", **fixed}
    return build.call(state_id, "createModelPackage", request, result_path="$.package", select=select)


def set_approval(build: Building, state_id: str, status: Intrinsic | str, why: str, **fields: Any) -> Task:
    """The package's new approval status, and why."""
    package = {"ModelPackageArn": Intrinsic("$.package.arn"), "ModelApprovalStatus": status}
    return build.call(state_id, "updateModelPackage", {**package, "ApprovalDescription": why}, **fields)


def approval(build: Building, *, rejected: State) -> list[State]:
    """By the settings: RegisterApproved, or RegisterPending and a wait for the {"status"} that `ops approve` sends.

    If a person approves only what cannot be compared, Register takes the status of the evaluation's decision.
    """
    release = build.settings.release
    if not build.settings.asks:
        return [register(build, "Approved")]
    answer, decided = "$.approval.status", "$.evaluation.document.decision.status"
    payload = {"execution": EXECUTION_ARN, "token": Intrinsic("$$.Task.Token"), "state": Intrinsic("$")}
    wait = build.task(
        "WaitForApproval",
        "lambda:invoke.waitForTaskToken",
        {"FunctionName": "${ApprovalFunction}", "Payload": payload},
        timeout_seconds=release.approval_hours * 3600,
        result_path="$.approval",
    )
    record = set_approval(build, "RecordApproval", Intrinsic(answer), "Answered by `ops`")
    refused = ChoiceRule.Not(ChoiceRule.StringEquals(answer, "Approved"))
    if not build.settings.asks_if_incomparable:
        return [register(build, "PendingManualApproval"), wait, record, choice("Approved", refused, rejected)]
    answered = ChoiceRule.IsPresent(answer, True)
    approved = choice("Approved", ChoiceRule.And([answered, refused]), rejected)
    pending = ChoiceRule.StringEquals(decided, "PendingManualApproval")
    approved.add_choice(ChoiceRule.And([ChoiceRule.Not(answered), pending]), wait)
    wait.next(record).next(approved)
    return [register(build, Intrinsic(decided)), approved]
