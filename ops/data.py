"""The files that a run reads: upload, list, remove and restore them. The bucket keeps each version of a file."""

from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from ops.account import Account, NothingToDo, OpsError
from ops.check import check_names, checked
from ops.output import Exit, Result, command, console, progress_bar, table

data = typer.Typer(help="List, remove and restore the files that a run reads.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="A file's name, as `ops data list` shows it.")]


@dataclass(frozen=True)
class Item:
    """A file under the prefix: its name there, its newest version, and the delete marker if it is removed."""

    name: str
    size: int
    modified: datetime
    versions: int
    marker: str  # the version id of the delete marker; empty while a run reads the file

    @property
    def shown(self) -> str:
        """The name in one line, as bash takes it if it has control characters."""
        return self.name if self.name.isprintable() else f"${self.name!r}"

    @property
    def removed(self) -> bool:
        """Whether no run reads it."""
        return bool(self.marker)


@command
def upload(
    account: Account,
    files: Annotated[list[Path], typer.Argument(help="Files as [data.format] describes them, or Parquet.")],
    force: Annotated[bool, typer.Option("--force", help="Upload also data that `ops check` refuses.")] = False,
) -> Result:
    """Check files and upload them to the data bucket, which starts a run."""
    bucket, prefix = account.outputs["DataBucket"], account.settings.data.prefix
    check_names(files)
    taken = {part for item in listed(account) if not item.removed for part in _folders(item.name)}
    if clash := next((file.name for file in files if file.name in taken), ""):
        raise OpsError(f"{_place(account)} has files below {clash}/, so {clash} cannot be a file: rename it")
    notes = [] if force else _checked(account, files)
    uris = [f"s3://{bucket}/{key}" for key in put(account, files, prefix)]
    text = f"uploaded {', '.join(uris)}; `ops watch` follows the run that it starts"
    return Result({"uploaded": uris}, [*notes, text])


def put(account: Account, files: list[Path], prefix: str) -> list[str]:
    """Upload files with their progress, and return their keys. Raises OpsError: one is not there."""
    bucket, keys = account.outputs["DataBucket"], []
    with progress_bar() as bar:
        for file in files:
            if not file.is_file():
                raise OpsError(f"{file}: no such file")
            task = bar.add_task(file.name, total=file.stat().st_size)
            key = f"{prefix}{file.name}"
            account.s3.upload_file(str(file), bucket, key, Callback=lambda count, task=task: bar.advance(task, count))
            keys.append(key)
    return keys


def _checked(account: Account, files: list[Path]) -> list[str]:
    """Return what is to say about files that may be uploaded. Raises OpsError."""
    marker = account.settings.trigger.marker
    if not (tables := [file for file in files if not marker or file.name != marker]):
        return []
    with console().status("checking ..."):
        found = checked(account.settings, tables)
    if found.accepted:
        return []
    others = {item.name for item in listed(account) if not item.removed} - {file.name for file in tables}
    if found.too_few and others:
        return [f"note: {found.message}; the run reads the {len(others)} other file(s) too"]
    raise OpsError(f"{found.message}\nnothing was uploaded; --force uploads it all the same")


@data.command("list")
@command
def list_(account: Account) -> Result:
    """List the files, also the removed ones. Exit code: 4 when there is none."""
    found = listed(account)
    if not found:
        return Result([], f"{_place(account)} is empty: `ops upload FILE` fills it", Exit.NOTHING)
    rows = (
        (item.shown, item.size, item.modified, item.versions, "removed" if item.removed else "in use") for item in found
    )
    return Result(found, [table(("file", "bytes", "modified", "versions", "state"), rows), _next(found)])


@data.command()
@command
def remove(account: Account, key: Key) -> Result:
    """Remove a file from the next run's data. Its versions stay: `ops data restore` brings it back."""
    item = _find(account, key)
    if item.removed:
        raise NothingToDo(f"{item.shown} is removed already")
    account.s3.delete_object(Bucket=account.outputs["DataBucket"], Key=account.settings.data.prefix + item.name)
    return _changed(account, f"removed {item.shown}; `ops data restore {item.shown}` brings it back")


@data.command()
@command
def restore(account: Account, key: Key) -> Result:
    """Bring back a removed file."""
    item = _find(account, key)
    if not item.removed:
        raise NothingToDo(f"{item.shown} is not removed")
    # Several uploads of nothing but removals leave several markers.
    while item.removed:
        full = account.settings.data.prefix + item.name
        account.s3.delete_object(Bucket=account.outputs["DataBucket"], Key=full, VersionId=item.marker)
        item = _find(account, key)
    return _changed(account, f"restored {item.shown}")


def listed(account: Account) -> list[Item]:
    """Return the files under the prefix by name."""
    pages = account.s3.get_paginator("list_object_versions").paginate(
        Bucket=account.outputs["DataBucket"], Prefix=account.settings.data.prefix
    )
    versions: dict[str, list[tuple[datetime, int, bool]]] = {}
    markers: dict[str, str] = {}
    for page in pages:
        for found in page.get("Versions", []):
            if not found["Key"].endswith("/"):
                versions.setdefault(found["Key"], []).append((found["LastModified"], found["Size"], found["IsLatest"]))
        markers |= {found["Key"]: found["VersionId"] for found in page.get("DeleteMarkers", []) if found["IsLatest"]}
    items = []
    for key, of_key in sorted(versions.items()):
        modified, size, _ = next((each for each in of_key if each[2]), max(of_key))
        name = key.removeprefix(account.settings.data.prefix)
        items.append(Item(name, size, modified, len(of_key), markers.get(key, "")))
    return items


def _folders(name: str) -> list[str]:
    """The folders that a name is below."""
    return [str(folder) for folder in PurePosixPath(name).parents][:-1]


def _find(account: Account, key: str) -> Item:
    found = {item.name: item for item in listed(account)}
    name = key.removeprefix(f"s3://{account.outputs['DataBucket']}/").removeprefix(account.settings.data.prefix)
    if name in found:
        return found[name]
    near = "".join(f"; did you mean {near}?" for near in get_close_matches(name, found, 1))
    raise NothingToDo(f"{_place(account)} has no {name}{near} `ops data list` shows the files")


def _changed(account: Account, what: str) -> Result:
    found = listed(account)
    document = {"done": what, "files": [item.name for item in found if not item.removed]}
    return Result(document, [what, f"{_next(found)}; `ops retrain` starts it"])


def _next(found: list[Item]) -> str:
    used = [item for item in found if not item.removed]
    names = ", ".join(item.shown for item in used[:5]) + (", …" if len(used) > 5 else "")
    return f"the next run reads {len(used)} file(s), {sum(item.size for item in used)} bytes: {names or 'no data'}"


def _place(account: Account) -> str:
    return f"s3://{account.outputs['DataBucket']}/{account.settings.data.prefix}"
