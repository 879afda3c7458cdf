"""Data larger than the memory, in other formats, with wrong rows, over several instances: the result stays the same."""

import csv
import gzip
import json
import random
import re
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from local_aws.linear_learner import recordio as local_recordio

from pipeline.jobs.preprocess import recordio
from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.preprocess.merge import merge
from pipeline.jobs.shared.errors import JobError
from tests.pipeline.jobs.conftest import HEADER, write_settings

TINY = 0.004
"""MB: a block is 32 bytes, and some ten rows are held."""


def parts(out: Path) -> dict[str, list[bytes]]:
    """Every line of the parts and the labels, by folder."""
    files = {name: sorted((out / name).iterdir()) for name in ("train", "validation", "holdout", "labels")}
    return {name: [line for file in of for line in file.read_bytes().splitlines()] for name, of in files.items()}


def baseline(out: Path) -> dict:
    return json.loads((out / "baseline/baseline.json").read_text())


def on_instances(settings: Path, shards: list[Path], run: Path, out: Path) -> None:
    """Preprocesses each folder as an instance of its own, and merges what they wrote over it, as S3 would."""
    hosts = [f"algo-{number}" for number in range(1, len(shards) + 1)]
    for host, shard in zip(hosts, shards, strict=True):
        config = run.parent / f"{host}.json"
        config.write_text(json.dumps({"current_host": host, "hosts": hosts}))
        preprocess(settings, shard, run, config)
    merge(settings, run, out)
    for file in run.rglob("*.*"):
        written = out / file.relative_to(run)
        if not written.exists():
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_bytes(file.read_bytes())


@profile(max_examples=15, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=60),
    st.integers(0, 1 << 32).map(random.Random),  # of an order such as "first no, then yes" a file has a rare class
)
def test_little_memory_and_several_instances_give_what_one_with_enough_does(table, by_id, extra, shuffled):
    lines = [*table[1:], *(f"e{number},{age},{age % 7},{'yes' if age % 2 else 'no'}" for number, age in extra)]
    shuffled.shuffle(lines)
    roles = {"id_columns": ["customer"]} if by_id else {"id_columns": [], "ignored_columns": ["customer"]}
    roles["split"] = {"train": 0.6, "validation": 0.2, "holdout": 0.2, "salt": "2"}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number, shard in enumerate(("a", "b", "c")):
            (root / "raw" / shard).mkdir(parents=True)
            if shard != "b" or len(extra) % 2:  # an instance may get no file
                some = lines[number::3] if len(extra) % 2 else lines[number // 2 :: 2]
                (root / "raw" / shard / f"{shard}.csv").write_text("\n".join([HEADER, *some, *some[: len(extra)]]))
        preprocess(write_settings(root, **roles), root / "raw", root / "one")
        tiny = write_settings(root, TINY, **roles)
        preprocess(tiny, root / "raw", root / "tiny")
        on_instances(tiny, [root / "raw" / shard for shard in "abc"], root / "run", root / "merged")
        assert parts(root / "tiny") == parts(root / "one")
        wanted = {folder: sorted(rows) for folder, rows in parts(root / "one").items()}
        assert {folder: sorted(rows) for folder, rows in parts(root / "merged").items()} == wanted
        one, tiny, merged = (baseline(root / out) for out in ("one", "tiny", "merged"))
        for found in (one, tiny, merged):
            # With little memory these are of a sample, and of values that change back only some changes are seen.
            found["rows"].pop("contradicting")
            found["rows"]["repeated"] += found["rows"].pop("replaced")
        for other in (tiny, merged):
            assert (other["rows"], other["parts"], other["labels"]) == (one["rows"], one["parts"], one["labels"])
            for feature, found in one["features"].items():
                # Over several instances the range is also that of rows that others replace.
                keys = ["count", "mean", "standard_deviation", *([] if by_id else ["minimum", "maximum"])]
                moments = {key: found[key] for key in keys}
                assert {key: other["features"][feature][key] for key in moments} == pytest.approx(moments, rel=1e-9)
        # The sample is of the same rows, however many instances drew it.
        for feature, found in tiny["features"].items():
            for key in ("percentiles", "bins"):
                assert merged["features"][feature][key] == found[key]


def test_several_instances_leave_the_golden_rows_to_the_merge(table, tmp_path):
    document = json.loads(write_settings(tmp_path).read_text())
    document["endpoint"]["golden"] = [{"row": "40.0,3.5", "label": "yes"}]
    settings = tmp_path / "golden.json"
    settings.write_text(json.dumps(document))
    for shard, rows in (("a", table[1:41]), ("b", table[41:])):
        (tmp_path / shard).mkdir()
        (tmp_path / shard / f"{shard}.csv").write_text("\n".join([HEADER, *rows]))
    on_instances(settings, [tmp_path / "a", tmp_path / "b"], tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "run/holdout/golden.jsonl").exists()
    assert (tmp_path / "out/holdout/golden.jsonl").read_text() == '{"features":[40.0,3.5]}\n'


def test_recordio_holds_the_rows_of_csv_and_rows_that_instances_share_are_kept_once(folder, table, tmp_path):
    for shard, rows in (("a", table[1:41]), ("b", table[21:])):
        (folder / shard).mkdir()
        (folder / shard / f"{shard}.csv").write_text("\n".join([HEADER, *rows]))
    for kind, content_type in (("csv", "text/csv"), ("pbr", recordio.CONTENT_TYPE)):
        settings = write_settings(tmp_path, training={"content_type": content_type})
        preprocess(settings, folder, tmp_path / kind)
        on_instances(settings, [folder / "a", folder / "b"], tmp_path / f"run-{kind}", tmp_path / f"merged-{kind}")
    wanted = {name: sorted(rows) for name, rows in parts(tmp_path / "csv").items()}
    assert {name: sorted(rows) for name, rows in parts(tmp_path / "merged-csv").items()} == wanted
    assert baseline(tmp_path / "csv")["rows"]["repeated"] == 20
    for out in (tmp_path / "merged-csv", tmp_path / "pbr", tmp_path / "merged-pbr"):
        assert baseline(out) == baseline(tmp_path / "csv")
    for out in (tmp_path / "pbr", tmp_path / "merged-pbr"):
        assert sorted(parts(out)["holdout"]) == wanted["holdout"]
        for part in ("train", "validation"):
            files = sorted((out / part).glob("*.pbr"))
            found = np.concatenate([local_recordio.parse(file.read_bytes(), labelled=True) for file in files])
            rows = [list(map(float, line.split(b","))) for line in wanted[part]]
            assert sorted(found.tolist()) == sorted(np.array(rows, np.float32).tolist())


def test_too_many_wrong_rows_over_all_instances_are_refused_when_merged(folder, table, tmp_path):
    message = "2 of 62 rows are wrong, more than data.bad_rows allows: a/a.csv, row 32,"
    shards = []
    for shard, some in (("a", [*table[1:31], "x,one,2,yes"]), ("b", [*table[31:], "z,two,2,no"])):
        shards.append(folder / shard)
        (folder / shard / shard).mkdir(parents=True)
        (folder / shard / shard / f"{shard}.csv").write_text("\n".join([HEADER, *some]))
    settings = write_settings(tmp_path, bad_rows={"count": 1, "share": 0})
    with pytest.raises(JobError, match="^" + re.escape(message)):
        on_instances(settings, shards, tmp_path / "run", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_when_every_instance_sets_all_its_files_aside_the_reasons_are_the_error(folder, table, tmp_path):
    for shard in "ab":
        (folder / shard).mkdir()
        (folder / shard / f"{shard}.csv").write_text("\n".join(["wrong,header", "1,2"]))
    settings, merged = write_settings(tmp_path, on_bad_file="quarantine"), tmp_path / "merged"
    with pytest.raises(JobError, match=r"^no file is left: a\.csv, row 1: missing .*; b\.csv, row 1: missing "):
        on_instances(settings, [folder / "a", folder / "b"], tmp_path / "run", merged)
    (folder / "b/b.csv").write_text("\n".join(table))
    on_instances(settings, [folder / "a", folder / "b"], tmp_path / "good", merged)
    assert baseline(merged)["rows"]["read"] == len(table) - 1


def with_wrong_rows(table: list[str]) -> tuple[list[str], dict[int, str]]:
    """Lines with some wrong rows, and by line the fault of each."""
    wrong = tomllib.loads(Path(__file__).with_name("wrong_rows.toml").read_text("utf-8"))
    lines = list(table)
    lines[7] = lines[7].replace(",", ", ", 1)  # spaces beside a number are right
    for line, (text, _) in wrong.items():
        lines.insert(int(line) - 1, text)
    return lines, {int(line): reason for line, (_, reason) in wrong.items()}


@pytest.mark.parametrize("memory", [512, TINY])
@pytest.mark.parametrize("limit", [{"count": 6, "share": 0}, {"count": 0, "share": 0.1}])
def test_wrong_rows_within_the_limit_are_kept_aside_and_the_others_are_used(shop, table, tmp_path, memory, limit):
    preprocess(write_settings(tmp_path), shop, tmp_path / "right")
    lines, wrong = with_wrong_rows(table)
    (shop / "shop.csv").write_text("\n".join(lines))
    preprocess(write_settings(tmp_path, memory, bad_rows=limit), shop, tmp_path / "out")
    assert parts(tmp_path / "out") == parts(tmp_path / "right")
    assert baseline(tmp_path / "out")["rows"] == {**baseline(tmp_path / "right")["rows"], "read": 66, "refused": 6}
    kept = [json.loads(line) for line in (tmp_path / "out/quarantine/quarantine.jsonl").read_text().splitlines()]
    reasons = {row["row"]: f'column "{row["column"]}"' * bool(row["column"]) + f": {row['reason']}" for row in kept}
    assert reasons == wrong
    texts = {row["row"]: (row["file"], row["text"]) for row in kept}
    assert texts == {line: ("shop.csv", lines[line - 1]) for line in wrong}


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"count": 5, "share": 0}, "at least 6 rows are wrong, more than data.bad_rows allows: shop.csv, row 5,"),
        ({"count": 2, "share": 0.05}, "6 of 66 rows are wrong, more than data.bad_rows allows: shop.csv, row 5,"),
        ({"count": 0, "share": 0}, 'shop.csv, row 5, column "age": "old" is not a finite number'),
    ],
)
def test_more_wrong_rows_than_the_limit_are_refused_and_nothing_is_left(folder, table, tmp_path, limit, message):
    lines, _ = with_wrong_rows(table)
    (folder / "shop.csv").write_text("\n".join(lines))
    with pytest.raises(JobError, match="^" + re.escape(message)):
        preprocess(write_settings(tmp_path, bad_rows=limit), folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def columns(table: list[str]) -> dict[str, list[str]]:
    return {name: list(values) for name, *values in zip(*csv.reader(table), strict=True)}


@pytest.mark.parametrize("kind", ["gzip", "members", "parquet", "dictionary"])
def test_other_formats_of_the_same_rows_give_the_same_result(shop, tmp_path, kind):
    preprocess(write_settings(tmp_path), shop, tmp_path / "csv")
    text = (shop / "shop.csv").read_bytes()
    (shop / "shop.csv").unlink()
    if kind == "gzip":
        (shop / "shop.csv.gz").write_bytes(gzip.compress(text))
    elif kind == "members":
        (shop / "shop.csv.gz").write_bytes(gzip.compress(text[:500]) + gzip.compress(text[500:]))
    else:
        rows = pa_csv.read_csv(pa.BufferReader(text))
        if kind == "dictionary":
            rows = rows.set_column(3, "bought", rows["bought"].dictionary_encode())
        pq.write_table(rows, shop / "shop.parquet", row_group_size=7)
    preprocess(write_settings(tmp_path, TINY), shop, tmp_path / "other")
    assert parts(tmp_path / "other") == parts(tmp_path / "csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": [1.5, None, 3.0]}, 'shop.parquet, row 2, column "age": empty, a finite number is wanted'),
        ({"age": [1.5, 2.0, np.nan]}, 'shop.parquet, row 3, column "age": empty, a finite number is wanted'),
        ({"age": [[1], [2], [3]]}, 'shop.parquet, column "age": list<'),
        ({"age": ["1", "2", "x"]}, 'shop.parquet, row 3, column "age": "x" is not a finite number'),
        ({"bought": ["no", "maybe", "no"]}, 'shop.parquet, row 2, column "bought": "maybe" is not a label'),
        ({"colour": [1, 2, 3]}, 'shop.parquet: unknown column "colour": remove it'),
    ],
)
def test_a_wrong_parquet_file_is_refused_with_the_place(folder, tmp_path, change, message):
    right = {"customer": ["a", "b", "c"], "age": [1, 2, 3], "visits": [1.0, 2.0, 3.0], "bought": ["no", "yes", "no"]}
    pq.write_table(pa.table({**right, **change}), folder / "shop.parquet")
    with pytest.raises(JobError, match="^" + re.escape(message)):
        preprocess(write_settings(tmp_path), folder, tmp_path / "out")


@pytest.mark.parametrize(("name", "content"), [("shop.csv.gz", b"not gzip"), ("shop.parquet", b"not parquet")])
def test_a_file_that_is_not_what_its_name_says_is_named(folder, tmp_path, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(JobError, match=f"^{name}: "):
        preprocess(write_settings(tmp_path), folder, tmp_path / "out")


@pytest.mark.drill("disk full", "preprocessing fills its disk", "one line with the cause, no part left behind")
def test_a_full_disk_is_reported_and_leaves_no_part_behind(shop, tmp_path):
    (tmp_path / "out/validation").mkdir(parents=True)
    (tmp_path / "out/validation/validation-00000.csv").symlink_to("/dev/full")
    with pytest.raises(JobError, match=r"the disk is full: raise processing\.volume_gb"):
        preprocess(write_settings(tmp_path), shop, tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
