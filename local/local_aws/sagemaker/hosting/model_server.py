"""A model's container as an HTTP server on a free port: started, pinged, invoked."""

import http.client
import socket
import tarfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.sagemaker import faults, images
from local_aws.sagemaker.api.errors import JobError, ValidationException
from local_aws.sagemaker.host import Actor, Host
from local_aws.sagemaker.jobs.container import Container
from local_aws.sagemaker.s3 import split

PING_SECONDS = 2.0  # "How your container should respond to health check (ping) requests"
RESOLVED = "ResolvedContainer"  # a model's container when it comes of a model package; no member of DescribeModel
ATTEMPTS = 2  # another process may take the free port before the server binds it


@dataclass(frozen=True)
class Answer:
    """What the container said."""

    status: int
    headers: dict[str, str]
    body: bytes


def definition(model: dict[str, Any]) -> dict[str, Any]:
    """The one container of a model's document. Raises ValidationException for models that do not run here."""
    primary = model.get(RESOLVED) or model.get("PrimaryContainer")
    containers = [primary] if primary else model.get("Containers", [])
    if len(containers) != 1 or "Image" not in containers[0]:
        raise ValidationException(
            "A local model has one container: an Image and, if it wants data, a ModelDataUrl, or a ModelPackageName."
        )
    return dict(containers[0])


class ModelServer:
    """One instance of a model (DescribeModel's document) in the sandbox `root`, which it makes.

    `log` is a log group and a log stream; `environment` overrides the model's; `fault` is an injected fault.
    """

    def __init__(
        self,
        host: Host,
        model: dict[str, Any],
        root: Path,
        log: tuple[str, str],
        environment: dict[str, str],
        *,
        actor: Actor,
        variant: str | None = None,
        fault: str | None = None,
    ) -> None:
        self._name = f"The primary container for production variant {variant}" if variant else "The primary container"
        self._owner = "endpoint" if variant else "job"
        self._fault = fault
        self._host = host
        self._log = log
        self._actor = actor
        self._root = root
        self._container_definition = definition(model)
        self._image = images.find(host.images, self._container_definition["Image"], "serve")
        given = self._container_definition.get("Environment", {})
        self._environment = {
            **host.environment(actor, network=not model.get("EnableNetworkIsolation", False)),
            **self._image.environment,
            **given,
            **environment,
        }
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._port = 0
        self.container: Container | None = None

    def fetch_model(self) -> None:
        """Put the model's data below `<root>/model`. Raises JobError."""
        folder = self._root / "model"
        folder.mkdir(parents=True)
        url = self._container_definition.get("ModelDataUrl")
        if url:
            archive = self._root / "model.tar.gz"
            try:
                self._actor.s3.fetch(*split(url), archive)
                with tarfile.open(archive) as tar:
                    tar.extractall(folder, filter="data")
            except (JobError, tarfile.TarError, EOFError, OSError) as error:
                raise JobError(
                    f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
                    f"there is an object located at the URL and that it is a gzipped tar archive. ({error})"
                ) from error
            archive.unlink()

    def start(self, seconds: float) -> None:
        """Start the process and return when it passes its ping. Raises JobError when it ends or time is over."""
        deadline = time.monotonic() + seconds
        for attempt in range(ATTEMPTS):
            with self._lock:
                if self._closed:
                    raise JobError("The container was stopped before it answered.")
                port = self._port = _free_port()
                command = faults.command(self._fault, port) or self._image.command("serve", port)
                self.container = Container(self._host, command, self._root, self._environment, self._log)
            while not self.container.ended.wait(0.02):
                if self._ping():
                    return
                if time.monotonic() > deadline:
                    self.container.kill()
                    raise self._unhealthy("")
            if attempt + 1 == ATTEMPTS:
                raise self._unhealthy(f": it exited with code {self.container.exit_code}")

    def ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float, *, new: bool = False
    ) -> Answer:
        """One HTTP request, over a kept connection unless `new`.

        Raises TimeoutError without an answer in time, OSError or http.client.HTTPException when the process is gone.
        """
        with self._lock:
            kept = self._idle.pop() if self._idle and not new else None
        connection = kept or http.client.HTTPConnection("127.0.0.1", self._port)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            # A kept connection that the server has closed meanwhile says nothing about the server.
            if kept is not None and not isinstance(error, TimeoutError):
                return self.ask(method, path, body, headers, timeout, new=True)
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return answer

    def stop(self, grace_seconds: float) -> None:
        """End the process and close the connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self.container is not None:
            self.container.stop(grace_seconds)

    def kill(self) -> None:
        """End the process at once, and for good."""
        with self._lock:
            self._closed = True
        if self.container is not None:
            self.container.kill()

    def _unhealthy(self, detail: str) -> JobError:
        advice = f"Please check CloudWatch logs for this {self._owner}."
        return JobError(f"{self._name} did not pass the ping health check{detail}. {advice}")

    def _ping(self) -> bool:
        try:
            return self.ask("GET", "/ping", None, {}, PING_SECONDS, new=True).status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
