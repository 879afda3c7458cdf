"""The SageMaker endpoint and its live model. Each failure of a prediction becomes a problem."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ConnectTimeoutError, NoCredentialsError, ReadTimeoutError

from .aws import CONNECT_SECONDS, Aws, Refused
from .problem import REPORT, Problem
from .rows import Row, Signature

MAX_BYTES = 6_291_456
"""The largest body of InvokeEndpoint (SageMaker runtime API model, BodyBlob)."""
SERVERLESS_MAX_BYTES = 4 << 20
"""The same of a serverless endpoint (SageMaker Developer Guide, "Invoke a serverless endpoint")."""
SECONDS = 28
"""The time limit of a whole batch: API Gateway's integration timeout is 29 s (API Gateway quotas)."""
PREFIX = "signature-"
FRESH_SECONDS = 60
"""A new model shows after at most this time."""

SOON_SECONDS = 1
"""What was read of the endpoint is read again after this time when a call shows that it may have changed."""

Answer = dict[str, Any]
"""The model's answer for one row, unchecked."""
Model = dict[str, str | None]
UNKNOWN: Model = {"name": None, "package_version": None, "trained_at": None}


class OtherSignature(Exception):
    """A model of another signature than the rows' answered; its answer must not be used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Live:
    """The endpoint's config and the names of its signatures: the live model's, then one that is being deployed.

    `pending` is the config that is being deployed, if there is one.
    """

    config: str
    arn: str
    signatures: tuple[str, ...]
    pending: str = ""


@dataclass
class Endpoint:
    """A SageMaker endpoint by name, and what is live; `clock` returns seconds.

    A production variant is named after its model's signature, whose document is in the bucket; `own` is the deployed
    settings', which is assumed of a variant with another name. DescribeEndpoint is read at most once per minute, unless
    a call shows that it changed. It names the endpoint config, which has its model's name; the config's tag
    `model-package` names the version in the registry. During an update this is the previous model.
    """

    name: str
    aws: Aws
    bucket: str
    own: Signature
    clock: Callable[[], float] = time.monotonic
    max_bytes: int = MAX_BYTES
    read_at: float = float("-inf")
    seen: Live | None = None
    looked_up: Live | None = None
    cached: Model | None = None
    documents: dict[str, Signature] = field(default_factory=dict)
    explained: dict[str, dict[str, Any]] = field(default_factory=dict)

    def last_start(self) -> float:
        """Return the time until which a call may be sent, so that all are answered before API Gateway gives up."""
        return self.clock() + SECONDS - CONNECT_SECONDS - self.aws.read_seconds

    def score(
        self, rows: list[Row], signature: str, last_start: float, inference_id: str = ""
    ) -> tuple[list[Answer], str]:
        """Return one answer per row, of a model of this signature, and its variant. Raises Problem, OtherSignature.

        Data capture stores the rows under the signature and `inference_id`, by which ground truth is joined later: a
        drift check leaves those out that a model of another signature got. Of a batch in several parts only the first
        one has that id.
        """
        answers: list[Answer] = []
        variant = ""
        for payload, count in _payloads(rows, self.max_bytes):
            if self.clock() > last_start:
                raise Problem("timeout", "Send fewer rows in one call")
            part, variant = self._invoke(payload, f"{signature}:{'' if answers else inference_id}")
            if (other := self.signature_of(variant)) != signature:
                raise OtherSignature(other)
            if len(part) != count:
                raise Problem("model-error", f"The model returned a wrong number of answers. {REPORT}")
            answers += part
        return answers, variant

    def signature(self, name: str) -> Signature:
        """Return a signature by its name, which is read once. Raises Problem."""
        if name == self.own.name:
            return self.own
        if name not in self.documents:
            try:
                document = json.loads(self.aws.read(self.bucket, f"signatures/{name}.json"))
                self.documents[name] = Signature.of(name, document)
            except (Refused, BotoCoreError, KeyError, ValueError) as error:
                raise Problem("internal", f"The API cannot read the live model's signature. {REPORT}") from error
        return self.documents[name]

    def live(self, seconds: float = FRESH_SECONDS) -> Live:
        """Return what is live, as it was read at most so many seconds ago; without an endpoint its own signature."""
        if self.clock() >= self.read_at + seconds:
            self.read_at = self.clock()
            try:
                self.seen = self._describe()
            except (Refused, BotoCoreError, KeyError, ValueError) as error:
                _log_unknown(error)
        return self.seen or Live("", "", (self.own.name,))

    def signature_of(self, variant: str) -> str:
        """Return the name of the signature that a production variant's name has."""
        return variant.removeprefix(PREFIX) if variant.startswith(PREFIX) else self.own.name

    def _invoke(self, payload: str, inference_id: str) -> tuple[list[Answer], str]:
        types = {"Content-Type": "text/csv", "Accept": "application/json"}
        sent = {**types, "X-Amzn-SageMaker-Inference-Id": inference_id}
        try:
            headers, body = self.aws.call("runtime.sagemaker", f"/endpoints/{self.name}/invocations", sent, payload)
            return list(json.loads(body)["predictions"]), headers.get("x-Amzn-Invoked-Production-Variant", "")
        except Refused as refusal:
            raise _problem(refusal) from refusal
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise Problem("timeout", "Try again. If it times out again, send fewer rows in one call") from error
        except NoCredentialsError as error:
            raise Problem("internal", REPORT) from error
        except BotoCoreError as error:
            raise Problem("busy", "The API cannot reach the endpoint. Try again later") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Problem("model-error", f"The API cannot read the model's answer. {REPORT}") from error

    def model(self, signature: str) -> Model:
        """Return the live model's name, package_version and trained_at; each is None until a lookup has succeeded.

        `signature` is of the last answer: another one than the live model's shows that a deployment has ended.
        """
        live = self.live()
        if signature != live.signatures[0]:
            live = self.live(SOON_SECONDS)
        if live is not self.looked_up and live.config:
            self.looked_up = live
            try:
                self.cached = self._look_up(live)
            except (Refused, BotoCoreError, KeyError, ValueError) as error:
                _log_unknown(error)
        return self.cached or UNKNOWN

    def _describe(self) -> Live:
        found = self._call("DescribeEndpoint", EndpointName=self.name)
        pending = found.get("PendingDeploymentSummary") or {}
        all_variants = (*(found.get("ProductionVariants") or []), *(pending.get("ProductionVariants") or []))
        names = tuple(dict.fromkeys(self.signature_of(variant["VariantName"]) for variant in all_variants))
        new = pending.get("EndpointConfigName", "")
        return Live(found["EndpointConfigName"], found["EndpointArn"], names or (self.own.name,), new)

    def explanations(self, seconds: float) -> list[dict[str, Any]]:
        """Return explanation.json of the live model, read at most so many seconds ago, and of one that is deployed.

        A model of a version that wrote none has none. Raises Problem.
        """
        live = self.live(seconds)
        configs = [config for config in (live.config, live.pending) if config]
        for config in configs:
            if config not in self.explained:
                self.explained = {name: found for name, found in self.explained.items() if name in configs}
                self.explained[config] = self._explanation(live, config)
        return [found for config in configs if (found := self.explained[config])]

    def _explanation(self, live: Live, config: str) -> dict[str, Any]:
        try:
            package = self._package(live, config)
            run = package.get("CustomerMetadataProperties", {}).get("execution", "").rpartition(":")[2]
            return dict(json.loads(self.aws.read(self.bucket, f"runs/{run}/evaluation/explanation.json")))
        except Refused as refusal:
            # S3 answers 403 for an object that is not there to a caller that may not list the bucket.
            if refusal.status in (403, 404):
                return {}
            raise Problem("internal", f"The API cannot read the model's explanation. {REPORT}") from refusal
        except (BotoCoreError, KeyError, ValueError) as error:
            raise Problem("internal", f"The API cannot read the model's explanation. {REPORT}") from error

    def _package(self, live: Live, config: str) -> dict[str, Any]:
        """Return the model package of an endpoint config; empty if its tags name none."""
        arn = live.arn.rpartition(":endpoint/")[0] + f":endpoint-config/{config}"
        tags = {tag["Key"]: tag["Value"] for tag in self._call("ListTags", ResourceArn=arn)["Tags"]}
        if "model-package" not in tags:
            return {}
        return self._call("DescribeModelPackage", ModelPackageName=tags["model-package"])

    def _look_up(self, live: Live) -> Model:
        if self.cached and live.config == self.cached["name"]:
            return self.cached
        package = self._package(live, live.config)
        if not package:
            return {**UNKNOWN, "name": live.config}
        # A run registers its model right after training and scoring.
        trained = datetime.fromtimestamp(package["CreationTime"], UTC).isoformat(timespec="seconds")
        return {"name": live.config, "package_version": str(package["ModelPackageVersion"]), "trained_at": trained}

    def _call(self, action: str, **parameters: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{action}"}
        answer: dict[str, Any] = json.loads(self.aws.call("api.sagemaker", "/", headers, json.dumps(parameters))[1])
        return answer


def _log_unknown(error: Exception) -> None:
    """The prediction is answered without the model's name; the log has the reason."""
    print(json.dumps({"message": "the live model is unknown", "error": type(error).__name__}), flush=True)


def _payloads(rows: list[Row], max_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the rows in parts of at most `max_bytes`, each with its number of rows."""
    lines: list[str] = []
    size = 0
    for row in rows:
        length = len(row.encode())
        if lines and size + length > max_bytes:
            yield "\n".join(lines), len(lines)
            lines, size = [], 0
        lines.append(row)
        size += length + 1
    yield "\n".join(lines), len(lines)


def _problem(refusal: Refused) -> Problem:
    """Return the problem for an error of InvokeEndpoint (SageMaker runtime API model, its errors)."""
    if refusal.code == "ValidationError" and "not found" in refusal.message.lower():
        return Problem("not-deployed", "Try again after the first run, at the interval in Retry-After")
    if refusal.status == 424:
        return Problem("model-error", "The model refused the rows or failed; the endpoint's log has the reason")
    if refusal.status == 429 or refusal.status >= 500 or refusal.code == "ThrottlingException":
        return Problem("busy", "Try again after the seconds in Retry-After")
    return Problem("internal", f"The endpoint refused the API's call. {REPORT}")
