"""buildspec.yml: of the documented shape, every command a make target that exists, and run in order as CodeBuild does.

The schema is written from the CodeBuild User Guide, "Build specification reference for CodeBuild"; keys that
buildspec.yml could have and does not are left out.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests import mutants

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads(Path(__file__).with_name("buildspec.schema.json").read_text("utf-8"))
PHASES = ("install", "pre_build", "build", "post_build")
INSTALLERS = ("PIP_", "UV_", "npm_config_", "NPM_", "SSL_CERT_", "NODE_EXTRA_CA_CERTS")
"""Where the installers look for packages, and whom they trust."""


@pytest.fixture(scope="module")
def buildspec() -> Any:
    return yaml.safe_load((ROOT / "buildspec.yml").read_text())


def commands(buildspec: Any, *phases: str) -> list[tuple[str, str]]:
    return [(phase, command) for phase in phases for command in buildspec["phases"].get(phase, {}).get("commands", [])]


def test_it_has_the_documented_shape(buildspec: Any) -> None:
    jsonschema.validate(buildspec, SCHEMA)


@pytest.mark.parametrize(
    "wrong", [{"version": 0.1}, {"phase": {}}, {"phases": {"test": {}}}, {"phases": {"build": {"commands": [3]}}}]
)
def test_the_schema_refuses_what_codebuild_would(buildspec: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**buildspec, **wrong}, SCHEMA)


def test_every_command_is_a_make_target_in_sound_bash(buildspec: Any) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for _, command in commands(buildspec, *PHASES):
        subprocess.run(["bash", "-n", "-c", command], check=True)
        word, target, *rest = command.split()
        assert (word, rest) == ("make", []), command
        assert target in targets


class Build:
    """CodeBuild's way with a buildspec, in a clone with an environment of its own and what is not committed yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        mutants.copy(folder)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        passed = {name: value for name, value in os.environ.items() if name.startswith(INSTALLERS)}
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True)
        self.environment = {
            **kept,
            **passed,
            **dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION"), "us-east-1"),
            "CODEBUILD_BUILD_ID": "breast-cancer:1",
            "CODEBUILD_BUILD_SUCCEEDING": "1",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": commit.strip(),
            "CODEBUILD_SRC_DIR": str(folder),
        }

    def run(self, buildspec: Any, *, only: dict[str, str] | None = None) -> tuple[str, str]:
        """The phase that failed, or nothing, and its output; `only` puts other commands in place of some."""
        environment = {**self.environment, **buildspec["env"]["variables"]}
        for phase, command in commands(buildspec, *PHASES):
            bash = ["bash", "-c", (only or {}).get(command, command)]
            ran = subprocess.run(bash, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
            if ran.returncode:
                return phase, ran.stdout + ran.stderr
        return "", ""


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.timeout(3600)
def test_its_phases_pass_in_a_clean_clone_and_leave_what_it_promises(buildspec: Any, tmp_path: Path) -> None:
    build = Build(tmp_path / "clone")
    assert build.run(buildspec) == ("", "")
    reports = [path for report in buildspec["reports"].values() for path in report["files"]]
    assert [path for path in [*buildspec["artifacts"]["files"], *reports] if not list(build.folder.glob(path))] == []


BREAKS = tomllib.loads(Path(__file__).with_name("broken_builds.toml").read_text("utf-8"))


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", BREAKS)
def test_what_is_broken_stops_it_at_its_phase(buildspec: Any, tmp_path: Path, fault: str) -> None:
    """With installed packages and checked types at hand, and of the tests those alone that a broken one is among."""
    broken = BREAKS[fault]
    build = Build(tmp_path / "clone")
    for installed in (".venv", "node_modules"):
        (build.folder / installed).symlink_to(ROOT / installed)
    if (checked := ROOT / ".mypy_cache").exists():
        shutil.copytree(checked, build.folder / checked.name)
    with (build.folder / broken["file"]).open("a") as file:
        file.write(broken["text"])
    # Or make installs anew, through the links.
    make = "make -o install -o .venv/.installed -o node_modules/.installed"
    only = {command: command.replace("make", make, 1) for _, command in commands(buildspec, *PHASES)}
    only["make tested"] = f"{make} tested PYTEST='.venv/bin/python -m pytest tests/test_architecture.py'"
    stopped, output = build.run(buildspec, only=only)
    assert (stopped, broken["word"] in output) == (broken["phase"], True), output[-3000:]
