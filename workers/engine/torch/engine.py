"""The torch engine: the rounds of the faster-whisper engine, over a network of our own.

What differs is what a call may hold. Prompts of any length share one, for shorter ones are padded and the
padding is never attended to (`hearing`); so only rows whose windows are encoded at different lengths, or that
are heard at different temperatures, take turns.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

from protocol.options import Options
from workers.engine.context import Wish
from workers.engine.faster_whisper import FasterWhisperEngine, groups_of_one_shape, longest
from workers.engine.listener import Listener
from workers.engine.torch.loading import load_whisper


class TorchWhisperEngine(FasterWhisperEngine):
    """The seam over `TorchWhisper`; `load` comes before all else."""

    _load_model = staticmethod(load_whisper)

    def __init__(
        self,
        model: str = "demo",
        *,
        device: str = "auto",
        compute_type: str = "auto",
        cpu_threads: int = 0,
        audio_context: Wish = "auto",
        graphs: bool = True,
    ) -> None:
        """The arguments are those of `load_whisper` and `chosen_context`; nothing is loaded yet."""
        super().__init__(
            model,
            device=device,
            compute_type=compute_type,
            cpu_threads=cpu_threads,
            audio_context=audio_context,
        )
        self._load = partial(self._load, graphs=graphs)

    def _groups(self, listeners: Sequence[Listener]) -> list[list[Listener]]:
        return groups_of_one_shape(listeners, _shape)

    def _longest(self, prompts: Sequence[Sequence[int]], options: Options) -> list[int]:
        """A value for each row: the text of one must not end sooner because another's prompt is longer."""
        return [longest(prompt, options, self._whisper.max_length) for prompt in prompts]


def _shape(listener: Listener) -> Hashable:
    return listener.temperature, listener.window_length
