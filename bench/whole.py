"""The whole run on WDBC, from the upload to a prediction, beside Metaflow's local run of the same steps."""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.deployment import Deployment
from bench.figure import Figure
from bench.process import PROJECT, YARDSTICKS, BenchError, start

METAFLOW = "Metaflow's local run of the same steps"
FLOW = PROJECT / "bench/yardsticks/flow.py"


def measure(folder: Path, deployment: Deployment, repeats: int) -> Iterator[Figure]:
    """Seconds of the commands a person types: ours upload, watch and predict; theirs `run`. They take turns."""
    rows = (PROJECT / "examples/breast_cancer/wdbc.csv").read_text().splitlines(keepends=True)
    file, ours, theirs = folder / "wdbc.csv", list[float](), list[float]()
    for turn in range(repeats):
        file.write_text("".join(rows[: len(rows) - 1 - turn]))  # other data each time: the same would start no run
        deployment.forget_model()
        started = time.monotonic()
        deployment.ops("upload", str(file))
        deployment.ops("watch")
        deployment.ops("predict")
        ours.append(time.monotonic() - started)
        theirs.append(_metaflow(folder, file))
    yield Figure("whole run on WDBC, upload to prediction", median(ours), "s", METAFLOW, median(theirs),
                 "ratio <= 0.5", "starting Python for each job")  # fmt: skip
    yield Figure("cdk synth", deployment.seconds["synth"], "s", limit="starting Node and jsii, importing the SDK")
    yield Figure("cdk deploy, after it", deployment.seconds["deploy"], "s", limit="asking until it is there")


def _metaflow(folder: Path, file: Path) -> float:
    home = folder / "metaflow"
    home.mkdir(exist_ok=True)
    quiet = {"METAFLOW_HOME": str(home), "METAFLOW_USER": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home)}
    ran = start(YARDSTICKS, str(FLOW), "run", "--data", str(file), environment=quiet, folder=home).result()
    if "prediction:" not in ran.output:
        raise BenchError(f"the flow told no prediction:\n{ran.output[-2000:]}")
    return ran.seconds
