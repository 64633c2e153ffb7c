"""How long a strike takes to be made good, and which strikes hit whom again."""

from __future__ import annotations

import json

import redis

from bench.recovery import Recoveries

RUNNING = json.dumps({"status": "STARTED", "result": {"hostname": "w"}})


def test_who_is_struck_again_is_told_apart(redis_url: str, redis_client: redis.Redis) -> None:
    """Each strike lasts until its requests have ended; those that met a later one are not hit once."""
    redis_client.mset(dict.fromkeys("abc", RUNNING))
    with Recoveries(redis_url, poison=()) as recoveries:
        recoveries.watch("killed", ["a", "b"])
        recoveries.watch("killed", ["b"])
        recoveries.watch("frozen", ["c"])
        redis_client.delete("a", "b", "c")
        while len(recoveries.seconds["killed"]) < 2 or not recoveries.seconds["frozen"]:
            pass
    assert [len(recoveries.seconds_once[kind]) for kind in ("killed", "frozen")] == [1, 1]
