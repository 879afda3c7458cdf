"""The documents and the page that `make bench-docs` writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import page, scale_page
from bench.figures import Measurements
from tests.conftest import ROOT
from tests.ops.browser import look, needed


@pytest.mark.parametrize(
    ("name", "make"),
    [("performance.md", page.markdown), ("scale.md", scale_page.markdown)],
    ids=["performance", "scale"],
)
def test_the_documents_are_up_to_date(name: str, make: Callable[[Measurements], str]) -> None:
    assert (ROOT / "docs" / name).read_text() == make(Measurements.load(ROOT / "docs/performance.json"))


def test_the_document_has_each_figure_with_its_baseline_goal_and_limit(sample: Measurements) -> None:
    heading = ["| figure | value | baseline | its value | ratio | goal | met | limit |", "|" + " --- |" * 8]
    assert page.markdown(sample).splitlines() == [
        "# Performance",
        "",
        "`make bench-docs` writes this file from [the measurements](performance.json) of one run of `make bench`.",
        "3 of 4 goals are met; missed: preprocess, peak memory. See [scale](scale.md) for larger loads and larger data.",
        "",
        "## The machine",
        "",
        "| property | value |",
        "| --- | --- |",
        "| processor | Some <Processor>, 2 cores |",
        "| memory | 8.3 GB |",
        "| written to the disk | 400 MB/s |",
        "| copied in memory, by one core | 20,000 MB/s |",
        "| CSV parsed in memory, by all cores | 500 MB/s |",
        "",
        *page.ANOTHER_RUN,
        "",
        "## Preprocess",
        "",
        *heading,
        "| preprocess | 100 MB/s | polars | 80 MB/s | 1.25 | ratio >= 1.0 | yes | CSV parse: 20% of 500 MB/s |",
        "| preprocess, peak memory | 300 MB | pandas | 1,000 MB | 0.3 | ratio <= 0.25 | no | memory of a batch |",
        "",
        "## Serving",
        "",
        *heading,
        "| 1000 rows in one request | 100,000 rows/s | 1000 requests of one row | 1,000 rows/s | 100 | ratio >= 50 | yes "
        "| processor |",
        "| one-row request, 99th percentile | 3 ms |  |  |  | value < 5 | yes |  |",
        "",
        "## Deploy",
        "",
        *heading,
        "| deploy | 12.5 s |  |  |  |  |  | the CDK \\| node |",
        "",
        "## Jobs by size",
        "",
        "The whole workflow on more and more rows, job by job.",
        "",
        "| job | rows | seconds | CPU seconds | µs per row | peak MB |",
        "| --- | --- | --- | --- | --- | --- |",
        "| preprocess | 1,000,000 | 5 | 8 | 5 | 310 |",
        "| preprocess | 20,000,000 | 110 | 170 | 5.5 | 320 |",
        "| train | 1,000,000 | 4 | 6 | 4 | 400 |",
        "| train | 20,000,000 | 80 | 120 | 4 | 410 |",
    ]


def test_without_measurements_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"bench\.json is not there: run `make bench` first"):
        page.gather(tmp_path)


@needed
@pytest.mark.full
def test_the_page_draws_its_charts_without_a_network_in_both_schemes_and_widths(
    sample: Measurements, tmp_path: Path
) -> None:
    file = tmp_path / "bench.html"
    file.write_text(page.html(sample), encoding="utf-8")
    drawn: list[int] = []
    seen = look(file.as_uri(), "bench", lambda opened: drawn.append(opened.locator("figure svg[role=img]").count()))
    assert seen.nothing, seen
    assert drawn == [3, 3, 3, 3]
