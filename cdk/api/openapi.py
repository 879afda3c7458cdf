"""The OpenAPI 3.0 document of the prediction API: openapi_base.json, completed from the settings.

What follows the signature of a model is described by lambdas/predict/documents.py: the Lambda describes the live model
by it at /openapi.json, and shows it at /docs. API Gateway deploys the document with the extensions of
`cdk.api.gateway`. Its problems are those of lambdas/predict/problems.json.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from lambdas.predict import rows
from lambdas.predict.api import ApiSettings
from lambdas.predict.documents import SYNTHETIC, Json, described, ref
from lambdas.predict.problem import Problem
from pipeline.config import ConfigError, Settings
from pipeline.settings import Cell

SOURCE = Path(__file__).parents[2] / "lambdas" / "predict"
PROBLEMS: dict[str, Json] = json.loads((SOURCE / "problems.json").read_bytes())


def document(settings: Settings) -> Json:
    """Return the OpenAPI document of a model of the settings. Raises ConfigError: the API would refuse an example."""
    base: Json = json.loads(Path(__file__).with_name("openapi_base.json").read_bytes())
    base["info"]["title"] = f"{settings.project.name} predictions"
    base["info"]["description"] = (
        "Every problem is an RFC 9457 document with a stable type. Problems and the API's logs hold no value of a row. "
        f"{_captured(settings)}"
    )
    base["paths"] = {settings.api.path: _one(settings), "/predictions": _many(settings), **base["paths"]}
    schemas = base["components"]["schemas"]
    schemas["Problem"]["properties"]["type"]["enum"] = [f"urn:problem-type:{kind}" for kind in PROBLEMS]
    if schemes := _security_schemes(settings):
        base["components"]["securitySchemes"] = schemes
    known = [golden.label or golden.value for golden in settings.endpoint.golden]
    answer = next((answer for answer in known if answer is not None), None)
    try:
        return described(base, settings.api_signature, _examples(settings), settings.api.max_rows, answer)
    except Problem as problem:
        faults = "; ".join(f"{fault.get('column', 'the row')} {fault['detail']}" for fault in problem.errors or [])
        raise ConfigError(f"{'api.example' if settings.api.example else 'endpoint.golden'}: {faults}") from problem


def _captured(settings: Settings) -> str:
    """Return what a caller must know of data capture."""
    if not (percent := settings.endpoint.capture_percent):
        return "Posted rows are not stored."
    days = settings.stack.capture_days
    kept = f"{days} days" if days else "without a limit of time"
    return f"Of the posted rows {percent} % are stored with their predictions, {kept}, to detect drift."


def write_package(settings: Settings, target: Path) -> Path:
    """Write the prediction Lambda's package into `target`, replacing its contents, and return it.

    Equal settings give equal bytes. They are in the file `api.json`, because environment variables are limited to 4 KB.
    """
    files = {
        "api.json": asdict(api_settings(settings)),
        "signature.json": json.loads(settings.signature.to_json()),
        "openapi.json": document(settings),
    }
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SOURCE, target / "predict", ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in files.items():
        (target / "predict" / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target


def api_settings(settings: Settings) -> ApiSettings:
    """Return what the prediction Lambda needs of the settings beside the signature."""
    api = settings.api
    return ApiSettings(
        path=api.path,
        signature=settings.signature.name,
        max_rows=api.max_rows,
        max_bytes=api.max_bytes,
        cors_origin=api.cors_origin,
        serverless=settings.endpoint.serverless is not None,
        contributions=api.contributions,
    )


def _examples(settings: Settings) -> list[dict[str, Cell]]:
    """Return rows for the examples: `api.example`, else the golden rows, else one with a value of each kind."""
    features, data = settings.data.features, settings.data
    given = [settings.api.example] if settings.api.example else [golden.row for golden in settings.endpoint.golden]
    named = [dict(zip(features, row, strict=True)) if isinstance(row, tuple) else row for row in given]
    named = named[: settings.api.max_rows] or [{name: SYNTHETIC[data.kind(name)] for name in features}]
    return [{name: _cell(row[name], name, settings) for name in features} for row in named]


def _cell(cell: Cell, name: str, settings: Settings) -> Cell:
    """Return a value of the settings as the document describes it: text for a category, null for a missing one."""
    if isinstance(cell, str) and rows.level_of(cell) in ("", *map(rows.level_of, settings.data.missing.texts)):
        return None
    if settings.data.kind(name) == "categorical" and isinstance(cell, float):
        return rows.level_of(repr(cell))
    means = rows.boolean_of(str(cell)) if settings.data.kind(name) == "boolean" and cell is not None else None
    return cell if means is None else means


def _one(settings: Settings) -> Json:
    summary = "Predict one row; the answer is its label as a JSON string"
    return _post("predictOne", summary, {"application/json": {"schema": ref("Data")}}, settings)


def _many(settings: Settings) -> Json:
    summary = "Predict many rows, all or none; the answer has scores in the order of the rows, and the model's name"
    operation = _post("predictMany", summary, {"application/json": {"schema": ref("Instances")}}, settings)
    if most := settings.api.contributions:
        about = f"true: each prediction has an explanation with its {most} largest contributions"
        choice = {"type": "string", "enum": ["true", "false"]}
        asked = {"name": "explain", "in": "query", "required": False, "description": about, "schema": choice}
        operation["post"]["parameters"].append(asked)
    return operation


def _post(name: str, summary: str, body: Json, settings: Settings) -> Json:
    text = {"type": "string"}
    headers = {
        "X-Model-Version": {"description": "The live model's name", "schema": text},
        "X-Model-Signature": {"description": "The signature of the model that answered", "schema": text},
        "X-Inference-Id": {"description": "The id of these rows, to which ground truth refers", "schema": text},
    }
    predictions = {"application/json": {"schema": ref("Predictions")}}
    scored = {"description": "Scored", "headers": headers, "content": predictions}
    about = "The signature that the caller was written for: a model of another one does not answer, but 409"
    wanted = {"name": "X-Model-Signature", "in": "header", "required": False, "description": about, "schema": text}
    # Each operation has its own `security`: API Gateway does not document that it reads `security` at the root.
    schemes: Json = {scheme: [] for scheme in _security_schemes(settings)}
    operation = {
        "operationId": name,
        "security": [schemes] if schemes else [],
        "summary": summary,
        "parameters": [wanted],
    }
    responses = {"200": scored, **_problems(settings)}
    return {"post": {**operation, "requestBody": {"required": True, "content": body}, "responses": responses}}


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
        content = {"application/problem+json": {"schema": ref("Problem")}}
        response = responses.setdefault(str(problem["status"]), {"description": "", "content": content})
        response["description"] += f"{'; ' if response['description'] else ''}{kind}: {problem['title']}"
        if "retry_after" in problem:
            seconds = {"description": "Seconds to wait", "schema": {"type": "integer"}}
            response["headers"] = {"Retry-After": seconds}
    return dict(sorted(responses.items()))
