"""Which of a worker's models a request asks for."""

from __future__ import annotations

from dataclasses import replace

from protocol.errors import RequestError
from protocol.request import Request
from workers.settings import Settings

#: What callers may ask for without knowing a worker's names. Where there is one model, it is all of them.
WORDS = ("fast", "balanced", "quality")


class Preferences:
    """The names that requests may ask for, as the settings give them."""

    def __init__(self, settings: Settings) -> None:
        self._names = (*settings.catalogue,)
        self._default = (settings.model,) if settings.models else (settings.model, *WORDS)

    def settled(self, request: Request) -> Request:
        """`request` with a preference that means the same in every request: a name, or None for the default.

        Raises:
            RequestError: `UNKNOWN_MODEL`, with the names there are.
        """
        wanted = request.options.model_pref
        if wanted in self._default:
            return replace(request, options=replace(request.options, model_pref=None))
        if wanted is None or wanted in self._names:
            return request
        raise RequestError(f"model_pref is {wanted!r}: this worker has {self._shown()}", "UNKNOWN_MODEL")

    def _shown(self) -> str:
        """What there is, for a stranger: a single model may be a path, which is nobody's business."""
        several = ", ".join(self._names)
        return several if len(self._names) > 1 else f"one model, for {', '.join(WORDS)}"
