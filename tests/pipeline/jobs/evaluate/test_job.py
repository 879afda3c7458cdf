import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.evaluate.job import evaluate
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.metric_names import METRICS
from tests.pipeline.jobs.evaluate.answers import lines

WRONG = tomllib.loads(Path(__file__).with_name("wrong_answers.toml").read_text("utf-8"))

SECTION = "binary_classification_metrics"


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


def evaluated(root, settings_file, champion=None, classes=("no", "yes"), reason=""):
    """The evaluation of root/new, compared with the folder `champion` if one is given, whose classes are these."""
    predictions = root / "predictions"
    shutil.rmtree(predictions, ignore_errors=True)
    for name, folder in (("challenger", "new"), ("champion", champion)):
        if folder:
            shutil.copytree(root / folder, predictions / name)
    known = {"comparable": not reason, "reason": reason, "classes": classes} if champion or reason else {}
    lines(root / "known/champion.json", [known])
    evaluate(settings_file, predictions, root / "labels", root / "out", champion=root / "known")
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


def test_the_evaluation_names_the_tuning_job_and_what_it_chose(answered, settings_file, monkeypatch):
    monkeypatch.setenv("TUNING_JOB", "shop-0123456789ab")
    monkeypatch.setenv("TUNING_HYPERPARAMETERS", '{"wd": "0.01"}')
    expected = {"job": "shop-0123456789ab", "hyperparameters": {"wd": "0.01"}}
    assert evaluated(answered, settings_file)["tuning"] == expected


def test_the_comparison_is_paired_and_positive_when_the_challenger_is_better(answered, settings_file):
    found = evaluated(answered, settings_file, "old")["comparison"]
    assert (found["metric"], found["confidence"]) == ("auc", 0.95)
    assert found["difference"] == pytest.approx(found["challenger"] - found["champion"])
    assert 0 < found["interval"][0] < found["difference"] < found["interval"][1]


def ranked(root, name, scores, classes=2):
    """The answers of a folder: a score for each row, called positive from 0.5; or a list of scores, the largest called."""
    called = [int(score >= 0.5) if classes == 2 else score.index(max(score)) for score in scores]
    answers = [{"score": score, "predicted_label": label} for score, label in zip(scores, called, strict=True)]
    lines(root / name / "holdout.jsonl.out", answers)


def test_a_champion_of_the_other_positive_class_is_measured_by_todays(tmp_path, settings_file):
    """Of the pairs of yes and no the champion puts 12 of 16 in order; 4 if its scores were those of yes."""
    labels = [1, 1, 1, 0, 0, 0, 0, 1]
    lines(tmp_path / "labels/labels.jsonl", [{"row": f"{n:016x}", "label": label} for n, label in enumerate(labels)])
    ranked(tmp_path, "new", [0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.75, 0.6])  # yes; 2 of 16 pairs are not in order
    no = [0.1, 0.2, 0.8, 0.9, 0.7, 0.6, 0.3, 0.4]
    for scores in (no, [score * 1e-20 for score in no], [8 * score - 4 for score in no]):
        ranked(tmp_path, "old", scores)
        found = evaluated(tmp_path, settings_file, "old", ("yes", "no"))
        comparison = found["comparison"]
        assert {key: comparison[key] for key in ("metric", "challenger", "champion", "difference")} == {
            "metric": "auc",
            "challenger": 14 / 16,
            "champion": 12 / 16,
            "difference": 2 / 16,
        }
        assert found["decision"]["comparable"] is True
    ranked(tmp_path, "turned", [1 - score for score in no])
    assert evaluated(tmp_path, settings_file, "turned")["comparison"] == comparison


def test_a_model_against_itself_in_other_words_differs_by_nothing(answered, settings_file):
    """The non-inferiority test sees the same model, however its positive class is called."""
    answers = [json.loads(line) for line in (answered / "new/holdout.jsonl.out").read_text().splitlines()]
    turned = [{"score": 1 - each["score"], "predicted_label": 1 - each["predicted_label"]} for each in answers]
    lines(answered / "turned/holdout.jsonl.out", turned)
    found = evaluated(answered, settings_file, "turned", ("yes", "no"))
    assert (found["comparison"]["difference"], found["comparison"]["interval"]) == (0, [0, 0])
    gate = "passes every threshold of the quality gate and is not worse than the champion by auc"
    assert found["decision"] == {"accepted": True, "reason": gate, "comparable": True, "status": "Approved"}


def test_a_champion_whose_classes_have_another_order_is_read_by_their_names(tmp_path, settings_file):
    data = {"predictor_type": "multiclass_classifier", "labels": ["a", "b", "c"]}
    settings = json.loads(settings_file.read_text())
    settings["data"] |= data
    settings["gate"]["minimum"] = {"accuracy": 0.5}
    settings_file.write_text(json.dumps(settings))
    labels = [0, 0, 1, 1, 2, 2]
    lines(tmp_path / "labels/labels.jsonl", [{"row": f"{n:016x}", "label": label} for n, label in enumerate(labels)])
    one = {"a": [0.7, 0.2, 0.1], "b": [0.1, 0.8, 0.1], "c": [0.2, 0.2, 0.6]}
    ranked(tmp_path, "new", [one[name] for name in "aabbca"], 3)
    # The champion's classes are c, a, b; it says a a b c c a: 4 of 6 are right. By number it would say b b c a a b.
    said = [[one[name]["abc".index(own)] for own in "cab"] for name in "aabcca"]
    ranked(tmp_path, "old", said, 3)
    found = evaluated(tmp_path, settings_file, "old", ["c", "a", "b"])
    assert {key: found["comparison"][key] for key in ("metric", "challenger", "champion")} == {
        "metric": "accuracy",
        "challenger": 5 / 6,
        "champion": 4 / 6,
    }


@pytest.mark.parametrize("classes", [("no", "yes", "later"), ("no",)], ids=["removed", "added"])
def test_a_champion_of_other_classes_leaves_the_decision_to_the_thresholds(answered, settings_file, classes):
    reason = f"its classes are {', '.join(classes)}"
    without = evaluated(answered, settings_file)
    found = evaluated(answered, settings_file, None, classes, reason)
    assert found.pop("decision") == {
        "accepted": True,
        "reason": f"passes every threshold of the quality gate; the champion is not comparable: {reason}",
        "comparable": False,
        "status": "Approved",
    }
    assert found.pop("champion") == {"comparable": False, "reason": reason, "classes": list(classes)}
    del without["decision"]
    assert found == without


def test_what_preprocessing_says_of_a_champion_counts_for_nothing_if_nothing_is_live(
    answered, settings_file, monkeypatch
):
    monkeypatch.setenv("CHAMPION", "none")
    found = evaluated(answered, settings_file, "old")
    assert found["decision"]["reason"] == "passes every threshold of the quality gate; there is no champion"
    assert {"champion", "comparison"} & found.keys() == set()


def test_a_comparable_champion_without_answers_is_an_error(answered, settings_file):
    shutil.rmtree(answered / "old")
    (answered / "old").mkdir()
    with pytest.raises(JobError, match=r"champion: no file like \*holdout\*\.out"):
        evaluated(answered, settings_file, "old")


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


def test_a_gate_on_a_metric_the_scores_do_not_give_is_refused(answered, settings_file):
    document = json.loads(settings_file.read_text())
    document["gate"] = {"minimum": {}, "maximum": {"log_loss": 1}, "margin": 0.01, "confidence": 0.95}
    settings_file.write_text(json.dumps(document))
    margins = [{"score": 4 * (n % 2) - 2.0, "predicted_label": n % 2} for n in range(200)]
    lines(answered / "new/holdout.jsonl.out", margins)
    with pytest.raises(JobError, match="the gate asks for log_loss, which these scores do not give"):
        evaluated(answered, settings_file)


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


def golden(root, settings_file, answers, rows, share=1.0, **data):
    """Give the settings golden rows, and the challenger answers to them."""
    document = json.loads(settings_file.read_text())
    document["endpoint"] = {"golden": [{"row": "1.0,2.0", **row} for row in rows], "golden_share": share}
    document["data"] |= data
    settings_file.write_text(json.dumps(document))
    lines(root / "new/golden.jsonl.out", answers)


RIGHT, WRONG_ANSWER = {"score": 0.9, "predicted_label": 1}, {"score": 0.1, "predicted_label": 0.0}


def test_a_golden_row_that_the_challenger_answers_wrongly_rejects_it(answered, settings_file):
    without = evaluated(answered, settings_file, "old")
    assert without["decision"]["accepted"] is True
    golden(answered, settings_file, [RIGHT, WRONG_ANSWER], [{"label": "yes"}, {"label": "yes"}])
    found = evaluated(answered, settings_file, "old")
    wrong = "golden row 2: expected yes, got no"
    assert found["golden"] == {"rows": 2, "share": 0.5, "wrong": wrong}
    assert found["decision"] == {"accepted": False, "reason": wrong, "comparable": True}


def test_golden_rows_that_are_right_change_no_figure(answered, settings_file):
    """Neither the metrics nor the comparison count them, and no smoke row is one of them."""
    lines(answered / "holdout/holdout.jsonl", [{"features": [n, 0.5]} for n in range(200)])
    shutil.copytree(answered / "new", answered / "predictions/challenger")
    evaluate(settings_file, answered / "predictions", answered / "labels", answered / "out", answered / "holdout")
    smoke = (answered / "out/smoke.json").read_text()
    without = evaluated(answered, settings_file, "old")
    golden(answered, settings_file, [RIGHT, RIGHT], [{"label": "yes"}, {"at_least": 0.5}])
    lines(answered / "old/golden.jsonl.out", [WRONG_ANSWER] * 2)
    found = evaluated(answered, settings_file, "old")
    assert found.pop("golden") == {"rows": 2, "share": 1.0, "wrong": ""}
    assert found == without
    evaluate(settings_file, answered / "predictions", answered / "labels", answered / "out", answered / "holdout")
    assert (answered / "out/smoke.json").read_text() == smoke


def test_a_wrong_golden_row_is_shown_if_the_share_allows_it(answered, settings_file):
    golden(answered, settings_file, [RIGHT, WRONG_ANSWER], [{"label": "yes"}, {"at_least": 0.5}], share=0.5)
    found = evaluated(answered, settings_file)
    wrong = "golden row 2: expected a score of at least 0.5, got 0.1"
    assert found["golden"] == {"rows": 2, "share": 0.5, "wrong": wrong}
    assert found["decision"]["accepted"] is True


def test_a_golden_row_of_several_classes_demands_a_label(tmp_path, settings_file):
    lines(tmp_path / "labels/labels.jsonl", [{"row": f"{n:016x}", "label": n % 3} for n in range(6)])
    ranked(tmp_path, "new", [[0.8 - 0.1 * (n % 3 != k) * 7 for k in range(3)] for n in range(6)], 3)
    data = {"predictor_type": "multiclass_classifier", "labels": ["a", "b", "c"]}
    answers = [{"score": [0.1, 0.2, 0.7], "predicted_label": 2}, {"score": [0.1, 0.8, 0.1], "predicted_label": 1}]
    golden(tmp_path, settings_file, answers, [{"label": "c"}, {"label": "c"}], **data)
    document = json.loads(settings_file.read_text())
    document["gate"]["minimum"] = {"accuracy": 0.5}
    settings_file.write_text(json.dumps(document))
    found = evaluated(tmp_path, settings_file)
    assert found["golden"] == {"rows": 2, "share": 0.5, "wrong": "golden row 2: expected c, got b"}
    assert found["decision"]["accepted"] is False


def test_a_golden_row_of_a_regression_demands_a_value_or_bounds(tmp_path, settings_file):
    lines(tmp_path / "labels/labels.jsonl", [{"row": f"{n:016x}", "label": n} for n in range(8)])
    lines(tmp_path / "new/holdout.jsonl.out", [{"score": n + 0.1} for n in range(8)])
    data = {"predictor_type": "regressor", "positive_label": None, "negative_label": None}
    rows = [{"value": 150.0, "tolerance": 1.5}, {"at_most": 100.0}]
    golden(tmp_path, settings_file, [{"score": 151.0}, {"score": 101.0}], rows, **data)
    document = json.loads(settings_file.read_text())
    document["gate"] |= {"minimum": {}, "maximum": {"rmse": 1.0}}
    settings_file.write_text(json.dumps(document))
    wrong = "golden row 2: expected a score of at most 100.0, got 101.0"
    assert evaluated(tmp_path, settings_file)["decision"] == {"accepted": False, "reason": wrong}


@pytest.mark.parametrize("answers", [[], [RIGHT], [RIGHT] * 3])
def test_golden_rows_without_an_answer_each_are_an_error(answered, settings_file, answers):
    golden(answered, settings_file, answers, [{"label": "yes"}] * 2)
    with pytest.raises(JobError, match=rf"challenger: {len(answers)} answers for 2 golden rows"):
        evaluated(answered, settings_file)
