"""`segue bench overhead`: what it makes of its measurements, and that it compares like with like."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from bench.contestants import Contestant, message_kwargs, ours, result, stock
from bench.overhead import Cost, Overhead, TooFew, drain, median
from protocol.request import Priority
from protocol.wire import decode_request, decode_transcript


def cost(cpu: float, rate: float) -> Cost:
    return Cost(cpu_microseconds=cpu, redis_microseconds=10.0, messages_per_second=rate)


def test_ratios_say_how_many_times_cheaper_and_faster() -> None:
    """Above 1 is in our favour, for either contestant."""
    found = Overhead(
        messages=1, rounds=1, ours=cost(500, 900), stock=cost(2_000, 300), celery_batches=cost(1_000, 450)
    )
    assert found.ratios == {
        "times_cheaper_than_stock": 4.0,
        "times_cheaper_with_redis_than_stock": 2_010 / 510,
        "times_faster_than_stock": 3.0,
        "times_cheaper_than_celery_batches": 2.0,
        "times_cheaper_with_redis_than_celery_batches": 1_010 / 510,
        "times_faster_than_celery_batches": 2.0,
    }
    assert not found.missed


def test_an_aim_that_is_missed_is_named() -> None:
    """Redis's own time does not count there: it is told beside it."""
    found = Overhead(messages=1, rounds=1, ours=cost(501, 899), stock=cost(2_000, 300), celery_batches=None)
    assert found.missed == ["times_cheaper_than_stock", "times_faster_than_stock"]


def test_without_celery_batches_the_rest_is_compared() -> None:
    """A machine that pip cannot reach anything from still learns about stock Celery."""
    found = Overhead(messages=1, rounds=1, ours=cost(1, 1), stock=cost(2, 1), celery_batches=None)
    assert set(found.ratios) == {
        "times_cheaper_than_stock",
        "times_cheaper_with_redis_than_stock",
        "times_faster_than_stock",
    }


def test_each_figure_has_its_own_median() -> None:
    """One round may be the best for the processor and the worst for the clock."""
    assert median([cost(1, 30), cost(3, 10), cost(2, 20)]) == cost(2, 20)
    assert median([cost(1, 10), cost(9, 90), cost(2, 20)]) == cost(2, 20)


def test_stock_celery_is_sent_what_we_are_sent() -> None:
    """Its message holds a request of ours, and its result a transcript of ours."""
    request = decode_request("a", message_kwargs(), Priority.NORMAL)
    assert request.options.language == "en"
    assert decode_transcript(result()).timings is not None


@pytest.mark.timeout(240)
@pytest.mark.parametrize("contestant", [ours(), stock()], ids=["ours", "stock"])
def test_a_drain_is_counted_once_it_is_through(
    contestant: Contestant, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A real worker takes what waits; its processor time, Redis's and the clock's are counted."""
    messages, found = 320, None
    while found is None:
        with suppress(TooFew):  # on a machine that is busy just then
            found = drain(contestant, redis_url, tmp_path / f"{messages}.log", messages)
        messages *= 2
    assert found.cpu_microseconds > 0
    assert found.messages_per_second > 0
    assert redis_client.dbsize() == 0


def test_who_is_through_when_counting_begins_was_too_fast(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to be counted: more messages are asked for, instead of dividing by none."""
    monkeypatch.setattr("bench.overhead._stored", lambda _, request_ids: len(request_ids))
    with pytest.raises(TooFew, match="320 messages are too few"):
        drain(ours(), redis_url, tmp_path / "worker.log", 320)


def test_a_worker_that_ends_is_not_waited_for(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """What it said last is told, instead of a time-out minutes later."""
    broken = Contestant(command=("no-such-worker",), env={}, cwd=None, send=lambda *_: ["a"])
    with pytest.raises(Exception, match="no-such-worker"):
        drain(broken, redis_url, tmp_path / "worker.log", 1)
    dumb = Contestant(command=("false",), env={}, cwd=None, send=lambda *_: ["a"])
    with pytest.raises(TimeoutError, match="0 of 1 results"):
        drain(dumb, redis_url, tmp_path / "worker.log", 20)


def test_both_store_results_of_about_the_same_size() -> None:
    """Else one of them would be spared writing."""
    told = json.loads(stock().env["BENCH_STOCK"])["result"]
    assert told == json.loads(json.dumps(result()))
