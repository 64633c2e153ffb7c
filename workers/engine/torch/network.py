"""Whisper's encoder and decoder, for many rows at once: Radford et al. 2022, as transformers lays it out.

Written out rather than taken from transformers for three reasons: importing that takes three times as long
as importing torch, its encoder refuses a window shorter than 30 s, and a decoder whose cache lies in one
place can be replayed as a CUDA graph. Nothing is trained here, so nothing but the arithmetic is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from workers.engine.torch.weights import Shelf, Weights

Tensor = Any
"""`torch.Tensor`. torch is an extra, so a type checker may not have it."""


#: All but cuDNN's, which torch prefers on Hopper (2.13, cuDNN 9.15.1): it makes a plan for each length of
#: queries and keys, in tens of milliseconds or more, and no two batches of prompts are of one length.
DECODING = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Hearing(Protocol):
    """What the decoder asks of the keys and values of a call."""

    mask: Tensor

    @property
    def heard(self) -> Sequence[tuple[Tensor, Tensor]]:
        """For each layer those of the audio."""
        ...

    def advance(self, length: int, /) -> Tensor:
        """Make room for a piece of so many tokens; returns its positions and sets `mask`."""
        ...

    def said(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep those of this piece; returns those to attend to, under `mask`."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """``[…, n]`` → ``[…, m]``."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Map the last dimension."""
        return functional.linear(hidden, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation over the last dimension."""

    weight: Tensor
    bias: Tensor

    def __call__(self, hidden: Tensor) -> Tensor:
        """The same shape, normalised."""
        return functional.layer_norm(hidden, self.weight.shape, self.weight, self.bias)


class Feed:
    """The two linear maps at the end of a layer."""

    def __init__(self, shelf: Shelf) -> None:
        self.norm, self.wide, self.narrow = _norm(shelf.at("final_layer_norm")), *_linears(shelf)

    def __call__(self, hidden: Tensor) -> Tensor:
        """What the layer adds to `hidden`."""
        return self.narrow(functional.gelu(self.wide(self.norm(hidden))))


class OwnAttention:
    """Attention of a sequence to itself: queries, keys and values in one product."""

    def __init__(self, shelf: Shelf, n_heads: int) -> None:
        self.norm = _norm(shelf.at("self_attn_layer_norm"))
        self.into = _joined(shelf.at("self_attn"), "q_proj", "k_proj", "v_proj")
        self.out = _linear(shelf.at("self_attn").at("out_proj"))
        self.n_heads = n_heads

    def heads(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of `hidden`, each ``[rows, heads, length, width / heads]``."""
        queries, keys, values = self.into(self.norm(hidden)).chunk(3, dim=-1)
        return _split(queries, self.n_heads), _split(keys, self.n_heads), _split(values, self.n_heads)


class AudioAttention:
    """Attention of the text to what was heard."""

    def __init__(self, shelf: Shelf, n_heads: int) -> None:
        self.norm = _norm(shelf.at("encoder_attn_layer_norm"))
        self.query = _linear(shelf.at("encoder_attn").at("q_proj"))
        self.into = _joined(shelf.at("encoder_attn"), "k_proj", "v_proj")
        self.out = _linear(shelf.at("encoder_attn").at("out_proj"))
        self.n_heads = n_heads

    def heard(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the audio, each ``[rows, heads, positions, width / heads]``."""
        keys, values = self.into(encoded).chunk(2, dim=-1)
        return _split(keys, self.n_heads), _split(values, self.n_heads)

    def queries(self, hidden: Tensor) -> Tensor:
        """Queries of the text."""
        return _split(self.query(self.norm(hidden)), self.n_heads)

    def __call__(self, hidden: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What the layer adds to `hidden`, whose rows may be several for each of the audio's.

        The texts of one audio segment stand beside each other as further queries, so that its keys and
        values are neither copied nor read once for each.
        """
        n_rows, length, width = hidden.shape
        queries = self.queries(hidden.reshape(keys.shape[0], -1, width))
        heard = functional.scaled_dot_product_attention(queries, keys, values)
        return self.out(_merged(heard).reshape(n_rows, length, width))


class EncoderLayer:
    """Hear each position in the light of the others."""

    def __init__(self, shelf: Shelf, n_heads: int) -> None:
        self.own, self.feed = OwnAttention(shelf, n_heads), Feed(shelf)

    def __call__(self, hidden: Tensor) -> Tensor:
        """``[rows, positions, width]`` → the same."""
        heads = self.own.heads(hidden)
        hidden = hidden + self.own.out(_merged(functional.scaled_dot_product_attention(*heads)))
        return hidden + self.feed(hidden)


class DecoderLayer:
    """Go on from what was said, and heard."""

    def __init__(self, shelf: Shelf, n_heads: int) -> None:
        self.own, self.feed = OwnAttention(shelf, n_heads), Feed(shelf)
        self.audio = AudioAttention(shelf, n_heads)

    def attend(self, hidden: Tensor, hearing: Hearing, layer: int) -> Tensor:
        """Attention to what was said in these rows; their keys and values are kept in `hearing`."""
        queries, keys, values = self.own.heads(hidden)
        keys, values = hearing.said(layer, keys, values)
        said = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=hearing.mask)
        return hidden + self.own.out(_merged(said))

    def __call__(self, hidden: Tensor, hearing: Hearing, layer: int) -> Tensor:
        """``[rows, length, width]`` → the same."""
        hidden = self.attend(hidden, hearing, layer)
        hidden = hidden + self.audio(hidden, *hearing.heard[layer])
        return hidden + self.feed(hidden)


class Network:
    """All of it, on one device and in one type."""

    def __init__(self, weights: Weights, device: str, dtype: Any) -> None:
        self.device, self.dtype = device, dtype
        shelf = Shelf(weights.tensors, lambda one: one.to(device, dtype)).at("model")
        encoder, decoder = shelf.at("encoder"), shelf.at("decoder")
        self.convolutions = [(encoder(f"{one}.weight"), encoder(f"{one}.bias")) for one in ("conv1", "conv2")]
        self.encoder_positions = encoder("embed_positions.weight")
        self.encoder_layers = [
            EncoderLayer(encoder.at(f"layers.{nth}"), weights.encoder_heads)
            for nth in range(encoder.count("layers"))
        ]
        self.encoder_norm = _norm(encoder.at("layer_norm"))
        self.embedding, self.positions = decoder("embed_tokens.weight"), decoder("embed_positions.weight")
        self.layers = [
            DecoderLayer(decoder.at(f"layers.{nth}"), weights.decoder_heads)
            for nth in range(decoder.count("layers"))
        ]
        self.norm = _norm(decoder.at("layer_norm"))

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return int(self.embedding.shape[0])

    @property
    def n_mels(self) -> int:
        """Mel bands of the features."""
        return int(self.convolutions[0][0].shape[1])

    @property
    def n_heads(self) -> int:
        """Heads of the decoder's attention."""
        return self.layers[0].own.n_heads

    def encode(self, features: Tensor) -> Tensor:
        """Features ``[rows, mels, frames]``, frames even and at most 3000 → ``[rows, frames / 2, width]``."""
        (first, first_bias), (second, second_bias) = self.convolutions
        hidden = functional.gelu(functional.conv1d(features, first, first_bias, padding=1))
        hidden = functional.gelu(functional.conv1d(hidden, second, second_bias, stride=2, padding=1))
        hidden = hidden.transpose(1, 2).contiguous()  # else every layer keeps it turned, and turns it twice
        hidden = hidden + self.encoder_positions[: hidden.shape[1]]
        for layer in self.encoder_layers:
            hidden = layer(hidden)
        return self.encoder_norm(hidden)

    def hear(self, encoded: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the audio for each of the decoder's layers."""
        return [layer.audio.heard(encoded) for layer in self.layers]

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Tokens at their places in the text, both ``[rows, length]`` → ``[rows, length, width]``."""
        return functional.embedding(tokens, self.embedding) + functional.embedding(positions, self.positions)

    def decode(self, tokens: Tensor, hearing: Hearing) -> Tensor:
        """Go on with `tokens`, ``[rows, length]``; `hearing` keeps them → ``[rows, length, width]``."""
        hidden = self.embed(tokens, hearing.advance(tokens.shape[1]))
        with sdpa_kernel(DECODING):
            for nth, layer in enumerate(self.layers):
                hidden = layer(hidden, hearing, nth)
        return self.norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """``[…, width]`` → ``[…, n_tokens]`` in float32: what is summed over a text must not be rounded."""
        return functional.linear(hidden, self.embedding).float()


def _linear(shelf: Shelf) -> Linear:
    return Linear(shelf("weight"), shelf("bias"))


def _linears(shelf: Shelf) -> tuple[Linear, Linear]:
    return _linear(shelf.at("fc1")), _linear(shelf.at("fc2"))


def _norm(shelf: Shelf) -> Norm:
    return Norm(shelf("weight"), shelf("bias"))


def _joined(shelf: Shelf, *names: str) -> Linear:
    """Several linear maps of the same input as one. Whisper's keys have no bias."""
    weights = [f"{name}.weight" for name in names]
    return Linear(shelf.joined(*weights), shelf.joined(*(f"{name}.bias" for name in names)))


def _split(hidden: Tensor, n_heads: int) -> Tensor:
    return hidden.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def _merged(hidden: Tensor) -> Tensor:
    return hidden.transpose(1, 2).flatten(2)
