"""Type an `ops` command in this process, as a shell would run it; run the pipeline on rows of its data."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from ops.__main__ import main
from ops.runs import Run
from tests.conftest import WDBC, Deployed

HEADER, *ROWS = WDBC.read_text().splitlines()


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def typed(*arguments: str) -> Answer:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", ["ops", *arguments])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def ran(live: Deployed, name: str, *rows: str) -> Run:
    """The run on a file of these rows; the file is deleted."""
    run = live.run(name, "\n".join([HEADER, *rows]).encode())
    live.clear()
    return run
