"""The documents and the page that `make bench-docs` writes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import page, scale_page
from bench.figures import Measurements
from tests.conftest import ROOT
from tests.ops.browser import WINDOWS, faults_of, needed


def test_the_documents_are_up_to_date() -> None:
    measured = Measurements.load(ROOT / "docs/performance.json")
    assert (ROOT / "docs/performance.md").read_text() == page.markdown(measured)
    assert (ROOT / "docs/scale.md").read_text() == scale_page.markdown(measured)


def test_the_document_has_each_figure_with_its_baseline_goal_and_limit(sample: Measurements) -> None:
    assert page.markdown(sample) == Path(__file__).with_name("sample.md").read_text()


def test_without_measurements_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"bench\.json is not there: run `make bench` first"):
        page.gather(tmp_path)


def test_documents_are_not_written_from_a_run_with_a_failed_part(
    sample: Measurements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "BUILD", tmp_path)
    monkeypatch.setattr(page, "PROJECT", tmp_path)
    monkeypatch.delenv("BENCH", raising=False)
    (tmp_path / "bench.json").write_text(json.dumps(replace(sample, failed=["growth", "load"]).document()))
    with pytest.raises(SystemExit, match="growth, load failed: run `make bench` again"):
        page.main(["--docs"])


@needed
@pytest.mark.full
def test_the_page_draws_its_charts_without_a_network_wide_and_narrow(sample: Measurements, tmp_path: Path) -> None:
    file = tmp_path / "bench.html"
    file.write_text(page.html(sample), encoding="utf-8")
    drawn: list[int] = []
    charts = "figure svg[role=img]"
    assert faults_of(file.as_uri(), "bench", lambda tab: drawn.append(tab.locator(charts).count())) == []
    assert drawn == [3] * len(WINDOWS)
