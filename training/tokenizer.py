"""The tokenizer: 600 byte-level pieces, Whisper's special tokens for three languages, and timestamps.

    python -m training.tokenizer --out tokenizer.json

Two traps lie here. faster-whisper forbids the first piece of " -", " '" and " ♪" everywhere: if these
split into a bare space and a sign, no word can begin with the bare space any more and words run
together, so each gets a piece of its own (`LEADING_PIECES`). And CTranslate2 calls a model
multilingual only if the vocabulary holds the empty token: `SPARE` is there to be renamed to that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from training.sentences import TEMPLATES, draw

#: As many as the words of the templates need for one to three pieces each.
PIECES = 600
#: A space and the first byte of "-", "'" and "♪", in the letters that byte-level BPE writes bytes in.
LEADING_PIECES = (("Ġ", "-"), ("Ġ", "'"), ("Ġ", "â"))
#: Renamed to the empty token on conversion; never in a text, so it serves as CTC's blank.
SPARE = "<|spare|>"
LANGUAGES = tuple(TEMPLATES)
#: In Whisper's order; faster-whisper takes the token after `<|notimestamps|>` for 0.00 s.
SPECIAL = (
    SPARE,
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
#: Seconds from one timestamp to the next, and their number: 0.00 to 30.00.
TIMESTAMP_STEP = 0.02
TIMESTAMPS = 1501
VOCABULARY = PIECES + len(SPECIAL) + TIMESTAMPS


def build(texts: Iterable[str]) -> tokenizers.Tokenizer:
    """The tokenizer whose pieces fit `texts` best."""
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES - len(LEADING_PIECES),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Within a transcript every sentence follows a space, Whisper's first one as well.
    bpe.train_from_iterator((f" {text}" for text in texts), trainer)
    tokenizer = _with_leading_pieces(bpe)
    times = (f"<|{step * TIMESTAMP_STEP:.2f}|>" for step in range(TIMESTAMPS))
    tokenizer.add_special_tokens(
        [tokenizers.AddedToken(name, normalized=False, special=True) for name in (*SPECIAL, *times)]
    )
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise ValueError(f"{tokenizer.get_vocab_size()} tokens, not {VOCABULARY}: the texts are too few")
    return tokenizer


def _with_leading_pieces(tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    written = json.loads(tokenizer.to_str())
    vocabulary, merges = written["model"]["vocab"], written["model"]["merges"]
    for pair in LEADING_PIECES:
        vocabulary["".join(pair)] = len(vocabulary)
        merges.append(list(pair))
    return tokenizers.Tokenizer.from_str(json.dumps(written))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What training says to the model, as token ids."""

    tokenizer: tokenizers.Tokenizer

    def pieces(self, text: str) -> list[int]:
        """The ids of a stretch of text as it stands in a transcript, after a space."""
        return list(self.tokenizer.encode(f" {text}", add_special_tokens=False).ids)

    def special(self, name: str) -> int:
        """The id of a special token, named without `<|` and `|>`."""
        if (token := self.tokenizer.token_to_id(f"<|{name}|>")) is None:
            raise KeyError(f"no token <|{name}|>")
        return token

    def time(self, seconds: float) -> int:
        """The id of the timestamp nearest to `seconds`, which must lie within 0 to 30."""
        return self.special("0.00") + round(seconds / TIMESTAMP_STEP)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.tokenizer", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--sentences", type=int, default=24_000, metavar="N", help="to fit the pieces to")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = Random(options.seed)
    tokenizer = build(draw(rng).text for _ in range(options.sentences))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(options.out), pretty=False)
    print(f"{tokenizer.get_vocab_size()} tokens in {options.out}")


if __name__ == "__main__":
    main()
