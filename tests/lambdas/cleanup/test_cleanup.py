"""Cleanup keeps the newest configs and what the endpoint uses, and deletes no other project's."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest


def made(number: int, project: str = "shop") -> str:
    return f"{project}-{number:032x}"


class SageMaker:
    """Configs and models, newest first, and the endpoint; what is deleted is recorded."""

    def __init__(self, names: list[str], **endpoint: Any) -> None:
        self.names = {"list_endpoint_configs": names, "list_models": list(names)}
        self.endpoint, self.deleted = endpoint, list[str]()

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        assert EndpointName == "shop"
        return self.endpoint

    def get_paginator(self, operation: str) -> Any:
        field, key = {
            "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName"),
            "list_models": ("Models", "ModelName"),
        }[operation]

        def paginate(NameContains: str, SortBy: str, SortOrder: str) -> list[dict[str, Any]]:  # noqa: N803
            assert (SortBy, SortOrder) == ("CreationTime", "Descending")
            names = [name for name in self.names[operation] if NameContains in name]
            return [{field: [{key: name}]} for name in names]

        return SimpleNamespace(paginate=paginate)

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:  # noqa: N803
        self.deleted.append(f"config {EndpointConfigName}")

    def delete_model(self, ModelName: str) -> None:  # noqa: N803
        self.deleted.append(f"model {ModelName}")


def cleaned(monkeypatch: pytest.MonkeyPatch, sagemaker: SageMaker, keep: int) -> list[str]:
    """What a cleanup deletes, which is also what it answers."""
    names = {"AWS_DEFAULT_REGION": "us-east-1", "ENDPOINT_NAME": "shop", "OWN_NAMES": "shop-[0-9a-f]{32}"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    cleanup = importlib.import_module("lambdas.cleanup.handler")
    monkeypatch.setattr(cleanup, "_SAGEMAKER", sagemaker)
    found = cleanup.handle({"keep": keep}, None)
    answered = [f"{kind.removesuffix('s')} {name}" for kind in ("configs", "models") for name in found[kind]]
    assert answered == sagemaker.deleted
    return answered


def both(*names: str) -> list[str]:
    return [f"{kind} {name}" for kind in ("config", "model") for name in names]


def test_all_but_the_newest_are_deleted_with_their_models(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [made(number) for number in range(5)]
    assert cleaned(monkeypatch, SageMaker(names, EndpointConfigName=names[0]), 3) == both(*names[3:])
    assert cleaned(monkeypatch, SageMaker(names, EndpointConfigName=names[0]), 5) == []


def test_what_the_endpoint_uses_or_is_being_updated_to_is_kept_however_old(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [made(number) for number in range(6)]
    old = SageMaker(names, EndpointConfigName=names[5])
    assert cleaned(monkeypatch, old, 2) == both(*names[2:5])
    pending = {"EndpointConfigName": names[4]}
    updated = SageMaker(names, EndpointConfigName=names[5], PendingDeploymentSummary=pending)
    assert cleaned(monkeypatch, updated, 2) == both(*names[2:4])


def test_a_project_whose_name_begins_alike_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [made(number, project) for number in range(3) for project in ("shop-prod", "my-shop")]
    names = [*others, made(1), made(2)]
    assert cleaned(monkeypatch, SageMaker(names, EndpointConfigName=made(1)), 1) == both(made(2))
