"""The OpenAPI document as API Gateway deploys it: integrations, authorisation, validators and its own refusals."""

import copy
import json

from cdk.openapi import PROBLEMS, Json
from pipeline.api_settings import Api

REPORT = "Report the request's id to whoever runs this API"
REFUSALS = {
    "ACCESS_DENIED": ("forbidden", "Ask for execute-api:Invoke on this API"),
    "API_CONFIGURATION_ERROR": ("internal", REPORT),
    "AUTHORIZER_CONFIGURATION_ERROR": ("internal", REPORT),
    "AUTHORIZER_FAILURE": ("internal", REPORT),
    "BAD_REQUEST_BODY": ("bad-body", "Send the body that /openapi.json describes"),
    "BAD_REQUEST_PARAMETERS": ("bad-body", "Send the parameters that /openapi.json describes"),
    "DEFAULT_4XX": ("forbidden", "Check the call's signature and its headers"),
    "DEFAULT_5XX": ("internal", REPORT),
    "EXPIRED_TOKEN": ("forbidden", "Get new credentials and send the call again"),
    "INTEGRATION_FAILURE": ("internal", REPORT),
    "INTEGRATION_TIMEOUT": ("timeout", "Try again; if it stays so, send fewer rows in one call"),
    "INVALID_API_KEY": ("forbidden", "Send a valid key in x-api-key"),
    "INVALID_SIGNATURE": ("forbidden", "Sign the call with AWS Signature Version 4, service execute-api"),
    "MISSING_AUTHENTICATION_TOKEN": ("unauthorized", "Authorise the call as /openapi.json says, and check its path"),
    "QUOTA_EXCEEDED": ("quota-used-up", "Your key's quota is renewed each day, at midnight UTC"),
    "REQUEST_TOO_LARGE": ("too-large", "Send fewer rows in one call"),
    "RESOURCE_NOT_FOUND": ("not-found", "The paths are in /openapi.json"),
    "THROTTLED": ("too-many-requests", "Try again after the seconds in Retry-After"),
    "UNAUTHORIZED": ("unauthorized", "Send a valid token of the user pool in Authorization"),
    "UNSUPPORTED_MEDIA_TYPE": ("unsupported-media-type", "Send Content-Type: application/json"),
    "WAF_FILTERED": ("forbidden", "The firewall refused the call: send fewer calls, and rows only"),
}
"""API Gateway's response types (Developer Guide, "Gateway response types") as our problems, and what to do."""
METHODS = ("get", "post", "put", "delete", "patch", "head", "options")


def deployable(document: Json, *, integration_uri: str, api: Api) -> Json:
    """Return a copy of the OpenAPI document with the extensions that API Gateway reads.

    `integration_uri` is the Lambda's invocation address
    (`arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations`).
    A catch-all lets the Lambda answer 404 and 405; API Gateway would call either a missing token. It has every method
    by name, as the local AWS does not know `x-amazon-apigateway-any-method`. The Lambda answers a browser's preflight,
    too, which proves nothing: only where another origin may call.
    """
    deployed = copy.deepcopy(document)
    del deployed["servers"]
    schemes = deployed["components"].get("securitySchemes", {})
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": integration_uri}
    proxy = {"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}
    refused = {"default": {"description": "A problem: not-found or method-not-allowed"}}
    other = {"security": [{"caller": []}] if "caller" in schemes else [], "parameters": [proxy], "responses": refused}
    deployed["paths"]["/{proxy+}"] = {method: dict(other) for method in METHODS}
    for operations in deployed["paths"].values():
        if api.cors_origin:
            operations["options"] = {**operations.get("options", {"responses": refused}), "security": []}
        for operation in operations.values():
            operation["x-amazon-apigateway-integration"] = integration
            # Content-Type decides the model: CSV has none, and the Lambda reads it.
            operation.get("requestBody", {}).get("content", {}).pop("text/csv", None)
    if "caller" in schemes:
        schemes["caller"].update(_authorizer(api))
    # API Gateway quotes a refused value and names no row: it checks a body's shape, the Lambda checks the rows.
    deployed["components"]["schemas"]["Row"] = {}
    deployed["components"]["schemas"]["Data"]["properties"]["data"].pop("pattern")
    deployed["x-amazon-apigateway-request-validators"] = {
        "body": {"validateRequestBody": True, "validateRequestParameters": True}
    }
    deployed["x-amazon-apigateway-request-validator"] = "body"
    deployed["x-amazon-apigateway-gateway-responses"] = refusals(api.cors_origin)
    return deployed


def refusals(cors_origin: str = "") -> Json:
    """Return API Gateway's own refusals by response type, as problem documents that `cors_origin` may read."""
    allowed = {"gatewayresponse.header.Access-Control-Allow-Origin": f"'{cors_origin}'"} if cors_origin else {}
    responses = {}
    for name, (kind, detail) in REFUSALS.items():
        problem = PROBLEMS[kind]
        body = {
            "type": f"urn:problem-type:{kind}",
            "title": problem["title"],
            "status": problem["status"],
            "detail": detail,
            "request_id": "$context.requestId",
        }
        headers = {"gatewayresponse.header.Content-Type": "'application/problem+json'", **allowed}
        if "retry_after" in problem:
            headers["gatewayresponse.header.Retry-After"] = f"'{problem['retry_after']}'"
        responses[name] = {
            "statusCode": str(problem["status"]),
            "responseParameters": headers,
            "responseTemplates": {"application/json": json.dumps(body)},
        }
    return responses


def _authorizer(api: Api) -> Json:
    if api.auth == "iam":
        return {"x-amazon-apigateway-authtype": "awsSigv4"}
    authorizer = {"type": "cognito_user_pools", "providerARNs": [api.user_pool]}
    return {"x-amazon-apigateway-authtype": "cognito_user_pools", "x-amazon-apigateway-authorizer": authorizer}
