"""The API's document: made from the settings, true of its own examples, and deployed without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]

from cdk.api import gateway, openapi, postman
from pipeline.config import Settings, load

ROOT = Path(__file__).parents[2]
URI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations"
CONFIGS = {
    "binary": "pipeline.toml",
    "multiclass": "examples/wine/pipeline.toml",
    "regression": "examples/diabetes/pipeline.toml",
}


@pytest.fixture(params=list(CONFIGS.values()), ids=list(CONFIGS))
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(ROOT / request.param)


@pytest.fixture
def document(settings: Settings) -> dict[str, Any]:
    return openapi.document(settings)


def valid(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    """OpenAPI 3.0's schemas are JSON Schema draft 4 (Wright 00) but for `nullable`, which no body uses."""
    return bool(Draft4Validator({**schema, "components": document["components"]}).is_valid(value))


def body(document: dict[str, Any], path: str, media_type: str) -> dict[str, Any]:
    media: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"][media_type]
    return media


def test_the_examples_are_the_golden_rows_and_fit_their_schemas(settings: Settings, document: dict[str, Any]) -> None:
    golden = [list(row.row) for row in settings.endpoint.golden]
    text = [",".join(map(repr, row)) for row in golden]
    schemas = document["components"]["schemas"]
    assert schemas["Data"]["example"] == {"data": text[0]}
    assert schemas["Instances"]["example"] == {"instances": golden}
    assert valid(document, schemas["Data"], {"data": text[0]})
    assert valid(document, schemas["Instances"], {"instances": golden})
    named = dict(zip(settings.data.features, golden[0], strict=True))
    assert valid(document, schemas["Instances"], {"instances": [named]})
    csv = body(document, "/predictions", "text/csv")
    assert csv["example"] == "\n".join(text)
    assert valid(document, csv["schema"], csv["example"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row[1:],
        lambda row: [*row, 1.0],
        lambda row: ["1.5", *row[1:]],
        lambda row: [True, *row[1:]],
        lambda row: [1e31, *row[1:]],
        lambda row: {"x": 1.0},
    ],
)
def test_what_the_api_refuses_does_not_fit(settings: Settings, document: dict[str, Any], spoil: Any) -> None:
    row = list(settings.endpoint.golden[0].row)
    assert not valid(document, document["components"]["schemas"]["Instances"], {"instances": [spoil(row)]})


def test_limits_and_names_come_from_the_settings(settings: Settings, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert list(schemas["NamedNumbers"]["properties"]) == list(settings.data.features)
    assert schemas["Numbers"]["maxItems"] == len(settings.data.features)
    assert schemas["Instances"]["properties"]["instances"]["maxItems"] == settings.api.max_rows
    assert schemas.get("Label", {}).get("enum", []) == list(settings.data.classes)
    assert list(document["paths"]) == [settings.api.path, "/predictions", "/health", "/openapi.json", "/docs"]


def test_every_problem_of_the_lambda_is_documented_where_it_can_happen(document: dict[str, Any]) -> None:
    told = document["paths"]["/predictions"]["post"]["responses"]
    absent = {"not-found", "method-not-allowed", "quota-used-up"}  # the first two not by a documented call
    for kind, problem in openapi.PROBLEMS.items():
        assert (f"{kind}: " in told.get(str(problem["status"]), {}).get("description", "")) == (kind not in absent)
        if "retry_after" in problem:
            assert "Retry-After" in told[str(problem["status"])]["headers"]


def test_what_is_deployed_is_the_document_with_extensions(settings: Settings, document: dict[str, Any]) -> None:
    before = json.dumps(document)
    api = gateway.deployable(document, integration_uri=URI, settings=settings)
    assert json.dumps(document) == before
    assert set(api["paths"]) == {*document["paths"], "/{proxy+}"}
    assert set(api["paths"]["/{proxy+}"]) == set(gateway.METHODS)
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            uri = operation.pop("x-amazon-apigateway-integration")["uri"]
            assert (path, method, uri) == (path, method, URI)
            if path in document["paths"]:
                told = document["paths"][path][method]
                told.get("requestBody", {}).get("content", {}).pop("text/csv", None)
                assert operation == told
    assert api["components"]["securitySchemes"]["caller"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    proved = {path for path, operations in api["paths"].items() for call in operations.values() if call["security"]}
    assert proved == {settings.api.path, "/predictions", "/{proxy+}"}


def test_api_gateway_checks_shapes_and_never_quotes_a_value_of_a_row(
    settings: Settings, document: dict[str, Any]
) -> None:
    api = gateway.deployable(document, integration_uri=URI, settings=settings)
    schemas = api["components"]["schemas"]
    assert valid(api, schemas["Instances"], {"instances": [["secret"]]})
    assert valid(api, schemas["Data"], {"data": "secret"})
    assert not valid(api, schemas["Instances"], {"instances": []})
    assert not valid(api, schemas["Data"], {"row": ""})
    assert api["x-amazon-apigateway-request-validator"] in api["x-amazon-apigateway-request-validators"]


def test_api_gateways_own_refusals_are_problems() -> None:
    for response in gateway.gateway_responses().values():
        template = response["responseTemplates"]["application/json"]
        problem = json.loads(template)
        kind = problem["type"].removeprefix("urn:problem-type:")
        told = openapi.PROBLEMS[kind]
        assert (problem["title"], problem["status"], response["statusCode"]) == (
            told["title"],
            told["status"],
            str(told["status"]),
        )
        assert problem["request_id"] == "$context.requestId"
        assert "$context.error" not in template
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert ("gatewayresponse.header.Retry-After" in headers) == ("retry_after" in told)


def deployed_as(settings: Settings, **changes: Any) -> dict[str, Any]:
    api = settings.api.model_copy(update=changes)
    document = openapi.document(settings.model_copy(update={"api": api}))
    return gateway.deployable(document, integration_uri=URI, api=api)


def test_api_gateways_refusals_are_all_there_and_a_page_may_read_them_if_any_may() -> None:
    model = botocore.session.get_session().get_service_model("apigateway")
    assert set(gateway.gateway_responses()) == set(model.shape_for("GatewayResponseType").enum)
    allow = "gatewayresponse.header.Access-Control-Allow-Origin"
    assert all(allow not in response["responseParameters"] for response in gateway.gateway_responses().values())
    told = {
        response["responseParameters"][allow] for response in gateway.gateway_responses("https://example.org").values()
    }
    assert told == {"'https://example.org'"}


def test_a_user_pool_authorises_by_its_arn(settings: Settings) -> None:
    pool = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_x"
    deployed = deployed_as(settings, auth="cognito", user_pool=pool)
    assert deployed["components"]["securitySchemes"]["caller"]["x-amazon-apigateway-authorizer"] == {
        "type": "cognito_user_pools",
        "providerARNs": [pool],
    }


def test_an_open_api_has_no_scheme(settings: Settings) -> None:
    deployed = deployed_as(settings, auth="none")
    assert "securitySchemes" not in deployed["components"]
    assert not any(call["security"] for operations in deployed["paths"].values() for call in operations.values())


@pytest.mark.parametrize(("auth", "schemes"), [("iam", {"caller": [], "key": []}), ("none", {"key": []})])
def test_metering_wants_a_key_beside_the_proof_of_who_calls(
    settings: Settings, auth: str, schemes: dict[str, Any]
) -> None:
    paths = deployed_as(settings, auth=auth, metering=True)["paths"]
    assert paths["/predictions"]["post"]["security"] == paths[settings.api.path]["post"]["security"] == [schemes]
    assert paths["/health"]["get"]["security"] == []


def test_a_preflight_is_answered_without_proof_where_another_origin_may_call(settings: Settings) -> None:
    paths = deployed_as(settings, cors_origin="https://example.org")["paths"]
    preflights = [operations["options"] for operations in paths.values()]
    assert all(not call["security"] and call["x-amazon-apigateway-integration"]["uri"] == URI for call in preflights)
    assert [path for path, calls in deployed_as(settings)["paths"].items() if "options" in calls] == ["/{proxy+}"]


@pytest.mark.parametrize(("auth", "kind"), [("iam", "awsv4"), ("cognito", "apikey"), ("none", "noauth")])
def test_the_postman_collection_has_every_call_with_its_example(document: dict[str, Any], auth: str, kind: str) -> None:
    made = postman.collection(document, auth)
    assert [item["name"] for item in made["item"]] == [
        "predictOne application/json",
        "predictMany application/json",
        "predictMany text/csv",
        "health",
        "openapi",
        "docs",
    ]
    assert made["auth"]["type"] == kind
    example = document["components"]["schemas"]["Data"]["example"]
    assert json.loads(made["item"][0]["request"]["body"]["raw"]) == example
    assert all(variable["value"] == "" for variable in made["variable"] if variable["key"] in postman.SECRETS)


def test_a_metered_collection_sends_the_key_with_predictions_alone(settings: Settings) -> None:
    api = settings.api.model_copy(update={"metering": True})
    made = postman.collection(openapi.document(settings.model_copy(update={"api": api})), "iam")
    key = {"key": "x-api-key", "value": "{{apiKey}}"}
    keyed = [item["name"] for item in made["item"] if key in item["request"]["header"]]
    assert keyed == ["predictOne application/json", "predictMany application/json", "predictMany text/csv"]
