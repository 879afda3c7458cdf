"""The smoke test: after a deployment the API must answer rows with known answers."""

import json
import math
from functools import partial
from typing import Any, NotRequired, Required, TypedDict

from .api import Api, Prediction
from .explanation import Score
from .gateway import respond
from .golden import Demand, fault_of, wrong_rows
from .rows import Signature

TOLERANCE = 1e-6
"""Of the largest score: sums of float32 differ by less, in whatever order the model adds."""


class Golden(Demand, total=False):
    """A row, in the columns' order or by name, and what it demands."""

    row: Required[list[Any] | dict[str, Any]]


class Scored(TypedDict):
    """A raw row of the hold-out, and the answer that batch transform gave."""

    row: str
    label: NotRequired[str]
    score: Score


class SmokeTest(TypedDict, total=False):
    """The rows of a smoke test; of the golden ones at least `golden_share` must hold, by default all.

    `variant` names the production variant that must answer.
    """

    variant: str
    golden: list[Golden] | None
    golden_share: float
    smoke: list[Scored] | None


class SmokeTestFailed(Exception):
    """A row got another answer than it must. Do not retry: a wrong model serves meanwhile."""


class SmokeTestUnanswered(Exception):
    """A row got a problem instead of an answer. The state machine retries it."""


def smoke_test(event: SmokeTest, api: Api) -> dict[str, int]:
    """Return `{"ok": true, "checked": n}` when the API answers the n rows as it must.

    A smoke row must get the label that batch transform gave, and the score within TOLERANCE. Golden rows are those of
    the settings: one that a model of another signature cannot take, or not answer with the label, is left out.
    Raises SmokeTestFailed, SmokeTestUnanswered: with the row's position and both answers, not its values.
    """
    name = api.endpoint.signature_of(event["variant"]) if event.get("variant") else ""
    signature = api.endpoint.signature(name or api.settings.signature)
    smoke = event.get("smoke") or []
    golden = [each for each in event.get("golden") or [] if _fits(each, signature)]
    ask = partial(_predicted, api, name)
    faults = []
    for position, expected in enumerate(golden, 1):
        got = ask(f"golden row {position}", "application/json", json.dumps({"instances": [expected["row"]]}))
        faults.append(fault_of(expected, got.get("label"), got["score"]))
    if wrong := wrong_rows(faults, event.get("golden_share", 1)):
        raise SmokeTestFailed(wrong)
    largest = max((abs(number) for row in smoke for number in _numbers(row["score"])), default=0.0)
    for position, scored in enumerate(smoke, 1):
        place = f"smoke row {position}"
        got = ask(place, "text/csv", scored["row"])
        ours, theirs = _numbers(got["score"]), _numbers(scored["score"])
        same = len(ours) == len(theirs) and all(
            math.isclose(*pair, rel_tol=0, abs_tol=TOLERANCE * largest) for pair in zip(ours, theirs, strict=True)
        )
        if not same or got.get("label") != scored.get("label"):
            raise SmokeTestFailed(f"{place}: batch transform gave {_answer(scored)}, the API gives {_answer(got)}")
    return {"ok": True, "checked": len(golden) + len(smoke)}


def _fits(expected: Golden, signature: Signature) -> bool:
    row, label = expected["row"], expected.get("label")
    named = not isinstance(row, dict) or signature.required <= row.keys() <= signature.names
    return named and (label is None or label in signature.classes)


def _predicted(api: Api, signature: str, place: str, content_type: str, body: str) -> Prediction:
    """Return the answer of a model of the signature, if one is named, to a call as API Gateway hands it over."""
    headers = {"Content-Type": content_type} | ({"X-Model-Signature": signature} if signature else {})
    response = respond({"httpMethod": "POST", "resource": "/predictions", "headers": headers, "body": body}, api)
    document = json.loads(response["body"])
    if response["statusCode"] != 200:
        faults = [f" {fault.get('column', 'the row')} {fault['detail']}" for fault in document.get("errors", [])]
        problem = f"{document['type'].removeprefix('urn:problem-type:')}: {document['detail']}"
        raise SmokeTestUnanswered(f"{place} got no answer: {problem}{':' if faults else ''}{','.join(faults)}")
    (prediction,) = document["predictions"]
    answer: Prediction = prediction
    return answer


def _numbers(score: Score) -> list[float]:
    return score if isinstance(score, list) else [score]


def _answer(prediction: Prediction | Scored) -> str:
    label, score = prediction.get("label"), prediction["score"]
    return f"{score}" if label is None else f"{label} with score {score}"
