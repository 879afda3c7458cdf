"""The documents name only files, links, make targets and commands that exist."""

import re
from pathlib import Path

import pytest
import typer

from ops.__main__ import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.md")])
FILE = r"`((?:bench|cdk|docs|lambdas|local|ops|pipeline|tests)/[\w/.-]+\.\w+|[\w.-]+\.(?:md|toml|txt|yml)|Makefile)`"


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def commands(document: Path) -> str:
    """A document's code, without prose that contains the words `make` and `ops`."""
    text = document.read_text(encoding="utf-8")
    return "\n".join([*re.findall(r"```sh\n(.*?)```", text, re.S), *re.findall(r"`[^`\n]+`", text)])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_link_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [path for path in re.findall(FILE, text) if not (ROOT / path).exists()] == []
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        linked = document.parent / target if target else document
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), f"{target}#{anchor}"


def test_the_readme_is_read_in_a_minute() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140


def test_each_countermeasure_names_code_that_exists() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    missing = []
    for path, names in re.findall(rf"{FILE}((?: `\w+`)*)", text):
        code = (ROOT / path).read_text(encoding="utf-8")
        missing += [f"{path}: {name}" for name in re.findall(r"`(\w+)`", names) if name not in code]
    assert missing == []


def test_each_claim_of_the_security_document_names_tests_that_exist() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests = set(re.findall(r"^def (test_\w+)", code, re.M))
    tables = (ROOT / "docs/security.md").read_text(encoding="utf-8").partition("## Threats")[2]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.endswith(" test |")]
    named = {row: set(re.findall(r"`(test_\w+)`", row.rpartition(" | ")[2])) for row in rows}
    assert (len(rows), {row: names - tests for row, names in named.items() if not names or names - tests}) == (55, {})


def test_every_make_target_and_every_command_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    known = set(getattr(typer.main.get_command(app), "commands", {}))
    code = "\n".join(map(commands, DOCUMENTS))
    assert set(re.findall(r"make (?:-s )?([a-z-]+)", code)) - targets == set()
    assert set(re.findall(r"(?:^|[`(& ])ops ([a-z]+)", code, re.M)) - known == set()
