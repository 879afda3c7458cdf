import json

import numpy as np
import pytest

from pipeline.jobs.evaluate.smoke import smoke_rows
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.metrics import Predictions


@pytest.fixture
def raw(tmp_path):
    """A hold-out of two files of raw rows."""
    (tmp_path / "holdout-00000.csv").write_text('34,true,"Doe, Jane"\n,false,x\n36.5,true,\n')
    (tmp_path / "holdout-00001.csv").write_text("37,false,y\n38,true,z\n")
    return tmp_path


RAW_ROWS = {"holdout-00000.csv.out": 3, "holdout-00001.csv.out": 2}


def test_a_smoke_test_has_rows_of_each_predicted_class_as_the_holdout_writes_them(raw, settings):
    answers = Predictions(np.array([0.1, 0.2, 0.3, 0.4, 0.95]), np.array([0, 0, 0, 0, 1]), RAW_ROWS)
    assert smoke_rows(raw, answers, settings, most=3) == [
        {"row": '34,true,"Doe, Jane"', "label": "no", "score": 0.1},
        {"row": ",false,x", "label": "no", "score": 0.2},
        {"row": "38,true,z", "label": "yes", "score": 0.95},
    ]


def test_a_smoke_test_of_regression_has_no_label_and_of_several_classes_a_score_each(raw, regression, multiclass):
    values = Predictions(np.array([1.5, 2, 3, 4, 5]), None, RAW_ROWS)
    assert smoke_rows(raw, values, regression, most=1) == [{"row": '34,true,"Doe, Jane"', "score": 1.5}]
    scores = Predictions(np.full((5, 3), 0.25), np.array([0, 0, 0, 2, 0]), RAW_ROWS)
    assert smoke_rows(raw, scores, multiclass, most=2) == [
        {"row": '34,true,"Doe, Jane"', "label": "no", "score": [0.25, 0.25, 0.25]},
        {"row": "37,false,y", "label": "later", "score": [0.25, 0.25, 0.25]},
    ]


def test_a_smoke_test_has_rows_of_numbers_as_csv(tmp_path, settings):
    (tmp_path / "holdout-00000.jsonl").write_text('{"features":[1,2.50]}\n{"features":[-0.1,1e-07]}\n')
    answers = Predictions(np.array([0.9, 0.8]), np.array([1, 1]), {"holdout-00000.jsonl.out": 2})
    assert smoke_rows(tmp_path, answers, settings) == [
        {"row": "1,2.5", "label": "yes", "score": 0.9},
        {"row": "-0.1,1e-07", "label": "yes", "score": 0.8},
    ]


def test_a_smoke_test_has_only_rows_that_fit_into_a_states_data(tmp_path, settings):
    short, long = ",".join(["0.123"] * 1900), ",".join(["0.123"] * 12000)
    (tmp_path / "holdout-00000.csv").write_text("".join(f"{row}\n" for row in (long, *[short] * 7)))
    answers = Predictions(np.full(8, 0.25), np.zeros(8, np.int64), {"holdout-00000.csv.out": 8})
    found = smoke_rows(tmp_path, answers, settings)
    assert found == [{"row": short, "label": "no", "score": 0.25}] * 5
    assert len(json.dumps(found)) <= 60_100
    (tmp_path / "holdout-00000.csv").write_text(f"{long}\n" * 8)
    assert smoke_rows(tmp_path, answers, settings) == []


def test_a_holdout_that_is_not_the_one_that_was_answered_is_refused(raw, settings):
    rows = {"holdout-00000.csv.out": 3, "holdout-00001.csv.out": 3}
    answers = Predictions(np.full(6, 0.5), np.array([0, 0, 0, 0, 0, 1]), rows)
    with pytest.raises(JobError) as error:
        smoke_rows(raw, answers, settings)
    assert str(error.value) == f"{raw}: no line 3 in holdout-00001.csv: is it the hold-out that the model answered?"
    with pytest.raises(JobError, match="no line 1 in other"):
        smoke_rows(raw, Predictions(np.zeros(1), np.zeros(1), {"other.out": 1}), settings)
