"""The OpenAPI document as API Gateway deploys it: integrations, authorisers, validators and gateway responses."""

import json
import tomllib
from pathlib import Path
from typing import Any

from cdk.api.openapi import PROBLEMS
from lambdas.predict.documents import Json
from pipeline.config import Settings

RESPONSES = Path(__file__).with_name("gateway_responses.toml")
ANY = "x-amazon-apigateway-any-method"
LIVE = {"Label": "string", "Predictions": "object"}
"""Schemas of what a model answers."""
UNSUPPORTED = ("example", "nullable")
"""Fields that API Gateway does not import (Developer Guide, "Amazon API Gateway important notes")."""


def deployable(document: Json, *, integration_uri: str, settings: Settings) -> Json:
    """Return a copy of the OpenAPI document with API Gateway's extensions.

    `integration_uri` is the Lambda's invocation address
    (`arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations`).
    The Lambda answers 405 to the other methods of each path and 404 to `/` and `/{proxy+}`, for which API Gateway would
    answer 403. The first two need no credentials, as no prediction is behind them; so a preflight call needs none.
    """
    deployed: Json = _supported(document)
    del deployed["servers"], deployed["info"]["x-model-signature"]
    schemes, schemas = deployed["components"].get("securitySchemes", {}), deployed["components"]["schemas"]
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": integration_uri}
    proxy = {"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}
    refused = {"default": {"description": "A problem: not-found or method-not-allowed"}}
    for operations in (*deployed["paths"].values(), deployed["paths"].setdefault("/", {})):
        operations[ANY] = {"security": [], "responses": refused}
    # Signed: the Lambda sees a decoded path, which could be a prediction's.
    signed: list[Json] = [{"caller": []}] if "caller" in schemes else []
    deployed["paths"]["/{proxy+}"] = {ANY: {"security": signed, "parameters": [proxy], "responses": refused}}
    for operations in deployed["paths"].values():
        for operation in operations.values():
            operation["x-amazon-apigateway-integration"] = integration
            # API Gateway validates by Content-Type. CSV has no model: the Lambda checks it.
            operation.get("requestBody", {}).get("content", {}).pop("text/csv", None)
    if settings.api.auth == "iam":
        schemes["caller"]["x-amazon-apigateway-authtype"] = "awsSigv4"
    elif settings.api.auth == "cognito":
        authorizer = {"type": "cognito_user_pools", "providerARNs": [settings.api.user_pool]}
        schemes["caller"]["x-amazon-apigateway-authtype"] = "cognito_user_pools"
        schemes["caller"]["x-amazon-apigateway-authorizer"] = authorizer
    # API Gateway quotes a refused value and names no row: the Lambda checks the rows. Both forms of a row would need a
    # schema without a type, which an import may take for one of objects: rows have no schema at all.
    for form in schemas.pop("Row")["oneOf"]:
        del schemas[form["$ref"].rpartition("/")[2]]
    schemas["Instances"] = {"type": "object", "required": ["instances"]}
    # What follows the live model's signature is in the document that the Lambda serves: this one would be out of date.
    deployed["info"].pop("description")
    schemas["Data"]["properties"]["data"] = {"type": "string"}
    schemas |= {name: {"type": kind} for name, kind in LIVE.items() if name in schemas}
    validator = {"validateRequestBody": True, "validateRequestParameters": True}
    deployed["x-amazon-apigateway-request-validators"] = {"body": validator}
    deployed["x-amazon-apigateway-request-validator"] = "body"
    deployed["x-amazon-apigateway-gateway-responses"] = gateway_responses(settings.api.cors_origin)
    return deployed


def _supported(part: Any) -> Any:
    """Return a copy of a part of the document without the fields that API Gateway does not import."""
    if isinstance(part, dict):
        return {name: _supported(value) for name, value in part.items() if name not in UNSUPPORTED}
    return [_supported(item) for item in part] if isinstance(part, list) else part


def gateway_responses(cors_origin: str = "") -> Json:
    """Return API Gateway's own error responses by type, as problem documents that pages of `cors_origin` may read."""
    responses = {}
    for name, (kind, detail) in tomllib.loads(RESPONSES.read_text(encoding="utf-8")).items():
        status, title = PROBLEMS[kind]["status"], PROBLEMS[kind]["title"]
        body = {"type": f"urn:problem-type:{kind}", "title": title, "status": status, "detail": detail}
        headers = {"Content-Type": "application/problem+json"}
        if cors_origin:
            headers["Access-Control-Allow-Origin"] = cors_origin
        if "retry_after" in PROBLEMS[kind]:
            headers["Retry-After"] = PROBLEMS[kind]["retry_after"]
        responses[name] = {
            "statusCode": str(status),
            "responseParameters": {f"gatewayresponse.header.{key}": f"'{value}'" for key, value in headers.items()},
            "responseTemplates": {"application/json": json.dumps({**body, "request_id": "$context.requestId"})},
        }
    return responses
