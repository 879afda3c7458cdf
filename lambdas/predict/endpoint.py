"""The SageMaker endpoint and its live model. Each failure of a prediction becomes a problem."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ConnectTimeoutError, NoCredentialsError, ReadTimeoutError

from .aws import CONNECT_SECONDS, READ_SECONDS, Aws, Refused
from .problem import REPORT, Problem
from .rows import Row

MAX_BYTES = 6_291_456
"""The largest body of InvokeEndpoint (SageMaker runtime API model, BodyBlob)."""
SECONDS = 28
"""The time limit of a whole batch: API Gateway's integration timeout is 29 s (API Gateway quotas)."""
FRESH_SECONDS = 60
"""A new model shows after at most this time."""

Answer = dict[str, Any]
"""The model's answer for one row, unchecked."""
Model = dict[str, str | None]
UNKNOWN: Model = {"name": None, "package_version": None, "trained_at": None}


@dataclass
class Endpoint:
    """A SageMaker endpoint by name, and its live model, read at most once per minute; `clock` returns seconds.

    InvokeEndpoint does not name the model. DescribeEndpoint names the endpoint config, which has its model's name; the
    config's tag `model-package` names the version in the registry. During an update this is the previous model.
    """

    name: str
    aws: Aws
    clock: Callable[[], float] = time.monotonic
    max_bytes: int = MAX_BYTES
    expires: float = float("-inf")
    cached: Model | None = None

    def score(self, rows: list[Row], inference_id: str = "") -> tuple[list[Answer], str]:
        """Return one answer per row and the production variant that served the last part. Raises Problem.

        Data capture stores the rows under `inference_id`, by which ground truth is joined later. Of a batch in several
        parts it stores only the first part under that id.
        """
        last_start = self.clock() + SECONDS - CONNECT_SECONDS - READ_SECONDS
        answers: list[Answer] = []
        variant = ""
        for payload, count in _payloads(rows, self.max_bytes):
            if self.clock() > last_start:
                raise Problem("timeout", "Send fewer rows in one call")
            part, variant = self._invoke(payload, "" if answers else inference_id)
            if len(part) != count:
                raise Problem("model-error", f"The model returned a wrong number of answers. {REPORT}")
            answers += part
        return answers, variant

    def _invoke(self, payload: str, inference_id: str) -> tuple[list[Answer], str]:
        types = {"Content-Type": "text/csv", "Accept": "application/json"}
        if inference_id:
            types["X-Amzn-SageMaker-Inference-Id"] = inference_id
        try:
            headers, body = self.aws.call("runtime.sagemaker", f"/endpoints/{self.name}/invocations", types, payload)
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

    def model(self) -> Model:
        """Return the live model's name, package_version and trained_at; each is None until a lookup has succeeded."""
        if self.clock() >= self.expires:
            self.expires = self.clock() + FRESH_SECONDS
            try:
                self.cached = self._look_up()
            except (Refused, BotoCoreError, KeyError, ValueError) as error:
                # The prediction is answered without the model's name; the log has the reason.
                print(json.dumps({"message": "the live model is unknown", "error": type(error).__name__}), flush=True)
        return self.cached or UNKNOWN

    def _look_up(self) -> Model:
        live = self._call("DescribeEndpoint", EndpointName=self.name)
        name = live["EndpointConfigName"]
        if self.cached and name == self.cached["name"]:
            return self.cached
        config = live["EndpointArn"].rpartition(":endpoint/")[0] + f":endpoint-config/{name}"
        tags = {tag["Key"]: tag["Value"] for tag in self._call("ListTags", ResourceArn=config)["Tags"]}
        if "model-package" not in tags:
            return {**UNKNOWN, "name": name}
        package = self._call("DescribeModelPackage", ModelPackageName=tags["model-package"])
        # A run registers its model right after training and scoring.
        trained = datetime.fromtimestamp(package["CreationTime"], UTC).isoformat(timespec="seconds")
        return {"name": name, "package_version": str(package["ModelPackageVersion"]), "trained_at": trained}

    def _call(self, action: str, **parameters: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{action}"}
        answer: dict[str, Any] = json.loads(self.aws.call("api.sagemaker", "/", headers, json.dumps(parameters))[1])
        return answer


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
