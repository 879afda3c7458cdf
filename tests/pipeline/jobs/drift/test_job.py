"""Drift as the job measures it: what is simulated here is seeded, so the figures are the same each time."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.drift.data_capture import CapturedRows, read_data_capture
from pipeline.jobs.drift.job import compare, count, drift, encoder_of, summary
from pipeline.jobs.drift.psi import psi, share_limit
from pipeline.jobs.shared.documents import distribution
from pipeline.jobs.shared.encoder import MISSING
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.signature import signature_of
from tests.pipeline.jobs.conftest import write_settings
from tests.pipeline.jobs.drift.capture import AGES, KINDS, raw_rows, record, write_inputs

WDBC = Path(__file__).parents[4] / "examples/breast_cancer/wdbc.csv"

WINDOWS = 100


@pytest.fixture(scope="module")
def wdbc():
    return np.loadtxt(WDBC, delimiter=",", skiprows=1, usecols=range(2, 32))


@pytest.fixture
def judged(settings):
    """The comparison of a window that comes in two batches with a baseline of the data `known`."""

    def judge(known, window):
        names = [f"f{number}" for number in range(known.shape[1])]
        reference = {"features": dict(zip(names, map(distribution, known.T), strict=True))}
        wanted = dataclasses.replace(settings, features=names)
        batches = []
        for rows in np.array_split(window, 2):
            none, keys, times = np.full(len(rows), math.nan), np.full(len(rows), b""), np.full(len(rows), "2026")
            batch = CapturedRows(rows, none, none, keys, times, len(rows), 0)
            batches.append(count(batch, "2026", reference, {}, wanted))
        return compare(batches[0] + batches[1], reference, {}, wanted)

    return judge


@pytest.mark.full
def test_a_hundred_windows_of_the_training_distribution_raise_one_false_alarm_at_most(wdbc, judged):
    generator = np.random.default_rng(1)
    windows = (wdbc[generator.integers(0, len(wdbc), 1000)] for _ in range(WINDOWS))
    alarms = sum(judged(wdbc, window)["verdict"] == "drift" for window in windows)
    print(f"false alarms in {WINDOWS} windows of 1000 requests: {alarms}")
    assert alarms <= 1


@pytest.mark.full
@pytest.mark.parametrize("half", [0.5, -0.5])
def test_a_shift_of_half_a_standard_deviation_in_one_feature_is_caught_in_the_first_window(wdbc, judged, half):
    generator, caught = np.random.default_rng(2), 0
    for number in range(WINDOWS):
        rows, feature = wdbc[generator.integers(0, len(wdbc), 1000)], number % wdbc.shape[1]
        rows[:, feature] += half * wdbc[:, feature].std(ddof=1)
        found = judged(wdbc, rows)
        caught += found["verdict"] == "drift" and any(f"f{feature}:" in breach for breach in found["breaches"])
    print(f"caught of {WINDOWS} shifts by {half} standard deviations: {caught}")
    assert caught >= 95


@pytest.mark.full
def test_normal_data_is_judged_as_well_by_samples_it_was_not_drawn_from(judged):
    generator = np.random.default_rng(3)
    alarms = caught = 0
    for _ in range(WINDOWS):
        known, rows = generator.normal(size=(569, 30)), generator.normal(size=(1000, 30))
        alarms += judged(known, rows)["verdict"] == "drift"
        rows[:, 7] += 0.5
        caught += judged(known, rows)["verdict"] == "drift"
    print(f"fresh normal samples: {alarms} false alarms, {caught} caught")
    assert alarms <= 1
    assert caught >= 95


def test_fifty_requests_are_not_enough_data_however_far_they_moved(wdbc, judged):
    counted = {"rows": 50, "requests": 50, "unreadable": 0, "wanted": 200}
    nothing = {"breaches": [], "features": {}, "predictions": {}}
    assert judged(wdbc, wdbc[:50] + 1e6) == {**counted, **nothing, "verdict": "not enough data"}


def test_a_window_begins_at_its_time_and_has_enough_rows_when_it_has_as_many_as_are_wanted(settings):
    wanted = dataclasses.replace(settings, features=("f0",))
    reference = {"features": {"f0": distribution(np.arange(1000.0))}}
    times = np.array(["2025-12-31T23:59:59Z"] * 100 + ["2026-01-01T00:00:00Z"] * 200)

    def rows_and_verdict(since):
        none, values = np.full(300, math.nan), np.linspace(0, 999, 300)
        batch = CapturedRows(values[:, None], none, none, np.full(300, b""), times, 300, 0)
        found = compare(count(batch, since, reference, {}, wanted), reference, {}, wanted)
        return found["rows"], found["verdict"]

    assert rows_and_verdict("2026-01-01T00:00:00Z")[0] == 200
    assert rows_and_verdict("2026-01-01T00:00:00Z")[1] != "not enough data"
    assert rows_and_verdict("2025-12-31T00:00:00Z") == (300, "none")
    assert rows_and_verdict("2026-01-02T00:00:00Z") == (0, "not enough data")


def test_missing_values_and_values_out_of_range_are_breaches_of_their_own(wdbc, judged):
    rows = wdbc[np.random.default_rng(4).integers(0, len(wdbc), 1000)]
    rows[:100, 0] = math.nan
    rows[:100, 1] = 1e9
    breaches = judged(wdbc, rows)["breaches"]
    assert "f0: 0.1 of the values are missing, above 0.05" in breaches
    assert "f1: 0.1 of the values are outside the range of the training data, above 0.05" in breaches


def window_of(folder, kinds, rows):
    """The drift of raw rows in requests of 50, whose records are read as data capture writes them."""
    texts = ["\n".join(rows[start : start + 50]) for start in range(0, len(rows), 50)]
    answers = [[(0.9, 1)] * len(text.splitlines()) for text in texts]
    records = [record([[text]], answer) for text, answer in zip(texts, answers, strict=True)]
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_text("\n".join(records))
    reference = {"features": KINDS}
    (batch,) = read_data_capture(folder, kinds, encoder_of(reference, kinds))
    return compare(count(batch, "2026", reference, {}, kinds), reference, {}, kinds)


def test_other_answers_than_those_of_the_holdout_are_breaches_of_their_own(wdbc, settings):
    """The rows are those of training, so nothing but the answers can have moved."""
    names = tuple(f"f{number}" for number in range(wdbc.shape[1]))
    reference = {"features": dict(zip(names, map(distribution, wdbc.T), strict=True))}
    wanted = dataclasses.replace(settings, features=names)
    profile = {"score": distribution(np.linspace(0, 1, 569)), "labels": {"no": 350, "yes": 219}}
    keys, times = np.full(569, b""), np.full(569, "2026")

    def breaches(scores, positives):
        batch = CapturedRows(wdbc, scores, (np.arange(569) < positives).astype(float), keys, times, 569, 0)
        return compare(count(batch, "2026", reference, profile, wanted), reference, profile, wanted)["breaches"]

    usual, moved = np.linspace(0, 1, 569), np.linspace(0.4, 1, 569)
    index = psi(np.array([350.0, 219]), np.array([69.0, 500]))
    assert breaches(usual, 219) == []
    assert breaches(usual, 500) == [f"labels: PSI {index:.3g} is above 0.2"]
    assert [breach[:16] for breach in breaches(moved, 219)] == ["predictions: PSI", "predictions: KS "]


def test_rows_like_the_training_data_are_no_drift_of_any_kind(tmp_path, kinds):
    ports = ["Cherbourg"] * 196 + ['"New York, NY"'] * 3 + ["S"] * 801
    alone = ["false"] * 450 + [""] * 100 + ["true"] * 450
    found = window_of(tmp_path, kinds, raw_rows(AGES, ports, alone))
    assert found == {
        **{"rows": 1000, "requests": 20, "unreadable": 0, "verdict": "none", "breaches": [], "predictions": {}},
        "features": {
            "age": {
                **{"psi": 0.0, "ks": found["features"]["age"]["ks"], "reasons": []},
                **{"missing": pytest.approx(0.2), "out_of_range": 0.0},
            },
            "port": {"psi": 0.0, "counts": KINDS["port"]["levels"], "reasons": [], "missing": 0.0, "out_of_range": 0.0},
            "alone": {
                **{"psi": 0.0, "counts": {"false": 450, "true": 450}, "reasons": []},
                **{"missing": pytest.approx(0.1), "out_of_range": 0.0},
            },
        },
    }
    assert found["features"]["age"]["ks"] < 0.01


def test_levels_that_moved_or_are_new_and_other_shares_of_missing_values_are_breaches(tmp_path, kinds):
    """New York is too rare in training for a column of its own: the index counts it with the unknown Oslo."""
    ports = ["Cherbourg"] * 500 + [" Oslo"] * 99 + ['"a,  b\x1b"'] + ['"New York, NY"'] * 10 + ["S"] * 390
    alone = ["no"] * 100 + ["1"] * 900
    found = window_of(tmp_path, kinds, raw_rows(np.full(1000, 40.0), ports, alone))
    moved = psi(np.array([196.0, 801, 3]), np.array([500.0, 390, 110]))
    turned = psi(np.array([450.0, 450, 100]), np.array([100.0, 900, 0]))
    # Two distances of a number, one of levels, one more where training values are missing, and three of the answers.
    chance = {share: share_limit(share, 1000, 1000, 0.001 / (3 + 1 + 2 + 3)) for share in (0.1, 0.2)}
    drifted = found["features"]
    assert drifted["port"] == {
        "psi": pytest.approx(moved),
        "counts": {"Cherbourg": 500, "New York, NY": 10, "S": 390},
        "missing": 0.0,
        "out_of_range": 0.1,
        "unknown": {"Oslo": 99, "a, b\x1b": 1},
        "reasons": [
            f"PSI {moved:.3g} is above 0.2",
            "0.1 of the values are levels that the training data lack, above 0.05",
        ],
    }
    assert drifted["alone"] == {
        "psi": pytest.approx(turned),
        "counts": {"false": 100, "true": 900},
        "missing": 0.0,
        "out_of_range": 0.0,
        "reasons": [
            f"PSI {turned:.3g} is above 0.2",
            f"0 of the values are missing, 0.1 in the training data, more than {chance[0.1]:.3g} apart",
        ],
    }
    filled = f"0 of the values are missing, 0.2 in the training data, more than {chance[0.2]:.3g} apart"
    assert filled in drifted["age"]["reasons"]
    assert "Oslo" not in json.dumps(summary({**found, "quality": {"metrics": {}}}))
    assert found["breaches"] == [f"{name}: {reason}" for name in KINDS for reason in drifted[name]["reasons"]]


@pytest.mark.full
def test_a_hundred_windows_of_levels_raise_one_false_alarm_at_most_and_a_shift_is_caught(kinds):
    generator, alarms, caught = np.random.default_rng(8), 0, 0
    shares = np.array([0.5, 0.3, 0.1, 0.05, 0.04, 0.008, 0.002])
    names = ("port", "class", "line")
    wanted = dataclasses.replace(kinds, features=names, kinds=("categorical",) * 3, imputed=(True,) * 3)

    def judged(known, window):
        levels = [dict(zip("abcdef", column[:6], strict=True)) for column in known.tolist()]
        missing = known[:, 6] / known.sum(axis=1)
        known_of = zip(names, levels, missing, strict=True)
        features = {name: {"kind": "categorical", "levels": of, "missing": share} for name, of, share in known_of}
        reference = {"features": features}
        places = np.array([np.repeat([0, 1, 2, 3, 4, 5, MISSING], row) for row in window]).T.astype(float)
        none, keys, times = np.full(1000, math.nan), np.full(1000, b""), np.full(1000, "2026")
        batch = CapturedRows(places, none, none, keys, times, 1000, 0)
        return compare(count(batch, "2026", reference, {}, wanted), reference, {}, wanted)["verdict"] == "drift"

    for _ in range(WINDOWS):
        known, window = generator.multinomial(1000, shares, 3), generator.multinomial(1000, shares, 3)
        alarms += judged(known, window)
        window[0] = generator.multinomial(1000, [0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02])
        caught += judged(known, window)
    print(f"levels: {alarms} false alarms in {WINDOWS} windows of 1000 requests, {caught} shifts caught")
    assert alarms <= 1
    assert caught >= 95


def test_a_window_of_another_models_features_is_refused(tmp_path, settings):
    folders = write_inputs(tmp_path, features=KINDS, profile={}, truth=[])
    (tmp_path / "capture").mkdir()
    with pytest.raises(JobError) as error:
        drift(write_settings(tmp_path), data_capture=tmp_path / "capture", **folders, output=tmp_path / "out")
    assert str(error.value) == (
        "the live model was trained with other features or kinds than the settings have: start a run with `ops retrain`,"
        " or deploy the settings of that model again"
    )


def test_rows_are_read_by_the_live_models_signature(tmp_path, settings, kinds):
    """The settings have other features than the live model by now; it got rows that were built by theirs, too."""
    folders = write_inputs(tmp_path, features=KINDS, profile={"labels": {"no": 1, "yes": 1}}, truth=[])
    (folders["window"] / "signature.json").write_text(signature_of(kinds).to_json())
    (tmp_path / "capture").mkdir()
    theirs, own = signature_of(settings).name, signature_of(kinds).name
    lines = [
        record([["S", "40.0", "true"]] * 100, [(0.9, 1)] * 100, f"{theirs}:id"),
        record([["40.0", "S", "true"]] * 300, [(0.9, 1)] * 300, f"{own}:id"),
    ]
    (tmp_path / "capture/a.jsonl").write_text("\n".join(lines))
    drift(write_settings(tmp_path), data_capture=tmp_path / "capture", **folders, output=tmp_path / "out")
    found = json.loads((tmp_path / "out/drift.json").read_text())
    assert (found["rows"], list(found["features"])) == (300, ["age", "port", "alone"])


def test_answers_that_break_the_gate_by_their_ground_truth_are_drift(settings_file, settings, tmp_path):
    (tmp_path / "data_capture").mkdir()
    rows = np.random.default_rng(6).normal(40, 10, (400, 2)).round(3).tolist()
    lines = [record([row], [(0.9, 1) if number % 2 else (0.1, 0)], f"id-{number}") for number, row in enumerate(rows)]
    (tmp_path / "data_capture/a.jsonl").write_text("\n".join(lines))
    features = dict(zip(settings.features, map(distribution, np.array(rows).T), strict=True))
    truth = [f"id-{number},1,{'no' if number % 2 else 'yes'}" for number in range(400)]
    folders = write_inputs(tmp_path, features=features, profile={}, truth=truth)
    drift(settings_file, data_capture=tmp_path / "data_capture", **folders, output=tmp_path / "out")
    found = json.loads((tmp_path / "out/drift.json").read_text())
    assert (found["verdict"], found["breaches"]) == ("drift", ["live auc 0 is below 0.7"])
    assert json.loads((tmp_path / "out/summary.json").read_text())["drifted"] is True


def test_ground_truth_is_joined_by_inference_id_and_row(settings_file, settings, tmp_path):
    """The job as a whole: 400 answers of which half were wrong, and the truth of them."""
    (tmp_path / "data_capture").mkdir()
    generator = np.random.default_rng(6)
    rows = [[round(age, 3), round(visits, 3)] for age, visits in generator.normal(40, 10, (400, 2))]
    lines = [record([row], [(0.9, 1) if number % 2 else (0.1, 0)], f"id-{number}") for number, row in enumerate(rows)]
    (tmp_path / "data_capture/a.jsonl").write_text("\n".join(lines))
    features = dict(zip(settings.features, map(distribution, np.array(rows).T), strict=True))
    truth = [f"id-{number},1,{' Yes' if number % 4 == 1 else '0'}" for number in range(400)]
    truth += ["id-x,1,yes", "id-1,1,perhaps"]
    folders = write_inputs(tmp_path, features=features, profile={"labels": {"no": 50, "yes": 50}}, truth=truth)
    drift(settings_file, data_capture=tmp_path / "data_capture", **folders, output=tmp_path / "out")
    found = json.loads((tmp_path / "out/drift.json").read_text())
    assert [found["quality"][key] for key in ("truths", "joined", "unknown")] == [401, 400, 1]
    assert found["quality"]["metrics"]["accuracy"] == 0.75
    assert found["quality"]["metrics"]["recall"] == 1
    assert (found["rows"], found["labels"]["counts"]) == (400, {"no": 200, "yes": 200})
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert written == summary(found)
    assert {"MetricName": "Live_accuracy", "Value": 0.75} in written["metrics"]


def test_the_metric_of_a_feature_names_it_in_printable_ascii_of_at_most_1024_characters_as_cloudwatch_takes_it():
    names = ["age", "größe", "gr\\xf6ße", "a\tb", "長" * 999]
    features = {name: {"psi": 5.0 - number, "missing": 0.0, "out_of_range": 0.0} for number, name in enumerate(names)}
    report = {"rows": 9, "unreadable": 0, "breaches": [], "verdict": "none", "features": features}
    written = summary({**report, "quality": {"metrics": {}}})["metrics"]
    found = [each["Dimensions"] for each in written if each["MetricName"] == "FeaturePSI"]
    values = ["age", "gr\\xf6\\xdfe", "gr\\\\xf6\\xdfe", "a\\tb", ("\\u9577" * 999)[:1024]]
    assert found == [[{"Name": "Feature", "Value": value}] for value in values]
