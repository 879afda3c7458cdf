"""The server's log: it begins anew when it is long, and the part before it is kept once."""

import os
import shutil
import threading
from pathlib import Path
from typing import IO

LONGEST = 10 << 20
LOOK_SECONDS = 5.0


def begin(path: Path) -> IO[bytes]:
    """A new log for its owner alone; that of the start before is `<name>.1`. Written at its end, so it may be cut."""
    if path.exists():
        path.replace(earlier(path))
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def earlier(path: Path) -> Path:
    """Where the part before is kept."""
    return path.with_name(f"{path.name}.1")


def keep_short(path: Path, seconds: float = LOOK_SECONDS, longest: int = LONGEST) -> None:
    """Look from time to time, in a thread of its own, whether a log has more bytes than `longest`."""
    pause = threading.Event()

    def watch() -> None:
        while not pause.wait(seconds):
            if path.exists() and path.stat().st_size > longest:
                shutil.copyfile(path, earlier(path))
                os.truncate(path, 0)

    threading.Thread(target=watch, name="log", daemon=True).start()
