"""The SageMaker endpoint: one client a process, scores for rows, and every way it can fail as a problem."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, HTTPClientError, ReadTimeoutError

from .problem import Problem
from .rows import Row

MOST_BYTES = 6_291_456
"""What one InvokeEndpoint takes (API model, BodyBlob)."""
CONNECT_SECONDS, READ_SECONDS = 1, 12
"""Two attempts and the pause between them (at most 1 s) end before API Gateway's 29 s do."""
_BUSY = {"ModelNotReadyException", "ServiceUnavailable", "InternalDependencyException", "ThrottlingException"}

Answer = dict[str, Any]


def client() -> Any:
    """Return a client from botocore's own session, which starts faster than boto3's; AWS_ENDPOINT_URL is respected."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 2, "mode": "standard"},
        tcp_keepalive=True,
    )
    return botocore.session.get_session().create_client("sagemaker-runtime", config=config)


@dataclass(frozen=True)
class Scored:
    """The model's answers in the rows' order, and the production variant that gave the last of them."""

    answers: list[Answer]
    variant: str


@dataclass(frozen=True)
class Endpoint:
    """A SageMaker endpoint by name; `clock` gives seconds, and a call starts only while it can still end in time."""

    name: str
    runtime: Any
    clock: Callable[[], float] = time.monotonic
    most_bytes: int = MOST_BYTES

    def score(self, rows: list[Row], *, seconds: float = 28) -> Scored:
        """Return an answer a row, or raise Problem: model-error, not-deployed, busy, timeout or internal."""
        deadline = self.clock() + seconds
        answers: list[Answer] = []
        variant = ""
        for payload, count in _payloads(rows, self.most_bytes):
            if answers and self.clock() + CONNECT_SECONDS + READ_SECONDS > deadline:
                raise Problem("timeout", "Send fewer rows in one call")
            part, variant = self._invoke(payload)
            if len(part) != count:
                raise Problem("model-error", "The model answered another number of rows than it was sent")
            answers += part
        return Scored(answers, variant)

    def _invoke(self, payload: str) -> tuple[list[Answer], str]:
        try:
            response = self.runtime.invoke_endpoint(
                EndpointName=self.name, ContentType="text/csv", Accept="application/json", Body=payload
            )
            answers = json.loads(response["Body"].read())["predictions"]
        except ClientError as error:
            raise _refusal(error) from error
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise Problem("timeout", "Try again; if it stays so, send fewer rows in one call") from error
        except HTTPClientError as error:
            raise Problem("busy", "The endpoint could not be reached or hung up. Try again") from error
        except BotoCoreError as error:
            raise Problem("internal", "The call to the endpoint could not be made; the log has the reason") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Problem("model-error", "The model's answer could not be read") from error
        return answers, response.get("InvokedProductionVariant", "")


def _payloads(rows: list[Row], most_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the rows as CSV in parts that one InvokeEndpoint takes, each with its number of rows."""
    lines: list[str] = []
    size = 0
    for row in rows:
        line = ",".join(map(repr, row))
        if lines and size + len(line) + 1 > most_bytes:
            yield "\n".join(lines), len(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    yield "\n".join(lines), len(lines)


def _refusal(error: ClientError) -> Problem:
    """Return what SageMaker's runtime refused as a problem; its messages hold ARNs and stay out of it."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "ValidationError" and "not found" in message.lower():
        return Problem("not-deployed", "No model has been deployed yet. Try again when the first run has ended")
    if code in _BUSY:
        return Problem("busy", "Try again after the seconds in Retry-After")
    if code == "ModelError":
        return Problem("model-error", "The model refused the rows or failed; the endpoint's log has the reason")
    return Problem("internal", "The endpoint refused the API's call; the log has the reason")


def finite(value: Any) -> bool:
    """Whether a score is a number, or the numbers of all classes."""
    if isinstance(value, list):
        return all(map(finite, value))
    return type(value) in {int, float} and math.isfinite(value)
