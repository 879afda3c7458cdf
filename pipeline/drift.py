"""The drift machine, top to bottom as its diagram reads: a window of live traffic against the live model's baseline."""

from typing import Any

from pipeline.asl import ChoiceRule, Definition, Intrinsic, Pass, State, choice, format_, rendered
from pipeline.config import Settings
from pipeline.states.building import EXECUTION, Building, folder
from pipeline.states.executions import fail, finish

NO_TRAFFIC = {"verdict": "not enough data", "drifted": False, "reason": "no request was captured, or nothing is live"}
DEADLINE_HOURS = 6


def definition(settings: Settings, partition: str = "aws") -> Definition:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    A check ends Succeeded with `drift` = {verdict, drifted, reason}, verdict `none`, `drift` or `not enough data`. On
    drift it sends a notification and an event of source `{project}.drift`, which may start a retraining.
    """
    failed = fail("drift")
    build = Building(settings, on_error=failed)
    finished = finish("drift", failed)
    # Which files, against which run.
    kept: dict[str, Any] = {"timeout_seconds": 300, "result_path": "$.window", "results": ["files", "run"]}
    window = build.function("CollectWindow", "DriftWindowFunction", {"execution": Intrinsic(EXECUTION)}, **kept)
    no_traffic = Pass("NoTraffic", result={"document": NO_TRAFFIC}, result_path="$.drift")
    no_traffic.next(finished)
    metrics = {"Namespace": f"{build.project}/drift", "MetricData": Intrinsic("$.drift.document.metrics")}
    # The result is known by then.
    fields: dict[str, Any] = {"on_error": finished, "error_path": "$.metrics_error"}
    states = [
        window,
        choice("HasTraffic", ChoiceRule.NumericEquals("$.window.files", 0), no_traffic),
        _measure(build),
        build.read_json("ReadDrift", "drift/summary.json", "$.drift"),
        build.call("PutMetrics", "putMetricData", metrics, service="cloudwatch", **fields),
        finished,
    ]
    return rendered(states, f"Checks {build.project} for drift", DEADLINE_HOURS * 3600, partition)


def _measure(build: Building) -> State:
    """MeasureDrift: the window's captured requests against the baseline and the evaluation of the live model's run."""
    inputs = {
        "data-capture": folder("window/manifest.json"),
        "window": folder("window"),
        "baseline": format_("s3://${DataBucket}/runs/{}/baseline", "$.window.run"),
        "evaluation": format_("s3://${DataBucket}/runs/{}/evaluation", "$.window.run"),
    }
    return build.processing("MeasureDrift", "drift", inputs=inputs, outputs=["drift"], manifest="data-capture")
