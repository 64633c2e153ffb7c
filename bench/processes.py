"""What the kernel says of processes that a benchmark has started."""

from __future__ import annotations

import os
from pathlib import Path


def children(pid: int) -> list[int]:
    """Process ids of the children that `pid` has right now; none if it has ended. Linux only."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in listed.split()]


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far, in seconds. Linux only."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for one in (pid, *children(pid)):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total
