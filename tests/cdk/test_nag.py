"""cdk-nag runs at every synthesis; what it finds is answered or ends it."""

import tomllib
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_s3 as s3

from cdk.app import build
from cdk.nag import SUPPRESSIONS, add_checks
from pipeline.config import load

ROOT = Path(__file__).parent.parent.parent


def test_a_finding_without_an_answer_ends_the_synthesis(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path), analytics_reporting=False)
    stack = Stack(app, "open")
    s3.Bucket(stack, "Open")
    add_checks(app, stack, "pipeline", "open")
    with pytest.raises(Exception, match=r"AwsSolutions::AwsSolutions-S1"):
        app.synth()


def test_every_answer_has_a_reason_and_answers_one_rule_on_named_constructs() -> None:
    answers = [finding for kind in tomllib.loads(SUPPRESSIONS.read_text()).values() for finding in kind]
    assert [answer for answer in answers if not answer["reason"] or not answer["on"]] == []
    single = [(answer["rule"], place) for answer in answers for place in answer["on"]]
    assert len(set(single)) == len(single)


def test_nothing_is_found_in_a_named_account_either(tmp_path: Path) -> None:
    build(load(ROOT / "pipeline.toml"), region="eu-west-1", account="123456789012", out=tmp_path).synth()
