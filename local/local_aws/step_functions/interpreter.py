"""moto's interpreter, changed where AWS differs, where it must wait on events, and where it calls services.

moto has no public way to do this: `changes` names every inner name, and `install` fails with those that are missing.
"""

import importlib
import inspect
import json
import pickle
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial, wraps
from types import SimpleNamespace
from typing import Any

import jsonata
import jsonpath_ng.ext
import moto.stepfunctions.parser.asl.component.common.assign.assign_template_value_terminal as assign
import moto.stepfunctions.parser.asl.component.common.payload.payloadvalue.payloadbinding.payload_binding as payload
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringContextPath, StringJsonPath
from moto.stepfunctions.parser.asl.component.state.choice.comparison.variable import NoSuchVariable
from moto.stepfunctions.parser.asl.eval.test_state.environment import TestStateEnvironment
from moto.stepfunctions.parser.asl.jsonata.jsonata import JSONataException

from local_aws.ministack_adapter import AdapterError

WRITTEN_FOR = "5.2.5"
PARSER = "moto.stepfunctions.parser"
COMMON, STATE = f"{PARSER}.asl.component.common", f"{PARSER}.asl.component.state"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
MINUS = re.compile(r"\.((?:\w+-)+\w+)")
SEVERAL = re.compile(r"\[(?:\*|\?|-?\d*:|-?\d+,|'[^']*',)|\.\.|\.\*")
TERMINAL = "States.Runtime"
"""What States.ALL does not stand for. The documentation names States.DataLimitExceeded, too, which AWS catches."""
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


def changes(scale: float, add_functions: Callable[[Any], None]) -> dict[str, Callable[..., Any]]:
    """What is changed; `scale` multiplies waits, and `add_functions` gives an expression of JSONata AWS's own."""

    def evaluate_jsonata(original: Any, expression: str) -> Any:
        """In place of the Java library that moto expects."""
        made = jsonata.Jsonata.jsonata(expression, timeout=1000)
        add_functions(made)
        try:
            return made.evaluate(None)
        except jsonata.JException as error:
            raise JSONataException("UNKNOWN", str(error)) from error

    def wait(original: Any, self: Any, env: Any, wait_seconds: float) -> None:
        scaled(wait_seconds, scale, env)

    def retry(original: Any, self: Any, env: Any) -> None:
        _retrying.env = env
        original(self, env)

    def sleep(seconds: float) -> None:
        """Wait for the next attempt; TestState ends here."""
        env = _retrying.env
        if isinstance(env, TestStateEnvironment):
            env.inspection_data["errorDetails"] = {"retryBackoffIntervalSeconds": seconds}
            env.set_stop(datetime.now(UTC), None, None)
        scaled(seconds, scale, env)

    importlib.import_module(f"{COMMON}.retry.retrier_decl").time = SimpleNamespace(sleep=sleep)  # type: ignore[attr-defined]
    return {
        **CHANGES,
        f"{COMMON}.string.string_expression:eval_jsonata_expression": evaluate_jsonata,
        f"{PARSER}.asl.jsonata.validations:eval_jsonata_expression": evaluate_jsonata,
        f"{STATE}.wait.wait_function.wait_function:WaitFunction._wait_interval": wait,
        f"{COMMON}.retry.retrier_decl:RetrierDecl._eval_body": retry,
    }


_Match = partial(SimpleNamespace, path=None, context=None)
"""What moto reads of a match of jsonpath_ng, with its `value`."""


class JsonPath:
    """A JSONPath with AWS's results: of a path that may match several a list, which may be empty, else the value."""

    def __init__(self, path: str) -> None:
        self._path = jsonpath_ng.ext.parse(MINUS.sub(r"['\1']", path))  # a subtraction for jsonpath_ng
        self._several = SEVERAL.search(path) is not None

    def find(self, data: Any) -> list[SimpleNamespace]:
        """The result; none when the path is not there."""
        values = [match.value for match in self._path.find(data)]
        return [_Match(value=value) for value in ([values] if self._several else values)]


parse_path = lru_cache(4096)(JsonPath)  # jsonpath_ng takes milliseconds for each


def _error_equals(original: Any, self: Any, env: Any) -> None:
    """Whether a Retry or Catch is for an error."""
    failed = env.stack.pop()
    error = failed.error_name or "" if failed else ""
    names = [name.error_name for name in self.error_names]
    any_task = "States.TaskFailed" in names and not error.startswith("States.")
    env.stack.append(error in names or (error != TERMINAL and ("States.ALL" in names or any_task)))


def failed(env: Any, error: str, cause: str, **place: str) -> Any:
    """The failure of a state; `place` are further members of the event's details."""
    details = {"taskFailedEventDetails": {"error": error, "cause": cause, **place}}
    return FailureEventException(FailureEvent(env, ErrorName(error), HistoryEventType.TaskFailed, details))


def _compare(original: Any, self: Any, env: Any) -> None:
    """One comparison of a Choice; a Variable that is not there fails it, except IsPresent."""
    missing = env.stack[-1]
    if isinstance(missing, NoSuchVariable) and self.operator_type.name != "IsPresent":
        path = missing.path.partition(",")[0]
        words = "The choice state's condition path references an invalid value."
        raise failed(env, "States.Runtime", f"Invalid path '{path}': {words}")
    original(self, env)


def _choose(original: Any, self: Any, env: Any) -> None:
    """A Choice without a match and without a Default."""
    try:
        original(self, env)
    except RuntimeError as error:
        raise failed(env, "States.NoChoiceMatched", f"No choice of state '{self.name}' matched.") from error


def _apply_result_path(original: Any, self: Any, env: Any) -> None:
    try:
        original(self, env)
    except TypeError as error:
        words = f"Unable to apply ReferencePath {self.result_path_src} to input {json.dumps(env.states.get_input())}"
        raise failed(env, "States.ResultPathMatchFailure", words) from error


def _timestamp(original: Any, text: str) -> datetime | None:
    """A time as RFC 3339 writes it, with a T and a zone (States Language, "Timestamps")."""
    return datetime.fromisoformat(text) if RFC_3339.fullmatch(text) else None


def _custom_error_name(original: Any, self: Any, error_name: str | None) -> None:
    """A Parallel or Map state fails with the error of its part, of which some are the interpreter's own."""
    self.error_name = error_name


def _jsonata_functions(original: Any, variable_references: set[str]) -> str:
    """Functions that moto writes in JSONata, which collapse a list of one as AWS's do; ministack has the others."""
    return str(original(variable_references & {"$partition", "$range"}))


def _declare(original: Any, bindings: dict[str, Any]) -> str:
    """Variables of an expression; moto does not escape texts."""
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def _bind(original: Any, self: Any, ctx: Any) -> Any:
    """A member of a template; moto's grammar takes `RoleArn.$` for the field of Credentials, hence for a text."""
    made = original(self, ctx)
    if made.field != "RoleArn.$":
        return made
    path = json.loads(ctx.payload_value_decl().getText())
    sampler = StringContextPath(path) if path.startswith("$$") else StringJsonPath(path)
    return payload.PayloadBindingStringExpressionSimple("RoleArn", sampler)


def _parse(original: Any, definition: str) -> Any:
    """A parsed definition; moto keeps escapes such as that of `é`, which JSON may have for any letter.

    The program keeps the state of an execution, so each has its own: a copy, which takes a twentieth of the time.
    """
    pickled, tree = _program(original, json.dumps(json.loads(definition), ensure_ascii=False))
    return pickle.loads(pickled), tree  # noqa: S301 this process made it


@lru_cache(16)
def _program(original: Any, definition: str) -> tuple[bytes, Any]:
    program, tree = original(definition)
    return pickle.dumps(program), tree


def _assigned_text(original: Any, self: Any, ctx: Any) -> assign.AssignTemplateValueTerminalLit:
    """A text of an Assign, of which moto keeps the escapes."""
    return assign.AssignTemplateValueTerminalLit(json.loads(ctx.getText()))


CHOICE = f"{STATE}.choice"
OPERATORS = f"{CHOICE}.comparison.operator.implementations"
CHANGES: dict[str, Callable[..., Any]] = {
    f"{CHOICE}.comparison.comparison_func:ComparisonFuncValue._eval_body": _compare,
    f"{CHOICE}.state_choice:StateChoice._eval_state": _choose,
    f"{OPERATORS}.is_operator:IsTimestamp.string_to_timestamp": _timestamp,
    f"{COMMON}.path.result_path:ResultPath._eval_body": _apply_result_path,
    f"{PARSER}.asl.utils.json_path:parse": lambda original, path: parse_path(path),
    f"{PARSER}.asl.utils.json_path:_contains_slice_or_wildcard_array": lambda original, path: False,
    f"{COMMON}.error_name.error_equals_decl:ErrorEqualsDecl._eval_body": _error_equals,
    f"{COMMON}.error_name.custom_error_name:CustomErrorName.__init__": _custom_error_name,
    f"{COMMON}.string.string_expression:get_intrinsic_functions_declarations": _jsonata_functions,
    f"{PARSER}.asl.parse.asl_parser:AmazonStateLanguageParser.parse": _parse,
    f"{PARSER}.asl.parse.preprocessor:Preprocessor.visitPayload_binding_value": _bind,
    f"{PARSER}.asl.parse.preprocessor:Preprocessor.visitAssign_template_value_terminal_string_literal": _assigned_text,
    f"{PARSER}.asl.eval.states:encode_jsonata_variable_declarations": _declare,
    f"{PARSER}.asl.eval.variable_store:encode_jsonata_variable_declarations": _declare,
}
