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
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from bench.deployment import Deployment, one_row
from bench.figure import Figure
from cdk.api.predict_package import write_package
from lambdas.predict.api import Api
from lambdas.predict.gateway import respond
from pipeline.config import Settings
from tests.lambdas.predict.bodies import cases

WARM_CALLS, ROWS, ROUNDS, BATCHES = 2000, 1000, 10, 5
TIMED = "import time; started = time.perf_counter(); import {module}; print(time.perf_counter() - started)"
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "ENDPOINT_NAME": "breast-cancer",
}


def measure(folder: Path, deployment: Deployment, starts: int, calls: int) -> Iterator[Figure]:
    """Every figure of the API but those under load."""
    bundle = write_package(deployment.settings, folder / "bundle")
    shutil.copy(Path(__file__).parent / "yardsticks/handler_of_2018.py", folder)
    cold = cold_starts({"predict.handler": bundle, "handler_of_2018": folder}, starts)
    yield Figure("cold init of the handler", 1e3 * cold["predict.handler"], "ms", "the handler of 2018",
                 1e3 * cold["handler_of_2018"], "ratio <= 0.8")  # fmt: skip
    yield Figure(
        "warm call without the endpoint, p50", 1e3 * warm(bundle, deployment.settings), "ms", "", None, "value <= 1"
    )
    slowest = refusals(deployment)
    yield Figure("slowest refusal of a bad body, by the API", slowest, "s", "", None, "value < 1")
    one, batch, alone = throughputs(deployment, calls // ROUNDS)
    many = "requests of one row, by the API"
    yield Figure("one-row call by the API", 1e3 / one, "ms", "InvokeEndpoint alone", 1e3 * alone,
                 limit="the emulation of API Gateway, IAM and Lambda")  # fmt: skip
    yield Figure(f"{ROWS} rows in one request, by the API", batch, "rows/s", many, one, "ratio >= 50")


def cold_starts(packages: dict[str, Path], starts: int) -> dict[str, float]:
    """The median seconds that importing each module takes, in fresh processes that take turns."""
    seconds: dict[str, list[float]] = {module: [] for module in packages}
    for turn in range(starts + 1):
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
        return median(_seconds(lambda: respond(event, api)) for _ in range(WARM_CALLS))


def refusals(deployment: Deployment) -> float:
    """The seconds that the slowest of the corpus of bad bodies takes, the better of two, as the machine may be busy."""
    paths = {"one": deployment.path, "many": "/predictions"}
    client = http.client.HTTPConnection(urlsplit(deployment.url).netloc)

    def post(path: str, body: bytes, content_type: str) -> None:
        headers = deployment.sign(path, body, content_type)
        client.request("POST", urlsplit(deployment.url).path + path, body, headers)
        answer = client.getresponse()
        answer.read()
        if not 400 <= answer.status < 500:
            raise AssertionError(f"a bad body was answered {answer.status}")

    slowest = 0.0
    for _, path, body, content_type, _ in cases():
        data = (body or "").encode("utf-8", "surrogatepass")
        call = partial(post, paths[path], data, content_type or "application/json")
        if (took := _seconds(call)) > slowest:
            slowest = max(slowest, min(took, _seconds(call)))
    client.close()
    return slowest


def throughputs(deployment: Deployment, calls: int) -> tuple[float, float, float]:
    """Rows a second, one in a request and all in a request, by one client on one kept connection; seconds of the model.

    Those are of InvokeEndpoint for one row, by boto3. Medians of `calls` each, of fewer of many rows, of the least
    disturbed of the rounds.
    """
    address = urlsplit(deployment.url)
    client = http.client.HTTPConnection(address.netloc)
    row = list(deployment.settings.endpoint.golden[0].row)

    def post(rows: int) -> None:
        body = json.dumps({"instances": [row] * rows})
        client.request("POST", address.path + "/predictions", body, deployment.sign("/predictions", body.encode()))
        answer = client.getresponse()
        if answer.status != 200 or len(json.load(answer)["predictions"]) != rows:
            raise AssertionError(f"the API answered {answer.status}")

    post(1)
    endpoint = {"EndpointName": deployment.settings.project.name, "ContentType": "text/csv"}
    text = ",".join(map(repr, row))
    invoke = partial(deployment.client("sagemaker-runtime").invoke_endpoint, **endpoint, Body=text)
    one, batch, alone = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        one.append(median(_seconds(lambda: post(1)) for _ in range(calls)))
        batch.append(median(_seconds(lambda: post(ROWS)) for _ in range(BATCHES)))
        alone.append(median(_seconds(invoke) for _ in range(calls)))
    client.close()
    return 1 / min(one), ROWS / min(batch), min(alone)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
