"""A container of a model as an HTTP server on a free port: started, pinged, asked."""

import http.client
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_aws.sagemaker import faults
from local_aws.sagemaker.api.errors import JobError
from local_aws.sagemaker.host import Host
from local_aws.sagemaker.images import Image
from local_aws.sagemaker.jobs.container import Container

PING_SECONDS = 2.0  # "How your container should respond to health check (ping) requests"
ATTEMPTS = 2  # a server that does not reuse addresses cannot bind a port that is held for it


@dataclass(frozen=True)
class Answer:
    """What a container said; `setup_seconds` are those of the start before, if the request caused one."""

    container: str
    status: int
    headers: dict[str, str]
    body: bytes
    setup_seconds: float = 0.0


class ModelServer:
    """A container that serves, called `name` in errors, in the sandbox `root`.

    `environment` is all of its environment, `log` its log group and stream, `fault` an injected fault; a job's server
    `gives_way` to those of endpoints.
    """

    def __init__(
        self,
        host: Host,
        image: Image,
        root: Path,
        log: tuple[str, str],
        environment: dict[str, str],
        *,
        name: str,
        gives_way: bool,
        fault: str | None,
    ) -> None:
        self.name = name
        self._gives_way = gives_way
        self.root = root
        self._fault = fault
        self._host = host
        self._log = log
        self._image = image
        self._environment = environment
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._port = 0
        self.container: Container | None = None

    def start(self, seconds: float) -> str | None:
        """Start the process and return None when it passes its ping, else why it does not; empty when time is over.

        Raises JobError when it was stopped before.
        """
        deadline = time.monotonic() + seconds
        for attempt in range(ATTEMPTS):
            with free_port(held=attempt == 0) as port:
                with self._lock:
                    if self._closed:
                        raise JobError("The container was stopped before it answered.")
                    self._port = port
                    command = faults.command(self._fault, port) or self._image.command("serve", port)
                    environment = {**self._environment, "SAGEMAKER_BIND_TO_PORT": str(port)}
                    container = self.container = Container(
                        self._host, command, self.root, environment, self._log, gives_way=self._gives_way
                    )
                while not container.ended.wait(0.02):
                    if self._ping():
                        return None
                    if time.monotonic() > deadline:
                        container.kill()
                        return ""
        return f": it exited with code {container.exit_code}"

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
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(self.name, response.status, found, response.read())
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

    def _ping(self) -> bool:
        try:
            return self.ask("GET", "/ping", None, {}, PING_SECONDS, new=True).status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def free_port(*, held: bool) -> Iterator[int]:
    """Yield a free port, which on Linux no program is given while it is `held`; a server can bind it that asks for it.

    Without this, two models that start at once could get one port, and both rows go to the first.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        # Only now: this socket itself must not get a port that another one holds.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not (held and sys.platform == "linux"):
            probe.close()
        yield port
