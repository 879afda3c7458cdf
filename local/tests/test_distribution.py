"""The distribution alone: installed into an empty environment, it runs the commands of its README."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1]


@pytest.mark.cloud
@pytest.mark.full
@pytest.mark.timeout(600)
def test_an_installed_copy_runs_the_readme(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "VIRTUAL"))}
    own["PATH"] = os.pathsep.join([str(tmp_path / "venv/bin"), str(Path(sys.executable).parent), own["PATH"]])

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("uv", "venv", "--quiet", "--python", sys.executable, "venv")
    shutil.copytree(SOURCE, tmp_path / "local", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run("uv", "pip", "install", "--quiet", "--python", "venv/bin/python", "./local")
    shutil.rmtree(tmp_path / "local")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    commands = (SOURCE / "README.md").read_text(encoding="utf-8").split("```sh\n")[1].partition("```")[0]
    commands = commands.replace("pip install ./local\n", "").replace("4566", port)
    commands = commands.replace("local-aws start", f"local-aws start --port {port}")
    try:
        assert "models/first/output/model.tar.gz" in run("bash", "-ec", commands)
    finally:
        run("local-aws", "stop")
