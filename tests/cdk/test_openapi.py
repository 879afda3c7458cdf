"""The OpenAPI document: generated from the settings, true of its examples, and deployed without loss."""

import json
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]

from cdk.api import gateway, openapi, postman
from cdk.api.openapi import Json
from pipeline import settings as tables
from pipeline.config import ConfigError, Settings, load
from tests.conftest import ROOT

URI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations"
ORIGIN = "https://example.org"
ALLOW = "gatewayresponse.header.Access-Control-Allow-Origin"
CONFIGS = {"binary": "pipeline.toml", "multiclass": "examples/wine/pipeline.toml"}
CONFIGS["regression"] = "examples/diabetes/pipeline.toml"
CONFIGS["encoded"] = "tests/lambdas/predict/passengers.toml"
numeric = pytest.mark.parametrize("settings", [CONFIGS[name] for name in CONFIGS if name != "encoded"], indirect=True)


@pytest.fixture(params=list(CONFIGS.values()), ids=list(CONFIGS))
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(ROOT / request.param)


@pytest.fixture
def passengers() -> Settings:
    """A table with categories, booleans and gaps, and without golden rows."""
    return load(ROOT / CONFIGS["encoded"])


@pytest.fixture
def document(settings: Settings) -> Json:
    return openapi.document(settings)


def valid(document: Json, schema: Json, value: Any) -> bool:
    """OpenAPI 3.0's schemas are JSON Schema draft 4 (Wright 00) except for `nullable`."""
    components = with_null({**schema, "components": document["components"]})
    return bool(Draft4Validator(components).is_valid(value))


def with_null(part: Any) -> Any:
    """A part of a document in JSON Schema."""
    if isinstance(part, list):
        return [with_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    schema = {name: with_null(value) for name, value in part.items() if name != "nullable"}
    return {"anyOf": [schema, {"type": "null"}]} if part.get("nullable") is True else schema


def changed(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"api": settings.api.model_copy(update=changes)})


def deployed(settings: Settings) -> Json:
    return gateway.deployable(openapi.document(settings), integration_uri=URI, settings=settings)


def examples(document: Json) -> tuple[Any, Any, str]:
    """The examples of one row, of instances and of CSV, which fit their schemas."""
    schemas = document["components"]["schemas"]
    csv = document["paths"]["/predictions"]["post"]["requestBody"]["content"]["text/csv"]
    assert valid(document, schemas["Data"], schemas["Data"]["example"])
    assert valid(document, schemas["Instances"], schemas["Instances"]["example"])
    assert valid(document, csv["schema"], csv["example"])
    return schemas["Data"]["example"]["data"], schemas["Instances"]["example"]["instances"], csv["example"]


@numeric
def test_the_examples_of_numbers_are_the_golden_rows(settings: Settings, document: Json) -> None:
    golden: list[Any] = [list(row.row) for row in settings.endpoint.golden]
    text = [",".join(map(repr, row)) for row in golden]
    assert examples(document) == (text[0], golden, "\n".join(text))
    named = dict(zip(settings.data.features, golden[0], strict=True))
    assert valid(document, document["components"]["schemas"]["Instances"], {"instances": [named]})


NAMED = {"age": 22.0, "class": "3", "sex": "male", "port": "Southampton, UK", "alone": False, "fare": 7.25}
LINE = '22.0,3,male,"Southampton, UK",false,7.25'


def test_the_example_of_the_settings_comes_before_golden_rows_and_those_before_a_made_one(passengers: Settings) -> None:
    golden = tables.Golden(row=(30.0, 1.0, "female", "?", None, 80.0), label="yes")
    endpoint = passengers.endpoint.model_copy(update={"golden": (golden,)})
    without = changed(passengers, example={})
    by_golden = {"age": 30.0, "class": "1", "sex": "female", "port": None, "alone": None, "fare": 80.0}
    made = {"age": 0.0, "class": "text", "sex": "text", "port": "text", "alone": True, "fare": 0.0}
    for settings, line, row, label in (
        (passengers.model_copy(update={"endpoint": endpoint}), LINE, NAMED, "yes"),
        (without.model_copy(update={"endpoint": endpoint}), "30.0,1,female,,,80.0", by_golden, "yes"),
        (without, "0.0,text,text,text,true,0.0", made, "no"),
    ):
        document = openapi.document(settings)
        assert examples(document) == (line, [row], line)
        answer = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]
        assert answer == {"schema": {"$ref": "#/components/schemas/Label"}, "example": label}


def test_an_example_that_the_api_would_refuse_is_an_error_of_the_settings(passengers: Settings) -> None:
    wrong = changed(passengers, example=dict(passengers.api.example) | {"alone": "maybe", "class": True})
    with pytest.raises(ConfigError) as refused:
        openapi.document(wrong)
    class_ = "class must be text: at most 1000 characters, no control characters"
    assert str(refused.value) == f"api.example: {class_}; alone must be true or false"


ANY = r"[^\u0000-\u001f\u007f]*"
EMPTY = {"type": "string", "maxLength": 1000, "pattern": f"^{ANY}$"}
TEXT = {**EMPTY, "pattern": rf"^{ANY}[^\s\u0000-\u001f\u007f]{ANY}$"}
NUMBER = {"type": "number", "minimum": -1e30, "maximum": 1e30}


def test_a_value_has_the_schema_of_its_kind_and_may_be_null_where_gaps_are_filled_in(passengers: Settings) -> None:
    schemas = openapi.document(passengers)["components"]["schemas"]
    missing = {"nullable": True}
    named = {
        **{"age": NUMBER | missing, "class": TEXT, "sex": TEXT, "port": EMPTY | missing},
        **{"alone": {"type": "boolean"} | missing, "fare": NUMBER},
    }
    assert schemas["NamedValues"]["properties"] == named
    assert schemas["NamedValues"]["required"] == ["class", "sex", "fare"]
    kinds = [NUMBER | missing, TEXT, EMPTY | missing, {"type": "boolean"} | missing, NUMBER]
    assert schemas["Values"]["items"] == {"anyOf": kinds}
    assert schemas["Row"] == {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Values", "NamedValues")]}
    everything = passengers.data.model_copy(update={"missing": tables.Missing(impute=("*",))})
    all_filled = openapi.document(passengers.model_copy(update={"data": everything}))["components"]["schemas"]
    assert "required" not in all_filled["NamedValues"]


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (NAMED, True),
        ({**NAMED, "age": None, "port": None, "alone": None}, True),
        ({"class": "3", "sex": "f", "fare": 1}, True),
        ([None, "3", "male", None, True, 7.25], True),
        ({**NAMED, "class": None}, False),
        ({**NAMED, "sex": "a\tb"}, False),
        ({**NAMED, "sex": " "}, False),
        ({**NAMED, "port": " "}, True),
        ({**NAMED, "alone": "maybe"}, False),
        ({**NAMED, "fare": "7.25"}, False),
        ({"age": 1.0}, False),
        ([1, 2], False),
    ],
)
def test_a_row_with_texts_and_gaps_fits_when_the_api_takes_it(passengers: Settings, row: Any, fits: bool) -> None:
    document = openapi.document(passengers)
    assert valid(document, document["components"]["schemas"]["Instances"], {"instances": [row]}) is fits


def test_a_line_with_quotes_fits(passengers: Settings) -> None:
    csv = openapi.document(passengers)["paths"]["/predictions"]["post"]["requestBody"]["content"]["text/csv"]
    good = f',3,"a ""b""",,,1\n{LINE}'
    for text, fits in ((good, True), (f"{good},", False), (f'{good}\n,"3,,,,', False)):
        assert valid({"components": {}}, csv["schema"], text) is fits


@numeric
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
def test_a_row_that_the_api_refuses_does_not_fit(
    settings: Settings, document: Json, spoil: Callable[[list[Any]], Any]
) -> None:
    row = list(settings.endpoint.golden[0].row)
    assert not valid(document, document["components"]["schemas"]["Instances"], {"instances": [spoil(row)]})


def test_limits_and_names_come_from_the_settings(settings: Settings, document: Json) -> None:
    schemas = document["components"]["schemas"]
    named, array = ("NamedValues", "Values") if settings.data.encoded else ("NamedNumbers", "Numbers")
    assert list(schemas[named]["properties"]) == list(settings.data.features)
    assert schemas[array]["maxItems"] == len(settings.data.features)
    assert schemas["Instances"]["properties"]["instances"]["maxItems"] == settings.api.max_rows
    assert schemas.get("Label", {}).get("enum", []) == list(settings.data.classes)
    assert list(document["paths"]) == [settings.api.path, "/predictions", "/health", "/openapi.json", "/docs"]


def test_callers_are_told_what_is_stored_of_their_rows(settings: Settings) -> None:
    stored = "Of the posted rows {} % are stored with their predictions, {}, to detect drift."
    for percent, days, text in (
        (100, 90, stored.format(100, "90 days")),
        (5, 0, stored.format(5, "without a limit of time")),
        (0, 90, "Posted rows are not stored."),
    ):
        endpoint = settings.endpoint.model_copy(update={"capture_percent": percent})
        stack = settings.stack.model_copy(update={"capture_days": days})
        told = openapi.document(settings.model_copy(update={"endpoint": endpoint, "stack": stack}))["info"][
            "description"
        ]
        assert told.endswith(f" {text}")


def test_every_problem_of_the_lambda_is_documented_where_it_can_happen(document: Json) -> None:
    responses = document["paths"]["/predictions"]["post"]["responses"]
    absent = {"not-found", "method-not-allowed", "quota-used-up"}  # the first two not by a documented call
    for kind, problem in openapi.PROBLEMS.items():
        response = responses.get(str(problem["status"]), {"description": ""})
        assert (f"{kind}: " in response["description"]) == (kind not in absent)
        if "retry_after" in problem:
            assert "Retry-After" in response["headers"]


def test_what_is_deployed_is_the_document_with_extensions(settings: Settings, document: Json) -> None:
    before = json.dumps(document)
    api = gateway.deployable(document, integration_uri=URI, settings=settings)
    assert json.dumps(document) == before
    assert set(api["paths"]) == {*document["paths"], "/", "/{proxy+}"}
    assert all(gateway.ANY in operations for operations in api["paths"].values())
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            uri = operation.pop("x-amazon-apigateway-integration")["uri"]
            assert (path, method, uri) == (path, method, URI)
            if method != gateway.ANY:
                documented = document["paths"][path][method]
                documented.get("requestBody", {}).get("content", {}).pop("text/csv", None)
                assert operation == gateway._supported(documented)
    assert api["components"]["securitySchemes"]["caller"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    secured = {(path, method) for path, calls in api["paths"].items() for method in calls if calls[method]["security"]}
    assert secured == {(settings.api.path, "post"), ("/predictions", "post"), ("/{proxy+}", gateway.ANY)}


def test_api_gateway_checks_shapes_and_never_quotes_a_value_of_a_row(settings: Settings) -> None:
    api = deployed(settings)
    schemas = api["components"]["schemas"]
    for rows in ([["secret"]], [{"secret": 1}], []):
        assert valid(api, schemas["Instances"], {"instances": rows})
    assert valid(api, schemas["Data"], {"data": "secret"})
    assert not valid(api, schemas["Instances"], {"rows": []})
    assert not valid(api, schemas["Data"], {"row": ""})
    assert api["x-amazon-apigateway-request-validator"] in api["x-amazon-apigateway-request-validators"]


def test_what_api_gateway_imports_does_not_change_with_a_models_signature(settings: Settings) -> None:
    data = settings.data
    other = {"target": "other", "features": data.features[::-1], "labels": data.labels[::-1]}
    changed_data = settings.model_copy(update={"data": data.model_copy(update=other), "api": settings.api})
    plain = changed_data.model_copy(update={"endpoint": settings.endpoint.model_copy(update={"golden": ()})})
    assert deployed(plain) == deployed(settings)


def test_api_gateways_own_responses_are_problems() -> None:
    for response in gateway.gateway_responses().values():
        template = response["responseTemplates"]["application/json"]
        problem = json.loads(template)
        kind = openapi.PROBLEMS[problem["type"].removeprefix("urn:problem-type:")]
        assert (problem["title"], problem["status"]) == (kind["title"], kind["status"])
        assert response["statusCode"] == str(kind["status"])
        assert problem["request_id"] == "$context.requestId"
        assert "$context.error" not in template
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert ("gatewayresponse.header.Retry-After" in headers) == ("retry_after" in kind)


def test_every_gateway_response_is_defined_and_only_pages_of_the_origin_may_read_it() -> None:
    model: Any = botocore.session.get_session().get_service_model("apigateway")
    closed, opened = gateway.gateway_responses(), gateway.gateway_responses(ORIGIN)
    assert set(closed) == set(model.shape_for("GatewayResponseType").enum)
    assert all(ALLOW not in response["responseParameters"] for response in closed.values())
    assert {response["responseParameters"][ALLOW] for response in opened.values()} == {f"'{ORIGIN}'"}


def test_a_user_pool_authorises_by_its_arn(settings: Settings) -> None:
    pool = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_x"
    schemes = deployed(changed(settings, auth="cognito", user_pool=pool))["components"]["securitySchemes"]
    authorizer = {"type": "cognito_user_pools", "providerARNs": [pool]}
    assert schemes["caller"]["x-amazon-apigateway-authorizer"] == authorizer


def test_an_open_api_has_no_scheme(settings: Settings) -> None:
    api = deployed(changed(settings, auth="none"))
    assert "securitySchemes" not in api["components"]
    assert not any(call["security"] for operations in api["paths"].values() for call in operations.values())


@pytest.mark.parametrize(("auth", "schemes"), [("iam", {"caller": [], "key": []}), ("none", {"key": []})])
def test_metering_needs_a_key_beside_the_credentials(settings: Settings, auth: str, schemes: Json) -> None:
    paths = deployed(changed(settings, auth=auth, metering=True))["paths"]
    assert paths["/predictions"]["post"]["security"] == paths[settings.api.path]["post"]["security"] == [schemes]
    assert paths["/health"]["get"]["security"] == []


def test_a_preflight_needs_no_credentials_where_another_origin_may_call(settings: Settings) -> None:
    paths = deployed(changed(settings, cors_origin=ORIGIN))["paths"]
    preflights = [calls[gateway.ANY] for path, calls in paths.items() if path != "/{proxy+}"]
    assert all(not call["security"] and call["x-amazon-apigateway-integration"]["uri"] == URI for call in preflights)


def test_api_gateway_imports_nothing_that_it_does_not_support(settings: Settings) -> None:
    text = json.dumps(deployed(settings))
    for field in ("example", "nullable", "oneOf", "anyOf", "discriminator", "readOnly", "exclusiveMinimum"):
        assert f'"{field}": ' not in text
    names = {name for schema in deployed(settings)["components"]["schemas"].values() for name in untyped(schema)}
    assert names == set()


def untyped(schema: Json, name: str = "schema") -> list[str]:
    """The parts of a schema without a type, which an import may take for objects."""
    parts = {**schema.get("properties", {}), **({"items": schema["items"]} if "items" in schema else {})}
    own = [] if "type" in schema or "$ref" in schema else [name]
    return own + [found for key, part in parts.items() for found in untyped(part, key)]


PREDICTIONS = ["predictOne application/json", "predictMany application/json", "predictMany text/csv"]


@pytest.mark.parametrize(("auth", "kind"), [("iam", "awsv4"), ("cognito", "apikey"), ("none", "noauth")])
def test_the_postman_collection_has_every_call_with_its_example(document: Json, auth: str, kind: str) -> None:
    made = postman.collection(document, auth)
    assert [item["name"] for item in made["item"]] == [*PREDICTIONS, "health", "openapi", "docs"]
    assert made["auth"]["type"] == kind
    example = document["components"]["schemas"]["Data"]["example"]
    assert json.loads(made["item"][0]["request"]["body"]["raw"]) == example
    assert all(variable["value"] == "" for variable in made["variable"] if variable["key"] in postman.SECRETS)


def test_a_metered_collection_sends_the_key_with_predictions_alone(settings: Settings) -> None:
    made = postman.collection(openapi.document(changed(settings, metering=True)), "iam")
    key = {"key": "x-api-key", "value": "{{apiKey}}"}
    assert [item["name"] for item in made["item"] if key in item["request"]["header"]] == PREDICTIONS
