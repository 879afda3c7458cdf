"""The running instances behind one endpoint config: they receive traffic, drain and end together."""

import http.client
import logging
import random
import shutil
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local_aws.sagemaker import faults
from local_aws.sagemaker.api.errors import JobError, ModelError, ServiceError, ServiceUnavailable, ValidationError
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.hosting.data_capture import Capture
from local_aws.sagemaker.hosting.instance import RESOLVED, Instance
from local_aws.sagemaker.hosting.model_server import Answer

INVOKE_SECONDS = 60.0  # InvokeEndpoint's API page
READY_SECONDS = 2.0  # how long a request waits for an instance that is being restarted
DRAIN_SECONDS = 65.0
MAX_BETWEEN = 5 << 20  # from one container of a pipeline to the next, "Troubleshoot Inference Pipelines"
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container {}. Review the latency metrics for each "
    "container in Amazon CloudWatch, resolve the issue, and try again."
)

log = logging.getLogger(__name__)


class Fleet:
    """All instances of one endpoint config (DescribeEndpointConfig's document).

    `find_model` returns DescribeModel's document by name and raises ServiceError.
    """

    def __init__(
        self, host: Host, endpoint: str, config: dict[str, Any], find_model: Callable[[str], dict[str, Any]]
    ) -> None:
        self.config = config
        self._endpoint = endpoint
        self.log_group = f"/aws/sagemaker/Endpoints/{endpoint}"
        self.capture: Capture | None = None
        self.host = host
        self._folder = host.home / "endpoints" / endpoint / uuid.uuid4().hex[:8]
        self._idle = threading.Condition()
        self._in_flight = 0
        self._turn = 0
        self._ended = False
        self._find_model = find_model
        self._variants: dict[str, list[Instance]] = {}

    @property
    def name(self) -> str:
        """The endpoint config's name."""
        return str(self.config["EndpointConfigName"])

    def describe(self) -> list[dict[str, Any]]:
        """The variants as DescribeEndpoint shows them."""
        counts = {name: len(instances) for name, instances in self._variants.items()}
        return [
            {
                "VariantName": (name := variant["VariantName"]),
                **dict.fromkeys(("CurrentWeight", "DesiredWeight"), variant.get("InitialVariantWeight", 1.0)),
                **dict.fromkeys(("CurrentInstanceCount", "DesiredInstanceCount"), counts[name]),
            }
            for variant in self.config["ProductionVariants"]
        ]

    def start(self) -> None:
        """Start all instances and return when each has passed its ping. Raises JobError, as FailureReason words it."""
        fault = self.host.faults.strike("Endpoint", self.name, self._endpoint)
        faults.check_capacity(fault)
        try:
            variants = {
                variant["VariantName"]: self._instances(variant, fault) for variant in self.config["ProductionVariants"]
            }
        except ServiceError as error:
            raise JobError(error.message) from error
        with self._idle:
            if self._ended:
                raise JobError("The endpoint was ended before it started.")
            self._variants = variants
        all_instances = [instance for instances in variants.values() for instance in instances]
        with ThreadPoolExecutor(len(all_instances)) as pool:
            starting = [pool.submit(instance.start) for instance in all_instances]
        for started in starting:
            started.result()
        for instance in all_instances:
            instance.keep_running()

    def enter(self) -> None:
        """A request is on its way here; call it under the lock that guards the traffic."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """The request has been answered."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def choose(self, variant: str | None) -> str:
        """The variant that is asked for, or one by weight. Raises ValidationError when there is none of that name."""
        if variant is None:
            weights: dict[str, float] = {entry["VariantName"]: entry["CurrentWeight"] for entry in self.describe()}
            return random.choices(list(weights), list(weights.values()))[0]  # noqa: S311 traffic, not secrets
        if variant not in self._variants:
            raise ValidationError(f"Variant {variant} not found for Request")
        return variant

    def invoke(self, variant: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send a request to an instance of a variant and return its answer.

        Raises ServiceUnavailable when no instance is ready, or one went away twice; ModelError after 60 s, or when a
        container sends the next too much.
        """
        for _ in range(2):
            instance = self._ready(self._variants[variant])
            try:
                return instance.invoke(body, headers, INVOKE_SECONDS, MAX_BETWEEN)
            except TimeoutError as error:
                text = TIMED_OUT.format(error)
                raise ModelError(
                    f'Received server error (0) from {error} with message "{text}".',
                    OriginalStatusCode=0,
                    OriginalMessage=text,
                ) from error
            except (OSError, http.client.HTTPException) as error:
                log.warning("%s: %r", self.log_group, error)
        raise ServiceUnavailable("The container went away while it worked on the request; it is being restarted.")

    def stop(self) -> None:
        """Wait for the requests in flight, then end all instances and remove their sandboxes."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, DRAIN_SECONDS)
        self.end(self.host.grace_seconds)

    def end(self, grace_seconds: float = 0.0) -> None:
        """End all instances, whatever they are doing."""
        with self._idle:
            self._ended = True
        for instances in self._variants.values():
            for instance in instances:
                instance.stop(grace_seconds)
        if self.capture is not None:
            self.host.captures.flush()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _instances(self, variant: dict[str, Any], fault: str | None) -> list[Instance]:
        name = variant["VariantName"]
        model = self._find_model(variant["ModelName"])
        key = self.config.get("KmsKeyId")
        images = [container["Image"] for container in model[RESOLVED]]
        role, keys = model.get("ExecutionRoleArn", ""), [key] if key else []
        actor = self.host.act(role, images, self.log_group, keys, model.get("VpcConfig"))
        captured = self.config.get("DataCaptureConfig") or {}
        if captured.get("EnableCapture"):
            self.capture = Capture(self.host.captures, actor.s3.client, self._endpoint, captured)
        seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", self.host.startup_seconds)
        if fault == faults.NEVER_READY:  # tests need not wait
            seconds *= self.host.wait_scale
        instances = []
        for number in range(variant.get("InitialInstanceCount", 1)):
            log_to = (self.log_group, f"{name}/i-{uuid.uuid4().hex[:17]}")
            folder = self._folder / name / str(number)
            instance = Instance(
                self.host, model, folder, log_to, {}, actor=actor, startup_seconds=seconds, variant=name, fault=fault
            )
            instances.append(instance)
        return instances

    def _ready(self, instances: list[Instance]) -> Instance:
        self._turn += 1
        start = self._turn % len(instances)
        order = instances[start:] + instances[:start]
        for instance in order:
            if instance.ready.is_set():
                return instance
        if not order[0].ready.wait(READY_SECONDS):
            raise ServiceUnavailable("No instance of the endpoint is ready; the containers are being restarted.")
        return order[0]
