"""A container's /opt/ml: its sandbox, mounted there for its processes alone.

Linux gives each container a mount namespace, without root also a user namespace, in which its user is root, as in AWS's
containers. Where neither is allowed (macOS, most Docker containers) /opt/ml in a request's arguments and environment
is replaced by the sandbox's path; a program that itself names /opt/ml does not find it then.
"""

import logging
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPT_ML = Path("/opt/ml")
# An overlay adds the folder `ml` to /opt and changes nothing on the machine.
_MOUNT = """\
cd "$1" && { [ -d /opt/ml ] || mount -t overlay overlay -o "lowerdir=$2:/opt" /opt; } &&
mount --no-canonicalize --bind . /opt/ml && cd /opt/ml && unset PWD OLDPWD && shift 2 && exec "$@\""""
_PATH = re.compile(r"(^|=)/opt/ml(?=/|$)")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sandboxes:
    """The sandboxes below `home`; `enter` begins the command of a mount, and is empty when there are no mounts."""

    home: Path
    enter: tuple[str, ...]

    @classmethod
    def below(cls, home: Path) -> "Sandboxes":
        """Try whether mounts are allowed here, and log it if not."""
        (home / "opt/ml").mkdir(parents=True, exist_ok=True)
        user = () if os.geteuid() == 0 else ("--map-root-user",)
        found = cls(home, ("unshare", *user, "--mount", "sh", "-c", _MOUNT, "sh"))
        try:
            subprocess.run(found.command(["true"], home), check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", b"").decode().strip() or error
            log.warning("cannot mount /opt/ml for containers, so paths of requests are translated: %s", why)
            return cls(home, ())
        return found

    def seen(self, root: Path) -> Path:
        """Where the processes of a sandbox see it."""
        return OPT_ML if self.enter else root

    def command(self, command: list[str], root: Path) -> list[str]:
        """The command that runs a command in the sandbox `root`."""
        return [*self.enter, str(root), str(self.home / "opt"), *command] if self.enter else command

    def translated(self, text: str, root: Path) -> str:
        """A path of a request, as a whole or after `=`, as the processes of a sandbox see it."""
        return _PATH.sub(lambda found: f"{found[1]}{self.seen(root)}", text)

    def shown(self, text: str) -> str:
        """A message about a sandbox, with AWS's paths."""
        return re.sub(rf"{re.escape(str(self.home))}/(?:jobs|endpoints)/[^\s'\"]*?/ml\b", "/opt/ml", text)
