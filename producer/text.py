"""Text as what a request brings, for models that take it: speech synthesis, embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.errors import RequestError
from protocol.request import check_text


@dataclass(frozen=True, slots=True)
class Text:
    """A text in the place of an audio segment; a `str` there is the path of one."""

    content: str = field(repr=False)
    """1 to 4 096 characters, of which one at least is no space."""

    def encoded(self) -> bytes:
        """Its payload, UTF-8.

        Raises:
            RequestError: it is none, empty, too long, or cannot be written down.
        """
        if not isinstance(self.content, str):
            raise RequestError(f"the text is a {type(self.content).__name__}: expected str", "BAD_TEXT")
        check_text(self.content)
        try:
            return self.content.encode()
        except UnicodeEncodeError as error:
            raise RequestError(
                f"the text has half a character at {error.start}, a surrogate without its other", "BAD_TEXT"
            ) from None
