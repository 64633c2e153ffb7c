"""The network, in transformers' format: 1.7 M parameters, and a CTC head for training alone."""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
import torch
from torch import nn
from torch.nn import functional
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutput

from training.batches import NO_LABEL, Batch
from training.tokenizer import LANGUAGES, PIECES, VOCABULARY, Vocabulary

#: Small enough to train on two cores in two hours and to lie in a repository.
WIDTH, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 128, 4, 3, 2
#: Where `save` keeps the CTC head: a run that continues wants it, conversion leaves it behind.
CTC_HEAD = "ctc.pt"
#: Keeps a model that sees every sentence many times from being too sure of it.
LABEL_SMOOTHING = 0.05
#: What a caller needs to make the same features; Whisper's own numbers.
FEATURES = {
    "feature_size": 80,
    "sampling_rate": 16_000,
    "hop_length": 160,
    "chunk_length": 30,
    "n_fft": 400,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "audio_context": "bucketed",  # trained on windows of many lengths: see workers/engine/context.py
}


class Learner(nn.Module):
    """A Whisper that takes windows of any length, with a linear CTC head on its encoder."""

    def __init__(self, whisper: WhisperForConditionalGeneration) -> None:
        super().__init__()
        self.whisper = whisper
        self.ctc = nn.Linear(WIDTH, PIECES + 1)  # the spare token, next after the pieces, is the blank

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """The encoder's output for ``[n, 80, frames]``: ``[n, frames / 2, WIDTH]``.

        transformers' own `forward` insists on the full 30 s; the layers do not.
        """
        encoder = self.whisper.model.encoder
        hidden = functional.gelu(encoder.conv1(features))
        hidden = functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        hidden = functional.dropout(hidden, encoder.dropout, self.training)
        for layer in encoder.layers:
            hidden = layer(hidden, None)
        return encoder.layer_norm(hidden)

    def losses(self, batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy of the decoder, and CTC loss of the encoder, each per token."""
        hidden = self.encode(torch.from_numpy(batch.features).to(device))
        logits = self.whisper(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            decoder_input_ids=torch.from_numpy(batch.inputs).to(device),
            use_cache=False,
        ).logits
        said = functional.cross_entropy(
            logits.float().flatten(0, 1),
            torch.from_numpy(batch.labels).to(device).flatten(),
            ignore_index=NO_LABEL,
            label_smoothing=LABEL_SMOOTHING,
        )
        return said, self._ctc_loss(hidden, batch, device)

    def _ctc_loss(self, hidden: torch.Tensor, batch: Batch, device: torch.device) -> torch.Tensor:
        odds = functional.log_softmax(self.ctc(hidden).float(), dim=-1).transpose(0, 1)
        pieces = sum(map(len, batch.pieces))
        # Summed, then divided by all pieces: a mean over rows would let silence, which has no piece to
        # divide by, outweigh speech.
        total = functional.ctc_loss(
            odds,
            torch.tensor([piece for row in batch.pieces for piece in row], dtype=torch.long, device=device),
            torch.from_numpy((batch.frames + 1) // 2).to(device),
            torch.tensor([len(row) for row in batch.pieces], device=device),
            blank=PIECES,
            reduction="sum",
            zero_infinity=True,
        )
        return total / max(1, pieces)


def new_learner(vocabulary: Vocabulary) -> Learner:
    """A model that knows nothing yet."""
    end = vocabulary.special("endoftext")
    config = WhisperConfig(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        encoder_layers=ENCODER_LAYERS,
        decoder_layers=DECODER_LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        dropout=0.05,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=vocabulary.special("startoftranscript"),
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    return Learner(WhisperForConditionalGeneration(config))


def save(learner: Learner, vocabulary: Vocabulary, folder: Path) -> None:
    """Write model, tokenizer and what conversion and callers need to know of them, and the CTC head."""
    whisper, end = learner.whisper, "<|endoftext|>"
    # A fresh one: the one that transformers derives from the model is derived anew by who loads it.
    whisper.generation_config = GenerationConfig(
        suppress_tokens=[],
        begin_suppress_tokens=[vocabulary.special("endoftext")],
        lang_to_id={f"<|{language}|>": vocabulary.special(language) for language in LANGUAGES},
        alignment_heads=[[DECODER_LAYERS - 1, head] for head in range(HEADS)],
    )
    whisper.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=vocabulary.tokenizer, bos_token=end, eos_token=end, pad_token=end, unk_token=end
    ).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(FEATURES), encoding="utf-8")
    torch.save(learner.ctc.state_dict(), folder / CTC_HEAD)


def load(folder: Path) -> tuple[Learner, Vocabulary]:
    """What `save` wrote; a folder without a CTC head gets a new one, which costs some steps."""
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    learner = Learner(WhisperForConditionalGeneration.from_pretrained(folder))
    if (folder / CTC_HEAD).exists():
        learner.ctc.load_state_dict(torch.load(folder / CTC_HEAD, weights_only=True))
    return learner, Vocabulary(tokenizer)
