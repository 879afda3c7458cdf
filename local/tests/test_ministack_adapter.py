"""ministack's inner names are where ministack_adapter looks for them, and a move is noticed."""

import importlib
from importlib.metadata import version

import pytest
from local_aws.ministack_adapter import AdapterError, install, step_functions
from local_aws.step_functions import interpreter


def test_every_inner_name_is_there() -> None:
    install.check()


@pytest.mark.parametrize(("module", "name"), install.INNER_NAMES)
def test_a_name_that_an_upgrade_moves_is_named(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    install.check()  # imports them all, one by the names of another
    monkeypatch.delattr(importlib.import_module(module), name)
    with pytest.raises(AdapterError) as caught:
        install.check()
    assert str(caught.value) == (
        f"this version of ministack has no {module}.{name}, or with another signature. "
        "Install ministack==1.5.33, or change local_aws/ministack_adapter."
    )


def test_a_function_with_other_parameters_has_moved_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(step_functions.STATES)
    monkeypatch.setattr(module, "_run_execution", lambda arn, more: None)
    with pytest.raises(AdapterError, match="_run_execution"):
        install.check()


def test_a_name_of_the_interpreter_that_an_upgrade_moves_is_named() -> None:
    changes = {"moto.stepfunctions.parser.gone:f": str, "moto.stepfunctions.parser.quotas:None.gone": str}
    with pytest.raises(AdapterError) as caught:
        interpreter.install(changes)
    assert str(caught.value) == (
        "this version of moto has no moto.stepfunctions.parser.gone:f, moto.stepfunctions.parser.quotas:None.gone. "
        "Install moto==5.2.5, or change local_aws/step_functions."
    )


@pytest.mark.parametrize(("package", "locked"), [("ministack", install.WRITTEN_FOR), ("moto", interpreter.WRITTEN_FOR)])
def test_the_version_is_the_one_that_is_locked(package: str, locked: str) -> None:
    assert version(package) == locked
