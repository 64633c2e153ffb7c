"""`segue bench queue`: what it makes of its measurements, and that both ways are asked the same."""

from __future__ import annotations

import pytest
import redis

from bench.clips import chosen_clips
from bench.queue_ratio import Round, Through, submit, worker
from protocol.request import Priority
from protocol.routing import payload_key, queue_key


def a_round(bare: float, queue: float) -> Round:
    return Round(
        bare_per_second=bare, queue_per_second=queue, bare_cpu_seconds=1 / bare, queue_cpu_seconds=2 / queue
    )


def test_ratios_are_those_within_a_round() -> None:
    """A round in which the machine is ten times slower changes nothing."""
    found = Through(rounds=(a_round(100, 80), a_round(10, 8), a_round(100, 90)))
    assert found.ratio == pytest.approx(0.8)
    assert found.cpu_ratio == pytest.approx(0.4)


def test_the_worker_has_the_packaged_model_at_the_context_compared() -> None:
    """What it is told is what the bare engine is made with."""
    told = worker("bucketed").env
    assert (told["SEGUE_MODEL"], told["SEGUE_AUDIO_CONTEXT"], told["SEGUE_MAX_BATCH_SIZE"]) == (
        "demo",
        "bucketed",
        "8",
    )


def test_clips_are_submitted_in_order(redis_url: str, redis_client: redis.Redis) -> None:
    """As many as are asked for, one request each, with the audio that the bare engine hears."""
    request_ids = submit(redis_url, 3)
    assert redis_client.llen(queue_key(Priority.NORMAL)) == 3
    stored = [redis_client.strlen(payload_key(request_id)) for request_id in request_ids]
    assert stored == [2 * len(clip.samples) for clip in chosen_clips(3)]
