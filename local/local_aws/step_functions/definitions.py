"""What CreateStateMachine and UpdateStateMachine refuse: flow by statelint, syntax by the interpreter's grammar."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

from local_aws.step_functions.interpreter import parse_path

MAX_DEFINITION = 1_048_576
"""Characters (API model, Definition)."""
FLOW = Config(set(ProblemType) - {ProblemType.UNKNOWN}, False, False)
NARROWER = re.compile(r'is not a JSONPath or intrinsic|^Field "(Assign|Label)" not allowed')
"""What statelint finds, beside wrong types, in definitions that AWS takes; the interpreter checks these fields."""
PATHS = re.compile(r"(Input|Output|Result|Items|Seconds|Timestamp|MaxConcurrency|Equals|Than)Path$|^Variable$")
TEMPLATES = ("Parameters", "ResultSelector", "ItemSelector", "Assign")


def definition_problem(original: Callable[[str], str | None], definition: str) -> str | None:
    """Why a definition is refused; None when it is taken."""
    try:
        if len(definition) > MAX_DEFINITION:
            raise ValueError(f"longer than {MAX_DEFINITION} characters")
        parsed = json.loads(definition)
    except ValueError as error:
        return f"Invalid State Machine Definition: 'INVALID_JSON_DESCRIPTION: {error}'"
    problems = ["not an object"]
    if isinstance(parsed, dict):
        problems = [text for text in Linter.validate(parsed, FLOW) if not NARROWER.search(text)]
        problems += _wrong_paths(parsed, "")
    try:
        if not problems:
            AmazonStateLanguageParser.parse(definition)
    except Exception as error:
        problems = [str(error)]
    if problems:
        return f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {'; '.join(problems)}'"
    return original(definition)


def _wrong_paths(value: Any, place: str, template: bool = False) -> Iterator[str]:
    """Each field that should be a JSONPath and is none; in a template those whose names end in `.$`."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _wrong_paths(item, f"{place}[{index}]", template)
    if isinstance(value, dict) and value.get("QueryLanguage") != "JSONata":
        for key, item in value.items():
            is_path = key.endswith(".$") if template else PATHS.search(key)
            if is_path and isinstance(item, str) and not item.startswith("States.") and not _is_path(item):
                yield f"The value for the field '{key}' must be a valid JSONPath at {place}/{key}"
            if template or key != "Result":
                yield from _wrong_paths(item, f"{place}/{key}", template or key in TEMPLATES)


def _is_path(text: str) -> bool:
    """Whether a text is a path into the input (`$.a`), the context object (`$$.a`) or a variable (`$a`)."""
    try:
        parse_path(re.sub(r"^\$(\$|[A-Za-z_]\w*)", "$", text))
    except Exception:
        return False
    return text.startswith("$")
