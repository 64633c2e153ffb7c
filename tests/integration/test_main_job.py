"""Promise: real speech in from several producers, batched, the right words out, as good as unbatched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel

from cli.demo.plan import Planned, make_plan, write_plan
from cli.demo.words import word_error_rate
from producer import Client
from protocol.transcript import Transcript
from tests.integration.conftest import StartWorker
from workers.demo import model_path, speech

PRODUCERS = 3
SEGMENTS_EACH = 40
WAIT = 300.0


def submit_from_processes(plan: list[Planned], redis_url: str, folder: Path) -> None:
    """Submit the plan one by one from `PRODUCERS` processes at once."""
    processes = []
    for number in range(PRODUCERS):
        share = folder / f"{number}.json"
        write_plan(share, plan[number::PRODUCERS])
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "cli.demo.producer", str(share)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "REDIS_URL": redis_url},
            )
        )
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=WAIT)
        assert process.returncode == 0


@pytest.mark.timeout(600)
def test_three_producers_one_worker(
    start_worker: StartWorker, client: Client, redis_url: str, tmp_path: Path
) -> None:
    """120 segments, three languages, all priorities: each right by its id, in batches of over 4 on average,
    with a word error rate within one point of faster-whisper's own, one by one."""
    plan = make_plan(speech(), PRODUCERS * SEGMENTS_EACH, "job")
    assert {planned.language for planned in plan} == {"de", "en", "es"}
    worker = start_worker(engine="faster-whisper", model="demo", min_batch_size=8)
    submit_from_processes(plan, redis_url, tmp_path)
    transcripts = [client.result(planned.request_id, timeout=WAIT) for planned in plan]
    worker.stop()

    assert [one.request_id for one in transcripts] == [planned.request_id for planned in plan]
    assert {one.language for one in transcripts} == {"de", "en", "es"}
    assert mean_batch_size(transcripts) > 4
    batched = word_error_rate([(p.said, t.text) for p, t in zip(plan, transcripts, strict=True)])
    alone = word_error_rate(one_by_one(plan))
    assert alone < 0.05
    assert abs(batched - alone) <= 0.01


def mean_batch_size(transcripts: list[Transcript]) -> float:
    """Over batches, not over requests."""
    sizes = {one.timings.batch_id: one.timings.batch_size for one in transcripts if one.timings}
    return float(np.mean(list(sizes.values())))


def one_by_one(plan: list[Planned]) -> list[tuple[str, str]]:
    """What faster-whisper itself hears in each file."""
    whisper = WhisperModel(str(model_path()), device="cpu", compute_type="float32", cpu_threads=2)
    return [
        (
            planned.said,
            "".join(
                segment.text
                for segment in whisper.transcribe(planned.path, language=planned.language, temperature=0.0)[0]
            ),
        )
        for planned in plan
    ]
