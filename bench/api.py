"""The prediction API: its cold start beside the handler of 2018, its share of a warm call, and batches."""

import contextlib
import csv
import http.client
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from bench import machine
from bench.deployment import Deployment, deployed, one_row
from bench.figures import Figure
from bench.process import PROJECT, in_turn, spread, timed
from cdk.api.openapi import write_package
from lambdas.predict.api import Api
from lambdas.predict.gateway import respond
from pipeline.config import Settings
from tests.lambdas.predict.bodies import cases

WARM_CALLS, ROWS, ROUNDS, BATCHES = 2000, 1000, 10, 5
TIMED = "import time; started = time.perf_counter(); import {module}; print(time.perf_counter() - started)"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
ENVIRONMENT = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "ENDPOINT_NAME": "breast-cancer", **KEYS}


def measure(folder: Path, deployment: Deployment, starts: int, calls: int) -> Iterator[Figure]:
    """All figures of the API except those under load, from `starts` cold starts and `calls` requests of one row."""
    bundle = write_package(deployment.settings, folder / "bundle")
    shutil.copy(Path(__file__).parent / "baselines/lambda_handler_2018.py", folder)
    cold, others = cold_starts({"predict.handler": bundle, "lambda_handler_2018": folder}, starts)
    start, limit, apart = 1e3 * machine.python_start(), "starting Python with nothing imported", spread(cold, others)
    ours, other = 1e3 * median(cold), 1e3 * median(others)
    name, baseline = "cold init of the handler", "the handler of 2018"
    yield Figure(name, ours, "ms", baseline, other, "ratio <= 0.8", limit, start, apart)
    seconds = warm_call(bundle, deployment.settings)
    yield Figure("warm call without the endpoint, p50", 1e3 * seconds, "ms", goal="value <= 0.25", limit="Python")
    refused = refusals(deployment)
    yield Figure("slowest refusal of a bad body, by the API", refused, "s", goal="value < 0.1", limit="the emulation")
    turns = durations(deployment, calls // ROUNDS)
    one, batch, model = (min(turns[call]) for call in ("one", "batch", "model"))
    limit, apart = "the emulation of API Gateway, IAM and Lambda", spread(turns["one"], turns["model"])
    name, baseline = "one-row call by the API", "InvokeEndpoint alone"
    yield Figure(name, 1e3 * one, "ms", baseline, 1e3 * model, "", limit, spread=apart)
    name, baseline = f"{ROWS} rows in one request, by the API", "requests of one row, by the API"
    limit, apart = "JSON to numbers and back", spread(turns["one"], turns["batch"])
    yield Figure(name, ROWS / batch, "rows/s", baseline, 1 / one, "ratio >= 100", limit, spread=apart)


def measure_encoded(calls: int) -> Iterator[Figure]:
    """The 99th percentile of `calls` requests of one named row with texts and gaps: two containers answer each.

    As many in between ask for an explanation, too.
    """
    example = "examples/penguins"
    with deployed(f"{example}/pipeline.toml", f"{example}/penguins.csv") as deployment:
        post, kinds = _poster(deployment), deployment.settings.data.kinds
        with (PROJECT / example / "penguins.csv").open(encoding="utf-8") as file:
            rows = [
                {
                    column: None if text == "NA" else text if column in kinds else float(text)
                    for column, text in row.items()
                    if column in deployment.settings.data.features
                }
                for row in csv.DictReader(file)
            ]

        def predict(number: int, path: str) -> None:
            body = json.dumps({"instances": [rows[number % len(rows)]]}).encode()
            status, answer = post(path, body, "application/json")
            if status != 200 or (b"explanation" in answer) != path.endswith("true"):
                raise AssertionError(f"the API answered {status}: {answer!r}")

        paths = ("/predictions", "/predictions?explain=true")
        seconds: dict[str, list[float]] = {path: [] for path in paths}
        for number in range(-1, calls):
            for path in paths:
                taken = timed(partial(predict, number, path))
                seconds[path] += [taken] if number >= 0 else []
    plain, explained = (1e3 * median(seconds[path]) for path in paths)
    slow = 1e3 * sorted(seconds[paths[0]])[math.ceil(calls * 0.99) - 1]
    name, limit = "one named row with texts and gaps by the API", "the emulation of API Gateway, IAM and Lambda"
    yield Figure(f"{name}, 99th percentile", slow, "ms", goal="value < 25", limit=limit)
    yield Figure(f"{name}, explained, median", explained, "ms", "not explained", plain, "ratio <= 1.5", limit)


def cold_starts(packages: dict[str, Path], starts: int) -> list[list[float]]:
    """For each module, the seconds of its import in fresh processes, in turn."""

    def import_once(module: str) -> float:
        command = [sys.executable, "-c", TIMED.format(module=module)]
        environment = {"PATH": os.environ["PATH"], **ENVIRONMENT, "PYTHONPATH": str(packages[module])}
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    seconds = in_turn(starts + 1, {module: partial(import_once, module) for module in packages})
    # The first import of each fills the page cache and writes the bytecode.
    return [values[1:] for values in seconds.values()]


def warm_call(bundle: Path, settings: Settings) -> float:
    """The median seconds of a call with an endpoint that answers at once."""
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
    body = one_row(settings)
    request_id = {"requestContext": {"requestId": "0f8b1c36-5d6a-4c7e-9b7e-2f4b8f3c2a11"}}
    event = {"httpMethod": "POST", "resource": settings.api.path, "headers": {}, "body": body, **request_id}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return median(timed(lambda: respond(event, api)) for _ in range(WARM_CALLS))


def refusals(deployment: Deployment) -> float:
    """The seconds of the slowest request in the corpus of bad bodies, the faster of two attempts."""
    paths = {"one": deployment.settings.api.path, "many": "/predictions"}
    post = _poster(deployment)

    def refuse(path: str, body: bytes, content_type: str) -> None:
        status, _ = post(path, body, content_type)
        if not 400 <= status < 500:
            raise AssertionError(f"the API answered a bad body with {status}")

    slowest = 0.0
    for _, path, body, content_type, _ in cases():
        data = (body or "").encode("utf-8", "surrogatepass")
        call = partial(refuse, paths[path], data, content_type or "application/json")
        if (took := timed(call)) > slowest:
            slowest = max(slowest, min(took, timed(call)))
    return slowest


def durations(deployment: Deployment, calls: int) -> dict[str, list[float]]:
    """Seconds by one client of: a request of one row, a request of many rows, InvokeEndpoint for one row by boto3.

    Each is, for each round, the median of `calls` requests (fewer of many rows).
    """
    post, row = _poster(deployment), list(deployment.settings.endpoint.golden[0].row)

    def predict(rows: int) -> None:
        status, answer = post("/predictions", json.dumps({"instances": [row] * rows}).encode(), "application/json")
        if status != 200 or len(json.loads(answer)["predictions"]) != rows:
            raise AssertionError(f"the API answered {status}")

    predict(1)
    endpoint, text = deployment.settings.project.name, ",".join(map(repr, row))
    runtime = deployment.client("sagemaker-runtime")
    invoke = partial(runtime.invoke_endpoint, EndpointName=endpoint, ContentType="text/csv", Body=text)
    return in_turn(
        ROUNDS,
        {
            "one": lambda: median(timed(lambda: predict(1)) for _ in range(calls)),
            "batch": lambda: median(timed(lambda: predict(ROWS)) for _ in range(BATCHES)),
            "model": lambda: median(timed(invoke) for _ in range(calls)),
        },
    )


def _poster(deployment: Deployment) -> Callable[[str, bytes, str], tuple[int, bytes]]:
    """A function that posts signed requests on one connection; returns the status and the body of the answer."""
    address = urlsplit(deployment.url)
    client = http.client.HTTPConnection(address.netloc)

    def post(path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        client.request("POST", address.path + path, body, deployment.sign(path, body, content_type))
        answer = client.getresponse()
        return answer.status, answer.read()

    return post
