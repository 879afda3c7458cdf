"""Requests and answers checked and written by botocore's own model of the API, so that nothing is described twice.

The wording is that of AWS's request validation ("2 validation errors detected: Value …").
"""

import re
from datetime import datetime
from functools import cache
from typing import Any

from local_aws.sagemaker.api.errors import SerializationException, ValidationException

_TYPES: dict[str, tuple[type, ...]] = {
    **{"string": (str,), "boolean": (bool,), "list": (list,)},
    **dict.fromkeys(("integer", "long"), (int,)),
    **dict.fromkeys(("float", "double", "timestamp"), (int, float)),
    **dict.fromkeys(("structure", "map"), (dict,)),
}
_JAVA_CLASSES = {
    **{r"\p{Alnum}": "a-zA-Z0-9", r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s"},
    **dict.fromkeys((r"\p{M}", r"\p{S}", r"\p{P}"), r"\W"),
}


def check(shape: Any, value: Any) -> None:
    """Check a request. Raises SerializationException for a value of another JSON type, else ValidationException."""
    faults = _faults(shape, value, "")
    if faults:
        plural = "s" if len(faults) > 1 else ""
        raise ValidationException(f"{len(faults)} validation error{plural} detected: {'; '.join(faults)}")


def unknown_members(shape: Any, value: Any, path: str = "") -> list[str]:
    """The members of a request that the model does not have, as dotted paths."""
    if shape.type_name == "structure" and isinstance(value, dict):
        found: list[str] = []
        for name, item in value.items():
            inner = f"{path}.{name}" if path else name
            found += unknown_members(shape.members[name], item, inner) if name in shape.members else [inner]
        return found
    if shape.type_name == "list" and isinstance(value, list):
        return [fault for item in value for fault in unknown_members(shape.member, item, path)]
    if shape.type_name == "map" and isinstance(value, dict):
        return [fault for item in value.values() for fault in unknown_members(shape.value, item, path)]
    return []


def wire(shape: Any, value: Any) -> Any:
    """An answer as JSON 1.1 writes it: only members of the model, times as seconds since 1970."""
    if shape.type_name == "structure":
        return {name: wire(part, value[name]) for name, part in shape.members.items() if value.get(name) is not None}
    if shape.type_name == "list":
        return [wire(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: wire(shape.value, item) for key, item in value.items()}
    return round(value.timestamp(), 3) if isinstance(value, datetime) else value


def _faults(shape: Any, value: Any, path: str) -> list[str]:
    kinds: Any = _TYPES.get(shape.type_name, (object,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and object not in kinds):
        kind = f"{'an' if shape.type_name[0] in 'aeiou' else 'a'} {shape.type_name.capitalize()}"
        raise SerializationException(f"{path or 'The request'}: {_token(value)} can not be converted to {kind}")
    if shape.type_name == "structure":
        return _structure_faults(shape, value, path)
    found = [f"Value '{value}' at '{path}' failed to satisfy constraint: {fault}" for fault in _broken(shape, value)]
    if shape.type_name == "list":
        for number, item in enumerate(value, 1):
            found += _faults(shape.member, item, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            found += _faults(shape.key, key, path) + _faults(shape.value, item, f"{path}.{key}.member")
    return found


def _broken(shape: Any, value: Any) -> list[str]:
    rules = shape.metadata
    if shape.type_name in ("boolean", "timestamp", "blob"):
        return []
    size, noun = (value, "value") if isinstance(value, (int, float)) else (len(value), "length")
    faults = []
    if size < rules.get("min", size):
        faults.append(f"Member must have {noun} greater than or equal to {rules['min']}")
    if size > rules.get("max", size):
        faults.append(f"Member must have {noun} less than or equal to {rules['max']}")
    if (pattern := _pattern(rules.get("pattern"))) and not pattern.fullmatch(value):
        faults.append(f"Member must satisfy regular expression pattern: {rules['pattern']}")
    if rules.get("enum") and value not in rules["enum"]:
        faults.append(f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]")
    return faults


def _structure_faults(shape: Any, value: dict[str, Any], path: str) -> list[str]:
    found = [
        f'Unknown parameter in {path or "input"}: "{name}", must be one of: {", ".join(shape.members)}'
        for name in value.keys() - shape.members.keys()
    ]
    for name, member in shape.members.items():
        inner = f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")
        if value.get(name) is not None:
            found += _faults(member, value[name], inner)
        elif name in shape.required_members:
            found.append(f"Value null at '{inner}' failed to satisfy constraint: Member must not be null")
    return found


@cache
def _pattern(java: str | None) -> re.Pattern[str] | None:
    if not java:
        return None
    python = re.sub(r"\$\{\d+,\d+\}$", "$", java)  # a repeated end, which Java takes
    for theirs, ours in _JAVA_CLASSES.items():
        python = python.replace(theirs, ours)
    try:
        return re.compile(python)
    except re.error:  # three patterns of the model are no regular expression of Python's; AWS decides those
        return None


def _token(value: Any) -> str:
    number = "NUMBER_VALUE"
    names = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: number, float: number, dict: "START_OBJECT"}
    return names.get(type(value), "START_ARRAY")
