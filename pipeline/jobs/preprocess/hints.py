"""What is wrong with a header, a value or a whole column, and what to do about it."""

import json
import math
import re
from collections import Counter
from difflib import get_close_matches

from ..shared.encoder import boolean_of, level_of
from ..shared.errors import BadFile, place, shortened
from ..shared.settings import JobSettings
from .columns import NumberForm

NOT_TEXT = '%s is not UTF-8: set data.format.encoding, such as "latin-1" or "cp1252"'
_NO_VALUE = "? na n/a #n/a <na> nan null none nil - -- --- . * missing unknown unavailable undefined"
NO_VALUE = frozenset(_NO_VALUE.split())
"""Words that tables have where there is no value, in lower case."""
CORRECT = "correct it or remove the row"
WANTED = {"numeric": "a finite number", "boolean": "true or false", "categorical": "a value", "label": "a label"}
FEW = 20
"""Up to so many rows a column is wrong as a whole if every value is; of more rows if most values are."""
SEPARATORS = ";\t|, :"


def is_text(value: str) -> bool:
    """Return whether a value, decoded with "surrogateescape", was UTF-8."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def check_header(header: list[str], where: str, settings: JobSettings, record: str = "") -> None:
    """Check that a header has every column once, in any order, and no other. Raises BadFile: what to do.

    `record` is the header as the file has it.
    """
    for column in header:
        if not is_text(column):
            raise BadFile(f"{where}: {NOT_TEXT % shortened(column)}")
    unknown = [column for column in header if column not in (*settings.columns, *settings.ignored_columns)]
    missing = [column for column in settings.columns if column not in header]
    if missing:
        raise BadFile(f"{where}: {_missing_columns(header, missing, unknown, settings, record)}")
    if unknown == [""]:
        fault = "a column without a name, such as an index that pandas wrote"
        raise BadFile(f'{where}: {fault}: remove it, or list "" in data.ignored_columns')
    if unknown:
        names = _some([shortened(column) for column in unknown])
        raise BadFile(f"{where}: unknown column {names}: remove it, or name it in data.ignored_columns")
    if len(header) != len(set(header)):
        twice = sorted({column for column in header if header.count(column) > 1})
        raise BadFile(f'{where}, column "{twice[0]}": is in the header more than once: remove one')


def _missing_columns(
    header: list[str], missing: list[str], unknown: list[str], settings: JobSettings, record: str
) -> str:
    if sign := likely_separator(record, len(header), settings):
        names = _some([f'"{column}"' for column in missing])
        return f"missing column {names}: the separator looks like {sign}: set data.format.separator = {sign}"
    form = NumberForm.of(settings.format)
    if any(form.matches(column) for column in unknown) and not any(form.matches(column) for column in missing):
        return "looks like data, not like a header: set data.format.header = false and data.format.names"
    alike = {_key(column): column for column in unknown}
    shown = []
    for column in missing:
        near = alike.get(_key(column)) or next(iter(get_close_matches(column, unknown, 1)), None)
        shown.append(f'"{column}"' + (f" (is it {shortened(near)}?)" if near else ""))
    exact = all(_key(column) in alike for column in missing)
    hint = "name it in the settings as the file does" if exact else "add it to the file or correct the header"
    return f"missing column {_some(shown)}: {hint}"


def _key(column: str) -> str:
    return re.sub(r"[\s_.-]+", "", column).casefold()


def likely_separator(record: str, found: int, settings: JobSettings) -> str | None:
    """Return the separator, as TOML, that a header seems to be written with, if not by that of the settings.

    `found` is how many columns there are with that of the settings.
    """
    wanted, used = set(settings.columns), settings.format.separator
    by_sign = {
        sign: [_key(value.strip(" \t\"'")) for value in record.split(sign)] for sign in SEPARATORS if sign != used
    }
    for sign, columns in by_sign.items():
        if {_key(column) for column in wanted} <= set(columns):
            return json.dumps(sign)
    most = max(by_sign, key=lambda sign: len(by_sign[sign]), default=used)
    return json.dumps(most) if found == 1 and len(by_sign.get(most, [])) > 1 else None


def value_fault(column: str, value: str, settings: JobSettings) -> str:
    """Return what is wrong with a value that was found to be wrong, and what to do."""
    shown, kind = _shown(value, settings), settings.reading[column][0]
    if not is_text(value):
        return NOT_TEXT % shown
    if value in settings.missing_texts:
        what = f"{shortened(value)} means no value" if value else "empty"
        impute = f'add "{column}" to data.missing.impute, or correct it'
        return f"{what}, {WANTED[kind]} is wanted: {CORRECT if column == settings.target else impute}"
    if kind == "label":
        return f"{shown} is not a label of the settings ({_quoted(settings.classes)}): correct it"
    if value.lower() in NO_VALUE:
        return f"{shortened(value)} is not {WANTED[kind]}: {CORRECT}; {_no_value(column, [value], settings)}"
    if kind == "boolean":
        return f"{shown} is neither true nor false: correct it, or make the column categorical in [data.kinds]"
    return _number_fault(value, settings)


def _number_fault(value: str, settings: JobSettings) -> str:
    form, hint = NumberForm.of(settings.format), number_hint([value], settings)
    shown = _shown(value, settings)
    if form.matches(value) and math.isfinite(form.value(value)):
        return f"{shown} is too large for a 32-bit float (3.4e38): use another unit"
    return f"{shown} is not a finite number: {CORRECT}" + (f", or {hint}" if hint else "")


def _no_value(column: str, words: list[str], settings: JobSettings) -> str:
    """Return what to do if words mean that there is no value."""
    impute = f', and "{column}" to data.missing.impute'
    also = "" if settings.reading[column][1] or column == settings.target else impute
    return f"if it means no value, add {_quoted(words)} to data.missing.texts{also}"


def number_hint(texts: list[str], settings: JobSettings) -> str | None:
    """Return the settings with which all these texts, which are no numbers now, are numbers, if there are any."""
    now = NumberForm.of(settings.format)
    texts = [text for text in texts if not now.matches(text)]
    found = {sign for text in texts for sign in text if not sign.isalnum() and sign not in "+-.,'_ \t\u00a0\u202f"}
    symbols = now.symbols + "".join(sorted(found - set(now.symbols)))
    # A comma that stands quoted between commas is mostly one of thousands, else one of decimals.
    commas = [(".", ","), (",", "")] if settings.format.separator == "," else [(",", ""), (".", ",")]
    marks = [(".", ""), *commas, (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'")]
    for decimal, thousands in [(now.decimal, now.thousands), *marks]:
        form = NumberForm(decimal, thousands, symbols)
        if texts and form != now and all(form.matches(text) for text in texts):
            signs = {name: getattr(form, name) for name in ("decimal", "thousands", "symbols")}
            changes = [
                f"data.format.{name} = {json.dumps(sign, ensure_ascii=False)}"
                for name, sign in signs.items()
                if sign != getattr(now, name)
            ]
            return "set " + " and ".join(changes)
    return None


def column_fault(column: str, texts: Counter[str], rows: int, settings: JobSettings) -> str:
    """Return what is wrong with a column of which most values are wrong, and what to do.

    `texts` are its wrong values with their counts, `rows` the number of rows that have a value.
    """
    count, kind = texts.total(), settings.reading[column][0]
    said = f'every value of "{column}" is' if count == rows else f'{count} of {rows} values of "{column}" are'
    empty = sum(texts[text] for text in settings.missing_texts)
    words = {text: texts[text] for text in texts if text not in settings.missing_texts}
    if 2 * empty > count:
        impute = f'add "{column}" to data.missing.impute, or name it in data.ignored_columns'
        return f"{said} missing: {CORRECT if column == settings.target else impute}"
    if wrong := [text for text in words if not is_text(text)]:
        return f"{said} wrong: {NOT_TEXT % _shown(wrong[0], settings)}"
    nothing = [text for text in words if text.lower() in NO_VALUE and kind != "label"]
    others = {text: number for text, number in words.items() if text not in nothing}
    if not others:
        return f"{said} {_quoted(nothing)}: {_no_value(column, nothing, settings)}"
    if column == settings.target:
        return f"{said} {_target_fault(others, settings)}"
    return f"{said} {_feature_fault(column, kind, others, rows, settings)}"


def _target_fault(words: dict[str, int], settings: JobSettings) -> str:
    shown = _examples(words, settings)
    if settings.classes:
        binary = settings.predictor_type == "binary_classifier"
        key = "data.positive_label and data.negative_label" if binary else "data.labels"
        instead = f", but {shown}" if shown else ""
        return f"no label of the settings ({_quoted(settings.classes)}){instead}: correct {key}"
    if hint := number_hint(list(words), settings):
        return f"written {_like(words, settings)}: {hint}"
    return f"text{_in_brackets(shown)}, but a regressor needs numbers: correct data.predictor_type or data.target"


def _feature_fault(column: str, kind: str, words: dict[str, int], rows: int, settings: JobSettings) -> str:
    shown, levels = _in_brackets(_examples(words, settings)), len({level_of(text) for text in words})
    if kind == "numeric":
        if hint := number_hint(list(words), settings):
            return f"written {_like(words, settings)}: {hint}"
        if all(map(NumberForm.of(settings.format).matches, words)):
            return f"too large for a 32-bit float, 3.4e38{shown}: use another unit"
        if all(boolean_of(text) is not None for text in words):
            return f'true or false{shown}: make it boolean ([data.kinds] {_toml(column)} = "boolean")'
    what = f"{'text' if kind == 'numeric' else 'neither true nor false'}{shown}"
    if levels > settings.levels.maximum or (rows > FEW and 2 * levels > rows):
        several = f"with {levels} different values in {rows} rows"
        return f"{what}, {several}: name it in data.ignored_columns, or in data.id_columns"
    return f'{what}: make it categorical ([data.kinds] {_toml(column)} = "categorical")'


def _toml(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _shown(value: str, settings: JobSettings) -> str:
    return shortened(value) if settings.show_values else "the value"


def _like(texts: dict[str, int], settings: JobSettings) -> str:
    return f"like {_examples(texts, settings, 1)}" if settings.show_values else "in another form"


def _in_brackets(examples: str) -> str:
    return f" ({examples})" if examples else ""


def _examples(texts: dict[str, int], settings: JobSettings, most: int = 2) -> str:
    """Return the most frequent texts, or nothing if the settings show no values."""
    if not settings.show_values:
        return ""
    found = sorted(texts, key=lambda text: (-texts[text], text))[:most]
    return ", ".join(map(shortened, found)) + (", ..." if len(texts) > most > 1 else "")


def _quoted(texts: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def header_is_data(where: str) -> BadFile:
    """Return the error for a header where the settings say that there is none."""
    return BadFile(f"{place(where, 1)}: is a header: set data.format.header = true and take data.format.names out")
