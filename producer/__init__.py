"""What callers use: submit audio or text, poll and collect results. Needs neither a GPU nor a model."""

from producer.aio import AsyncClient
from producer.aio_recording import AsyncRecordingTicket
from producer.aio_ticket import AsyncTicket, AsyncTicketGroup
from producer.audio import AudioLike
from producer.client import Client
from producer.recording import RecordingTicket
from producer.text import Text
from producer.ticket import Ticket, TicketGroup

__all__ = [
    "AsyncClient",
    "AsyncRecordingTicket",
    "AsyncTicket",
    "AsyncTicketGroup",
    "AudioLike",
    "Client",
    "RecordingTicket",
    "Text",
    "Ticket",
    "TicketGroup",
]
