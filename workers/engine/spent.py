"""What an engine call takes of the memory, seen from outside: of the GPU's if torch uses one, else of RAM.

A process keeps memory that it has freed: torch in its cache, the C library in its heap (`memory.keep`). What
it keeps so is free for its next batch, and what a call takes shows only where it takes more than was kept.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Growth of the process that is none, in bytes: what Python allocates beside a call.
NOISE = 1_000_000

#: Written to `clear_refs`, this lets `VmHWM` begin anew (proc(5)).
_RESET_PEAK = "5"


class Spent:
    """The memory around one engine call after another."""

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroup = cgroup
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
            (self._proc / "self/clear_refs").write_text(_RESET_PEAK)
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
        status = (self._proc / "self/status").read_text()
        return _bytes(status, "VmRSS"), _bytes(status, "VmHWM")

    def _available(self) -> int:
        """What the machine can still give, or the container: bytes."""
        left = _bytes((self._proc / "meminfo").read_text(), "MemAvailable")
        with suppress(OSError, ValueError):  # no limit, or none of the second version
            limit = int((self._cgroup / "memory.max").read_text())
            left = min(left, limit - int((self._cgroup / "memory.current").read_text()))
        return max(0, left)


def _bytes(text: str, name: str) -> int:
    """The value of a line such as ``VmRSS:   5120 kB``, in bytes."""
    return int(text.split(f"{name}:")[1].split(maxsplit=1)[0]) * 1024


def _cuda() -> Any:
    """`torch.cuda`, if an engine of this process uses it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
