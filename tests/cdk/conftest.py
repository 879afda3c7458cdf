"""Templates that several tests read: each is synthesised once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdk.app import build
from pipeline.config import Settings, load
from pipeline.settings import Trigger
from tests.conftest import ROOT

Template = dict[str, Any]
TRIGGER = Trigger(delay_seconds=7, marker="_SUCCESS", schedule="rate(7 days)")
PROTECTED = {"metering": True, "calls_per_day": 1000, "waf_rate": 300, "concurrency": 20, "rollout": "canary"}


def of_type(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of the template's resources of this type by logical id."""
    return {name: item["Properties"] for name, item in template["Resources"].items() if item["Type"] == kind}


def as_list(value: Any) -> list[Any]:
    """Return IAM's one or several values as a list."""
    return value if isinstance(value, list) else [value]


def statements(template: Template, role: str) -> list[Any]:
    """Return the statements of the policy of the role whose logical id begins with `role`."""
    policies = of_type(template, "AWS::IAM::Policy").values()
    return next(item["PolicyDocument"]["Statement"] for item in policies if item["PolicyName"].startswith(role))


def synthesise(settings: Settings, out: Path) -> Path:
    build(settings, region="us-east-1", out=out).synth()
    return out / f"{settings.project.name}.template.json"


@pytest.fixture(scope="session")
def path_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the path of the template of the shipped settings: as they are, with a VPC, a schedule, or the API protected."""
    shipped, made = load(ROOT / "pipeline.toml"), dict[str, Path]()
    changes: dict[str, dict[str, Any]] = {
        "shipped": {},
        "vpc": {"network": shipped.network.model_copy(update={"vpc": True})},
        "scheduled": {"trigger": TRIGGER},
        "protected": {
            "api": shipped.api.model_copy(update=PROTECTED),
            "stack": shipped.stack.model_copy(update={"email": "team@example.com"}),
            "endpoint": shipped.endpoint.model_copy(update={"latency_ms": 250}),
        },
    }

    def path(name: str) -> Path:
        if name not in made:
            made[name] = synthesise(shipped.model_copy(update=changes[name]), tmp_path_factory.mktemp(name))
        return made[name]

    return path


def _template(name: str) -> Any:
    @pytest.fixture(scope="session")
    def template(path_of: Callable[[str], Path]) -> Template:
        return dict(json.loads(path_of(name).read_text()))

    return template


template, with_vpc, scheduled, protected = map(_template, ("shipped", "vpc", "scheduled", "protected"))
