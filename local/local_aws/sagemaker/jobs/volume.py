"""The volumes of a job's instances: when one is full, the job's programs end, as they would on a full disk."""

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from local_aws.sagemaker.api.errors import JobError

WATCH_SECONDS = 0.2
BLOCK = 512  # of st_blocks, POSIX


class Volumes:
    """Watches sandboxes for the length of a `with` block, and calls `full` while one has more than `gigabytes`.

    The end of the block deletes the sandboxes and raises JobError when one was full.
    """

    def __init__(self, roots: Iterable[Path], gigabytes: int, full: Callable[[], None]) -> None:
        self._roots, self._gigabytes, self._full = list(roots), gigabytes, full
        self._over, self._found = threading.Event(), ""
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Volumes":
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look once more. Raises JobError for a full volume."""
        self._over.set()
        self._thread.join()
        if self._found or self._look():
            for root in self._roots:  # unlike those of other failed jobs: they would fill the disk
                shutil.rmtree(root, ignore_errors=True)
            raise JobError(
                f"ClientError: No space left on device: the volume of {self._found} has {self._gigabytes} GB "
                "(VolumeSizeInGB)"
            )

    def _watch(self) -> None:
        while not self._over.wait(WATCH_SECONDS):
            if self._look():
                self._full()

    def _look(self) -> bool:
        self._found = next((root.parent.name for root in self._roots if used(root) > self._gigabytes << 30), "")
        return bool(self._found)


def used(folder: Path) -> int:
    """The bytes that the files below a folder occupy."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * BLOCK
        except FileNotFoundError:  # the program removes files meanwhile
            continue
    return total
