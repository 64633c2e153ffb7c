"""Promise: coroutines get what threads get: the same names, errors and bytes, with few connections."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from producer import AsyncClient, AsyncTicket, AsyncTicketGroup, Client, Ticket, TicketGroup
from producer.connection import MAX_CONNECTIONS
from protocol.errors import Overloaded, QueueUnreachable, RequestError, ResultTimeout, TranscriptionError
from protocol.options import Options
from protocol.routing import payload_key, result_key
from protocol.transcript import Status, Timings, Transcript
from protocol.wire import encode_transcript
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

SILENCE = np.zeros(16_000, np.int16)

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def go(redis_url: str) -> Callable[..., Any]:
    """Run a coroutine function that takes a client, in a loop of its own."""

    def start(main: Callable[[AsyncClient], Coroutine[Any, Any, Any]], **arguments: Any) -> Any:
        async def with_client() -> Any:
            async with AsyncClient(redis_url, **arguments) as client:
                return await main(client)

        return asyncio.run(with_client())

    return start


def store(redis_client: redis.Redis, request_id: str, status: str = "SUCCESS", result: Any = None) -> None:
    """Store a result as a worker would."""
    heard = Transcript(
        request_id=request_id, text="hi", language="en", language_probability=1.0, duration=1.0
    )
    meta = {"status": status, "result": result or encode_transcript(heard), "task_id": request_id}
    redis_client.set(result_key(request_id), json.dumps(meta))


def sent_message(redis_client: redis.Redis) -> Any:
    """The message that was sent last."""
    message: Any = redis_client.rpop("segue\x06\x165")
    return json.loads(message)


def public(kind: type) -> dict[str, Any]:
    """Names of `kind` for callers, with the parameters of those that are called."""
    names = {name: vars(kind)[name] for name in vars(kind) if not name.startswith("_")}
    return {
        name: list(inspect.signature(one).parameters.values()) if callable(one) else []
        for name, one in names.items()
    }


def test_names_are_the_same() -> None:
    """Whoever knows one client knows the other: every method, with the same parameters and defaults."""
    assert public(AsyncClient) == public(Client)
    assert public(AsyncTicketGroup) == public(TicketGroup)
    assert public(AsyncTicket).keys() == public(Ticket).keys()


def test_bytes_are_the_same(go: Callable[..., Any], client: Client, redis_client: redis.Redis) -> None:
    """A request is the same message and the same audio, whichever client sends it."""
    given: dict[str, Any] = {"request_id": "r", "language": "es", "expires": 60, "encoding": "flac"}

    def sent() -> tuple[Any, ...]:
        message = sent_message(redis_client)
        arguments = json.loads(message.pop("body"))
        del arguments[1]["submitted_at"], message["properties"]["delivery_tag"], message["headers"]["expires"]
        audio = redis_client.get(payload_key("r")), round(int(redis_client.ttl(payload_key("r"))), -2)
        redis_client.flushdb()  # the same request again would be the same request
        return message, arguments, *audio

    client.submit(SILENCE, **given)
    by_thread = sent()
    go(lambda other: other.submit(SILENCE, **given))
    assert sent() == by_thread


def test_stamps_are_redis_time(go: Callable[..., Any], redis_client: redis.Redis) -> None:
    """A request is stamped with the time on Redis's clock, not on this machine's."""
    before = redis_client.time()
    go(lambda client: client.submit(SILENCE))
    message = sent_message(redis_client)
    stamp = json.loads(message["body"])[1]["submitted_at"]
    after = redis_client.time()
    # As exactly as a busy machine can compare two clocks.
    assert before[0] + before[1] / 1e6 - 1 < stamp < after[0] + after[1] / 1e6 + 1


def test_each_result_belongs_to_its_audio(
    go: Callable[..., Any], start_worker: StartWorker, noise: Noise
) -> None:
    """Forty coroutines submit and await at once; each gets the text of its own audio, in batches."""
    start_worker()

    async def main(client: AsyncClient) -> list[Transcript]:
        async def one(number: int) -> Transcript:
            ticket = await client.submit(noise(number), request_id=f"r-{number}")
            return await ticket

        return await asyncio.gather(*map(one, range(40)))

    heard = go(main)
    assert [one.request_id for one in heard] == [f"r-{number}" for number in range(40)]
    texts = [fingerprint(noise(number).astype(np.float32) / np.float32(32_768)) for number in range(40)]
    assert [one.text for one in heard] == texts
    assert max(one.timings.batch_size for one in heard if one.timings) > 1


def test_many_wait_on_few_connections(go: Callable[..., Any], redis_client: redis.Redis) -> None:
    """Three hundred coroutines wait over at most `MAX_CONNECTIONS` connections, and all are told."""

    async def main(client: AsyncClient) -> int:
        tickets = await asyncio.gather(*(client.submit(SILENCE) for _ in range(300)))
        waiting = [asyncio.ensure_future(ticket.result(20)) for ticket in tickets]
        await tickets[0].ready()
        used = len(redis_client.client_list())
        for ticket in tickets:
            store(redis_client, ticket.request_id)
        assert [one.text for one in await asyncio.gather(*waiting)] == ["hi"] * 300
        return used

    others = len(redis_client.client_list())
    assert go(main) - others <= MAX_CONNECTIONS


def test_waiting_ends_at_its_timeout_and_may_begin_again(
    go: Callable[..., Any], redis_client: redis.Redis
) -> None:
    """No result in time is a `ResultTimeout` that says where the request is; later it is there."""

    async def main(client: AsyncClient) -> str:
        ticket = await client.submit(SILENCE, request_id="w")
        for timeout in (0, 0.05):
            with pytest.raises(ResultTimeout, match="queued"):
                await ticket.result(timeout)
        assert not await ticket.ready()
        store(redis_client, "w")
        assert await client.status("w") is Status.COMPLETED
        return (await client.result("w")).text + (await ticket).text

    assert go(main) == "hihi"


def test_the_receipt_can_be_had_without_the_transcript(
    go: Callable[..., Any], redis_client: redis.Redis
) -> None:
    """As with `Client`, once there is one; each look is awaited."""
    receipt = Timings(
        queued=0.1, prepared=0.01, engine=0.2, total=0.4, batch_id="w/1", batch_size=1, batch_position=0,
        batch_reason="alone", attempts=1, worker="w",
    )  # fmt: skip
    heard = Transcript(
        request_id="t", text="hi", language="en", language_probability=1.0, duration=1.0, timings=receipt
    )

    async def main(client: AsyncClient) -> None:
        assert await client.get("t").timings() is None
        store(redis_client, "t", result=encode_transcript(heard))
        assert await client.get("t").timings() == receipt

    go(main)


def test_two_may_await_the_same(go: Callable[..., Any], redis_client: redis.Redis) -> None:
    """One that gives up leaves the other waiting, who is told."""

    async def main(client: AsyncClient) -> str:
        patient = asyncio.ensure_future(client.get("w").result(20))
        with pytest.raises(RequestError, match="nobody has heard of request w"):
            await client.get("w").result(0.02)
        store(redis_client, "w")
        return (await patient).text

    assert go(main) == "hi"


def test_group_results_come_in_order_and_errors_in_place(
    go: Callable[..., Any], redis_client: redis.Redis
) -> None:
    """As with `Client`: order of submission, errors raised or in place, progress told."""
    store(redis_client, "c")
    store(redis_client, "a")
    store(redis_client, "b", "FAILURE", {"exc_type": "RequestError", "exc_message": ["no", "BAD_REQUEST"]})
    told: list[tuple[int, int]] = []

    async def main(client: AsyncClient) -> list[Any]:
        group = await client.submit_many([SILENCE] * 3, request_ids=["a", "b", "c"])
        assert len(group) == 3
        with pytest.raises(RequestError, match="no"):
            await group
        return await group.results(return_exceptions=True, progress=lambda *done: told.append(done))

    a, b, c = go(main)
    assert (a.request_id, b.code, c.request_id) == ("a", "BAD_REQUEST", "c")
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_as_completed_gives_what_is_ready_and_then_times_out(
    go: Callable[..., Any], redis_client: redis.Redis
) -> None:
    """Finished tickets come first; the unfinished ones end in a `ResultTimeout` that counts them."""
    store(redis_client, "b")

    async def main(client: AsyncClient) -> None:
        group = await client.submit_many([SILENCE] * 3, request_ids=["a", "b", "c"])
        ended = group.as_completed(timeout=0.1)
        assert (await anext(ended))[0].request_id == "b"
        with pytest.raises(ResultTimeout, match="2 of 3"):
            await anext(ended)

    go(main)


def test_bad_arguments_are_refused_as_ever(go: Callable[..., Any], redis_client: redis.Redis) -> None:
    """The same errors, with nothing written."""

    async def main(client: AsyncClient) -> None:
        for wrong, code in (
            ({"language": "xx"}, "BAD_LANGUAGE"),
            ({"expires": -1}, "BAD_DEADLINE"),
            ({"request_id": "../x"}, "BAD_REQUEST_ID"),
            ({"encoding": "mp3"}, "BAD_OPTION"),
        ):
            with pytest.raises(RequestError) as caught:
                await client.submit(SILENCE, **wrong)
            assert caught.value.code == code
        with pytest.raises(RequestError, match="fewer request_ids"):
            await client.submit_many([SILENCE] * 3, request_ids=["a"])

    go(main)
    assert redis_client.dbsize() == 0


def test_defaults_and_depths(go: Callable[..., Any]) -> None:
    """A client's defaults hold, and the queue can be counted."""

    async def main(client: AsyncClient) -> dict[str, int]:
        await client.submit_many([SILENCE] * 70, priority="bulk")
        return await client.queue_depth()

    assert go(main, defaults=Options(language="de")) == {"urgent": 0, "normal": 0, "bulk": 70}


def test_unreachable_redis_is_said_to_all(go: Callable[..., Any], redis_url: str) -> None:
    """Nobody listens: submitting and awaiting raise `QueueUnreachable`, every waiter its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    async def main() -> list[Any]:
        async with AsyncClient(f"redis://127.0.0.1:{port}/0") as client:
            waiting = [client.get(f"r{number}").result(5) for number in range(3)]
            return [*await asyncio.gather(client.submit(SILENCE), *waiting, return_exceptions=True)]

    assert [type(one) for one in asyncio.run(main())] == [QueueUnreachable] * 4


def test_silent_redis_does_not_hang_a_submit() -> None:
    """Somebody listens and never answers: the socket timeout ends the call."""

    async def main(port: int) -> None:
        async with AsyncClient(f"redis://127.0.0.1:{port}/0?socket_timeout=0.2") as client:
            with pytest.raises(QueueUnreachable):
                await client.submit(SILENCE)

    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(main(server.getsockname()[1]))


def test_full_redis_is_overload(go: Callable[..., Any], redis_client: redis.Redis) -> None:
    """At `maxmemory` a submit is refused as `Overloaded`."""

    async def main(client: AsyncClient) -> TranscriptionError:
        await client.queue_depth()
        redis_client.config_set("maxmemory", "1mb")
        with pytest.raises(Overloaded) as caught:
            await client.submit(SILENCE)
        return caught.value

    try:
        assert go(main).code == "BROKER_FULL"
    finally:
        redis_client.config_set("maxmemory", "0")


def test_batch_has_errors_in_their_places(
    go: Callable[..., Any], client: Client, redis_client: redis.Redis
) -> None:
    """Both clients: what is no audio, failed or is late has its error where its text would be."""
    store(redis_client, "good")
    store(redis_client, "bad", "FAILURE", {"exc_type": "EngineError", "exc_message": ["no", "ENGINE_ERROR"]})
    audios: list[Any] = [SILENCE, b"not a sound", SILENCE, SILENCE]
    told: list[tuple[int, int]] = []
    given: dict[str, Any] = {"request_ids": ["good", "unread", "bad", "late"], "timeout": 0.1}
    by_thread = client.transcribe_batch(audios, progress=lambda *done: told.append(done), **given)
    by_task = go(lambda other: other.transcribe_batch(audios, **given))
    for found in (by_thread, by_task):
        kinds = [one.code if isinstance(one, TranscriptionError) else one.text for one in found]
        assert kinds == ["hi", "UNSUPPORTED_FORMAT", "ENGINE_ERROR", "RESULT_TIMEOUT"]
    assert told == [(2, 4), (3, 4)]
    assert not redis_client.exists(payload_key("unread"))


def test_transcribe_is_submit_and_wait(
    go: Callable[..., Any], client: Client, redis_client: redis.Redis
) -> None:
    """Both clients: one call from audio to transcript, or to the error."""
    store(redis_client, "t")
    assert client.transcribe(SILENCE, request_id="t", language="en").text == "hi"
    assert go(lambda other: other.transcribe(SILENCE, request_id="t", language="en")).text == "hi"
    with pytest.raises(ResultTimeout):
        client.transcribe(SILENCE, timeout=0.05)
    with pytest.raises(ResultTimeout):
        go(lambda other: other.transcribe(SILENCE, timeout=0.05))


def test_a_client_says_how_long_its_waits_are(go: Callable[..., Any], redis_url: str) -> None:
    """Where a call does not say, as with `Client`."""

    async def wait(_: AsyncClient) -> None:
        async with AsyncClient(redis_url, timeout=0.01) as hasty:
            group = await hasty.submit_many([SILENCE, SILENCE])
            recording = await hasty.submit_recording(SILENCE, split="fixed")
            for waiting in (group.tickets[0], group, hasty.transcribe(SILENCE), recording):
                with pytest.raises(ResultTimeout):
                    await waiting

    go(wait)


def test_closing_tells_who_still_waits(go: Callable[..., Any]) -> None:
    """Nobody is left waiting for ever by a client that was closed."""

    async def main(client: AsyncClient) -> None:
        waiting = asyncio.ensure_future(client.get("never").result(60))
        await client.status("never")
        await client.close()
        with pytest.raises(QueueUnreachable, match="closed"):
            await waiting

    go(main)
