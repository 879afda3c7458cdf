"""`python -m cdk.api.postman > collection.json`: the OpenAPI document as a Postman collection (format 2.1)."""

import json
import sys

from cdk.api.openapi import document
from lambdas.predict.documents import Json
from pipeline.config import load

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
VARIABLES = {"url": "https://API.execute-api.REGION.amazonaws.com/STAGE", "region": "us-east-1"}
SECRETS = ("accessKey", "secretKey", "sessionToken", "token", "apiKey")
"""Variables that are empty in the collection: set them in Postman's vault or environment."""


def collection(api: Json, auth: str) -> Json:
    """Return the collection: a request per operation and media type, with the examples of the document."""
    requests = [
        _request(api, path, method, operation, media_type)
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
        for media_type in operation.get("requestBody", {}).get("content", {"": None})
    ]
    signature = {name: f"{{{{{name}}}}}" for name in (*SECRETS[:3], "region")} | {"service": "execute-api"}
    token = {"key": "Authorization", "value": "{{token}}", "in": "header"}
    kind, fields = {"iam": ("awsv4", signature), "cognito": ("apikey", token), "none": ("noauth", {})}[auth]
    variables = VARIABLES | dict.fromkeys(SECRETS, "")
    return {
        "info": {"name": api["info"]["title"], "description": api["info"]["description"], "schema": SCHEMA},
        "item": requests,
        "auth": {"type": kind, kind: [{"key": key, "value": value} for key, value in fields.items()]},
        "variable": [{"key": key, "value": value} for key, value in variables.items()],
    }


def _request(api: Json, path: str, method: str, operation: Json, media_type: str) -> Json:
    url, summary = f"{{{{url}}}}{path}", operation["summary"]
    request: Json = {"method": method.upper(), "header": [], "url": url, "description": summary}
    if not operation["security"]:
        request["auth"] = {"type": "noauth"}
    if media_type:
        media = operation["requestBody"]["content"][media_type]
        schema = media["schema"].get("$ref", "").rpartition("/")[2]
        example = media.get("example") or api["components"]["schemas"][schema]["example"]
        headers = {"Content-Type": media_type}
        if any("key" in schemes for schemes in operation["security"]):
            headers["x-api-key"] = "{{apiKey}}"
        request["header"] = [{"key": key, "value": value} for key, value in headers.items()]
        request["body"] = {"mode": "raw", "raw": example if isinstance(example, str) else json.dumps(example)}
    return {"name": f"{operation['operationId']} {media_type}".strip(), "request": request}


if __name__ == "__main__":
    settings = load(*sys.argv[1:])
    print(json.dumps(collection(document(settings), settings.api.auth), indent=1))
