import csv
import dataclasses
import io
import json
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pipeline.jobs.preprocess.columns import LARGEST
from pipeline.jobs.preprocess.data_files import DataFiles
from pipeline.jobs.preprocess.job import preprocess, write_parts
from pipeline.jobs.shared.errors import JobError
from pipeline.jobs.shared.signature import signature_of
from tests.pipeline.jobs.conftest import read_rows, write_settings


def run(settings_file, folder, out):
    preprocess(settings_file, folder, out)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def whole(files, folder):
    """The files of a folder, one after another."""
    return b"".join(text for name, text in files.items() if name.startswith(folder + "/"))


def contents(files):
    """Every row as (part, features, label), from the files of a run."""
    rows = []
    for part in ("train", "validation"):
        for label, *features in csv.reader(io.StringIO(whole(files, part).decode())):
            rows.append((part, tuple(map(float, features)), float(label)))
    lines = zip(whole(files, "holdout").splitlines(), whole(files, "labels").splitlines(), strict=True)
    for features, label in lines:
        rows.append(("holdout", tuple(json.loads(features)["features"]), json.loads(label)["label"]))
    return rows


def test_the_parts_hold_every_row_once_and_the_baseline_counts_them(settings_file, folder, table, tmp_path):
    (folder / "shop.csv").write_text("\n".join([*table, table[5]]))
    files = run(settings_file, folder, tmp_path / "out")
    rows = contents(files)
    given_rows = [line.split(",") for line in table[1:]]
    assert sorted(row[1:] for row in rows) == sorted(
        ((float(age), float(visits)), int(label == "yes")) for _, age, visits, label in given_rows
    )
    counted = json.loads(files["baseline/baseline.json"])
    sizes = {part: sum(row[0] == part for row in rows) for part in ("train", "validation", "holdout")}
    none = {"refused": 0, "replaced": 0, "contradicting": 0}
    assert counted["rows"] == {"read": 61, "repeated": 1, **none, **sizes}
    assert counted["labels"] == {"no": 30, "yes": 30}
    by_class = Counter((part, "yes" if label else "no") for part, _, label in rows)
    assert counted["parts"] == {part: {name: by_class[part, name] for name in ("no", "yes")} for part in sizes}
    ages = np.array([float(row[1]) for row in given_rows])
    deciles = np.unique(np.quantile(ages, np.arange(1, 10) / 10, method="lower"))
    between = np.diff([0, *((ages <= edge).sum() for edge in deciles), 60])
    assert counted["features"]["age"] == {
        "count": 60,
        "mean": pytest.approx(ages.mean()),
        "standard_deviation": pytest.approx(ages.std(ddof=1)),
        "minimum": ages.min(),
        "maximum": ages.max(),
        "percentiles": pytest.approx(list(np.quantile(ages, np.arange(1, 100) / 100))),
        "bins": {"edges": pytest.approx(list(deciles)), "counts": [int(count) for count in between]},
    }


def test_labels_stand_line_by_line_beside_the_holdout_under_the_rows_key(settings_file, settings, shop, tmp_path):
    files = run(settings_file, shop, tmp_path / "out")
    features = [json.loads(line)["features"] for line in whole(files, "holdout").splitlines()]
    labels = [json.loads(line) for line in whole(files, "labels").splitlines()]
    rows, _ = read_rows(shop, settings)
    found = {tuple(row): f"{key:016x}" for row, key in zip(rows.features.tolist(), rows.keys, strict=True)}
    assert [label["row"] for label in labels] == [found[tuple(row)] for row in features]


def test_the_order_of_rows_files_and_columns_changes_nothing(settings_file, shop, table, tmp_path):
    once = run(settings_file, shop, tmp_path / "once")
    (shop / "shop.csv").unlink()
    header, *rows = [",".join(reversed(line.split(","))) for line in table]
    (shop / "z.csv").write_text("\n".join([header, *rows[40:]]))
    (shop / "a.csv").write_text("\r\n".join([header, *reversed(rows[:40])]))
    assert run(settings_file, shop, tmp_path / "again") == once


def test_rows_stay_in_their_part_when_more_rows_come(settings_file, shop, table, tmp_path):
    before = contents(run(settings_file, shop, tmp_path / "before"))
    (shop / "more.csv").write_text("\n".join([table[0], *(f"d{n},{n}.125,{n},no" for n in range(40))]))
    after = contents(run(settings_file, shop, tmp_path / "after"))
    assert set(before) < set(after)
    assert len(after) == 100


def test_another_salt_gives_another_split(settings, shop):
    one, other = (read_rows(shop, dataclasses.replace(settings, salt=salt))[0].keys for salt in "12")
    assert (one != other).all()


def test_features_in_another_order_or_ignored_move_no_row(shop, table, tmp_path):
    (shop / "shop.csv").write_text("\n".join(line.split(",", 1)[1] for line in table))
    parts = []
    for features, ignored in ((["age", "visits"], []), (["visits", "age"], []), (["visits"], ["age"])):
        data = {"id_columns": [], "features": features, "ignored_columns": ignored, "split": SPLIT}
        files = run(write_settings(tmp_path, **data), shop, tmp_path / str(len(parts)))
        visits = features.index("visits")
        parts.append({(part, row[visits], label) for part, row, label in contents(files)})
    assert parts[0] == parts[1] == parts[2]


SPLIT = {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": "2"}
number = st.floats(-LARGEST, LARGEST)


@profile(max_examples=40, deadline=None)
@given(st.lists(st.tuples(number, number, number), max_size=20), st.randoms(use_true_random=False))
def test_any_valid_rows_reappear_unchanged_in_one_part_whatever_their_order(table, extra, random):
    base = [(*map(float, line.split(",")[1:3]), float(index)) for index, line in enumerate(table[1:])]
    shares = {"train": 0.4, "validation": 0.3, "holdout": 0.3, "salt": "s"}
    data = {"predictor_type": "regressor", "target": "t", "id_columns": [], "features": ["a", "b"], "split": shares}
    results = []
    for shuffled in (False, True):
        rows = base + extra
        if shuffled:
            random.shuffle(rows)
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            settings = write_settings(root, training={"hyperparameters": {"mini_batch_size": 2}}, **data)
            (root / "raw").mkdir()
            (root / "raw" / "t.csv").write_text("a,b,t\n" + "".join(f"{a!r},{b!r},{t!r}\n" for a, b, t in rows))
            results.append(run(settings, root / "raw", root / "out"))
    assert results[0] == results[1]
    found = sorted((label, *features) for _, features, label in contents(results[0]))
    assert found == sorted((t, a, b) for a, b, t in base + extra)


def refused(settings, folder, lines):
    (folder / "shop.csv").write_text("\n".join(lines))
    with pytest.raises(JobError) as error, tempfile.TemporaryDirectory() as out:
        write_parts(DataFiles(folder, settings), Path(out), "")[0].finish(Path(out), settings)
    return str(error.value)


TOO_FEW = tomllib.loads(Path(__file__).with_name("too_few_rows.toml").read_text("utf-8"))


@pytest.mark.parametrize("case", TOO_FEW.values(), ids=TOO_FEW)
def test_too_few_rows_are_refused(settings, folder, table, case):
    wanted = dataclasses.replace(settings, **case["change"])
    assert refused(wanted, folder, table[: case["lines"]]) == case["message"]


def test_the_signature_is_written_under_its_name_also_into_a_folder_that_is_there(
    settings_file, shop, settings, tmp_path
):
    signature = signature_of(settings)
    (tmp_path / "out" / "signatures").mkdir(parents=True)
    preprocess(settings_file, shop, tmp_path / "out")
    (written,) = (tmp_path / "out" / "signatures").iterdir()
    assert (written.name, written.read_text()) == (f"{signature.name}.json", signature.to_json())


def test_golden_rows_lie_beside_the_holdout_in_its_format_and_are_counted_nowhere(settings_file, shop, tmp_path):
    without = run(settings_file, shop, tmp_path / "without")
    document = json.loads(settings_file.read_text())
    document["endpoint"]["golden"] = [{"row": "40.0,3.5", "label": "yes"}, {"row": "1e+22,-0.5", "label": "no"}]
    settings_file.write_text(json.dumps(document))
    files = run(settings_file, shop, tmp_path / "with")
    lines = files.pop("holdout/golden.jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [{"features": [40.0, 3.5]}, {"features": [1e22, -0.5]}]
    assert files == without


def test_golden_rows_of_an_encoded_table_are_raw_rows(shop, tmp_path):
    settings_file = write_settings(tmp_path, missing={"texts": [], "impute": ["visits"]})
    document = json.loads(settings_file.read_text())
    document["endpoint"]["golden"] = [{"row": "40.0,", "label": "yes"}]
    settings_file.write_text(json.dumps(document))
    assert run(settings_file, shop, tmp_path / "out")["holdout/golden.csv"] == b"40.0,\n"
