"""Memory that the engine has freed: kept between batches, returned with the model."""

import subprocess
import sys

import pytest

#: Asks for 200 MB twice, as the attention of a full batch does; says how many pages were new the second
#: time, and how many MB the process has lost when it was told to give back what is free.
USE = """
import ctypes, resource
from pathlib import Path
from workers.engine import memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, libc.memset.argtypes = (
    ctypes.c_void_p, [ctypes.c_void_p], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t])

def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    place = libc.malloc(200_000_000)
    libc.memset(place, 1, 200_000_000)
    libc.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def size():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

if {keep}:
    assert memory.keep()
use()
again, kept = use(), size()
memory.give_back()
print(again, (kept - size()) // 1_000_000)
"""


def used(*, keep: bool) -> tuple[int, int]:
    """Pages that were new at the second use, and MB given back; in a process of its own."""
    said = subprocess.check_output([sys.executable, "-c", USE.format(keep=keep)], text=True).split()
    return int(said[0]), int(said[1])


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's allocator")


@linux_only
def test_freed_memory_is_used_again_without_the_kernel() -> None:
    """The second batch touches no new page, where by default every page of it is new."""
    assert used(keep=False)[0] > 40_000
    assert used(keep=True)[0] < 100


@linux_only
def test_what_was_kept_can_be_given_back() -> None:
    """A model that leaves the memory leaves it to the machine, not to its process."""
    assert used(keep=True)[1] >= 199
