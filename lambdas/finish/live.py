"""What came live without its deployment: SageMaker goes on with an update whose deployment was aborted or gave up.

The tags of an endpoint config name the deployment that made it. If that did not end Succeeded, nobody has asked what is
live: the smoke test does it now.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from .finish import Document, Finish
from .outcome import Outcome

ASKED = "smoke-test"
"""The tag of an endpoint config whose model was asked here, with the result: events may come twice."""
ATTEMPTS, SECONDS = 3, 2
"""Of a row without an answer, as the state SmokeTest has them."""
VOUCHED = ("RUNNING", "SUCCEEDED")
"""A deployment that runs asks its model itself; one that succeeded has done so."""


@dataclass(frozen=True)
class Live:
    """The endpoint, what the smoke test needs, `golden` among it, and the clients to reach them with."""

    endpoint: str
    bucket: str
    function: str
    golden: dict[str, Any]
    sagemaker: Any
    states: Any
    s3: Any
    functions: Any
    wait: Callable[[float], object] = time.sleep

    def check(self, finish: Finish) -> Document:
        """Ask the live model if its deployment has not, and notify; return the document, empty if there is none."""
        arn = self._config()
        if not arn:
            return {}
        tags = {tag["Key"]: tag["Value"] for tag in self.sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        if ASKED in tags or "execution" not in tags:
            return {}
        try:
            deployment = self.states.describe_execution(executionArn=tags["execution"])
        except self.states.exceptions.ExecutionDoesNotExist:  # Step Functions forgets it after 90 days
            return {}
        if deployment["status"] in VOUCHED:
            return {}
        error, words = self._ask(tags["model-package"])
        if error and self._config() != arn:
            return {}  # two models may have answered in turn; what comes live now is asked then
        self.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": ASKED, "Value": error or "passed"}])
        ended = f"its deployment had ended as {deployment['status']}"
        serves = Outcome("accepted", f"{tags['model-package']} serves and passes the smoke test; {ended}")
        wrong = Outcome("failed", f"{tags['model-package']} serves, {ended}, and fails the smoke test: {words}", error)
        request = json.loads(deployment.get("input", "{}"))
        state = {
            "request": request,
            "package": {"arn": tags["model-package"]},
            "deployment": {"model": arn.rpartition("/")[2]},
        }
        # Notified as the run that trained it: a deployment under a run has no notification of its own.
        document = finish.document(wrong if error else serves, request.get("parent") or tags["execution"], state)
        document |= {"next": "ops rollback"} if error else {}
        return {**document, "warnings": finish.notify(document, event="Live model checked")}

    def _config(self) -> str:
        """Return the ARN of the endpoint config that serves; "" if none does, or the endpoint is being changed."""
        try:
            found = self.sagemaker.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if "Could not find" in str(error):
                return ""
            raise
        start = found["EndpointArn"].rpartition(":endpoint/")[0]
        return (
            f"{start}:endpoint-config/{found['EndpointConfigName']}" if found["EndpointStatus"] == "InService" else ""
        )

    def _ask(self, package: str) -> tuple[str, str]:
        """Return the smoke test's error and its sentence; both are empty if it passes."""
        metadata = self.sagemaker.describe_model_package(ModelPackageName=package)["CustomerMetadataProperties"]
        event = {**self.golden, "smoke": self._smoke_rows(metadata), "variant": metadata.get("variant", "")}
        error, words = "", ""
        for attempt in range(ATTEMPTS):
            self.wait(SECONDS * attempt)
            answer = self.functions.invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
            result = json.load(answer["Payload"])
            if "FunctionError" not in answer:
                return "", ""
            error, words = result.get("errorType", "Unknown"), result.get("errorMessage", "")
            if error == "SmokeTestFailed":
                break
        return error, words

    def _smoke_rows(self, metadata: dict[str, str]) -> Any:
        """Return the rows that the package's run kept; runs of versions before 0.3 kept none."""
        key = f"runs/{metadata['execution'].rpartition(':')[2]}/evaluation/smoke.json"
        try:
            return json.load(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"])
        except self.s3.exceptions.NoSuchKey:
            return []
