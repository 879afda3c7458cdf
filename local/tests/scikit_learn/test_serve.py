"""The model server of a user's script over HTTP: the image's defaults, the script's own functions, and refusals."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ..linear_learner.jobs import PROJECT, Client, serving

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
SUM = """
class Sum:
    def predict(self, rows):
        return rows.sum(axis=1)

def model_fn(folder):
    return Sum()
"""
OWN = """
import json, os
from werkzeug.wrappers import Response
from sagemaker_containers.beta.framework import content_types, encoders, env, modules, transformer, worker
from sagemaker_inference import content_types as same, encoder
from helper import helped

def model_fn(folder):
    return open(os.path.join(folder, "word")).read()

def input_fn(data, content_type):
    return [type(data).__name__, content_type]

def predict_fn(data, model):
    if "fail" in data[1]:
        raise ValueError("no")
    return [*data, model, helped(), os.path.basename(os.environ["SM_MODEL_DIR"])]

def output_fn(prediction, accept):
    text = json.dumps(prediction[:4])
    return {
        "tuple": (text, "text/csv"),
        "bytes": (text.encode(), content_types.JSON),
        "alone": text,
        "dict": {"a": prediction},
        "werkzeug": Response(text, status=202, mimetype="text/csv"),
        "toolkit": worker.Response(encoders.encode([[1, 2.5]], same.CSV), mimetype="text/csv"),
        "nothing": None,
    }.get(accept, encoder.encode([accept], "application/json"))

def execution_parameters_fn():
    return {"MaxPayloadInMB": 1}
"""


def npy(rows: list[list[float]]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(rows))
    return file.getvalue()


def laid_out(root: Path, script: str, **files: str) -> Path:
    """A container's folder with a script; further files of it by name, without .py."""
    for name, text in {"inference": script, **files}.items():
        (root / "code").mkdir(parents=True, exist_ok=True)
        (root / "code" / f"{name}.py").write_text(text)
    (root / "model").mkdir()
    (root / "model/word").write_text("a word")
    return root


@pytest.fixture(scope="module")
def summing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = laid_out(tmp_path_factory.mktemp("sum"), SUM)
    with serving(root, "scikit_learn", SAGEMAKER_PROGRAM="inference.py") as client:
        yield client


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = laid_out(tmp_path_factory.mktemp("own"), OWN, helper="def helped():\n    return 'help'\n")
    with serving(root, "scikit_learn", SAGEMAKER_PROGRAM="inference.py") as client:
        yield client


@pytest.mark.parametrize(
    ("body", "content_type"),
    [("1,2\n3,4.5\n", CSV), ("[[1, 2], [3, 4.5]]", JSON), ("[[1, 2], [3, 4.5]]", None), (npy([[1, 2], [3, 4.5]]), NPY)],
)
def test_the_defaults_decode_each_format(summing: Client, body: bytes | str, content_type: str | None) -> None:
    assert summing.call(body, content_type) == (200, JSON, b"[3.0, 7.5]")


def test_the_defaults_encode_what_is_accepted(summing: Client) -> None:
    assert summing.call("1,2\n3,4.5\n", accept=CSV) == (200, "text/csv; charset=utf-8", b"3.0\n7.5\n")
    for accept in (JSON, "*/*", None):
        assert summing.call("1,2\n3,4.5\n", accept=accept) == (200, JSON, b"[3.0, 7.5]")
    status, media, body = summing.call("1,2\n3,4.5\n", accept=NPY)
    assert (status, media, np.load(io.BytesIO(body)).tolist()) == (200, NPY, [3.0, 7.5])


def test_an_unknown_format_is_refused_by_its_name(summing: Client) -> None:
    for status, arguments in ((415, ("x", "text/plain")), (406, ("1,2\n3,4\n", CSV, "text/html"))):
        found, media, body = summing.call(*arguments)
        detail = json.loads(body)
        assert (found, media, detail["error"]) == (status, JSON, "UnsupportedFormatError")
        assert detail["error-message"].startswith(f"Content type {arguments[-1]} is not supported by this framework.")


@pytest.mark.parametrize(
    ("body", "content_type"), [("1,x\n2,3\n", CSV), ("[", JSON), (b"no npy", NPY), ("1,2\n", CSV), ("1\n1,2\n", CSV)]
)
def test_bad_data_and_a_single_row_of_csv_fail_as_in_the_image(
    summing: Client, body: bytes | str, content_type: str
) -> None:
    status, media, text = summing.call(body, content_type)
    assert (status, media, b"500 Internal Server Error" in text) == (500, "text/html; charset=utf-8", True)
    assert summing.call("1,2\n3,4.5\n") == (200, JSON, b"[3.0, 7.5]")


def test_the_environment_names_the_default_of_accept(tmp_path: Path) -> None:
    given = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": CSV}
    with serving(laid_out(tmp_path, SUM), "scikit_learn", **given) as client:
        assert client.call("1,2\n3,4\n")[2] == client.call("1,2\n3,4\n", accept="*/*")[2] == b"3.0\n7.0\n"
        assert client.get("/execution-parameters")[0] == 404
        assert client.get("/ping") == (200, None, b"")


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("tuple", (200, "text/csv; charset=utf-8", b'["str", "text/csv", "a word", "help"]')),
        ("bytes", (200, JSON, b'["str", "text/csv", "a word", "help"]')),
        ("alone", (200, "text/html; charset=utf-8", b'["str", "text/csv", "a word", "help"]')),
        ("dict", (200, JSON, b'{"a": ["str", "text/csv", "a word", "help", "model"]}')),
        ("werkzeug", (202, "text/csv; charset=utf-8", b'["str", "text/csv", "a word", "help"]')),
        ("toolkit", (200, "text/csv; charset=utf-8", b"1.0,2.5\n")),
        ("other", (200, "text/html; charset=utf-8", b'["other"]')),
    ],
)
def test_a_script_answers_in_its_own_way(own: Client, accept: str, answer: tuple[int, str, bytes]) -> None:
    assert own.call("x", accept=accept) == answer


def test_a_script_gets_text_of_the_two_text_types_else_bytes(own: Client) -> None:
    for content_type, kind in ((JSON, "str"), (CSV, "str"), ("text/csv; charset=utf-8", "bytes"), (NPY, "bytes")):
        assert json.loads(own.call("x", content_type, "tuple")[2])[:2] == [kind, content_type]


def test_a_script_that_fails_at_a_request_serves_the_next(own: Client) -> None:
    assert own.call("x", "fail")[0] == own.call("x", accept="nothing")[0] == 500
    assert own.call("x", accept="alone")[0] == 200
    assert own.get("/execution-parameters") == (200, JSON, b'{"MaxPayloadInMB": 1}')


def test_a_script_may_transform_in_one_function(tmp_path: Path) -> None:
    script = "def model_fn(folder): return 7\ndef transform_fn(*given): return str(given), 'text/plain'\n"
    with serving(laid_out(tmp_path, script), "scikit_learn", SAGEMAKER_PROGRAM="inference.py") as client:
        assert client.call("x", CSV, "y") == (200, "text/plain; charset=utf-8", b"(7, 'x', 'text/csv', 'y')")


def test_requests_are_answered_at_the_same_time(tmp_path: Path) -> None:
    script = (
        "import threading\nboth = threading.Barrier(2)\ndef model_fn(folder): ...\n"
        "def transform_fn(*given):\n    both.wait(10)\n    return 'met'\n"
    )
    with serving(laid_out(tmp_path, script), "scikit_learn", SAGEMAKER_PROGRAM="inference.py") as client:
        clients = [Client(client.port, client.process) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            assert [body for _, _, body in pool.map(lambda each: each.call("x"), clients)] == [b"met", b"met"]
        for each in clients:
            each.connection.close()


def test_the_server_imports_no_more_than_the_script(tmp_path: Path) -> None:
    names = ("pandas", "sklearn", "scipy", "boto3", "botocore")
    script = f"{SUM}\nimport sys\ndef output_fn(*_):\n    return repr([n for n in {names} if n in sys.modules])\n"
    with serving(laid_out(tmp_path, script), "scikit_learn", SAGEMAKER_PROGRAM="inference.py") as client:
        assert client.call("1,2\n3,4\n")[2] == b"[]"


@pytest.mark.parametrize("form", ["{folder}", "file://{folder}", "{archive}", "file://{archive}"])
def test_a_script_comes_from_a_folder_or_an_archive(tmp_path: Path, form: str) -> None:
    source = laid_out(tmp_path / "source", SUM)
    (tmp_path / "ml/model").mkdir(parents=True)
    archive = tmp_path / "ml/sourcedir.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "code/inference.py", "inference.py")
    place = form.format(folder=source / "code", archive=archive)
    given = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": place}
    for _ in range(2):  # a restart finds it there
        with serving(tmp_path / "ml", "scikit_learn", **given) as client:
            assert client.call("1,2\n3,4\n")[2] == b"[3.0, 7.0]"


@pytest.mark.parametrize(
    ("script", "given", "message"),
    [
        ("", {}, "SAGEMAKER_PROGRAM does not name the script"),
        ("", {"SAGEMAKER_PROGRAM": "inference.py"}, "Please provide a model_fn implementation."),
        (
            f"{SUM}\ndef transform_fn(*_): ...\ndef input_fn(*_): ...\n",
            {"SAGEMAKER_PROGRAM": "inference.py"},
            "give either transform_fn, or input_fn, predict_fn and output_fn",
        ),
        ("def model_fn(folder): raise ValueError('no model')", {"SAGEMAKER_PROGRAM": "inference.py"}, "no model"),
        (SUM, {"SAGEMAKER_PROGRAM": "other.py"}, "No module named 'other'"),
        (
            "",
            {"SAGEMAKER_PROGRAM": "other.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/nowhere/at/all"},
            "cannot get the script from /nowhere/at/all: [Errno 2] No such file or directory: '/nowhere/at/all'",
        ),
    ],
)
def test_a_script_that_cannot_serve_ends_the_process(
    tmp_path: Path, script: str, given: dict[str, str], message: str
) -> None:
    root = laid_out(tmp_path, script)
    if "SAGEMAKER_SUBMIT_DIRECTORY" in given:
        (root / "code/inference.py").unlink()
    command = [sys.executable, "-m", "local_aws.scikit_learn", "serve", "--root", str(root), "--port", "0"]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | given, capture_output=True, text=True, check=False)
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
