"""What becomes of memory that an engine has freed.

The GNU C library returns large pieces to the kernel as soon as they are freed, and the kernel clears each
page before it gives it out again. The attention scores of eight rows of 30 s are 288 MB, freed and asked
for again in every layer of every call: with the packaged model a third of all CPU time went there. An
engine process does nothing but run batches, so it keeps what it has had; its size is that of the largest
batch so far. Threads then share one arena, and may have to wait for it: two that compute features beside each
other take 1.75 ms for 30 s, and 3.6 if each has to be woken up for its turn, where one alone takes 2.9.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

#: `mallopt(3)`: parameters, from glibc's `malloc.h`.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8

#: An int's largest, in bytes: free memory at the heap's end stays up to there.
_NEVER = 2**31 - 1


def keep() -> bool:
    """Let freed memory stay with this process; False where the C library has no such choice.

    One arena, for only the main one can grow without bound: all others are cut into heaps of 64 MB.
    """
    if (mallopt := _of_libc("mallopt")) is None:
        return False
    wanted = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER))
    return sum(mallopt(parameter, value) for parameter, value in wanted) == len(wanted)


def give_back() -> None:
    """Return all memory that is free now to the kernel, such as that of weights that were unloaded."""
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


def _of_libc(name: str) -> Callable[..., int] | None:
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return function
