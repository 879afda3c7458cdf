"""The container as its callers see it: a folder laid out as /opt/ml, two commands, HTTP."""

import contextlib
import http.client
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from local_aws.linear_learner import train
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parents[2]
Table = NDArray[np.float64]


def csv(table: Table) -> bytes:
    return "\n".join(",".join(map(repr, row)) for row in table.tolist()).encode()


def lay_out(
    root: Path,
    channels: Mapping[str, Table | bytes | str | dict[str, bytes] | dict[str, str]],
    content_type: str | None = "text/csv",
    /,
    **given: Any,
) -> Path:
    """Write the input of a training job: each channel a table (label first), the text of a file, or files by name."""
    config: dict[str, dict[str, str]] = {}
    for name, content in channels.items():
        files = content if isinstance(content, dict) else {"part-0": content}
        for file, data in files.items():
            path = root / "input/data" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            text = csv(data) if isinstance(data, np.ndarray) else data
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        config[name] = {"TrainingInputMode": "File"} | ({"ContentType": content_type} if content_type else {})
    (root / "input/config").mkdir(parents=True, exist_ok=True)
    (root / "input/config/inputdataconfig.json").write_text(json.dumps(config))
    strings = {key: str(value) for key, value in given.items()}
    (root / "input/config/hyperparameters.json").write_text(json.dumps(strings))
    return root


def trained(root: Path) -> str:
    """Train in this process; returns the log."""
    log = io.StringIO()
    with contextlib.redirect_stdout(log):
        code = train.run(root)
    assert code == 0, log.getvalue()[-2000:]
    return log.getvalue()


def command(root: Path) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, as a job does: without the user's settings of OpenBLAS."""
    program = [sys.executable, "-m", "local_aws.linear_learner", "train", "--root", str(root)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    return subprocess.run(program, cwd=PROJECT, env=own, capture_output=True, text=True, check=False)


def refused(root: Path) -> str:
    """Train in this process, in vain; returns what is in output/failure."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert train.run(root) == 1
    assert not (root / "model").exists()
    return (root / "output/failure").read_text()


@dataclass(frozen=True)
class Unpacked:
    """A model as its documented layout gives it, read without the code under test."""

    members: list[str]
    symbol: dict[str, Any]
    manifest: dict[str, Any]
    additional: dict[str, Any]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, features: Table) -> Table:
        z = features.astype(np.float32).astype(np.float64) @ self.weights + self.bias
        match self.additional["predictor_type"]:
            case "binary_classifier" if self.additional["loss_type"] == "logistic":
                return np.asarray(np.exp(-np.logaddexp(0, -z[:, 0])))
            case "multiclass_classifier":
                power = np.exp(z - z.max(1, keepdims=True))
                return np.asarray(power / power.sum(1, keepdims=True))
        return np.asarray(z[:, 0])


def unpack(root: Path) -> Unpacked:
    with zipfile.ZipFile(root / "model/model_algo-1") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        names = archive.namelist()
        symbol, manifest, additional = (json.loads(archive.read(name)) for name in names[:3])
        data = io.BytesIO(archive.read("mx-mod-0000.params"))

    def take(layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, data.read(struct.calcsize("<" + layout)))

    assert take("QQQ") == (0x112, 0, 2)
    arrays = []
    for _ in range(2):
        assert take("Ii") == (0xF993FAC9, 0)
        (dimensions,) = take("I")
        shape = take(f"{dimensions}q")
        assert take("iii") == (1, 0, 0)
        arrays.append(np.frombuffer(data.read(4 * int(np.prod(shape))), "<f4").reshape(shape))
    assert take("Q") == (2,)
    assert [data.read(*take("Q")) for _ in range(2)] == [b"arg:fc0_weight", b"arg:fc0_bias"]
    assert data.read() == b""
    return Unpacked(names, symbol, manifest, additional, *arrays)


@dataclass
class Client:
    """One kept connection to a model server of its own process."""

    port: int
    process: subprocess.Popen[str]
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def call(
        self, body: bytes | str = b"", content_type: str | None = "text/csv", accept: str | None = None
    ) -> tuple[int, str | None, bytes]:
        """POST /invocations: status, content type, body."""
        headers = {"Content-Type": content_type, "Accept": accept}
        given = {name: value for name, value in headers.items() if value}
        self.connection.request("POST", "/invocations", body, given)
        return self._answer()

    def get(self, path: str) -> tuple[int, str | None, bytes]:
        self.connection.request("GET", path)
        return self._answer()

    def scores(self, features: Table) -> Any:
        """The scores of rows sent as CSV."""
        status, _, body = self.call(csv(features))
        assert status == 200, body
        return np.array([prediction["score"] for prediction in json.loads(body)["predictions"]])

    def _answer(self) -> tuple[int, str | None, bytes]:
        answer = self.connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()


@contextlib.contextmanager
def serving(root: Path, program: str = "linear_learner", **environment: str) -> Iterator[Client]:
    command = [sys.executable, "-m", f"local_aws.{program}", "serve", "--root", str(root), "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            client = Client(int(child.stdout.readline().rpartition(":")[2]), child)
            yield client
            client.connection.close()
        finally:
            child.terminate()
            assert child.wait(10) == 0
