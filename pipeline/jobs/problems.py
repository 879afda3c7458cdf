"""What can be wrong with a job's input: one exception a kind, each message says where and what to do."""

from __future__ import annotations

import json


class JobError(Exception):
    """The job cannot go on; the message is what the execution's failure shows."""


class SettingsError(JobError):
    """The settings document is missing or is not what the pipeline writes."""


class TableError(JobError):
    """A data file cannot be read, or a value in it is wrong."""


class SplitError(JobError):
    """There are too few rows, in all or in a part."""


class VolumeError(JobError):
    """The job's disk is full."""


class PredictionsError(JobError):
    """The predictions cannot be read, or do not belong to the labels."""


def place(file: str, row: int, column: str | None = None) -> str:
    """Return where a value stands; `row` is the line number an editor shows."""
    return f"{file}, row {row}" + (f', column "{column}"' if column is not None else "")


def shortened(value: str) -> str:
    """Return a value in quotes on one line, cut after 40 characters, bytes that are not UTF-8 escaped."""
    text = value if len(value) <= 40 else value[:37] + "..."
    return json.dumps(text.encode("utf-8", "backslashreplace").decode("utf-8"), ensure_ascii=False)
