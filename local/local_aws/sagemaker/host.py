"""The service's resources on this machine: folders, settings, children, S3 and CloudWatch Logs."""

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from local_aws import credentials
from local_aws.file_transfer import FileTransfer
from local_aws.iam import Access, AccessError, Credentials
from local_aws.process_reaper import ProcessReaper
from local_aws.sagemaker.api import permissions
from local_aws.sagemaker.api.errors import JobError
from local_aws.sagemaker.faults import Faults
from local_aws.sagemaker.hosting.data_capture import CaptureWriter
from local_aws.sagemaker.hosting.monitor import Monitor
from local_aws.sagemaker.images import registry
from local_aws.sagemaker.jobs.logs import LogWriter
from local_aws.sagemaker.s3 import S3
from local_aws.sagemaker.sandbox import Sandboxes

log = logging.getLogger(__name__)
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


class Cores:
    """Assigns cores in turn, `each` per container; 0 assigns none. Linux only: elsewhere containers share all cores."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._turn = count()

    def give(self, pid: int) -> None:
        """Keep a process that has just started, and its threads to come, to its cores."""
        if self._each and sys.platform == "linux":
            cores, first = sorted(os.sched_getaffinity(0)), next(self._turn) * self._each
            with suppress(ProcessLookupError):
                os.sched_setaffinity(pid, {cores[(first + more) % len(cores)] for more in range(self._each)})


class Events:
    """Sends events to EventBridge, one after another; `put` is PutEvents of an entry, which the server sets."""

    def __init__(self) -> None:
        self.put: Callable[[dict[str, Any]], None] = lambda entry: None
        self._sender = ThreadPoolExecutor(1, "events")

    def send(self, kind: str, arn: str, detail: dict[str, Any]) -> None:
        """Send SageMaker's event of a kind about a resource, and return before it has arrived."""
        entry = {"Source": "aws.sagemaker", "DetailType": kind, "Resources": [arn], "Detail": json.dumps(detail)}
        self._sender.submit(self._put, entry)

    def _put(self, entry: dict[str, Any]) -> None:
        try:
            self.put(entry)
        except Exception:
            log.exception("%s", entry["DetailType"])


@dataclass(frozen=True)
class Actor:
    """What a job or an endpoint has of its role."""

    s3: S3
    environment: dict[str, str]


class Host:
    """The machine, and what the service uses on it, by the settings that cloud.py passes in the environment.

    A model server has `startup_seconds` to pass its ping (AWS: 4 minutes, or as the variant says), a process
    `grace_seconds` from SIGTERM to SIGKILL (AWS: 120 s, StopTrainingJob's page); a serverless one ends when it was idle
    for `idle_seconds`. `wait_scale` is the factor of a
    deployment's waits, that of Step Functions (SFN_WAIT_SCALE). Raises OSError or ValueError for a bad image table.
    """

    def __init__(self, home: Path, reaper: ProcessReaper, access: Access) -> None:
        self.home, self.reaper, self.access = home, reaper, access
        self.endpoint_url, self.region = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_DEFAULT_REGION"]
        self.account = os.environ["MINISTACK_ACCOUNT_ID"]
        self.images = registry(os.environ.get("SAGEMAKER_IMAGES"))
        self.startup_seconds = float(os.environ.get("SAGEMAKER_STARTUP_SECONDS", "60"))
        self.grace_seconds = float(os.environ.get("SAGEMAKER_GRACE_SECONDS", "10"))
        self.idle_seconds = float(os.environ.get("SAGEMAKER_SERVERLESS_IDLE_SECONDS", "300"))
        self.wait_scale = float(os.environ.get("SFN_WAIT_SCALE", "1"))
        self.cores = Cores(int(os.environ.get("SAGEMAKER_INSTANCE_CORES", "0")))
        self.sandboxes = Sandboxes.below(home)
        self._session = botocore.session.get_session()
        self.model = self._session.get_service_model("sagemaker")
        root = credentials.of_home(home)
        self.logs = LogWriter(self.client("logs", root))
        self.captures = CaptureWriter()
        self.monitor = Monitor(self.client("cloudwatch", root))
        self.faults = Faults()
        self.file_transfer = FileTransfer()
        self.events = Events()
        self._actors: dict[str, Actor] = {}
        self._lock = threading.Lock()

    def client(self, service: str, credentials: Credentials, **config: Any) -> Any:
        """A client of the local AWS itself; `config` are further members of botocore's Config."""
        defaults = {
            **dict.fromkeys(("request_checksum_calculation", "response_checksum_validation"), "when_required"),
            "max_pool_connections": 50,
            "s3": {"addressing_style": "path"},
        }
        return self._session.create_client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=credentials.key,
            aws_secret_access_key=credentials.secret,
            aws_session_token=credentials.token or None,
            config=Config(**{**defaults, **config}),
        )

    def act(
        self, role: str, images: list[str], group: str, keys: list[str], vpc: dict[str, list[str]] | None = None
    ) -> Actor:
        """What a role has, once it may do what containers of these images, log group and VPC need. Raises JobError."""
        try:
            credentials = self.access.act(role, permissions.SERVICE)
            self.access.check(credentials.key, permissions.of_role(images, group, self.arn, keys, vpc))
        except AccessError as error:
            raise JobError(f"ClientError: {error}") from error
        with self._lock:
            if role not in self._actors:
                s3 = S3(self.client("s3", credentials), self.file_transfer)
                self._actors[role] = Actor(s3, credentials.environment)
            return self._actors[role]

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def environment(self, actor: Actor, *, network: bool = True) -> dict[str, str]:
        """A container's clean environment; credentials and the endpoint only where it may use the network."""
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        aws = {"AWS_ENDPOINT_URL": self.endpoint_url, **actor.environment, "AWS_EC2_METADATA_DISABLED": "true"}
        return {
            **passed,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{passed.get('PATH', os.defpath)}",
            "HOME": "/opt/ml",
            "PYTHONUNBUFFERED": "1",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            **(aws if network else {}),
        }
