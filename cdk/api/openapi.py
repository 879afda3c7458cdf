"""The OpenAPI 3.0 document of the prediction API: openapi_base.json, completed from the settings.

The Lambda serves it at /openapi.json and shows it at /docs. API Gateway deploys it with the extensions of
`cdk.api.gateway`. Its problems are those of lambdas/predict/problems.json.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from pipeline.config import Settings

SOURCE = Path(__file__).parents[2] / "lambdas" / "predict"
LARGEST = 1e30
"""The largest absolute value of a number: the linear learner sums products in float32, whose limit is 3.4e38."""
Json = dict[str, Any]
"""A part of an OpenAPI document (OpenAPI Specification 3.0.3)."""
PROBLEMS: dict[str, Json] = json.loads((SOURCE / "problems.json").read_bytes())
NUMBER = r"-?[0-9]{1,15}(\.[0-9]{1,24})?([eE]-?[0-9])?"


def document(settings: Settings) -> Json:
    """Return the OpenAPI document; its names, limits and examples come from the settings."""
    base: Json = json.loads(Path(__file__).with_name("openapi_base.json").read_bytes())
    base["info"]["title"] = f"{settings.project.name} predictions"
    base["info"]["description"] = (
        f"Predicts {settings.data.target} with the live model. Every problem is an RFC 9457 document with a stable "
        "type. Problems and logs hold no values of a row."
    )
    base["paths"] = {settings.api.path: _one(settings), "/predictions": _many(settings), **base["paths"]}
    schemas = base["components"]["schemas"]
    schemas |= _schemas(settings)
    schemas["Problem"]["properties"]["type"]["enum"] = [f"urn:problem-type:{kind}" for kind in PROBLEMS]
    if schemes := _security_schemes(settings):
        base["components"]["securitySchemes"] = schemes
    return base


def write_package(settings: Settings, target: Path) -> Path:
    """Write the prediction Lambda's package into `target`, replacing its contents, and return it.

    Equal settings give equal bytes. They are in the file `api.json`, because environment variables are limited to 4 KB.
    """
    api = settings.api.model_dump(include={"path", "max_rows", "max_bytes", "cors_origin"})
    data = {name: getattr(settings.data, name) for name in ("predictor_type", "features", "classes")}
    files = {"api.json": {**api, **data, "largest": LARGEST}, "openapi.json": document(settings)}
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SOURCE, target / "predict", ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in files.items():
        (target / "predict" / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target


def _one(settings: Settings) -> Json:
    answer = {"type": "number"} if settings.data.predictor_type == "regressor" else _ref("Label")
    golden = settings.endpoint.golden[0]
    example = golden.value if golden.label is None else golden.label
    summary = "Predict one row; the answer is its label as a JSON string"
    body = {"application/json": {"schema": _ref("Data")}}
    return _post("predictOne", summary, body, {"schema": answer, "example": example}, settings)


def _many(settings: Settings) -> Json:
    rows = [",".join(map(repr, golden.row)) for golden in settings.endpoint.golden[: settings.api.max_rows]]
    line = _line(settings)
    csv = {"schema": {"type": "string", "pattern": f"^{line}(\\n{line})*$"}, "example": "\n".join(rows)}
    body = {"application/json": {"schema": _ref("Instances")}, "text/csv": csv}
    summary = "Predict many rows, all or none; the answer has scores in the order of the rows, and the model's name"
    return _post("predictMany", summary, body, {"schema": _ref("Predictions")}, settings)


def _post(name: str, summary: str, body: Json, answer: Json, settings: Settings) -> Json:
    text = {"type": "string"}
    headers = {
        "X-Model-Version": {"description": "The live model's name", "schema": text},
        "X-Inference-Id": {"description": "The id of these rows, to which ground truth refers", "schema": text},
    }
    scored = {"description": "Scored", "headers": headers, "content": {"application/json": answer}}
    # Each operation has its own `security`: API Gateway does not document that it reads `security` at the root.
    schemes: Json = {scheme: [] for scheme in _security_schemes(settings)}
    operation = {"operationId": name, "security": [schemes] if schemes else [], "summary": summary}
    responses = {"200": scored, **_problems(settings)}
    return {"post": {**operation, "requestBody": {"required": True, "content": body}, "responses": responses}}


def _schemas(settings: Settings) -> Json:
    """Return the schemas; API Gateway allows only letters and digits in their names."""
    features, golden = list(settings.data.features), settings.endpoint.golden[: settings.api.max_rows]
    order = f"in this order: {', '.join(features)}"
    number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    width = {"minItems": len(features), "maxItems": len(features)}
    instances = {"type": "array", "minItems": 1, "maxItems": settings.api.max_rows, "items": _ref("Row")}
    about = f"{len(features)} numbers, separated by commas, {order}"
    data = {"type": "string", "description": about, "pattern": f"^{_line(settings)}$"}
    schemas = {
        "Data": {**_object(data=data), "example": {"data": ",".join(map(repr, golden[0].row))}},
        "Instances": {**_object(instances=instances), "example": {"instances": [list(row.row) for row in golden]}},
        "Numbers": {"type": "array", "items": number, **width, "description": f"Numbers {order}"},
        "NamedNumbers": {**_object(**dict.fromkeys(features, number)), "description": "In any order"},
        "Predictions": _object(predictions={"type": "array", "items": _prediction(settings)}, model=_ref("Model")),
    }
    if settings.data.classes:
        schemas["Label"] = {"type": "string", "enum": list(settings.data.classes)}
    return schemas


def _prediction(settings: Settings) -> Json:
    score: Json = {"type": "number"}
    if settings.data.predictor_type == "regressor":
        return _object(score=score)
    if settings.data.predictor_type == "multiclass_classifier":
        score = {"type": "array", "items": score}
    number = {"type": "integer", "minimum": 0, "maximum": len(settings.data.classes) - 1}
    return _object(label=_ref("Label"), score=score, predicted_label=number)


def _security_schemes(settings: Settings) -> Json:
    about = {"iam": "AWS Signature Version 4, service execute-api", "cognito": "A token of the user pool"}
    schemes = {}
    if settings.api.auth != "none":
        schemes["caller"] = {"name": "Authorization", "description": about[settings.api.auth]}
    if settings.api.metering:
        schemes["key"] = {"name": "x-api-key", "description": "The API key that counts the calls"}
    return {scheme: {"type": "apiKey", "in": "header", **fields} for scheme, fields in schemes.items()}


def _problems(settings: Settings) -> Json:
    """Return the responses by status of every problem that a documented call can get."""
    absent = {"not-found", "method-not-allowed"}
    absent |= {"unauthorized"} if settings.api.auth == "none" else set()
    absent |= set() if settings.api.calls_per_day else {"quota-used-up"}
    responses: Json = {}
    for kind, problem in PROBLEMS.items():
        if kind in absent:
            continue
        content = {"application/problem+json": {"schema": _ref("Problem")}}
        response = responses.setdefault(str(problem["status"]), {"description": "", "content": content})
        response["description"] += f"{'; ' if response['description'] else ''}{kind}: {problem['title']}"
        if "retry_after" in problem:
            seconds = {"description": "Seconds to wait", "schema": {"type": "integer"}}
            response["headers"] = {"Retry-After": seconds}
    return dict(sorted(responses.items()))


def _line(settings: Settings) -> str:
    return f"{NUMBER}(,{NUMBER}){{{len(settings.data.features) - 1}}}"


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
