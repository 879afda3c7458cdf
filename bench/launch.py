"""`python bench/launch.py COMMAND ...` runs it, then prints a line of JSON: exit code, seconds, CPU seconds, peak KB.

A process of its own because Linux counts the memory of whoever starts a program into that program's peak: this one is
small.
"""

import os
import sys
import time


def main(command: list[str]) -> None:
    """Run, wait, tell."""
    started = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    seconds, busy = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    print(f"[{os.waitstatus_to_exitcode(status)}, {seconds}, {busy}, {usage.ru_maxrss}]", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
