"""Large arrays kept out of the C library's heap: what is freed goes back, and memory follows what is held."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3
APART_BYTES = 8 << 20


def large_arrays_apart() -> None:
    """Give every array from APART_BYTES on pages of its own, where the C library is glibc; others have no such setting.

    Without it glibc takes arrays of up to 32 MB from the heap once one has been freed (mallopt(3), "dynamic mmap
    threshold"), and a few small ones among them keep it from shrinking: preprocessing 20 million rows peaked at 445 to
    480 MB, by chance, where 270 are in use.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_THRESHOLD, APART_BYTES)
