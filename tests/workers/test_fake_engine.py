"""The fake engine: answers that tell rows apart, costs that add up, faults on demand."""

import hashlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from protocol.errors import EngineLost, OutOfMemory
from protocol.options import Options
from workers.engine.base import Heard, Row, Samples
from workers.engine.fake import FakeEngine, fingerprint

SECOND = np.zeros(16_000, np.float32)


def row(script: str | None = None, samples: Samples = SECOND) -> Row:
    return FakeEngine().prepare(samples, Options(initial_prompt=script))


def test_text_is_the_fingerprint_of_the_pcm() -> None:
    """Text is the start of the SHA-256 of the very 16-bit samples that the producer stored."""
    pcm = np.array([-32768, -1, 0, 1, 32767], "<i2")
    samples = pcm.astype(np.float32) / 32768.0
    [outcome] = FakeEngine().run([row(samples=samples)])
    assert isinstance(outcome, Heard)
    assert outcome.text == hashlib.sha256(pcm.tobytes()).hexdigest()[:16]


def test_samples_beyond_full_scale_are_clipped() -> None:
    """1.0 is one above the largest 16-bit sample and counts as that."""
    assert fingerprint(np.array([1.0], np.float32)) == fingerprint(np.array([32767 / 32768], np.float32))


def test_a_call_costs_what_was_scripted() -> None:
    """A call takes fixed + per_row · rows + per_second · seconds of audio + per_longest · the longest."""
    slept: list[float] = []
    engine = FakeEngine(fixed=0.25, per_row=0.5, per_second=2.0, per_longest=4.0, sleep=slept.append)
    engine.run([row(), row(samples=SECOND[:8_000])])
    assert slept == [0.25 + 2 * 0.5 + 1.5 * 2.0 + 1.0 * 4.0]


def test_an_empty_batch_costs_nothing() -> None:
    """No rows, no time: not even the fixed part."""
    slept: list[float] = []
    FakeEngine(fixed=1.0, sleep=slept.append).run([])
    assert slept == []


def test_fail_breaks_the_whole_call() -> None:
    """A row with the script `fail` takes its batch along."""
    with pytest.raises(RuntimeError, match="scripted failure"):
        FakeEngine().run([row(), row("fail")])


def test_fail_n_times_breaks_that_many_calls() -> None:
    """A passing fault is retryable, and passes."""
    engine, passing = FakeEngine(), row("fail 2 times")
    for _ in range(2):
        with pytest.raises(EngineLost) as caught:
            engine.run([passing])
        assert caught.value.retryable
    assert isinstance(engine.run([passing])[0], Heard)


def test_out_of_memory_depends_on_the_number_of_rows() -> None:
    """Two rows fit where the script says so, three do not."""
    engine, tight = FakeEngine(), row("out of memory above 2")
    assert len(engine.run([tight, row()])) == 2
    with pytest.raises(OutOfMemory):
        engine.run([tight, row(), row()])


def test_crash_kills_the_process() -> None:
    """The script `crash` ends the process as a fault in native code does."""
    code = """
import resource
import numpy as np
from protocol.options import Options
from workers.engine.fake import FakeEngine
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
engine = FakeEngine()
engine.run([engine.prepare(np.zeros(800, np.float32), Options(initial_prompt="crash"))])
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert ended.returncode == -signal.SIGSEGV


def test_hang_never_returns() -> None:
    """The script `hang` still holds its call when the process is told to stop."""
    code = """
import numpy as np
from protocol.options import Options
from workers.engine.fake import FakeEngine
engine = FakeEngine(sleep=lambda _: print("returns", flush=True))
print("calling", flush=True)
engine.run([engine.prepare(np.zeros(800, np.float32), Options(initial_prompt="hang"))])
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "calling\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.kill()
        assert process.stdout.read() == ""
