"""Whisper on torch behind the methods of `ctranslate2.models.Whisper` that faster-whisper calls.

So faster-whisper's own code, and ours above it, stays the same whichever of the two computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from workers.engine.torch.alignment import Aligned, align_text
from workers.engine.torch.graphs import Graphs, fixed_rows
from workers.engine.torch.hearing import Hearing
from workers.engine.torch.network import Network
from workers.engine.torch.rules import Rules
from workers.engine.torch.search import Search
from workers.engine.torch.speaker import Speaker
from workers.engine.torch.wish import Prompt, Symbols, Text, Wish

Tensor = Any

P = ParamSpec("P")
R = TypeVar("R")


def without_gradients(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, with torch told that nobody is training: it then keeps nothing for a way back."""
    inferring: Callable[P, R] = torch.inference_mode()(function)
    return inferring


def give_back() -> None:
    """Let the device have what torch keeps of the memory that was freed."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class TorchModel:
    """One loaded model. Rows of a call may have prompts of any length."""

    num_workers = 1
    """How many calls may run at once."""

    def __init__(
        self,
        network: Network,
        symbols: Symbols,
        *,
        language_names: Sequence[str],
        alignment_heads: Sequence[tuple[int, int]],
        graphs: Graphs | None = None,
    ) -> None:
        """`language_names` are the tokens of `symbols.languages`, such as ``<|en|>``, in their order."""
        self.is_multilingual = bool(symbols.languages)
        self._network: Network | None = network
        self._graphs = graphs
        self._symbols = symbols
        self._language_names = tuple(language_names)
        self._alignment_heads = tuple(alignment_heads)

    @property
    def network(self) -> Network:
        """The weights; `RuntimeError` if they were given back."""
        if self._network is None:
            raise RuntimeError("the model is not loaded")
        return self._network

    @property
    def holds_steps(self) -> bool:
        """Whether recorded steps take memory that a call may need."""
        return self._graphs is not None and self._graphs.are_held

    def forget_steps(self) -> None:
        """Give the memory of recorded steps back to the device."""
        if self._graphs is not None:
            self._graphs.forget()
        give_back()

    def unload_model(self) -> None:
        """Let go of the weights, and give their memory back to the device."""
        self._network = self._graphs = None
        give_back()

    @without_gradients
    def encode(self, features: NDArray[np.float32] | Tensor) -> Tensor:
        """Features ``[rows, mels, frames]``, here or there → what decoding starts from, on the device."""
        network = self.network
        return network.encode(torch.as_tensor(features).to(network.device, network.dtype))

    @without_gradients
    def detect_language(self, encoded: Tensor) -> list[list[tuple[str, float]]]:
        """For each row its languages, such as ``<|en|>``, and how likely they are; the likeliest first."""
        network, n_rows = self.network, encoded.shape[0]
        hearing = Hearing(network.hear(encoded), padding=[0] * n_rows, length=1)
        start = torch.full((n_rows, 1), self._symbols.start, device=encoded.device)
        logits = network.logits(network.decode(start, hearing)[:, 0])
        likely = logits[:, list(self._symbols.languages)].softmax(-1).tolist()
        return [
            sorted(zip(self._language_names, row, strict=True), key=lambda one: one[1], reverse=True)
            for row in likely
        ]

    @without_gradients
    def generate(
        self,
        encoded: Tensor,
        prompts: Sequence[Sequence[int]],
        *,
        max_length: int | Sequence[int],
        return_scores: bool = True,
        return_no_speech_prob: bool = True,
        sampling_topk: int = 0,
        suppress_tokens: Sequence[int] | None = (),
        **wishes: Any,
    ) -> list[Text]:
        """The text of each row.

        Args:
            encoded: what `encode` gave for these rows.
            prompts: one for each row.
            max_length: of prompt and text together; one for all rows or for each.
            return_scores: always true here, as is the next.
            return_no_speech_prob: how likely a row holds no speech.
            sampling_topk: 0, all tokens.
            suppress_tokens: never said.
            wishes: the other fields of `Wish`.

        Raises:
            ValueError: a prompt without a start of transcript, or another `sampling_topk`.
        """
        if sampling_topk != 0 or not (return_scores and return_no_speech_prob):
            raise ValueError(f"sampling_topk is {sampling_topk}: expected 0, and both scores wanted")
        lengths = [max_length] * len(prompts) if isinstance(max_length, int) else list(max_length)
        wish = Wish(max_length=lengths, suppress_tokens=tuple(suppress_tokens or ()), **wishes)
        parts = [Prompt.of(prompt, self._symbols) for prompt in prompts]
        if self._graphs is None:
            return self._generate(encoded, parts, wish)
        # Further copies of the first row, so that few numbers of rows come up.
        rows = [*range(len(parts)), *[0] * (fixed_rows(len(parts)) - len(parts))]
        wish = replace(wish, max_length=[lengths[row] for row in rows])
        return self._generate(encoded[rows], [parts[row] for row in rows], wish)[: len(parts)]

    def _generate(self, encoded: Tensor, prompts: Sequence[Prompt], wish: Wish) -> list[Text]:
        network, symbols = self.network, self._symbols
        longest = max(prompt.limit(length) for prompt, length in zip(prompts, wish.max_length, strict=True))
        speaker = Speaker(network, encoded, prompts, length=longest, graphs=self._graphs)
        silent = speaker.listen(symbols)
        rules = Rules(
            symbols,
            wish,
            [prompt.prefix for prompt in prompts],
            with_timestamps=prompts[0].tokens[prompts[0].task - 1] != symbols.no_timestamps,
            n_tokens=network.n_tokens,
            device=speaker.device,
        )
        search = Search(speaker=speaker, rules=rules, wish=wish, prompts=prompts, end=symbols.end)
        return [
            Text(
                sequences_ids=[text for text, _ in texts],
                scores=[score for _, score in texts],
                no_speech_prob=no_speech,
            )
            for texts, no_speech in zip(search.texts(), silent, strict=True)
        ]

    @without_gradients
    def align(
        self,
        encoded: Tensor,
        start_sequence: Sequence[int],
        text_tokens: Sequence[Sequence[int]],
        num_frames: Sequence[int],
        *,
        median_filter_width: int = 7,
    ) -> list[Aligned]:
        """When each token of each row's text is said; of no text nothing is said."""
        found = []
        for row, (text, frames) in enumerate(zip(text_tokens, num_frames, strict=True)):
            if not text:
                found.append(Aligned(alignments=[], text_token_probs=[]))
                continue
            aligned = align_text(
                self.network,
                encoded[row : row + 1],
                [*start_sequence, self._symbols.no_timestamps, *text, self._symbols.end],
                n_start=len(start_sequence),
                n_positions=frames // 2,
                heads=self._alignment_heads,
                smoothing=median_filter_width,
            )
            found.append(aligned)
        return found
