"""Script mode: what a training script gets, and what becomes of its failure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..linear_learner.jobs import PROJECT, lay_out

SHOW = """
import json, os, sys
if __name__ == "__main__":
    names = {name: value for name, value in os.environ.items() if name.startswith("SM_")}
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w") as file:
        json.dump([sys.argv, os.getcwd(), sorted(os.listdir(os.environ["SM_CHANNEL_TRAIN"])), names], file)
"""


def trained(root: Path, script: str, name: str = "train.py", **given: object) -> subprocess.CompletedProcess[str]:
    """A training job of a script, after its end."""
    lay_out(root, {"train": "1,2\n"}, "text/csv", sagemaker_program=json.dumps(name), **given)
    resources = {"current_host": "algo-1", "hosts": ["algo-1"], "current_instance_type": "ml.m5.large"}
    text = json.dumps(resources | {"network_interface_name": "lo"})
    (root / "input/config/resourceconfig.json").write_text(text)
    for folder in ("model", "output/data", "code"):
        (root / folder).mkdir(parents=True)
    (root / "code" / name).parent.mkdir(exist_ok=True)
    (root / "code" / name).write_text(script)
    command = [sys.executable, "-m", "local_aws.scikit_learn", "train", "--root", str(root)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_script_gets_its_hyperparameters_and_folders(tmp_path: Path) -> None:
    given = {
        "n-jobs": 2,
        "k": '"word"',
        "flag": "true",
        "raw": "not JSON",
        "sizes": "[1, 2]",
        "map": '{"b": 1, "a": 2}',
    }
    done = trained(tmp_path, SHOW, **given, sagemaker_container_log_level="20", sagemaker_region='"us-east-1"')
    assert done.returncode == 0, done.stderr
    argv, folder, channel, names = json.loads((tmp_path / "model/seen.json").read_text())
    assert argv == [
        "train.py",
        *("--flag", "True"),
        *("-k", "word"),
        *("--map", "a=2,b=1"),
        *("--n-jobs", "2"),
        *("--raw", "not JSON"),
        *("--sizes", "[1, 2]"),
    ]
    assert (folder, channel) == (str(tmp_path / "code"), ["part-0"])
    parameters = {"n-jobs": 2, "k": "word", "flag": True, "raw": "not JSON", "sizes": [1, 2], "map": {"a": 2, "b": 1}}
    assert json.loads(names.pop("SM_HPS")) == parameters
    assert json.loads(names.pop("SM_USER_ARGS")) == argv[1:]
    assert json.loads(names.pop("SM_RESOURCE_CONFIG"))["hosts"] == ["algo-1"]
    assert int(names.pop("SM_NUM_CPUS")) >= 1
    assert names == {
        "SM_CHANNEL_TRAIN": str(tmp_path / "input/data/train"),
        "SM_CHANNELS": '["train"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_container_log_level":20,"sagemaker_program":"train.py",'
        '"sagemaker_region":"us-east-1"}',
        "SM_HOSTS": '["algo-1"]',
        "SM_HP_FLAG": "true",
        "SM_HP_K": "word",
        "SM_HP_MAP": '{"a":2,"b":1}',
        "SM_HP_N-JOBS": "2",
        "SM_HP_RAW": "not JSON",
        "SM_HP_SIZES": "[1,2]",
        "SM_INPUT_CONFIG_DIR": str(tmp_path / "input/config"),
        "SM_INPUT_DATA_CONFIG": '{"train":{"ContentType":"text/csv","TrainingInputMode":"File"}}',
        "SM_INPUT_DIR": str(tmp_path / "input"),
        "SM_LOG_LEVEL": "20",
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SM_MODULE_DIR": str(tmp_path / "code"),
        "SM_MODULE_NAME": "train",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_GPUS": "0",
        "SM_OUTPUT_DATA_DIR": str(tmp_path / "output/data"),
        "SM_OUTPUT_DIR": str(tmp_path / "output"),
        "SM_OUTPUT_INTERMEDIATE_DIR": str(tmp_path / "output/intermediate"),
        "SM_USER_ENTRY_POINT": "train.py",
    }


def test_a_script_may_lie_in_a_folder_and_import_from_the_top(tmp_path: Path) -> None:
    done = trained(tmp_path, "import sys; sys.exit(0 if sys.path[0].endswith('code') else 3)", "deep/train.py")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise ValueError('no rows')", "ValueError: no rows"),
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("import sys; sys.exit('no labels')", "SystemExit: no labels"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("def", "SyntaxError: invalid syntax (train.py, line 1)"),
    ],
)
def test_a_failure_is_told_as_the_toolkit_tells_it(tmp_path: Path, script: str, message: str) -> None:
    done = trained(tmp_path, script, n=1)
    text = f'ExecuteUserScriptError:\nExitCode 1\nErrorMessage "{message}"\nCommand "python3 train.py -n 1"'
    assert (done.returncode, (tmp_path / "output/failure").read_text()) == (1, f"AlgorithmError: {text}, exit code: 1")
    assert text in done.stdout


def test_a_job_without_a_script_fails(tmp_path: Path) -> None:
    done = trained(tmp_path, "", "train.py", sagemaker_submit_directory='"s3://b/k"')
    assert done.returncode == 0  # the folder is there already
    (tmp_path / "input/config/hyperparameters.json").write_text("{}")
    command = [sys.executable, "-m", "local_aws.scikit_learn", "train", "--root", str(tmp_path)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode == 1
    assert "the hyperparameter sagemaker_program does not name the script" in (tmp_path / "output/failure").read_text()
