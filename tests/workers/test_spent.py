"""What an engine call took of the memory, and what is left for the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workers.engine.spent import Spent

MB = 1024 * 1024

#: Says what a call took that fills 64 MB; in a process of its own, which keeps nothing that it has freed.
CALL = """
from workers.engine.spent import Spent

spent = Spent()
filled = bytearray(b"x" * 256_000_000)
del filled
spent.begin()
filled = bytearray(b"x" * 64 * 1024 * 1024)
print(spent.end()["taken"])
"""


class Machine:
    """Files as the kernel shows them; sizes in MB."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cgroup = folder / "proc", folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroup.mkdir()

    def shows(self, *, resident: int, peak: int, available: int) -> None:
        status = f"Name:\tpython\nVmHWM:\t{peak * 1024} kB\nVmRSS:\t{resident * 1024} kB\n"
        (self.proc / "self/status").write_text(status)
        (self.proc / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available * 1024} kB\n")

    def call(self, spent: Spent, *, before: int, peak: int, after: int) -> dict[str, int | None]:
        self.shows(resident=before, peak=before, available=1000)
        spent.begin()
        self.shows(resident=after, peak=peak, available=1000)
        found = spent.end()
        assert found is not None
        return {name: None if value is None else value // MB for name, value in found.items()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_call_took_what_the_process_grew_by(machine: Machine) -> None:
    """At most, not in the end; what is returned is free again anyway."""
    spent = Spent(machine.proc, machine.cgroup)
    assert machine.call(spent, before=100, peak=180, after=100) == {"taken": 80, "free": 1000}


def test_what_the_process_keeps_is_free_for_the_next(machine: Machine) -> None:
    """A call that needs no more than was kept tells nothing of itself; one that does took all of it."""
    spent = Spent(machine.proc, machine.cgroup)
    machine.call(spent, before=100, peak=150, after=150)
    assert machine.call(spent, before=150, peak=150, after=150) == {"taken": None, "free": 1050}
    assert machine.call(spent, before=150, peak=170, after=170) == {"taken": 70, "free": 1070}


def test_weights_that_are_loaded_between_calls_do_not_count(machine: Machine) -> None:
    """The process may be any size when a call begins."""
    spent = Spent(machine.proc, machine.cgroup)
    machine.call(spent, before=100, peak=150, after=150)
    assert machine.call(spent, before=950, peak=970, after=970) == {"taken": 70, "free": 1070}


def test_container_may_have_less_than_the_machine(machine: Machine) -> None:
    """Its limit, less what it uses, is what is free; without one the machine's memory is."""
    (machine.cgroup / "memory.max").write_text(str(500 * MB))
    (machine.cgroup / "memory.current").write_text(str(300 * MB))
    spent = Spent(machine.proc, machine.cgroup)
    assert machine.call(spent, before=100, peak=180, after=100)["free"] == 200
    (machine.cgroup / "memory.max").write_text("max\n")
    assert machine.call(spent, before=100, peak=180, after=100)["free"] == 1000


def test_machine_without_such_files_says_nothing(tmp_path: Path) -> None:
    """The size is then what is set, and what out-of-memories make of it."""
    spent = Spent(tmp_path / "proc", tmp_path / "cgroup")
    spent.begin()
    assert spent.end() is None


def test_this_machine_tells() -> None:
    """A call that fills 64 MB took about as much, whatever the process had before."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("no /proc")
    taken = int(subprocess.check_output([sys.executable, "-c", CALL], text=True))
    assert 60 * MB < taken < 160 * MB


def test_torch_knows_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch holds for itself and does not use is free; what others hold is not."""
    held = SimpleNamespace(
        is_initialized=lambda: True,
        reset_peak_memory_stats=lambda: None,
        memory_allocated=lambda: 3000,
        max_memory_allocated=lambda: 3800,
        memory_reserved=lambda: 4000,
        mem_get_info=lambda: (500, 8000),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=held))
    spent = Spent()
    spent.begin()
    assert spent.end() == {"taken": 800, "free": 1500}
