import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import compare
from bench.figures import Figure, Measurements

FAST = Figure("speed", 3.0, "MB/s", "theirs", 2.0, part="jobs")


def run(sample: Measurements, folder: Path, *figures: Figure) -> str:
    """The file of a run with these figures, beside one without a baseline."""
    file = folder / f"{len(list(folder.iterdir()))}.json"
    alone = Figure("pace", float(len(figures)), "s")
    file.write_text(json.dumps(replace(sample, figures=[alone, *figures]).document()))
    return str(file)


def test_two_runs_agree_on_ratios_that_differ_little_whatever_the_values(
    sample: Measurements, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = replace(FAST, value=6.8, baseline_value=4.0)
    assert compare.main(run(sample, tmp_path, FAST), run(sample, tmp_path, again)) == 0
    assert capsys.readouterr().out == "all ratios agree within 15%\n"


@pytest.mark.parametrize("varies", ["", "its cache"])
def test_a_ratio_that_differs_is_listed_and_fails_unless_the_figure_says_why(
    sample: Measurements, tmp_path: Path, capsys: pytest.CaptureFixture[str], varies: str
) -> None:
    one, other = replace(FAST, varies=varies), replace(FAST, value=2.5, varies=varies)
    assert compare.main(run(sample, tmp_path, one), run(sample, tmp_path, other)) == (0 if varies else 1)
    reason = f" ({varies})" if varies else ""
    assert capsys.readouterr().out == f"jobs: speed / theirs: 1.5 and 1.25{reason}\n"
