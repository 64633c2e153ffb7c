"""The decoder in one call: prompts first, then a token for each row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from workers.engine.torch.graphs import Graphs, Step, fixed_length
from workers.engine.torch.hearing import Hearing
from workers.engine.torch.network import Network
from workers.engine.torch.wish import Prompt, Symbols

Tensor = Any


class Speaker:
    """Rows that go on with their prompts."""

    def __init__(
        self,
        network: Network,
        encoded: Tensor,
        prompts: Sequence[Prompt],
        *,
        length: int,
        graphs: Graphs | None = None,
    ) -> None:
        """Nothing is computed yet.

        Args:
            network: who speaks.
            encoded: what the encoder made of each row's window, ``[rows, positions, width]``.
            prompts: one a row, of any length.
            length: how many tokens may follow a prompt.
            graphs: steps in fixed places, if they are worth it on this device.
        """
        self._network = network
        self._prompts = prompts
        longest = max(len(prompt.tokens) for prompt in prompts)
        self._padding = [longest - len(prompt.tokens) for prompt in prompts]
        length = longest + length if graphs is None else fixed_length(longest + length)
        self._hearing = Hearing(network.hear(encoded), padding=self._padding, length=length)
        self._graphs = graphs
        self._step: Step | None = None
        self.device = encoded.device
        self.logits: Tensor = None
        """Of the token that comes next in each row, ``[rows, n_tokens]`` in float32."""

    def listen(self, symbols: Symbols) -> list[float]:
        """Take the prompts in; returns how likely each row holds no speech."""
        tokens = [
            [symbols.end] * padding + list(prompt.tokens)
            for padding, prompt in zip(self._padding, self._prompts, strict=True)
        ]
        hidden = self._network.decode(torch.tensor(tokens, device=self.device), self._hearing)
        self.logits = self._network.logits(hidden[:, -1])
        starts = [
            padding + prompt.start for padding, prompt in zip(self._padding, self._prompts, strict=True)
        ]
        at_start = self._network.logits(hidden[torch.arange(len(starts)), starts]).softmax(-1)
        found: list[float] = at_start[:, symbols.no_speech].tolist()
        return found

    def say(self, tokens: Tensor) -> None:
        """Each row goes on with its token, ``[rows]``. From then on there are no more texts to `fork`."""
        if self._graphs is not None:
            self._step = self._step or self._graphs.step(self._hearing)
            self.logits = self._step(tokens)
            return
        hidden = self._network.decode(tokens[:, None], self._hearing)
        self.logits = self._network.logits(hidden[:, -1])

    def fork(self, times: int) -> None:
        """Go on with so many texts for each row, beside each other."""
        self._hearing.fork(times)
        self.logits = self.logits.repeat_interleave(times, dim=0)

    def reorder(self, origins: Tensor) -> None:
        """Let each row go on with the text of row `origins[row]`, of the same audio."""
        (self._hearing if self._step is None else self._step.place).reorder(origins)
