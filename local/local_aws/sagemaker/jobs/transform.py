"""Batch transform jobs: the model's container scores each object's records (CreateTransformJob's API page)."""

import gzip
import http.client
import json
import queue
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

from local_aws.sagemaker.api.errors import JobError, ValidationException
from local_aws.sagemaker.api.records import TRANSFORM
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.hosting.instance import RESOLVED, Instance
from local_aws.sagemaker.jobs.job import Job, Stopped
from local_aws.sagemaker.s3 import inside

MEGABYTE = 1 << 20
PARAMETERS_SECONDS = 2.0
MAX_RUNTIME_SECONDS = 5 * 86400  # "maximum runtime for a transform job", SageMaker's quotas
GROUP = "/aws/sagemaker/TransformJobs"
DEFAULTS: dict[str, Any] = {"MaxPayloadInMB": 6, "BatchStrategy": "MultiRecord", "MaxConcurrentTransforms": 1}
CHUNK = 1 << 18
_PERHAPS_EMPTY = re.compile(rb"\n\s")
STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}


class TransformJob(Job):
    """A batch transform job: its instances of the model, the objects dealt out among them.

    Raises ValidationException: the request asks for what does not run here.
    """

    def __init__(
        self, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str], model: dict[str, Any]
    ) -> None:
        super().__init__(TRANSFORM, host, arn, request, tags)
        self._model = model
        self._source: dict[str, Any] = request["TransformInput"]
        self._target: dict[str, Any] = request["TransformOutput"]
        client = {
            "InvocationsTimeoutInSeconds": 600,
            "InvocationsMaxRetries": 3,
            **request.get("ModelClientConfig", {}),
        }
        self._timeout, self._retries = client["InvocationsTimeoutInSeconds"], client["InvocationsMaxRetries"]
        if self._source.get("SplitType", "None") not in ("None", "Line"):
            raise ValidationException("SplitType: only None and Line run locally.")
        if request.get("DataProcessing", {}).keys() - {"JoinSource"} or (
            request.get("DataProcessing", {}).get("JoinSource", "None") != "None"
        ):
            raise ValidationException("DataProcessing: filters and joins do not run locally; join in a processing job.")

    def needs(self) -> tuple[str, list[str], str | None]:
        """Its model's role and images, its own volume key."""
        key = self.request["TransformResources"].get("VolumeKmsKeyId")
        images = [container["Image"] for container in self._model[RESOLVED]]
        return self._model.get("ExecutionRoleArn", ""), images, key

    def vpc(self) -> dict[str, list[str]] | None:
        """Its model's."""
        return self._model.get("VpcConfig")

    def work(self) -> None:
        """Start the instances, then transform all objects; a failed one fails the job, not the others."""
        todo: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
        for key in self.actor.s3.keys(self._source["DataSource"]["S3DataSource"]):
            todo.put(key)
        count = self.request["TransformResources"]["InstanceCount"]
        instances = [self._instance(number + 1) for number in range(count)]
        self.begin(MAX_RUNTIME_SECONDS)
        failures: list[JobError] = []
        try:
            with ThreadPoolExecutor(len(instances)) as pool:
                for done in [pool.submit(self._drain, instance, todo, failures) for instance in instances]:
                    done.result()
        finally:
            for instance in instances:
                instance.stop(self.host.grace_seconds)
        if failures:
            raise failures[0]

    def _instance(self, number: int) -> Instance:
        asked = {
            "SAGEMAKER_BATCH": "True",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self.request.get("MaxPayloadInMB", DEFAULTS["MaxPayloadInMB"])),
            "SAGEMAKER_BATCH_STRATEGY": STRATEGIES[self.request.get("BatchStrategy", DEFAULTS["BatchStrategy"])],
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self.request.get("MaxConcurrentTransforms", 1)),
        }
        log_to = (GROUP, f"{self.name}/{self.stream(number)}")
        environment = {**asked, **self.request.get("Environment", {})}
        instance = Instance(
            self.host,
            self._model,
            self.folder / f"algo-{number}",
            log_to,
            environment,
            actor=self.actor,
            startup_seconds=self.host.startup_seconds,
            fault=self.fault,
        )
        self.attach(instance)
        return instance

    def _drain(
        self, instance: Instance, todo: "queue.SimpleQueue[tuple[str, str, str]]", failures: list[JobError]
    ) -> None:
        instance.start()
        parameters = self._parameters(instance)
        while not todo.empty() and not self.stopped_by:
            try:
                bucket, key, path = todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._transform(instance, parameters, (bucket, key), path)
            except JobError as error:
                self.host.logs.write(GROUP, f"{self.name}/data-log", f"[sagemaker logs]: {bucket}/{key}: {error}")
                failures.append(error)

    def _parameters(self, instance: Instance) -> dict[str, Any]:
        """The request's parameters, else what the container answers to /execution-parameters, else the defaults."""
        try:
            answer = instance.execution_parameters(PARAMETERS_SECONDS)
        except (OSError, http.client.HTTPException) as error:
            raise JobError(f"ClientError: the model server went away after its ping: {error!r}") from error
        try:
            own = dict(json.loads(answer.body)) if answer.status == http.HTTPStatus.OK else {}
        except (ValueError, TypeError):  # a server may answer any path
            own = {}
        asked = {name: self.request[name] for name in DEFAULTS if name in self.request}
        return {**DEFAULTS, **{name: own[name] for name in DEFAULTS if name in own}, **asked}

    def _transform(self, instance: Instance, parameters: dict[str, Any], source: tuple[str, str], path: str) -> None:
        read, written = inside(self.folder / "in", path), inside(self.folder / "out", f"{path}.out")
        self.actor.s3.fetch(*source, read)
        written.parent.mkdir(parents=True, exist_ok=True)
        window: deque[Future[bytes]] = deque()
        concurrent = max(1, parameters["MaxConcurrentTransforms"])
        end = self._target.get("AssembleWith", "None")
        opened = gzip.open if self._source.get("CompressionType") == "Gzip" else Path.open
        with (
            cast(IO[bytes], opened(read, "rb")) as file,
            written.open("wb") as out,
            ThreadPoolExecutor(concurrent) as pool,
        ):
            for payload in self._payloads(file, parameters):
                window.append(pool.submit(self._ask, instance, payload))
                if len(window) > concurrent:
                    out.write(assembled(window.popleft().result(), end))
            for answer in window:
                out.write(assembled(answer.result(), end))
        self.actor.s3.store(written, f"{self._target['S3OutputPath'].rstrip('/')}/{path}.out")
        read.unlink()
        written.unlink()

    def _payloads(self, file: IO[bytes], parameters: dict[str, Any]) -> Iterator[bytes]:
        limit = parameters["MaxPayloadInMB"] * MEGABYTE or None
        if self._source.get("SplitType", "None") == "None":
            whole = file.read()
            if limit and len(whole) > limit:
                raise JobError(f"ClientError: the object is larger than MaxPayloadInMB ({limit} bytes); set SplitType")
            yield whole
            return
        cut = many if parameters["BatchStrategy"] in ("MultiRecord", "MULTI_RECORD") else single
        yield from cut(file, limit or 100 * MEGABYTE)

    def _ask(self, instance: Instance, payload: bytes) -> bytes:
        headers = {
            **({"content-type": self._source["ContentType"]} if "ContentType" in self._source else {}),
            **({"accept": self._target["Accept"]} if "Accept" in self._target else {}),
        }
        problem = ""
        for _ in range(1 + self._retries):
            if self.stopped_by:
                raise Stopped
            try:
                answer = instance.invoke(payload, headers, self._timeout)
            except (OSError, http.client.HTTPException) as error:
                problem = f"InternalServerError: the model server did not answer: {error!r}"
                continue
            if answer.status == http.HTTPStatus.OK:
                return answer.body
            problem = f"{answer.status}: {answer.body.decode('utf-8', 'replace')}"
            if answer.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                problem = f"ClientError: {problem}"
                break
        raise JobError(f"{problem}. See job logs for more information")


def records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The non-empty lines of a stream, without their line ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines if line.strip())
    if rest.strip():
        yield rest


def single(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """Each record of an object as a payload (SingleRecord). Raises JobError for one longer than `limit` bytes."""
    for record in records(iter(lambda: file.read(CHUNK), b"")):
        if len(record) > limit:
            raise _too_long(len(record), limit)
        yield record


def many(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """An object as payloads of as many records as fit into `limit` bytes (MultiRecord), cut without parsing each.

    Raises JobError: a record is longer than the limit.
    """
    rest = b""
    while text := rest + file.read(limit + 1 - len(rest)):
        cut = text.rfind(b"\n") if len(text) > limit else len(text)
        if cut < 0:
            raise _too_long(len((text + file.readline()).rstrip(b"\r\n")), limit)
        payload, rest = text[:cut].strip(b"\n"), text[cut + 1 :]
        if b"\r" in payload or payload[:1].isspace() or _PERHAPS_EMPTY.search(payload):
            payload = b"\n".join(records([payload]))
        if payload.strip():
            yield payload


def _too_long(length: int, limit: int) -> JobError:
    return JobError(f"ClientError: a record of {length} bytes is larger than MaxPayloadInMB ({limit} bytes)")


def assembled(answer: bytes, assemble_with: str) -> bytes:
    """An answer as it goes into the output object: AssembleWith Line ends each with a line end, None adds nothing."""
    return answer + b"\n" if assemble_with == "Line" and not answer.endswith(b"\n") else answer
