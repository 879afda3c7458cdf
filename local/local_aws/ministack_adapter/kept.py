"""What ministack's services know, as text and back, and the end of executions whose interpreter is gone.

ministack can keep its state, too, but writes a file per service, and only when it stops.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from local_aws import state
from local_aws.ministack_adapter import iam, inner, wrap

APP, PERSISTENCE, RESPONSES = "ministack.app", "ministack.core.persistence", "ministack.core.responses"
STACKS, LAMBDA = "ministack.services.cloudformation", "ministack.services.lambda_svc"
STATES = "ministack.services.stepfunctions"
UNDER_WAY = "_IN_PROGRESS"
REVIEW = "REVIEW_IN_PROGRESS"
"""Of a stack that has a change set only."""
TIME = "__time__"
LOST = {"error": "LocalAws.Ended", "cause": "The local AWS ended while this execution ran."}


class Service(Protocol):
    """A service of ours."""

    def keep(self) -> dict[str, Any]:
        """What is kept over a restart; it takes no lock."""

    def recall(self, kept: dict[str, Any]) -> None:
        """Know what was kept."""


class Kept:
    """The services whose state is kept: ministack's, and ours by name."""

    def __init__(self, services: dict[str, Service]) -> None:
        self._services = services
        self._running: list[tuple[str, str, str]] = []
        self._old_code: list[Callable[[], None]] = []
        wrap(
            LAMBDA, {"_prune_orphan_code_blobs": lambda original, used: self._old_code.append(partial(original, used))}
        )

    def text(self) -> str | None:
        """All that the services know; nothing while a stack is changed, as half of one is of no use later."""
        stacks = inner(STACKS, "_stacks").all_values()
        if any(stack["StackStatus"].endswith(UNDER_WAY) and stack["StackStatus"] != REVIEW for stack in stacks):
            return None
        theirs = {name: get() for name, get in inner(APP, "_build_persistence_save_dict")().items()}
        document = {
            "version": version("ministack"),
            "ministack": {name: known for name, known in theirs.items() if known},
            "own": {name: service.keep() for name, service in self._services.items()},
            "keys": iam.keys(),
        }
        return json.dumps(document, default=_plain)

    def recall(self, file: Path) -> bool:
        """Know what is in a state file; False when there is none. Raises StateError."""
        text = state.read(file)
        if text is None:
            return False
        try:
            document = json.loads(text, object_hook=_object)
            if document["version"] != version("ministack"):
                raise state.unusable(file, f"which is of ministack {document['version']}")
            self._recall(document)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise state.unusable(file, f"it is damaged: {error!r}") from error
        return True

    def _recall(self, document: dict[str, Any]) -> None:
        executions = document["ministack"].get("stepfunctions", {}).get("executions")
        running = (
            [place for place, each in executions.all_items() if each["status"] == "RUNNING"]
            if executions is not None
            else []
        )
        modules = inner(APP, "_state_map")
        for name, known in document["ministack"].items():
            inner(APP, "_get_module")(modules[name]).load_persisted_state(known)
        for name, service in self._services.items():
            service.recall(document["own"][name])
        iam.keys().update(document["keys"])
        for place in running:
            # ministack says that it has failed, and tells nobody
            inner(STATES, "_executions").get_scoped(*place).update(
                status="RUNNING", stopDate=None, error=None, cause=None
            )
        self._running = running

    def end_executions(self) -> None:
        """Abort the executions that ran, which tells those who wait for their end; call it once requests are served."""
        for account, region, arn in self._running:
            with inner(RESPONSES, "request_scope")(account, region):
                inner(STATES, "_stop_execution")({"executionArn": arn, **LOST})
        self._running = []

    def forget_old_code(self) -> None:
        """Delete the code of functions that nothing kept names."""
        for delete in self._old_code:
            delete()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {TIME: value.astimezone(UTC).isoformat()}
    return inner(PERSISTENCE, "_json_default")(value)


def _object(found: dict[str, Any]) -> Any:
    if TIME in found:
        return datetime.fromisoformat(found[TIME])
    return inner(PERSISTENCE, "_json_object_hook")(found)
