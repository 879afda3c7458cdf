"""The SageMaker service: its operations, from the HTTP request to the response."""

import asyncio
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from local_aws.iam import AccessError, Need
from local_aws.sagemaker import faults
from local_aws.sagemaker.api import errors, permissions, shapes
from local_aws.sagemaker.api.model_registry import Registry
from local_aws.sagemaker.api.records import PROCESSING, TRAINING, TRANSFORM, TUNING, Kept, Kind, Record, Shelf, tags_of
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.hosting import runtime
from local_aws.sagemaker.hosting.service import Hosting
from local_aws.sagemaker.jobs.job import Job
from local_aws.sagemaker.jobs.processing import ProcessingJob
from local_aws.sagemaker.jobs.training import TrainingJob
from local_aws.sagemaker.jobs.transform import TransformJob
from local_aws.sagemaker.tuning.job import TuningJob, listed

MAX_RUNNING_JOBS = 20  # of a kind; AWS's quotas are per instance type, and many start at 0
INVOCATIONS = 64  # requests to endpoints at the same time, each in a thread
Operation = Callable[[dict[str, Any]], dict[str, Any]]
Response = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names in small letters; the region is that of the signature."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    region: str


class SageMaker:
    """The service."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._pool = ThreadPoolExecutor(INVOCATIONS, "invoke")
        kinds = (PROCESSING, TRAINING, TRANSFORM, TUNING)
        self._jobs: dict[str, Shelf[Job]] = {kind.noun: Shelf(kind, host.arn) for kind in kinds}
        self._registry = Registry(host.arn)
        self._makers: dict[str, Callable[..., Job]] = {
            PROCESSING.noun: ProcessingJob,
            TRAINING.noun: TrainingJob,
            TRANSFORM.noun: self._transform_job,
            TUNING.noun: self._tuning_job,
        }
        self.scalable_targets: dict[str, dict[str, Any]] = {}
        """Application Auto Scaling's, by resource ID."""
        self._deployments = Hosting(host, self._registry, self.scalable_targets)
        self.shelves: dict[str, Shelf[Any]] = {**self._jobs, **self._deployments.shelves, **self._registry.shelves}
        self._operations: dict[str, Operation] = {
            **{f"Create{noun}": partial(self._create_job, shelf) for noun, shelf in self._jobs.items()},
            **{f"Stop{noun}": partial(_stop_job, shelf) for noun, shelf in self._jobs.items()},
            **{f"Describe{noun}": partial(_describe, shelf) for noun, shelf in self.shelves.items()},
            **{f"List{noun}s": shelf.page for noun, shelf in self.shelves.items()},
            **self._deployments.operations,
            **self._registry.operations,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_tuned,
            "Search": self._search,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }

    async def answer(self, request: Request) -> Response:
        """Answer a request to api.sagemaker or runtime.sagemaker."""
        name = request.headers.get("x-amz-target", "").partition(".")[2]
        try:
            if name == faults.TARGET:
                return self.host.faults.answer(request.body)
            if request.region != self.host.region:
                raise errors.ValidationException(
                    f"This local AWS runs SageMaker in {self.host.region} only; the request is for {request.region}."
                )
            key = access_key(request.headers)
            if name:
                document = parse(request.body)
                self.allow(key, permissions.of_caller(name, document, self.host.arn))
                document = self.call(name, document)
                return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()
            endpoint = {"EndpointName": runtime.endpoint_name(request.method, request.path)}
            self.allow(key, permissions.of_caller("InvokeEndpoint", endpoint, self.host.arn))
            loop = asyncio.get_running_loop()
            return 200, *await loop.run_in_executor(self._pool, self._invoke, request)
        except errors.ServiceError as error:
            return refuse(error, wrapped=bool(name))

    def call(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run a control plane operation on a request as JSON has it; the answer is as JSON writes it.

        Raises ServiceError: the refusal.
        """
        operation = self._operations.get(name)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            raise errors.UnknownOperationException(f"The local SageMaker has no '{name}'. Use one of: {known}.")
        model = self.host.model.operation_model(name)
        shapes.check(model.input_shape, request)
        self.host.faults.refuse(name, request)
        self._try_role(permissions.passed_role(request))
        answer = operation(request)
        return dict(shapes.wire(model.output_shape, answer)) if model.output_shape else {}

    def allow(self, key: str, needs: Iterable[Need]) -> None:
        """Raise AccessDeniedException when the owner of an access key may not do something."""
        try:
            self.host.access.check(key, needs)
        except AccessError as error:
            raise errors.AccessDeniedException(str(error)) from error

    def _try_role(self, role: str | None) -> None:
        if role is not None:
            try:
                self.host.access.act(role, permissions.SERVICE)
            except AccessError as error:
                raise errors.ValidationException(str(error)) from error

    def close(self) -> None:
        """End every process."""
        for shelf in self._jobs.values():
            for job in shelf.all():
                job.kill()
        self._deployments.close()

    def reset(self) -> None:
        """End every process and forget everything."""
        self.close()
        self.host.faults.put([])
        for shelf in self.shelves.values():
            for record in shelf.all():
                shelf.remove(record.name)

    def keep(self) -> Kept:
        """What is kept over a restart."""
        return {**{noun: shelf.keep() for noun, shelf in self.shelves.items()}, **self._registry.keep()}

    def recall(self, kept: Kept) -> None:
        """Know what was kept; a job that had not ended has failed, and `resume` starts the endpoints."""
        self._registry.recall(kept)
        self._deployments.recall(kept)
        for shelf in self._jobs.values():
            shelf.recall(kept.get(shelf.kind.noun, []), partial(self._job, shelf.kind))

    def resume(self) -> None:
        """Let the endpoints serve that were kept; return once they do, or have failed."""
        self._deployments.resume()

    def _job(self, kind: Kind, arn: str, kept: Kept) -> Job:
        given = self.host, arn, kept["request"], kept["tags"]
        try:
            return self._makers[kind.noun](*given)
        except errors.ServiceError:  # its model or its image is gone
            return Job(kind, *given)

    def _create_job(self, shelf: Shelf[Job], request: dict[str, Any]) -> dict[str, Any]:
        kind = shelf.kind
        running = sum(not job.done.is_set() for job in shelf.all())
        if running >= MAX_RUNNING_JOBS:
            raise errors.ResourceLimitExceeded(
                f"The account-level service limit 'Number of {kind.noun}s running at the same time' is "
                f"{MAX_RUNNING_JOBS} jobs, with current utilization of {running} jobs and a request delta of 1 jobs."
            )
        job = shelf.create(request, partial(self._makers[kind.noun], self.host))
        job.start()
        return {f"{kind.noun}Arn": job.arn}

    def _transform_job(self, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str]) -> TransformJob:
        return TransformJob(host, arn, request, tags, self.shelves["Model"].named(request).describe())

    def _tuning_job(self, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str]) -> TuningJob:
        trainings: Shelf[Any] = self._jobs[TRAINING.noun]
        return TuningJob(host, arn, request, tags, trainings)

    def _invoke(self, request: Request) -> tuple[dict[str, str], bytes]:
        name = runtime.endpoint_name(request.method, request.path)
        self.host.faults.refuse("InvokeEndpoint", {"EndpointName": name})
        try:
            endpoint = self.shelves["Endpoint"].get(name)
        except errors.ValidationException:
            raise errors.ValidationError(f"Endpoint {name} of account {self.host.account} not found.") from None
        return runtime.invoke(endpoint, self.host, request.headers, request.body)

    def _list_tuned(self, request: dict[str, Any]) -> dict[str, Any]:
        found: Any = self._jobs[TUNING.noun].named(request)
        jobs = [found.summary(job.describe()) for job in found.trainings()]
        return listed(jobs, request)

    def _search(self, request: dict[str, Any]) -> dict[str, Any]:
        filters = request.get("SearchExpression", {}).get("Filters", [])
        operators = {entry.get("Operator", "Equals") for entry in filters}
        if request["Resource"] != "TrainingJob" or operators - {"Equals", "Contains"}:
            raise errors.ValidationException(
                "Search: of the resources only TrainingJob, of the operators only Equals and Contains run locally."
            )

        def kept(job: dict[str, Any]) -> bool:
            for entry in filters:
                found = reduce(lambda part, name: part.get(name, {}), entry["Name"].split("."), job)
                wanted = entry.get("Value", "")
                if wanted != str(found) and not (entry.get("Operator") == "Contains" and wanted in str(found)):
                    return False
            return True

        page = self._jobs["TrainingJob"].page({"SortOrder": "Descending", **request}, kept)
        return {**page, "Results": [{"TrainingJob": job} for job in page["TrainingJobSummaries"]]}

    def _tagged(self, request: dict[str, Any]) -> Record:
        arn = request["ResourceArn"]
        found: list[Record] = [each for shelf in self.shelves.values() for each in shelf.all() if each.arn == arn]
        if not found:
            raise errors.ValidationException(f"Could not find resource with ARN {arn}.")
        return found[0]

    def _add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        self._tagged(request).tags.update(tags_of(request))
        return self._list_tags(request)

    def _list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tagged(request).tags.items()]}

    def _delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._tagged(request).tags
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}


def _stop_job(shelf: Shelf[Job], request: dict[str, Any]) -> dict[str, Any]:
    shelf.named(request).stop()
    return {}


def _describe(shelf: Shelf[Any], request: dict[str, Any]) -> dict[str, Any]:
    return dict(shelf.named(request).describe())


def access_key(headers: dict[str, str]) -> str:
    """The access key that a request is signed with."""
    return headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


def parse(body: bytes) -> dict[str, Any]:
    """A request's JSON object. Raises SerializationException."""
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise errors.SerializationException(f"The request is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise errors.SerializationException("The request must be a JSON object")
    return parsed


def refuse(error: errors.ServiceError, wrapped: bool) -> Response:
    """The HTTP answer of a refusal; `wrapped` as the JSON protocol has it."""
    name = {"__type": error.code, "message": error.message} if wrapped else {"Message": error.message}
    kind = "x-amz-json-1.1" if wrapped else "json"
    headers = {"Content-Type": f"application/{kind}", "x-amzn-ErrorType": error.code}
    return error.status, headers, json.dumps({**name, **error.members}).encode()
