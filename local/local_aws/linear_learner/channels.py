"""The input channels, as /opt/ml/input/config/inputdataconfig.json says ("Common data formats for training")."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from local_aws.linear_learner import csv_text, recordio
from local_aws.linear_learner.common import ClientError, Floats

CHANNELS = ("train", "validation", "test")
RECORDIO = "application/x-recordio-protobuf"
READERS = {"text/csv": csv_text.blocks, RECORDIO: recordio.blocks}
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Channel:
    """One channel: its files in the order in which they are read, all in one format."""

    name: str
    files: tuple[Path, ...]
    content_type: str

    def blocks(self) -> Iterator[Floats]:
        """Float32 arrays of (rows, 1 + features), the label first.

        Raises ClientError: a row that cannot be read, or no rows at all.
        """
        width = None
        for path in self.files:
            with path.open("rb") as raw:
                packed = raw.peek(2)[:2] == _GZIP
                with gzip.open(raw) if packed else raw as stream:
                    for block in READERS[self.content_type](cast(IO[bytes], stream), path):
                        width = width or block.shape[1]
                        if block.shape[1] != width:
                            raise ClientError(
                                f"{path}: rows of {block.shape[1] - 1} features after rows of {width - 1};"
                                " every row of a channel needs the same number"
                            )
                        yield block
        if width is None:
            raise ClientError(f"The {self.name} channel has no rows. Give it at least one file that is not empty.")


def open_channels(root: Path) -> dict[str, Channel]:
    """The channels below `root`, by name. Raises ClientError: an unknown channel or format, or no train channel."""
    description = root / "input/config/inputdataconfig.json"
    config: dict[str, dict[str, Any]] = json.loads(description.read_text()) if description.is_file() else {}
    data = root / "input/data"
    present = {path.name for path in data.iterdir() if path.is_dir()} if data.is_dir() else set()
    names = set(config) or present
    if unknown := sorted(names - set(CHANNELS)):
        raise ClientError(f"Additional properties are not allowed (u'{unknown[0]}' was unexpected)")
    if "train" not in names:
        raise ClientError("u'train' is a required property: give the job a channel named train")
    return {name: _channel(name, config.get(name, {}), data / name) for name in CHANNELS if name in names}


def _channel(name: str, config: dict[str, Any], folder: Path) -> Channel:
    # A channel without a content type is taken as recordio, as AWS does.
    media, *parameters = (part.strip() for part in (config.get("ContentType") or RECORDIO).split(";"))
    if media not in READERS:
        raise ClientError(f"No iterator has been registered for ContentType (u'{media}', '1.0')")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "label_size" and value.strip() != "1":
            fault = f"label_size is {value}; the label is one column, the first: label_size=1"
            raise ClientError(f"Channel {name}: {fault}")
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    files = tuple(path for path in found if path.stat().st_size and not path.name.startswith("."))
    return Channel(name, files, media)
