"""What both jobs of a scoring know of it: its request, and the files between them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ..shared.errors import JobError


class ScoredFile(TypedDict, total=False):
    """A file: its name under score/, its valid and wrong rows, why it was `left_out`, and the name under scored/."""

    file: str
    rows: int
    wrong: int
    left_out: str
    scored: str


@dataclass(frozen=True)
class Request:
    """The files to score, each with the name under scored/, and the live model's version when the scoring began.

    Each row gets the largest `contributions` of its features.
    """

    files: dict[str, str]
    version: int
    contributions: int


def read_request(folder: Path) -> Request:
    """Return the request of a folder's request.json. Raises JobError."""
    file = folder / "request.json"
    try:
        return Request(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise JobError(f"{file}: not a request to score ({type(error).__name__}: {error})") from error
