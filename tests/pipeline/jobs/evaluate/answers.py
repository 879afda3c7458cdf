"""Lines of predictions and labels, as batch transform and preprocessing write them."""

import json
from pathlib import Path
from typing import Any


def lines(path: Path, documents: list[dict[str, Any]]) -> None:
    """Write a document per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
