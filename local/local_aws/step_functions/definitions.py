"""What CreateStateMachine and UpdateStateMachine refuse: syntax by the interpreter's grammar, flow by statelint."""

import json
from collections.abc import Callable

from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

MAX_DEFINITION = 1_048_576
"""Characters (API model, Definition)."""
# statelint's types are narrower than AWS's: BackoffRate may be an integer, and paths have more forms.
FLOW = Config(set(ProblemType) - {ProblemType.UNKNOWN}, False, False)


def definition_problem(original: Callable[[str], str | None], definition: str) -> str | None:
    """Why a definition is refused; None when it is taken."""
    try:
        if len(definition) > MAX_DEFINITION:
            raise ValueError(f"longer than {MAX_DEFINITION} characters")
        parsed = json.loads(definition)
    except ValueError as error:
        return f"Invalid State Machine Definition: 'INVALID_JSON_DESCRIPTION: {error}'"
    problems = Linter.validate(parsed, FLOW) if isinstance(parsed, dict) else ["not an object"]
    try:
        if not problems:
            AmazonStateLanguageParser.parse(definition)
    except Exception as error:
        problems = [str(error)]
    if problems:
        return f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {'; '.join(problems)}'"
    return original(definition)
