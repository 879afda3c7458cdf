"""The OpenAPI document as API Gateway deploys it: integrations, authorisers, validators and gateway responses."""

import copy
import json

from cdk.api.openapi import PROBLEMS, Json
from pipeline.config import Settings

REPORT = "Report the request_id to the owner of this API"
GATEWAY_RESPONSES = {
    "ACCESS_DENIED": ("forbidden", "Ask for the permission execute-api:Invoke on this API"),
    "API_CONFIGURATION_ERROR": ("internal", REPORT),
    "AUTHORIZER_CONFIGURATION_ERROR": ("internal", REPORT),
    "AUTHORIZER_FAILURE": ("internal", REPORT),
    "BAD_REQUEST_BODY": ("bad-body", "Send the body that /openapi.json describes"),
    "BAD_REQUEST_PARAMETERS": ("bad-body", "Send the parameters that /openapi.json describes"),
    "DEFAULT_4XX": ("forbidden", "Check the call's signature and its headers"),
    "DEFAULT_5XX": ("internal", REPORT),
    "EXPIRED_TOKEN": ("forbidden", "Get new credentials and send the call again"),
    "INTEGRATION_FAILURE": ("internal", REPORT),
    "INTEGRATION_TIMEOUT": ("timeout", "Try again. If it times out again, send fewer rows in one call"),
    "INVALID_API_KEY": ("forbidden", "Send a valid key in x-api-key"),
    "INVALID_SIGNATURE": ("forbidden", "Sign the call with AWS Signature Version 4, service execute-api"),
    "MISSING_AUTHENTICATION_TOKEN": ("unauthorized", "Authorise the call as /openapi.json says, and check its path"),
    "QUOTA_EXCEEDED": ("quota-used-up", "The key's quota is renewed each day at midnight UTC"),
    "REQUEST_TOO_LARGE": ("too-large", "Send fewer rows in one call"),
    "RESOURCE_NOT_FOUND": ("not-found", "The paths are in /openapi.json"),
    "THROTTLED": ("too-many-requests", "Try again after the seconds in Retry-After"),
    "UNAUTHORIZED": ("unauthorized", "Send a valid token of the user pool in Authorization"),
    "UNSUPPORTED_MEDIA_TYPE": ("unsupported-media-type", "Send Content-Type: application/json"),
    "WAF_FILTERED": ("forbidden", "WAF refused the call: send fewer calls, and only rows"),
}
"""API Gateway's response types (Developer Guide, "Gateway response types") as problems, and what to do."""
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
    for name, (kind, detail) in GATEWAY_RESPONSES.items():
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
