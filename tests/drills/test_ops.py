"""Commands of ops, and programs of the pipeline, that are ended in the middle, on a deployed pipeline."""

import signal
import subprocess
import sys

import pytest

from ops.predict import example, label_of
from tests.conftest import ROOT, WDBC, Deployed
from tests.drills.test_commands import Record

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(600)]
GOES_ON = "the run goes on and is accepted"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.drill("Ctrl-C", "`ops watch` in mid-run", GOES_ON)),
        pytest.param(signal.SIGKILL, marks=pytest.mark.drill("kill -9", "`ops watch` in mid-run", GOES_ON)),
    ],
)
def test_a_watch_that_is_ended(live: Deployed, number: signal.Signals, record_property: Record) -> None:
    before = live.executions()
    live.put(f"watched-{number}.csv", WDBC.read_bytes())
    execution = live.started(before)
    command = [sys.executable, "-m", "ops", "watch"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=live.environment, text=True, **pipes) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline()
        watch.send_signal(number)
        _, said = watch.communicate(timeout=60)
    run = live.ended(execution)
    assert (run.outcome, "Traceback" in said, watch.returncode == 0) == ("accepted", False, False)
    record_property("happened", f"exit code {watch.returncode}, no traceback; the run was {run.outcome}")


@pytest.mark.drill("kill -9", "all workers of Lambda", "the next calls are answered, and a run is accepted")
def test_workers_of_lambda_that_are_killed(live: Deployed) -> None:
    assert label_of(live.account, example(live.account)) == "B"
    live.kill_workers()
    assert label_of(live.account, example(live.account)) == "B"
    assert live.run("killed.csv", WDBC.read_bytes()).outcome == "accepted"
