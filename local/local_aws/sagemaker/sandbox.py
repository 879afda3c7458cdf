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
# An overlay adds the folder `ml` to /opt and changes nothing on the machine. The working directory stays the sandbox's
# path outside, so that a process shows to which job it belongs.
_MOUNT = """\
{ [ -d /opt/ml ] || mount -t overlay overlay -o "lowerdir=$1:/opt" /opt; } &&
mount --no-canonicalize --bind . /opt/ml && unset PWD OLDPWD && shift && exec "$@\""""
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
            subprocess.run(found.entered(["true"], {}, home)[0], check=True, capture_output=True, cwd=home)
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", b"").decode().strip() or error
            log.warning("cannot mount /opt/ml for containers, so paths of requests are translated: %s", why)
            return cls(home, ())
        return found

    def entered(self, command: list[str], environment: dict[str, str], root: Path) -> tuple[list[str], dict[str, str]]:
        """The command and the environment of a container, to be started in the sandbox `root`."""
        if self.enter:
            return [*self.enter, str(self.home / "opt"), *command], environment

        def moved(text: str) -> str:
            return _PATH.sub(lambda found: f"{found[1]}{root}", text)

        return [moved(word) for word in command], {name: moved(value) for name, value in environment.items()}

    def shown(self, text: str) -> str:
        """A message about a sandbox, with AWS's paths."""
        return re.sub(rf"{re.escape(str(self.home))}/(?:jobs|endpoints)/[^\s'\"]*?/ml\b", "/opt/ml", text)
