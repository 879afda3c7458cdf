"""The prediction API's contract: settings in, an OpenAPI 3.0 document out.

The document is served at /openapi.json, drawn at /docs, and deployed with what `cdk.gateway` adds for API Gateway.
Its problems are those of lambdas/predict/problems.json.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.config import Settings

LARGEST = 1e30
"""A number's largest size: the linear learner sums products in float32, which ends at 3.4e38."""
PROBLEMS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "lambdas" / "predict" / "problems.json").read_bytes()
)
NUMBER = r"-?[0-9]{1,15}(\.[0-9]{1,24})?([eE]-?[0-9])?"

Json = dict[str, Any]
_REFUSED = ["bad-json", "bad-body", "bad-rows", "too-large", "unsupported-media-type"]
_FAILED = ["internal", "model-error", "not-deployed", "busy", "timeout"]


def document(settings: Settings) -> Json:
    """Return the OpenAPI document of this project's API; names, limits and examples are the settings'."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": f"{settings.project.name} predictions",
            "version": "1",
            "description": f"Predicts {settings.data.target} with the model that is live. "
            "Every problem is an RFC 9457 document with a stable type; nothing of a row is kept.",
        },
        "servers": [{"url": "."}],
        "paths": {settings.api.path: {"post": _one(settings)}, "/predictions": {"post": _many(settings)}, **_open()},
        "components": {"schemas": _schemas(settings), **_schemes(settings)},
    }


def _one(settings: Settings) -> Json:
    answers = {"type": "number"} if settings.data.predictor_type == "regressor" else {"$ref": _ref("Label")}
    golden = settings.endpoint.golden[0]
    return {
        "operationId": "predictOne",
        "security": _security(settings),
        "summary": "One row, its label as a JSON string",
        "requestBody": _body({"application/json": {"schema": {"$ref": _ref("Data")}}}),
        "responses": {
            "200": _scored({"schema": answers, "example": golden.value if golden.label is None else golden.label}),
            **_problems(settings, _REFUSED + _FAILED),
        },
    }


def _many(settings: Settings) -> Json:
    rows = [",".join(map(repr, golden.row)) for golden in settings.endpoint.golden[: settings.api.max_rows]]
    line = f"{NUMBER}(,{NUMBER}){{{len(settings.data.features) - 1}}}"
    csv = {"type": "string", "pattern": f"^{line}(\\n{line})*$"}
    media = {
        "application/json": {"schema": {"$ref": _ref("Instances")}},
        "text/csv": {"schema": csv, "example": "\n".join(rows)},
    }
    return {
        "operationId": "predictMany",
        "security": _security(settings),
        "summary": "Many rows, with scores and the model's name; answered in the order posted, all rows or none",
        "requestBody": _body(media),
        "responses": {
            "200": _scored({"schema": {"$ref": _ref("Predictions")}}),
            **_problems(settings, _REFUSED + _FAILED),
        },
    }


def _open() -> Json:
    """The paths that anyone may read: they say what the API is, and nothing of what it was asked."""

    def read(operation: str, summary: str, media_type: str, schema: Json) -> Json:
        found = {"description": summary, "content": {media_type: {"schema": schema}}}
        return {"get": {"operationId": operation, "summary": summary, "security": [], "responses": {"200": found}}}

    status = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string", "enum": ["ok"]}}}
    return {
        "/health": read(
            "health", "The API is up; whether a model is live, a prediction tells", "application/json", status
        ),
        "/openapi.json": read("openapi", "This document", "application/json", {"type": "object"}),
        "/docs": read("docs", "This document as a page that posts rows", "text/html", {"type": "string"}),
    }


def _schemas(settings: Settings) -> Json:
    """Names are letters alone, as API Gateway wants of a model's."""
    features, golden = list(settings.data.features), settings.endpoint.golden
    number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    width = {"minItems": len(features), "maxItems": len(features)}
    instances = {"type": "array", "minItems": 1, "maxItems": settings.api.max_rows, "items": {"$ref": _ref("Row")}}
    data = {
        "type": "string",
        "description": f"{len(features)} numbers, separated by commas, in this order: {', '.join(features)}",
        "pattern": f"^{NUMBER}(,{NUMBER}){{{len(features) - 1}}}$",
    }
    problem: Json = {
        "type": {"type": "string", "enum": [f"urn:problem-type:{kind}" for kind in PROBLEMS]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do"},
        "request_id": {"type": "string"},
    }
    faults = {"row": {"type": "integer", "minimum": 1}, "column": {"type": "string"}, "detail": {"type": "string"}}
    return {
        "Data": {**_object({"data": data}), "example": {"data": ",".join(map(repr, golden[0].row))}},
        "Instances": {
            **_object({"instances": instances}),
            "example": {"instances": [list(row.row) for row in golden[: settings.api.max_rows]]},
        },
        "Row": {"oneOf": [{"$ref": _ref("Numbers")}, {"$ref": _ref("NamedNumbers")}]},
        "Numbers": {"type": "array", "items": number, **width, "description": f"In this order: {', '.join(features)}"},
        "NamedNumbers": {**_object(dict.fromkeys(features, number)), "description": "In any order"},
        **({"Label": {"type": "string", "enum": list(settings.data.classes)}} if settings.data.classes else {}),
        "Predictions": _object({"predictions": _predictions(settings), "model": {"$ref": _ref("Model")}}),
        "Model": {
            **_object({name: _nullable_string() for name in ("name", "package_version", "trained_at", "variant")}),
            "description": "The live model, as SageMaker told within the last minute; null where it did not",
        },
        "Problem": {
            **_object(problem),
            "properties": {
                **problem,
                "errors": {"type": "array", "maxItems": 20, "items": {"type": "object", "properties": faults}},
            },
        },
    }


def _predictions(settings: Settings) -> Json:
    score: Json = {"type": "number"}
    if settings.data.predictor_type == "regressor":
        return {"type": "array", "items": _object({"score": score})}
    if settings.data.predictor_type == "multiclass_classifier":
        score = {"type": "array", "items": score}
    label: Json = {"$ref": _ref("Label")}
    number = {"type": "integer", "minimum": 0, "maximum": len(settings.data.classes) - 1}
    return {"type": "array", "items": _object({"label": label, "score": score, "predicted_label": number})}


def _security(settings: Settings) -> list[Json]:
    """All schemes at once; for each operation, as API Gateway is not known to read `security` at the root."""
    schemes = _schemes(settings).get("securitySchemes", {})
    return [{name: [] for name in schemes}] if schemes else []


def _schemes(settings: Settings) -> Json:
    about = {"iam": "AWS Signature Version 4, service execute-api", "cognito": "A token of the user pool"}
    schemes: Json = {}
    if settings.api.auth != "none":
        what = {"name": "Authorization", "description": about[settings.api.auth]}
        schemes["caller"] = {"type": "apiKey", "in": "header", **what}
    if settings.api.metering:
        what = {"name": "x-api-key", "description": "The key that your calls are counted by"}
        schemes["key"] = {"type": "apiKey", "in": "header", **what}
    return {"securitySchemes": schemes} if schemes else {}


def _problems(settings: Settings, kinds: list[str]) -> Json:
    """The responses of these problems by status, and of those that API Gateway itself gives."""
    refused = ["forbidden"] if settings.api.auth == "none" else ["unauthorized", "forbidden"]
    quota = ["quota-used-up"] if settings.api.calls_per_day else []
    responses: Json = {}
    for kind in [*kinds, *refused, "too-many-requests", *quota]:
        problem = PROBLEMS[kind]
        response = responses.setdefault(
            str(problem["status"]),
            {"description": "", "content": {"application/problem+json": {"schema": {"$ref": _ref("Problem")}}}},
        )
        response["description"] += f"{'; ' if response['description'] else ''}{kind}: {problem['title']}"
        if "retry_after" in problem:
            seconds = {"description": "Seconds to wait", "schema": {"type": "integer"}}
            response["headers"] = {"Retry-After": seconds}
    return dict(sorted(responses.items()))


def _scored(content: Json) -> Json:
    version = {"description": "The live model's name", "schema": {"type": "string"}}
    inference = {"description": "What the rows are known by when their truth is fed back", "schema": {"type": "string"}}
    return {
        "description": "Scored",
        "headers": {"X-Model-Version": version, "X-Inference-Id": inference},
        "content": {"application/json": content},
    }


def _body(media: Json) -> Json:
    return {"required": True, "content": media}


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def _nullable_string() -> Json:
    return {"type": "string", "nullable": True}


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"
