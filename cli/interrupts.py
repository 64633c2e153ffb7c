"""Ctrl-C, where it would come at the wrong moment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cli.exits import Exit


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C takes effect at the end of this; a second one ends the command there and then.

    For what must not be broken off by an exception from nowhere: loading native code, which ends with
    *Aborted* then, and sending a request, whose id would be lost.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, or somebody else's
        yield
        return
    came = False

    def note(*_: object) -> None:
        nonlocal came
        if came:
            os._exit(Exit.INTERRUPTED)
        came = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt
