"""How long a strike takes to be made good, and which strikes hit whom again."""

from __future__ import annotations

import json

import redis

from bench.recovery import Recoveries, Watch
from protocol.routing import LEASES, inflight_key, result_key

RUNNING = json.dumps({"status": "STARTED", "result": {"hostname": "w"}})


def test_who_is_struck_again_is_told_apart(redis_url: str, redis_client: redis.Redis) -> None:
    """Each strike lasts until its requests have ended; it was the only one if no other came until then."""
    redis_client.mset(dict.fromkeys("abc", RUNNING))
    with Recoveries(redis_url, poison=()) as recoveries:
        recoveries.watch("killed", {"a": "w", "b": "w"})
        recoveries.watch("killed", {"b": "w"})
        recoveries.watch("frozen", {"c": "w"})
        recoveries.watch("cut off", {})
        recoveries.watch("last", {"c": "w"})
        redis_client.delete("a", "b", "c")
        while len(recoveries.found["killed"].done) < 2 or not recoveries.found["last"].done:
            pass
    assert [len(recoveries.found[kind].done_once) for kind in ("killed", "frozen", "last")] == [0, 0, 1]


def test_released_run_again_and_done_are_three_moments() -> None:
    """Released: none is on record where it was. Run again: each has been seen to run, or has ended."""
    watch = Watch(kind="killed", struck_at=10, held={"a": "w", "b": "w"}, unseen={"a", "b"})
    watch.look(11, [("a", "w"), ("b", "w")], ["a", "b"])
    assert (watch.released, watch.again) == (None, None)
    watch.look(12, [], ["a", "b"])
    watch.look(13, [("a", "v")], ["a", "b"])
    assert (watch.released, watch.again) == (2, None)
    watch.look(14, [("b", "w")], ["a", "b"])
    assert (watch.released, watch.again) == (2, 4)
    ended = Watch(kind="killed", struck_at=10, held={"a": "w"}, unseen={"a"})
    ended.look(15, [("a", "w")], [])
    assert (ended.released, ended.again) == (5, 5)


def test_what_runs_is_what_the_records_say(redis_url: str, redis_client: redis.Redis) -> None:
    """By worker, without what has ended and without poison."""
    redis_client.zadd(LEASES, {"one": 1})
    redis_client.hset(inflight_key("one"), "running", "1:2 a 2:2 b 3:2 poison")
    redis_client.set(result_key("a"), RUNNING)
    redis_client.set(result_key("poison"), RUNNING)
    with Recoveries(redis_url, poison=("poison",)) as recoveries:
        assert recoveries.running() == recoveries.running("w") == {result_key("a"): inflight_key("one")}
        assert recoveries.running("another") == {}
