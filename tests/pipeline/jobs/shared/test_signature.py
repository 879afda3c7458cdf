"""The signature of a model: a document that its own hash names."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.settings import JobSettings, settings_of
from pipeline.jobs.shared.signature import read_signature, signature_of

DOCUMENT = (
    '{"classes":["no","yes"],"features":[{"imputed":false,"kind":"numeric","name":"age"},'
    '{"imputed":true,"kind":"categorical","name":"visits"}],"largest":1e+30,"missing_texts":["","?","NA"],'
    '"positive_class":"yes","predictor_type":"binary_classifier","target":"bought"}'
)
SHOP: dict[str, Any] = {"kinds": ("numeric", "categorical"), "imputed": (False, True), "missing_texts": ("", "NA", "?")}


@pytest.fixture
def shop(settings: JobSettings) -> JobSettings:
    return dataclasses.replace(settings, **SHOP)


def test_the_document_is_canonical_json_and_its_hash_its_name(shop: JobSettings) -> None:
    signature = signature_of(shop)
    assert (signature.to_json(), signature.name) == (DOCUMENT, "c3740d6290a4f2c5")  # pragma: allowlist secret
    assert (signature.variant, signature.encoded) == ("signature-c3740d6290a4f2c5", True)


@pytest.mark.parametrize(
    "change",
    [
        {"features": ("visits", "age")},
        {"features": ("age",), "kinds": ("numeric",), "imputed": (False,)},
        {"kinds": ("numeric", "boolean")},
        {"imputed": (True, True)},
        {"missing_texts": ("", "NA")},
        {"classes": ("yes", "no")},
        {"classes": ("no", "maybe")},
        {"target": "returned"},
        {"predictor_type": "multiclass_classifier"},
    ],
    ids=",".join,
)
def test_what_decides_a_models_rows_and_answers_changes_its_name(shop: JobSettings, change: dict[str, Any]) -> None:
    assert signature_of(dataclasses.replace(shop, **change)).name != signature_of(shop).name


@pytest.mark.parametrize(
    "change",
    [
        {"missing_texts": ("?", "", "NA")},
        {"id_columns": ("age",)},
        {"ignored_columns": ("colour",)},
        {"salt": "2", "minimum_rows_per_class": 9},
    ],
    ids=",".join,
)
def test_nothing_else_changes_it(shop: JobSettings, change: dict[str, Any]) -> None:
    assert signature_of(dataclasses.replace(shop, **change)) == signature_of(shop)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_document_reads_back_as_it_was_written(
    kind: str, shop: JobSettings, multiclass: JobSettings, regression: JobSettings, tmp_path: Path
) -> None:
    signature = signature_of({"binary": shop, "multiclass": multiclass, "regression": regression}[kind])
    (tmp_path / f"{signature.name}.json").write_text(signature.to_json(), encoding="utf-8")
    assert read_signature(tmp_path) == signature
    assert read_signature(tmp_path / f"{signature.name}.json").name == signature.name


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"features": [{}]}', DOCUMENT.replace("largest", "smallest")])
def test_another_document_is_an_error_that_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "this.json").write_text(text, encoding="utf-8")
    with pytest.raises(JobError, match=r"this\.json: not a model's signature"):
        read_signature(tmp_path)


def test_a_folder_must_have_one_document(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="0 JSON files"):
        read_signature(tmp_path)


def test_the_settings_file_and_the_jobs_settings_give_the_same_signature() -> None:
    settings = load("pipeline.toml", "dev")
    assert settings.signature == signature_of(settings_of(json.loads(settings.to_json())))
