"""The SageMaker endpoint: scores for rows, and every way it can fail as a problem."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ConnectTimeoutError, NoCredentialsError, ReadTimeoutError

from .aws import CONNECT_SECONDS, READ_SECONDS, Aws, Refused
from .problem import Problem
from .rows import Row

MOST_BYTES = 6_291_456
"""What one InvokeEndpoint takes (SageMaker runtime API model, BodyBlob)."""
SECONDS = 28
"""All parts of a batch must be answered by then: API Gateway gives up after 29 s (API Gateway quotas)."""

Answer = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A SageMaker endpoint by name; `clock` gives seconds."""

    name: str
    aws: Aws
    clock: Callable[[], float] = time.monotonic
    most_bytes: int = MOST_BYTES

    def score(self, rows: list[Row], inference_id: str = "") -> tuple[list[Answer], str]:
        """Return an answer a row and the variant that gave the last of them.

        Data capture keeps the rows under `inference_id`, by which the truth is joined later; of a batch in parts, those
        of the first.

        Raises:
            Problem: model-error, not-deployed, busy, timeout or internal.
        """
        last_start = self.clock() + SECONDS - CONNECT_SECONDS - READ_SECONDS
        answers: list[Answer] = []
        variant = ""
        for payload, count in _payloads(rows, self.most_bytes):
            if self.clock() > last_start:
                raise Problem("timeout", "Send fewer rows in one call")
            part, variant = self._invoke(payload, "" if answers else inference_id)
            if len(part) != count:
                raise Problem("model-error", "The model answered another number of rows than it was sent")
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
            raise Problem("timeout", "Try again; if it stays so, send fewer rows in one call") from error
        except NoCredentialsError as error:
            raise Problem("internal", "The API has no credentials; report the request's id to its owner") from error
        except BotoCoreError as error:
            raise Problem("busy", "The endpoint could not be reached. Try again") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Problem("model-error", "The model's answer could not be read") from error


def _payloads(rows: list[Row], most_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the rows as CSV in parts that one InvokeEndpoint takes, each with its number of rows."""
    lines: list[str] = []
    size = 0
    for row in rows:
        line = ",".join(map(repr, row))
        if lines and size + len(line) > most_bytes:
            yield "\n".join(lines), len(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    yield "\n".join(lines), len(lines)


def _problem(refusal: Refused) -> Problem:
    """Return a refusal of SageMaker's runtime (API model, InvokeEndpoint's errors) as the caller should see it."""
    if refusal.code == "ValidationError" and "not found" in refusal.message.lower():
        return Problem("not-deployed", "Try again when the first run has ended; Retry-After says how often to ask")
    if refusal.status == 424:
        return Problem("model-error", "The model refused the rows or failed; the endpoint's log has the reason")
    if refusal.status == 429 or refusal.status >= 500 or refusal.code == "ThrottlingException":
        return Problem("busy", "Try again after the seconds in Retry-After")
    return Problem("internal", "The endpoint refused the API's call; report the request's id to whoever runs it")
