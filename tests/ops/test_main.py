"""What all commands have in common."""

import ast
import subprocess
import sys

from tests.conftest import ROOT, WDBC
from tests.ops.typing import typed


def test_a_command_starts_without_the_slow_packages_of_the_jobs() -> None:
    names = "import sys, ops.__main__; print({name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", names], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert {"ops", "pipeline", "boto3"} <= loaded
    assert loaded & {"numpy", "pyarrow", "pandas", "aws_cdk", "stepfunctions", "sagemaker"} == set()


def test_a_file_that_cannot_be_written_is_named_in_one_line() -> None:
    answer = typed("init", str(WDBC), "--target", "diagnosis", "--out", "/dev/null/pipeline.toml")
    message = "[Errno 20] Not a directory: '/dev/null/.pipeline.toml.partial'"
    assert (answer.code, answer.out, answer.err) == (1, "", f"error: {message}\n")
