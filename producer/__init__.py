"""What callers use: submit audio segments, poll and collect transcripts. Needs neither a GPU nor a model."""

from producer.client import Client
from producer.ticket import Ticket, TicketGroup

__all__ = ["Client", "Ticket", "TicketGroup"]
