"""When each token of a text is said: where the decoder looks while it says it (openai/whisper, `timing.py`).

The weights of the heads that follow the speech, cut to the frames that hold some, are made comparable over
the tokens, smoothed over time and averaged; then the cheapest way through them from the first token and frame
to the last (dynamic time warping) says which frames belong to which token. Each row by itself: how long its
neighbours' texts are must not change its times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from workers.engine.torch.hearing import Hearing
from workers.engine.torch.network import Network

Tensor = Any
Matrix = NDArray[np.float32]

#: Where all tokens look at a position alike there is nothing to compare, and nothing to divide by.
_SMALLEST = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """One row's times, with the fields of CTranslate2's `WhisperAlignmentResult`."""

    alignments: list[tuple[int, int]]
    """Token and encoder position (20 ms each) of every step of the way."""
    text_token_probs: list[float]


def align_text(
    network: Network,
    encoded: Tensor,
    tokens: Sequence[int],
    *,
    n_start: int,
    n_positions: int,
    heads: Sequence[tuple[int, int]],
    smoothing: int,
) -> Aligned:
    """Align one row's text.

    Args:
        network: who would say it.
        encoded: the encoder's output for the row, ``[1, positions, width]``.
        tokens: start sequence, no-timestamps, text, end of text.
        n_start: how many tokens the start sequence has.
        n_positions: how many of the encoder's positions hold audio.
        heads: layer and head of those that follow the speech.
        smoothing: width of the median filter, in positions; odd.
    """
    hearing = Hearing(network.hear(encoded), padding=[0], length=len(tokens))
    given = torch.tensor([list(tokens)], device=encoded.device)
    hidden, weights = looks(network, given, hearing, heads)
    text = slice(n_start, len(tokens) - 1)
    probabilities = network.logits(hidden[0, text])[:, : tokens[-1]].softmax(-1)  # words only
    said = probabilities[:-1].gather(1, given[0, n_start + 1 : -1, None])[:, 0]
    matrix = comparable(weights[..., :n_positions], smoothing)[text]
    return Aligned(alignments=cheapest_way(-matrix.cpu().numpy()), text_token_probs=said.tolist())


def looks(
    network: Network, tokens: Tensor, hearing: Hearing, heads: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Decode `tokens`; also how much each looks at each position: ``[heads, tokens, positions]``."""
    hidden = network.embed(tokens, hearing.advance(tokens.shape[1]))
    found: dict[tuple[int, int], Tensor] = {}
    for nth, layer in enumerate(network.layers):
        hidden = layer.attend(hidden, hearing, nth)
        keys, values = hearing.heard[nth]
        for head in (head for at, head in heads if at == nth):
            queries = layer.audio.queries(hidden)[0, head].float()
            found[nth, head] = queries @ keys[0, head].float().T / queries.shape[-1] ** 0.5
        hidden = hidden + layer.audio(hidden, keys, values)
        hidden = hidden + layer.feed(hidden)
    return network.norm(hidden), torch.stack([found[layer, head] for layer, head in heads])


def comparable(weights: Tensor, smoothing: int) -> Tensor:
    """Weights ``[heads, tokens, positions]`` → how well token and position fit, ``[tokens, positions]``."""
    weights = weights.softmax(-1)
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, correction=0)
    weights = (weights - mean) / deviation.clamp(min=_SMALLEST)
    margin = smoothing // 2
    if weights.shape[-1] > margin:
        mirrored = functional.pad(weights, (margin, margin), mode="reflect")
        weights = mirrored.unfold(-1, smoothing, 1).median(-1).values
    return weights.mean(0)


def cheapest_way(costs: Matrix) -> list[tuple[int, int]]:
    """The cheapest way through `costs`, ``[tokens, positions]``, a step in one or both directions at a time.

    Of ways that cost the same, the one that waits in position, then in token; as in openai/whisper.
    """
    n_tokens, n_positions = costs.shape
    total = np.full((n_tokens + 1, n_positions + 1), np.inf, np.float32)
    total[0, 0] = 0
    for diagonal in range(2, n_tokens + n_positions + 1):  # all of a diagonal depend on the two before only
        token = np.arange(max(1, diagonal - n_positions), min(n_tokens, diagonal - 1) + 1)
        position = diagonal - token
        before = np.minimum(total[token - 1, position - 1], total[token - 1, position])
        before = np.minimum(before, total[token, position - 1])
        total[token, position] = costs[token - 1, position - 1] + before
    return _way_back(total)


def _way_back(total: Matrix) -> list[tuple[int, int]]:
    token, position = total.shape[0] - 1, total.shape[1] - 1
    way = []
    while token > 0 or position > 0:
        way.append((token - 1, position - 1))
        if token == 0 or position == 0:
            token, position = (token, position - 1) if token == 0 else (token - 1, position)
            continue
        both, up = total[token - 1, position - 1], total[token - 1, position]
        left = total[token, position - 1]
        if both < up and both < left:
            token, position = token - 1, position - 1
        elif up < both and up < left:
            token -= 1
        else:
            position -= 1
    return way[::-1]
