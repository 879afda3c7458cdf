"""API Gateway imports a document with its gateway responses and any-methods, and writes logs in the account's role."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from .aws import EVERYTHING, Aws, refused, unique

MOCK = {"type": "mock"}
API = Path(__file__).with_name("api.json").read_text(encoding="utf-8")


def imported(aws: Aws, stack: str, document: str = API, **stage: Any) -> dict[str, Any]:
    """The stack of an API with this OpenAPI document; `stage` are the properties of another stage, `logged`."""
    api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": json.loads(document)}}
    deployment = {"RestApiId": {"Ref": "Api"}, "StageName": "v1"}
    resources = {"Api": api, "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": deployment}}
    if stage:
        named = {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "logged"}
        resources["Stage"] = {"Type": "AWS::ApiGateway::Stage", "Properties": {**named, **stage}}
    return aws.stack(stack, resources, Api={"Ref": "Api"})


def reasons(aws: Aws, stack: str) -> str:
    events = aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return "\n".join(event.get("ResourceStatusReason", "") for event in events)


def test_a_refusal_has_the_documents_status_headers_and_body(aws: Aws) -> None:
    api = imported(aws, "refusals", API)["Outputs"]["Api"]
    answer = requests.get(f"{aws.cloud.endpoint_url}/_aws/execute-api/{api}/v1/closed", timeout=10)
    wanted = {"Content-Type": "application/problem+json", "Retry-After": "7"}
    assert (answer.status_code, {name: answer.headers[name] for name in wanted}) == (401, wanted)
    assert answer.json() == {"id": answer.headers["x-amzn-requestid"]}


def proxied(
    aws: Aws, stack: str, *lines: str, document: str = API, path: str = "/run", method: str = "get"
) -> tuple[str, str]:
    """The id and the address of an API whose path is a new function of these lines."""
    arn = aws.function(*lines)
    grant = {"StatementId": "api", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    aws.client("lambda").add_permission(FunctionName=arn, **grant)
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    proxy = {"x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}}
    spec = json.loads(document)
    spec["paths"][path] = {method: proxy}
    api = imported(aws, stack, json.dumps(spec))["Outputs"]["Api"]
    return api, f"{aws.cloud.endpoint_url}/_aws/execute-api/{api}/v1{path}"


PROBLEM = {"type": "urn:problem", "id": "$context.requestId"}
OWN = {
    "statusCode": "500",
    "responseParameters": {"gatewayresponse.header.Content-Type": "'application/problem+json'"},
    "responseTemplates": {"application/json": json.dumps(PROBLEM)},
}
FAILURES = {
    "raises": ("raise ValueError(os.getcwd() + __file__)",),
    "ends": ("os._exit(3)",),
    "times-out": ("import time", "time.sleep(60)"),
    "answers-no-json": ("return {'statusCode': 200, 'body': {1, 2}}",),
}


def failing(aws: Aws, how: str, document: Any) -> requests.Response:
    """The answer of an API with this document when its function fails."""
    _, url = proxied(aws, unique(how), *FAILURES[how], document=json.dumps(document))
    if how == "times-out":
        for each in aws.client("lambda").list_functions()["Functions"]:
            if each["Timeout"] != 1:
                aws.client("lambda").update_function_configuration(FunctionName=each["FunctionName"], Timeout=1)
    return requests.get(url, timeout=20)


@pytest.mark.drill(
    "diagnosis", "a Lambda behind the API fails ({id})", "a problem document without anything of the error"
)
@pytest.mark.parametrize("how", FAILURES)
def test_a_function_that_fails_is_answered_by_the_gateway_response_and_by_nothing_of_its_error(
    aws: Aws, how: str
) -> None:
    document = json.loads(API)
    document["x-amazon-apigateway-gateway-responses"]["DEFAULT_5XX"] = OWN
    answer = failing(aws, how, document)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.json() == {"type": "urn:problem", "id": answer.headers["x-amzn-requestid"]}


def test_without_a_gateway_response_the_answer_of_a_function_that_fails_is_an_internal_server_error(aws: Aws) -> None:
    answer = failing(aws, "raises", json.loads(API))
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/json")
    assert answer.json() == {"message": "Internal server error"}


@pytest.mark.drill("diagnosis", "a Lambda behind the API takes too long", "504, as API Gateway answers")
def test_an_integration_that_takes_too_long_is_answered_by_its_gateway_response(aws: Aws) -> None:
    api, url = proxied(aws, "slow", "import time", "time.sleep(2)", "return {'statusCode': 200}")
    gateway = aws.client("apigateway")
    (resource,) = [each for each in gateway.get_resources(restApiId=api)["items"] if each["path"] == "/run"]
    patch = [{"op": "replace", "path": "/timeoutInMillis", "value": "50"}]
    gateway.update_integration(restApiId=api, resourceId=resource["id"], httpMethod="GET", patchOperations=patch)
    answer = requests.get(url, timeout=20)
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})


@pytest.mark.drill("diagnosis", "a foreign stage or API", "a problem document")
def test_a_stage_or_an_api_that_does_not_exist_is_a_problem_document(aws: Aws) -> None:
    api = imported(aws, "staged", API)["Outputs"]["Api"]
    for path, status, phrase, detail in (
        (f"{api}/other/closed", 403, "Forbidden", f"The API {api} has no stage other."),
        ("0123abcd/v1/closed", 404, "Not Found", "There is no API 0123abcd."),
    ):
        answer = requests.get(f"{aws.cloud.endpoint_url}/_aws/execute-api/{path}", timeout=20)
        told = {"type": "about:blank", "title": phrase, "status": status, "detail": detail, "message": phrase}
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert answer.json() == told


def test_a_task_invokes_an_api_and_fails_with_the_status_of_a_refusal(aws: Aws) -> None:
    lines = "said = event['headers']['x-a'] + event['body']", "return {'statusCode': 200, 'body': said}"
    api, _ = proxied(aws, "invoked", *lines, path="/said", method="post")
    place = {"ApiEndpoint": f"{api}.execute-api.us-east-1.amazonaws.com", "Stage": "v1"}
    post = {**place, "Method": "POST", "Path": "/said", "Headers": {"x-a": ["1", "2"]}, "RequestBody": {"a": 1}}
    status, _, result = aws.run("arn:aws:states:::apigateway:invoke", post)
    assert (status, result["StatusCode"], result["ResponseBody"]) == ("SUCCEEDED", 200, '[1,2]{"a": 1}')
    assert {"Content-Length", "Date"} <= set(result["Headers"]), "names as AWS writes them"
    get = {**place, "Method": "GET", "Path": "closed"}
    status, error, cause = aws.run("arn:aws:states:::apigateway:invoke", get)
    assert (status, error, list(json.loads(cause))) == ("FAILED", "ApiGateway.401", ["id"])


def test_a_response_of_an_unknown_type_refuses_the_document(aws: Aws) -> None:
    document = API.replace("MISSING_AUTHENTICATION_TOKEN", "NO_SUCH_TYPE")
    assert imported(aws, "unknown-response", document)["StackStatus"] != "CREATE_COMPLETE"
    assert "NO_SUCH_TYPE" in reasons(aws, "unknown-response")


def test_an_any_method_serves_the_methods_that_its_path_does_not_name(aws: Aws) -> None:
    document = json.loads(API)
    document["paths"]["/closed"]["x-amazon-apigateway-any-method"] = {"x-amazon-apigateway-integration": MOCK}
    api = imported(aws, "any-method", json.dumps(document))["Outputs"]["Api"]
    url = f"{aws.cloud.endpoint_url}/_aws/execute-api/{api}/v1/closed"
    assert [requests.request(method, url, timeout=10).status_code for method in ("GET", "DELETE")] == [401, 200]


def test_a_stage_with_logs_needs_the_accounts_role(aws: Aws) -> None:
    gateway = aws.client("apigateway")
    needed = "CloudWatch Logs role ARN must be set in account settings to enable logging"
    logs = {"DestinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:api", "Format": "$context.requestId"}
    level = {"ResourcePath": "/*", "HttpMethod": "*", "LoggingLevel": "ERROR"}
    for name, stage in {"access-logs": {"AccessLogSetting": logs}, "logs": {"MethodSettings": [level]}}.items():
        assert imported(aws, name, **stage)["StackStatus"] == "ROLLBACK_COMPLETE"
        assert needed in reasons(aws, name)
    api = imported(aws, "unlogged")["Outputs"]["Api"]
    patch = {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": logs["DestinationArn"]}
    update = {"restApiId": api, "stageName": "v1", "patchOperations": [patch]}
    assert refused(gateway.update_stage, **update) == ("BadRequestException", needed)

    role = {"op": "replace", "path": "/cloudwatchRoleArn"}
    wrong = {**role, "value": aws.role("untrusting", ["lambda"], EVERYTHING)}
    code, message = refused(gateway.update_account, patchOperations=[wrong])
    assert (code, "grant trust permission for API Gateway" in message) == ("BadRequestException", True)
    right = {**role, "value": aws.role("gateway-logs", ["apigateway"], EVERYTHING)}
    gateway.update_account(patchOperations=[right])
    gateway.update_stage(**update)
    assert imported(aws, "logged", AccessLogSetting=logs)["StackStatus"] == "CREATE_COMPLETE"
