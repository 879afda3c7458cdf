"""The faults of docs/failures.md: what goes wrong, and how the run must end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.deployments.world import ROWS, World, data, relabelled

OLD, NEW = "the old model", "the new model"
ALWAYS = "every request answered right"


def fault(on: str, kind: str, times: int = 1, name: str = "*") -> dict[str, Any]:
    return {"on": on, "fault": kind, "times": times, "name": name}


@dataclass(frozen=True)
class Case:
    """One fault.

    Args:
        name: The test's.
        what: The fault, in words.
        faults: What is ordered of the local SageMaker.
        outcome: The notification's: accepted, rejected, rolled back, failed, aborted.
        cause: Words that the cause must have.
        after: What the endpoint serves in the end.
        share: At most this share of a consumer's requests may go wrong.
        body: The data that is uploaded.
        during: What is done to the running execution.
        asked: Whether a consumer posts all the while; not where the request that goes wrong must be the smoke test's.
        package: The approval status of the run's package, empty when there is none.
        quick: Whether it is in `make test`.
    """

    name: str
    what: str
    faults: tuple[dict[str, Any], ...] = ()
    outcome: str = "failed"
    cause: tuple[str, ...] = ()
    after: str = OLD
    share: float = 0.0
    body: Callable[[], bytes] = data
    during: Callable[[World, str], None] | None = None
    asked: bool = True
    package: str = ""
    quick: bool = False


def killed_in(*states: str) -> Callable[[World, str], None]:
    def kill(world: World, execution: str) -> None:
        world.in_state(execution, *states)
        world.stop(execution)

    return kill


ACCEPTED: dict[str, Any] = {"outcome": "accepted", "after": NEW, "package": "Approved"}
REFUSED = 9
"""More often than any retry asks."""

CALLS = [
    Case("preprocess-throttled", "CreateProcessingJob throttled twice",
         (fault("CreateProcessingJob", "ThrottlingException", 2),), **ACCEPTED),
    Case("train-limit", "CreateTrainingJob over the account's limit twice",
         (fault("CreateTrainingJob", "ResourceLimitExceeded", 2),), quick=True, **ACCEPTED),
    Case("train-limit-stays", "CreateTrainingJob permanently over the account's limit",
         (fault("CreateTrainingJob", "ResourceLimitExceeded", REFUSED),), cause=("service limit was reached",)),
    Case("score-throttled", "CreateTransformJob throttled twice, for two models scored at once",
         (fault("CreateTransformJob", "ThrottlingException", 2),), **ACCEPTED),
    Case("register-throttled", "CreateModelPackage throttled once",
         (fault("CreateModelPackage", "ThrottlingException"),), **ACCEPTED),
    Case("update-limit", "UpdateEndpoint over the account's limit once",
         (fault("UpdateEndpoint", "ResourceLimitExceeded"),), **ACCEPTED),
    Case("update-limit-stays", "UpdateEndpoint permanently over the account's limit",
         (fault("UpdateEndpoint", "ResourceLimitExceeded", REFUSED),),
         cause=("service limit was reached",), package="Approved"),
    Case("describe-throttled", "the first DescribeEndpoint throttled: is there an endpoint or not?",
         (fault("DescribeEndpoint", "ThrottlingException"),), asked=False, **ACCEPTED),
    Case("describe-fails", "the first DescribeEndpoint an internal failure: is there an endpoint or not?",
         (fault("DescribeEndpoint", "InternalFailure"),), cause=("InternalFailure",), asked=False, quick=True),
    Case("smoke-refused", "one request of the smoke test refused by the endpoint",
         (fault("InvokeEndpoint", "ServiceUnavailable"),), asked=False, **ACCEPTED),
    Case("cleanup-refused", "listing the old configs refused", (fault("ListEndpointConfigs", "AccessDeniedException"),), **ACCEPTED),
]  # fmt: skip

JOBS = [
    Case("preprocess-killed", "the preprocessing job killed (SIGKILL)",
         (fault("ProcessingJob", "Kill", name="*-preprocess-*"),), cause=("137", "SIGKILL")),
    Case("preprocess-no-capacity", "no instance for the preprocessing job",
         (fault("ProcessingJob", "CapacityError", name="*-preprocess-*"),), cause=("CapacityError",)),
    Case("preprocess-empty", "the preprocessing job succeeds and writes nothing",
         (fault("ProcessingJob", "NoOutput", name="*-preprocess-*"),), cause=("/train",)),
    Case("bad-rows", "a letter in a number's column", cause=("6", "texture_mean"), quick=True,
         body=lambda: data([*ROWS[:4], ROWS[4].replace(ROWS[4].split(",")[3], "x"), *ROWS[5:]])),
    Case("train-exits", "the training job ends with code 1", (fault("TrainingJob", "Exit"),), cause=("exit code: 1",)),
    Case("train-killed", "the training job killed (SIGKILL)", (fault("TrainingJob", "Kill"),), cause=("137", "SIGKILL"), quick=True),
    Case("train-hangs", "the training job hangs past its MaxRuntime", (fault("TrainingJob", "Hang"),), cause=("max_runtime_minutes",)),
    Case("train-no-capacity", "no instance for the training job", (fault("TrainingJob", "CapacityError"),), cause=("CapacityError",)),
    Case("train-no-model", "the training job succeeds and writes no model", (fault("TrainingJob", "NoOutput"),),
         cause=("ping health check",), quick=True),
    Case("challenger-dies", "the challenger's server ends while it scores the hold-out",
         (fault("TransformJob", "Exit", name="*-score-*"),), cause=("exited with code 1",)),
    Case("champion-dies", "the champion's server ends while it scores the hold-out",
         (fault("TransformJob", "Kill", name="*-champion-*"),), cause=("exited with code 137",), quick=True),
    Case("evaluate-killed", "the job that compares both models killed (SIGKILL)",
         (fault("ProcessingJob", "Kill", name="*-evaluate-*"),), cause=("137", "SIGKILL")),
    Case("evaluate-empty", "the job that compares both models succeeds and writes no evaluation",
         (fault("ProcessingJob", "NoOutput", name="*-evaluate-*"),), cause=("key does not exist",)),
]  # fmt: skip

ROLLED_BACK: dict[str, Any] = {"outcome": "rolled back", "package": "Rejected"}
MODELS = [
    Case("worse", "a worse challenger: 30 % of the labels swapped", outcome="rejected", package="Rejected",
         cause=("is below",), body=lambda: relabelled(every=3)),
    Case("never-ready", "the new model's server never passes its ping", (fault("Endpoint", "NeverReady"),),
         cause=("ping health check",), **ROLLED_BACK),
    Case("endpoint-no-capacity", "no instance for the new model", (fault("Endpoint", "CapacityError"),),
         cause=("CapacityError",), **ROLLED_BACK),
    Case("canary-500", "the new model answers 500 to each request", (fault("Endpoint", "Answers500"),),
         cause=("guarded-5xx",), share=0.1, quick=True, **ROLLED_BACK),
    Case("canary-dies", "the new model's server ends at each request", (fault("Endpoint", "DiesAtRequest"),),
         cause=("guarded-5xx",), share=0.1, **ROLLED_BACK),
    Case("dies-after-switch", "the new model's server ends at its first request, after the switch",
         (fault("Endpoint", "DiesAtRequest"),), cause=("golden row 1 got no answer", "previous config serves again"),
         asked=False, **ROLLED_BACK),
    Case("wrong-answers", "all labels swapped: good on its own hold-out, wrong on the golden rows",
         cause=("golden row 1: expected B, got M", "previous config serves again"), body=lambda: relabelled(every=1),
         share=1.0, quick=True, **ROLLED_BACK),
    Case("restore-throttled", "the same, and the rollback is throttled twice",
         (fault("UpdateEndpoint", "ThrottlingException", 2, name="{old}"),),
         cause=("golden row 1: expected B, got M", "previous config serves again"), body=lambda: relabelled(every=1),
         share=1.0, **ROLLED_BACK),
]  # fmt: skip


def _data_gone(world: World, execution: str) -> None:
    world.deployed.clear()


PEOPLE = [
    Case("data-deleted", "the data deleted before the run reads it", during=_data_gone, cause=("raw/",)),
    Case("aborted-in-training", "the execution aborted while it trains", outcome="aborted", cause=("ABORTED",),
         during=killed_in("Train"), quick=True),
    Case("aborted-in-update", "the execution aborted while the endpoint is being updated", outcome="aborted",
         cause=("ABORTED",), during=killed_in("WaitForEndpoint"), after=NEW, package="Approved"),
]  # fmt: skip

CASES = [*CALLS, *JOBS, *MODELS, *PEOPLE]
OTHERS = {
    "first-never-ready": "the first model's server never passes its ping: there is no old model",
    "first-dies": "the first model's server ends at its first request: there is no old model",
    "two-runs": "two runs started manually at the same time",
    "superseded": "newer data while a run waits for the lease, then the lease's owner aborted",
    "owner-unknown": "a lease whose owner no longer exists",
    "ten-uploads": "ten uploads within one second",
    "duplicates": "the same event three times, and once more when the run is over",
    "approval-refused": "a person rejects the model",
    "approval-deadline": "no answer within `release.approval_hours`",
    "package-pending": "the deployment of a package that is not approved",
}
"""The faults that need several runs or another pipeline, by the name of the row that their test checks."""
WHAT = {case.name: case.what for case in CASES} | OTHERS
