"""Hooks of the fuzzer for many calls: it makes one choice for a row of numbers as text.

By the pattern of such a row it makes one for each digit, which takes nine tenths of a call's time.
"""

import random
import re
from functools import partial
from typing import Any

import schemathesis
from hypothesis import strategies

from tests.lambdas.predict import fuzzer

__all__ = ["fuzzer"]
FOLLOWERS = re.compile(r"\{(\d+)\}")
"""How many values follow the first one, in the pattern of a row."""


def number(draws: random.Random) -> str:
    """A number as text, as lambdas/predict/documents.py describes one."""

    def digits(most: int) -> str:
        return "".join(draws.choices("0123456789", k=draws.randint(1, most)))

    fraction, exponent = draws.choice(["", f".{digits(24)}"]), draws.choice(["", f"e-{digits(1)}", f"E{digits(1)}"])
    return f"{draws.choice(['', '-'])}{digits(15)}{fraction}{exponent}"


def rows(seed: int, features: int, most: int) -> str:
    """Up to so many rows of numbers."""
    draws = random.Random(seed)
    return "\n".join(",".join(number(draws) for _ in range(features)) for _ in range(draws.randint(1, most)))


@schemathesis.hook
def before_load_schema(_: object, raw_schema: dict[str, Any]) -> None:
    """Give the schemas of rows as text a format, which is generated as it is registered."""
    row = raw_schema["components"]["schemas"]["Data"]["properties"]["data"]
    table = raw_schema["paths"]["/predictions"]["post"]["requestBody"]["content"]["text/csv"]["schema"]
    for name, schema, most in (("row", row, 1), ("rows", table, 5)):
        schema["format"] = name
        followers, *_ = FOLLOWERS.findall(schema["pattern"])
        made = partial(rows, features=int(followers) + 1, most=most)
        schemathesis.openapi.format(name, strategies.integers(0, 2**32).map(made))
