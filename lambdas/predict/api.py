"""The routes of the API, which the OpenAPI document describes: a request in, a response out."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

from . import rows
from .aws import Aws
from .endpoint import Answer, Endpoint, Model
from .problem import REPORT, Problem
from .rows import ApiSettings

MAX_ANSWER_BYTES = 5_000_000
"""A synchronous invocation returns at most 6 MB of JSON (Lambda quotas), in which each quote takes two bytes."""
ALLOWED_HEADERS = "Authorization, Content-Type, X-Amz-Date, X-Amz-Security-Token, X-Api-Key"
"""The headers of a signed call from a page that are not CORS-safelisted (Fetch standard)."""


Score = float | list[float]
"""A multiclass model has a score per class."""


class Prediction(TypedDict):
    """The prediction of a row; a regressor's is its score alone."""

    label: NotRequired[str]
    score: Score
    predicted_label: NotRequired[int]


@dataclass(frozen=True)
class Request:
    """The parts of a call that the routes need; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    id: str
    """API Gateway's id of the call; data capture stores its rows under this id."""


@dataclass(frozen=True)
class Response:
    """An answer; `facts` go into the log."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Api:
    """The API of one endpoint; `folder` holds the documents that it serves."""

    settings: ApiSettings
    endpoint: Endpoint
    folder: Path

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str]) -> "Api":
        """Return the API of the package in `folder` and of the endpoint that ENDPOINT_NAME names."""
        settings = ApiSettings(**json.loads((folder / "api.json").read_bytes()))
        return cls(settings, Endpoint(environment["ENDPOINT_NAME"], Aws(environment)), folder)

    def answer(self, request: Request) -> Response:
        """Return the answer to a call; raises Problem for every error."""
        routes: dict[str, dict[str, Callable[[Request], Response]]] = {
            self.settings.path: {"POST": self._one_label},
            "/predictions": {"POST": self._predictions},
            "/health": {"GET": lambda _: Response('{"status": "ok"}', headers={"Content-Type": "application/json"})},
            "/openapi.json": {"GET": lambda _: self._file("openapi.json", "application/json")},
            "/docs": {"GET": lambda _: self._file("docs.html", "text/html; charset=utf-8")},
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
            headers["Access-Control-Expose-Headers"] = "Retry-After, X-Inference-Id, X-Model-Version"
        return headers

    def predict(self, given: list[rows.Row], inference_id: str = "") -> tuple[list[Prediction], Model]:
        """Return a prediction per row, and the live model. Raises Problem."""
        answers, variant = self.endpoint.score(given, inference_id)
        return [self._prediction(answer) for answer in answers], {**self.endpoint.model(), "variant": variant}

    def _one_label(self, request: Request) -> Response:
        row = rows.from_data(self._text(request, "application/json"), self.settings)
        (prediction,), model = self.predict(row, request.id)
        return _scores(prediction.get("label", prediction["score"]), 1, model)

    def _predictions(self, request: Request) -> Response:
        text = self._text(request, "application/json", "text/csv")
        read = rows.from_csv if _media_type(request) == "text/csv" else rows.from_instances
        predictions, model = self.predict(read(text, self.settings), request.id)
        return _scores({"predictions": predictions, "model": model}, len(predictions), model)

    def _prediction(self, answer: Answer) -> Prediction:
        """Return the linear learner's answer for one row, with its label."""
        try:
            score = answer["score"]
            if not all(map(math.isfinite, score if isinstance(score, list) else [score])):
                raise ValueError("the score is not finite")
            if self.settings.predictor_type == "regressor":
                return {"score": score}
            # The container returns 0 or 0.0, by its version: as keys they are the same.
            number = answer["predicted_label"]
            label = dict(enumerate(self.settings.classes))[number]
            return {"label": label, "score": score, "predicted_label": int(number)}
        except (KeyError, TypeError, ValueError) as error:
            raise Problem("model-error", f"The answer is not a linear learner's. {REPORT}") from error

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

    def _file(self, name: str, media_type: str) -> Response:
        return Response((self.folder / name).read_text("utf-8"), headers={"Content-Type": media_type})


def _media_type(request: Request) -> str:
    """Return the media type; the default is JSON, as in API Gateway, and "" stands for a charset other than UTF-8."""
    media_type, _, parameters = request.headers.get("content-type", "application/json").lower().partition(";")
    plain = parameters.strip().replace('"', "") in {"", "charset=utf-8"}
    return media_type.strip() if plain else ""


def _scores(value: object, rows_: int, model: Model) -> Response:
    """Return the answer to scored rows; a header names the model, because a label alone does not."""
    body = json.dumps(value, allow_nan=False)
    if len(body) > MAX_ANSWER_BYTES:
        raise Problem("too-large", "The answer is larger than the API can return; send fewer rows in one call")
    headers = {"Content-Type": "application/json", "X-Model-Version": model["name"] or "unknown"}
    return Response(body, headers=headers, facts={"rows": rows_, "model": model["name"], "variant": model["variant"]})
