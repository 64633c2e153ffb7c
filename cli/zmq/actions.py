"""What a message can ask for: its `action` → a call of the client → the fields of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from producer import AsyncClient
from producer.direct_batch import DirectBatch
from producer.numbers import read_numbers
from producer.pending import DEFAULT_TIMEOUT
from producer.plain import check_fields, check_timeout, plain_transcript
from protocol.errors import RequestError
from protocol.request import SAMPLE_RATE

Given = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A kind of message."""

    do: Callable[[AsyncClient, Given], Awaitable[Answer]]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


async def act(client: AsyncClient, message: Given) -> Answer:
    """Do what `message` asks for; gives the answer.

    Raises:
        TranscriptionError: the message is wrong, or what it asked for failed.
    """
    name = message.get("action")
    if not isinstance(name, str) or name not in ACTIONS:
        raise RequestError(f"action is {repr(name)[:40]}: expected one of {', '.join(ACTIONS)}")
    action = ACTIONS[name]
    check_fields(message, name, required=("action", *action.required), optional=action.optional)
    return {"status": "success", **await action.do(client, message)}


async def queue_for_batch(client: AsyncClient, given: Given) -> Answer:
    """Put one audio segment on the queue, if there is room, and say by which id it is known."""
    ticket = await client.submit(
        read_numbers(given["audio_data"], given.get("sample_rate", SAMPLE_RATE)),
        request_id=given.get("request_id"),
        language=given.get("language"),
    )
    return {"request_id": ticket.request_id, "warnings": ticket.warnings}


async def transcribe_batch(client: AsyncClient, given: Given) -> Answer:
    """Transcribe several audio segments and wait for all: `producer.model_client.generate`."""
    timeout = _timeout(given, DEFAULT_TIMEOUT)
    batch = DirectBatch(
        given["batch_data"],
        model_pref=given.get("model_pref", "quality"),
        language=given.get("language"),
    )
    return batch.answer(await client.transcribe_batch(batch.audios, timeout=timeout, **batch.given))


async def result(client: AsyncClient, given: Given) -> Answer:
    """The transcript of a request that was queued."""
    transcript = await client.result(given["request_id"], timeout=_timeout(given, 0.0))
    return plain_transcript(transcript)


async def status(client: AsyncClient, given: Given) -> Answer:
    """Where a request is."""
    return {"request_id": given["request_id"], "state": await client.status(given["request_id"])}


async def health(client: AsyncClient, _: Given) -> Answer:
    """That this service and Redis answer, and how much waits; workers are not asked."""
    return {"queue": await client.queue_depth()}


ACTIONS = {
    "queue_for_batch": Action(
        do=queue_for_batch, required=("audio_data",), optional=("sample_rate", "language", "request_id")
    ),
    "transcribe_batch": Action(
        do=transcribe_batch, required=("batch_data",), optional=("language", "model_pref", "timeout")
    ),
    "result": Action(do=result, required=("request_id",), optional=("timeout",)),
    "status": Action(do=status, required=("request_id",)),
    "health": Action(do=health),
}


def _timeout(given: Given, default: float) -> float:
    """How long to wait: no longer than anybody does by default, since who has gone cannot be seen."""
    return check_timeout(given.get("timeout", default), DEFAULT_TIMEOUT)
