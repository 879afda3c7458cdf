"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"], key=str)
FILE = (
    r"`((?:cdk|lambdas|local|ops|pipeline|tests|docs|build)/[\w/.-]+\.\w+|Makefile|requirements\.txt|buildspec\.yml)`"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_link_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = [path for path in re.findall(FILE, text) if not path.startswith("build/")]
    linked = [link.partition("#")[0] for link in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)]
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [link for link in linked if not (document.parent / link).exists()] == []


def test_each_threat_is_answered_by_code_that_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    missing = []
    for path, names in re.findall(rf"{FILE[:-1]}`((?: `[\w.]+`(?!/))*)", text):
        code = (ROOT / path).read_text(encoding="utf-8")
        missing += [f"{path}: {name}" for name in re.findall(r"`([\w]+)`", names) if name not in code]
    assert missing == []


def test_every_make_target_of_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for path in DOCUMENTS for target in re.findall(r"`?make (?:-s )?([a-z-]+)", _code(path))}
    assert named - targets == set()


def _code(document: Path) -> str:
    """A document's code, where `make` is a command and no verb."""
    text = document.read_text(encoding="utf-8")
    return "\n".join([*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`[^`\n]+`", text)])
