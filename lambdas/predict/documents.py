"""The part of the OpenAPI document that follows a model's signature: its rows, its answers and their examples."""

import json
from typing import Any

from . import rows
from .rows import Signature

Json = dict[str, Any]
"""A part of an OpenAPI document (OpenAPI Specification 3.0.3)."""
Named = dict[str, Any]
"""A row by feature."""
NUMBER = r"-?[0-9]{1,15}(\.[0-9]{1,24})?([eE]-?[0-9])?"
VALUE = r'([^",\r\n]*|"([^"\r\n]|"")*")'
TEXT, WORD = r"[^\u0000-\u001f\u007f]*", r"[^\s\u0000-\u001f\u007f]"
GAPS = ". An empty value is missing. Quote a value that has a comma"
LIVE_MODEL = " with the live model. "
SYNTHETIC: Named = {"numeric": 0.0, "boolean": True, "categorical": "text"}
"""A value of each kind."""


def described(document: Json, signature: Signature, examples: list[Named], most: int, answer: Any = None) -> Json:
    """Return the document with the rows and the answers of a signature; `most` is the number of rows of one call.

    `answer` is the example of an answer, by default one of the signature's. Raises Problem: the API would refuse an
    example.
    """
    ordered = [[row[name] for name in signature.features] for row in examples]
    lines = rows.from_instances(json.dumps({"instances": ordered}), signature, len(ordered))
    *_, about = document["info"]["description"].rpartition(LIVE_MODEL)
    document["info"]["description"] = f"Predicts {signature.target}{LIVE_MODEL}{about}"
    document["info"]["x-model-signature"] = signature.name
    for path, operations in document["paths"].items():
        if path == "/predictions":
            line = _line(signature)
            csv = {"schema": {"type": "string", "pattern": f"^{line}(\\n{line})*$"}, "example": "\n".join(lines)}
            operations["post"]["requestBody"]["content"]["text/csv"] = csv
        elif "post" in operations:
            schema = ref("Label") if signature.classes else {"type": "number"}
            default = signature.classes[0] if signature.classes else 0.0
            content = {"schema": schema, "example": default if answer is None else answer}
            operations["post"]["responses"]["200"]["content"] = {"application/json": content}
    fixed = {name: document["components"]["schemas"][name] for name in ("Model", "Problem")}
    document["components"]["schemas"] = {**fixed, **_schemas(signature, ordered, lines, most)}
    return document


def adapted(document: Json, own: Signature, signature: Signature) -> Json:
    """Return the document of the signature `own` for another one; examples keep the values that fit by their name."""
    instances = document["components"]["schemas"]["Instances"]
    most, given = instances["properties"]["instances"]["maxItems"], instances["example"]["instances"]
    named = [row if isinstance(row, dict) else dict(zip(own.features, row, strict=True)) for row in given]
    columns = list(zip(signature.features, signature.columns, strict=True))
    fitted = [{name: _fitted(row.get(name), *column) for name, column in columns} for row in named]
    return described(document, signature, fitted, most)


def _fitted(cell: Any, kind: str, imputed: bool) -> Any:
    types: dict[str, tuple[type, ...]] = {"numeric": (float, int), "boolean": (bool,), "categorical": (str,)}
    fits = isinstance(cell, types[kind]) and isinstance(cell, bool) == (kind == "boolean")
    return cell if fits or (cell is None and imputed) else SYNTHETIC[kind]


def _schemas(signature: Signature, ordered: list[list[Any]], lines: list[str], most: int) -> Json:
    """Return the schemas; API Gateway allows only letters and digits in their names."""
    features, encoded = signature.features, signature.encoded
    named = [dict(zip(features, row, strict=True)) for row in ordered]
    order = f"in this order: {', '.join(features)}"
    values = "values" if encoded else "numbers"
    array, by_name = values.capitalize(), f"Named{values.capitalize()}"
    width = {"minItems": len(features), "maxItems": len(features)}
    instances = {"type": "array", "minItems": 1, "maxItems": most, "items": ref("Row")}
    about = f"{len(features)} {values}, separated by commas, {order}{GAPS if encoded else ''}"
    data = {"type": "string", "description": about, "pattern": f"^{_line(signature)}$"}
    schemas = {
        "Data": {**object_of(data=data), "example": {"data": lines[0]}},
        "Instances": {**object_of(instances=instances), "example": {"instances": named if encoded else ordered}},
        "Row": {"oneOf": [ref(array), ref(by_name)]},
        array: {"type": "array", "items": _any_value(signature), **width, "description": f"{array} {order}"},
        by_name: _named_values(signature),
        "Predictions": object_of(predictions={"type": "array", "items": _prediction(signature)}, model=ref("Model")),
    }
    if signature.classes:
        schemas["Label"] = {"type": "string", "enum": signature.classes}
    return schemas


def _named_values(signature: Signature) -> Json:
    columns = zip(signature.features, signature.columns, strict=True)
    properties = {name: _value(*column, signature) for name, column in columns}
    required = [name for name in signature.features if name in signature.required]
    # JSON Schema draft 4 has no empty list of required names.
    schema = object_of(**properties) | {"required": required, "description": "In any order"}
    return schema if required else {key: value for key, value in schema.items() if key != "required"}


def _any_value(signature: Signature) -> Json:
    """Return the schema of a value of an array: of any column, as OpenAPI 3.0 knows no places."""
    schemas: list[Json] = []
    for column in signature.columns:
        if (schema := _value(*column, signature)) not in schemas:
            schemas.append(schema)
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _value(kind: str, imputed: bool, signature: Signature) -> Json:
    """Return the schema of a feature's value; the levels of a category are not known before a run."""
    pattern = f"^{TEXT}$" if imputed else f"^{TEXT}{WORD}{TEXT}$"
    schemas: dict[str, Json] = {
        "numeric": {"type": "number", "minimum": -signature.largest, "maximum": signature.largest},
        "boolean": {"type": "boolean"},
        "categorical": {"type": "string", "maxLength": rows.LONGEST, "pattern": pattern},
    }
    return schemas[kind] | ({"nullable": True} if imputed else {})


def _prediction(signature: Signature) -> Json:
    score: Json = {"type": "number"}
    # Only when the call asks for it: not among the required members.
    optional = {"explanation": EXPLANATION}
    if signature.predictor_type == "regressor":
        return _with(object_of(score=score), optional)
    if signature.predictor_type == "multiclass_classifier":
        score = {"type": "array", "items": score}
    number = {"type": "integer", "minimum": 0, "maximum": len(signature.classes) - 1}
    return _with(object_of(label=ref("Label"), score=score, predicted_label=number), optional)


def _with(schema: Json, optional: Json) -> Json:
    return {**schema, "properties": schema["properties"] | optional}


def _line(signature: Signature) -> str:
    value = VALUE if signature.encoded else NUMBER
    return f"{value}(,{value}){{{len(signature.features) - 1}}}"


def object_of(**properties: Json) -> Json:
    """Return the schema of an object with these members, all required."""
    return {"type": "object", "required": list(properties), "additionalProperties": False, "properties": properties}


def ref(name: str) -> Json:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


CONTRIBUTION = object_of(
    feature={"type": "string"},
    value={"nullable": True, "oneOf": [{"type": kind} for kind in ("number", "boolean", "string")]},
    effect={"type": "number"},
)
EXPLANATION = object_of(
    scale={"type": "string", "description": "What the numbers are on: log odds, or the unit of the target"},
    score={"type": "number", "description": "base + the effects of all contributions + rest"},
    base={"type": "number", "description": "The score of a row with the mean of each feature"},
    contributions={"type": "array", "items": CONTRIBUTION, "description": "The largest, by size"},
    rest={"type": "number", "description": "The sum of the other contributions"},
)
"""The schema of an explanation (lambdas/predict/explanation.py)."""
