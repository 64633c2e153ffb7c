"""What the process that decodes strangers' sound files may use, enforced on it by the kernel."""

from __future__ import annotations

import math
import resource
import signal
import sys

#: Most address space, in bytes. The process takes 0.23 GB when it starts, and the largest audio segment, 30 s
#: at 192 kHz in 8 channels, 0.2 GiB of samples; a FLAC file of 72 kB can ask for 5 GB.
ADDRESS_SPACE = 1 << 30

#: Most processor time until the next piece of sound, in seconds. A whole audio segment takes some 0.1 s.
CPU_SECONDS = 10

#: Most time until the next piece of sound, in seconds, for what waits instead of working.
WALL_SECONDS = 15.0

#: How much of a file is handed to it at a time, in bytes: half a minute of MP3 is one stretch or two.
READ_BYTES = 1 << 18


def confine() -> None:
    """Give up, for good, what decoding does not need: files, sockets, and memory without end.

    No descriptor can be opened from here on, so neither a file nor a connection; those that are open stay.
    A crash leaves no core file, in which somebody's sound would be.
    """
    for what, most in (
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _lower(what, most)
    if sys.platform != "darwin":  # which refuses a limit below the hundreds of GB that it maps
        _lower(resource.RLIMIT_AS, ADDRESS_SPACE)


def allow_piece() -> None:
    """Let this process work on one piece of sound; if it takes too long, the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = spent + CPU_SECONDS
    resource.setrlimit(
        resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)


def rest() -> None:
    """Waiting for the parent is no work: it takes as long as it takes."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def _lower(what: int, most: int) -> None:
    """Set a limit that cannot be raised again, and never above what it is already."""
    _, hard = resource.getrlimit(what)
    lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (lowered, lowered))
