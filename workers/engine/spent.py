"""What an engine call takes of the memory, seen from outside: of the GPU's if torch uses one, else of RAM.

A process keeps memory that it has freed: torch in its cache, the C library in its heap (`memory.keep`). What
it keeps so is free for its next batch, and what a call takes shows only where it takes more than was kept.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Growth of the process that is none, in bytes: what Python allocates beside a call.
NOISE = 1_000_000

#: Written to `clear_refs`, this lets `VmHWM` begin anew (proc(5)).
_RESET_PEAK = "5"

#: More than any of the kernel's files here is long, in bytes.
_LONGEST = 16_384


class Spent:
    """The memory around one engine call after another."""

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._clear_refs = proc / "self/clear_refs"
        self._status = _File(proc / "self/status")
        self._meminfo = _File(proc / "meminfo")
        self._limit = _File(cgroup / "memory.max")
        self._used = _File(cgroup / "memory.current")
        self._before = 0
        self._kept = 0

    def begin(self) -> None:
        """A call comes."""
        cuda = _cuda()
        if cuda is not None:
            cuda.reset_peak_memory_stats()
            self._before = cuda.memory_allocated()
            return
        with suppress(OSError, ValueError, IndexError):  # then `end` has nothing to say
            self._clear_refs.write_text(_RESET_PEAK)
            self._before = self._of_process()[0]

    def end(self) -> dict[str, int | None] | None:
        """The call is over: ``taken`` and ``free`` as in `batching.memory.Memory`; None if nobody can say."""
        cuda = _cuda()
        if cuda is not None:
            kept = cuda.memory_reserved() - cuda.memory_allocated()
            return {
                "taken": cuda.max_memory_allocated() - self._before,
                "free": cuda.mem_get_info()[0] + kept,
            }
        with suppress(OSError, ValueError, IndexError):
            return self._of_ram()
        return None

    def _of_ram(self) -> dict[str, int | None]:
        resident, peak = self._of_process()
        grown = max(peak, resident) - self._before
        taken = self._kept + grown if grown > NOISE else None
        self._kept = max(0, self._kept + resident - self._before)
        return {"taken": taken, "free": self._available() + self._kept}

    def _of_process(self) -> tuple[int, int]:
        """What is resident, and what was at most since the peak was reset: bytes."""
        status = self._status.read()
        return _bytes(status, "VmRSS"), _bytes(status, "VmHWM")

    def _available(self) -> int:
        """What the machine can still give, or the container: bytes."""
        left = _bytes(self._meminfo.read(), "MemAvailable")
        with suppress(OSError, ValueError):  # no limit, or none of the second version
            limit = int(self._limit.read())
            left = min(left, limit - int(self._used.read()))
        return max(0, left)


class _File:
    """A file of the kernel's that stays open: `end` stands between two batches, and opening takes longest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> str:
        """What it says now. Raises `OSError` if there is none."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._descriptor, _LONGEST, 0).decode()

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _bytes(text: str, name: str) -> int:
    """The value of a line such as ``VmRSS:   5120 kB``, in bytes."""
    return int(text.split(f"{name}:")[1].split(maxsplit=1)[0]) * 1024


def _cuda() -> Any:
    """`torch.cuda`, if an engine of this process uses it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
