"""IAM: checks callers, lets services act in roles, and records decisions."""

import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Need:
    """An action on a resource, and what the request's conditions say."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role, or those of the account's root."""

    key: str
    secret: str
    token: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the SDKs read."""
        names = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_SESSION_TOKEN": self.token}
        return {name: value for name, value in names.items() if value}


class AccessError(Exception):
    """IAM refuses; the message has AWS's words."""


@dataclass(frozen=True)
class Access:
    """IAM as services use it.

    `refused` returns the caller's ARN when IAM refuses a need of the owner of an access key, `trusts` whether a role
    exists and trusts a service; `register` makes credentials valid for a role's session. `decisions` is the file of
    decisions, one JSON line for each role, action, resource and outcome.
    """

    refused: Callable[[str, Need], str | None]
    trusts: Callable[[str, str], bool]
    register: Callable[[str, Credentials], None]
    decisions: Path
    _known: set[tuple[str, str, str, bool]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def act(self, role: str, service: str) -> Credentials:
        """Credentials of a role for a service (`sagemaker.amazonaws.com`). Raises AccessError."""
        if not self.trusts(role, service):
            raise AccessError(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal '{service}' "
                "to assume the role."
            )
        key, secret, token = (
            hmac.new(self._salt, f"{part} {role} {service}".encode(), "sha256").hexdigest()
            for part in ("key", "secret", "token")
        )
        credentials = Credentials(f"ASIA{key[:16].upper()}", secret, token)
        self.register(role, credentials)
        return credentials

    def check(self, key: str, needs: Iterable[Need]) -> None:
        """Raise AccessError for the first need that the owner of an access key may not fulfil."""
        for need in needs:
            caller = self.refused(key, need)
            if caller is not None:
                raise AccessError(
                    f"User: {caller} is not authorized to perform: {need.action} on resource: {need.resource} because "
                    f"no identity-based policy allows the {need.action} action"
                )

    def record(self, role: str, action: str, resource: str, allowed: bool) -> None:
        """Keep a decision; one like it is kept once."""
        decision = (role, action, resource, allowed)
        with self._lock:
            if decision in self._known:
                return
            self._known.add(decision)
            shown = {"role": role, "action": action, "resource": resource, "allowed": allowed}
            with self.decisions.open("a") as file:
                file.write(json.dumps(shown) + "\n")
        if not allowed:
            log.warning("IAM refuses %s on %s to %s", action, resource, role)
