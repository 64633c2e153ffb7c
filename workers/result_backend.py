"""The result backend that writes a batch at a time, on one Redis or on the master of a Sentinel's set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from kombu.exceptions import DecodeError

from protocol.fast_json import dumps
from protocol.routing import HELD, HELD_BYTES, cancel_key, payload_key
from workers import sentinel
from workers.outcome import Encoded
from workers.transport.claims import Claims
from workers.transport.scripts import script
from workers.transport.settlement import Audio, Result, for_end_turns
from workers.transport.starting import May, Starter, Verdict
from workers.writes import Writes, mark_acknowledged

#: Stands for a request id in what is encoded once for many; no id and no host name holds its brackets.
_ANY_ID = "<id>"


class BatchedBackend(RedisBackend):  # type: ignore[misc]
    """Celery's Redis result backend, which can hold back results and write them together."""

    writes: Writes | None = None
    claims: Claims | None = None
    """How to write if the messages were claimed; None if kombu's own transport delivers them."""

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        if self.writes is None:
            return super()._store_result(task_id, result, state, traceback, request, **kwargs)
        plain = result.values_by_name if isinstance(result, Encoded) else result
        meta = self._get_result_meta(result=plain, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        ttl = self.failure_expires if state == states.FAILURE else self.expires
        stored = Result(key=self.get_key_for_task(task_id), value=self._text_of(meta), ttl=ttl)
        self.writes.settlement.results.append(stored)
        return result

    def _text_of(self, meta: dict[str, Any]) -> bytes | str:
        """JSON of what is stored: fast if it is plain data, as all that is ours, else as kombu writes it."""
        try:
            return dumps(meta)
        except TypeError:
            text: str = self.encode(meta)
            return text

    def _get_result_meta(
        self,
        result: Any,
        state: str,
        traceback: Any,
        request: Any,
        format_date: bool = True,
        encode: bool = False,
    ) -> dict[str, Any]:
        """As Celery's own, which looks one setting up in all of them for each result."""
        if self._is_extended or not format_date:
            meta: dict[str, Any] = super()._get_result_meta(
                result, state, traceback, request, format_date, encode
            )
            return meta
        ended = datetime.now(UTC).isoformat() if state in states.READY_STATES else None
        children = self.current_task_children(request)
        named = {
            "group_id": getattr(request, "group", None),
            "parent_id": getattr(request, "parent_id", None),
        }
        return {
            "status": state,
            "result": result,
            "traceback": traceback,
            "children": children,
            "date_done": ended,
            **{name: value for name, value in named.items() if value},
        }

    @cached_property
    def _is_extended(self) -> bool:
        return bool(self.app.conf.result_extended)

    def start(self, messages: Sequence[Any], worker: str) -> list[Verdict]:
        """Say that the requests of `messages` start in one batch, and hear of each what it may do.

        One round trip, at one instant, so that a cancellation is either seen here or sees the start. A
        request that is finished is not computed again when its message comes twice.

        Raises:
            redis.RedisError: Redis is away.
            LeaseLost: all of them run elsewhere.
        """
        meta = self._get_result_meta({"hostname": worker}, states.STARTED, None, None)
        before, after = self.encode({**meta, "task_id": _ANY_ID}).split(_ANY_ID)
        starters = [
            Starter(tag=one.delivery_tag, request_id=one.id, state=before + one.id + after)
            for one in messages
        ]
        if not starters:
            return []
        if self.claims is not None:
            return self.claims.start(starters, self.expires or 0)
        return self._start_for_kombu(starters)

    def _start_for_kombu(self, starters: Sequence[Starter]) -> list[Verdict]:
        keys = [self.get_key_for_task(one.request_id) for one in starters]
        with self.client.pipeline(transaction=True) as pipe:
            pipe.mget(keys)
            pipe.mget([cancel_key(one.request_id) for one in starters])
            for key, one in zip(keys, starters, strict=True):
                pipe.set(key, one.state, ex=self.expires or None, nx=True)
            metas, marks = pipe.execute()[:2]
        return [
            Verdict(may=May.NOT_AGAIN)
            if meta and self._is_final(meta)
            else Verdict(may=May.NOT_ANY_MORE if mark else May.RUN)
            for meta, mark in zip(metas, marks, strict=True)
        ]

    def _is_final(self, meta: bytes) -> bool:
        """Whether this is a result that will not change; junk that somebody put there is none."""
        try:
            return self.decode_result(meta)["status"] in states.READY_STATES
        except (DecodeError, KeyError, TypeError, ValueError):
            return False

    @contextmanager
    def held_back(self) -> Iterator[Writes]:
        """Hold back what is stored inside, for `write` to write together."""
        self.writes = writes = Writes()
        try:
            yield writes
        finally:
            self.writes = None

    def write(self, writes: Writes) -> None:
        """Write a batch's results and acknowledgements and remove its audio, in one transaction.

        Safe to repeat.

        Raises:
            redis.RedisError: Redis is away or full; nothing is known to be written.
            LeaseLost: the messages run elsewhere; nothing was written.
        """
        if self.claims is not None:
            self.claims.settle(writes.settlement)
        else:
            self._write_for_kombu(writes)
        for message in writes.acknowledged:
            mark_acknowledged(message)

    def _write_for_kombu(self, writes: Writes) -> None:
        settlement = writes.settlement
        with self.client.pipeline(transaction=True) as pipe:
            for result in settlement.results:
                pipe.set(result.key, result.value, ex=result.ttl)
                pipe.publish(result.key, result.value)
            for message in writes.acknowledged:
                qos = message.channel.qos
                pipe.zrem(qos.unacked_index_key, message.delivery_tag)
                pipe.hdel(qos.unacked_key, message.delivery_tag)
            self._release(pipe, settlement.audios)
            if settlement.turns:
                keys, arguments = for_end_turns(settlement.turns)
                script(self.client, "end_turns")(keys=keys, args=arguments, client=pipe)
            pipe.execute()

    def _release(self, connection: Any, audios: Sequence[Audio]) -> None:
        if not audios:
            return
        keys = [HELD, HELD_BYTES, *(payload_key(audio.request_id) for audio in audios)]
        arguments = [part for audio in audios for part in (audio.request_id, audio.priority_number)]
        script(self.client, "release")(keys=keys, args=arguments, client=connection)


class BatchedSentinelBackend(BatchedBackend, sentinel.Backend):
    """`BatchedBackend`, connected as `workers.sentinel` connects."""


def batched_backend(app: Any) -> BatchedBackend:
    """The batched backend of an application that `workers.redis_connection.connect_app` has connected."""
    url: str = app.conf.result_backend
    kind = BatchedSentinelBackend if url.startswith(sentinel.SCHEME) else BatchedBackend
    return kind(app=app, url=url)
