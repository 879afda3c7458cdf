"""The endpoint as SageMaker describes it, in an account with other endpoints."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.account import Account
from ops.status import Endpoint, endpoint
from pipeline.config import load
from tests.conftest import ROOT
from tests.lambdas.predict.conftest import Answer, served

SINCE = datetime(2026, 7, 31, tzinfo=UTC)
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
OTHERS = [f"breast-cancer-{number}" for number in range(10)]
"""The newer endpoints whose names contain the project's: ListEndpoints has ten on a page."""
AWS: dict[str, dict[str, Any]] = {
    "ListEndpoints": {
        "Endpoints": [
            {
                "EndpointName": name,
                "EndpointArn": f"{ARN}:endpoint/{name}",
                "CreationTime": SINCE.timestamp(),
                "LastModifiedTime": SINCE.timestamp(),
                "EndpointStatus": "InService",
            }
            for name in OTHERS
        ],
        "NextToken": "more",
    },
    "DescribeEndpoint": {
        "EndpointName": "breast-cancer",
        "EndpointArn": f"{ARN}:endpoint/breast-cancer",
        "EndpointConfigName": "config",
        "EndpointStatus": "InService",
        "CreationTime": SINCE.timestamp(),
        "LastModifiedTime": SINCE.timestamp(),
    },
    "DescribeEndpointConfig": {
        "EndpointConfigName": "config",
        "EndpointConfigArn": f"{ARN}:endpoint-config/config",
        "ProductionVariants": [],
        "CreationTime": SINCE.timestamp(),
    },
    "ListTags": {"Tags": [{"Key": "model-signature", "Value": "abc"}]},
}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """An account in which SageMaker answers with `AWS`, or to DescribeEndpoint with an error."""

    @contextmanager
    def of(error: dict[str, str] | None = None) -> Iterator[Account]:
        def answer(request: BaseHTTPRequestHandler, _: str) -> Answer:
            operation = request.headers["X-Amz-Target"].removeprefix("SageMaker.")
            refused = operation == "DescribeEndpoint" and error
            return 400 if refused else 200, {}, json.dumps(refused or AWS[operation]).encode()

        with served(answer) as url:
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            made = Account(load(ROOT / "pipeline.toml"), boto3.Session("AKID", "test", region_name="us-east-1"))
            vars(made)["outputs"] = {"Endpoint": "breast-cancer"}
            yield made

    return of


def test_the_endpoint_is_found_beside_any_number_of_others_whose_names_contain_its_own(
    account: Callable[..., Any],
) -> None:
    with account() as made:
        assert endpoint(made) == Endpoint("breast-cancer", "InService", "config", SINCE, signature="abc")


def test_only_an_endpoint_that_sagemaker_does_not_find_is_none(account: Callable[..., Any]) -> None:
    missing = {"__type": "ValidationException", "message": f'Could not find endpoint "{ARN}:endpoint/breast-cancer".'}
    with account(missing) as made:
        assert endpoint(made) == Endpoint("breast-cancer")
    for code in ("ValidationException", "AccessDeniedException"):
        with account({"__type": code, "message": "not this time"}) as made, pytest.raises(ClientError, match=code):
            endpoint(made)
