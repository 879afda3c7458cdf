import sys
from pathlib import Path

import pytest

from bench import data
from bench.columns import NAMES, SHARES, TARGET
from bench.jobs import Usage, usage_of
from bench.process import PROJECT, BenchError, Run, in_turn, least_disturbed, spread, start
from pipeline.config import load


def test_a_program_is_measured_by_its_own_memory_and_cpu_time() -> None:
    ran = start(sys.executable, "-c", "kept = b'x' * (64 << 20); print('done', len(kept) >> 20)").result()
    assert (ran.output, ran.memory > 64, 0 < ran.cpu < 60) == ("done 64", True, True)


def test_a_failed_programs_output_is_in_the_error() -> None:
    with pytest.raises(BenchError, match="ended with 3:\nbad input"):
        start(sys.executable, "-c", "print('bad input'); raise SystemExit(3)").result()


def test_the_fastest_run_counts_with_the_least_memory_of_any() -> None:
    turns = [Run(3.0, 2.0, 50.0, "slow"), Run(2.0, 1.5, 60.0, "fast"), Run(2.5, 2.2, 40.0, "lean")]
    assert least_disturbed(turns) == Run(2.0, 1.5, 40.0, "fast")


def test_calls_alternate() -> None:
    order = list[str]()
    done = in_turn(2, {"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert (order, {name: len(results) for name, results in done.items()}) == (["a", "b"] * 2, {"a": 2, "b": 2})


def test_turns_are_spread_as_far_as_their_ratios_to_the_baselines_differ() -> None:
    assert (spread([2.0, 3.0, 2.4]), spread([2.0]), spread([2.0, 3.0], [1.0, 1.5])) == (0.5, None, 0.0)


def test_a_job_uses_the_cpu_of_all_its_processes_and_the_memory_of_its_largest() -> None:
    usages = {("train", 1): Usage(1.0, 10.0), ("train", 2): Usage(2.0, 5.0), ("score", 3): Usage(4.0, 50.0)}
    assert usage_of("train", usages) == Usage(3.0, 10.0)


def test_the_generated_data_fits_the_pipelines_settings(tmp_path: Path) -> None:
    settings = load(PROJECT / "bench/pipeline.toml", "dev")
    assert data.write_raw(tmp_path / "raw.csv", 1000, seed=0) == (tmp_path / "raw.csv").stat().st_size
    lines = (tmp_path / "raw.csv").read_text().replace('"', "").splitlines()
    assert lines[0].split(",") == [*NAMES, TARGET] == [*settings.data.features, settings.data.target]
    assert {line.rpartition(",")[2] for line in lines[1:]} == set(settings.data.classes)
    data.write_raw(tmp_path / "other.csv", 1000, seed=1)
    other = (tmp_path / "other.csv").read_text().replace('"', "").splitlines()
    assert (len(set(lines)), len(lines), len({*lines, *other})) == (1001, 1001, 2001 - data.DUPLICATES)
    split = settings.data.split
    assert {"train": split.train, "validation": split.validation, "holdout": split.holdout} == SHARES
