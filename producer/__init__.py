"""What callers use: submit audio segments, poll and collect transcripts. Needs neither a GPU nor a model."""

from producer.aio import AsyncClient
from producer.aio_ticket import AsyncTicket, AsyncTicketGroup
from producer.client import Client
from producer.ticket import Ticket, TicketGroup

__all__ = ["AsyncClient", "AsyncTicket", "AsyncTicketGroup", "Client", "Ticket", "TicketGroup"]
