"""The workflow on WDBC, from the upload to a prediction, beside Metaflow's local run of the same steps."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median

from bench.deployment import Deployment
from bench.figures import Figure
from bench.process import BASELINES, PROJECT, BenchError, in_turn, start, timed

METAFLOW = "Metaflow's local run of the same steps"
FLOW = PROJECT / "bench/baselines/workflow_metaflow.py"


def measure(folder: Path, deployment: Deployment, repeats: int) -> Iterator[Figure]:
    """Seconds of the commands that a user types, in turn: `ops upload`, `watch` and `predict`, or the flow's `run`."""
    rows = (PROJECT / "examples/breast_cancer/wdbc.csv").read_text().splitlines(keepends=True)
    file, numbers = folder / "wdbc.csv", count(1)

    def ours() -> float:
        file.write_text("".join(rows[: len(rows) - next(numbers)]))  # equal data would not start a run
        deployment.delete_endpoint()
        return timed(lambda: [deployment.ops(*command) for command in (["upload", str(file)], ["watch"], ["predict"])])

    seconds = in_turn(repeats, {"ours": ours, "theirs": lambda: _metaflow(folder, file)})
    mine, theirs = (median(values) for values in seconds.values())
    limit = "starting Python for each job"
    yield Figure("whole run on WDBC, upload to prediction", mine, "s", METAFLOW, theirs, "ratio <= 0.5", limit)
    yield Figure("cdk synth", deployment.seconds["synth"], "s", limit="starting Node and jsii, importing the SDK")
    yield Figure("cdk deploy, after it", deployment.seconds["deploy"], "s", limit="polling until it is deployed")


def _metaflow(folder: Path, file: Path) -> float:
    home = folder / "metaflow"
    home.mkdir(exist_ok=True)
    environment = {"METAFLOW_HOME": str(home), "METAFLOW_USER": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home)}
    done = start(BASELINES, str(FLOW), "run", "--data", str(file), environment=environment, folder=home).result()
    if "prediction:" not in done.output:
        raise BenchError(f"the flow printed no prediction:\n{done.output[-2000:]}")
    return done.seconds
