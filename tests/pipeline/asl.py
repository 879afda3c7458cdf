"""Reading a rendered definition in tests: filling its ports and placeholders, and reaching every task."""

import re
from collections.abc import Iterator
from typing import Any

from pipeline.diagram import all_states

ACCOUNT = "123456789012"
FUNCTIONS = ("Approval", "Cleanup", "DriftWindow", "Endpoint", "Finish", "Lease", "Predict")
PORTS = {
    "AssetBucket": f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1",
    "DataBucket": "breast-cancer-databucket-abc123",
    "DataKey": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555",
    "DeployMachine": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:breast-cancer-deploy",
    "EndpointName": "breast-cancer",
    "ErrorAlarm": "breast-cancer-5xx",
    "JobsFile": "0" * 64 + ".zip",
    "LatencyAlarm": "breast-cancer-latency",
    "ModelPackageGroup": "breast-cancer",
    "ProcessingImage": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3",
    "SageMakerRole": f"arn:aws:iam::{ACCOUNT}:role/jobs",
    "SecurityGroup": "sg-0123456789abcdef0",
    "SettingsFile": "1" * 64 + ".json",
    "Subnet1": "subnet-0123456789abcdef0",
    "Subnet2": "subnet-0123456789abcdef1",
    "TrainingImage": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1",
    **{f"{name}Function": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name.lower()}" for name in FUNCTIONS},
}
HASH = "d41d8cd98f00b204e9800998ecf8427e"


def filled(value: Any) -> Any:
    """A definition with every port filled, as the stack does it."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda port: PORTS[port[1]], value)
    return value


def resolved(value: Any) -> Any:
    """Parameters with every placeholder replaced by a value of the right form."""
    if isinstance(value, dict):
        filled_in = {key: _sample(item) if key.endswith(".$") else resolved(item) for key, item in value.items()}
        return {key.removesuffix(".$"): item for key, item in filled_in.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def _sample(expression: str) -> str:
    template = re.match(r"States\.Format\('([^']*)'", expression)
    if template is None:
        return HASH
    filler = iter(["0" if "RetryCount" in argument else HASH for argument in expression.split(",")[1:]])
    return re.sub(r"\{\}", lambda _: next(filler), template[1])


def tasks(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Task state by name, those inside Parallel states too."""
    return ((name, state) for name, state in all_states(definition) if state["Type"] == "Task")
