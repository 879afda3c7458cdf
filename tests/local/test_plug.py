"""ministack's inner names are where local/plug.py looks for them, and a move is noticed."""

import importlib

import pytest

from local import plug


def test_every_inner_name_is_there() -> None:
    plug.check()


@pytest.mark.parametrize(("module", "name"), plug.INNER_NAMES)
def test_a_name_that_an_upgrade_moves_is_named(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    plug.check()  # imports them all, one by the names of another
    monkeypatch.delattr(importlib.import_module(module), name)
    with pytest.raises(plug.PlugError) as caught:
        plug.check()
    assert str(caught.value) == (
        f"ministack has moved {module}.{name}: local/plug.py was written for ministack 1.5.33. "
        "Pin that version in requirements.in, or follow the change in local/plug.py."
    )


def test_a_function_with_other_parameters_has_moved_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(plug.STATES)
    monkeypatch.setattr(module, "_execute_task", lambda state, data: None)
    with pytest.raises(plug.PlugError, match="_execute_task"):
        plug.check()


def test_the_version_is_the_one_that_is_locked() -> None:
    assert importlib.import_module("importlib.metadata").version("ministack") == plug.WRITTEN_FOR
