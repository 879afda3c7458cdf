import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

from pipeline.jobs.evaluate.job import evaluate
from pipeline.jobs.evaluate.predictions import read_labels, read_predictions
from pipeline.jobs.evaluate.profile import curves, profile
from pipeline.jobs.evaluate.quality_gate import Estimate, compare, decide
from pipeline.jobs.evaluate.smoke import smoke_rows
from pipeline.jobs.shared.documents import distribution
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.metric_names import METRICS
from pipeline.jobs.shared.metrics import Predictions
from pipeline.jobs.shared.settings import GateSettings

SECTION = "binary_classification_metrics"
WRONG = tomllib.loads(Path(__file__).with_name("wrong_answers.toml").read_text("utf-8"))


def lines(path, documents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))


@pytest.fixture
def answered(tmp_path):
    """Labels and predictions of 200 rows by a fair model, and a worse one's."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 200)
    lines(tmp_path / "labels/labels.jsonl", [{"row": f"{n:016x}", "label": int(v)} for n, v in enumerate(labels)])
    for name, noise in (("new", 0.3), ("old", 0.9)):
        scores = np.clip(0.3 + 0.4 * labels + generator.normal(0, noise, 200), 0.01, 0.99)
        answers = [{"score": float(score), "predicted_label": int(score > 0.5)} for score in scores]
        lines(tmp_path / name / "holdout.jsonl.out", answers)
    return tmp_path


def evaluated(root, settings_file, champion=None):
    """The evaluation of root/new, compared with the folder `champion` if one is given."""
    predictions = root / "predictions"
    shutil.rmtree(predictions, ignore_errors=True)
    for name, folder in (("challenger", "new"), ("champion", champion)):
        if folder:
            shutil.copytree(root / folder, predictions / name)
    evaluate(settings_file, predictions, root / "labels", root / "out")
    return json.loads((root / "out/evaluation.json").read_text())


def test_the_evaluation_follows_the_model_quality_schema_and_stays_small(answered, settings_file, capsys):
    document = evaluated(answered, settings_file)
    assert capsys.readouterr().out.startswith(f"200 rows: auc {document[SECTION]['auc']['value']:.4f}, pr_auc ")
    metrics = document[SECTION]
    assert document.keys() == {"rows", "binary_classification_metrics", "decision"}
    assert document["rows"] == 200
    for name in sum(METRICS["binary_classifier"], ()):
        assert metrics[name].keys() == {"value", "standard_deviation"}
        assert metrics[name]["standard_deviation"] > 0
    matrix = metrics["confusion_matrix"]
    assert (matrix["0"]["0"] + matrix["1"]["1"]) / 200 == metrics["accuracy"]["value"]
    assert matrix["1"]["1"] / (matrix["1"]["1"] + matrix["1"]["0"]) == metrics["recall"]["value"]
    assert len(metrics["receiver_operating_characteristic_curve"]["true_positive_rates"]) <= 50
    assert (answered / "out/evaluation.json").stat().st_size < 10_000


def test_the_comparison_is_paired_and_positive_when_the_challenger_is_better(answered, settings_file):
    found = evaluated(answered, settings_file, "old")["comparison"]
    assert (found["metric"], found["confidence"]) == ("auc", 0.95)
    assert found["difference"] == pytest.approx(found["challenger"] - found["champion"])
    assert 0 < found["interval"][0] < found["difference"] < found["interval"][1]


def test_multiclass_is_measured_from_a_score_a_class(tmp_path, multiclass):
    lines(tmp_path / "labels/labels.jsonl", [{"row": "", "label": n} for n in (0, 1, 2)])
    answers = [{"score": [0.8, 0.1, 0.1], "predicted_label": 0}, {"score": [0, 1, 0.0], "predicted_label": 1.0}]
    lines(tmp_path / "new/1.out", [*answers, {"score": [0.5, 0.3, 0.2], "predicted_label": 0}])
    found = read_predictions(tmp_path / "new", multiclass)
    np.testing.assert_array_equal(found.scores, [[0.8, 0.1, 0.1], [0, 1, 0], [0.5, 0.3, 0.2]])
    np.testing.assert_array_equal(found.classes, [0, 1, 0])


def sharded(root, kind, name, sizes):
    """A folder's one file again, as one of each size, named after the host that wrote it."""
    (whole,) = (root / kind).iterdir()
    rest = whole.read_text().splitlines(keepends=True)
    whole.unlink()
    for number, size in reversed(list(enumerate(sizes))):
        host, shard = divmod(number, 2)
        first = sum(sizes[:number])
        text = "".join(rest[first : first + size])
        (root / kind / name.format(f"algo-{host + 1}-{shard:05d}")).write_text(text)


def test_many_shards_are_one(answered, settings_file):
    whole = evaluated(answered, settings_file, "old")
    for kind, name in (("new", "holdout-{}.jsonl.out"), ("old", "holdout-{}.jsonl.out"), ("labels", "labels-{}.jsonl")):
        sharded(answered, kind, name, (70, 0, 100, 30))
    assert evaluated(answered, settings_file, "old") == whole


@pytest.mark.parametrize("case", WRONG["shards"].values(), ids=WRONG["shards"])
def test_shards_that_do_not_go_together_are_named(answered, settings_file, case):
    sharded(answered, "new", "holdout-{}.jsonl.out", case["answers"])
    sharded(answered, "labels", "labels-{}.jsonl", case["labels"])
    with pytest.raises(JobError) as error:
        evaluated(answered, settings_file)
    assert str(error.value) == f"{answered / 'predictions/challenger'}: {case['message']}"
    assert not (answered / "out").exists()


def test_curves_follow_scikit_learn_and_end_in_the_corner():
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 1000).astype(float)
    scores = (labels + generator.normal(0, 0.5, 1000)).round(1)
    found = curves(labels, scores)
    roc = found["receiver_operating_characteristic_curve"]
    false_rates, true_rates, _ = oracle.roc_curve(labels, scores, drop_intermediate=False)
    on_curve = {(round(f, 4), round(t, 4)) for f, t in zip(false_rates, true_rates, strict=True)}
    points = list(zip(roc["false_positive_rates"], roc["true_positive_rates"], strict=True))
    assert set(points) <= on_curve
    assert (points[0], points[-1], len(points) <= 50) == ((0, 0), (1, 1), True)
    precisions, recalls, _ = oracle.precision_recall_curve(labels, scores)
    known = {(round(p, 4), round(r, 4)) for p, r in zip(precisions, recalls, strict=True)}
    pairs = found["precision_recall_curve"]
    assert set(zip(pairs["precisions"], pairs["recalls"], strict=True)) <= known


@pytest.mark.parametrize("case", WRONG["lines"].values(), ids=WRONG["lines"])
def test_predictions_that_cannot_be_read_are_refused_with_the_place(tmp_path, settings, monkeypatch, case):
    monkeypatch.setattr("pipeline.jobs.shared.json_lines.BLOCK_BYTES", 100)
    (tmp_path / "x.out").write_bytes(case["content"].encode(case.get("encoding", "utf-8")))
    with pytest.raises(JobError) as error:
        read_predictions(tmp_path, settings)
    assert str(error.value) == f"x.out, {case['message']}"


def test_a_single_score_is_no_multiclass_answer(tmp_path, multiclass):
    lines(tmp_path / "x.out", [{"score": 0.5, "predicted_label": 1}])
    with pytest.raises(JobError) as error:
        read_predictions(tmp_path, multiclass)
    assert str(error.value) == "x.out, row 1: score must be a list of 3 numbers: is it this model's answer?"


def test_labels_of_one_class_cannot_be_measured(tmp_path, settings):
    lines(tmp_path / "labels.jsonl", [{"row": "", "label": 1}] * 3)
    with pytest.raises(JobError, match="every one of the 3 labels is the same: nothing to measure"):
        read_labels(tmp_path, settings)


def test_no_predictions_at_all_are_refused(tmp_path, settings):
    with pytest.raises(JobError, match=r"no file whose name ends in \.out: did the job before this one end\?"):
        read_predictions(tmp_path, settings)


def test_a_gate_on_a_metric_the_scores_do_not_give_is_refused(answered, settings_file):
    document = json.loads(settings_file.read_text())
    document["gate"] = {"minimum": {}, "maximum": {"log_loss": 1}, "margin": 0.01, "confidence": 0.95}
    settings_file.write_text(json.dumps(document))
    margins = [{"score": 4 * (n % 2) - 2.0, "predicted_label": n % 2} for n in range(200)]
    lines(answered / "new/holdout.jsonl.out", margins)
    with pytest.raises(JobError, match="the gate asks for log_loss, which these scores do not give"):
        evaluated(answered, settings_file)


def test_values_with_few_steps_have_no_empty_bins():
    found = distribution(np.array([0.0] * 90 + [1.0] * 10))
    assert (found["count"], found["bins"]) == (100, {"edges": [0.0], "counts": [90, 10]})


def test_a_classifiers_profile_has_its_labels_and_a_histogram_by_the_true_label(settings):
    labels, scores = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.3, 0.6, 1.0])
    found = profile(labels, Predictions(scores, np.array([0.0, 0.0, 1.0, 1.0])), settings)
    assert found["labels"] == {"no": 2, "yes": 2}
    histogram = found["histogram"]
    assert (histogram["edges"][0], histogram["edges"][-1], len(histogram["edges"])) == (0.0, 1.0, 41)
    assert {name: sum(values) for name, values in histogram["counts"].items()} == {"no": 2, "yes": 2}
    assert found["score"]["mean"] == scores.mean()


GATE = GateSettings(minimum={"auc": 0.97}, maximum={"log_loss": 0.3}, margin=0.01, confidence=0.95)
DECISIONS = tomllib.loads(Path(__file__).with_name("decisions.toml").read_text("utf-8"))["case"]


@pytest.mark.parametrize("case", DECISIONS, ids=[case["reason"] for case in DECISIONS])
def test_a_challenger_that_passes_is_accepted_and_a_rejection_names_every_bound(case):
    estimates = {name: Estimate(case[name], np.array([case[name]])) for name in ("auc", "log_loss")}
    figures = {"metric": "auc", "challenger": 0.98, "champion": 0.99, "difference": -0.01}
    compared = {**figures, "interval": [case.get("low"), 0.02], "confidence": 0.95} if "low" in case else None
    assert decide(GATE, estimates, compared) == {"accepted": case["accepted"], "reason": case["reason"]}


def test_a_smaller_error_is_a_positive_difference():
    new = {"rmse": Estimate(2.0, np.array([2.0, 2.1, 1.9]))}
    old = {"rmse": Estimate(3.0, np.array([3.0, 3.1, 2.9]))}
    found = compare("regressor", new, old, 0.95)
    assert found["difference"] == 1
    assert found["interval"] == pytest.approx([1, 1])


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


def test_a_holdout_that_is_not_the_one_that_was_answered_is_refused(raw, settings):
    rows = {"holdout-00000.csv.out": 3, "holdout-00001.csv.out": 3}
    answers = Predictions(np.full(6, 0.5), np.array([0, 0, 0, 0, 0, 1]), rows)
    with pytest.raises(JobError) as error:
        smoke_rows(raw, answers, settings)
    assert str(error.value) == f"{raw}: no line 3 in holdout-00001.csv: is it the hold-out that the model answered?"
    with pytest.raises(JobError, match="no line 1 in other"):
        smoke_rows(raw, Predictions(np.zeros(1), np.zeros(1), {"other.out": 1}), settings)


def test_the_evaluation_keeps_eight_rows_for_the_smoke_test_if_it_gets_the_holdout(answered, settings_file):
    lines(answered / "holdout/holdout.jsonl", [{"features": [n, 0.5]} for n in range(200)])
    evaluated(answered, settings_file)
    assert not (answered / "out/smoke.json").exists()
    evaluate(settings_file, answered / "predictions", answered / "labels", answered / "out", answered / "holdout")
    found = json.loads((answered / "out/smoke.json").read_text())
    answers = [json.loads(line) for line in (answered / "new/holdout.jsonl.out").read_text().splitlines()]
    places = [int(each["row"].partition(",")[0]) for each in found]
    assert [each["label"] for each in found].count("yes") == 4
    assert found == [
        {
            "row": f"{n},0.5",
            "label": ("no", "yes")[answers[n]["predicted_label"]],
            "score": answers[n]["score"],
        }
        for n in sorted(places)
    ]
