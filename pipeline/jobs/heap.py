"""The C library's heap set for large arrays: what is freed goes back, and memory follows what is held."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
APART_BYTES = 8 << 20
KEPT_BYTES = 16 << 20


def large_arrays_apart() -> None:
    """Give every array from APART_BYTES on pages of its own; smaller ones share one heap, KEPT_BYTES of it in reserve.

    For glibc alone, as others have no such settings. By its own it takes arrays of up to 32 MB from the heap once one
    has been freed (mallopt(3), "dynamic mmap threshold"), and a few small ones among them, in a heap a thread, keep it
    from shrinking: preprocessing 20 million rows peaked at 445 to 480 MB, by chance, where 250 are in use.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for setting, value in ((M_MMAP_THRESHOLD, APART_BYTES), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_ARENA_MAX, 1)):
            mallopt(setting, value)
