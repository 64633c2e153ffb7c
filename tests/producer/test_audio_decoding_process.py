"""Strangers' files are decoded in a process that may do nothing else, and whose end is nobody else's."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from producer.container import recognise
from producer.decode_limits import ADDRESS_SPACE
from producer.decode_pool import AT_ONCE, DecodePool, decode_recording
from producer.decode_process import DecodeProcess
from producer.decoding import decode
from producer.sound import resampled
from protocol.errors import RequestError, TranscriptionError
from tests.bad_sound import unmarked
from tests.bombs import flac_of_silence, opus_of_silence

Encode = Callable[[str, NDArray[np.int16]], bytes]
Started = list[DecodeProcess]

NOISE = np.random.default_rng(7).integers(-3_000, 3_000, 32_000).astype(np.int16)
UNSAFE = (sys.executable, "-P", str(Path(__file__).with_name("unsafe_child.py")))


def nothing(_: str) -> None:
    """What nobody listens to."""


@pytest.fixture
def started() -> Started:
    """Every process that a test's pool has started, in order."""
    return []


@pytest.fixture
def pool(started: Started) -> Iterator[DecodePool]:
    """A pool of its own."""

    def start() -> DecodeProcess:
        started.append(DecodeProcess())
        return started[-1]

    made = DecodePool(start)
    yield made
    made.close()


def unsafe(what: str) -> DecodeProcess:
    return DecodeProcess([*UNSAFE, what])


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def heard(pool: DecodePool, file: bytes) -> NDArray[np.int16]:
    return pool.decode(file, recognise(file), nothing)


@pytest.mark.parametrize("kind", ["flac", "mp3", "m4a", "alac", "opus", "vorbis", "webm", "mulaw"])
def test_it_hears_what_this_process_would(pool: DecodePool, encode: Encode, kind: str) -> None:
    """Elsewhere, and with no file that could be opened, a codec gives the same samples."""
    file = encode(kind, NOISE)
    here = resampled(decode(io.BytesIO(file), recognise(file)))
    np.testing.assert_array_equal(heard(pool, file), here)


def test_one_process_serves_many_files(pool: DecodePool, started: Started, encode: Encode) -> None:
    """It is started once; files that are refused do not end it."""
    for _ in range(3):
        heard(pool, encode("flac", NOISE))
        with pytest.raises(RequestError):
            heard(pool, b"fLaC\0\0\0\x22" + bytes(10) + b"\x03\xe8\0" + bytes(100))
    assert len(started) == 1


def test_threads_share_a_few(pool: DecodePool, started: Started, encode: Encode) -> None:
    """Each of many threads gets its own file's sound, from no more processes than there are processors."""
    files = [encode("flac", NOISE[: 4_000 + 100 * number]) for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        sounds = list(threads.map(lambda file: heard(pool, file), files))
    assert [len(sound) for sound in sounds] == [4_000 + 100 * number for number in range(24)]
    assert len(started) <= AT_ONCE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_has_nothing_and_gets_nothing(
    pool: DecodePool, started: Started, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One socket, no password, and the kernel's word that no file, connection or core can be made."""
    monkeypatch.setenv("REDIS_URL", "redis://:a-secret@localhost")
    heard(pool, encode("flac", NOISE))
    process = Path("/proc", str(started[0].pid))
    descriptors = sorted(os.readlink(entry).partition(":")[0] for entry in (process / "fd").iterdir())
    assert descriptors == [os.devnull] * 3 + ["socket"]
    assert b"a-secret" not in (process / "environ").read_bytes()
    limits = {
        line[:25].strip(): line[25:].split()[:2] for line in (process / "limits").read_text().split("\n")
    }
    for what in ("Max open files", "Max file size", "Max core file size"):
        assert limits[what] == ["0", "0"]
    assert limits["Max address space"] == [str(ADDRESS_SPACE)] * 2
    assert int(limits["Max cpu time"][0]) < 60


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bombs_do_not_fill_its_memory(pool: DecodePool, started: Started, encode: Encode) -> None:
    """Of 10 h of FLAC and 24 h of Opus that say nothing of it, no more is decoded than 30 s."""
    for kind in ("flac", "opus"):
        heard(pool, encode(kind, NOISE))
    before = peak_bytes(started[0].pid)
    for bomb in (unmarked(flac_of_silence(36_000)), opus_of_silence(86_400, said=1)):
        with pytest.raises(RequestError) as refused:
            heard(pool, bomb)
        assert refused.value.code == "TOO_LONG"
    assert len(started) == 1
    assert peak_bytes(started[0].pid) - before < 100_000_000


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had at a time."""
    status = Path("/proc", str(pid), "status").read_text()
    return 1_024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize(
    ("what", "kind", "code"),
    [
        ("unguarded", "opus of 16 channels", "AUDIO_CORRUPT"),
        ("leave", "flac", "AUDIO_CORRUPT"),
        ("spin", "flac", "DECODE_TIMEOUT"),
        ("eat", "flac", "DECODED_TOO_LARGE"),
    ],
)
@pytest.mark.parametrize("is_recording", [False, True], ids=["segment", "recording"])
def test_whatever_it_does_is_an_error_of_that_file(
    encode: Encode, what: str, kind: str, code: str, is_recording: bool
) -> None:
    """A crash, an endless loop, an endless wait and too much memory: this process lives and says so."""
    file = encode(kind, NOISE)

    def start() -> DecodeProcess:
        return unsafe(what)

    def heard_of() -> object:
        if is_recording:
            return list(decode_recording(io.BytesIO(file), recognise(file), nothing, start=start))
        with closing(DecodePool(start)) as pool:
            return heard(pool, file)

    with pytest.raises(RequestError) as refused:
        heard_of()
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("what", "ended_by"),
    [("spin", signal.SIGXCPU), ("wait", signal.SIGALRM), ("dawdle", signal.SIGKILL)],
)
def test_time_is_kept_on_both_sides(
    encode: Encode, monkeypatch: pytest.MonkeyPatch, what: str, ended_by: signal.Signals
) -> None:
    """The kernel ends what works or waits too long; the parent ends what escapes the kernel."""
    if what == "dawdle":
        monkeypatch.setattr("producer.decode_process.WALL_SECONDS", 0.0)
    process = unsafe(what)
    with pytest.raises(RequestError, match="more than 10 s of processor time") as refused:
        heard(DecodePool(lambda: process), encode("flac", NOISE))
    assert (refused.value.code, process._process.returncode) == ("DECODE_TIMEOUT", -ended_by)


def test_it_cannot_start_is_nobodys_fault(encode: Encode) -> None:
    """A file is not called damaged because something is wrong here."""
    with pytest.raises(TranscriptionError, match="exited with status 3") as failed:
        heard(DecodePool(lambda: unsafe("unable")), encode("flac", NOISE))
    assert failed.value.code == "DECODER_UNAVAILABLE"


def test_nobody_fails_for_another_ones_file(pool: DecodePool, started: Started, encode: Encode) -> None:
    """A process that dies and has worked before may have been hurt before: the file gets a fresh one."""
    file = encode("flac", NOISE)
    heard(pool, file)
    os.kill(started[0].pid, signal.SIGSEGV)
    np.testing.assert_array_equal(heard(pool, file), NOISE)
    assert len(started) == 2
    assert not is_alive(started[0].pid)


def test_a_recording_that_is_left_ends_its_process(encode: Encode) -> None:
    """Who stops reading half-way leaves nothing behind."""
    running = DecodeProcess()
    file = encode("flac", np.tile(NOISE, 10))
    pieces = decode_recording(io.BytesIO(file), recognise(file), nothing, start=lambda: running)
    next(pieces)
    assert is_alive(running.pid)
    pieces.close()  # type: ignore[attr-defined]
    assert not is_alive(running.pid)


#: Decodes a file, says which process did, and waits to be killed.
PARENT = """
import sys
from producer import decode_pool
from producer.audio import read_audio
read_audio(sys.argv[1])
print(decode_pool._POOL._idle[0].pid, flush=True)
sys.stdin.read()
"""

#: Decodes a file, forks, and decodes it again on both sides at once; 0 if each side has its own process.
FORKING = """
import os, sys
from producer import decode_pool
from producer.audio import read_audio
before = read_audio(sys.argv[1]).samples
first = decode_pool._POOL._idle[0].pid
child = os.fork()
same = (read_audio(sys.argv[1]).samples == before).all()
own = (decode_pool._POOL._idle[0].pid == first) == bool(child)
if not child:
    os._exit(not (same and own))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not (same and own))
"""


@pytest.fixture
def file(encode: Encode, tmp_path: Path) -> Path:
    """A FLAC file."""
    path = tmp_path / "speech.flac"
    path.write_bytes(encode("flac", NOISE))
    return path


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for another's process as Linux allows")
def test_it_ends_with_its_parent(file: Path) -> None:
    """A parent that is killed cannot say good-bye: the end of the socket is enough."""
    command = [sys.executable, "-c", PARENT, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        orphan = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended = select.poll()
    ended.register(orphan, select.POLLIN)
    assert ended.poll(60_000)
    os.close(orphan)


def test_a_fork_has_processes_of_its_own(file: Path) -> None:
    """Two that shared one would get each other's sound."""
    subprocess.run([sys.executable, "-W", "error", "-c", FORKING, str(file)], check=True, timeout=60)
