"""A reader at a terminal: a shell and a Python that stay for a page, and what each command said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cli.leash import Leashed
from tests.documents import Block

#: How long a command of another terminal may take until it is ready, in seconds: a busy machine must not
#: fail a test.
READY_SECONDS = 60.0

#: What ends an answer: nothing that a command says holds a NUL.
END = re.compile(rb"\x00(\d+)\x00$")

#: A Python that is told blocks, line by line, and keeps what they define; the line numbers are the page's.
PYTHON = r"""
import json, sys, traceback
names = {"__name__": "__main__"}
for told in sys.stdin:
    status, (page, line, code) = 0, json.loads(told)
    try:
        exec(compile("\n" * (line - 1) + code, page, "exec"), names)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        status = 1
    print(f"\0{status}\0", end="", flush=True)
"""

#: What a comment behind a command says of the status with which it ends; without one it is 0.
_STATUS = re.compile(r"# exit status (\d+)$")


class Wrong(AssertionError):
    """A block did not do what its page says."""


class Session:
    """A process that is told what to do and answers with what was said, and the status."""

    def __init__(self, command: list[str], env: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        self._is_busy = False

    def tell(self, text: str) -> tuple[int, str]:
        """Wait until it is done. Raises `Wrong` if the process ends before it has answered."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text.encode())
        process.stdin.flush()
        self._is_busy = True
        said = b""
        while not (end := END.search(said)):
            more = os.read(process.stdout.fileno(), 65_536)
            if not more:
                raise Wrong(f"it ended; it had said: {said.decode()}")
            said += more
        self._is_busy = False
        return int(end[1]), said[: end.start()].decode()

    def end(self) -> None:
        """Let go of it and wait until it has ended; what it has not answered yet ends with it."""
        if self._is_busy and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


class Terminal:
    """Where the blocks of one page are run, one after the other, in one folder."""

    def __init__(self, page: str, env: Mapping[str, str], folder: Path) -> None:
        self._page = page
        self._env = env
        self._folder = folder
        self._stack = ExitStack()
        self._sessions: dict[str, Session] = {}

    def run(self, block: Block) -> str:
        """Run a block; returns what it printed. Raises `Wrong` if that is not what the page says."""
        if block.ready is not None:
            return self._run_elsewhere(block, block.ready)
        if block.language == "python":
            return self.python(block.code, block.line)
        return "".join(self._command(command, shown) for command, shown in block.commands())

    def python(self, code: str, line: int = 1) -> str:
        """Run Python code after all that the page has run before; returns what it printed."""
        told = json.dumps([self._page, line, code])
        status, said = self._session("python", [sys.executable, "-c", PYTHON]).tell(told + "\n")
        if status:
            raise Wrong(said)
        return said

    def end(self) -> None:
        """End everything that still goes on."""
        self._stack.close()

    def _command(self, command: str, shown: str) -> str:
        told = f"{{ {command}\n}} </dev/null\nprintf '\\0%d\\0' $?\n"
        status, said = self._session("shell", ["bash"]).tell(told)
        expected = _STATUS.search(command)
        if status != int(expected[1] if expected else 0):
            raise Wrong(f"{command}: ended with status {status}: {said}")
        check_said(command, said, shown)
        return said

    def _run_elsewhere(self, block: Block, ready: str) -> str:
        ((command, _),) = block.commands()
        log = self._folder / f"terminal-{block.line}.log"
        running = Leashed(
            ["bash", "-c", f"exec {command}"], log=log, env=self._env, cwd=self._folder, grace=30
        )
        self._stack.enter_context(running)
        return running.wait_for_line(ready, READY_SECONDS)[0]

    def _session(self, name: str, command: list[str]) -> Session:
        if name not in self._sessions:
            self._sessions[name] = session = Session(command, self._env, self._folder)
            self._stack.callback(session.end)
        return self._sessions[name]


def check_said(command: str, said: str, shown: str) -> None:
    """Raise `Wrong` unless `said` is what is shown, if anything is; `…` stands for whatever there is."""
    pattern = re.escape(shown.strip()).replace("…", ".*?")
    if shown and not re.fullmatch(pattern, said.strip(), re.DOTALL):
        raise Wrong(f"{command}: said {said!r}, and the page shows {shown!r}")


@contextmanager
def terminal(page: str, env: Mapping[str, str], folder: Path) -> Iterator[Terminal]:
    """A terminal for as long as the context lasts; whatever was started in it ends with it."""
    opened = Terminal(page, env, folder)
    try:
        yield opened
    finally:
        opened.end()
