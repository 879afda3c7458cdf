"""API Gateway imports a document with its gateway responses, and uses them for its own refusals."""

import json
from pathlib import Path
from typing import Any

import requests

from .aws import Aws

API = Path(__file__).with_name("api.json").read_text(encoding="utf-8")


def imported(aws: Aws, stack: str, document: str) -> dict[str, Any]:
    """The stack of an API with this OpenAPI document."""
    api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": json.loads(document)}}
    deployment = {"RestApiId": {"Ref": "Api"}, "StageName": "v1"}
    resources = {"Api": api, "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": deployment}}
    return aws.stack(stack, resources, Api={"Ref": "Api"})


def test_a_refusal_has_the_documents_status_headers_and_body(aws: Aws) -> None:
    api = imported(aws, "refusals", API)["Outputs"]["Api"]
    answer = requests.get(f"{aws.cloud.endpoint_url}/_aws/execute-api/{api}/v1/closed", timeout=10)
    wanted = {"Content-Type": "application/problem+json", "Retry-After": "7"}
    assert (answer.status_code, {name: answer.headers[name] for name in wanted}) == (401, wanted)
    assert answer.json() == {"id": answer.headers["x-amzn-requestid"]}


def test_a_response_of_an_unknown_type_refuses_the_document(aws: Aws) -> None:
    document = API.replace("MISSING_AUTHENTICATION_TOKEN", "NO_SUCH_TYPE")
    assert imported(aws, "unknown-response", document)["StackStatus"] != "CREATE_COMPLETE"
    events = aws.client("cloudformation").describe_stack_events(StackName="unknown-response")["StackEvents"]
    assert any("NO_SUCH_TYPE" in event.get("ResourceStatusReason", "") for event in events)
