"""The workflow on WDBC, from the upload to a prediction, beside Metaflow's local run of the same steps."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median

from bench import machine
from bench.deployment import WAIT_SCALE, Deployment, deploying
from bench.figures import Figure
from bench.process import BASELINES, PROJECT, BenchError, in_turn, spread, start, timed

METAFLOW = "Metaflow's local run of the same steps"
PROGRAMS, LIMIT = 8, "starting Python for each job, server and command"
FLOW = PROJECT / "bench/baselines/workflow_metaflow.py"


def measure(folder: Path, deployment: Deployment, repeats: int) -> Iterator[Figure]:
    """Seconds of the commands that a user types, in turn: `ops upload`, `watch` and `predict`, or the flow's `run`.

    The flow waits for nothing, the state machine does: in one run more, Wait states are as long as at AWS.
    """
    rows = (PROJECT / "examples/breast_cancer/wdbc.csv").read_text().splitlines(keepends=True)
    file, numbers = folder / "wdbc.csv", count(1)

    def ours() -> float:
        file.write_text("".join(rows[: len(rows) - next(numbers)]))  # equal data would not start a run
        deployment.delete_endpoint()
        return timed(lambda: _user(deployment, file))

    turns = in_turn(repeats, {"ours": ours, "theirs": lambda: _metaflow(folder, file)})
    mine, theirs = (median(values) for values in turns.values())
    name, start, apart = "whole run on WDBC, upload to prediction", machine.python_start(), spread(*turns.values())
    scaled = f"{name}, Wait states times {WAIT_SCALE:g}"
    yield Figure(scaled, mine, "s", METAFLOW, theirs, "ratio <= 0.25", LIMIT, PROGRAMS * start, apart)
    with deploying(PROJECT / "pipeline.toml", wait_scale=1) as unscaled:
        mine = timed(lambda: _user(unscaled, file))
    full = f"{name}, Wait states in full, one run"
    yield Figure(full, mine, "s", METAFLOW, theirs, "", LIMIT, PROGRAMS * start)
    yield Figure("cdk synth", deployment.seconds["synth"], "s", limit="starting Node and jsii, importing the SDK")
    yield Figure("cdk deploy, after it", deployment.seconds["deploy"], "s", limit="polling until it is deployed")


def _user(deployment: Deployment, file: Path) -> None:
    for command in (["upload", str(file)], ["watch"], ["predict"]):
        deployment.ops(*command)


def _metaflow(folder: Path, file: Path) -> float:
    home = folder / "metaflow"
    home.mkdir(exist_ok=True)
    environment = {"METAFLOW_HOME": str(home), "METAFLOW_USER": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home)}
    done = start(BASELINES, str(FLOW), "run", "--data", str(file), environment=environment, folder=home).result()
    if "prediction:" not in done.output:
        raise BenchError(f"the flow printed no prediction:\n{done.output[-2000:]}")
    return done.seconds
