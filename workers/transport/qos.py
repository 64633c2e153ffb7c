"""Acknowledging and rejecting, as kombu calls it, of messages that were claimed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kombu.transport import redis as stock
from kombu.transport.virtual import QoS as VirtualQoS

from workers.transport.claims import LeaseLost
from workers.transport.settlement import Settlement


class QoS(stock.QoS):
    """Claimed messages are recorded by the claim and removed by the settlement: kombu keeps nothing of them.

    Channels that do not consume the queue of requests (remote control, events) are as in kombu.
    """

    def can_consume(self) -> bool:
        """Whether this worker could run another message."""
        if self.channel.claims_here:
            return bool(self.channel.wanted())
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
            self.channel.claims.settle(Settlement(tags=[delivery_tag]))
        VirtualQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Put a message back to the head of its lane, or keep it on the dead list."""
        if not self.channel.claims_here:
            super().reject(delivery_tag, requeue)
        elif requeue:
            with suppress(LeaseLost):
                self.channel.claims.put_back(delivery_tag)
            VirtualQoS.ack(self, delivery_tag)
        else:
            self.channel.claims.bury_tag(delivery_tag)
            VirtualQoS.ack(self, delivery_tag)

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Leases take the place of visibility timeouts."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """A closed channel gives no claim back: the worker lives, and its claims with it."""
        if not self.channel.claims_here:
            super().restore_unacked_once(stderr)
