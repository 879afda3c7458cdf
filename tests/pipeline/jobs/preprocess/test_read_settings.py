"""Which settings preprocessing reads: a run takes the rows of an earlier one if these are the same."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.config import UNREAD_BY_PREPROCESSING
from pipeline.jobs.preprocess import job
from pipeline.jobs.shared.settings import JobSettings, read_settings
from tests.pipeline.jobs.conftest import write_settings

READ: set[str] = set()


class Watched(JobSettings):
    """Settings that note which of them are read."""

    def __getattribute__(self, name: str) -> object:
        READ.add(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
@pytest.mark.parametrize("content_type", ["text/csv", "application/x-recordio-protobuf"])
def test_preprocessing_reads_no_setting_that_may_differ_from_the_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, content_type: str
) -> None:
    rows = [f"c{number},{number % 7},{number},{'yes' if number % 3 else 'no'}" for number in range(90)]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.csv").write_text("\n".join(["customer,age,visits,bought", *rows]))
    file = write_settings(tmp_path, training={"content_type": content_type}, kinds={"age": kind})
    given = read_settings(file)
    values = {each.name: getattr(given, each.name) for each in dataclasses.fields(given)}
    monkeypatch.setattr(job, "read_settings", lambda _: Watched(**values))
    READ.clear()
    job.preprocess(file, tmp_path / "raw", tmp_path / "out")
    assert {*UNREAD_BY_PREPROCESSING} <= values.keys()
    assert values.keys() - READ >= {*UNREAD_BY_PREPROCESSING}
