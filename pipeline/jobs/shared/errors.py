"""The errors of the jobs; each message says what is wrong, where, and what to do."""

import json


class JobError(Exception):
    """The job cannot continue; the message is what the execution's failure shows."""


class BadFile(JobError):
    """A file of the data cannot be used, whatever the others are."""


def place(file: str, row: int, column: str | None = None) -> str:
    """Return where a value is; `row` is the line number that an editor shows."""
    return f"{file}, row {row}" + (f', column "{column}"' if column is not None else "")


def shortened(value: str) -> str:
    """Return a value in quotes on one line, cut after 40 characters, bytes that are not UTF-8 escaped."""
    text = value if len(value) <= 40 else value[:37] + "..."
    return json.dumps(text.encode("utf-8", "backslashreplace").decode("utf-8"), ensure_ascii=False)


def packed_fault(start: bytes, name: str) -> str:
    """Return what to do about a text that is packed, by its first bytes; nothing if it is not."""
    if start.startswith(b"\x1f\x8b"):
        return f"it is packed with gzip: call it {name}.gz"
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return f"it is a spreadsheet or an archive: save a spreadsheet as CSV, call an archive {name}.zip"
    return ""
