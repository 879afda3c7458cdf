"""moto's interpreter, changed where AWS differs, where it must wait on events, and where it calls services.

moto has no public way to do this: `changes` names every inner name, and `install` fails with those that are missing.
"""

import importlib
import inspect
import json
import re
import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any

import jsonata
import jsonpath_ng.ext

from local_aws.ministack_adapter import AdapterError, inner

WRITTEN_FOR = "5.2.5"
PARSER = "moto.stepfunctions.parser"
COMMON, STATE = f"{PARSER}.asl.component.common", f"{PARSER}.asl.component.state"
TERMINAL = ("States.DataLimitExceeded", "States.Runtime")
"""What States.ALL does not stand for (Step Functions Developer Guide, "Handling errors")."""
_retrying = threading.local()


def install(changes: dict[str, Callable[..., Any]]) -> None:
    """Replace each `module:name` or `module:Class.method`; the replacement's first argument is the original.

    Raises AdapterError: this version of moto has no such names.
    """
    found, missing = {}, []
    for path in changes:
        module, _, name = path.partition(":")
        *classes, name = name.split(".")
        try:
            owner: Any = importlib.import_module(module)
            for each in classes:
                owner = getattr(owner, each)
            found[path] = owner, name, inspect.getattr_static(owner, name)
        except (ImportError, AttributeError):
            missing.append(path)
    if missing:
        raise AdapterError(
            f"this version of moto has no {', '.join(missing)}. "
            f"Install moto=={WRITTEN_FOR}, or change local_aws/step_functions."
        )
    for path, (owner, name, inner_name) in found.items():
        changed = _with_original(getattr(owner, name), changes[path])
        setattr(owner, name, staticmethod(changed) if isinstance(inner_name, staticmethod) else changed)


def _with_original(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def changed(*arguments: Any, **named: Any) -> Any:
        return replacement(original, *arguments, **named)

    return changed


def scaled(seconds: float, scale: float, env: Any) -> None:
    """Wait as long as a Wait state or a Retry asks for, or until the execution ends."""
    until = time.monotonic() + seconds * scale
    while env.is_running() and (left := until - time.monotonic()) > 0:
        env.program_state_event.wait(min(left, 1.0))  # an end between the two lines is seen a second later


def changes(scale: float) -> dict[str, Callable[..., Any]]:
    """What is changed; `scale` multiplies waits, which end with the execution."""

    def wait(original: Any, self: Any, env: Any, wait_seconds: float) -> None:
        scaled(wait_seconds, scale, env)

    def retry(original: Any, self: Any, env: Any) -> None:
        _retrying.env = env
        original(self, env)

    sleep = SimpleNamespace(sleep=lambda seconds: scaled(seconds, scale, _retrying.env))
    importlib.import_module(f"{COMMON}.retry.retrier_decl").time = sleep  # type: ignore[attr-defined]
    return {
        **CHANGES,
        f"{STATE}.wait.wait_function.wait_function:WaitFunction._wait_interval": wait,
        f"{COMMON}.retry.retrier_decl:RetrierDecl._eval_body": retry,
    }


@cache
def _parsed(path: str) -> Any:
    """A JSONPath; jsonpath_ng takes minutes of a long run to parse the same ones, and `-` for a subtraction."""
    return jsonpath_ng.ext.parse(re.sub(r"\.([^.\[\]'\"()]*-[^.\[\]'\"()]*)", r"['\1']", path))


def _parse_path(original: Any, path: str) -> Any:
    return _parsed(path)


def _error_equals(original: Any, self: Any, env: Any) -> None:
    """Whether a Retry or Catch is for an error."""
    failed = env.stack.pop()
    error = failed.error_name or "" if failed else ""
    names = [name.error_name for name in self.error_names]
    any_task = "States.TaskFailed" in names and not error.startswith("States.")
    env.stack.append(error in names or (error not in TERMINAL and ("States.ALL" in names or any_task)))


def _custom_error_name(original: Any, self: Any, error_name: str | None) -> None:
    """A Parallel or Map state fails with the error of its part, of which some are the interpreter's own."""
    self.error_name = error_name


def _evaluate_jsonata(original: Any, expression: str) -> Any:
    """Moto leaves JSONata to a Java library."""
    made = jsonata.Jsonata.jsonata(expression, timeout=1000)
    inner("ministack.services.stepfunctions", "_register_sfn_jsonata_functions")(made)
    try:
        return made.evaluate(None)
    except jsonata.JException as error:
        raise importlib.import_module(f"{PARSER}.asl.jsonata.jsonata").JSONataException(
            "UNKNOWN", str(error)
        ) from error


def _jsonata_functions(original: Any, variable_references: set[str]) -> str:
    """Functions that moto writes in JSONata, which collapse a list of one as AWS's do; ministack has the others."""
    return str(original(variable_references & {"$partition", "$range"}))


def _declare(original: Any, bindings: dict[str, Any]) -> str:
    """Variables of an expression; moto does not escape texts."""
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


CHANGES: dict[str, Callable[..., Any]] = {
    f"{PARSER}.asl.utils.json_path:parse": _parse_path,
    f"{COMMON}.error_name.error_equals_decl:ErrorEqualsDecl._eval_body": _error_equals,
    f"{COMMON}.error_name.custom_error_name:CustomErrorName.__init__": _custom_error_name,
    f"{COMMON}.string.string_expression:eval_jsonata_expression": _evaluate_jsonata,
    f"{COMMON}.string.string_expression:get_intrinsic_functions_declarations": _jsonata_functions,
    f"{PARSER}.asl.jsonata.validations:eval_jsonata_expression": _evaluate_jsonata,
    f"{PARSER}.asl.eval.states:encode_jsonata_variable_declarations": _declare,
    f"{PARSER}.asl.eval.variable_store:encode_jsonata_variable_declarations": _declare,
}
