"""What a batch has to write, held back until it is whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kombu.transport.virtual import QoS

from workers.outcome import Outcome
from workers.transport.settlement import Audio, Settlement
from workers.turns import turns_of


@dataclass(slots=True)
class Writes:
    """The settlement of a batch, and the messages that it acknowledges."""

    settlement: Settlement = field(default_factory=Settlement)
    acknowledged: list[Any] = field(default_factory=list)
    """The messages of its tags, for kombu to be told as well."""

    def acknowledge(self, message: Any) -> None:
        """Add an acknowledgement."""
        self.acknowledged.append(message)
        self.settlement.tags.append(message.delivery_tag)

    def end(self, message: Any, outcome: Outcome | None = None) -> None:
        """Nobody will want this request's audio again, and its conversation, if it has one, goes on."""
        self.settlement.audios.append(audio_of(message))
        self.settlement.turns += turns_of(message, outcome)


def audio_of(message: Any) -> Audio:
    """The audio that belongs to a Celery request (`workers.strategy.Message`)."""
    return Audio(request_id=message.id, priority_number=message.priority_number)


def mark_acknowledged(message: Any) -> None:
    """Tell kombu what Redis knows already."""
    QoS.ack(message.channel.qos, message.delivery_tag)
    message._state = "ACK"
