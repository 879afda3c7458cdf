"""The one place where executions end: free the lease, and send one notification to people and to programs."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from . import outcome
from .outcome import Outcome

CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
SUBJECT_LENGTH = 100
"""Characters (SNS API reference, Publish)."""
EVENTS = {"drift": "Drift check failed", "score": "Scoring ended"}
"""The detail-types of machines that are no run."""
Document = dict[str, Any]


@dataclass(frozen=True)
class Finish:
    """The project's parts, each text the environment variable of that name, and the clients to reach them with."""

    project: str
    data_bucket: str
    lease_table: str
    endpoint_name: str
    topic: str
    dynamodb: Any
    sns: Any
    events: Any

    def free_lease(self, execution: str) -> bool:
        """Free the lease if the execution owns it; return whether it did."""
        with suppress(self.dynamodb.exceptions.ConditionalCheckFailedException):
            self._update_own("REMOVE #owner, expires, approval, package", {":owner": execution})
            return True
        return False

    def _update_own(self, change: str, values: dict[str, str]) -> None:
        """Change the lease's item, if its owner is the execution in `values`."""
        self.dynamodb.update_item(
            TableName=self.lease_table,
            Key={"endpoint": {"S": self.endpoint_name}},
            UpdateExpression=change,
            ConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
        )

    def notify(self, document: Document, source: str = "pipeline", event: str = "Run ended") -> list[str]:
        """Publish to the topic and to EventBridge; log and return a sentence for each that failed."""
        text = json.dumps(document)
        entry = {"Source": f"{self.project}.{source}", "DetailType": event, "Detail": text, "EventBusName": "default"}
        subject = f"{self.project}: {document['outcome']}"[:SUBJECT_LENGTH]
        refused = []
        for publish in (
            partial(self.sns.publish, TopicArn=self.topic, Subject=subject, Message=text),
            partial(self.events.put_events, Entries=[entry]),
        ):
            try:
                # PutEvents answers 200, and names what it refused.
                entries = publish().get("Entries", [])
                refused += [f"{each['ErrorCode']}: {each['ErrorMessage']}" for each in entries if "ErrorCode" in each]
            except (BotoCoreError, ClientError) as error:
                refused.append(str(error))
        failed = [f"a notification failed: {why}" for why in refused]
        if failed:
            ended = {"execution": document["execution"], "outcome": document["outcome"]}
            print(json.dumps({**ended, "warnings": failed}))
        return failed

    def ask_approval(self, execution: str, state: outcome.State, token: str) -> Document:
        """Keep the task token in the lease's item, and notify that the run waits for a person."""
        values = {":token": token, ":package": state["package"]["arn"], ":owner": execution}
        self._update_own("SET approval = :token, package = :package", values)
        document = self.document(Outcome("waiting for approval", outcome.decision(state)), execution, state)
        self.notify(document, event="Run waits for approval")
        return document

    def document(self, ended: Outcome, execution: str, state: outcome.State) -> Document:
        """The notification: what came of the execution, why, how good the model is, where, and the next command."""
        _, partition, _, region, *_, name = execution.split(":")
        console = CONSOLES.get(partition, "console.aws.amazon.com")
        own_model = f"{self.project}-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"
        return {
            "outcome": ended.name,
            "why": ended.why,
            "next": outcome.NEXT.get(ended.error) or outcome.NEXT.get(ended.name, "ops status"),
            "execution": execution,
            "started_by": outcome.request(state).get("reason", "manual"),
            "model": state.get("deployment", {}).get("model", own_model),
            "package": state.get("package", {}).get("arn", ""),
            "metrics": state.get("evaluation", {}).get("document", {}),
            "links": {
                "run": f"https://{console}/states/home?region={region}#/v2/executions/details/{execution}",
                "files": f"s3://{self.data_bucket}/runs/{name}/",
            },
            **({"error": ended.error} if ended.error else {}),
        }


def finish(parts: Finish, machine: str, execution: str, state: outcome.State, *, failed: bool) -> Document:
    """End an execution from its own last state; return its notification's document, and "warnings"."""
    if failed:
        ended = outcome.of_failure(state, execution)
    elif machine == "drift":
        return _finish_drift(parts, execution, state)
    elif machine == "score":
        ended = outcome.of_score(state)
    elif machine == "deploy":
        ended = Outcome("accepted", f"{state['package']['arn']} serves and passes the smoke test")
    else:
        ended = outcome.of_retrain(state)
    document, warnings = parts.document(ended, execution, state), outcome.warnings(state)
    if machine == "score":
        document |= outcome.scored(state)
    if not outcome.request(state).get("parent") and ended.name != outcome.NOTHING:
        parts.free_lease(execution)
        warnings += parts.notify(document, event=EVENTS.get(machine, "Run ended"))
    print(json.dumps({"machine": machine, "execution": execution, "outcome": ended.name, "warnings": warnings}))
    return {**document, "warnings": warnings}


def _finish_drift(parts: Finish, execution: str, state: outcome.State) -> Document:
    """Notify people and the rule that may retrain, if traffic has drifted; no check needs the lease."""
    summary = {key: state["drift"]["document"][key] for key in ("verdict", "drifted", "reason")}
    ended = Outcome("no drift" if summary["verdict"] == "none" else summary["verdict"], summary["reason"])
    document = {**parts.document(ended, execution, state), "drift": summary}
    warnings = outcome.warnings(state)
    warnings += parts.notify(document, "drift", "Drift found") if summary["drifted"] else []
    return {**document, "warnings": warnings}


def aborted(parts: Finish, detail: Document) -> Document:
    """End an execution by EventBridge's status change event, which may come twice: aborted, timed out, or failed.

    One that failed has usually called `finish` itself, which freed the lease; then nothing is left to do.
    """
    execution, status = detail["executionArn"], detail["status"]
    given = json.loads(detail.get("input") or "{}")  # absent when it is too long for the event
    state = {"request": given if isinstance(given, dict) else {}}
    freed = parts.free_lease(execution)
    if state["request"].get("parent") or (status == "FAILED" and not freed):
        return {}
    document = parts.document(Outcome("aborted", f"the execution ended as {status}"), execution, state)
    return {**document, "warnings": parts.notify(document)}
