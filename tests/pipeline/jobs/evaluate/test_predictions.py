import tomllib
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.evaluate.predictions import read_labels, read_predictions
from pipeline.jobs.shared.errors import JobError
from tests.pipeline.jobs.evaluate.answers import lines

WRONG = tomllib.loads(Path(__file__).with_name("wrong_answers.toml").read_text("utf-8"))


def test_multiclass_is_measured_from_a_score_a_class(tmp_path, multiclass):
    lines(tmp_path / "labels/labels.jsonl", [{"row": "", "label": n} for n in (0, 1, 2)])
    answers = [{"score": [0.8, 0.1, 0.1], "predicted_label": 0}, {"score": [0, 1, 0.0], "predicted_label": 1.0}]
    lines(tmp_path / "new/holdout.out", [*answers, {"score": [0.5, 0.3, 0.2], "predicted_label": 0}])
    found = read_predictions(tmp_path / "new", multiclass)
    np.testing.assert_array_equal(found.scores, [[0.8, 0.1, 0.1], [0, 1, 0], [0.5, 0.3, 0.2]])
    np.testing.assert_array_equal(found.classes, [0, 1, 0])


@pytest.mark.parametrize("case", WRONG["lines"].values(), ids=WRONG["lines"])
def test_predictions_that_cannot_be_read_are_refused_with_the_place(tmp_path, settings, monkeypatch, case):
    monkeypatch.setattr("pipeline.jobs.shared.json_lines.BLOCK_BYTES", 100)
    (tmp_path / "holdout.out").write_bytes(case["content"].encode(case.get("encoding", "utf-8")))
    with pytest.raises(JobError) as error:
        read_predictions(tmp_path, settings)
    assert str(error.value) == f"holdout.out, {case['message']}"


def test_a_single_score_is_no_multiclass_answer(tmp_path, multiclass):
    lines(tmp_path / "holdout.out", [{"score": 0.5, "predicted_label": 1}])
    with pytest.raises(JobError) as error:
        read_predictions(tmp_path, multiclass)
    assert str(error.value) == "holdout.out, row 1: score must be a list of 3 numbers: is it this model's answer?"


def test_labels_of_one_class_cannot_be_measured(tmp_path, settings):
    lines(tmp_path / "labels.jsonl", [{"row": "", "label": 1}] * 3)
    with pytest.raises(JobError, match="every one of the 3 labels is the same: nothing to measure"):
        read_labels(tmp_path, settings)


def test_no_predictions_at_all_are_refused(tmp_path, settings):
    with pytest.raises(JobError, match=r"no file like \*holdout\*\.out: did the job before this one end\?"):
        read_predictions(tmp_path, settings)
