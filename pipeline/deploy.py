"""The deploy machine, top to bottom as its diagram reads: a registered model package goes behind the live endpoint."""

from typing import Any

from pipeline.asl import Choice, ChoiceRule, Definition, Intrinsic, Pass, State, caught, choice, format_, rendered
from pipeline.config import Settings
from pipeline.states import endpoint
from pipeline.states.building import Building, run_of
from pipeline.states.executions import DEADLINE_HOURS, acquire_lease, fail, finish
from pipeline.states.model_registry import create_model, set_approval

DEFAULTS = {"package": "", "reason": "manual", "parent": "", "replaces": ""}
"""`parent` is the ARN of the retrain execution that owns the lease meanwhile; without one this execution takes it.
`replaces` is the endpoint configuration that must still be live, if any: of a rollback, the one that it takes back."""


def definition(settings: Settings, partition: str = "aws") -> Definition:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    An execution ends Succeeded when the endpoint serves the package and answers the smoke test. Otherwise it fails:
    as RolledBack when the champion serves again, else with the error that stopped it.
    """
    failed = fail("deploy")
    build = Building(settings, on_error=failed)
    finished = finish("deploy", failed)
    taken_back = endpoint.autoscaling_of_champion(build, _reject_new_package(build))
    champion = endpoint.find_champion(build, replaces=Intrinsic("$.request.replaces"))
    seconds = DEADLINE_HOURS * 3600
    # A failure leaves the model live.
    live: dict[str, Any] = {"on_error": finished, "error_path": "$.cleanup_error", "result_path": None}
    keep = {"keep": settings.release.keep}
    cleanup = build.function("Cleanup", "CleanupFunction", keep, timeout_seconds=300, **live)
    states = [
        acquire_lease(build, DEFAULTS, seconds=seconds),
        *_find_package(build, champion),
        champion,
        endpoint.delete_failed(build, champion),
        # SageMaker isolates no serverless model from the network.
        create_model(
            build, [{"ModelPackageName": Intrinsic("$.package.arn")}], isolated=not settings.endpoint.serverless
        ),
        endpoint.create_endpoint_config(build),
        *endpoint.create_or_update(build, taken_back=taken_back),
        endpoint.smoke_test(build, taken_back=taken_back),
        *endpoint.autoscaling(build),
        cleanup,
        finished,
    ]
    return rendered(states, f"Deploys a model package of {build.project}", seconds, partition)


def _find_package(build: Building, then: State) -> list[State]:
    """DescribePackage to HasSignature: `$.package` = {arn, status, described, smoke}, with rows that its run kept.

    A run of an older version kept none: `smoke.document` is then empty. If it named no signature, the settings' is
    assumed.
    """
    request = {"ModelPackageName": Intrinsic("$.request.package")}
    select = {
        "arn.$": "$.ModelPackageArn",
        "status.$": "$.ModelApprovalStatus",
        "described.$": "$",  # its execution may be missing, by which a path here would fail
        "smoke": {"document": []},
    }
    describe = build.call("DescribePackage", "describeModelPackage", request, result_path="$.package", select=select)
    advice = "approve it in the model registry and deploy it again, or run ops retrain --force."
    cause = format_(f"{{}} is {{}}: {advice}", "$.package.arn", "$.package.status")
    pending = ChoiceRule.Not(ChoiceRule.StringEquals("$.package.status", "Approved"))
    approved = choice("PackageApproved", pending, build.failure("PackageNotApproved", cause))
    words = "{} has no run in its metadata (execution): deploy a package that a run registered."
    of_no_run = build.failure("PackageOfNoRun", format_(words, "$.package.arn"))
    execution = f"{endpoint.METADATA}.execution"
    registered = choice("PackageOfRun", ChoiceRule.IsPresent(execution, False), of_no_run)
    read = build.read_json("ReadSmokeRows", "evaluation/smoke.json", "$.package.smoke", run_of(execution))
    assumed = {"signature": build.settings.signature.name, "variant": endpoint.OLD_VARIANT}
    assume = Pass("AssumeSignature", result=assumed, result_path=endpoint.METADATA)
    assume.next(then)
    signed = choice("HasSignature", ChoiceRule.IsPresent(f"{endpoint.METADATA}.signature", False), assume)
    read = caught(read, signed, "$.no_smoke_rows", ["S3.NoSuchKeyException"])
    return [describe, approved, registered, read, signed]


def _reject_new_package(build: Building) -> Choice:
    """IsNewPackage: a new package whose deployment failed is Rejected; one that a rollback deploys stays Approved."""
    why = "Taken back from the endpoint by the deployment"
    reject = set_approval(build, "RejectPackage", "Rejected", why, error_path="$.reject_error")
    reject.next(build.on_error)
    return choice("IsNewPackage", ChoiceRule.StringEquals("$.request.parent", ""), build.on_error, reject)
