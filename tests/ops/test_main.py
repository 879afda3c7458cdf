"""What all commands have in common."""

import ast
import subprocess
import sys

from tests.conftest import ROOT


def test_a_command_starts_without_the_slow_packages_of_the_jobs() -> None:
    names = "import sys, ops.__main__; print({name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", names], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert {"ops", "pipeline", "boto3"} <= loaded
    assert loaded & {"numpy", "pyarrow", "pandas", "aws_cdk", "stepfunctions", "sagemaker"} == set()
