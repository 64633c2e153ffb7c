"""The claim transport on whichever server the Sentinels call the master."""

from __future__ import annotations

from workers.sentinel import AsksSentinels
from workers.transport import channel


class Channel(channel.Channel, AsksSentinels):
    """Claims as `workers.transport.channel` does, connected as `workers.sentinel` connects."""


class Transport(channel.Transport):
    """The claim transport with this module's channel."""

    Channel = Channel
