"""The OpenAPI document as API Gateway deploys it: integrations, authorisers, validators and gateway responses."""

import copy
import json
import tomllib
from pathlib import Path

from cdk.api.openapi import PROBLEMS, Json
from pipeline.config import Settings

RESPONSES = Path(__file__).with_name("gateway_responses.toml")
METHODS = ("get", "post", "put", "delete", "patch", "head", "options")


def deployable(document: Json, *, integration_uri: str, settings: Settings) -> Json:
    """Return a copy of the OpenAPI document with API Gateway's extensions.

    `integration_uri` is the Lambda's invocation address
    (`arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations`).
    The path `/{proxy+}` lets the Lambda answer 404 and 405, for which API Gateway would answer 403. It lists every
    method, as the local AWS does not support `x-amazon-apigateway-any-method`. With a CORS origin, preflight calls
    need no credentials.
    """
    deployed = copy.deepcopy(document)
    del deployed["servers"]
    schemes, schemas = deployed["components"].get("securitySchemes", {}), deployed["components"]["schemas"]
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": integration_uri}
    proxy = {"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}
    refused = {"default": {"description": "A problem: not-found or method-not-allowed"}}
    other = {"security": [{"caller": []}] if "caller" in schemes else [], "parameters": [proxy], "responses": refused}
    deployed["paths"]["/{proxy+}"] = {method: dict(other) for method in METHODS}
    for operations in deployed["paths"].values():
        if settings.api.cors_origin:
            operations["options"] = {**operations.get("options", {"responses": refused}), "security": []}
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
    # API Gateway quotes a refused value and names no row. It checks the shape of a body, the Lambda checks the rows.
    schemas["Row"] = {}
    schemas["Data"]["properties"]["data"].pop("pattern")
    validator = {"validateRequestBody": True, "validateRequestParameters": True}
    deployed["x-amazon-apigateway-request-validators"] = {"body": validator}
    deployed["x-amazon-apigateway-request-validator"] = "body"
    deployed["x-amazon-apigateway-gateway-responses"] = gateway_responses(settings.api.cors_origin)
    return deployed


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
