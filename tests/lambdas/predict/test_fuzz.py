"""The deployed API against calls that a fuzzer makes of its own document: all of schemathesis' checks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
# API Gateway has no TRACE and no QUERY. Signatures are verified with AUTH=true only: here an invalid one will do.
# 413 is this API's answer to a body that is too large.
CHECKS = """
[phases.coverage]
unexpected-methods = ["DELETE", "GET", "PATCH", "POST", "PUT"]
[checks.ignored_auth]
enabled = false
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 415, 429]
"""
HOOKS = """
import schemathesis
from tests.lambdas.predict.signed import Signed

schemathesis.auth.set_from_requests(Signed())

@schemathesis.serializer("text/csv")
def csv(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
"""


@pytest.mark.cloud
@pytest.mark.parametrize(
    ("examples", "cases"),
    [(60, 500), pytest.param(5000, 10_000, marks=[pytest.mark.full, pytest.mark.timeout(1500)])],
)
@pytest.mark.usefixtures("unthrottled")
def test_a_fuzzer_finds_no_answer_outside_the_document(
    consumer: Any, tmp_path: Path, examples: int, cases: int
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CHECKS)
    (tmp_path / "hooks.py").write_text(HOOKS)
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--no-color", "--config-file", "schemathesis.toml",
            "run", f"{consumer.url}/openapi.json", "--url", consumer.url, "--max-examples", str(examples),
            "--continue-on-failure", "--generation-deterministic",
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    generated = re.search(r"(\d+) generated", ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert generated is not None and int(generated[1]) >= cases
