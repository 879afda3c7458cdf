"""`python -m cdk.postman > collection.json`: the OpenAPI document as a Postman collection (format 2.1)."""

import json
import sys

from cdk.openapi import Json, document
from pipeline.config import load

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
VARIABLES = {"url": "https://API.execute-api.REGION.amazonaws.com/STAGE", "region": "us-east-1"}
SECRETS = ("accessKey", "secretKey", "sessionToken", "token", "apiKey")
"""Variables that the collection names and never holds: they are set in Postman's vault or environment."""


def collection(api: Json, auth: str) -> Json:
    """Return the collection: a request for each operation and media type, with the document's own examples."""
    requests = [
        _request(api, path, method, operation, media_type)
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
        for media_type in operation.get("requestBody", {}).get("content", {None: None})
    ]
    variables = VARIABLES | dict.fromkeys(SECRETS, "")
    return {
        "info": {"name": api["info"]["title"], "description": api["info"]["description"], "schema": SCHEMA},
        "item": requests,
        "auth": _auth(auth),
        "variable": [{"key": key, "value": value} for key, value in variables.items()],
    }


def _request(api: Json, path: str, method: str, operation: Json, media_type: str | None) -> Json:
    request: Json = {
        "method": method.upper(),
        "header": [],
        "url": f"{{{{url}}}}{path}",
        "description": operation["summary"],
    }
    if operation.get("security") == []:
        request["auth"] = {"type": "noauth"}
    counted = any("key" in wanted for wanted in operation["security"])
    key = [{"key": "x-api-key", "value": "{{apiKey}}"}] if counted else []
    if media_type is not None:
        media = operation["requestBody"]["content"][media_type]
        example = (
            media.get("example") or api["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]["example"]
        )
        raw = example if isinstance(example, str) else json.dumps(example)
        types = [{"key": "Content-Type", "value": media_type}]
        request |= {"header": [*types, *key], "body": {"mode": "raw", "raw": raw}}
    return {"name": " ".join(filter(None, (operation["operationId"], media_type))), "request": request}


def _auth(auth: str) -> Json:
    values = {
        "iam": ("awsv4", {name: f"{{{{{name}}}}}" for name in ("accessKey", "secretKey", "sessionToken", "region")}),
        "cognito": ("apikey", {"key": "Authorization", "value": "{{token}}", "in": "header"}),
        "none": ("noauth", {}),
    }
    kind, fields = values[auth]
    if kind == "awsv4":
        fields["service"] = "execute-api"
    return {"type": kind, kind: [{"key": key, "value": value} for key, value in fields.items()]}


if __name__ == "__main__":
    settings = load(*sys.argv[1:])
    print(json.dumps(collection(document(settings), settings.api.auth), indent=1))
