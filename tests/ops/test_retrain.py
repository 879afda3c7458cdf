"""`ops retrain`, as a person types it against a deployed stack."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from local_aws.cloud import ACCOUNT, running
from rich.console import Console

from ops import runs, watch
from ops.account import Account
from ops.retrain import RetrainFailed, retrain
from pipeline.config import load
from tests.conftest import ROOT, Deployed

pytestmark = pytest.mark.cloud


def typed(deployed: Deployed, *options: str) -> tuple[int, str]:
    done = deployed.command(".venv/bin/python", "-m", "ops", "retrain", *options, check=False)
    return done.returncode, done.stdout + done.stderr


def count(deployed: Deployed) -> int:
    return len(runs.latest(deployed.account, limit=100))


@pytest.fixture
def quiet(deployed: Deployed) -> Iterator[Deployed]:
    """The stack with data that has had its run."""
    deployed.run("a.csv", b"x")
    yield deployed
    deployed.clear()


def test_nothing_new_starts_nothing_and_says_which_run_it_was(quiet: Deployed) -> None:
    before, last = count(quiet), runs.latest(quiet.account, limit=1)[0]
    told = f"nothing new: run {last.name} had this data and these settings, and is FAILED; --force runs them again\n"
    assert typed(quiet) == (4, told)
    assert count(quiet) == before


def test_force_runs_the_same_data_again(quiet: Deployed) -> None:
    before, last = count(quiet), runs.latest(quiet.account, limit=1)[0]
    code, told = typed(quiet, "--force")
    again = runs.latest(quiet.account, limit=1)[0]
    assert (code, told) == (0, f"started: run {again.name}, 1 objects\n")
    assert again.name.rpartition("-")[0] == last.name
    assert count(quiet) == before + 1


def test_without_data_there_is_nothing_to_run(quiet: Deployed) -> None:
    quiet.clear()
    folder = f"s3://{quiet.account.outputs['DataBucket']}/raw/"
    assert typed(quiet, "--force") == (4, f"no data: {folder} is empty: upload a CSV\n")


def test_watch_waits_for_the_run_of_the_newest_upload(quiet: Deployed) -> None:
    quiet.put("b.csv", b"y")
    started = watch.newest_run(quiet.account, Console(quiet=True))
    described = quiet.account.states.describe_execution(executionArn=started.arn)
    assert json.loads(described["input"])["reason"] == "upload"
    assert runs.latest(quiet.account, limit=1)[0].name == started.name


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """A stack whose function fails."""
    with running() as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        session = boto3.Session(region_name=cloud.environment["AWS_REGION"])
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr(
                "broken.py", "def handle(event, context):\n    raise ValueError('no access to the bucket')\n"
            )
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        session.client("iam").create_role(RoleName="none", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        functions: Any = session.client("lambda")
        functions.create_function(
            FunctionName="broken",
            Runtime="python3.12",
            Handler="broken.handle",
            Role=f"arn:aws:iam::{ACCOUNT}:role/none",
            Code={"ZipFile": package.getvalue()},
        )
        account = Account(load(ROOT / "pipeline.toml"), session)
        account.__dict__["outputs"] = {"Retrain": "broken"}
        yield account


def test_a_function_that_fails_is_an_error_in_its_own_words(broken: Account) -> None:
    with pytest.raises(RetrainFailed, match=r"^broken: \S+: no access to the bucket$"):
        retrain(broken, force=False)
