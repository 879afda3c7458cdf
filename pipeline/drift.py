"""The drift check, top to bottom as the diagram reads: a window of live traffic against the live model's baseline."""

import json
import re
from typing import Any

from pipeline import names
from pipeline.asl import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    Fail,
    Graph,
    Intrinsic,
    Pass,
    Retry,
    State,
    Succeed,
    Task,
    caught,
    format_,
    retried,
)
from pipeline.config import Settings
from pipeline.states.common import OPT, Building

QUIET = {"verdict": "not enough data", "drifted": False, "reason": "no request was captured, or nothing is live"}
KEPT = {name: Intrinsic(f"$.read.summary.{name}") for name in QUIET}
DEADLINE_HOURS = 6


def definition(settings: Settings, partition: str = "aws") -> dict[str, Any]:
    """The state machine in Amazon States Language, with `${Ports}` where the stack fills in names.

    A check ends Succeeded with `$.drift` = {verdict, drifted, reason}, verdict `none`, `drift` or `not enough data`; on
    drift people are told, and an event of source `{project}.drift` goes out, which may start a retraining.
    """
    project = settings.project.name
    failed = Fail("Failed", error_path="$.error.Error", cause_path="$.error.Cause")
    told_failure = _tell(project, "TellFailure", "$.error.Cause", "the drift check failed", failed)
    build = Building(settings, on_error=told_failure)
    done = Succeed("Done")

    quiet = Pass("Quiet", result=QUIET, result_path="$.drift")
    quiet.next(done)
    traffic = Choice("HasTraffic")
    traffic.add_choice(ChoiceRule.NumericEquals("$.window.files", 0), quiet)
    announce = _announce(build, project)
    told = _tell(project, "TellDrift", "$.drift.reason", "drift", announce)
    announce.next(done)
    drifted = Choice("Drifted")
    drifted.add_choice(ChoiceRule.BooleanEquals("$.drift.drifted", True), told)
    check = Chain(
        [
            Pass("NameCheck", parameters={"run": names.run(project)}),
            _window(build),
            traffic,
            _measure(build),
            _read(build),
            _put(build, project),
            Pass("KeepVerdict", parameters=KEPT, result_path="$.drift"),
            drifted,
            done,
        ]
    )
    graph = Graph(check, comment=f"Looks for drift of {project}", timeout_seconds=DEADLINE_HOURS * 3600)
    rendered: dict[str, Any] = json.loads(
        re.sub(r'"arn:[a-z-]+:states:::', f'"arn:{partition}:states:::', graph.to_json())
    )
    return rendered


def _window(build: Building) -> State:
    """Which files, against which run: `$.window` = {files, run}."""
    step = Task(
        "Window",
        resource="arn:aws:states:::lambda:invoke",
        parameters={"FunctionName": "${WindowFunction}", "Payload": {"execution": Intrinsic(names.EXECUTION)}},
        timeout_seconds=300,
        result_path="$.window",
        result_selector={"files": Intrinsic("$.Payload.files"), "run": Intrinsic("$.Payload.run")},
    )
    return build.guard(step)


def _measure(build: Building) -> State:
    folders = ("captured", "window", "baseline", "evaluation")
    arguments = [part for name in folders for part in (f"--{name}", f"{OPT}/input/{name}")]
    step = build.processing(
        "MeasureDrift",
        kind="drift",
        arguments=["drift", *arguments, "--output", f"{OPT}/output/drift"],
        inputs={
            "captured": names.folder("window/manifest.json"),
            "window": names.folder("window"),
            "baseline": format_("s3://${DataBucket}/runs/{}/baseline", "$.window.run"),
            "evaluation": format_("s3://${DataBucket}/runs/{}/evaluation", "$.window.run"),
        },
        outputs=["drift"],
    )
    for source in step.fields["parameters"]["ProcessingInputs"]:
        if source["InputName"] == "captured":
            source["S3Input"]["S3DataType"] = "ManifestFile"
    return step


def _read(build: Building) -> State:
    """summary.json into the state, without a Lambda."""
    step = Task(
        "ReadDrift",
        resource="arn:aws:states:::aws-sdk:s3:getObject",
        parameters={"Bucket": "${DataBucket}", "Key": format_("runs/{}/drift/summary.json", names.EXECUTION)},
        timeout_seconds=60,
        result_path="$.read",
        result_selector={"summary": Intrinsic("States.StringToJson($.Body)")},
    )
    return build.guard(step)


def _put(build: Building, project: str) -> State:
    """The window's figures as CloudWatch metrics."""
    step = Task(
        "PutMetrics",
        resource="arn:aws:states:::aws-sdk:cloudwatch:putMetricData",
        parameters={"Namespace": f"{project}/drift", "MetricData": Intrinsic("$.read.summary.metrics")},
        timeout_seconds=60,
        result_path=None,
    )
    return build.guard(step)


def _tell(project: str, state_id: str, cause: str, word: str, then: State) -> State:
    """SNS for people; a message that does not get out stops nothing."""
    message = {"outcome": word, "reason": Intrinsic(cause), "execution": Intrinsic("$$.Execution.Id"),
               "next": "python -m ops drift"}  # fmt: skip
    step = Task(
        state_id,
        resource="arn:aws:states:::sns:publish",
        parameters={"TopicArn": "${Topic}", "Subject": f"{project}: {word}", "Message": message},
        timeout_seconds=60,
        result_path=None,
    )
    step.add_retry(Retry(error_equals=["States.ALL"], interval_seconds=2, max_attempts=3, backoff_rate=2.0))
    step.add_catch(Catch(error_equals=["States.ALL"], result_path="$.untold", next_step=then))
    step.next(then)
    return step


def _announce(build: Building, project: str) -> State:
    """EventBridge for machines: the rule that retrains listens to this source."""
    entry = {
        "Source": f"{project}.drift",
        "DetailType": "Drift found",
        "Detail": {"reason": Intrinsic("$.drift.reason"), "execution": Intrinsic("$$.Execution.Id")},
        "EventBusName": "default",
    }
    step = Task(
        "Announce",
        resource="arn:aws:states:::events:putEvents",
        parameters={"Entries": [entry]},
        timeout_seconds=60,
        result_path=None,
    )
    return caught(retried(step), build.on_error)
