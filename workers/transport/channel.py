"""kombu's Redis transport with claims in the place of pops, for the worker's side of the queue.

kombu calls `Channel._brpop_start` on each turn of the worker's event loop while there is room for
messages; where it would send ``BRPOP``, this one claims. Between claims it waits for a bell: a
``BLMOVE`` from a list's head to its own head moves nothing, and returns when there is something.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from kombu.asynchronous import Hub
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock
from kombu.transport.virtual import QoS as VirtualQoS

from protocol.routing import QUEUE
from workers.transport.claims import LANES, Claimed, Claims, LeaseLost

log = logging.getLogger(__name__)

SCHEME = "claimredis"

#: How long a bell waits before it is hung anew, in seconds; bounds how long a dead connection goes unseen.
BELL_SECONDS = 5

#: How often a worker looks for work when Redis refuses to hold a bell, in seconds.
LOOK_SECONDS = 0.5

Wanted = Callable[[], int]
"""How many more messages the worker could run right now."""


class QoS(stock.QoS):
    """Claimed messages are recorded by the claim and removed by the settlement: kombu keeps nothing of them.

    Channels that do not consume the queue of requests (remote control, events) are as in kombu.
    """

    def can_consume(self) -> bool:
        """Whether this worker could run another message."""
        if self.channel.claims_here:
            return bool(self.channel.wanted() > 0)
        return bool(super().can_consume())

    def append(self, message: Any, delivery_tag: str) -> None:
        """Remember a message that was delivered."""
        if self.channel.claims_here:
            VirtualQoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Remove one message from the in-flight record; whole batches go through `Claims.settle`."""
        if not self.channel.claims_here:
            super().ack(delivery_tag)
            return
        with suppress(LeaseLost):
            self.channel.claims.settle([], [delivery_tag])
        VirtualQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put a message back to the head of its lane, or drop it."""
        if not self.channel.claims_here:
            super().reject(delivery_tag, requeue)
        elif requeue:
            with suppress(LeaseLost):
                self.channel.claims.put_back(delivery_tag)
            VirtualQoS.ack(self, delivery_tag)
        else:
            self.ack(delivery_tag)

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Leases take the place of visibility timeouts."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """A closed channel gives no claim back: the worker lives, and its claims with it."""
        if not self.channel.claims_here:
            super().restore_unacked_once(stderr)


class Bell:
    """One lane's connection that becomes readable when the lane holds a message."""

    def __init__(self, connection: Any, loop: Hub, lane: str, on_ring: Callable[[], None]) -> None:
        self._connection = connection
        self._loop = loop
        self._lane = lane
        self._on_ring = on_ring
        self._descriptor: int | None = None
        """Where the event loop listens while the bell hangs."""

    def hang(self) -> None:
        """Wait for the lane to hold something, unless that is waited for already."""
        if self._descriptor is None:
            self._connection.connect()
            self._connection.send_command("BLMOVE", self._lane, self._lane, "RIGHT", "RIGHT", BELL_SECONDS)
            self._descriptor = self._connection._sock.fileno()
            self._loop.add_reader(self._descriptor, self._on_readable)

    def take_down(self) -> None:
        """Stop listening and close the connection."""
        self._stop_listening()
        self._connection.disconnect()

    def _on_readable(self) -> None:
        self._stop_listening()
        try:
            rang = self._connection.read_response() is not None
        except redis.ResponseError as error:  # Redis is full, say: no bell then, but claims still work
            log.warning("Redis does not let us wait, looking again in %.1f s: %s", LOOK_SECONDS, error)
            self._loop.call_later(LOOK_SECONDS, self._on_ring)
            return
        if rang:
            self._on_ring()

    def _stop_listening(self) -> None:
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            self._descriptor = None


class Channel(stock.Channel):
    """A channel whose worker claims from `LANES` instead of popping from them."""

    QoS = QoS
    claims: Claims
    wanted: Wanted
    claims_here = False
    """Whether this is the channel on which the worker takes requests."""
    current: Channel | None = None
    """The channel of this process on which requests are taken; a new one after each reconnect."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._bells: list[Bell] = []
        self._may_wait = True  # what waits already rings no bell
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume from `queue`; the queue of requests makes this the channel that claims, for good."""
        self.claims_here = self.claims_here or queue == QUEUE
        return super().basic_consume(queue, *args, **kwargs)

    def close(self) -> None:
        """Take the bells down with the channel."""
        if type(self).current is self:
            type(self).current = None
        for bell in self._bells:
            bell.take_down()
        self._bells.clear()
        super().close()

    def fetch(self) -> None:
        """Claim what waits, if there is room for it."""
        undelivered = self.claims.undelivered
        wanted = self.wanted() - len(undelivered)
        if self._may_wait and wanted > 0:
            claimed = self._claim(wanted)
            self._may_wait = len(claimed) == wanted
            undelivered.extend(claimed)
        while undelivered:
            self._deliver(undelivered[0])
            undelivered.popleft()

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Called on each turn of the event loop while there is room: fetch, or wait for the bells."""
        if not self.claims_here:
            super()._brpop_start(timeout)
            return
        type(self).current = self
        self.fetch()
        if not self._may_wait:
            self._hang_bells()

    def _claim(self, count: int) -> list[Claimed]:
        try:
            return self.claims.claim(count)
        except LeaseLost as lost:
            log.warning("%s", lost)
            return []

    def _deliver(self, claimed: Claimed) -> None:
        """Hand a message to Celery under its place in the in-flight record, where kombu keeps its tag.

        If the connection breaks meanwhile, the message is delivered again on the next. Whatever else a
        stranger's message breaks on its way is that message's end and nobody else's. (kombu counts
        `KeyError` among its connection errors, hence redis-py's own here.)
        """
        try:
            message = json.loads(claimed.message)
            message["properties"]["delivery_tag"] = claimed.tag
            self.connection._deliver(message, QUEUE)
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            raise
        except Exception as error:
            log.exception("malformed message put on the dead list: %s", type(error).__name__)
            self.claims.bury(claimed)

    def _hang_bells(self) -> None:
        if not self._bells:
            loop = self.connection.loop
            self._bells = [Bell(self.pool.make_connection(), loop, lane, self._ring) for lane in LANES]
        for bell in self._bells:
            bell.hang()

    def _ring(self) -> None:
        self._may_wait = True


class Transport(stock.Transport):
    """kombu's Redis transport with this module's channel."""

    Channel = Channel
    loop: Hub

    def register_with_event_loop(self, connection: Any, loop: Hub) -> None:
        """Called by Celery after each connect; the bells hang on this loop."""
        self.loop = loop
        super().register_with_event_loop(connection, loop)


def install(claims: Claims, wanted: Wanted) -> None:
    """Let this process's channels claim under `claims`, as many as `wanted` says at the time."""
    Channel.claims = claims
    Channel.wanted = staticmethod(wanted)
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def fetch() -> None:
    """Claim what waits right now, without waiting for the event loop's next turn."""
    if Channel.current is not None:
        Channel.current.fetch()


def claim_url(redis_url: str) -> str:
    """The broker URL by which Celery consumes through this transport."""
    return SCHEME + redis_url[redis_url.index("://") :]
