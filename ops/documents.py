"""What a run left in the data bucket and in the registry, as documents."""

import json
from typing import Any

from botocore.exceptions import ClientError

from ops import runs
from ops.account import Account

Document = dict[str, Any]


def evaluation(account: Account, run: runs.Run) -> Document:
    """evaluation.json; empty when the run did not come so far."""
    return read(account, f"runs/{run.name}/evaluation/evaluation.json")


def profile(account: Account, run: runs.Run) -> Document:
    """profile.json, what the model answered on its hold-out; empty when the run did not come so far."""
    return read(account, f"runs/{run.name}/evaluation/profile.json")


def baseline(account: Account, run: runs.Run) -> Document:
    """baseline.json, the statistics of the data; empty when the run did not come so far."""
    return read(account, f"runs/{run.name}/baseline/baseline.json")


def read(account: Account, key: str) -> Document:
    """A JSON object of the data bucket; empty when it is not there."""
    try:
        body = account.s3.get_object(Bucket=account.outputs["DataBucket"], Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return {}
    document: Document = json.loads(body)
    return document


def asked(account: Account, run: runs.Run) -> Document:
    """What the run was asked for: reason, data, settings, commit, model_package."""
    return runs.request(account.states.describe_execution(executionArn=run.arn).get("input", ""))


def metrics(evaluation: Document) -> dict[str, float]:
    """The metrics of evaluation.json by name; none when it is empty."""
    section: Document = next((value for key, value in evaluation.items() if key.endswith("_metrics")), {})
    return {name: entry["value"] for name, entry in section.items() if isinstance(entry, dict) and "value" in entry}


def package(account: Account, run: runs.Run) -> Document:
    """The run's model package as the registry describes it; empty when the run registered none."""
    output = runs.request(account.states.describe_execution(executionArn=run.arn).get("output", ""))
    arn = output.get("package", {}).get("arn", "")
    if not arn:
        return {}
    return dict(account.sagemaker.describe_model_package(ModelPackageName=arn))
