"""Script mode: a user's training script with its arguments and its environment.

Source: sagemaker-training-toolkit, `environment.py` and `mapping.py`.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from local_aws.scikit_learn import script


def run(root: Path) -> int:
    """Train; returns the exit code. A failure is written to the log and to `output/failure`."""
    config = {file.stem: json.loads(file.read_text()) for file in (root / "input/config").glob("*.json")}
    given = {name: _value(text) for name, text in config["hyperparameters"].items()}
    own = {name: value for name, value in given.items() if not name.startswith(("sagemaker_", "_tuning_"))}
    code, failure = root / "code", ""
    sys.argv = [str(given.get("sagemaker_program", "")), *arguments(own)]
    try:
        if not sys.argv[0]:
            raise script.ScriptError("the hyperparameter sagemaker_program does not name the script")
        script.prepare(code, given.get("sagemaker_submit_directory", str(code)))
        os.environ |= environment(root, given, own, config)
        os.chdir(code)
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        failure = f"SystemExit: {end.code}" if end.code else ""
    except Exception as error:
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"
    if failure:
        command = " ".join(["python3", *sys.argv])
        text = f'ExecuteUserScriptError:\nExitCode 1\nErrorMessage "{failure}"\nCommand "{command}"'
        (root / "output/failure").write_text(f"AlgorithmError: {text}, exit code: 1", encoding="utf-8")
        print(text, flush=True)
    return int(bool(failure))


def arguments(hyperparameters: dict[str, Any]) -> list[str]:
    """The command line's arguments: `--name value`, by name."""
    found = []
    for name, value in sorted(hyperparameters.items()):
        text = ",".join(f"{key}={each}" for key, each in sorted(value.items())) if isinstance(value, dict) else value
        found += [f"--{name}" if len(name) > 1 else f"-{name}", "" if text is None else str(text)]
    return found


def environment(root: Path, given: dict[str, Any], own: dict[str, Any], config: dict[str, Any]) -> dict[str, str]:
    """The variables SM_… of the script, of which `own` are the user's among the given hyperparameters."""
    channels, resources = config["inputdataconfig"], config["resourceconfig"]
    folders = {"input_dir": "input", "input_config_dir": "input/config", "model_dir": "model", "output_dir": "output"}
    folders |= {"output_data_dir": "output/data", "output_intermediate_dir": "output/intermediate"}
    folders |= {f"channel_{name}": f"input/data/{name}" for name in channels}
    values = {
        **{name: str(root / folder) for name, folder in folders.items()},
        **{
            name: resources[name]
            for name in ("hosts", "current_host", "current_instance_type", "network_interface_name")
        },
        "resource_config": resources,
        "input_data_config": channels,
        "channels": sorted(channels),
        "hps": own,
        **{f"hp_{name}": value for name, value in own.items()},
        "user_args": sys.argv[1:],
        "user_entry_point": sys.argv[0],
        "module_name": sys.argv[0].removesuffix(".py"),
        "module_dir": given.get("sagemaker_submit_directory", str(root / "code")),
        "framework_params": {name: given[name] for name in given.keys() - own.keys()},
        "log_level": given.get("sagemaker_container_log_level", 20),
        "num_cpus": os.cpu_count(),
        "num_gpus": 0,
    }
    return {f"SM_{name.upper()}": _text(value) for name, value in values.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # the SDK writes JSON, other callers need not
        return text


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
