"""Which model is live: asked of SageMaker's control plane once a minute at most, never needed for an answer.

InvokeEndpoint does not say which model answered. DescribeEndpoint names the endpoint config, whose name is its model's;
the config's tag `model-package` names the version in the registry, which says the rest. While an update shifts traffic
this is the model from before it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError

from .aws import Aws, Refused

FRESH_SECONDS = 60
"""How old an answer may be; a release shows after this at the latest."""

Model = dict[str, str | None]
UNKNOWN: Model = {"name": None, "package_version": None, "trained_at": None}


@dataclass
class Deployed:
    """The live model of one endpoint, as last seen; `clock` gives seconds."""

    endpoint: str
    aws: Aws
    clock: Callable[[], float] = time.monotonic
    until: float = float("-inf")
    seen: Model | None = None

    def model(self) -> Model:
        """Return name, package_version and trained_at; each None as long as SageMaker does not tell."""
        if self.clock() >= self.until:
            self.until = self.clock() + FRESH_SECONDS
            try:
                self.seen = self._look()
            except (Refused, BotoCoreError, KeyError, ValueError) as error:
                # The caller gets the prediction all the same; the log says why its model has no name.
                print(json.dumps({"message": "the live model is unknown", "error": type(error).__name__}), flush=True)
        return self.seen or UNKNOWN

    def _look(self) -> Model:
        live = self._call("DescribeEndpoint", EndpointName=self.endpoint)
        name = live["EndpointConfigName"]
        if self.seen and name == self.seen["name"]:
            return self.seen
        config = live["EndpointArn"].rpartition(":endpoint/")[0] + f":endpoint-config/{name}"
        tags = {tag["Key"]: tag["Value"] for tag in self._call("ListTags", ResourceArn=config)["Tags"]}
        if "model-package" not in tags:
            return {**UNKNOWN, "name": name}
        package = self._call("DescribeModelPackage", ModelPackageName=tags["model-package"])
        # A run registers its model as soon as that is trained and scored.
        trained = datetime.fromtimestamp(package["CreationTime"], UTC).isoformat(timespec="seconds")
        return {"name": name, "package_version": str(package["ModelPackageVersion"]), "trained_at": trained}

    def _call(self, action: str, **parameters: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{action}"}
        answer: dict[str, Any] = json.loads(self.aws.call("api.sagemaker", "/", headers, json.dumps(parameters))[1])
        return answer
