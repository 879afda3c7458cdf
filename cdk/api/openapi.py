"""The OpenAPI 3.0 document of the prediction API: openapi_base.json, completed from the settings.

The Lambda serves it at /openapi.json and shows it at /docs. API Gateway deploys it with the extensions of
`cdk.api.gateway`. Its problems are those of lambdas/predict/problems.json.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lambdas.predict import rows
from lambdas.predict.problem import Problem
from pipeline.config import ConfigError, Settings
from pipeline.jobs.shared.signature import LARGEST
from pipeline.settings import Cell

SOURCE = Path(__file__).parents[2] / "lambdas" / "predict"
Json = dict[str, Any]
"""A part of an OpenAPI document (OpenAPI Specification 3.0.3)."""
PROBLEMS: dict[str, Json] = json.loads((SOURCE / "problems.json").read_bytes())
NUMBER = r"-?[0-9]{1,15}(\.[0-9]{1,24})?([eE]-?[0-9])?"
VALUE = r'([^",\r\n]*|"([^"\r\n]|"")*")'
TEXT, WORD = r"[^\u0000-\u001f\u007f]*", r"[^\s\u0000-\u001f\u007f]"
GAPS = ". An empty value is missing. Quote a value that has a comma"


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
    files = {"api.json": asdict(api_settings(settings)), "openapi.json": document(settings)}
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SOURCE, target / "predict", ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in files.items():
        (target / "predict" / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target


def api_settings(settings: Settings) -> rows.ApiSettings:
    """Return what the prediction Lambda needs of the settings."""
    data, api = settings.data, settings.api
    return rows.ApiSettings(
        path=api.path,
        predictor_type=data.predictor_type,
        features=list(data.features),
        classes=list(data.classes),
        max_rows=api.max_rows,
        max_bytes=api.max_bytes,
        largest=LARGEST,
        cors_origin=api.cors_origin,
        kinds={name: data.kind(name) for name in data.features if data.kind(name) != "numeric"},
        imputed=[name for name in data.features if data.imputed(name)],
        missing_texts=list(data.missing.texts),
    )


def _examples(settings: Settings) -> tuple[list[list[Cell]], list[str]]:
    """Return rows for the examples, in the features' order and as CSV. Raises ConfigError: the API would refuse one.

    They are `api.example`, else the golden rows, else one with a value of each kind.
    """
    features, data = settings.data.features, settings.data
    synthetic: dict[str, Cell] = {"numeric": 0.0, "boolean": True, "categorical": "text"}
    given = [settings.api.example] if settings.api.example else [golden.row for golden in settings.endpoint.golden]
    named = [dict(zip(features, row, strict=True)) if isinstance(row, tuple) else row for row in given]
    named = named[: settings.api.max_rows] or [{name: synthetic[data.kind(name)] for name in features}]
    ordered = [[_cell(row[name], name, settings) for name in features] for row in named]
    try:
        return ordered, rows.from_instances(json.dumps({"instances": ordered}), api_settings(settings))
    except Problem as problem:
        faults = "; ".join(f"{fault.get('column', 'the row')} {fault['detail']}" for fault in problem.errors or [])
        raise ConfigError(f"{'api.example' if settings.api.example else 'endpoint.golden'}: {faults}") from problem


def _cell(cell: Cell, name: str, settings: Settings) -> Cell:
    """Return a value of the settings as the document describes it: text for a category, null for a missing one."""
    if isinstance(cell, str) and cell.strip() in ("", *settings.data.missing.texts):
        return None
    if settings.data.kind(name) == "categorical" and isinstance(cell, float):
        return rows.level_of(repr(cell))
    means = rows.boolean_of(str(cell)) if settings.data.kind(name) == "boolean" and cell is not None else None
    return cell if means is None else means


def _one(settings: Settings) -> Json:
    regressor = settings.data.predictor_type == "regressor"
    schema = {"type": "number"} if regressor else _ref("Label")
    known = [golden.label or golden.value for golden in settings.endpoint.golden]
    example = next((answer for answer in known if answer is not None), 0.0 if regressor else settings.data.classes[0])
    summary = "Predict one row; the answer is its label as a JSON string"
    body = {"application/json": {"schema": _ref("Data")}}
    return _post("predictOne", summary, body, {"schema": schema, "example": example}, settings)


def _many(settings: Settings) -> Json:
    _, lines = _examples(settings)
    line = _line(settings)
    csv = {"schema": {"type": "string", "pattern": f"^{line}(\\n{line})*$"}, "example": "\n".join(lines)}
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
    features, encoded = list(settings.data.features), settings.data.encoded
    examples, lines = _examples(settings)
    named = [dict(zip(features, row, strict=True)) for row in examples]
    order = f"in this order: {', '.join(features)}"
    values = "values" if encoded else "numbers"
    array, by_name = values.capitalize(), f"Named{values.capitalize()}"
    width = {"minItems": len(features), "maxItems": len(features)}
    instances = {"type": "array", "minItems": 1, "maxItems": settings.api.max_rows, "items": _ref("Row")}
    about = f"{len(features)} {values}, separated by commas, {order}{GAPS if encoded else ''}"
    data = {"type": "string", "description": about, "pattern": f"^{_line(settings)}$"}
    schemas = {
        "Data": {**_object(data=data), "example": {"data": lines[0]}},
        "Instances": {**_object(instances=instances), "example": {"instances": named if encoded else examples}},
        "Row": {"oneOf": [_ref(array), _ref(by_name)]},
        array: {"type": "array", "items": _any_value(settings), **width, "description": f"{array} {order}"},
        by_name: _named_values(settings),
        "Predictions": _object(predictions={"type": "array", "items": _prediction(settings)}, model=_ref("Model")),
    }
    if settings.data.classes:
        schemas["Label"] = {"type": "string", "enum": list(settings.data.classes)}
    return schemas


def _named_values(settings: Settings) -> Json:
    properties = {name: _value(name, settings) for name in settings.data.features}
    required = [name for name in properties if not settings.data.imputed(name)]
    # JSON Schema draft 4 has no empty list of required names.
    schema = _object(**properties) | {"required": required, "description": "In any order"}
    return schema if required else {key: value for key, value in schema.items() if key != "required"}


def _any_value(settings: Settings) -> Json:
    """Return the schema of a value of an array: of any column, as OpenAPI 3.0 knows no places."""
    schemas: list[Json] = []
    for name in settings.data.features:
        if (schema := _value(name, settings)) not in schemas:
            schemas.append(schema)
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _value(name: str, settings: Settings) -> Json:
    """Return the schema of a feature's value; the levels of a category are not known before a run."""
    imputed = settings.data.imputed(name)
    pattern = f"^{TEXT}$" if imputed else f"^{TEXT}{WORD}{TEXT}$"
    schemas: dict[str, Json] = {
        "numeric": {"type": "number", "minimum": -LARGEST, "maximum": LARGEST},
        "boolean": {"type": "boolean"},
        "categorical": {"type": "string", "maxLength": rows.LONGEST, "pattern": pattern},
    }
    return schemas[settings.data.kind(name)] | ({"nullable": True} if imputed else {})


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
    value = VALUE if settings.data.encoded else NUMBER
    return f"{value}(,{value}){{{len(settings.data.features) - 1}}}"


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
