"""Peak memory of the jobs as rows grow tenfold: the interpreter's own, and a few numbers a row."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.jobs.shared.documents import distribution
from pipeline.jobs.shared.signature import signature_of
from tests.pipeline.jobs.conftest import write_settings
from tests.pipeline.jobs.drift.capture import record, write_inputs

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[3]
MEASURED = """
import runpy, sys
try:
    runpy.run_module("pipeline.jobs", run_name="__main__", alter_sys=True)
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(command, **folders):
    """The job's largest resident memory, bytes."""
    options = [text for name, path in folders.items() for text in (f"--{name}", str(path))]
    output = subprocess.check_output([sys.executable, "-c", MEASURED, command, *options], text=True, cwd=ROOT)
    return int(output.split()[-1]) * 1024


def holdout(root, rows):
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, rows)
    scores = np.clip(0.3 + 0.4 * labels + generator.normal(0, 0.3, rows), 0.01, 0.99)
    folders = [root / name for name in ("predictions/challenger", "predictions/champion", "labels")]
    for folder in folders:
        folder.mkdir(parents=True)
    lines = [f'{{"score":{score},"predicted_label":{score > 0.5:d}}}\n' for score in scores.tolist()]
    for shard in range(4):
        part = slice(shard * rows // 4, (shard + 1) * rows // 4)
        for folder in folders[:2]:
            (folder / f"holdout-{shard:05d}.jsonl.out").write_text("".join(lines[part]))
        text = "".join(f'{{"row":"","label":{label}}}\n' for label in labels[part].tolist())
        (root / f"labels/labels-{shard:05d}.jsonl").write_text(text)
    return {name: root / name for name in ("predictions", "labels")}


def test_evaluate_keeps_a_few_numbers_a_row(tmp_path, settings_file):
    small, large = (
        peak("evaluate", settings=settings_file, output=tmp_path / "out", **holdout(tmp_path / str(rows), rows))
        for rows in (200_000, 2_000_000)
    )
    print(f"evaluate: {small >> 20} and {large >> 20} MiB")
    assert (large - small) / 1_800_000 < 120


def test_drift_keeps_no_row_but_those_whose_ground_truth_is_known(tmp_path, settings_file, settings):
    known = distribution(np.random.default_rng(2).normal(40, 10, 1000))
    features, profile = dict.fromkeys(settings.features, known), {"score": known, "labels": {"no": 1, "yes": 1}}
    peaks = []
    for requests in (5_000, 50_000):
        captured, truth = tmp_path / f"{requests}", []
        captured.mkdir()
        with (captured / "a.jsonl").open("w") as file:
            for number in range(requests):
                rows = np.random.default_rng(number).normal(40, 10, (30, 2)).tolist()
                file.write(record(rows, [(0.1 + 0.8 * (number % 2), number % 2)] * 30, f"id-{number}") + "\n")
                truth.append(f"id-{number},1,{'yes' if number % 3 else 'no'}")
        folders = write_inputs(tmp_path, features=features, profile=profile, truth=truth) | {"data-capture": captured}
        peaks.append(peak("drift", settings=settings_file, output=tmp_path / "out", **folders))
    print(f"drift: {peaks[0] >> 20} and {peaks[1] >> 20} MiB")
    assert (peaks[1] - peaks[0]) / (45_000 * 30) < 20


def test_files_to_score_are_converted_and_joined_block_by_block(tmp_path, settings):
    peaks = {"prepare": [], "join": []}
    own = write_settings(tmp_path, memory_mb=32)
    for rows in (1_000_000, 3_000_000):
        root = tmp_path / str(rows)
        for folder in ("input", "request", "answers"):
            (root / folder).mkdir(parents=True)
        with (root / "input/a.csv").open("w") as file:
            file.write("customer,age,visits\n")
            file.writelines(f"c{number},{number % 90},{number % 7}\n" for number in range(rows))
        request = {"files": {"a.csv": "a.csv"}, "version": 1, "contributions": 0}
        (root / "request/request.json").write_text(json.dumps(request))
        (root / "request/signature.json").write_text(signature_of(settings).to_json())
        common, out = {"settings": own, "request": root / "request"}, root / "out"
        peaks["prepare"].append(peak("prepare", input=root / "input", output=out, **common))
        for shard in (out / "batch").iterdir():
            answers = '{"score": 0.25, "predicted_label": 0}\n' * shard.read_bytes().count(b"\n")
            (root / "answers" / f"{shard.name}.out").write_text(answers)
        folders = {"ids": out / "ids", "answers": root / "answers", "output": root / "scored"}
        peaks["join"].append(peak("join", **common, **folders))
    print("; ".join(f"{name}: {small >> 20} and {large >> 20} MiB" for name, (small, large) in peaks.items()))
    assert all((large - small) / 2_000_000 < 20 and large < 400 << 20 for small, large in peaks.values())
