"""The workers and the producer of a scripted run, step by step and in one thread.

What they do to Redis is what the real ones do, by the same client and the same scripts. Engine, event loop
and Celery are left out: a batch is begun, and finished when the script says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from bench.history import History, Phase, What, success
from bench.load import read
from producer import Client
from protocol.errors import QueueUnreachable, RequestError
from protocol.routing import payload_key, result_key
from protocol.transcript import Timings, Transcript
from protocol.wire import encode_transcript
from tests.integration.cut_connection import CutConnection
from workers.engine.fake import fingerprint
from workers.transport.claims import Claimed, Claims
from workers.transport.settlement import Audio, Result, Settlement
from workers.transport.starting import May, Starter


@dataclass(slots=True)
class Batch:
    """What a worker has given its engine."""

    number: int
    members: list[Claimed]
    texts: list[str]
    waited: float


class Worker:
    """One worker, step by step."""

    def __init__(self, name: str, connection: CutConnection, claims: Claims) -> None:
        self.name = name
        self.connection = connection
        self.claims = claims
        self.waiting: list[Claimed] = []
        self.numbers = count(1)
        claims.take_lease()

    def claim(self, most: int) -> None:
        """Claim; what makes no sense is buried."""
        with suppress(redis.ConnectionError):
            for one in self.claims.claim(most):
                if self.is_sensible(one.message):
                    self.waiting.append(one)
                else:
                    self.claims.bury(one)

    def begin(self, late: float = 0.0) -> Batch:
        """Give the engine whatever waits and may run, and settle what may not."""
        members = [one for one in self.waiting if not self.has_ended(one, late)]
        self.waiting.clear()
        return self._begin(members, late) if members else Batch(0, [], [], late)

    def finish(self, batch: Batch) -> None:
        """Settle what the engine has given."""
        metas = [self._success(batch, position) for position in range(len(batch.members))]
        self.settle(batch.members, metas)

    def work(self, late: float = 0.0) -> None:
        """Run whatever waits to its end."""
        while self.waiting:
            self.finish(self.begin(late))

    def settle(self, members: Sequence[Claimed], metas: Sequence[dict[str, Any]]) -> None:
        """Write final states."""
        names = [name_of(one.message) for one in members]
        settlement = Settlement(
            results=[
                Result(key=result_key(name), value=json.dumps({**meta, "task_id": name}), ttl=600)
                for name, meta in zip(names, metas, strict=True)
            ],
            tags=[one.tag for one in members],
            audios=[Audio(request_id=name, priority_number=5) for name in names],
        )
        if members:
            self.claims.settle(settlement)

    def reconnect(self) -> None:
        """The connection was cut and is there again: what was claimed stays claimed."""

    def hear(self, texts: list[str]) -> list[str]:
        """What the engine gives for a batch."""
        return texts

    def is_sensible(self, message: bytes) -> bool:
        """Whether this is a message."""
        return bool(name_of(message))

    def has_expired(self, message: bytes, late: float) -> bool:
        """Whether it is too late to start."""
        expires = json.loads(message)["headers"]["expires"]
        seconds, _ = self.connection.time()
        return bool(expires) and datetime.fromisoformat(expires).timestamp() < seconds + late

    def has_ended(self, one: Claimed, late: float) -> bool:
        """Whether it has expired; it is then settled so."""
        if not self.has_expired(one.message, late):
            return False
        self.settle([one], [{"status": "REVOKED", "result": {"exc_message": ["expired"]}}])
        return True

    def _begin(self, members: Sequence[Claimed], late: float) -> Batch:
        starters = [
            Starter(tag=one.tag, request_id=name_of(one.message), state='{"status": "STARTED"}')
            for one in members
        ]
        verdicts = self.claims.start(starters, 600)
        may = {
            what: [one for one, said in zip(members, verdicts, strict=True) if said.may is what]
            for what in May
        }
        self.settle(may[May.NOT_ANY_MORE], [{"status": "REVOKED", "result": {}}] * len(may[May.NOT_ANY_MORE]))
        self.settle(may[May.NOT_AGAIN], [{"status": "REVOKED", "result": {}}] * len(may[May.NOT_AGAIN]))
        for alone in may[May.RUN_ALONE]:
            self.finish(self._begin([alone], late))
        texts = self.hear([self._text(one) for one in may[May.RUN]])
        return Batch(next(self.numbers), may[May.RUN], texts, late)

    def _text(self, one: Claimed) -> str:
        audio: Any = self.connection.get(payload_key(name_of(one.message)))
        return text_of(np.frombuffer(audio or b"", "<i2"))

    def _success(self, batch: Batch, position: int) -> dict[str, Any]:
        timings = Timings(
            queued=batch.waited,
            prepared=0.0,
            engine=0.0,
            total=batch.waited,
            batch_id=f"{self.name}/{batch.number}",
            batch_size=len(batch.members),
            batch_position=position,
            batch_reason="full",
            attempts=1,
            worker=self.name,
        )
        transcript = Transcript(
            request_id=name_of(batch.members[position].message),
            text=batch.texts[position],
            language="en",
            language_probability=1.0,
            duration=0.05,
        )
        result = {**encode_transcript(transcript), "timings": asdict(timings)}
        return {"status": "SUCCESS", "result": result}


class Producer:
    """One producer, step by step, which records what it asks and hears."""

    def __init__(self, client: Client, history: History) -> None:
        self.client = client
        self.history = history
        self.names: list[str] = []

    def submit(self, *names: str, client: Client | None = None, salt: int = 0, **given: Any) -> None:
        """Submit each, once."""
        for name in names:
            audio = audio_of(name, salt)
            said = {"value": success(text_of(audio)), "seconds": given.get("expires")}
            self.history.record(What.SUBMIT, name, Phase.INVOKE, **said)
            phase = self._phase(client or self.client, audio, name, given)
            self.history.record(What.SUBMIT, name, phase, **said)
            self.names.append(name)

    def ask(self, client: Client, audio: NDArray[np.int16], name: str, given: dict[str, Any]) -> None:
        """Submit one."""
        client.submit(audio, request_id=name, **given)

    def cancel(self, name: str) -> None:
        """Cancel one."""
        self.history.record(What.CANCEL, name, Phase.INVOKE)
        phase = Phase.OK if self.has_cancelled(name) else Phase.FAIL
        self.history.record(What.CANCEL, name, phase)

    def has_cancelled(self, name: str) -> bool:
        """Cancel one; whether it did."""
        return self.client.cancel(name)

    def read(self) -> None:
        """Read every result that is there."""
        for name in dict.fromkeys(self.names):
            read(self.client, self.history, name)

    def _phase(self, client: Client, audio: NDArray[np.int16], name: str, given: dict[str, Any]) -> Phase:
        try:
            self.ask(client, audio, name, given)
        except QueueUnreachable:
            return Phase.UNKNOWN
        except RequestError:
            return Phase.FAIL
        return Phase.OK


def name_of(message: bytes) -> str:
    """The request that a message is about; empty if it is none."""
    try:
        return str(json.loads(message)["headers"]["id"])
    except ValueError:
        return ""


def audio_of(name: str, salt: int) -> NDArray[np.int16]:
    """Noise that is everyone's own."""
    return np.random.default_rng([ord(name), salt]).integers(-9_000, 9_000, 800, dtype=np.int16)


def text_of(audio: NDArray[np.int16]) -> str:
    """What an engine hears in it."""
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))
