"""The account's own credentials: made once per home folder, kept in a file that only its owner reads."""

import json
import os
import secrets
import string
from contextlib import suppress
from pathlib import Path

from local_aws.iam import Credentials

TEST = Credentials("test", "test")
TEST_SETTING = "LOCAL_AWS_TEST_CREDENTIALS"


def of_home(home: Path) -> Credentials:
    """The credentials of this home's account; made when there are none."""
    file = home / "credentials.json"
    if not file.exists():
        letters = string.ascii_uppercase + "234567"
        key = "AKIA" + "".join(secrets.choice(letters) for _ in range(16))
        made = home / f"credentials.{os.getpid()}"
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
            json.dump({"key": key, "secret": secrets.token_hex(20)}, output)
        try:
            with suppress(FileExistsError):  # of two starts at once the first one wins
                os.link(made, file)
        finally:
            made.unlink()
    return Credentials(**json.loads(file.read_text()))


def roots(home: Path) -> dict[str, str]:
    """The secrets of the account's root by access key; `test` is one only where the setting says so."""
    accepted = [of_home(home), *([TEST] if os.environ.get(TEST_SETTING) == "1" else [])]
    return {each.key: each.secret for each in accepted}
