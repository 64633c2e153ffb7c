"""A Whisper of any size with random weights, as a folder that both engines load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from protocol.languages import LANGUAGE_CODES

#: Of every Whisper: encoder and decoder positions, and timestamps from 0.00 to 30.00 s.
POSITIONS, TOKENS, TIMESTAMPS = 1500, 448, 1501

#: Spread of the weights: small enough that nothing overflows float16 in 32 layers.
SPREAD = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What decides how much is computed."""

    mels: int
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    pieces: int
    """Tokens that are text."""


#: As openai publishes them; `tiny` is smaller than any of them, to try the benchmark out on a CPU.
SIZES = {
    "large-v3": Size(mels=128, width=1280, heads=20, encoder_layers=32, decoder_layers=32, pieces=50_257),
    "large-v3-turbo": Size(
        mels=128, width=1280, heads=20, encoder_layers=32, decoder_layers=4, pieces=50_257
    ),
    "base": Size(mels=80, width=512, heads=8, encoder_layers=6, decoder_layers=6, pieces=50_257),
    "tiny": Size(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, pieces=300),
}


def write_model(size: Size, folder: Path) -> None:
    """Write weights, vocabulary and tokenizer into `folder`, which is there and empty."""
    pieces, symbols = _pieces(size.pieces), _symbols()
    tokens = [*pieces, *symbols]
    spec = WhisperSpec(size.encoder_layers, size.heads, size.decoder_layers, size.heads)
    _fill(spec, size, len(tokens))
    spec.config.suppress_ids = spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [tokens.index(f"<|{code}|>") for code in LANGUAGE_CODES]
    last = size.decoder_layers - 1
    spec.config.alignment_heads = [[last, head] for head in range(size.heads)]
    # CTranslate2's sign of a multilingual model is an empty token.
    spec.register_vocabulary([*pieces[:-1], "", *symbols])
    spec.validate()
    spec.optimize(quantization="float16")
    spec.save(str(folder))
    _tokenizer(pieces, symbols).save(str(folder / "tokenizer.json"))
    features = {"feature_size": size.mels, "hop_length": 160, "n_fft": 400, "chunk_length": 30}
    (folder / "preprocessor_config.json").write_text(json.dumps(features), encoding="utf-8")


def _pieces(count: int) -> list[str]:
    """The bytes, and made-up words."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*alphabet, *(f"Ġw{nth}" for nth in range(count - len(alphabet)))]


def _symbols() -> list[str]:
    """Everything that is not text, in Whisper's order."""
    tasks = "translate transcribe startoflm startofprev nospeech notimestamps".split()
    names = ["endoftext", "startoftranscript", *LANGUAGE_CODES, *tasks]
    times = [f"{nth * 0.02:.2f}" for nth in range(TIMESTAMPS)]
    return [f"<|{name}|>" for name in [*names, *times]]


def _tokenizer(pieces: list[str], symbols: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={piece: nth for nth, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(symbol, special=True) for symbol in symbols])
    return tokenizer


class _Random:
    """Weights, the same in every run."""

    def __init__(self) -> None:
        self._numbers = np.random.default_rng(1)

    def __call__(self, *shape: int) -> NDArray[np.float16]:
        return (self._numbers.standard_normal(shape, np.float32) * SPREAD).astype(np.float16)

    def linear(self, spec: Any, n_out: int, n_in: int) -> None:
        spec.weight, spec.bias = self(n_out, n_in), self(n_out)

    def norm(self, spec: Any, width: int) -> None:
        spec.gamma, spec.beta = np.ones(width, np.float16), np.zeros(width, np.float16)

    def feed(self, spec: Any, width: int) -> None:
        self.norm(spec.layer_norm, width)
        self.linear(spec.linear_0, 4 * width, width)
        self.linear(spec.linear_1, width, 4 * width)

    def attention(self, spec: Any, width: int, *joined: int) -> None:
        """`joined`: of how many maps each linear map but the last is made."""
        self.norm(spec.layer_norm, width)
        for linear, count in zip(spec.linear, (*joined, 1), strict=True):
            self.linear(linear, count * width, width)


def _fill(spec: Any, size: Size, n_tokens: int) -> None:
    random, width = _Random(), size.width
    for convolution, n_in in ((spec.encoder.conv1, size.mels), (spec.encoder.conv2, width)):
        convolution.weight, convolution.bias = random(width, n_in, 3), random(width)
    for side, positions in ((spec.encoder, POSITIONS), (spec.decoder, TOKENS)):
        side.position_encodings.encodings = random(positions, width)
        random.norm(side.layer_norm, width)
        for layer in side.layer:
            random.attention(layer.self_attention, width, 3)
            random.feed(layer.ffn, width)
    for layer in spec.decoder.layer:
        random.attention(layer.attention, width, 1, 2)
    spec.decoder.embeddings.weight = random(n_tokens, width)
    # What is no text is never the likeliest, so it is not said, and no text ends.
    spec.decoder.embeddings.weight[size.pieces :] = 0
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
