"""What the API's own code costs: a cold start against the handler of 2018, a warm call beside the endpoint's time."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

STARTS, CALLS = 15, 500
IN_2018 = """
import os
import io
import boto3
import json
import csv

ENDPOINT_NAME = os.environ["ENDPOINT_NAME"]
runtime = boto3.client("runtime.sagemaker")


def lambda_handler(event, context):
    answer = runtime.invoke_endpoint(EndpointName=ENDPOINT_NAME, ContentType="text/csv", Body=event["data"])
    label = int(json.loads(answer["Body"].read().decode())["predictions"][0]["predicted_label"])
    return "M" if label == 1 else "B"
"""
TIMED = "import time\nstarted = time.perf_counter()\nimport {module}\nprint(time.perf_counter() - started)"


def cold_starts(packages: dict[str, str], environment: dict[str, str], starts: int = STARTS) -> dict[str, float]:
    """The median seconds that importing each module takes, `{module: folder}`, in fresh processes that take turns."""
    seconds: dict[str, list[float]] = {module: [] for module in packages}
    for turn in range(starts + 1):
        for module, folder in packages.items():
            ran = subprocess.run(
                [sys.executable, "-c", TIMED.format(module=module)],
                env={"PATH": os.environ["PATH"], **environment, "PYTHONPATH": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            if turn:  # the first one of each fills the page cache and writes the bytecode
                seconds[module].append(float(ran.stdout))
    return {module: statistics.median(values) for module, values in seconds.items()}


@pytest.mark.full
def test_a_cold_start_takes_at_most_four_fifths_of_2018s(
    bundle: Path, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "handler_of_2018.py").write_text(IN_2018)
    environment["AWS_DEFAULT_REGION"] = environment["AWS_REGION"]
    median = cold_starts({"predict.handler": str(bundle), "handler_of_2018": str(tmp_path)}, environment)
    ours, theirs = median["predict.handler"], median["handler_of_2018"]
    with capsys.disabled():
        print(f"\ncold start: {ours * 1e3:.0f} ms, in 2018 {theirs * 1e3:.0f} ms, {ours / theirs:.2f} x")
    assert ours <= 0.8 * theirs


@pytest.mark.full
def test_a_warm_call_costs_at_most_a_millisecond_beside_the_endpoint(
    call: Any, api: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[float] = []
    send = api.endpoint.aws._http.send

    def timed(request: Any) -> Any:
        started = time.perf_counter()
        answer = send(request)
        inside.append(time.perf_counter() - started)
        return answer

    monkeypatch.setattr(api.endpoint.aws._http, "send", timed)
    body = json.dumps({"data": ",".join(["1.5"] * 30)})
    overhead = []
    for _ in range(CALLS):
        inside.clear()
        started = time.perf_counter()
        call("POST", "/predictbreastcancer", body)
        overhead.append(time.perf_counter() - started - sum(inside))
    middle = statistics.median(overhead)
    with capsys.disabled():
        print(f"\nwarm overhead: {middle * 1e3:.2f} ms at p50 over {CALLS} calls")
    assert middle <= 0.001
