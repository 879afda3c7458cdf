"""Every TOML snippet and setting that a document shows is loaded, and every command is parsed with its options."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import botocore.session
import click
import pytest
import typer
from botocore import xform_name

from ops.__main__ import app
from pipeline.config import Settings, at_stage
from tests.test_documents import DOCUMENTS, ROOT

SHIPPED = tomllib.loads((ROOT / "pipeline.toml").read_text(encoding="utf-8"))
SETTING = r"^\[{1,2}([a-z_.]+)\]{1,2}(?: ([a-z_]+)(?: = (.+))?)?$"
"""A table, `[api]`, a key of it, `[api] auth`, or a value, `[api] auth = "iam"`."""
BESIDE: dict[str, dict[str, Any]] = {'[api] auth = "none"': {"api": {"waf_rate": 300}}}
"""Settings that a value alone is refused without."""
RENAMED = {"--notification-endpoint"}
"""Options of the AWS CLI whose name differs from the API's member: sns subscribe's Endpoint."""


def spans(document: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S))


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.S)


def changed(changes: dict[str, Any]) -> Settings:
    """The shipped settings with changes, of the stage that they name."""

    def over(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        both = {
            key: over(base[key], value) if isinstance(value, dict) and key in base else value
            for key, value in more.items()
        }
        return {**base, **both}

    stage = next(iter(changes.get("stage", {"dev": {}})))
    return Settings.model_validate(at_stage(over(deepcopy(SHIPPED), changes), stage))


def settings_shown(document: Path) -> Iterator[tuple[str, str, str, str]]:
    """Each setting in a document's prose, its table, key and value; a table's row may name the key in a span of its own."""
    table = ""
    for line in document.read_text(encoding="utf-8").splitlines():
        table = ""
        for span in re.findall(r"`([^`]+)`", line):
            if found := re.match(SETTING, span):
                table = found[1]
                yield span, table, found[2] or "", found[3] or ""
            elif line.startswith("|") and table and (pair := re.match(r"^([a-z_]+) = ([\w.\"]+)$", span)):
                yield f"[{table}] {span}", table, pair[1], pair[2]


def nested(table: str, value: Any) -> dict[str, Any]:
    for part in reversed(table.split(".")):
        value = {part: value}
    return dict(value)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_and_every_toml_snippet_loads(document: Path) -> None:
    for block in blocks(document, "toml"):
        assert changed(tomllib.loads(block))
    for shown, table, key, value in settings_shown(document):
        model: Any = Settings
        for part in table.removeprefix("stage.prod").strip(".").split(".") if table != "stage.prod" else ():
            assert part in model.model_fields, shown
            annotation = model.model_fields[part].annotation
            model = annotation if hasattr(annotation, "model_fields") else None
        assert not key or model is None or key in model.model_fields, shown
        if value:
            changes = nested(table, {key: tomllib.loads(f"x = {value}")["x"]})
            beside = BESIDE.get(shown, {})
            assert changed({name: {**beside.get(name, {}), **tables} for name, tables in changes.items()}), shown


def lines(document: Path) -> Iterator[str]:
    """The commands of a document, each without those before and after it in the same line of a shell."""
    text = "\n".join([*blocks(document, "sh"), *spans(document)]).replace("\\\n", " ")
    for line in text.splitlines():
        yield from (part.strip() for part in re.split(r"&&|\||;|\$\(|\)|^… ", line.partition(" #")[0]))


def words(line: str) -> list[str]:
    """A command's words without redirections."""
    return shlex.split(re.sub(r"\s>.*$", "", line))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_ops_has_the_options_and_arguments_that_are_shown(document: Path) -> None:
    for line in lines(document):
        if line.startswith("ops ") and line != "ops --help":
            command: Any = typer.main.get_command(app)
            name, *given = words(line)
            while isinstance(command, click.Group) and given:
                command = command.commands[given.pop(0)]
            if given and not isinstance(command, click.Group):
                command.make_context(name, given).close()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_the_aws_cli_exists_with_its_options(document: Path) -> None:
    session = botocore.session.get_session()
    for line in lines(document):
        if re.match(r"aws (?!configure|sso)[a-z-]+ [a-z-]+", line):
            _, service, operation, *given = words(line)
            model = session.get_service_model("stepfunctions" if service == "stepfunctions" else service)
            operations = {xform_name(name, "-"): name for name in model.operation_names}
            shape = model.operation_model(operations[operation]).input_shape
            members = {f"--{xform_name(member, '-')}" for member in (shape.members if shape else ())}
            assert {word for word in given if word.startswith("--")} - members - RENAMED == set(), line


def test_the_documents_show_settings_and_commands() -> None:
    """Otherwise the tests above would hold for documents that they cannot read."""
    shown = [line for document in DOCUMENTS for line in lines(document)]
    settings = [each for document in DOCUMENTS for each in settings_shown(document)]
    assert len([line for line in shown if line.startswith("ops ")]) >= 150
    assert len([line for line in shown if line.startswith("aws ")]) >= 5
    assert len(settings) >= 80
    assert len([value for *_, value in settings if value]) >= 20
