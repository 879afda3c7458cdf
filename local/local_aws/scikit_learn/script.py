"""A user's script: its folder, and the modules of AWS's image that it may import."""

import importlib.util
import subprocess
import sys
import tarfile
from itertools import accumulate
from pathlib import Path
from shutil import copytree
from types import ModuleType

from local_aws.archive import extract
from local_aws.scikit_learn import content

# Of the toolkits in AWS's image, what scripts use; all of them are one module here.
TOOLKITS = {
    "sagemaker_inference": ("content_types", "decoder", "encoder", "errors"),
    "sagemaker_containers.beta.framework": (
        *("content_types", "encoders", "env", "errors", "modules", "transformer", "worker"),
    ),
}
DOWNLOAD = "import boto3, sys; boto3.client('s3').download_file(*sys.argv[1:])"


class ScriptError(Exception):
    """The script cannot be had or is not what the image takes."""


def prepare(code: Path, uri: str) -> None:
    """Put a script's folder into `code`, unless it is there, and make it importable.

    `uri` is an archive in S3 or here, or a folder here.

    Raises ScriptError: it is not there, or no archive.
    """
    code.mkdir(exist_ok=True)
    sys.path.insert(0, str(code))
    for package, names in TOOLKITS.items():
        if not importlib.util.find_spec(package.partition(".")[0]):
            sys.modules |= {path: ModuleType(path) for path in accumulate(package.split("."), "{}.{}".format)}
            sys.modules |= {f"{package}.{name}": content for name in names}
    source = Path(uri.removeprefix("file://"))
    if source == code or any(code.iterdir()):
        return
    try:
        if uri.startswith("s3://"):
            source = code.with_suffix(".tar.gz")
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            # In a process of its own: boto3 would double the memory of this one.
            command = [sys.executable, "-c", DOWNLOAD, bucket, key, str(source)]
            subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
        if source.is_dir():
            copytree(source, code, dirs_exist_ok=True)
        else:
            extract(source, code)
    except (subprocess.CalledProcessError, tarfile.TarError, EOFError, OSError) as error:
        why = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise ScriptError(f"cannot get the script from {uri}: {why}") from error
    if (code / "requirements.txt").exists():
        print("local AWS: requirements.txt is not installed; the script runs in this Python environment", flush=True)
