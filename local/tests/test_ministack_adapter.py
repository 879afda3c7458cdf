"""ministack's inner names are where ministack_adapter looks for them, and a move is noticed."""

import importlib

import pytest
from local_aws.ministack_adapter import install


def test_every_inner_name_is_there() -> None:
    install.check()


@pytest.mark.parametrize(("module", "name"), install.INNER_NAMES)
def test_a_name_that_an_upgrade_moves_is_named(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    install.check()  # imports them all, one by the names of another
    monkeypatch.delattr(importlib.import_module(module), name)
    with pytest.raises(install.AdapterError) as caught:
        install.check()
    assert str(caught.value) == (
        f"this version of ministack has no {module}.{name}, or with another signature. "
        "Install ministack==1.5.33, or change local_aws/ministack_adapter."
    )


def test_a_function_with_other_parameters_has_moved_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(install.STATES)
    monkeypatch.setattr(module, "_execute_task", lambda state, data: None)
    with pytest.raises(install.AdapterError, match="_execute_task"):
        install.check()


def test_the_version_is_the_one_that_is_locked() -> None:
    assert importlib.import_module("importlib.metadata").version("ministack") == install.WRITTEN_FOR
