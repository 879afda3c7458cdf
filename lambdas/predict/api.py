"""The routes: a call in, a status, headers and a body out. The OpenAPI document says the same in its own words."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import contract, rows
from .aws import Aws
from .endpoint import Answer, Endpoint
from .model import Deployed, Model
from .problem import Problem

MOST_ANSWER_BYTES = 5_000_000
"""A synchronous Lambda invocation answers 6 MB at most (Lambda quotas); there each quote of the body counts twice."""

MAY_SEND = "Authorization, Content-Type, X-Amz-Date, X-Amz-Security-Token, X-Api-Key"
"""What a signed call from a page has beside the headers that CORS allows anyway (Fetch, CORS-safelisted)."""


@dataclass(frozen=True)
class Request:
    """What the routes need of a call; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    id: str = ""
    """API Gateway's id of the call, under which its rows are captured."""


@dataclass(frozen=True)
class Response:
    """An answer, and what the log may say of it."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Api:
    """The API over one contract and one endpoint; `folder` holds the documents it serves."""

    contract: contract.Contract
    endpoint: Endpoint
    deployed: Deployed
    folder: Path

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str]) -> "Api":
        """Return the API of a package's folder over the endpoint that ENDPOINT_NAME names."""
        name, aws = environment["ENDPOINT_NAME"], Aws(environment)
        return cls(contract.load(folder), Endpoint(name, aws), Deployed(name, aws), folder)

    def answer(self, request: Request) -> Response:
        """Return the answer to a call; raises Problem for each that has none."""
        routes: dict[str, dict[str, Callable[[Request], Response]]] = {
            self.contract.path: {"POST": self._one_label},
            "/predictions": {"POST": self._predictions},
            "/health": {"GET": lambda _: Response('{"status": "ok"}', headers={"Content-Type": "application/json"})},
            "/openapi.json": {"GET": lambda _: self._file("openapi.json", "application/json")},
            "/docs": {"GET": lambda _: self._file("docs.html", "text/html; charset=utf-8")},
        }
        methods = routes.get(request.path)
        if methods is not None and request.method == "OPTIONS" and self.contract.cors_origin:
            may = {"Access-Control-Allow-Methods": ", ".join(methods), "Access-Control-Allow-Headers": MAY_SEND}
            return Response("", 204, {**may, "Access-Control-Max-Age": "600"})
        if methods is None:
            raise Problem("not-found", f"The paths are {', '.join(routes)}")
        if request.method not in methods:
            allowed = ", ".join(methods)
            raise Problem("method-not-allowed", f"Use {allowed}", headers={"Allow": allowed})
        return methods[request.method](request)

    def shared_headers(self) -> dict[str, str]:
        """Return what every answer has: it is for one caller alone, and pages of the configured origin may read it."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if origin := self.contract.cors_origin:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = "Retry-After, X-Inference-Id, X-Model-Version"
        return headers

    def label(self, row: rows.Row) -> Any:
        """Return the label of one row, or a regressor's number."""
        return _label(self._scored([row])[0][0])

    def _one_label(self, request: Request) -> Response:
        """The contract of 2018: one row in, its label as a JSON string out."""
        text = self._text(request, "application/json")
        predictions, model = self._scored(rows.from_data(text, self.contract), request.id)
        return _scores(_label(predictions[0]), 1, model)

    def _predictions(self, request: Request) -> Response:
        text = self._text(request, "application/json", "text/csv")
        read = rows.from_csv if _media_type(request) == "text/csv" else rows.from_instances
        predictions, model = self._scored(read(text, self.contract), request.id)
        return _scores({"predictions": predictions, "model": model}, len(predictions), model)

    def _scored(self, given: list[rows.Row], inference_id: str = "") -> tuple[list[Answer], Model]:
        answers, variant = self.endpoint.score(given, inference_id)
        return [self._prediction(answer) for answer in answers], {**self.deployed.model(), "variant": variant}

    def _prediction(self, answer: Answer) -> Answer:
        """Return one answer of the linear learner with its label, which is the class's name."""
        try:
            score = answer["score"]
            if not all(map(math.isfinite, score if isinstance(score, list) else [score])):
                raise ValueError("the score is not finite")
            if self.contract.predictor_type == "regressor":
                return {"score": score}
            # An int in the container of 2024, 0.0 in that of 2019: as keys they are the same.
            number = answer["predicted_label"]
            label = dict(enumerate(self.contract.classes))[number]
            return {"label": label, "score": score, "predicted_label": int(number)}
        except (KeyError, TypeError, ValueError) as error:
            raise Problem("model-error", "The model's answer is not the linear learner's") from error

    def _text(self, request: Request, *media_types: str) -> str:
        """Return the body as text, after the checks that need no parsing."""
        if _media_type(request) not in media_types:
            raise Problem("unsupported-media-type", f"Send Content-Type: {' or '.join(media_types)}")
        if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise Problem("unsupported-media-type", "Send the body without a Content-Encoding")
        if len(request.body) > self.contract.max_bytes:
            raise Problem("too-large", f"Send at most {self.contract.max_bytes} bytes in one call")
        try:
            return request.body.decode()
        except UnicodeDecodeError:
            raise Problem("bad-json", "The body is not UTF-8") from None

    def _file(self, name: str, media_type: str) -> Response:
        return Response((self.folder / name).read_text("utf-8"), headers={"Content-Type": media_type})


def _label(prediction: Answer) -> Any:
    return prediction.get("label", prediction["score"])


def _media_type(request: Request) -> str:
    """Return the Content-Type; none is JSON, as it is to API Gateway. A charset other than UTF-8 is no type we read."""
    media_type, _, parameters = request.headers.get("content-type", "application/json").lower().partition(";")
    plain = parameters.strip().replace('"', "") in {"", "charset=utf-8"}
    return media_type.strip() if plain else ""


def _scores(value: Any, rows_: int, model: Model) -> Response:
    """Return the answer to scored rows, with the model's name in a header for those who want the label alone."""
    body = json.dumps(value, allow_nan=False)
    if len(body) > MOST_ANSWER_BYTES:
        raise Problem("too-large", "The answer would be larger than the API can give: send fewer rows in one call")
    headers = {"Content-Type": "application/json", "X-Model-Version": model["name"] or "unknown"}
    return Response(body, headers=headers, facts={"rows": rows_, "model": model["name"], "variant": model["variant"]})
