"""What is bounded: connections, bodies, Lambda's calls, a job's volume, the log; and an error of a full disk has a cause."""

import http.client
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_aws import log_file
from local_aws.cloud import running
from local_aws.sagemaker.jobs.volume import used

from .aws import Aws, images, processing_output, refused, unique, until
from .test_gateway import imported

GIGABYTE = 1 << 30
FILLS_ITS_VOLUME = """
import os, time
descriptor = os.open("/opt/ml/processing/out/large", os.O_WRONLY | os.O_CREAT)
os.posix_fallocate(descriptor, 0, 3 << 29)
time.sleep(600)
"""


def health(aws: Aws) -> http.client.HTTPConnection:
    """A connection that has been used and stays open."""
    connection = http.client.HTTPConnection("127.0.0.1", aws.cloud.port, timeout=30)
    connection.request("GET", "/_ministack/health")
    assert connection.getresponse().read()
    return connection


@pytest.mark.drill("input", "hundreds of connections that are closed", "their descriptors are free at once")
def test_closed_connections_release_their_descriptors_at_once(aws: Aws) -> None:
    server = psutil.Process(aws.cloud.pid)
    before = server.num_fds()
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(closing(health(aws)))
        assert server.num_fds() >= before + 190
    until(lambda: server.num_fds() <= before + 10, seconds=30)


@pytest.mark.rotated
@pytest.mark.drill("input", "more connections than descriptors", "the idle ones are closed, new ones are answered")
@pytest.mark.cloud
def test_new_connections_close_the_idle_ones_when_descriptors_run_short(own: Aws) -> None:
    own.machine(Pass={"Type": "Pass", "End": True})  # all is loaded
    server = psutil.Process(own.cloud.pid)
    server.rlimit(psutil.RLIMIT_NOFILE, (200, 200))
    with ExitStack() as stack:
        for _ in range(300):  # each is answered
            stack.enter_context(closing(health(own)))
        assert server.num_fds() < 180
    assert "cannot accept" not in (own.cloud.home / "aws.log").read_text()


def test_a_request_with_a_head_of_more_than_64_kb_is_refused(aws: Aws) -> None:
    for path, header in (("/", "x" * 70_000), (f"/{'x' * 70_000}", "")):
        with closing(http.client.HTTPConnection("127.0.0.1", aws.cloud.port, timeout=30)) as connection:
            connection.request("GET", path, headers={"x-a": header})
            assert connection.getresponse().status == 400
    health(aws).close()


def test_the_server_may_open_as_many_files_as_its_user(aws: Aws) -> None:
    soft, hard = psutil.Process(aws.cloud.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Aws]:
    """A local AWS for one test, with two concurrent calls of Lambda."""
    settings = {"LAMBDA_ACCOUNT_CONCURRENCY": "2", "SAGEMAKER_IMAGES": str(images(tmp_path))}
    with running(home=tmp_path / "home", environment=settings) as cloud:
        yield Aws(cloud)


@pytest.mark.rotated
@pytest.mark.drill("input", "connections above the limit", "they wait, and the log stays short")
@pytest.mark.cloud
def test_connections_above_the_limit_wait_and_fill_no_log(own: Aws) -> None:
    own.machine(Pass={"Type": "Pass", "End": True})  # all is loaded
    server = psutil.Process(own.cloud.pid)
    limit = server.rlimit(psutil.RLIMIT_NOFILE)
    log = own.cloud.home / "aws.log"
    server.rlimit(psutil.RLIMIT_NOFILE, (server.num_fds() + 10, limit[1]))
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", own.cloud.port), 10)))
        until(lambda: "cannot accept connections" in log.read_text())
        time.sleep(3)  # asyncio tries again each second
        assert log.read_text().count("cannot accept connections") == 1
        assert log.stat().st_size < 10_000
    server.rlimit(psutil.RLIMIT_NOFILE, limit)
    health(own).close()


@pytest.mark.drill("input", "a body over API Gateway's 10 MB", "413 while it arrives")
def test_a_body_above_api_gateways_quota_is_refused_while_it_arrives(aws: Aws) -> None:
    api = imported(aws, unique("large"))["Outputs"]["Api"]
    path = f"/_aws/execute-api/{api}/v1/said"
    lengths = {"Content-Length": str(11 << 20)}, {"Transfer-Encoding": "chunked"}
    for headers in lengths:
        connection = http.client.HTTPConnection("127.0.0.1", aws.cloud.port, timeout=30)
        with closing(connection):
            connection.putrequest("POST", path)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            sent = 0
            if "Transfer-Encoding" in headers:
                try:
                    while sent < 12 << 20:  # the body never ends
                        connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                        sent += 65536
                except (BrokenPipeError, ConnectionResetError):
                    pass
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["message"]) == (413, "Request Too Long")


@pytest.mark.drill("race", "more calls at once than Lambda's limit", "429 in time; the others are answered")
@pytest.mark.cloud
def test_a_call_above_the_limit_of_lambda_gets_429_in_time(own: Aws, tmp_path: Path) -> None:
    client = own.client("lambda", retries={"total_max_attempts": 1}, max_pool_connections=10, read_timeout=60)
    arn, end = own.function("import time", "while not os.path.exists(event): time.sleep(0.01)"), tmp_path / "end"
    assert own.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 2

    def call(_: int) -> tuple[str, float]:
        began = time.monotonic()
        try:
            client.invoke(FunctionName=arn, Payload=json.dumps(str(end)).encode())
        except client.exceptions.TooManyRequestsException as error:
            return error.response["Reason"], time.monotonic() - began
        return "", time.monotonic() - began

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call, number) for number in range(6)]
        until(lambda: sum(each.done() for each in calls) == 4)
        end.touch()
        told = [each.result() for each in calls]
    assert Counter(reason for reason, _ in told) == {"": 2, "ConcurrentInvocationLimitExceeded": 4}
    assert max(seconds for reason, seconds in told if reason) < 10
    with ThreadPoolExecutor(3) as pool:
        assert [reason for reason, _ in pool.map(call, range(9))] == [""] * 9, "they wait for their turn"


@pytest.mark.drill("race", "60 cold calls at once", "all are answered, by at most eight workers per core")
def test_many_cold_starts_at_once_are_answered_by_few_workers(aws: Aws) -> None:
    client = aws.client("lambda", retries={"total_max_attempts": 1}, max_pool_connections=20, read_timeout=100)
    arn = aws.function("return os.getpid()")

    def call(_: int) -> Any:
        return json.load(client.invoke(FunctionName=arn, Payload=b"{}")["Payload"])

    with ThreadPoolExecutor(12) as pool:
        workers = Counter(pool.map(call, range(60)))
    assert sum(workers.values()) == 60
    assert len(workers) <= 8 * (os.cpu_count() or 1)


def test_at_most_half_of_the_cores_start_workers_at_once(aws: Aws, tmp_path: Path) -> None:
    client = aws.client("lambda", retries={"total_max_attempts": 1}, read_timeout=100)
    init = "import time\nBEGAN = time.monotonic()\ntime.sleep(0.2)\nENDED = time.monotonic()"
    arn = aws.function(
        "open(f'{event}/{os.getpid()}', 'w').close()",
        "while len(os.listdir(event)) < 4: time.sleep(0.01)",
        "return BEGAN, ENDED",
        init=init,
    )

    def call(_: int) -> Any:
        return json.load(client.invoke(FunctionName=arn, Payload=json.dumps(str(tmp_path)).encode())["Payload"])

    with ThreadPoolExecutor(4) as pool:
        starts = list(pool.map(call, range(4)))
    most = max(sum(began <= moment < ended for began, ended in starts) for moment, _ in starts)
    assert (len(list(tmp_path.iterdir())), most <= max(1, (os.cpu_count() or 1) // 2)) == (4, True)


@pytest.mark.drill("disk full", "a job fills its volume", "the job fails with that reason and leaves nothing")
def test_a_job_fails_when_its_volume_is_full(aws: Aws) -> None:
    output = processing_output(f"s3://{aws.bucket}/full")
    job = aws.processed(FILLS_ITS_VOLUME, ProcessingOutputConfig=output)
    reason = "ClientError: No space left on device: the volume of algo-1 has 1 GB (VolumeSizeInGB)"
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert aws.keys("full/") == []
    folder = aws.cloud.home / "jobs" / "processing-job" / job["ProcessingJobName"]
    assert used(folder) == 0


@pytest.mark.rotated
@pytest.mark.drill(
    "disk full",
    "PutObject, UploadPart and CompleteMultipartUpload",
    "InternalError, the cause in the log, no half object",
)
@pytest.mark.cloud
def test_a_full_disk_is_an_error_of_s3_with_its_cause_in_the_log(own: Aws) -> None:
    s3 = own.client("s3", retries={"total_max_attempts": 1})
    upload = s3.create_multipart_upload(Bucket=own.bucket, Key="parts")["UploadId"]
    part = {"Bucket": own.bucket, "Key": "parts", "UploadId": upload, "PartNumber": 1}
    psutil.Process(own.cloud.pid).rlimit(
        psutil.RLIMIT_FSIZE, (1 << 20, 1 << 20)
    )  # a write above fails, as on a full disk
    for call, request in ((s3.put_object, {"Bucket": own.bucket, "Key": "large"}), (s3.upload_part, part)):
        code, message = refused(call, **request, Body=b"x" * (2 << 20))
        assert (code, "File too large" in message) == ("InternalError", True)
    assert (own.cloud.home / "aws.log").read_text().count("OSError: [Errno 27] File too large") >= 2
    assert own.keys("") == []
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(**part, Body=b"x" * 1000)["ETag"]}]
    parts.append({"PartNumber": 2, "ETag": s3.upload_part(**{**part, "PartNumber": 2}, Body=b"x" * 1000)["ETag"]})
    psutil.Process(own.cloud.pid).rlimit(psutil.RLIMIT_FSIZE, (1500, 1500))
    whole = {"Bucket": own.bucket, "Key": "parts", "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    assert refused(s3.complete_multipart_upload, **whole)[0] == "InternalError"
    assert own.keys("") == []


@pytest.mark.drill("disk full", "a log that grows and grows", "it begins anew; the part before is kept once")
def test_a_long_log_begins_anew_and_keeps_the_part_before(tmp_path: Path) -> None:
    path, written = tmp_path / "aws.log", threading.Event()
    path.write_text("of the start before")
    with log_file.begin(path) as log:
        assert log_file.earlier(path).read_text() == "of the start before"
        log_file.keep_short(path, seconds=0.01, longest=100)
        log.write(b"x" * 200)
        log.flush()
        until(lambda: path.stat().st_size == 0)
        log.write(b"after")
        log.flush()
        written.set()
    assert (path.read_bytes(), log_file.earlier(path).read_bytes()) == (b"after", b"x" * 200)


def test_what_a_folder_occupies_are_the_blocks_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"x" * 100_000)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(GIGABYTE)
    assert 100_000 <= used(tmp_path) < 200_000


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Aws]:
    """A local AWS for one test, with the default settings."""
    with running(home=tmp_path / "home") as cloud:
        yield Aws(cloud)


@pytest.mark.drill("input", "25 new connections a second at 1024 descriptors", "all are answered")
@pytest.mark.cloud
@pytest.mark.full
@pytest.mark.timeout(300)
def test_25_new_connections_a_second_for_a_minute_fit_into_1024_descriptors(alone: Aws) -> None:
    server, seconds, rate = psutil.Process(alone.cloud.pid), 60, 25
    server.rlimit(psutil.RLIMIT_NOFILE, (1024, 1024))
    open_files, began = list[int](), time.monotonic()
    for number in range(seconds * rate):
        health(alone).close()
        open_files.append(server.num_fds())
        time.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
    assert max(open_files) < open_files[0] + 50
    assert "cannot accept" not in (alone.cloud.home / "aws.log").read_text()


@pytest.mark.drill("race", "500 cold calls at once", "all end within 60 s in less than 1.5 GB")
@pytest.mark.cloud
@pytest.mark.full
@pytest.mark.timeout(300)
def test_500_cold_calls_at_once_end_within_a_minute_and_in_little_memory(alone: Aws) -> None:
    options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 500, "read_timeout": 200}
    client, server = alone.client("lambda", **options), psutil.Process(alone.cloud.pid)
    arn, over, most = alone.function("return os.getpid()"), threading.Event(), [0]

    def call(_: int) -> str:
        try:
            client.invoke(FunctionName=arn, Payload=b"{}")
        except client.exceptions.TooManyRequestsException:
            return "429"
        return "200"

    def measure() -> None:
        while not over.wait(0.5):
            most[0] = max(most[0], sum(memory(each) for each in [server, *server.children(recursive=True)]))

    watch = threading.Thread(target=measure)
    watch.start()
    began = time.monotonic()
    with ThreadPoolExecutor(500) as pool:
        told = Counter(pool.map(call, range(500)))
    seconds = time.monotonic() - began
    over.set()
    watch.join()
    print(told, f"{seconds:.1f} s, {most[0] >> 20} MB")
    assert set(told) <= {"200", "429"}
    assert (seconds < 60, most[0] < 3 * GIGABYTE // 2) == (True, True)
    assert call(0) == "200"


def memory(process: psutil.Process) -> int:
    """The bytes that a process has for itself and its share of those that it has with others."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
