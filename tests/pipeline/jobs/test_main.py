import ast
import json
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from cdk.jobs import write_jobs

ROOT = Path(__file__).parents[3]


def jobs(*arguments, python=("-m", "pipeline.jobs")):
    command = [sys.executable, *python, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture
def arguments(settings_file, shop, tmp_path):
    return ["preprocess", "--settings", settings_file, "--input", shop, "--output", tmp_path / "out"]


ABORTS_AT_EXIT = """
import atexit, os, runpy, sys
atexit.register(os.abort)
sys.argv[:1] = []
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("python", [["-I"], ["-I", "-c", ABORTS_AT_EXIT]], ids=["alone", "abort at exit"])
def test_one_zip_runs_on_its_own_and_ends_with_the_commands_code(arguments, folder, tmp_path, python):
    package = write_jobs(tmp_path / "jobs-package")
    assert {path.suffix for path in package.rglob("*") if path.is_file()} == {".py"}
    zipapp.create_archive(package, tmp_path / "jobs.zip")
    done = jobs(*arguments, python=[*python, tmp_path / "jobs.zip"])
    log = "60 rows in 1 file(s): train 45, validation 7, holdout 8\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, log, "")
    assert (tmp_path / "out/train/train-00000.csv").exists()
    (folder / "shop.csv").write_text("")
    done = jobs(*arguments, python=[*python, tmp_path / "jobs.zip"])
    fault = "shop.csv: the file is empty: it needs a header and rows"
    line = f"{fault}; or take the file away: ops data remove shop.csv\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_settings_may_be_the_one_file_in_a_directory(arguments, settings_file, tmp_path):
    (tmp_path / "settings").mkdir()
    settings_file.rename(tmp_path / "settings/any.json")
    arguments[2] = tmp_path / "settings"
    assert jobs(*arguments).returncode == 0


def test_neither_pandas_nor_scikit_learn_is_imported(arguments, tmp_path):
    done = jobs(*arguments, python=["-X", "importtime", "-m", "pipeline.jobs"])
    assert done.returncode == 0
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    imported = {name.partition(".")[0] for name in names - {"pandas"}}  # pandas alone is an attempt in vain
    heavy = {"pyarrow", "numpy", "pandas", "sklearn", "scipy", "stepfunctions", "sagemaker", "pydantic"}
    assert imported & heavy == {"pyarrow", "numpy"}


def test_bad_input_ends_with_1_and_one_line_on_stderr_and_in_the_message(arguments, folder, tmp_path):
    (folder / "shop.csv").write_text("customer,age,visits,bought\na,old,1,yes\n")
    done = jobs(*arguments, "--message", tmp_path / "deep/message")
    fault = 'shop.csv, row 2, column "age": "old" is not a finite number: correct it or remove the row'
    line = f"{fault}; or take the file away: ops data remove shop.csv"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line + "\n")
    assert (tmp_path / "deep/message").read_text() == line


def test_the_message_holds_at_most_1_kib_of_whole_characters(arguments, folder, tmp_path):
    deep = folder.joinpath(*["é" * 120] * 6)
    deep.mkdir(parents=True)
    (deep / "shop.csv").touch()
    assert jobs(*arguments, "--message", tmp_path / "message").returncode == 1
    message = (tmp_path / "message").read_bytes()
    assert len(message) in (1023, 1024)
    assert set(message.decode()) == {"é", "/"}


def test_a_failure_nobody_foresaw_leaves_a_message_and_its_traceback(arguments, tmp_path):
    (tmp_path / "out").write_text("a file where the directory should be")
    done = jobs(*arguments, "--message", tmp_path / "message")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert (tmp_path / "message").read_text().startswith("preprocess failed, ")


@pytest.mark.parametrize("shown", [False, True])
def test_what_an_unforeseen_error_says_is_shown_by_setting(settings_file, tmp_path, shown):
    """Python's own errors have values in them."""
    document = json.loads(settings_file.read_text())
    document["data"]["show_values"] = shown
    settings_file.write_text(json.dumps(document))
    for name in ("capture", "window", "baseline", "evaluation"):
        (tmp_path / name).mkdir()
    (tmp_path / "window/window.json").write_text('{"run": "r", "since": "", "until": ""}')
    (tmp_path / "window/ground_truth.csv").write_text("inference_id,row,label\nid,s3cret,yes\n")
    (tmp_path / "baseline/baseline.json").write_text('{"features": {"age": {}, "visits": {}}}')
    (tmp_path / "evaluation/profile.json").write_text("{}")
    folders = [text for name in ("window", "baseline", "evaluation") for text in (f"--{name}", tmp_path / name)]
    given = ["drift", "--settings", settings_file, "--data-capture", tmp_path / "capture", *folders]
    done = jobs(*given, "--output", tmp_path / "out", "--message", tmp_path / "message")
    assert done.returncode == 1
    told = "drift failed, ValueError"
    said = ": invalid literal" if shown else "; data.show_values = true shows what it says"
    assert (tmp_path / "message").read_text().startswith(f"{told}{said}")
    assert ("s3cret" in done.stderr + (tmp_path / "message").read_text()) == shown
    assert "ground_truth.py" in done.stderr


@pytest.mark.parametrize("content", ["{", "{}", '{"data": []}', None])
def test_settings_that_the_pipeline_did_not_write_are_refused(arguments, settings_file, content):
    settings_file.unlink()
    if content is None:
        settings_file.mkdir()
        message = f"{settings_file}: 0 JSON files, want exactly one: the pipeline's settings\n"
    else:
        settings_file.write_text(content)
        message = f"{settings_file}: not the pipeline's settings ("
    done = jobs(*arguments)
    assert (done.returncode, done.stderr[: len(message)]) == (1, message)


def test_every_command_takes_the_arguments_of_the_state_machines(tmp_path):
    """The commands' own errors, of settings that do not exist, show that the arguments are right."""
    drift = ["data-capture", "window", "baseline", "evaluation"]
    for command, names in {"merge": ["run"], "evaluate": ["predictions", "labels"], "drift": drift}.items():
        flags = [text for name in ("settings", "output", *names) for text in (f"--{name}", str(tmp_path / name))]
        done, message = jobs(command, *flags), f"{tmp_path / 'settings'}: not the pipeline's settings (FileNotFound"
        assert (done.returncode, done.stderr[: len(message)]) == (1, message)


def test_the_metric_names_need_the_standard_library_alone():
    names = "import sys, pipeline.jobs.shared.metric_names; print({name.split('.')[0] for name in sys.modules})"
    loaded = set(ast.literal_eval(jobs(python=["-c", names]).stdout))
    assert "pipeline" in loaded
    assert loaded & {"numpy", "pandas", "pyarrow", "stepfunctions", "sagemaker", "pydantic"} == set()


HELD_AFTER = """
import sys
from pipeline.jobs.__main__ import map_large_arrays

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) >> 10

if sys.argv[1] == "mapped":
    map_large_arrays()
before, kept = held(), []
for _ in range(8):
    large = [bytearray(16 << 20) for _ in range(4)]
    kept.append(bytearray(100 << 10))
    del large
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_arrays_that_are_freed_leave_nothing_behind():
    held = {how: int(jobs(how, python=["-c", HELD_AFTER]).stdout) for how in ("mapped", "default")}
    assert held["mapped"] < 8 < held["default"]
