"""The API while data arrives: cold starts, jobs and releases do not starve its callers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import WDBC, Deployed
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(600)]
RATE, UPLOADS, SECONDS = 20, 10, 60
ROW = ",".join(WDBC.read_text().splitlines()[1].split(",")[2:])


def test_20_requests_a_second_are_answered_during_ten_uploads(live: Deployed) -> None:
    consumer, body = Consumer(live), f'{{"data": "{ROW}"}}'
    taken, statuses = list[float](), list[int]()
    bucket = live.account.outputs["DataBucket"]

    def ask(due: float) -> None:
        time.sleep(max(0.0, due - time.monotonic()))
        answer = consumer.session.post(
            consumer.url + consumer.path, body, headers={"Content-Type": "application/json"}, timeout=60
        )
        taken.append(time.monotonic() - due)
        statuses.append(answer.status_code)

    def upload() -> None:
        for number in range(UPLOADS):
            live.account.s3.put_object(Bucket=bucket, Key=f"raw/beside-{number}.csv", Body=WDBC.read_bytes())
            time.sleep(SECONDS / UPLOADS)

    uploading = threading.Thread(target=upload)
    uploading.start()
    began = time.monotonic()
    with ThreadPoolExecutor(100) as pool:
        list(pool.map(ask, [began + number / RATE for number in range(RATE * SECONDS)]))
    uploading.join()
    taken.sort()
    print(f"p50 {taken[len(taken) // 2]:.3f} s, p99 {taken[-len(taken) // 100]:.3f} s, most {taken[-1]:.3f} s")
    assert set(statuses) == {200}
    assert taken[-len(taken) // 100] < 2
