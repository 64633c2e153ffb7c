"""Ctrl-C comes when it does no harm."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from cli.interrupts import interrupts_wait

#: Interrupts itself so many times where Ctrl-C is to wait, and says how far it came.
SCRIPT = """
import signal, sys
from cli.interrupts import interrupts_wait
with interrupts_wait():
    for _ in range({times}):
        signal.raise_signal(signal.SIGINT)
    print("sent", flush=True)
print("waited")
"""


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests run in the background of a shell, which ignores it for them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(after: Callable[[], None]) -> None:
    """Ctrl-C where it waits, and then something else."""
    with interrupts_wait():
        signal.raise_signal(signal.SIGINT)
        after()


def test_ctrl_c_waits_for_the_end() -> None:
    """What must not be broken off is done first."""
    done: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: done.append(True))
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_does_not_hide_it() -> None:
    """Whoever catches the error would go on, though somebody wants it to end."""

    def fail() -> None:
        raise ValueError

    with pytest.raises(KeyboardInterrupt):
        interrupted(fail)


def test_a_second_one_does_not_wait() -> None:
    """Whoever insists is let go at once."""
    command = [sys.executable, "-c", SCRIPT.format(times=2)]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (asked.returncode, asked.stdout, asked.stderr) == (130, "", "")


def test_who_ignores_it_goes_on_ignoring_it() -> None:
    """As `nohup` and shells have it for what runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_wait():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
