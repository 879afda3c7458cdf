"""How rows count: equal ones, repeated uploads, corrections, contradictions; and what the model makes of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from local_aws.linear_learner import artifact
from local_aws.linear_learner import train as linear_learner

from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.shared.errors import JobError
from tests.pipeline.jobs.conftest import write_settings

ROWS = Path(__file__).parent / "rows"
BINARY = {"target": "y", "features": ["a", "b"], "positive_label": "1", "negative_label": "0", "id_columns": []}


def run(root: Path, texts: dict[str, str], listing: list[str] | None = None, memory: float = 512, **data: object):
    """The baseline of files by name; `listing` has their names in the order of upload."""
    for name, text in texts.items():
        file = root / "raw" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    settings = write_settings(root, memory, **data)
    objects = [
        {"key": f"data/raw/{name}", "modified": f"2026-01-{day:02}"} for day, name in enumerate(listing or [], 1)
    ]
    (root / "listing.json").write_text(json.dumps(objects))
    preprocess(settings, root / "raw", root / "out", None, None if listing is None else root / "listing.json")
    return json.loads((root / "out/baseline/baseline.json").read_text())


def written(root: Path, part: str) -> np.ndarray:
    files = sorted((root / "out" / part).iterdir())
    return np.concatenate([np.loadtxt(file, delimiter=",", ndmin=2) for file in files])


def test_a_regression_on_few_distinct_inputs_learns_the_slope_of_all_rows(tmp_path):
    data = {"predictor_type": "regressor", "target": "rating", "features": ["x"], "id_columns": []}
    found = run(tmp_path, {"ratings.csv": (ROWS / "ratings.csv").read_text()}, **data)
    assert sum(found["rows"][part] for part in ("train", "validation", "holdout")) == 5000
    x, y = written(tmp_path, "train").T[::-1]
    assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(0, abs=0.05), "copies lie side by side"
    folder = tmp_path / "ml/input"
    (folder / "data").mkdir(parents=True)
    (folder / "config").mkdir()
    for part in ("train", "validation"):
        (folder / "data" / part).symlink_to(tmp_path / "out" / part)
    channels = {part: {"ContentType": "text/csv"} for part in ("train", "validation")}
    (folder / "config/inputdataconfig.json").write_text(json.dumps(channels))
    hyperparameters = {"predictor_type": "regressor", "mini_batch_size": "20", "epochs": "20"}
    (folder / "config/hyperparameters.json").write_text(json.dumps(hyperparameters))
    (folder / "config/resourceconfig.json").write_text("{}")
    assert linear_learner.run(folder.parent) == 0
    model = artifact.read(folder.parent / "model")
    assert model.weights.ravel()[0] == pytest.approx(0.040, abs=0.003)
    assert np.polyfit(x, y, 1)[0] == pytest.approx(0.040, abs=0.003)


def test_each_part_has_the_prevalence_of_the_data(tmp_path):
    found = run(tmp_path, {"prevalence.csv": (ROWS / "prevalence.csv").read_text()}, **BINARY)
    assert found["labels"] == {"0": 1000, "1": 60}
    shares = {part: by["1"] / sum(by.values()) for part, by in found["parts"].items()}
    assert shares == {part: pytest.approx(0.057, abs=0.01) for part in ("train", "validation", "holdout")}
    for part in ("train", "validation"):
        assert written(tmp_path, part)[:, 0].mean() == shares[part]
    labels = [json.loads(line)["label"] for line in text_of(tmp_path, "labels").splitlines()]
    assert np.mean(labels) == shares["holdout"]


def rare_rows(first: int, last: int) -> str:
    """Rows of which one in 16 is positive; a feature numbers them."""
    rows = (f"{number},{number * 7 % 13},{int(number % 16 == 0)}" for number in range(first, last))
    return "\n".join(["a,b,y", *rows])


@pytest.mark.parametrize("salt", [str(number) for number in range(10)])
@pytest.mark.parametrize("memory", [512, 0.016])
def test_each_part_has_its_share_of_a_rare_class_whatever_the_hashes(tmp_path, salt, memory):
    split = {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": salt}
    texts = {"a.csv": rare_rows(0, 640), "b.csv": rare_rows(640, 960)}
    parts = run(tmp_path, texts, None, memory, **BINARY, split=split)["parts"]
    assert {part: by["1"] for part, by in parts.items()} == {
        part: pytest.approx(60 * split[part], abs=2) for part in parts
    }


@pytest.mark.parametrize("salt", [str(number) for number in range(5)])
@pytest.mark.parametrize("memory", [512, 0.016])
@pytest.mark.parametrize("id_columns", [[], ["a"]])
def test_repeated_rows_of_a_file_give_each_part_its_share_of_a_rare_class(tmp_path, salt, memory, id_columns):
    split = {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": salt}
    common = [f"{number},{number * 7 % 13},0" for number in range(900)]
    # Ten copies each of six rows, or rows of a common class that the file corrects.
    rare = [f"{number},5,1" for number in (range(60) if id_columns else [*range(1000, 1006)] * 10)]
    text = "\n".join(["a,b,y", *common, *rare])
    data = {**BINARY, "id_columns": id_columns, "features": ["b"] if id_columns else ["a", "b"]}
    parts = run(tmp_path, {"a.csv": text}, None, memory, **data, split=split)["parts"]
    assert {part: by["1"] for part, by in parts.items()} == {
        part: pytest.approx(60 * split[part], abs=2) for part in parts
    }


@pytest.mark.parametrize("id_columns", [[], ["a"]])
def test_more_files_and_corrections_move_no_row_of_a_rare_class(tmp_path, id_columns):
    def parts(name: str, texts: dict[str, str]) -> dict[str, set[float]]:
        (tmp_path / name).mkdir()
        features, ignored = (["b", "c"], []) if id_columns else (["c", "b"], ["a"])
        run(
            tmp_path / name,
            texts,
            **{**BINARY, "features": features, "id_columns": id_columns, "ignored_columns": ignored},
        )
        trained = {part: written(tmp_path / name, part)[:, 1 + features.index("c")] for part in ("train", "validation")}
        held = [json.loads(line)["features"] for line in text_of(tmp_path / name, "holdout").splitlines()]
        return {part: set(values.tolist()) for part, values in trained.items()} | {
            "holdout": {row[features.index("c")] for row in held}
        }

    def table(first: int, last: int, positive: int = 16) -> str:
        rows = (f"n{n},{n * 7 % 13},{n},{int(n % positive == 0)}" for n in range(first, last))
        return "\n".join(["a,b,c,y", *rows])

    before = parts("before", {"1.csv": table(0, 400)})
    corrected = table(0, 64, 32 if id_columns else 16)
    after = parts("after", {"1.csv": table(0, 400), "2.csv": table(400, 700), "3.csv": corrected})
    for part, rows in before.items():
        assert rows == {row for row in after[part] if row < 400}


def test_ids_that_name_no_row_are_pointed_out(tmp_path):
    rows = [f"Jose,{n},{n % 7},{n % 2}" for n in range(60)]
    with pytest.raises(JobError, match=r"59 of 60 rows have the same n as a later row.*data\.ignored_columns"):
        run(tmp_path, {"a.csv": "\n".join(["n,a,b,y", *rows])}, **{**BINARY, "id_columns": ["n"]})


def test_contradicting_labels_are_data_and_are_counted(tmp_path):
    text = (ROWS / "clash.csv").read_text()
    found = run(tmp_path, {"clash.csv": text}, **{**BINARY, "features": ["x", "z"]})
    rows = [line.rsplit(",", 1) for line in text.splitlines()[1:]]
    by_features = {features: {label for other, label in rows if other == features} for features, _ in rows}
    assert found["rows"]["contradicting"] == sum(len(by_features[features]) > 1 for features, _ in rows) == 400
    assert sum(found["labels"].values()) == 400


GOLDEN = {**BINARY, "positive_label": "yes", "negative_label": "no"}


@pytest.mark.parametrize("memory", [512, 0.016])
@pytest.mark.parametrize(("listing", "yes"), [(["1.csv", "2.csv"], 0), (["2.csv", "1.csv"], 1), (None, 0)])
def test_with_ids_the_newest_upload_of_a_row_replaces_the_others(tmp_path, *, listing, yes, memory):
    uploads = {f"{n}.csv": (ROWS / f"corrected_{n}.csv").read_text().splitlines() for n in (1, 2)}
    texts = {
        name: "\n".join(["id," + lines[0], *(f"{number},{line}" for number, line in enumerate(lines[1:]))])
        for name, lines in uploads.items()
    }
    found = run(tmp_path, texts, listing, memory, **{**GOLDEN, "id_columns": ["id"]})
    rows = found["rows"]
    assert (rows["read"], rows["repeated"], rows["replaced"], rows["contradicting"]) == (800, 399, 1, 0)
    first = sum(line.endswith("yes") for line in uploads["2.csv"])
    assert found["labels"]["yes"] == first + yes


def test_within_a_file_the_later_line_of_an_id_stays(tmp_path, table):
    later = [line.rsplit(",", 1)[0] + ",yes" for line in table[1:31]]
    found = run(tmp_path, {"a.csv": "\n".join([*table, *later])})
    assert (found["rows"]["repeated"], found["rows"]["replaced"], found["labels"]) == (15, 15, {"no": 15, "yes": 45})


def test_without_ids_a_correction_is_one_more_row_that_contradicts(tmp_path):
    texts = {f"{n}.csv": (ROWS / f"corrected_{n}.csv").read_text() for n in (1, 2)}
    rows = run(tmp_path, texts, **GOLDEN)["rows"]
    assert (rows["read"], rows["repeated"], rows["replaced"], rows["contradicting"]) == (800, 399, 0, 2)


@pytest.mark.parametrize("memory", [512, 0.004])
def test_equal_rows_count_as_in_the_file_that_has_them_most(tmp_path, table, memory):
    rows = [line.split(",", 1)[1] for line in table]
    texts: dict = {"a.csv": rows + rows[1:3] * 2, "b/b.csv": [rows[0]] + rows[1:2] * 5 + rows[5:7], "c.csv": rows[:2]}
    split = {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": "2"}
    texts = {name: "\n".join(lines) for name, lines in texts.items()}
    found = run(tmp_path, texts, None, memory, id_columns=[], split=split)
    kept = [float(rows[n].split(",")[0]) for n in (*range(1, 61), 1, 1, 1, 1, 2, 2)]
    holdout = [json.loads(line)["features"][0] for line in text_of(tmp_path, "holdout").splitlines()]
    ages = [*written(tmp_path, "train")[:, 1], *written(tmp_path, "validation")[:, 1], *holdout]
    assert sorted(ages) == sorted(kept)
    assert found["rows"]["repeated"] == found["rows"]["read"] - len(kept) == 72 - 66


def text_of(root: Path, folder: str) -> str:
    return "".join(file.read_text() for file in sorted((root / "out" / folder).iterdir()))


def test_a_class_too_small_for_a_part_says_how_many_rows_are_enough(tmp_path, table):
    rare = [line for line in table[1:] if line.endswith("no")] + [table[2], table[4], table[6]]
    message = r'for "yes", at least 1 are wanted: add rows \(21 nearly always suffice\), enlarge data\.split\.'
    with pytest.raises(JobError, match=message):
        run(tmp_path, {"a.csv": "\n".join([table[0], *rare])})


def test_a_listing_that_cannot_be_read_is_named(tmp_path, shop):
    (tmp_path / "listing.json").write_text('[{"key": "raw/shop.csv"}]')
    with pytest.raises(JobError, match=r"listing\.json: no list of objects with key and modified"):
        preprocess(write_settings(tmp_path), shop, tmp_path / "out", None, tmp_path)
