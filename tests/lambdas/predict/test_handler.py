"""The package as Lambda loads it: a fresh process, the handler's name, and its two kinds of events."""

import json
import os
import subprocess
import sys
from pathlib import Path

from cdk.api.openapi import write_package
from pipeline.config import Settings

RUN = """
import json, sys
from predict.handler import handle
for event in json.load(sys.stdin):
    print(json.dumps(handle(event, None)))
"""


def test_the_packaged_handler_answers_calls_and_golden_rows(
    settings: Settings, package: Path, environment: dict[str, str]
) -> None:
    golden = [row.model_dump(exclude_none=True) for row in settings.endpoint.golden]
    body = json.dumps({"data": ",".join(map(repr, golden[0]["row"]))})
    path = settings.api.path
    event = {"httpMethod": "POST", "resource": path, "path": path, "headers": None, "body": body}
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    events, command = json.dumps([event, {"golden": golden}]), [sys.executable, "-c", RUN]
    output = subprocess.check_output(command, input=events, env=paths | environment, text=True)
    log, answer, *asked, checked = map(json.loads, output.splitlines())
    assert (log["status"], answer["statusCode"], answer["body"]) == (200, 200, '"B"')
    assert [(line["resource"], line["status"]) for line in asked] == [("/predictions", 200)] * 2
    assert checked == {"ok": True, "checked": 2}


def test_the_same_settings_give_the_same_package(settings: Settings, package: Path, tmp_path: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    again = write_package(settings, write_package(settings, tmp_path / "again"))
    assert files(again) == files(package)
    assert not any("__pycache__" in name for name in files(package))
