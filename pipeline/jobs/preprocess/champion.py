"""The hold-out as the champion reads it: the same rows in the same order, in its columns and kinds.

The files are read once more by the champion's signature. A row's key does not depend on the roles of its columns, so
the rows of the hold-out are found by their keys.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..shared import documents
from ..shared.encoder import Encoder, Feature
from ..shared.errors import JobError
from ..shared.labels import numbers_of
from ..shared.settings import BadRowLimit, JobSettings
from ..shared.signature import Signature, read_signature, settings_under, signature_of
from .data_files import DataFiles, Quarantine
from .encoding import RowEncoder
from .parts import Parts
from .records import LINE_BITS, Keys, Numbers, Records
from .sorted_rows import SortedRows
from .split import paths
from .summary import Summary

FOLDER = "champion"
MOST_LEVELS = 10_000
NO_LIMIT = BadRowLimit(count=1 << 62, share=0)


@dataclass(frozen=True)
class Champion:
    """The signature of what is live, if it is known, and why its answers cannot be compared; "" if they can."""

    signature: Signature | None
    reason: str = ""


def read_champion(listing: Path | None, settings: JobSettings) -> Champion:
    """Return the champion of champion.json in a listing's folder, without it one of the settings' own signature.

    So what is written before there is a champion is right for the first one, too.
    """
    file = listing / "champion.json" if listing else None
    if file is None or not file.exists():
        return Champion(signature_of(settings))
    try:
        signature = read_signature(file)
    except JobError:
        return Champion(None, "its signature is not known")
    return Champion(signature, _difference(signature, settings))


def _difference(champion: Signature, settings: JobSettings) -> str:
    """Return why a champion's answers mean something else than those of a model by the settings, or ""."""
    if champion.predictor_type != settings.predictor_type:
        return f"it is a {champion.predictor_type}"
    if champion.target != settings.target:
        return f'it predicts "{champion.target}"'
    if settings.classes and numbers_of(champion.classes, settings.classes) is None:
        return f"its classes are {', '.join(champion.classes)}"
    if any(feature.name == settings.target for feature in champion.features):
        return f'its feature "{settings.target}" is the target now'
    return ""


def has_own_rows(champion: Champion, settings: JobSettings) -> bool:
    """Return whether a champion reads the hold-out in other columns, kinds or missing texts than the settings have."""
    if champion.signature is None or champion.reason:
        return False
    now = signature_of(settings)
    return (champion.signature.features, champion.signature.missing_texts) != (now.features, now.missing_texts)


def rows_path(folder: Path, number: int, host: str) -> Path:
    """Return the file of the champion's rows that goes with this one of the hold-out."""
    return folder / FOLDER / "holdout" / f"holdout-{number:05d}{f'-{host}' if host else ''}.csv"


def write_rows(champion: Champion, files: DataFiles, summary: Summary, parts: Parts, output: Path) -> str:
    """Write the hold-out in the champion's columns, if they are others; return why it cannot be compared, or "".

    `files` have been read to `output`, `summary` has the files of the hold-out, and `parts` the part of each row.
    """
    if champion.signature is None or not has_own_rows(champion, files.settings):
        return champion.reason
    reason = ""
    try:
        rows, missing, fault = _write_rows(champion.signature, files, summary, parts, output)
    except JobError as error:
        reason = f"its columns cannot be read: {_without_advice(str(error))}"
    else:
        if missing:
            example = f", such as {_without_advice(fault)}" if fault else ""
            reason = f"{missing} of {rows} rows of the hold-out are not as it needs them{example}"
    if reason:
        shutil.rmtree(output / FOLDER, ignore_errors=True)
    return reason


def _write_rows(
    champion: Signature, files: DataFiles, summary: Summary, parts: Parts, output: Path
) -> tuple[int, int, str]:
    """Return the number of rows, that of rows that the champion cannot read, and the fault of one."""
    settings = _settings_of(champion, files.settings)
    again, quarantine = files.again(settings), Quarantine(Path(os.devnull), NO_LIMIT)
    count = missing = 0
    with SortedRows(output / FOLDER, again) as sorted_rows:
        sorted_rows.read(quarantine, _refused(files, summary.host, output))
        sorted_rows.add_copies()
        # Nothing is encoded here: the champion has an encoder of its own.
        features = tuple(Feature(each.name, each.kind, imputed=True, other=True) for each in champion.features)
        encoder = RowEncoder(Encoder(features), again.levels)
        holdout = (some.moved() for rows in sorted_rows.last() for part, some in parts.split(rows) if part == "holdout")
        rest = Records(np.empty((0, 3 + len(features))))
        for part, number, _ in summary.shards:
            if part != "holdout":
                continue
            keys = _keys(paths(output, part, number, summary.host, files.settings)[1])
            rows, rest = _up_to(keys, rest, holdout)
            file = rows_path(output, number, summary.host)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoder.raw_text(rows))
            count, missing = count + len(keys), missing + len(keys) - len(rows)
    return count, missing, next(iter(quarantine.first), "")


def _settings_of(champion: Signature, settings: JobSettings) -> JobSettings:
    """Return the settings that read the champion's features, and know rows as these settings do."""
    own = settings_under(champion, settings)
    others = dict.fromkeys((*settings.features, *settings.ignored_columns))
    return replace(
        own,
        ignored_columns=tuple(name for name in others if name not in own.features),
        key_texts=None if set(champion.missing_texts) == set(settings.missing_texts) else settings.missing_texts,
        levels=replace(settings.levels, maximum=MOST_LEVELS),
        on_bad_file="fail",
        bad_rows=NO_LIMIT,
    )


def _refused(files: DataFiles, host: str, output: Path) -> Numbers | None:
    """Return the places of the rows in the quarantine; None where they do not matter: without ids a row has no twin."""
    file = output / "quarantine" / f"quarantine{f'-{host}' if host else ''}.jsonl"
    if not files.settings.id_columns or not file.exists():
        return None
    numbers = {name: number for number, name in enumerate(files.names)}
    with file.open(encoding="utf-8") as lines:
        refused = [document for document in map(json.loads, lines) if "row" in document]
    return np.array([numbers[each["file"]] << LINE_BITS | each["row"] for each in refused], np.int64)


def _keys(labels: Path) -> Keys:
    """Return the keys of the rows of a file of labels, in their order."""
    with labels.open("rb") as lines:
        return np.array([int(line[8:24], 16) for line in lines], np.uint64)


def _up_to(keys: Keys, rest: Records, rows: Iterator[Records]) -> tuple[Records, Records]:
    """Return those of the rows that have these keys, and the rows after them; `rest` comes before `rows`."""
    while not len(rest) or rest.keys[-1] < keys[-1]:
        more = next(rows, None)
        if more is None:
            break
        rest = Records(np.concatenate([rest.words, more.words]))
    wanted = np.isin(rest.keys, keys)
    return rest[wanted], rest[int(np.searchsorted(rest.keys, keys[-1], "right")) :]


def _without_advice(fault: str) -> str:
    """Return the first fault of a message without what to do about it, which is about the settings of now."""
    fault = fault.partition("; ")[0]
    return fault.rpartition(": ")[0] or fault


def write_verdict(champion: Champion, reason: str, settings: JobSettings, output: Path) -> None:
    """Write champion.json, and scoring.json if there is no reason why the champion cannot be compared."""
    classes = list(champion.signature.classes) if champion.signature else []
    verdict: documents.Champion = {"comparable": not reason, "reason": reason, "classes": classes}
    written: dict[str, documents.Champion | documents.Scoring] = {"champion": verdict}
    if not reason:
        raw = has_own_rows(champion, settings) or settings.encoded
        written["scoring"] = {
            "holdout": f"{FOLDER}/holdout" if has_own_rows(champion, settings) else "holdout",
            "content_type": "text/csv" if raw else "application/jsonlines",
        }
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    for name, document in written.items():
        (output / FOLDER / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
