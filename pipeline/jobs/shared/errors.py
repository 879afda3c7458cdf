"""The errors of the jobs: one class per failure; each message says what is wrong, where, and what to do."""

import json


class JobError(Exception):
    """The job cannot continue; the message is what the execution's failure shows."""


class SettingsError(JobError):
    """The settings document is missing or is not what the pipeline writes."""


class DataFileError(JobError):
    """A data file is missing or cannot be read, or a value in it is wrong."""


class BadRowLimitError(DataFileError):
    """More rows are wrong than data.bad_rows allows."""


class LabelConflictError(DataFileError):
    """Rows with the same features have different labels."""


class TooFewRowsError(JobError):
    """There are too few rows in a class or a part."""


class DiskFullError(JobError):
    """The job's disk is full."""


class PredictionsError(JobError):
    """The predictions or labels cannot be read, or do not belong together."""


class DriftInputError(JobError):
    """The drift window, or a document that it is compared with, cannot be read."""


def place(file: str, row: int, column: str | None = None) -> str:
    """Return where a value is; `row` is the line number that an editor shows."""
    return f"{file}, row {row}" + (f', column "{column}"' if column is not None else "")


def shortened(value: str) -> str:
    """Return a value in quotes on one line, cut after 40 characters, bytes that are not UTF-8 escaped."""
    text = value if len(value) <= 40 else value[:37] + "..."
    return json.dumps(text.encode("utf-8", "backslashreplace").decode("utf-8"), ensure_ascii=False)
