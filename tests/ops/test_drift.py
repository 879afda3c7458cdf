"""`ops drift` and `ops feedback`: on the shared pipeline, and, from traffic to a new run, on one of their own."""

import csv
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from local_aws.cloud import running

from ops.account import Account, OpsError
from ops.drift import check, described
from ops.output import show
from ops.predict import example
from ops.runs import describe, find
from pipeline.config import load
from tests.conftest import ROOT, SHIPPED, UNMEASURED, WDBC, Deployed, deploy, subscribed, wait_for
from tests.lambdas.predict.conftest import Answer, served
from tests.lambdas.predict.signed import Consumer
from tests.ops.typing import typed

WRONG = tomllib.loads(Path(__file__).with_name("wrong_feedback.toml").read_text("utf-8"))["wrong"]
STAGE = """
[stage.own.drift]
retrain = "always"
schedule = ""
"""


@pytest.mark.parametrize("case", WRONG, ids=[case["message"] for case in WRONG])
def test_feedback_that_cannot_be_joined_is_refused_with_its_line(tmp_path: Path, case: dict[str, Any]) -> None:
    file = tmp_path / "ground_truth.csv"
    file.write_text(case["text"], encoding="utf-8")
    with pytest.raises(OpsError) as refused:
        check(file, tuple(case.get("classes", ("B", "M"))))
    assert str(refused.value) == f"{file}{case['message']}"


def test_feedback_as_spreadsheets_write_it_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "ground_truth.csv"
    file.write_text("inference_id,row,label\r\nx,1,B\r\ny,,M\r\n", encoding="utf-8-sig", newline="")
    assert check(file, ("B", "M")) == 2


def test_files_of_one_name_are_all_kept_and_read_in_the_order_of_their_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, str] = {}

    def keep(request: BaseHTTPRequestHandler, body: str) -> Answer:
        kept[request.path] = body
        return 200, {}, b""

    file, texts = tmp_path / "truth.csv", [f"inference_id,row,label\nx,1,{label}\n" for label in "BMB"]
    with served(keep) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        account = Account(load(ROOT / "pipeline.toml"), boto3.Session("AKID", "test", region_name="us-east-1"))
        vars(account)["outputs"] = {"DataBucket": "bucket"}
        monkeypatch.setattr(Account, "of", lambda *_: account)
        shown = []
        for text in texts:
            file.write_text(text)
            shown.append(typed("feedback", str(file), "--json").document)
    assert [kept[path] for path in sorted(kept)] == texts
    assert shown == [{"uploaded": f"s3:/{path}", "rows": 1} for path in sorted(kept)]
    assert all(re.fullmatch(r"/bucket/ground-truth/\d{4}-\d\d-\d\d/\d{12}-truth\.csv", path) for path in kept)


def test_categories_have_no_ks_and_their_unknown_levels_are_out_of_range(capsys: pytest.CaptureFixture[str]) -> None:
    details = json.loads(Path(__file__).with_name("kinds.json").read_text("utf-8"))["drift"]
    when = datetime(2026, 7, 31, tzinfo=UTC)
    found = {"verdict": "drift", "reason": details["breaches"][0], "when": when, "warnings": []}
    show(described(found, details))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "2026-07-31 00:00:00 drift: sex: PSI 0.31 is above 0.2",
        "feature  PSI   KS    missing  out of range",
        "sex      0.31  -     0        0.04",
        "deck     0.02  -     0.776    0",
        "age      0.01  0.02  0.19     0",
        "alone    0     -     0        0",
        "a level that the training data lack is out of range; categories have no KS",
    ]


def test_the_warnings_of_a_check_follow_its_reason() -> None:
    when = datetime(2026, 7, 31, tzinfo=UTC)
    found = {"verdict": "no drift", "reason": "9 rows", "when": when, "warnings": ["denied"]}
    assert [*described(found, {})] == ["2026-07-31 00:00:00 no drift: 9 rows", "warning: denied"]


def give_feedback(folder: Path, labels: list[tuple[str, int, str]]) -> None:
    file = folder / "ground_truth.csv"
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows([("inference_id", "row", "label"), *labels])
    assert typed("feedback", str(file), "--json").document["rows"] == len(labels)


def checked(enough: Callable[[Any], bool]) -> Any:
    """The first check with enough data: data capture writes within a second or two."""

    def check_now() -> Any:
        answer = typed("drift", "--now", "--json")
        return answer if enough(answer.document["details"]) else None

    return wait_for(check_now)


@pytest.mark.cloud
def test_traffic_that_moved_is_drift_and_its_ground_truth_is_joined(live: Deployed, tmp_path: Path) -> None:
    labels = Traffic(live).send(3000, shift=3, name="shifted")
    give_feedback(tmp_path, labels)
    answer = checked(lambda details: details["quality"]["joined"] >= len(labels))
    assert (answer.code, answer.document["verdict"]) == (3, "drift"), answer.out
    assert any(breach.startswith("radius_mean: ") for breach in answer.document["details"]["breaches"])
    assert typed("drift").out.startswith(f"{answer.document['when'][:10]} ")
    assert typed("status", "--json").document["drift"]["verdict"] == "drift"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A pipeline that retrains on drift, with a model that is live."""
    folder = tmp_path_factory.mktemp("drift")
    config = folder / "pipeline.toml"
    config.write_text(SHIPPED.read_text() + STAGE)
    with (
        pytest.MonkeyPatch.context() as patched,
        running(environment={"SFN_WAIT_SCALE": "0.01", **UNMEASURED}) as cloud,
    ):
        patched.setenv("PIPELINE_CONFIG", str(config))
        patched.setenv("STAGE", "own")
        made = deploy(cloud, config, patched)
        run = made.run("wdbc.csv", WDBC.read_bytes())
        assert run.outcome == "accepted", run
        yield made


class Traffic:
    """Rows of the training data, posted to the endpoint through data capture, 50 per request."""

    def __init__(self, own: Deployed) -> None:
        self._runtime, self._generator = own.client("sagemaker-runtime"), np.random.default_rng(0)
        with WDBC.open() as lines:
            table = list(csv.DictReader(lines))
        names = own.account.settings.data.features
        self._rows = np.array([[float(line[name]) for name in names] for line in table])
        self._labels = [line["diagnosis"] for line in table]

    def send(self, count: int, *, shift: float = 0.0, name: str = "") -> list[tuple[str, int, str]]:
        """(inference id, row, true label) of each row."""
        chosen = self._generator.integers(0, len(self._rows), count)
        rows = self._rows[chosen]
        rows[:, 0] += shift * self._rows[:, 0].std(ddof=1)
        for start in range(0, count, 50):
            body = "\n".join(",".join(map(repr, map(float, row))) for row in rows[start : start + 50])
            request = {"EndpointName": "breast-cancer", "ContentType": "text/csv", "Accept": "application/json"}
            self._runtime.invoke_endpoint(Body=body, InferenceId=f"{name}-{start}", **request)
        ids = ((f"{name}-{place - place % 50}", place % 50 + 1) for place in range(count))
        return [(*each, self._labels[row]) for each, row in zip(ids, chosen, strict=True)]


@pytest.mark.full
@pytest.mark.cloud
@pytest.mark.timeout(600)
def test_shifted_traffic_sets_the_alarm_notifies_and_starts_a_run(own: Deployed, tmp_path: Path) -> None:
    traffic = Traffic(own)

    with subscribed(own) as messages:
        # Fifty requests are never drift, however far they have moved.
        traffic.send(50, shift=9, name="few")
        assert checked(lambda details: details.get("rows", 0) >= 50).document["verdict"] == "not enough data"
        alarm = own.client("cloudwatch")
        assert state(alarm) != "ALARM"

        labels = traffic.send(2000, name="same")
        answer = Consumer(own).post("/predictions", example(own.account).row, "text/csv")
        labels.append((answer.headers["X-Inference-Id"], 1, answer.json()["predictions"][0]["label"]))
        same = checked(lambda details: details.get("rows", 0) >= 2051)
        assert (same.code, same.document["verdict"]) == (0, "no drift"), same.out

        # Their ground truth, by inference id and row; one of them came through the API.
        give_feedback(tmp_path, labels)
        quality = typed("drift", "--now", "--json").document["details"]["quality"]
        assert (quality["joined"], quality["unknown"]) == (2001, 0)
        assert quality["metrics"]["accuracy"] > 0.95
        assert state(alarm) != "ALARM"

        before = own.executions()
        traffic.send(2000, shift=1, name="moved")
        moved = checked(lambda details: details.get("rows", 0) >= 4050)
        assert (moved.code, moved.document["verdict"]) == (3, "drift"), moved.out
        assert all(breach.startswith("radius_mean: ") for breach in moved.document["details"]["breaches"])
        assert "drift: drift, radius_mean" in typed("status").out

        started = wait_for(lambda: next(iter(own.executions() - before), None))
        run = wait_for(lambda: ended if not (ended := describe(own.account, started)).running else None)
        assert (run.started_by, run.status) == ("drift", "SUCCEEDED")
        assert wait_for(lambda: "ALARM" if state(alarm) == "ALARM" else None)
        # All messages: a queue returns ten at a time.
        notified = json.dumps(list(iter(messages, [])))
        assert '"outcome": "drift"' in notified
        assert "radius_mean: PSI" in notified
        assert '"AlarmName": "breast-cancer-drift"' in notified


def state(alarm: Any) -> str:
    (found,) = alarm.describe_alarms(AlarmNames=["breast-cancer-drift"])["MetricAlarms"]
    return str(found["StateValue"])


@pytest.mark.cloud
@pytest.mark.full
def test_a_check_that_fails_says_why(own: Deployed) -> None:
    """The profile of the live model's run is gone."""
    live = find(own.account)
    key = f"runs/{live.name}/evaluation/profile.json"
    Traffic(own).send(50, name="failing")
    own.account.s3.delete_object(Bucket=own.account.outputs["DataBucket"], Key=key)
    answer = typed("drift", "--now")
    assert answer.code == 1
    assert "profile.json" in answer.out
    assert "did the run that trained the live model write it?" in answer.out
