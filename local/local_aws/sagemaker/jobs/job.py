"""The common parts of processing, training and transform jobs: thread, containers, stop, time limits and end."""

import json
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from local_aws.sagemaker import faults
from local_aws.sagemaker.api.errors import JobError, ValidationException
from local_aws.sagemaker.api.records import Kept, Kind, Record, path
from local_aws.sagemaker.host import Actor, Host
from local_aws.sagemaker.jobs.container import Container, cause_of_exit

DEFAULT_RUNTIME_SECONDS = 86400  # StoppingCondition's default, its API page
REASON_LENGTH = 1024  # FailureReason and ExitMessage, their API model

log = logging.getLogger(__name__)
ENDED = ("Completed", "Failed", "Stopped")
LOST = "InternalServerError: The local AWS ended while the job ran. Start it again."


class Stoppable(Protocol):
    """What a job ends when it is stopped: a container, an instance, or its wait for one."""

    def stop(self, grace_seconds: float, /) -> None:
        """End it, in the grace if it can."""

    def kill(self) -> None:
        """End it at once."""


class Stopped(Exception):
    """The job was stopped before its next step."""


class Job(Record):
    """A job. `start` returns at once; `done` is set when its status is final."""

    def __init__(self, kind: Kind, host: Host, arn: str, request: dict[str, Any], tags: dict[str, str]) -> None:
        super().__init__(kind, arn, {**request, f"{kind.noun}Status": "InProgress"}, tags)
        self.host = host
        self.request = request
        self.done = threading.Event()
        self.folder = host.home / "jobs" / path(kind.noun) / self.name
        self.stopped_by = ""
        self.fault: str | None = None
        self._at_end: list[Callable[[], None]] = []
        self._attached: list[Stoppable] = []
        self._timer: threading.Timer | None = None
        self._noun = kind.noun.removesuffix("Job")
        self.group = f"/aws/sagemaker/{self._noun}Jobs"
        self.actor: Actor

    def keep(self) -> Kept:
        """What is kept of it over a restart."""
        return {**super().keep(), "request": self.request}

    def recall(self, kept: Kept) -> None:
        """Be the one that was kept, which has failed if it had not ended."""
        super().recall(kept)
        if self.status not in ENDED:
            self.settle("Failed", LOST)
        self.done.set()

    def needs(self) -> tuple[str, list[str], str | None]:
        """The role that it works in, its images, and the KMS key of its volumes."""
        raise NotImplementedError

    def vpc(self) -> dict[str, list[str]] | None:
        """Its VpcConfig. No process is put in it; the role must be allowed to."""
        found: dict[str, list[str]] | None = (self.request.get("NetworkConfig") or self.request).get("VpcConfig")
        return found

    def work(self) -> None:
        """Do the job. Raises JobError when it fails."""
        raise NotImplementedError

    def start(self) -> None:
        """Work in a thread of its own."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back once the status is final, or now if it is."""
        with self.lock:
            if not self.done.is_set():
                self._at_end.append(callback)
                return
        callback()

    def stop(self, why: str = "Stopped") -> None:
        """Begin to stop: SIGTERM, then SIGKILL after the grace. Raises ValidationException when it has ended."""
        with self.lock:
            if self.done.is_set():
                words = f"{self._noun.lower()} job is in status {self.status}"
                raise ValidationException(f"The request was rejected because the {words}.")
            if self.stopped_by:
                return
            self.stopped_by = why
            self.update(**{f"{self.kind.noun}Status": "Stopping"})
            attached = list(self._attached)
        for running in attached:
            threading.Thread(target=running.stop, args=(self.host.grace_seconds,), daemon=True).start()

    def kill(self) -> None:
        """End its processes now, because the local AWS ends."""
        with self.lock:
            self.stopped_by = self.stopped_by or "Stopped"
            self.kill_programs()

    def kill_programs(self) -> None:
        """End what runs of it."""
        for running in list(self._attached):
            running.kill()

    def attach(self, running: Stoppable) -> None:
        """Stop this together with the job. Raises Stopped when the job is being stopped."""
        with self.lock:
            if self.stopped_by:
                raise Stopped
            self._attached.append(running)

    def begin(self, max_runtime: int | None, why: str = "MaxRuntimeExceeded") -> None:
        """The containers are about to start: note the time, and stop the job when its runtime is over."""
        if self._timer:
            self._timer.cancel()
        self.update(**{f"{self._noun}StartTime": datetime.now(UTC)})
        scale = self.host.wait_scale if self.fault == faults.HANG else 1.0  # tests need not wait
        self._timer = threading.Timer(scale * (max_runtime or DEFAULT_RUNTIME_SECONDS), self._time_is_over, [why])
        self._timer.daemon = True
        self._timer.start()

    def launch(
        self,
        command: list[str],
        root: Path,
        environment: dict[str, str],
        stream: str,
        **calls: Callable[[Any], None],
    ) -> Container:
        """Start a container in a sandbox; `calls` are its `on_line` and `on_end`.

        Raises Stopped when the job is being stopped, JobError for a bad command.
        """
        network = not (self.request.get("NetworkConfig") or self.request).get("EnableNetworkIsolation", False)
        own = self.host.environment(self.actor, network=network)
        with self.lock:
            if self.stopped_by:
                raise Stopped
            try:
                container = Container(
                    self.host,
                    faults.command(self.fault) or command,
                    root,
                    {**own, **environment, **self.request.get("Environment", {})},
                    (self.group, f"{self.name}/{stream}"),
                    gives_way=True,
                    **calls,
                )
            except OSError as error:
                raise JobError(f"ClientError: cannot start {command[0]}: {error.strerror}") from error
            self.attach(container)
        return container

    def run_containers(self, starts: list[Callable[[Callable[[Container], None]], Container]]) -> None:
        """Start containers and wait for all; the first that fails ends the others. Raises JobError with its code."""
        ended: queue.SimpleQueue[Container] = queue.SimpleQueue()
        containers = [start(ended.put) for start in starts]
        code = 0
        for _ in containers:
            container = ended.get()
            if container.exit_code and not code:
                code = container.exit_code
                for other in containers:
                    other.kill()
        if code and not self.stopped_by:
            raise JobError(cause_of_exit(code))

    def stream(self, number: int) -> str:
        """The log stream's name below the job's, of the instance `algo-<number>`."""
        return f"algo-{number}-{int(time.time())}"

    def settle(self, status: str, reason: str | None) -> None:
        """Write the final status into the document."""
        ended = {f"{self._noun}EndTime": datetime.now(UTC), f"{self.kind.noun}Status": status}
        self.update(**ended, **({"FailureReason": reason} if reason else {}))

    def _time_is_over(self, why: str) -> None:
        try:
            self.stop(why)
        except ValidationException:
            return  # it ended in the same moment

    def _run(self) -> None:
        status, reason = "Completed", ""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)  # of a failed job of this name, before a reset
            self.folder.mkdir(parents=True)
            self.fault = self.host.faults.strike(self.kind.noun, self.name)
            faults.check_capacity(self.fault)
            role, images, key = self.needs()
            self.actor = self.host.act(role, images, self.group, [key] if key else [], self.vpc())
            self.work()
        except Stopped:
            log.info("%s stopped before it started", self.name)
        except JobError as error:
            status, reason = "Failed", str(error)
        except Exception as error:
            log.exception("%s", self.name)
            status, reason = "Failed", f"InternalServerError: {error!r}"
        finally:
            if self._timer:
                self._timer.cancel()
        self.host.logs.flush()
        if status != "Failed":  # a failed job's sandbox stays for inspection
            shutil.rmtree(self.folder, ignore_errors=True)
        reason = self.host.sandboxes.shown(reason)[:REASON_LENGTH]
        with self.lock:
            self.settle("Stopped" if self.stopped_by else status, None if self.stopped_by else reason)
            self.done.set()
        for callback in self._at_end:
            callback()


def write_json(path: Path, value: Any) -> None:
    """Write a container's configuration file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, default=str))


def resource_config(current: str, hosts: list[str], instance_type: str) -> dict[str, Any]:
    """resourceconfig.json, as processing and training containers read it."""
    instance = {"current_host": current, "hosts": hosts, "current_instance_type": instance_type}
    return instance | {"network_interface_name": "lo"}
