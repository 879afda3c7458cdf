"""Each folder imports only what docs/architecture.md allows."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STANDARD = set(sys.stdlib_module_names)
ALLOWED: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("imports.toml").read_text("utf-8"))


def modules(folder: str) -> list[Path]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in paths if folder != "pipeline" or "jobs" not in path.relative_to(ROOT / folder).parts]


def imported(path: Path) -> set[str]:
    """The absolute imports of a module, dotted."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_what_is_allowed(folder: str) -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(folder)
        for name in imported(path)
        if name.split(".")[0] not in STANDARD.union(ALLOWED[folder])
    }
    assert wrong == set()


def test_ops_knows_of_the_pipeline_only_its_settings_its_metrics_and_how_values_are_written() -> None:
    names = {name for path in modules("ops") for name in imported(path) if name.split(".")[0] == "pipeline"}
    known = (
        "pipeline.config",
        "pipeline.settings",
        "pipeline.jobs.shared.artifact",
        "pipeline.jobs.shared.metric_names",
        "pipeline.jobs.shared.encoder",
        "pipeline.jobs.shared.errors",
        "pipeline.jobs.shared.labels",
    )
    assert {name for name in names if not name.startswith(known)} == set()


def test_the_pipeline_knows_of_the_lambdas_only_the_apis_parser() -> None:
    names = {name for path in modules("pipeline") for name in imported(path) if name.split(".")[0] == "lambdas"}
    known = ("lambdas.predict.rows", "lambdas.predict.problem")
    assert {name for name in names if name != "lambdas.predict" and not name.startswith(known)} == set()


def test_the_types_of_each_aws_service_that_the_stacks_use_are_checked() -> None:
    names = {name for folder in ("cdk", "tests") for path in modules(folder) for name in imported(path)}
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["overrides"]
    (checked,) = (each["module"] for each in overrides if each.get("follow_imports") == "normal")
    assert {name for name in names if name.startswith("aws_cdk.aws_")} == {
        name for name in checked if name.startswith("aws_cdk.aws_")
    }


@pytest.mark.parametrize(
    "function", sorted(path.name for path in (ROOT / "lambdas").iterdir() if path.is_dir() and path.name[0] != "_")
)
def test_a_lambda_imports_nothing_outside_its_folder(function: str) -> None:
    outside = {
        f"{path.name}: level {node.level}"
        for path in (ROOT / "lambdas" / function).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > 1
    }
    assert outside == set()


def test_only_the_adapter_uses_the_embedded_aws_by_its_inner_names() -> None:
    users = {path.parent.name for path in modules("local/local_aws") if "ministack." in path.read_text("utf-8")}
    assert users == {"ministack_adapter"}


def test_no_lock_file_names_where_its_packages_come_from() -> None:
    for name in ("requirements.txt", "requirements-bench.txt", "requirements-checks.txt", "package-lock.json"):
        text = (ROOT / name).read_text()
        assert "://" not in re.sub(r"https://(opencollective\.com|github\.com/sponsors)", "", text)
        assert "resolved" not in text
