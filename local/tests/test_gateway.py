"""API Gateway imports a document with its gateway responses, and answers its own refusals by them."""

import json
from typing import Any

import pytest
import requests
from botocore.exceptions import WaiterError

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


def template(**responses: Any) -> str:
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
    return json.dumps({"Resources": resources, "Outputs": {"Api": {"Value": {"Ref": "Api"}}}})


def test_a_refusal_has_the_documents_status_headers_and_body(aws: Aws) -> None:
    stacks = aws.client("cloudformation")
    stacks.create_stack(StackName="refusals", TemplateBody=template(MISSING_AUTHENTICATION_TOKEN=PROBLEM))
    stacks.get_waiter("stack_create_complete").wait(StackName="refusals", WaiterConfig={"Delay": 1})
    api = stacks.describe_stacks(StackName="refusals")["Stacks"][0]["Outputs"][0]["OutputValue"]
    answer = requests.get(f"{aws.cloud.endpoint_url}/_aws/execute-api/{api}/v1/closed", timeout=10)
    wanted = {"Content-Type": "application/problem+json", "Retry-After": "7"}
    assert (answer.status_code, {name: answer.headers[name] for name in wanted}) == (401, wanted)
    assert answer.json() == {"id": answer.headers["x-amzn-requestid"]}


def test_a_response_of_an_unknown_type_refuses_the_document(aws: Aws) -> None:
    stacks = aws.client("cloudformation")
    stacks.create_stack(StackName="unknown-response", TemplateBody=template(NO_SUCH_TYPE=PROBLEM))
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_create_complete").wait(StackName="unknown-response", WaiterConfig={"Delay": 1})
    events = stacks.describe_stack_events(StackName="unknown-response")["StackEvents"]
    assert any("NO_SUCH_TYPE" in event.get("ResourceStatusReason", "") for event in events)
