"""The producer of a storm: submits at its rate, whatever becomes of it, and records what it hears."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, islice
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from bench.crew import SETTLE_SECONDS
from bench.history import History, Phase, What, heard, success
from bench.storm import Kind, Plan
from producer import Client
from protocol.errors import QueueUnreachable, TranscriptionError
from protocol.request import Priority
from protocol.routing import LEASES, inflight_key, queue_key
from protocol.transcript import Status
from workers.engine.fake import fingerprint

#: Length of each audio segment, in samples: the shortest there is, since only its identity matters.
SAMPLES = 800

#: Most requests submitted in one round trip: a tenth of a second's worth, so that the load is even.
CHUNK = 16

#: How soon a request of the kind `EXPIRE` does, in seconds: some are in time and some are not.
EXPIRES_SECONDS = 0.2

#: How long a producer waits before it repeats a submit that Redis has not answered, in seconds.
AGAIN_SECONDS = 0.2

#: What a client says of a request of which Redis knows nothing: no outcome.
UNKNOWN_ID = "UNKNOWN_ID"

#: How its scripts end a request that is not transcribed; see `workers.engine.fake`.
ENDS = {Kind.CRASH: "GAVE_UP", Kind.HANG: "GAVE_UP", Kind.REFUSE: "BAD_REQUEST", Kind.FAIL: "ENGINE_ERROR"}


class Load:
    """All requests of a plan, from their submission to the reading of their results."""

    def __init__(self, plan: Plan, redis_url: str, history: History) -> None:
        self._plan = plan
        self._history = history
        self._client = Client(redis_url)
        self._redis = redis.Redis.from_url(redis_url)
        self._requests = [(f"f{plan.seed}-{number}", kind) for number, kind in enumerate(plan.kinds())]
        self._unanswered: deque[str] = deque()

    @property
    def poison(self) -> frozenset[str]:
        """The requests that engines die of."""
        return frozenset(name for name, kind in self._requests if kind in (Kind.CRASH, Kind.HANG))

    def submit(self) -> None:
        """Submit everything, at the plan's rate."""
        began_at, done = time.monotonic(), 0
        for kind, found in groupby(self._requests, key=lambda one: one[1]):
            names = (request_id for request_id, _ in found)
            while chunk := list(islice(names, CHUNK if kind is Kind.PLAIN else 1)):
                self._submit(chunk, kind)
                self._follow(chunk[0], kind)
                done += len(chunk)
                time.sleep(max(0.0, began_at + done / self._plan.rate - time.monotonic()))

    def read(self) -> None:
        """Read the result of every request that was accepted, once it is there."""
        give_up_at = time.monotonic() + SETTLE_SECONDS
        unanswered = set(self._unanswered)
        for request_id, _ in self._requests:
            if request_id not in unanswered:
                read(self._client, self._history, request_id, give_up_at - time.monotonic())
        for request_id in unanswered:
            if self._client.status(request_id) is not Status.UNKNOWN:
                read(self._client, self._history, request_id, give_up_at - time.monotonic())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._redis.close()

    def _submit(self, request_ids: Sequence[str], kind: Kind, salt: int = 0) -> None:
        """Submit until it is accepted or refused for good; one producer in four does not insist."""
        audios = [self._audio(request_id, salt) for request_id in request_ids]
        expected = [ENDS.get(kind) or success(_text(audio)) for audio in audios]
        given: dict[str, Any] = {"initial_prompt": kind.value} if kind in ENDS else {}
        expires = EXPIRES_SECONDS if kind is Kind.EXPIRE else None
        while True:
            self._note(request_ids, expected, Phase.INVOKE, expires)
            try:
                self._client.submit_many(audios, request_ids=request_ids, expires=expires, **given)
            except QueueUnreachable:
                self._note(request_ids, expected, Phase.UNKNOWN)
                if request_ids[0].endswith(("0", "4", "8")) and salt == 0:
                    self._unanswered.extend(request_ids)
                    return
            except TranscriptionError as error:
                self._note(request_ids, expected, Phase.FAIL)
                if not error.retryable:
                    return
            else:
                self._note(request_ids, expected, Phase.OK)
                return
            time.sleep(AGAIN_SECONDS)

    def _note(
        self, request_ids: Iterable[str], expected: Iterable[str], phase: Phase, expires: float | None = None
    ) -> None:
        for request_id, value in zip(request_ids, expected, strict=True):
            self._history.record(What.SUBMIT, request_id, phase, value=value, seconds=expires)

    def _follow(self, request_id: str, kind: Kind) -> None:
        """Do to a request that was submitted what its kind asks for."""
        following: dict[Kind, Callable[[], None]] = {
            Kind.TWICE: lambda: self._submit([request_id], kind),
            Kind.CONFLICT: lambda: self._submit([request_id], kind, salt=1),
            Kind.COPY: lambda: self._copy(request_id),
            Kind.CANCEL: lambda: self._cancel(request_id),
        }
        following.get(kind, _nothing)()

    def _cancel(self, request_id: str) -> None:
        self._history.record(What.CANCEL, request_id, Phase.INVOKE)
        try:
            phase = Phase.OK if self._client.cancel(request_id) else Phase.FAIL
        except QueueUnreachable:
            phase = Phase.UNKNOWN
        self._history.record(What.CANCEL, request_id, phase)

    def _copy(self, request_id: str) -> None:
        """Push the message of a request once more, if it is still to be found."""
        lane, wanted = queue_key(Priority.NORMAL), f'"{request_id}"'.encode()
        try:
            leases: Any = self._redis.zrange(LEASES, 0, -1)
            held = [one for lease in leases for one in self._redis.hvals(inflight_key(lease.decode()))]
            waiting: Any = self._redis.lrange(lane, 0, -1)
            for message in (*waiting, *held):
                if wanted in message and message.startswith(b"{"):
                    self._redis.lpush(lane, message)
                    return
        except redis.RedisError:
            return  # it is not copied, then

    def _audio(self, request_id: str, salt: int) -> NDArray[np.int16]:
        """Noise that is everyone's own."""
        seed = [self._plan.seed, int(request_id.rpartition("-")[2]), salt]
        return np.random.default_rng(seed).integers(-9_000, 9_000, SAMPLES, dtype=np.int16)


def read(client: Client, history: History, request_id: str, timeout: float = 0.0) -> None:
    """Read and record how a request ended, if it has ended within `timeout` seconds."""
    try:
        value, by = heard(client.result(request_id, timeout=max(0.0, timeout)))
    except TimeoutError:
        return  # the checker misses it
    except TranscriptionError as error:
        if error.code == UNKNOWN_ID:
            return
        value, by = heard(error)
    history.record(What.READ, request_id, value=value, by=by)


def _text(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def _nothing() -> None:
    """What follows a plain submit."""
