"""The leash: what is started ends with whoever started it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.leash import DidNotStart, Leashed

#: Far longer than anything here takes, in seconds; only a broken leash gets this far.
PATIENCE = 30.0


class Alarm:
    """A named pipe: whoever opens it for writing is seen to arrive, and the last of them to go."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "alarm"
        os.mkfifo(self.path)
        self._pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        """What was written next; empty once every writer has gone."""
        arrived, _, _ = select.select([self._pipe], [], [], PATIENCE)
        assert arrived, "nobody wrote, and somebody still could"
        return os.read(self._pipe, 4096)

    def close(self) -> None:
        os.close(self._pipe)


@pytest.fixture
def alarm(tmp_path: Path) -> Iterator[Alarm]:
    alarm = Alarm(tmp_path)
    yield alarm
    alarm.close()


def shell(script: str, tmp_path: Path, *, grace: float = 10.0) -> Leashed:
    return Leashed(["sh", "-c", script], log=tmp_path / "log", cwd=tmp_path, grace=grace)


def test_a_command_ends_when_its_parent_is_killed(tmp_path: Path, alarm: Alarm) -> None:
    """The parent needs no last word: killed outright, it takes the command with it."""
    parent = f"""if True:
        from pathlib import Path
        from cli.leash import Leashed
        folder = Path({str(tmp_path)!r})
        script = "exec 3>alarm; echo here >&3; exec sleep 1000"
        with Leashed(["sh", "-c", script], log=folder / "log", cwd=folder):
            input()
    """
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE) as process:
        assert alarm.read() == b"here\n"
        process.kill()
        assert alarm.read() == b""


def test_what_the_command_started_ends_with_it(tmp_path: Path, alarm: Alarm) -> None:
    """Children of the command are in its group, and the group goes as one."""
    with shell("exec 3>alarm; sleep 1000 & echo here >&3; exec 3>&-; wait", tmp_path):
        assert alarm.read() == b"here\n"
    assert alarm.read() == b""


def test_what_the_command_leaves_behind_ends_too(tmp_path: Path, alarm: Alarm) -> None:
    """A command that ends by itself cannot leave a process of its group running."""
    with shell("exec 3>alarm; echo here >&3; sleep 1000 & exit 0", tmp_path):
        assert alarm.read() == b"here\n"
        assert alarm.read() == b""


def test_a_deaf_command_is_killed_after_the_grace(tmp_path: Path) -> None:
    """SIGTERM is a request with an end: what ignores it gets SIGKILL, told by status 128 + 9."""
    command = shell("trap '' TERM; echo deaf; while :; do sleep 1000; done", tmp_path, grace=0.2)
    command.start()
    command.wait_for_line("deaf", PATIENCE)
    assert command.stop() == 128 + signal.SIGKILL


def test_a_command_may_end_in_its_own_way(tmp_path: Path) -> None:
    """SIGTERM comes first, and the exit status the command then chooses is passed on."""
    command = shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done", tmp_path)
    command.start()
    command.wait_for_line("up", PATIENCE)
    assert command.stop() == 7


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_status_is_passed_on(script: str, status: int) -> None:
    """As a shell would tell it: the command's own status, or 128 and the signal that ended it."""
    program = [sys.executable, "-m", "cli.leash", "--", "sh", "-c", script]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as leash:
        assert leash.wait(PATIENCE) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(number: signal.Signals) -> None:
    """Whoever sends the leash a signal means the command."""
    script = f"trap 'exit 5' {number.name[3:]}; echo up; while :; do sleep 0.01; done"
    program = [sys.executable, "-m", "cli.leash", "--", "sh", "-c", script]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as leash:
        assert leash.stdout is not None
        assert leash.stdout.readline() == b"up\n"
        leash.send_signal(number)
        assert leash.wait(PATIENCE) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_command_ends_when_its_leash_is_killed(alarm: Alarm) -> None:
    """Even the leash itself can be lost without leaving the command behind."""
    program = [sys.executable, "-m", "cli.leash", "--", "sh", "-c"]
    script = f"exec 3>{alarm.path}; echo here >&3; exec sleep 1000"
    with subprocess.Popen([*program, script], stdin=subprocess.PIPE) as leash:
        assert alarm.read() == b"here\n"
        leash.kill()
        assert alarm.read() == b""


def test_pid_is_that_of_the_command(tmp_path: Path) -> None:
    """A test that kills `pid` kills the command, not its leash."""
    with shell("echo I am $$; exec sleep 1000", tmp_path) as command:
        assert int(command.wait_for_line(r"I am (\d+)", PATIENCE)[1]) == command.pid


def test_waiting_ends_with_the_command(tmp_path: Path) -> None:
    """A command that ends before its line is an error at once, and the error quotes what it said."""
    with (
        shell("echo out of paper; exit 4", tmp_path) as command,
        pytest.raises(DidNotStart, match=r"(?s)status 4.*out of paper"),
    ):
        command.wait_for_line("ready", PATIENCE)


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """A line that never comes is an error that names the line, the time and the log."""
    with (
        shell("echo so far; exec sleep 1000", tmp_path) as command,
        pytest.raises(DidNotStart, match=r"did not say 'ready' within 0 s; the log is .*log"),
    ):
        command.wait_for_line("ready", 0.0)


def test_its_own_end_can_be_waited_for(tmp_path: Path) -> None:
    """Nobody lets go of the leash then: the status is what the command itself came to."""
    with shell("exit 6", tmp_path) as command:
        assert command.wait(PATIENCE) == 6
    with shell("exec sleep 1000", tmp_path) as command, pytest.raises(TimeoutError, match="still runs"):
        command.wait(0.0)


def test_only_its_own_lines_count(tmp_path: Path) -> None:
    """A log that is carried on does not make a new command look ready."""
    (tmp_path / "log").write_text("ready\n")
    with shell("exit 1", tmp_path) as command, pytest.raises(DidNotStart):
        command.wait_for_line("ready", PATIENCE)


def test_a_command_that_cannot_run_says_so(tmp_path: Path) -> None:
    """Starting what does not exist fails at the start and names it."""
    command = Leashed(["/nowhere/at-all"], log=tmp_path / "log")
    with pytest.raises(DidNotStart, match="/nowhere/at-all: No such file"):
        command.start()


def test_what_was_never_started_has_nothing_to_stop(tmp_path: Path) -> None:
    """`stop` is for clean-up code, which runs whether or not the start came that far."""
    assert shell("exit 0", tmp_path).stop() is None
