"""API Gateway imports a document with its gateway responses, and uses them for its own refusals."""

from typing import Any

import pytest
import requests

from .aws import Aws

pytestmark = pytest.mark.cloud
PROBLEM = {
    "statusCode": "401",
    "responseParameters": {
        "gatewayresponse.header.Content-Type": "'application/problem+json'",
        "gatewayresponse.header.Retry-After": "'7'",
    },
    "responseTemplates": {"application/json": '{"id": "$context.requestId"}'},
}


def imported(aws: Aws, stack: str, **responses: Any) -> dict[str, Any]:
    """The stack of an API with one signed method and these gateway responses."""
    operation = {"security": [{"signed": []}], "x-amazon-apigateway-integration": {"type": "mock"}, "responses": {}}
    scheme = {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "imported", "version": "1"},
        "paths": {"/closed": {"get": operation}},
        "components": {"securitySchemes": {"signed": scheme}},
        "x-amazon-apigateway-gateway-responses": responses,
    }
    api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": document}}
    deployment = {"RestApiId": {"Ref": "Api"}, "StageName": "v1"}
    resources = {"Api": api, "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": deployment}}
    return aws.stack(stack, resources, Api={"Ref": "Api"})


def test_a_refusal_has_the_documents_status_headers_and_body(aws: Aws) -> None:
    api = imported(aws, "refusals", MISSING_AUTHENTICATION_TOKEN=PROBLEM)["Outputs"]["Api"]
    answer = requests.get(f"{aws.cloud.endpoint_url}/_aws/execute-api/{api}/v1/closed", timeout=10)
    wanted = {"Content-Type": "application/problem+json", "Retry-After": "7"}
    assert (answer.status_code, {name: answer.headers[name] for name in wanted}) == (401, wanted)
    assert answer.json() == {"id": answer.headers["x-amzn-requestid"]}


def test_a_response_of_an_unknown_type_refuses_the_document(aws: Aws) -> None:
    assert imported(aws, "unknown-response", NO_SUCH_TYPE=PROBLEM)["StackStatus"] != "CREATE_COMPLETE"
    events = aws.client("cloudformation").describe_stack_events(StackName="unknown-response")["StackEvents"]
    assert any("NO_SUCH_TYPE" in event.get("ResourceStatusReason", "") for event in events)
