"""`ops retrain` and `ops watch` against a deployed stack, on data that its jobs refuse."""

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.account import Account, OpsError
from ops.retrain import newest_run, start
from ops.runs import latest
from pipeline.config import load
from tests.conftest import ROOT, WDBC, Deployed
from tests.ops.typing import typed


@pytest.fixture
def quiet(deployed: Deployed) -> Iterator[Deployed]:
    """The stack with data that has had its run."""
    deployed.run("a.csv", b"x")
    yield deployed
    deployed.clear()


@pytest.mark.cloud
def test_only_force_runs_the_same_data_again_and_nothing_runs_without_data(quiet: Deployed) -> None:
    before = latest(quiet.account, limit=100)
    last = before[0].name
    text = f"nothing new: run {last} had this data and these settings, and is FAILED; --force runs them again\n"
    answer = typed("retrain")
    assert (answer.code, answer.out) == (4, text)
    assert latest(quiet.account, limit=100) == before
    answer = typed("retrain", "--force")
    again, *others = latest(quiet.account, limit=100)
    assert (answer.code, answer.out) == (0, f"started: run {again.name}, 1 objects\n")
    assert again.name.rpartition("-")[0] == last
    assert others == before
    quiet.clear()
    folder = f"s3://{quiet.account.outputs['DataBucket']}/raw/"
    answer = typed("retrain", "--force")
    assert (answer.code, answer.out) == (4, f"no data: {folder} is empty: upload a CSV\n")


@pytest.mark.cloud
def test_watch_waits_for_the_run_of_the_newest_upload(quiet: Deployed) -> None:
    quiet.put("b.csv", b"y")
    started = newest_run(quiet.account)
    assert started.request["reason"] == "upload"
    assert latest(quiet.account, limit=1)[0].name == started.name


@pytest.mark.cloud
def test_a_wrong_file_stops_each_run_until_it_is_removed(deployed: Deployed) -> None:
    deployed.run("wrong.csv", b"a,b\n1,2\n")
    bucket, before = deployed.account.outputs["DataBucket"], deployed.executions()
    deployed.account.s3.put_object(Bucket=bucket, Key="raw/right.csv", Body=WDBC.read_bytes())
    run = deployed.ended(deployed.started(before))
    assert run.status == "FAILED"
    failure = f"{run.outcome} {run.why}"
    assert "wrong.csv, row 1: missing column " in failure
    assert "or take the file away: ops data remove wrong.csv" in failure
    before = deployed.executions()
    assert typed("data", "remove", "wrong.csv").out.startswith("removed wrong.csv; ")
    assert typed("retrain").code == 0
    run = deployed.ended(deployed.started(before))
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    deployed.clear()


def test_a_function_that_fails_is_an_error_with_its_message() -> None:
    error = json.dumps({"errorType": "AccessDenied", "errorMessage": "no access to the bucket"}).encode()

    def invoke(**request: Any) -> dict[str, Any]:
        assert json.loads(request["Payload"]) == {"reason": "manual", "force": False}
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(error)}

    session = SimpleNamespace(client=lambda service: SimpleNamespace(invoke=invoke))
    account = Account(load(ROOT / "pipeline.toml"), cast(Any, session))
    vars(account)["outputs"] = {"TriggerFunction": "trigger"}
    with pytest.raises(OpsError, match=r"^trigger: AccessDenied: no access to the bucket$"):
        start(account, force=False)
