"""Endpoints: creation, blue/green updates, deletion and invocation."""

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

from local_aws.sagemaker.api.errors import JobError, ValidationException
from local_aws.sagemaker.api.records import ENDPOINT, Kept, Record
from local_aws.sagemaker.hosting.fleet import Fleet
from local_aws.sagemaker.hosting.rollout import Traffic

REASON_LENGTH = 1024
UNDONE = "The deployment was rolled back. The local AWS ended while it ran."
EVENT_MEMBERS = ("EndpointName", "EndpointArn", "EndpointConfigName", "ProductionVariants", "FailureReason")
Route = Callable[[float], None]
Stage = Callable[[str, str], None]
Shift = Callable[[Route, Stage, Event], str | None]

log = logging.getLogger(__name__)


class Endpoint(Record):
    """An endpoint. Its traffic goes to one fleet, or to two during an update; a lock guards each change.

    Each change of its status is an event ("Events that Amazon SageMaker AI sends to Amazon EventBridge").
    """

    def __init__(self, arn: str, name: str, tags: dict[str, str], fleet: Fleet) -> None:
        document = {"EndpointName": name, "EndpointStatus": "Creating", "EndpointConfigName": fleet.name}
        super().__init__(ENDPOINT, arn, document, tags)
        self._traffic = Traffic({})
        self._fleets = [fleet]
        self._ended = Event()
        self._events = fleet.host.events

    def create(self) -> None:
        """Start the first fleet in the background; InService or Failed at the end."""
        self.update(EndpointStatus="Creating")
        self._in_background(self._start_first, self._fleets[0])

    @property
    def live_config(self) -> dict[str, Any]:
        """The endpoint config that serves; empty when none does."""
        return self._fleets[0].config if self._fleets else {}

    def keep(self) -> Kept:
        """What is kept of it over a restart: that it serves, not a change under way."""
        return {**super().keep(), "config": self.live_config}

    def resume(self) -> None:
        """Serve again what served; return once it does, or has failed. A change that was under way is undone."""
        if self.status != "Failed":
            self._guard(self._start_first, self._fleets[0])

    def change(self, fleet: Fleet, deployment: dict[str, Any] | None, shift: Shift) -> None:
        """Replace the fleet in the background.

        `shift` moves the traffic and returns a reason to move it back. `deployment` is shown once it has succeeded.

        Raises:
            ValidationException: The endpoint is not InService.
        """
        with self.lock:
            if self.status == "Failed":
                raise ValidationException(f'Cannot update failed endpoint "{self.arn}"; it can only be deleted.')
            if self.status != "InService":
                raise ValidationException(f'Cannot update in-progress endpoint "{self.arn}".')
            pending = {"EndpointConfigName": fleet.name, "StartTime": datetime.now(UTC)}
            pending["ProductionVariants"] = [
                {"VariantName": variant["VariantName"], "VariantStatus": [{"Status": "Creating"}]}
                for variant in fleet.config["ProductionVariants"]
            ]
            self.update(EndpointStatus="Updating", PendingDeploymentSummary=pending, FailureReason=None)
            self._fleets.append(fleet)
        self._in_background(self._change, fleet, deployment, shift)

    def delete(self, forget: Callable[[], None]) -> None:
        """Take the traffic away and end the fleet in the background, then `forget` the endpoint.

        Raises ValidationException: it is being created or changed.
        """
        with self.lock:
            if self.status not in ("InService", "Failed"):
                raise ValidationException(f'Cannot update in-progress endpoint "{self.arn}".')
            self.update(EndpointStatus="Deleting")
            self._traffic = Traffic({})
        self._in_background(self._delete, forget)

    def enter(self) -> Fleet | None:
        """The fleet that takes the next request, which must `leave` it; None when the endpoint serves nothing."""
        with self.lock:
            fleet = self._traffic.next()
            if fleet is not None:
                fleet.enter()
            return fleet

    def kill(self) -> None:
        """End all its processes now, because the local AWS ends."""
        self._ended.set()
        with self.lock:
            self._traffic = Traffic({})
            fleets = list(self._fleets)
        for fleet in fleets:
            fleet.end()

    def update(self, **members: Any) -> None:
        """Change the document at once, and send the event of a new status."""
        super().update(**members)
        if "EndpointStatus" not in members:
            return
        found = self.describe()
        shown = {name: found[name] for name in EVENT_MEMBERS if name in found}
        times = {name: found[name].timestamp() * 1000 for name in ("CreationTime", "LastModifiedTime")}
        # Here in capitals, unlike in DescribeEndpoint.
        status = re.sub("(?<!^)(?=[A-Z])", "_", self.status).upper()
        detail = {**shown, **times, "EndpointStatus": status, "Tags": self.tags}
        self._events.send("SageMaker Endpoint State Change", self.arn, detail)

    def _start_first(self, fleet: Fleet) -> None:
        reason = self._start(fleet)
        if reason:
            self.update(EndpointStatus="Failed", FailureReason=reason)
            return
        with self.lock:
            if self.status == "InService":
                self._traffic = Traffic({fleet: 1.0})
                return
            undone = UNDONE if self.status == "Updating" else None
            self._route(fleet, EndpointStatus="InService", PendingDeploymentSummary=None, FailureReason=undone)

    def _change(self, green: Fleet, deployment: dict[str, Any] | None, shift: Shift) -> None:
        blue = self._fleets[0]
        reason = self._start(green)
        if reason is None:
            reason = shift(lambda share: self._split(blue, green, share), self._stage, self._ended)
            if reason is not None:
                reason = f"The deployment was rolled back. {reason}"[:REASON_LENGTH]
                self._route(blue)
                green.stop()
                self._fleets.remove(green)
        if reason is not None:  # the old config stays and serves; AWS says so in FailureReason alone
            self.update(EndpointStatus="InService", PendingDeploymentSummary=None, FailureReason=reason)
            return
        self._route(green)
        blue.stop()
        self._fleets.remove(blue)
        self.update(
            EndpointStatus="InService",
            EndpointConfigName=green.name,
            PendingDeploymentSummary=None,
            LastDeploymentConfig=deployment,
        )

    def _split(self, blue: Fleet, green: Fleet, share: float) -> None:
        with self.lock:
            self._traffic = Traffic({blue: 1.0 - share, green: share})

    def _stage(self, status: str, message: str) -> None:
        with self.lock:
            pending = self.describe()["PendingDeploymentSummary"]
            now = {"Status": status, "StatusMessage": message, "StartTime": datetime.now(UTC)}
            variants = [{**variant, "VariantStatus": [now]} for variant in pending["ProductionVariants"]]
            self.update(PendingDeploymentSummary={**pending, "ProductionVariants": variants})

    def _delete(self, forget: Callable[[], None]) -> None:
        for fleet in self._fleets:
            fleet.stop()
        forget()

    def _start(self, fleet: Fleet) -> str | None:
        try:
            fleet.start()
        except JobError as error:
            fleet.end()
            self._fleets.remove(fleet)
            return fleet.host.sandboxes.shown(str(error))[:REASON_LENGTH]
        return None

    def _route(self, fleet: Fleet, **members: Any) -> None:
        capture = fleet.config.get("DataCaptureConfig")
        with self.lock:
            self._traffic = Traffic({fleet: 1.0})
            self.update(ProductionVariants=fleet.describe(), DataCaptureConfig=_capture_summary(capture), **members)

    def _in_background(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=self._guard, args=(work, *arguments), name=self.name, daemon=True).start()

    def _guard(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception:
            log.exception("%s", self.name)
            self.update(EndpointStatus="Failed", FailureReason="InternalServerError: see the local AWS's log")


def _capture_summary(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    enabled = config.get("EnableCapture", False)
    status = {"EnableCapture": enabled, "CaptureStatus": "Started" if enabled else "Stopped"}
    target = {"DestinationS3Uri": config["DestinationS3Uri"], "KmsKeyId": config.get("KmsKeyId", "")}
    return {**status, "CurrentSamplingPercentage": config["InitialSamplingPercentage"], **target}
