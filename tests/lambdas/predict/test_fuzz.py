"""A fuzzer calls the deployed API by its OpenAPI document, with all of schemathesis' checks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.cloud, pytest.mark.usefixtures("unthrottled")]
HOOKS = """
import schemathesis
from tests.lambdas.predict.signed import Signed

schemathesis.auth.set_from_requests(Signed())

@schemathesis.serializer("text/csv")
def csv(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
"""


def fuzz(consumer: Consumer, folder: Path, rows: int, *arguments: str) -> int:
    """Return the number of generated calls, all of which passed."""
    template = Path(__file__).with_name("schemathesis.toml").read_text("utf-8")
    (folder / "schemathesis.toml").write_text(template.replace("100", str(rows)).replace("33", str(rows // 3)))
    (folder / "hooks.py").write_text(HOOKS)
    program, config = Path(sys.executable).with_name("schemathesis"), ["--config-file", "schemathesis.toml"]
    options = ["--url", consumer.url, "--continue-on-failure", *arguments]
    run = [program, "--no-color", *config, "run", f"{consumer.url}/openapi.json", *options]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(run, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    generated = re.search(r"(\d+) generated, (\d+) passed", ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert generated is not None, ran.stdout
    assert generated[1] == generated[2]
    return int(generated[1])


def test_a_fuzzer_finds_no_answer_outside_the_document(consumer: Consumer, tmp_path: Path) -> None:
    assert fuzz(consumer, tmp_path, 100, "--generation-deterministic") >= 500


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_nor_in_ten_thousand_calls(consumer: Consumer, tmp_path: Path, seed: int) -> None:
    """Five runs: one of 10,000 calls keeps gigabytes of requests."""
    assert fuzz(consumer, tmp_path, 1_500, "--seed", str(seed), "--phases", "fuzzing") >= 2_000
