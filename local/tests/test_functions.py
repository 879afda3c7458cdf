"""Lambda functions that change while they are called."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_aws.cloud import running
from local_aws.ministack_adapter.functions import Slots

from .aws import Aws, images, until, zipped

WAITS = (
    "import time",
    "open(event + '/began', 'w').close()",
    "while not os.path.exists(event + '/end'): time.sleep(0.01)",
    "return os.getpid()",
)
CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "code": lambda client, arn: client.update_function_code(FunctionName=arn, ZipFile=zipped("return 'new'")),
    "settings": lambda client, arn: client.update_function_configuration(FunctionName=arn, MemorySize=256),
    "deleted": lambda client, arn: client.delete_function(FunctionName=arn),
}


def test_a_call_that_waits_for_a_slot_gets_it_before_one_that_comes_later() -> None:
    slots, free, tried = Slots(), list[str](), list[str]()

    def take(call: str) -> tuple[str | None, str]:
        tried.append(call)
        return (free.pop(), "") if free else (None, "account")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slots.acquire, take, "first")
        until(lambda: tried)
        slots.release(free.append, "slot")
        assert slots.acquire(take, "second") == (None, "account")
        assert first.result() == ("slot", "")


@pytest.mark.parametrize("change", CHANGES)
def test_a_call_in_flight_is_answered_when_its_function_changes(aws: Aws, tmp_path: Path, change: str) -> None:
    client = aws.client("lambda", retries={"total_max_attempts": 1})
    arn = aws.function(*WAITS)

    def call() -> Any:
        return json.load(client.invoke(FunctionName=arn, Payload=json.dumps(str(tmp_path)).encode())["Payload"])

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call)
        until((tmp_path / "began").exists)
        CHANGES[change](client, arn)
        (tmp_path / "end").touch()
        worker = first.result()
    until(lambda: not psutil.pid_exists(worker))
    if change == "deleted":
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call()
    else:
        assert call() != worker


@pytest.mark.full
@pytest.mark.cloud
def test_each_idle_worker_ends(tmp_path: Path) -> None:
    settings = {"LAMBDA_WARM_TTL_SECONDS": "1", "SAGEMAKER_IMAGES": str(images(tmp_path))}
    with running(home=tmp_path / "home", environment=settings) as cloud:
        aws = Aws(cloud)
        arn, client = aws.function("return os.getpid()"), aws.client("lambda")

        def worker() -> int:
            return int(json.load(client.invoke(FunctionName=arn, Payload=b"{}")["Payload"]))

        first = worker()
        until(lambda: not psutil.pid_exists(first))
        assert worker() != first
