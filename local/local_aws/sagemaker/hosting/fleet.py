"""The running instances behind one endpoint config: they receive traffic, drain and end together."""

import random
import shutil
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local_aws.sagemaker import faults
from local_aws.sagemaker.api.errors import JobError, ServiceError, ValidationError
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.hosting.data_capture import Capture
from local_aws.sagemaker.hosting.instance import RESOLVED, Instance
from local_aws.sagemaker.hosting.variant import Instances, Serverless, Variant

DRAIN_SECONDS = 65.0


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
        self._ended = False
        self._find_model = find_model
        self._variants: dict[str, Variant] = {}

    @property
    def name(self) -> str:
        """The endpoint config's name."""
        return str(self.config["EndpointConfigName"])

    def describe(self) -> list[dict[str, Any]]:
        """The variants as DescribeEndpoint shows them."""
        return [
            {
                "VariantName": (name := variant["VariantName"]),
                **dict.fromkeys(("CurrentWeight", "DesiredWeight"), variant.get("InitialVariantWeight", 1.0)),
                **self._variants[name].describe(),
            }
            for variant in self.config["ProductionVariants"]
        ]

    def start(self) -> None:
        """Start all variants and return when each has passed its ping. Raises JobError, as FailureReason words it."""
        fault = self.host.faults.strike("Endpoint", self.name, self._endpoint)
        faults.check_capacity(fault)
        try:
            variants = {
                variant["VariantName"]: self._variant(variant, fault) for variant in self.config["ProductionVariants"]
            }
        except ServiceError as error:
            raise JobError(error.message) from error
        with self._idle:
            if self._ended:
                raise JobError("The endpoint was ended before it started.")
            self._variants = variants
        with ThreadPoolExecutor(len(variants)) as pool:
            starting = [pool.submit(variant.start) for variant in variants.values()]
        for started in starting:
            started.result()

    def enter(self) -> None:
        """A request is on its way here; call it under the lock that guards the traffic."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """The request has been answered."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def choose(self, name: str | None) -> tuple[str, Variant]:
        """The variant of this name, or one by weight. Raises ValidationError when there is none of that name."""
        if name is None:
            weights: dict[str, float] = {entry["VariantName"]: entry["CurrentWeight"] for entry in self.describe()}
            name = random.choices(list(weights), list(weights.values()))[0]  # noqa: S311 traffic, not secrets
        if name not in self._variants:
            raise ValidationError(f"Variant {name} not found for Request")
        return name, self._variants[name]

    def stop(self) -> None:
        """Wait for the requests in flight, then end all instances and remove their sandboxes."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, DRAIN_SECONDS)
        self.end(self.host.grace_seconds)

    def end(self, grace_seconds: float = 0.0) -> None:
        """End all instances, whatever they are doing."""
        with self._idle:
            self._ended = True
        for variant in self._variants.values():
            variant.stop(grace_seconds)
        if self.capture is not None:
            self.host.captures.flush()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _variant(self, variant: dict[str, Any], fault: str | None) -> Variant:
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

        def instance() -> Instance:
            number = uuid.uuid4().hex[:17]
            return Instance(
                self.host,
                model,
                self._folder / name / number,
                (self.log_group, f"{name}/i-{number}"),
                {},
                actor=actor,
                startup_seconds=seconds,
                variant=name,
                fault=fault,
            )

        if "ServerlessConfig" in variant:
            return Serverless(instance, variant["ServerlessConfig"], self.host.idle_seconds)
        return Instances([instance() for _ in range(variant.get("InitialInstanceCount", 1))])
