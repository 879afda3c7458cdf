"""cdk-nag runs at every synthesis; a finding that is not suppressed ends it."""

import tomllib
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_s3 as s3

from cdk.app import SUPPRESSIONS, add_checks
from pipeline.config import load
from tests.cdk.conftest import synthesise
from tests.conftest import ROOT


def test_a_finding_that_is_not_suppressed_ends_the_synthesis(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path), analytics_reporting=False)
    stack = Stack(app, "open")
    s3.Bucket(stack, "Open")
    add_checks(app, stack, "pipeline", "open")
    with pytest.raises(Exception, match=r"AwsSolutions::AwsSolutions-S1"):
        app.synth()


def test_every_suppression_has_a_reason_and_each_rule_is_suppressed_once_per_construct() -> None:
    table = [item for kind in tomllib.loads(SUPPRESSIONS.read_text()).values() for item in kind]
    assert [item for item in table if not item["reason"] or not item["on"]] == []
    single = [(rule, path) for item in table for rule in item["rules"] for path in item["on"]]
    assert len(set(single)) == len(single)


def test_nothing_is_found_in_a_named_account_either(tmp_path: Path) -> None:
    synthesise(load(ROOT / "pipeline.toml"), tmp_path, "123456789012")
