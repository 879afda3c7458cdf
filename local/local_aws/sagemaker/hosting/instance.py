"""One instance of a model: its only container, or the containers of its inference pipeline.

Source: "Run Real-time Predictions with an Inference Pipeline" and "Troubleshoot Inference Pipelines" in SageMaker's
developer guide.
"""

import logging
import shutil
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

from local_aws.archive import extract
from local_aws.sagemaker import faults, images
from local_aws.sagemaker.api.errors import JobError, ModelError
from local_aws.sagemaker.host import Actor, Host
from local_aws.sagemaker.hosting.model_server import Answer, ModelServer
from local_aws.sagemaker.s3 import S3, split

RESOLVED = "ResolvedContainers"  # all that a model runs, with those of its packages; no member of DescribeModel
OK = range(200, 300)
SLOWEST_RESTART_SECONDS = 30.0

log = logging.getLogger(__name__)


class Instance:
    """The containers of a model (DescribeModel's document), each in a sandbox of its own below `folder`.

    `log_to` is a log group and a stream; a pipeline's container adds its name to the stream. `environment` overrides
    the model's, `fault` is an injected fault. A container has `startup_seconds` to pass its ping. An instance without
    a `variant` is a job's.
    """

    def __init__(
        self,
        host: Host,
        model: dict[str, Any],
        folder: Path,
        log_to: tuple[str, str],
        environment: dict[str, str],
        *,
        actor: Actor,
        startup_seconds: float,
        variant: str | None = None,
        fault: str | None = None,
    ) -> None:
        self.ready = threading.Event()
        self._folder = folder
        self._startup_seconds = startup_seconds
        self._s3 = actor.s3
        self._fault = fault
        self._definitions = model[RESOLVED]
        self._where = (f" for production variant {variant}", "endpoint") if variant else ("", "job")
        self._alone = len(self._definitions) == 1
        self._lock = threading.Lock()
        self._down: set[ModelServer] = set()
        self._ended = False
        own = host.environment(actor, network=not model.get("EnableNetworkIsolation", False))
        self._servers: list[ModelServer] = []
        for number, definition in enumerate(self._definitions, 1):
            name = "primary" if self._alone else definition.get("ContainerHostname", f"container-{number}")
            root = folder / "ml" if self._alone else folder / str(number) / "ml"
            to = log_to if self._alone else (log_to[0], f"{log_to[1]}/{name}")
            image = images.find(host.images, definition["Image"], "serve")
            given = {**own, **image.environment, **definition.get("Environment", {}), **environment}
            server = ModelServer(host, image, root, to, given, name=name, gives_way=variant is None, fault=fault)
            self._servers.append(server)

    def start(self) -> None:
        """Fetch the models, start the containers and return when all pass their ping.

        Raises JobError with the names of those that do not.
        """
        for number, (server, definition) in enumerate(zip(self._servers, self._definitions, strict=True), 1):
            _fetch_model(self._s3, definition.get("ModelDataUrl"), server.root, number)
        with ThreadPoolExecutor(len(self._servers)) as pool:
            details = list(pool.map(lambda server: server.start(self._startup_seconds), self._servers))
        failed = {server.name: why for server, why in zip(self._servers, details, strict=True) if why is not None}
        if failed:
            names = "primary container" if self._alone else ", ".join(failed)
            why = "".join(failed.values()) if len(failed) == 1 else ""
            of, owner = self._where
            advice = f"Please check CloudWatch logs for this {owner}."
            raise JobError(f"The {names}{of} did not pass the ping health check{why}. {advice}")
        self.ready.set()

    def keep_running(self) -> None:
        """From now on start each container that ends again; the instance is ready while all of them are."""
        for server in self._servers:
            threading.Thread(target=self._keep_running, args=(server,), daemon=True).start()

    def invoke(self, body: bytes, headers: dict[str, str], timeout: float, limit: float = inf) -> Answer:
        """Send a request, whose headers are in small letters, through the containers and return the last one's answer.

        Each gets the answer of the one before and its Content-Type; the last gets the caller's Accept. The answer of a
        container that is not 2xx ends it. `limit` are the most bytes from one container to the next.

        Raises TimeoutError with the name of the container that did not answer in time, ModelError above the limit,
        OSError or http.client.HTTPException when a container is gone.
        """
        deadline = time.monotonic() + timeout
        if self._fault == faults.SLOW:
            time.sleep(faults.SLOW_SECONDS)
        for server, following in pairwise(self._servers):
            answer = _ask(server, body, _without("accept", headers), deadline)
            if answer.status not in OK:
                return answer
            body = answer.body
            if len(body) > limit:
                raise ModelError(
                    f"Received response from {server.name} with status code {answer.status}. However, the request "
                    f"payload from {server.name} to {following.name} is {len(body)} bytes, which has exceeded the "
                    f"maximum limit of {limit / 2**20:.0f} MB.",
                    OriginalStatusCode=answer.status,
                    OriginalMessage="",
                )
            media = {"content-type": kind} if (kind := answer.headers.get("content-type")) else {}
            headers = _without("content-type", headers) | media
        answer = _ask(self._servers[-1], body, headers, deadline)
        if self._fault == faults.WRONG_ANSWERS:
            return replace(answer, body=faults.wrong_answer(answer.body))
        return answer

    def execution_parameters(self, seconds: float) -> Answer:
        """How batch transform may call the first container. Raises OSError or http.client.HTTPException."""
        return self._servers[0].ask("GET", "/execution-parameters", None, {}, seconds)

    def stop(self, grace_seconds: float) -> None:
        """End all containers."""
        self._ended = True
        self.ready.clear()
        with ThreadPoolExecutor(len(self._servers)) as pool:
            list(pool.map(lambda server: server.stop(grace_seconds), self._servers))

    def wait(self, seconds: float) -> bool:
        """Wait until its first container has ended, at most so long, and return whether it has."""
        container = self._servers[0].container
        return container is None or container.ended.wait(seconds)

    def memory_bytes(self) -> int:
        """The memory of its containers; 0 where the system does not tell it."""
        return sum(server.container.memory_bytes() for server in self._servers if server.container)

    def remove(self) -> None:
        """End all containers at once, and delete their sandboxes."""
        self.stop(0.0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End all containers at once, and for good."""
        for server in self._servers:
            server.kill()

    def _keep_running(self, server: ModelServer) -> None:
        pause = 0.0
        while True:
            assert server.container is not None
            started = time.monotonic()
            server.container.ended.wait()
            if time.monotonic() - started > SLOWEST_RESTART_SECONDS:
                pause = 0.0
            with self._lock:
                self._down.add(server)
                self.ready.clear()
            if self._ended:
                return
            time.sleep(pause)
            pause = min(SLOWEST_RESTART_SECONDS, pause * 2 or 1.0)
            try:
                why = server.start(self._startup_seconds)
            except JobError:  # it was stopped meanwhile
                return
            if why is not None:
                log.warning("restart: %s did not pass its ping%s", server.name, why)
                continue
            with self._lock:
                self._down.remove(server)
                if not self._down:
                    self.ready.set()


def _ask(server: ModelServer, body: bytes, headers: dict[str, str], deadline: float) -> Answer:
    try:
        return server.ask("POST", "/invocations", body, headers, max(0.001, deadline - time.monotonic()))
    except TimeoutError as error:
        raise TimeoutError(server.name) from error


def _fetch_model(s3: S3, url: str | None, root: Path, number: int) -> None:
    folder, archive = root / "model", root / "model.tar.gz"
    folder.mkdir(parents=True)
    if url is None:
        return
    try:
        s3.fetch(*split(url), archive)
        extract(archive, folder)
    except (JobError, tarfile.TarError, EOFError, OSError) as error:
        raise JobError(
            f'Failed to download model data for container "container_{number}" from URL: "{url}". Please ensure that '
            f"there is an object located at the URL and that it is a gzipped tar archive. ({error})"
        ) from error
    archive.unlink()


def _without(name: str, headers: dict[str, str]) -> dict[str, str]:
    return {each: value for each, value in headers.items() if each != name}
