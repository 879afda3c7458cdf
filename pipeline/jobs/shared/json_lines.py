"""JSON Lines in blocks: columns by pyarrow; line by line where a block has a fault, so that an error names the line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

BLOCK_BYTES = 4 << 20  # text per block: enough for pyarrow's threads, and small beside the arrays that are kept


@dataclass(frozen=True)
class Block:
    """Whole lines of a file."""

    file: str  # path under the directory that was read
    first: int  # number of its first line, from 1
    text: bytes

    def columns(self, schema: pa.Schema) -> list[pa.Array] | None:
        """Return the schema's columns, a row per line, null where a line lacks one; None: read it line by line."""
        options = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            table = pa_json.read_json(pa.BufferReader(self.text), parse_options=options)
        except pa.ArrowException:
            return None
        if len(table) != self.text.count(b"\n") + (not self.text.endswith(b"\n")):
            return None
        return [pa.concat_arrays(table.column(name).chunks) for name in schema.names]

    def documents(self) -> Iterator[tuple[int, bytes, Any]]:
        """Yield number, text and content of each line that is not blank; the content is None if it is not JSON."""
        for number, line in enumerate(self.text.split(b"\n"), self.first):
            if line.strip():
                try:
                    yield number, line, json.loads(line)
                except ValueError:
                    yield number, line, None


def read_blocks(directory: Path, suffix: str) -> Iterator[Block]:
    """Yield every file under a directory whose name ends in `suffix`, sorted by path; an empty one as empty block."""
    for file in sorted(path for path in directory.rglob("*" + suffix) if path.is_file()):
        name, first = str(file.relative_to(directory)), 1
        with file.open("rb") as lines:
            while (text := lines.read(BLOCK_BYTES)) or first == 1:
                text += lines.readline()
                yield Block(name, first, text)
                first += max(1, text.count(b"\n"))
