"""Labels as files write them, and the classes of the settings that they mean."""

from collections.abc import Sequence

from .encoder import boolean_of


def class_of(text: str, classes: Sequence[str]) -> int | None:
    """Return the number of the class that a label means, or None.

    It is the class of the same text, spaces around it aside; else of the same number ("1.0" is "1"); else of the same
    meaning: true or yes in any case, or 1, and false, no or 0.
    """
    word = text.strip()
    same = [number for number, name in enumerate(classes) if name.strip() == word]
    if not same and (value := _number(word)) is not None:
        same = [number for number, name in enumerate(classes) if _number(name) == value]
    if not same and (meaning := boolean_of(word)) is not None:
        same = [number for number, name in enumerate(classes) if boolean_of(name) == meaning]
    return same[0] if len(same) == 1 else None


def numbers_of(names: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """Return the number among `classes` of each of these names; None unless they name each of them once."""
    numbers = [number for name in names if (number := class_of(name, classes)) is not None]
    return numbers if sorted(numbers) == list(range(len(classes))) and len(names) == len(classes) else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
