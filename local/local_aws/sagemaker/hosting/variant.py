"""A production variant of a fleet: instances that run all the time, or a serverless process that a request starts.

Source of the second: "Deploy models with Amazon SageMaker Serverless Inference" in the developer guide. AWS starts a
container per concurrent request; here one process serves all of them.
"""

import http.client
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from local_aws.sagemaker.api.errors import (
    JobError,
    ModelError,
    ServiceUnavailable,
    ThrottlingException,
    ValidationException,
)
from local_aws.sagemaker.hosting.instance import RESOLVED, Instance
from local_aws.sagemaker.hosting.model_server import Answer

INVOKE_SECONDS = 60.0  # InvokeEndpoint's API page
READY_SECONDS = 2.0  # how long a request waits for an instance that is being restarted
MAX_BODY = 6_291_456  # InvokeEndpoint's API page
MAX_SERVERLESS_BODY = 4 << 20  # "Invoke a serverless endpoint"
MAX_BETWEEN = 5 << 20  # from one container of a pipeline to the next, "Troubleshoot Inference Pipelines"
WATCH_SECONDS = 0.2
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container {}. Review the latency metrics for each "
    "container in Amazon CloudWatch, resolve the issue, and try again."
)

log = logging.getLogger(__name__)


class Variant(ABC):
    """What a variant does whatever it runs on; `max_body` are the most bytes of a request."""

    max_body = MAX_BODY

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Its members of DescribeEndpoint beside its name and weights."""

    @abstractmethod
    def start(self) -> None:
        """Start, and return when all has passed its ping. Raises JobError, as FailureReason words it."""

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """The length of a request. Raises ThrottlingException when it is one too many."""
        yield

    @abstractmethod
    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Answer an admitted request.

        Raises ServiceUnavailable when no instance is ready, or one went away twice; ModelError after 60 s, or when a
        container sends the next too much, or a serverless one went away.
        """

    @abstractmethod
    def stop(self, grace_seconds: float) -> None:
        """End all processes, for good."""


class Instances(Variant):
    """Instances that run all the time and take turns."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = list(instances)
        self._turn = 0

    def describe(self) -> dict[str, Any]:
        """The number of instances."""
        return dict.fromkeys(("CurrentInstanceCount", "DesiredInstanceCount"), len(self._instances))

    def start(self) -> None:
        """Start all instances, and each again that ends."""
        with ThreadPoolExecutor(len(self._instances)) as pool:
            starting = [pool.submit(instance.start) for instance in self._instances]
        for started in starting:
            started.result()
        for instance in self._instances:
            instance.keep_running()

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Ask the next instance that is ready; another one if it goes away."""
        for _ in range(2):
            instance = self._ready()
            try:
                return _asked(instance, body, headers)
            except (OSError, http.client.HTTPException) as error:
                log.warning("%r", error)
        raise ServiceUnavailable("The container went away while it worked on the request; it is being restarted.")

    def stop(self, grace_seconds: float) -> None:
        """End all instances."""
        for instance in self._instances:
            instance.stop(grace_seconds)

    def _ready(self) -> Instance:
        self._turn += 1
        start = self._turn % len(self._instances)
        order = self._instances[start:] + self._instances[:start]
        for instance in order:
            if instance.ready.is_set():
                return instance
        if not order[0].ready.wait(READY_SECONDS):
            raise ServiceUnavailable("No instance of the endpoint is ready; the containers are being restarted.")
        return order[0]


class Serverless(Variant):
    """A process that a request starts and that ends when it was idle for `idle_seconds`.

    `make` returns a new instance, `config` is the variant's ServerlessConfig. A process above the memory ends, as the
    kernel would end its container.
    """

    max_body = MAX_SERVERLESS_BODY

    def __init__(self, make: Callable[[], Instance], config: dict[str, int], idle_seconds: float) -> None:
        self._make, self._config, self._idle_seconds = make, config, idle_seconds
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._in_flight = 0
        self._used_at = 0.0
        self._made: Instance | None = None
        self._warm: Instance | None = None
        self._ended = False

    def describe(self) -> dict[str, Any]:
        """The limits, and no instances."""
        return {"CurrentInstanceCount": 0, "CurrentServerlessConfig": self._config}

    def start(self) -> None:
        """Try whether the model starts; the first request starts it again."""
        instance = self._new()
        try:
            instance.start()
        finally:
            instance.remove()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count the request as one of MaxConcurrency."""
        with self._lock:
            if self._in_flight >= self._config["MaxConcurrency"]:
                raise ThrottlingException("Rate exceeded")
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1
                self._used_at = time.monotonic()

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Ask the process, which starts first if there is none."""
        began, warm = time.monotonic(), self._warm
        instance = warm or self._started()
        setup = 0.0 if warm else time.monotonic() - began
        try:
            return replace(_asked(instance, body, headers), setup_seconds=setup)
        except (OSError, http.client.HTTPException) as error:
            log.warning("%r", error)
            self._forget(instance)
            if warm and isinstance(error, ConnectionRefusedError):  # it may have ended before the request
                return self.invoke(body, headers)
        raise _gone("The container ended while it worked on the request.")

    def stop(self, grace_seconds: float) -> None:
        """End the process, also one that is being started."""
        with self._lock:
            self._ended = True
            instance = self._made
        if instance is not None:
            instance.stop(grace_seconds)

    def _new(self) -> Instance:
        instance = self._make()
        with self._lock:
            if self._ended:
                raise JobError("The endpoint was ended before it started.")
            self._made = instance
        return instance

    def _started(self) -> Instance:
        """The process, once it serves; requests that come meanwhile wait for the same one."""
        with self._starting:
            if (warm := self._warm) is not None:
                return warm
            try:
                instance = self._new()
                instance.start()
            except JobError as error:
                raise _gone(str(error)) from error
            self._warm = instance
        threading.Thread(target=self._watch, args=(instance,), daemon=True).start()
        return instance

    def _watch(self, instance: Instance) -> None:
        limit = self._config["MemorySizeInMB"] << 20
        while not instance.wait(WATCH_SECONDS):
            with self._lock:
                idle = not self._in_flight and time.monotonic() - self._used_at > self._idle_seconds
                if idle:
                    self._warm = None  # the next request starts another one
            if idle:
                break
            if (used := instance.memory_bytes()) > limit:
                log.warning("a serverless container has %d MB, MemorySizeInMB is %d", used >> 20, limit >> 20)
                instance.kill()
        self._forget(instance)
        instance.remove()

    def _forget(self, instance: Instance) -> None:
        """Let the next request start another process than this one."""
        with self._lock:
            if self._warm is instance:
                self._warm = None


def check_serverless(request: dict[str, Any], find_model: Callable[[str], dict[str, Any]]) -> None:
    """Raise ValidationException for a CreateEndpointConfig of a serverless endpoint that AWS would refuse.

    The rules are the developer guide's "Feature exclusions"; it gives no texts.
    """
    variants = request["ProductionVariants"]
    for variant in (each for each in variants if "ServerlessConfig" in each):
        config, model = variant["ServerlessConfig"], find_model(variant["ModelName"])
        refused = {
            "several production variants": len(variants) > 1,
            "an instance type or count": variant.keys() & {"InstanceType", "InitialInstanceCount"},
            "data capture": request.get("DataCaptureConfig", {}).get("EnableCapture"),
            "VPC configuration": "VpcConfig" in model,
            "network isolation": model.get("EnableNetworkIsolation"),
            "inference pipelines": len(model[RESOLVED]) > 1,
        }
        if found := [name for name, given in refused.items() if given]:
            raise ValidationException(f"Serverless endpoints do not support {', '.join(found)}.")
        if config["MemorySizeInMB"] % 1024:
            raise ValidationException(f"MemorySizeInMB {config['MemorySizeInMB']} is not a multiple of 1024.")
        if "ProvisionedConcurrency" in config:
            raise ValidationException("ProvisionedConcurrency does not run locally.")


def is_serverless(config: dict[str, Any]) -> bool:
    """Whether an endpoint config (DescribeEndpointConfig's document) is serverless."""
    return any("ServerlessConfig" in variant for variant in config.get("ProductionVariants", ()))


def _asked(instance: Instance, body: bytes, headers: dict[str, str]) -> Answer:
    try:
        return instance.invoke(body, headers, INVOKE_SECONDS, MAX_BETWEEN)
    except TimeoutError as error:
        text = TIMED_OUT.format(error)
        raise ModelError(
            f'Received server error (0) from {error} with message "{text}".', OriginalStatusCode=0, OriginalMessage=text
        ) from error


def _gone(text: str) -> ModelError:
    words = f'Received server error (500) from primary with message "{text}".'
    return ModelError(words, OriginalStatusCode=500, OriginalMessage=text)
