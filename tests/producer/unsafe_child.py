"""A decoding process whose decoder misbehaves as the first argument says; the second is its descriptor."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from producer import decode_child, decode_limits, libav


def unguarded() -> None:
    """Native code crashes: PyAV 18.1 does on 16 planar channels, if they get that far."""
    vars(libav)["check_channels"] = print


def spin(*_: Any) -> Any:
    """Work for ever."""
    while True:
        pass


def wait(*_: Any) -> Any:
    """Wait for ever."""
    while True:
        signal.pause()


def dawdle(*_: Any) -> Any:
    """Wait for ever, and have no clock of one's own."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    wait()


def eat(*_: Any) -> Any:
    """Ask for more memory than there may be."""
    return bytearray(decode_limits.ADDRESS_SPACE)


def leave(*_: Any) -> Any:
    """Go away."""
    os._exit(7)


def main(what: str, descriptor: int) -> None:
    """Be a decoding process that does `what`."""
    decode_limits.CPU_SECONDS = 1
    if what == "wait":
        decode_limits.WALL_SECONDS = 1.0
    if what == "unguarded":
        unguarded()
    elif what == "unable":
        sys.exit(3)
    else:
        for decoder in ("decode", "decoded"):
            vars(decode_child)[decoder] = globals()[what]
    decode_child.main(descriptor)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
