"""The routes of the API, which the OpenAPI document describes: a request in, a response out."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict

from . import rows
from .aws import Aws
from .documents import adapted
from .endpoint import (
    FRESH_SECONDS,
    MAX_BYTES,
    SERVERLESS_MAX_BYTES,
    SOON_SECONDS,
    Answer,
    Endpoint,
    Model,
    OtherSignature,
)
from .explanation import Explained, Score, explained
from .problem import REPORT, Problem
from .rows import Signature

MAX_ANSWER_BYTES = 5_000_000
"""A synchronous invocation returns at most 6 MB of JSON (Lambda quotas), in which each quote takes two bytes."""
ALLOWED_HEADERS = "Authorization, Content-Type, X-Amz-Date, X-Amz-Security-Token, X-Api-Key, X-Model-Signature"
"""The headers of a signed call from a page that are not CORS-safelisted (Fetch standard)."""
HTML = "text/html; charset=utf-8"
TRIES = 20
"""While two models answer in turn, a call is repeated until the one answers by whose signature its rows were built."""
UNFIT = frozenset(["bad-body", "bad-json", "bad-rows", "model-error"])
"""Problems of rows that may fit a model of another signature."""


class Prediction(TypedDict):
    """The prediction of a row; a regressor's is its score alone."""

    label: NotRequired[str]
    score: Score
    predicted_label: NotRequired[int]
    explanation: NotRequired[Explained]


@dataclass(frozen=True)
class ApiSettings:
    """The part of pipeline.toml that the API needs beside the signature, in the package's file `api.json`.

    `max_bytes` limits the body of a call. Pages of the origin `cors_origin` may call; when empty, no other origin may.
    An explanation has the largest `contributions`; with 0 there is none.
    `signature` is the name of the document in the package's file `signature.json`.
    """

    path: str
    signature: str
    max_rows: int
    max_bytes: int
    cors_origin: str = ""
    contributions: int = 0
    serverless: bool = False


@dataclass(frozen=True)
class Scored:
    """The rows, a prediction of each, the live model, and the signature of the model that answered."""

    rows: list[rows.Row]
    predictions: list[Prediction]
    model: Model
    signature: Signature


Reader = Callable[[Signature], list[rows.Row]]
"""Returns the rows of a call as a model of the signature takes them. Raises Problem."""


@dataclass(frozen=True)
class Request:
    """The parts of a call that the routes need; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str]
    id: str
    """API Gateway's id of the call; data capture stores its rows under this id."""


@dataclass(frozen=True)
class Response:
    """An answer; `facts` go into the log."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass
class Api:
    """The API of one endpoint; `folder` holds the documents that it serves, `asked` is the last answer's signature."""

    settings: ApiSettings
    endpoint: Endpoint
    folder: Path
    asked: Signature | None = None

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str]) -> "Api":
        """Return the API of the package in `folder` and of the endpoint that ENDPOINT_NAME names."""
        settings = ApiSettings(**json.loads((folder / "api.json").read_bytes()))
        own = Signature.of(settings.signature, json.loads((folder / "signature.json").read_bytes()))
        aws = Aws(environment, serverless=settings.serverless)
        most = SERVERLESS_MAX_BYTES if settings.serverless else MAX_BYTES
        name, bucket = environment["ENDPOINT_NAME"], environment.get("DATA_BUCKET", "")
        return cls(settings, Endpoint(name, aws, bucket, own, max_bytes=most), folder)

    def answer(self, request: Request) -> Response:
        """Return the answer to a call; raises Problem for every error."""
        routes: dict[str, dict[str, Callable[[Request], Response]]] = {
            self.settings.path: {"POST": self._one_label},
            "/predictions": {"POST": self._predictions},
            "/health": {"GET": lambda _: Response('{"status": "ok"}', headers={"Content-Type": "application/json"})},
            "/openapi.json": {"GET": lambda _: self._document()},
            "/docs": {"GET": lambda _: Response(self._file("docs.html"), headers={"Content-Type": HTML})},
        }
        methods = routes.get(request.path)
        if methods is not None and request.method == "OPTIONS" and self.settings.cors_origin:
            cors = {"Access-Control-Allow-Methods": ", ".join(methods), "Access-Control-Allow-Headers": ALLOWED_HEADERS}
            return Response("", 204, {**cors, "Access-Control-Max-Age": "600"})
        if methods is None:
            raise Problem("not-found", f"The paths are {', '.join(routes)}")
        if request.method not in methods:
            allowed = ", ".join(methods)
            raise Problem("method-not-allowed", f"Use {allowed}", headers={"Allow": allowed})
        return methods[request.method](request)

    def shared_headers(self) -> dict[str, str]:
        """Return the headers of every answer: no cache stores it, and pages of the configured origin may read it."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if origin := self.settings.cors_origin:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = "Retry-After, X-Inference-Id, X-Model-Signature, X-Model-Version"
        return headers

    def predict(self, read: Reader, inference_id: str = "", wanted: str = "") -> Scored:
        """Return a prediction per row, all of models of one signature. Raises Problem.

        Rows are built by the signature that answered last. When a model of another one answers, or the rows do not fit,
        they are built anew by another signature of the endpoint: none is read by the signature of another model. With
        `wanted`, a signature's name, only a model of that signature may answer.
        """
        signature, last_start = self._first(wanted), self.endpoint.last_start()
        started = self.endpoint.clock()
        unfit, others = dict[str, Problem](), 0
        last = Problem("busy", "A new model is being deployed. Try again later")
        for _ in range(TRIES):
            try:
                given = read(signature)
                answers, variant = self.endpoint.score(given, signature.name, last_start, inference_id)
            except OtherSignature as other:
                others += 1
                if wanted:
                    self._check(wanted, self.endpoint.clock() - started)
                elif others % 2 and other.name not in unfit:
                    # Every second time the signature stays: models that take turns would never meet their own rows.
                    signature = self.endpoint.signature(other.name)
            except Problem as problem:
                last = problem
                if problem.kind == "model-error":
                    # What was read before this call may be out of date by now.
                    self.endpoint.live(self.endpoint.clock() - started)
                signature = self._another(signature, problem, unfit, wanted)
            else:
                self.asked = signature
                model = {**self.endpoint.model(signature.name), "variant": variant}
                return Scored(given, [_prediction(answer, signature) for answer in answers], model, signature)
        if unfit:
            # Only a model answers that these rows do not fit, whatever else the endpoint still names.
            self.asked, last = self.endpoint.signature(next(iter(unfit))), next(iter(unfit.values()))
        raise last

    def _first(self, wanted: str) -> Signature:
        """Return the signature to build the rows by at first."""
        if self.asked is None:
            self.asked = self.endpoint.signature(self.endpoint.live().signatures[0])
        if not wanted or wanted == self.asked.name:
            return self.asked
        self._check(wanted, SOON_SECONDS)
        return self.endpoint.signature(wanted)

    def _check(self, wanted: str, seconds: float) -> None:
        """Raise Problem if no model of the endpoint had the signature within the last seconds."""
        names = self.endpoint.live(seconds).signatures
        if wanted not in names:
            now = self._live().name
            detail = "Rows or answers have changed: read `document`, adapt the program, and send the new signature"
            raise Problem("other-signature", detail, members={"signature": now, "document": "openapi.json"})

    def _live(self) -> Signature:
        """Return the signature of the last answer, if the endpoint still has it, else of the live model.

        While a deployment bakes, all traffic may go to its model, and DescribeEndpoint still names the previous one.
        """
        names = self.endpoint.live(SOON_SECONDS).signatures
        return self.asked if self.asked and self.asked.name in names else self.endpoint.signature(names[0])

    def _another(self, signature: Signature, problem: Problem, unfit: dict[str, Problem], wanted: str) -> Signature:
        """Return the signature to try after rows did not fit one; raises `problem` if there is none."""
        if problem.kind not in UNFIT:
            raise problem
        live, failed = self.endpoint.live(SOON_SECONDS).signatures, problem.kind == "model-error"
        if not failed:
            unfit[signature.name] = problem
        if wanted:
            self._check(wanted, SOON_SECONDS)
        names = [name for name in ([wanted] if wanted else live) if name not in unfit]
        if failed and not names:
            # The failure is of rows of a model that is gone by now.
            self.asked = self.endpoint.signature(live[0])
            raise unfit[live[0]]
        if not names or (failed and live == (signature.name,)):
            raise problem
        # A model error does not say which model it is of.
        return self.endpoint.signature(next((name for name in names if name != signature.name), names[0]))

    def _one_label(self, request: Request) -> Response:
        text = self._text(request, "application/json")
        scored = self._scored(partial(rows.from_data, text), request)
        (prediction,) = scored.predictions
        return _response(prediction.get("label", prediction["score"]), scored)

    def _predictions(self, request: Request) -> Response:
        text = self._text(request, "application/json", "text/csv")
        read = rows.from_csv if _media_type(request) == "text/csv" else rows.from_instances
        explain = self._explain(request)
        scored = self._scored(partial(read, text), request)
        if explain:
            self._add_explanations(scored)
        return _response({"predictions": scored.predictions, "model": scored.model}, scored)

    def _explain(self, request: Request) -> bool:
        """Return whether the call asks for explanations. Raises Problem: the parameter is wrong, or they are off."""
        asked = request.query.get("explain", "false")
        if asked not in {"true", "false"}:
            raise Problem("bad-parameter", "Send explain=true, explain=false or no `explain`")
        if asked == "true" and not self.settings.contributions:
            raise Problem("bad-parameter", "This API explains no predictions: call it without `explain`")
        return asked == "true"

    def _add_explanations(self, scored: Scored) -> None:
        """Add to each prediction its largest contributions, by the model that answered. Raises Problem."""
        scores = [each["score"] for each in scored.predictions]
        for seconds in (FRESH_SECONDS, SOON_SECONDS):
            documents = self.endpoint.explanations(seconds)
            found = explained(documents, scored.signature, scored.rows, scores, self.settings.contributions)
            if found is not None:
                for each, explanation in zip(scored.predictions, found, strict=True):
                    each["explanation"] = explanation
                return
        if not documents:
            raise Problem("not-explained", "This model has no explanation: call without `explain`, or train a new one")
        raise Problem("busy", "A new model is being deployed. Try again later")

    def _scored(self, read: Callable[[Signature, int], list[rows.Row]], request: Request) -> Scored:
        def built(signature: Signature) -> list[rows.Row]:
            return read(signature, self.settings.max_rows)

        return self.predict(built, request.id, request.headers.get("x-model-signature", "").strip())

    def _text(self, request: Request, *media_types: str) -> str:
        """Return the body as text after checking its type, encoding and size."""
        if _media_type(request) not in media_types:
            raise Problem("unsupported-media-type", f"Send Content-Type: {' or '.join(media_types)}")
        if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise Problem("unsupported-media-type", "Send the body without a Content-Encoding")
        if len(request.body) > self.settings.max_bytes:
            raise Problem("too-large", f"Send at most {self.settings.max_bytes} bytes in one call")
        try:
            return request.body.decode()
        except UnicodeDecodeError:
            raise Problem("bad-json", "The body is not UTF-8") from None

    def _document(self) -> Response:
        """Return the OpenAPI document of the live signature; it is the package's if that is the settings'."""
        text = self._file("openapi.json")
        signature = self._live()
        if signature.name != self.settings.signature:
            text = json.dumps(adapted(json.loads(text), self.endpoint.own, signature), ensure_ascii=False)
        return Response(text, headers={"Content-Type": "application/json", "X-Model-Signature": signature.name})

    def _file(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


def _prediction(answer: Answer, signature: Signature) -> Prediction:
    """Return the linear learner's answer for one row, with its label."""
    try:
        score = answer["score"]
        if not all(map(math.isfinite, score if isinstance(score, list) else [score])):
            raise ValueError("the score is not finite")
        if signature.predictor_type == "regressor":
            return {"score": score}
        # The container returns 0 or 0.0, by its version: as keys they are the same.
        number = answer["predicted_label"]
        label = dict(enumerate(signature.classes))[number]
        return {"label": label, "score": score, "predicted_label": int(number)}
    except (KeyError, TypeError, ValueError) as error:
        raise Problem("model-error", f"The answer is not a linear learner's. {REPORT}") from error


def _media_type(request: Request) -> str:
    """Return the media type; the default is JSON, as in API Gateway, and "" stands for a charset other than UTF-8."""
    media_type, _, parameters = request.headers.get("content-type", "application/json").lower().partition(";")
    plain = parameters.strip().replace('"', "") in {"", "charset=utf-8"}
    return media_type.strip() if plain else ""


def _response(value: object, scored: Scored) -> Response:
    """Return the answer to scored rows; headers name the model and its signature, because a label alone does not."""
    body, model = json.dumps(value, allow_nan=False), scored.model
    if len(body) > MAX_ANSWER_BYTES:
        raise Problem("too-large", "The answer is larger than the API can return; send fewer rows in one call")
    named = {"X-Model-Version": model["name"] or "unknown", "X-Model-Signature": scored.signature.name}
    facts = {"rows": len(scored.predictions), "model": model["name"], "variant": model["variant"]}
    return Response(body, headers={"Content-Type": "application/json", **named}, facts=facts)
