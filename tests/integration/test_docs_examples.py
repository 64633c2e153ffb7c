"""Promise: every code block of the README and of docs/ runs as it stands, and prints what the page shows."""

from __future__ import annotations

import os
import shutil
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from faster_whisper import decode_audio
from numpy.typing import NDArray

from cli.demo.servers import worker_for_demo
from cli.leash import DidNotStart
from protocol.routing import payload_key
from tests.documents import ROOT, Block, blocks, pages, shown
from tests.integration.terminal import Terminal, Wrong, check_said, terminal
from tests.redis_users import as_user
from workers.demo import Clip, speech

#: Pages with a test of their own, which asks for more, or needs a service on a port that everybody knows.
OWN_TESTS = {
    "docs/messages.md": "tests/integration/test_docs_examples.py",
    "docs/predecessor.md": "tests/integration/test_predecessor.py",
    "docs/how-to/own-engine.md": "tests/integration/test_own_engine.py",
    "docs/how-to/text.md": "tests/integration/test_text.py",
}

#: Sound files that readers of any page have at hand: sentences of the packaged speech that the demo model
#: understands.
SENTENCES = {
    "one": "en-000",
    "two": "en-001",
    "speech": "en-003",
    "call": "en-006",
    "hello": "en-044",
    "question": "en-024",
    "answer": "en-007",
    "calls/monday/late": "en-008",
    "recordings/first": "en-018",
    "recordings/second": "en-022",
}

#: How many sentences the recording `talk.wav` has, which makes it longer than one request may be.
TALK_SENTENCES = 8


@pytest.fixture(scope="module")
def env(new_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader: a worker with the demo model on a Redis, our commands on the PATH."""
    environ = of_a_reader(new_redis)
    with worker_for_demo("docs", tmp_path_factory.mktemp("worker"), environ):
        yield environ


def of_a_reader(redis_url: str) -> dict[str, str]:
    """The environment in which pages are read: nothing set but where Redis is, our commands on the PATH."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    return {**clean, "REDIS_URL": redis_url, "PATH": path}


@pytest.fixture(scope="module")
def at_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages speak of: sounds, one that is none, and the example of settings."""
    folder = tmp_path_factory.mktemp("at-hand")
    clips = {clip.path.stem: clip for clip in speech()}
    for name, clip in SENTENCES.items():
        write_wav(folder / f"{name}.wav", said(clips[clip]))
    english = [clip for clip in clips.values() if clip.language == "en"]
    write_wav(folder / "talk.wav", talk(english[:TALK_SENTENCES]))
    (folder / "broken.wav").write_text("not a sound")
    shutil.copy(ROOT / "segue.example.yaml", folder)
    return folder


@pytest.fixture
def folder(at_hand: Path, tmp_path: Path) -> Path:
    """Where the reader of one page is: a folder of its own with what is at hand."""
    shutil.copytree(at_hand, tmp_path, dirs_exist_ok=True)
    return tmp_path


def said(clip: Clip) -> NDArray[np.int16]:
    """The samples of a packaged sentence."""
    samples: NDArray[np.float32] = decode_audio(str(clip.path))
    return np.round(samples * 32_768).astype(np.int16)


def talk(clips: list[Clip]) -> NDArray[np.int16]:
    """The sentences one after the other, with 2.5 s of a quiet room's noise before each."""
    rng = np.random.default_rng(1)
    pauses = [rng.normal(0, 4, 40_000).astype(np.int16) for _ in clips]
    return np.concatenate([part for pair in zip(pauses, map(said, clips), strict=True) for part in pair])


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write 16 kHz mono to `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def run_page(name: str, text: str, opened: Terminal) -> None:
    """Run the blocks of a page in order; a `text` block behind Python is what that prints."""
    printed = ""
    for block in blocks(text):
        try:
            if block.is_run:
                printed = opened.run(block) if block.language == "python" else run_commands(block, opened)
            elif block.language == "text" and printed:
                check_said("the Python above", printed, block.code)
        except Wrong as error:
            raise Wrong(f"{name}, block at line {block.line}: {error}") from None


def run_commands(block: Block, opened: Terminal) -> str:
    """Run a block of commands, whose output is shown within it: none is left for a block below."""
    opened.run(block)
    return ""


def to_run() -> list[Path]:
    """The pages that have a block to run."""
    return [
        page
        for page in pages()
        if shown(page) not in OWN_TESTS and any(block.is_run for block in blocks(page.read_text("utf-8")))
    ]


@pytest.mark.timeout(300)  # the tutorial starts servers of its own
@pytest.mark.parametrize("page", to_run(), ids=shown)
def test_page_runs_from_top_to_bottom(page: Path, env: dict[str, str], folder: Path) -> None:
    """Whoever types what a page shows, from its first line to its last, sees what it says."""
    with terminal(shown(page), env, folder) as opened:
        run_page(shown(page), page.read_text("utf-8"), opened)


def test_messages_need_nothing_of_ours(env: dict[str, str], folder: Path) -> None:
    """The page for those who know Celery runs with stock Celery alone, and leaves no audio behind."""
    page = ROOT / "docs/messages.md"
    with terminal(shown(page), env, folder) as opened:
        run_page(shown(page), page.read_text("utf-8"), opened)
        ours = '{"protocol", "producer", "workers", "celeryconfig"}'
        assert opened.python(f"import sys; print({ours} & set(sys.modules))") == "set()\n"
        request_id = opened.python("print(request_id, end='')")
    with redis.Redis.from_url(as_user(env["REDIS_URL"], "admin")) as client:
        assert not client.exists(payload_key(request_id))


@pytest.mark.parametrize("name", OWN_TESTS)
def test_other_pages_are_run_by_tests_of_their_own(name: str) -> None:
    """What is not run here is read by the test that is named instead."""
    assert Path(name).name in (ROOT / OWN_TESTS[name]).read_text("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise ValueError\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ true # exit status 1\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ exit\n```\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "<!-- in another terminal: never says this -->\n```console\n$ true\n```\n",
    ],
)
def test_pages_that_lie_are_noticed(text: str, tmp_path: Path) -> None:
    """An error, another status, another output, a session that ends: none of them passes."""
    with (
        terminal("a page", os.environ, tmp_path) as opened,
        pytest.raises((Wrong, DidNotStart)),
    ):
        run_page("a page", text, opened)
