"""kombu's Redis transport with claims in the place of pops, for the worker's side of the queue.

kombu calls `Channel._brpop_start` on each turn of the worker's event loop while there is room for
messages; where it would send ``BRPOP``, this one claims. Between claims it waits for a bell.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import redis
from celery.worker.state import maybe_shutdown
from kombu.asynchronous import Hub
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock

from protocol.fast_json import dumps, loads
from protocol.routing import QUEUE
from workers import sentinel
from workers.transport.bell import Bell
from workers.transport.claims import LANES, Claimed, Claims, LeaseLost
from workers.transport.qos import QoS
from workers.transport.wanted import Wanted
from workers.trouble import Trouble

log = logging.getLogger(__name__)

#: How often a worker looks for work when Redis is away or refuses to hold a bell, in seconds: a full Redis
#: refuses it, and what is submitted when there is room again is to be served within half a second.
LOOK_SECONDS = 0.2

#: Pause between attempts to connect, in seconds. kombu's own grow to half a minute, which is then how long a
#: worker stands idle after Redis is back.
CONNECT_SECONDS = 0.5


class Channel(stock.Channel):
    """A channel whose worker claims from `LANES` instead of popping from them."""

    QoS = QoS
    claims: Claims
    wanted: Callable[[], Wanted]
    start: Callable[[], None]
    claims_here = False
    """Whether this is the channel on which the worker takes requests."""
    current: Channel | None = None
    """The channel of this process on which requests are taken; a new one after each reconnect."""
    trouble = Trouble(log, "could not look for work")
    trouble_with_bells = Trouble(log, "Redis does not let us wait for work")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._bells: list[Bell] = []
        self._may_wait = True  # what waits already rings no bell
        self._may_wait_urgently = True
        self._pauses = False
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume from `queue`; the queue of requests makes this the channel that claims, for good."""
        self.claims_here = self.claims_here or queue == QUEUE
        return super().basic_consume(queue, *args, **kwargs)

    @property
    def consumes(self) -> bool:
        """Whether requests are delivered here: not after `cancel_consumer`, until `add_consumer`."""
        return QUEUE in self._active_queues

    def _size(self, queue: str) -> int:
        """How many messages wait, as kombu counts them. It asks in a transaction, of which a full Redis 7.0
        refuses every command."""
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            for step in self.priority_steps:
                pipe.llen(self._q_for_pri(queue, step))
            return sum(pipe.execute())

    def _queue_bind(self, *args: Any) -> None:
        """Bind a queue. A Redis that is full, or lacks replicas, refuses to write down what nobody asks for:
        it must not keep a worker away that makes room, or let it connect anew and anew."""
        with suppress(redis.ResponseError):
            super()._queue_bind(*args)

    def maybe_refresh_binding_expiry(self) -> None:
        """As `_queue_bind`: kombu would log a traceback every time."""
        with suppress(redis.ResponseError):
            super().maybe_refresh_binding_expiry()

    def queue_delete(self, *args: Any, **kwargs: Any) -> None:
        """Delete a queue. kombu asks for it where a channel ends: a Redis that refuses would keep it from
        closing its connections, and have Celery log a traceback."""
        with suppress(redis.RedisError):
            super().queue_delete(*args, **kwargs)

    def close(self) -> None:
        """Take the bells down with the channel."""
        if Channel.current is self:
            Channel.current = None
        for bell in self._bells:
            bell.take_down()
        self._bells.clear()
        super().close()

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **options: Any) -> None:
        """As kombu's own, which is slow to write a message that holds a batch's events."""
        if options.get("_publish_batch") is not None:
            super()._put_fanout(exchange, message, routing_key, **options)
            return
        text = dumps(message)
        for topic in self._get_publish_topics(exchange, routing_key):
            self._publisher.publish(topic, text)

    @cached_property
    def _publisher(self) -> Any:
        """kombu makes a new client for each message, which takes as long as sending it."""
        return self._create_client()

    def fetch(self) -> None:
        """Claim what waits, if there is room for it and nobody has told this worker to take no more."""
        if not self.consumes:
            return
        undelivered, wanted = self.claims.undelivered, self.wanted()
        if wanted and self._may_find(wanted) and not undelivered:
            undelivered.extend(self._claim(wanted))
            if wanted.is_early:
                self._listen_for_urgent()
        while undelivered:
            self._deliver(undelivered[0])
            undelivered.popleft()

    def _listen_for_urgent(self) -> None:
        """Let a bell say what comes to the most urgent lane until the batch starts: to ask for it then, with
        the engine free, would take as long as starting does."""
        self._may_wait_urgently = False
        self._hang_bells(Wanted(urgent=1))

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Called on each turn of the event loop while there is room: fetch, or wait for the bells."""
        if not self.claims_here:
            super()._brpop_start(timeout)
            return
        Channel.current = self
        if not self._pauses:
            self._go()

    def _go(self) -> None:
        """Fetch and start what there is; wait for the bells if there is room for more."""
        try:
            self.fetch()
            self.start()  # kombu waits on its sockets next; what is asked of it now comes after that
            wanted = self.wanted()
            if not self._may_find(wanted):
                self._hang_bells(wanted)
        except (redis.RedisError, OSError) as error:
            self.trouble.met(error)
            self._pause()
        else:
            self.trouble.over()

    def _may_find(self, wanted: Wanted) -> bool:
        """Whether a claim might bring something: its lanes have not been empty since they rang last."""
        is_urgent = wanted.urgent and not wanted.any
        return self._may_wait_urgently if is_urgent else self._may_wait

    def _claim(self, wanted: Wanted) -> list[Claimed]:
        """What there is of it; if that is less, only a bell says that more waits."""
        chosen = wanted.choose() if wanted.any else None
        count = wanted.any if chosen is None else len(chosen)
        try:
            claimed = self.claims.claim(count, wanted.urgent, wanted.share, chosen=chosen or ())
        except LeaseLost as lost:
            log.warning("%s", lost)
            claimed = []
        self._may_wait_urgently = len(claimed) == count + wanted.urgent
        if wanted.any:
            self._may_wait = self._may_wait_urgently
        return claimed

    def _deliver(self, claimed: Claimed) -> None:
        """Hand a message to Celery under its place in the in-flight record, where kombu keeps its tag.

        If Redis fails meanwhile, the message is delivered again. Whatever else a stranger's message breaks
        on its way is that message's end and nobody else's. (kombu counts `KeyError` among its connection
        errors, hence redis-py's own here.)
        """
        try:
            message = loads(claimed.message)
            message["properties"]["delivery_tag"] = claimed.tag
            self.connection._deliver(message, QUEUE)
        except (redis.RedisError, OSError):
            raise
        except Exception as error:
            log.exception("malformed message put on the dead list: %s", type(error).__name__)
            self.claims.bury(claimed)

    def _hang_bells(self, wanted: Wanted) -> None:
        if not self._bells:
            loop = self.connection.loop
            self._bells = [
                Bell(self.pool.make_connection(), loop, lane, on_answer=self._heed, on_error=self._miss)
                for lane in LANES
            ]
        for bell in self._bells if wanted.any else self._bells[:1]:
            bell.hang()

    def _heed(self, rang: bool) -> None:
        """A bell has rung, or hung for its time: of what comes now nobody tells until it hangs again."""
        self.trouble_with_bells.over()
        self._may_wait = self._may_wait or rang
        self._may_wait_urgently = True
        if rang and self.consumes and not self._pauses:
            self._go()

    def _miss(self, error: Exception) -> None:
        self.trouble_with_bells.met(error)
        self._pause()

    def _pause(self) -> None:
        """Look again soon. It takes no new channel: claims and bells have connections of their own."""
        self._pauses = True
        self.connection.loop.call_later(LOOK_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pauses = False
        self._may_wait = self._may_wait_urgently = True


class Transport(stock.Transport):
    """kombu's Redis transport with this module's channel."""

    Channel = Channel
    loop: Hub
    trouble = Trouble(log, "could not connect to Redis")

    def register_with_event_loop(self, connection: Any, loop: Hub) -> None:
        """Called by Celery after each connect; the bells hang on this loop."""
        self.loop = loop
        super().register_with_event_loop(connection, loop)

    def establish_connection(self) -> Any:
        """Connect as soon as Redis lets us, however long that takes, unless the worker is to stop.

        Celery meets keys that others use only when it is connected, and would connect anew without a pause.
        """
        while True:
            try:
                self.Channel.claims.check_keys()
                connection = super().establish_connection()
            except (redis.RedisError, OSError) as error:
                self.trouble.met(error)
                maybe_shutdown()
                time.sleep(CONNECT_SECONDS)
            else:
                self.trouble.over()
                return connection


def install(claims: Claims, wanted: Callable[[], Wanted], start: Callable[[], None]) -> None:
    """Let this process's channels claim under `claims` as many as `wanted` says, then `start` them."""
    Channel.claims = claims
    Channel.wanted = staticmethod(wanted)
    Channel.start = staticmethod(start)
    TRANSPORT_ALIASES["claimredis"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES[f"claim{sentinel.SCHEME}"] = "workers.transport.sentinel:Transport"


def fetch() -> None:
    """Claim what waits right now, before the event loop's next turn, which meets again what fails."""
    if Channel.current is not None:
        with suppress(redis.RedisError, OSError):
            Channel.current.fetch()


def claim_url(broker_url: str) -> str:
    """The broker URL by which Celery consumes through this transport."""
    return "claim" + broker_url
