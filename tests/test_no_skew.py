"""No skew: the job, the model's container and the API give the same numbers for the same rows, to the bit."""

import csv
import http.client
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lambdas.predict import rows
from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.shared.encoder import boolean_of
from tests.pipeline.jobs.conftest import write_settings

ROWS = 2000
MISSING = ("", "?", " NA ", "-1")
LEVELS = ("red", " dark  green", "a, b", 'say "x"', "3", "3.0", "Ärger", "nan", "true", "0.50")
TRUTHS = ("true", "FALSE", "yes", "No", "1", "0.0", "on", " f ")
Bits = list[tuple[int, ...]]


@dataclass(frozen=True)
class Table:
    """Columns of random kinds, and their cells as a file has them."""

    kinds: dict[str, str]
    imputed: list[str]
    cells: list[list[str]]

    @staticmethod
    def of(chance: random.Random, columns: int) -> "Table":
        """Return a random table: levels that few rows have, missing values, numbers of every size."""
        names = [f"c{number}" for number in range(columns)]
        kinds = {name: chance.choice(("numeric", "boolean", "categorical")) for name in names}
        imputed = [name for name in names if chance.random() < 0.6] or names[:1]

        def cell(name: str) -> str:
            if name in imputed and chance.random() < 0.1:
                return chance.choice(MISSING)
            if kinds[name] == "boolean":
                return chance.choice(TRUTHS)
            if kinds[name] == "categorical":
                return chance.choice(LEVELS) if chance.random() < 0.98 else f"rare {chance.randrange(50)}"
            number = chance.uniform(-1, 1) * 10 ** chance.randint(-30, 29)
            return chance.choice((repr(number), f"{number:.3g}", f" {chance.randrange(99)}", "007.50", ".5", "-0"))

        return Table(kinds, imputed, [[cell(name) for name in names] for _ in range(ROWS)])

    def instance(self, chance: random.Random, cells: list[str]) -> Any:
        """Return a row as a caller may write it in JSON."""

        def value(name: str, text: str) -> Any:
            if name in self.imputed and text in MISSING:
                return chance.choice((None, text))
            if self.kinds[name] == "numeric":
                return float(text)
            if self.kinds[name] == "boolean":
                return chance.choice((text, boolean_of(text) == 1.0))
            return chance.choice((text, 3)) if text == "3" else text

        named = {name: value(name, text) for name, text in zip(self.kinds, cells, strict=True)}
        return chance.choice((named, list(named.values())))


@contextmanager
def container(model: Path, folder: Path) -> Iterator[Callable[[str], Bits]]:
    """The scikit-learn image's process with this model; call it with raw rows for the bits of its numbers."""
    with tarfile.open(model) as archive:
        archive.extractall(folder / "model", filter="data")
    script = {"SAGEMAKER_PROGRAM": "encoder.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(folder / "model" / "code")}
    command = [sys.executable, "-m", "local_aws.scikit_learn", "serve", "--root", str(folder), "--port", "0"]
    with subprocess.Popen(command, env=os.environ | script, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline().rpartition(":")[2]))

        def encoded(text: str) -> Bits:
            connection.request("POST", "/invocations", text.encode(), {"Content-Type": "text/csv"})
            answer = connection.getresponse()
            body = answer.read().decode()
            assert (answer.status, answer.getheader("Content-Type")) == (200, "text/csv; charset=utf-8"), body
            return bits(body)

        try:
            yield encoded
        finally:
            connection.close()
            process.terminate()


def bits(text: str) -> Bits:
    """The bits of each row of numbers."""
    return [tuple(np.array(list(map(float, line.split(",")))).view(np.uint64).tolist()) for line in text.splitlines()]


def text_of(folder: Path, part: str) -> str:
    return "".join(file.read_text() for file in sorted((folder / part).iterdir()))


@pytest.mark.parametrize(("columns", "minimum_rows"), [(1, 5), (6, 5), (9, 1)])
def test_job_container_and_api_encode_2000_rows_of_random_kinds_to_the_same_bits(
    tmp_path: Path, columns: int, minimum_rows: int
) -> None:
    chance = random.Random(columns)
    table, raw, output = Table.of(chance, columns), tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    with (raw / "table.csv").open("w", encoding="utf-8", newline="") as file:
        # The target is the row's number, by which the job's rows are found.
        numbered = ([*cells, str(number)] for number, cells in enumerate(table.cells))
        csv.writer(file).writerows([[*table.kinds, "row"], *numbered])
    data = {"target": "row", "features": list(table.kinds), "id_columns": [], "predictor_type": "regressor"}
    missing = {"texts": [text.strip() for text in MISSING], "impute": table.imputed}
    levels = {"minimum_rows": minimum_rows, "maximum": 100}
    settings = write_settings(tmp_path, **data, kinds=table.kinds, missing=missing, levels=levels)
    preprocess(settings, raw, output)
    (document,) = (output / "signatures").iterdir()
    api = replace(rows.Signature.of("own", json.loads(document.read_text())), largest=1e38)
    body = json.dumps({"instances": [table.instance(chance, cells) for cells in table.cells]})
    asked = rows.from_instances(body, api, ROWS)
    assert rows.from_csv("\n".join(asked), api, ROWS) == asked
    with container(output / "encoder" / "model.tar.gz", tmp_path / "container") as encoded:
        answered = encoded("\n".join(asked))
        labels = [int(json.loads(line)["label"]) for line in text_of(output, "labels").splitlines()]
        held_out = dict(zip(labels, encoded(text_of(output, "holdout")), strict=True))
    trained = [line.split(",", 1) for part in ("train", "validation") for line in text_of(output, part).splitlines()]
    in_the_job = {int(float(label)): bits(numbers)[0] for label, numbers in trained}
    assert len(in_the_job) + len(held_out) == len(answered) == ROWS
    assert dict(enumerate(answered)) == in_the_job | held_out
