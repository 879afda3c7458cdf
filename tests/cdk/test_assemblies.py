"""What a local deployment takes is synthesised again exactly when something that it is made from has changed."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cdk import assemblies
from tests.conftest import ROOT

FILES = (
    "cdk/stack.py",
    "cdk/permissions.toml",
    "lambdas/predict/docs.html",
    "pipeline/jobs/preprocess/job.py",
    "cdk.json",
    "package-lock.json",
    "requirements.txt",
    "pipeline.toml",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Some of the sources in a folder that a test may change."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def edit(name: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def change(folder: Path, _: pytest.MonkeyPatch) -> None:
        path = folder / name
        path.write_text(path.read_text() + "\n" if path.exists() else "")

    return change


def set_to(name: str, value: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    return lambda _, patched: patched.setenv(name, value)


def renamed(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "lambdas" / "predict" / "docs.html").rename(folder / "lambdas" / "predict" / "page.html")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(edit("pipeline.toml"), id="settings"),
        pytest.param(edit("cdk/stack.py"), id="stack"),
        pytest.param(edit("cdk/permissions.toml"), id="permissions"),
        pytest.param(edit("lambdas/predict/docs.html"), id="file of a Lambda"),
        pytest.param(edit("pipeline/jobs/preprocess/job.py"), id="job"),
        pytest.param(edit("pipeline/new.py"), id="new file"),
        pytest.param(edit("requirements.txt"), id="Python packages"),
        pytest.param(edit("package-lock.json"), id="CDK CLI"),
        pytest.param(edit("cdk.json"), id="settings of the CDK"),
        pytest.param(renamed, id="renamed file"),
        pytest.param(set_to("STAGE", "prod"), id="stage"),
        pytest.param(set_to("CDK_DEFAULT_REGION", "eu-west-1"), id="region"),
        pytest.param(set_to("CDK_DEFAULT_ACCOUNT", "210987654321"), id="account"),
        pytest.param(set_to("CODEBUILD_RESOLVED_SOURCE_VERSION", "c0ffee"), id="commit"),
    ],
)
def test_whatever_the_template_is_made_from_makes_another_key(
    copy: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    before = assemblies.key(copy / "pipeline.toml", copy)
    (copy / "cdk" / "__pycache__").mkdir()
    (copy / "cdk" / "__pycache__" / "stack.pyc").write_text("compiled")
    assert assemblies.key(copy / "pipeline.toml", copy) == before
    change(copy, monkeypatch)
    assert assemblies.key(copy / "pipeline.toml", copy) != before


class Synthesis:
    """Writes a template and counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, out: Path) -> None:
        self.times += 1
        out.mkdir()
        (out / "template.json").write_text("{}")


def test_unchanged_inputs_are_synthesised_once_and_others_anew(tmp_path: Path) -> None:
    synthesis = Synthesis()
    first, again, other = (assemblies.assembly(tmp_path / "kept", name, synthesis) for name in ("a", "a", "b"))
    assert (first, synthesis.times) == (again, 2)
    assert [(made / "template.json").read_text() for made in (first, other)] == ["{}", "{}"]


def test_what_was_not_finished_is_not_taken(tmp_path: Path) -> None:
    def interrupted(out: Path) -> None:
        Synthesis()(out)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemblies.assembly(tmp_path, "a", interrupted)
    synthesis = Synthesis()
    assemblies.assembly(tmp_path, "a", synthesis)
    assert synthesis.times == 1


def test_two_at_once_synthesise_once(tmp_path: Path) -> None:
    synthesis = Synthesis()
    threads = [threading.Thread(target=assemblies.assembly, args=(tmp_path, "a", synthesis)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert synthesis.times == 1


def test_only_those_that_were_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblies, "KEPT", 2)
    for name in ("old", "used", "new"):
        assemblies.assembly(tmp_path, "used", Synthesis())
        assemblies.assembly(tmp_path, name, Synthesis())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "new.lock", "used", "used.lock"]
