"""Who listens to every result that is told while a storm blows."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import redis

from bench.history import History, What, final_event
from protocol.routing import RESULT_KEY_PREFIX


class Told:
    """Hears every result that is told, to notice one that is not the stored one."""

    def __init__(self, redis_url: str, history: History) -> None:
        self._redis = redis.Redis.from_url(redis_url)
        self._history = history
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="told", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._redis.close()

    def _run(self) -> None:
        """Listen, through connections that the nemesis may cut."""
        while not self._ending.is_set():
            with suppress(redis.RedisError):
                self._listen()

    def _listen(self) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.psubscribe(RESULT_KEY_PREFIX + "*")
            while not self._ending.is_set():
                message = channel.get_message(timeout=0.2)
                if message:
                    self._record(message)

    def _record(self, message: dict[str, Any]) -> None:
        request_id = json.loads(message["data"])["task_id"]
        event = final_event(What.TOLD, request_id, message["data"], at=time.monotonic())
        if event:
            self._history.add([event])
