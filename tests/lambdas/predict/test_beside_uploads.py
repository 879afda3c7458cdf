"""The API while data arrives: cold starts, jobs and releases do not starve its callers."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from requests.adapters import HTTPAdapter

from tests.conftest import WDBC, Deployed
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.alone]
ROW = ",".join(WDBC.read_text().splitlines()[1].split(",")[2:])
COLD_SECONDS = 10.0
"""After a cold start, answers take longer for so long."""
CALLERS, SAMPLES = 100, 20
MINUTES = int(os.environ.get("LOAD_MINUTES", "2"))


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[-len(seconds) // 100]


class Beside:
    """Calls that start when they are due, `rate` per second, beside uploads that are `apart` seconds from each other."""

    def __init__(self, live: Deployed, rate: int) -> None:
        self.consumer, self.live, self.rate = Consumer(live), live, rate
        self.consumer.session.mount("http://", HTTPAdapter(pool_maxsize=CALLERS, max_retries=0))
        self.answers: list[tuple[float, float, int, str]] = []
        """When each call was due (seconds from the first), how long it took from then, its status and its answer."""

    def ask(self, due: float) -> None:
        time.sleep(max(0.0, self.began + due - time.monotonic()))
        kind = {"Content-Type": "application/json"}
        url = self.consumer.url + self.consumer.path
        answer = self.consumer.session.post(url, f'{{"data": "{ROW}"}}', headers=kind, timeout=60)
        self.answers.append((due, time.monotonic() - self.began - due, answer.status_code, answer.text))

    def upload(self, uploads: int, apart: float) -> None:
        bucket = self.live.account.outputs["DataBucket"]
        for number in range(uploads):
            key = f"raw/beside-{self.rate}-{number}.csv"
            self.live.account.s3.put_object(Bucket=bucket, Key=key, Body=WDBC.read_bytes())
            time.sleep(apart)

    def run(self, uploads: int, apart: float) -> list[tuple[int, int]]:
        """Return the local AWS's resident bytes and descriptors, SAMPLES times."""
        server, samples = psutil.Process(self.live.cloud.pid), list[tuple[int, int]]()
        uploading = threading.Thread(target=self.upload, args=(uploads, apart))
        uploading.start()
        self.began = time.monotonic()
        calls = round(self.rate * uploads * apart)
        with ThreadPoolExecutor(CALLERS) as pool:
            for number, _ in enumerate(pool.map(self.ask, [number / self.rate for number in range(calls)])):
                if number % (calls // SAMPLES) == 0:
                    samples.append((server.memory_info().rss, server.num_fds()))
        uploading.join()
        taken = [seconds for _, seconds, _, _ in self.answers]
        print(f"{len(taken)} calls: p99 {p99(taken):.3f} s, most {max(taken):.3f} s")
        print(*(f"{rss / 2**20:.0f} MiB, {descriptors} descriptors" for rss, descriptors in samples), sep="\n")
        return samples


@pytest.mark.timeout(600)
def test_20_requests_a_second_are_answered_during_ten_uploads(live: Deployed) -> None:
    beside = Beside(live, 20)
    beside.run(uploads=10, apart=6)
    assert {(status, answer) for _, _, status, answer in beside.answers} == {(200, '"M"')}
    assert p99([seconds for _, seconds, _, _ in beside.answers]) < 2


@pytest.mark.timeout(1200)
@pytest.mark.drill(
    "load", "40 requests a second, with a retraining each minute", "all are answered right; memory stays flat"
)
def test_requests_for_minutes_of_a_retraining_each(live: Deployed) -> None:
    before = live.executions()
    live.kill_workers()  # a cold start
    beside = Beside(live, 40)
    samples = beside.run(uploads=MINUTES, apart=60)
    assert {(status, answer) for _, _, status, answer in beside.answers} == {(200, '"M"')}
    runs = [live.ended(execution).outcome for execution in live.executions() - before]
    assert runs == ["accepted"] * MINUTES
    early, late = samples[SAMPLES // 4 : SAMPLES // 2], samples[-SAMPLES // 4 :]
    for place in range(2):
        assert min(each[place] for each in late) < 1.1 * max(each[place] for each in early)
    warm = p99([seconds for due, seconds, _, _ in beside.answers if due >= COLD_SECONDS])
    print(f"p99 after {COLD_SECONDS:.0f} s: {warm * 1000:.0f} ms")
