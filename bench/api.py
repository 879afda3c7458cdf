"""The prediction API: its cold start beside the handler of 2018, what it adds to a warm call, and batches."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from bench.deployment import Deployment, one_row
from bench.figure import Figure
from cdk.predict_bundle import write_bundle
from lambdas.predict.api import Api
from lambdas.predict.gateway import respond
from pipeline.config import Settings

STARTS, CALLS, ROWS = 25, 2000, 1000
TIMED = "import time; started = time.perf_counter(); import {module}; print(time.perf_counter() - started)"
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "ENDPOINT_NAME": "breast-cancer",
}


def measure(folder: Path, deployment: Deployment) -> Iterator[Figure]:
    """Every figure of the API but those under load."""
    bundle = write_bundle(deployment.settings, folder / "bundle")
    shutil.copy(Path(__file__).with_name("handler_of_2018.py"), folder)
    cold = cold_starts({"predict.handler": bundle, "handler_of_2018": folder})
    yield Figure("cold init of the handler", 1e3 * cold["predict.handler"], "ms", "the handler of 2018",
                 1e3 * cold["handler_of_2018"], "ratio <= 0.8")  # fmt: skip
    yield Figure(
        "warm call without the endpoint, p50", 1e3 * warm(bundle, deployment.settings), "ms", "", None, "value <= 1"
    )
    one, batch = throughputs(deployment)
    many = f"{ROWS} requests of one row, by the API"
    yield Figure(f"{ROWS} rows in one request, by the API", batch, "rows/s", many, one, "ratio >= 50")


def cold_starts(packages: dict[str, Path]) -> dict[str, float]:
    """The median seconds that importing each module takes, in fresh processes that take turns."""
    seconds: dict[str, list[float]] = {module: [] for module in packages}
    for turn in range(STARTS + 1):
        for module, folder in packages.items():
            command = [sys.executable, "-c", TIMED.format(module=module)]
            environment = {"PATH": os.environ["PATH"], **ENVIRONMENT, "PYTHONPATH": str(folder)}
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            if turn:  # the first one of each fills the page cache and writes the bytecode
                seconds[module].append(float(ran.stdout))
    return {module: median(values) for module, values in seconds.items()}


def warm(bundle: Path, settings: Settings) -> float:
    """The median seconds of a call to an endpoint that answers at once."""
    api = Api.of(bundle / "predict", ENVIRONMENT)
    answers = {
        "SageMaker.DescribeEndpoint": {"EndpointArn": "arn:aws:sagemaker:::endpoint/x", "EndpointConfigName": "x"},
        "SageMaker.ListTags": {"Tags": []},
        "": {"predictions": [{"score": 0.1, "predicted_label": 0}]},
    }

    def send(request: Any) -> Any:
        content = json.dumps(answers[request.headers.get("X-Amz-Target", "")]).encode()
        return SimpleNamespace(status_code=200, headers={}, content=content)

    api.endpoint.aws._http.send = send  # type: ignore[method-assign]
    event = {"httpMethod": "POST", "resource": settings.api.path, "headers": {}, "body": one_row(settings)}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return median(_seconds(lambda: respond(event, api)) for _ in range(CALLS))


def throughputs(deployment: Deployment) -> tuple[float, float]:
    """Rows a second, one in a request and all in a request, by one client on one kept connection."""
    address = urlsplit(deployment.url)
    client = http.client.HTTPConnection(address.netloc)
    row = list(deployment.settings.endpoint.golden[0].row)

    def post(rows: int) -> None:
        body = json.dumps({"instances": [row] * rows})
        client.request("POST", address.path + "/predictions", body, deployment.sign("/predictions", body))
        answer = client.getresponse()
        if answer.status != 200 or len(json.load(answer)["predictions"]) != rows:
            raise AssertionError(f"the API answered {answer.status}")

    post(1)
    one = sum(_seconds(lambda: post(1)) for _ in range(ROWS))
    batch = median(_seconds(lambda: post(ROWS)) for _ in range(9))
    client.close()
    return ROWS / one, ROWS / batch


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
