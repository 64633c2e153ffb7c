"""What became of a request: an error, or a transcript that shows nobody what was said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocol.errors import TranscriptionError


class Encoded(Mapping[str, Any]):
    """A transcript as `protocol.wire.encode_transcript` writes it, with its receipt.

    A mapping and no dict: Celery's tracer makes a text of what a task returns, which goes through all of a
    dict and asks anything else to show itself.
    """

    __slots__ = ("values_by_name",)

    def __init__(self, values_by_name: dict[str, Any]) -> None:
        self.values_by_name = values_by_name

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def __json__(self) -> dict[str, Any]:
        """For kombu, which writes it into the messages of a chain's or chord's next task."""
        return self.values_by_name

    def __repr__(self) -> str:
        """What Flower shows as the result: where the request ran, never what was said."""
        receipt = self["timings"]
        language = f"{self['language']}, " if self["language"] else ""
        return (
            f"{len(self['text'])} characters, {language}"
            f"batch {receipt['batch_id']} ({receipt['batch_position'] + 1} of {receipt['batch_size']})"
        )


Outcome = Encoded | TranscriptionError
