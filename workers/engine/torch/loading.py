"""What a model name means to the torch engine, and how the folder that it means becomes a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import tokenizers
import torch
from faster_whisper import WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.utils import get_logger
from huggingface_hub import snapshot_download
from numpy.typing import NDArray

from workers.engine.loading import unavailable
from workers.engine.naming import local_folder
from workers.engine.torch.graphs import KEPT_IN, Graphs
from workers.engine.torch.model import TorchModel
from workers.engine.torch.network import Network
from workers.engine.torch.weights import CONVERTED, INDEX, SAFETENSORS, Weights, read_weights
from workers.engine.torch.wish import MOST_TOKENS, Symbols

#: Where the weights of each size lie on the hub, in transformers' format.
_OPENAI = "tiny tiny.en base base.en small small.en medium medium.en large-v1 large-v2 large-v3"
_DISTIL = "distil-small.en distil-medium.en distil-large-v2 distil-large-v3"
SIZES = {
    **{size: f"openai/whisper-{size}" for size in _OPENAI.split()},
    **{size: f"distil-whisper/{size}" for size in _DISTIL.split()},
    "large-v3-turbo": "openai/whisper-large-v3-turbo",
    "large": "openai/whisper-large-v3",
    "turbo": "openai/whisper-large-v3-turbo",
}

#: All that is read of a folder; a repository on the hub may hold the same weights in several formats.
TOKENIZER, PREPARATION = "tokenizer.json", "preprocessor_config.json"
WANTED = (
    "config.json",
    "generation_config.json",
    "vocabulary.json",
    TOKENIZER,
    PREPARATION,
    SAFETENSORS,
    INDEX,
    "model-0*.safetensors",
    CONVERTED,
)

#: In what the network is computed. There is no int8: torch's own is no faster here, and CTranslate2 has it.
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

#: faster-whisper's, for every Whisper: seconds a timestamp token stands for, and frames an encoder position.
_TIME_PRECISION = 0.02
_STRIDE = 2


class TorchWhisper(WhisperModel):  # type: ignore[misc]
    """faster-whisper's `WhisperModel` over a `TorchModel`: its prompts, timestamps and words, our network."""

    def __init__(self, model: TorchModel, folder: Path) -> None:
        """Without the constructor of `WhisperModel`, which loads CTranslate2; its attributes, one by one."""
        self.logger = get_logger()
        self.model = model
        self.hf_tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
        self.feat_kwargs = self._get_feature_kwargs(str(folder))
        self.feature_extractor = FeatureExtractor(**self.feat_kwargs)
        extractor = self.feature_extractor
        self.input_stride = _STRIDE
        self.num_samples_per_token = extractor.hop_length * _STRIDE
        self.frames_per_second = extractor.sampling_rate // extractor.hop_length
        self.tokens_per_second = extractor.sampling_rate // self.num_samples_per_token
        self.time_precision = _TIME_PRECISION
        self.max_length = MOST_TOKENS

    def encode(self, features: NDArray[Any]) -> Any:
        """Features ``[rows, mels, frames]`` → the encoder's output, on the device."""
        return self.model.encode(features)


def load_whisper(
    name: str,
    *,
    device: str = "auto",
    compute_type: str = "auto",
    cpu_threads: int = 0,
    graphs: bool = True,
) -> TorchWhisper:
    """Load the Whisper model that `name` means.

    Args:
        name: ``demo``, a size (`SIZES`), a hub id, or a folder in transformers' or CTranslate2's format.
            Sizes and hub ids are downloaded unless they are in the hub's cache.
        device: ``auto`` (a GPU if torch sees one), ``cpu``, ``cuda`` or ``cuda:N``.
        compute_type: ``auto`` (float16 on a GPU, else float32) or one of `TYPES`.
        cpu_threads: torch's threads, for the whole process; 0 leaves them as they are.
        graphs: whether a GPU replays recorded steps of the decoder (`graphs`); a CPU never does.

    Raises:
        EngineError: `MODEL_UNAVAILABLE`, with the name and the reason in one sentence.
    """
    try:
        device = chosen_device(device)
        dtype = chosen_type(compute_type, device)
        if cpu_threads > 0:
            torch.set_num_threads(cpu_threads)
        return read_folder(local_folder(name) or _downloaded(name), device, dtype, graphs=graphs)
    except Exception as error:  # the hub, the file system, safetensors and torch each raise their own
        raise unavailable(name, error) from error


def read_folder(folder: Path, device: str, dtype: Any, *, graphs: bool) -> TorchWhisper:
    """The model in `folder`, on its device; with `graphs` as `load_whisper` has them."""
    weights = read_weights(folder)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
    said = _said(folder)
    languages = _languages(folder, said, tokenizer)
    network = Network(weights, device, dtype)
    model = TorchModel(
        network,
        _symbols(tokenizer, said, tuple(languages.values())),
        language_names=list(languages),
        alignment_heads=said.get("alignment_heads") or _upper_half(weights),
        graphs=_graphs(network, device) if graphs and device != "cpu" else None,
    )
    return TorchWhisper(model, folder)


def _graphs(network: Network, device: str) -> Graphs:
    memory = torch.cuda.get_device_properties(device).total_memory
    return Graphs(network, record=True, most_bytes=KEPT_IN * memory)


def chosen_device(device: str) -> str:
    """The device that `auto` means here; anything else as it is."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def chosen_type(compute_type: str, device: str) -> Any:
    """The type that `compute_type` means on `device`.

    Raises:
        ValueError: it is none of `TYPES`.
    """
    if compute_type in ("auto", "default"):
        return torch.float32 if device == "cpu" else torch.float16
    if compute_type not in TYPES:
        raise ValueError(f"compute_type is {compute_type!r}: the torch engine has {', '.join(TYPES)}")
    return TYPES[compute_type]


def _downloaded(name: str) -> Path:
    hub_id = SIZES.get(name, name)
    if "/" not in hub_id:
        raise ValueError(f"it is none of {', '.join(SIZES)}, no folder and no hub id")
    return Path(snapshot_download(hub_id, allow_patterns=list(WANTED)))


def _said(folder: Path) -> dict[str, Any]:
    """What the folder says of generating: transformers in two files, CTranslate2 in one."""
    said: dict[str, Any] = {}
    for name in ("config.json", "generation_config.json"):
        if (folder / name).is_file():
            said |= json.loads((folder / name).read_text(encoding="utf-8"))
    return said


def _languages(folder: Path, said: Mapping[str, Any], tokenizer: tokenizers.Tokenizer) -> dict[str, int]:
    """Tokens such as ``<|en|>`` with their numbers; none of an English-only model."""
    if said.get("is_multilingual") is False:
        return {}
    if "lang_to_id" in said:
        return dict(said["lang_to_id"])
    vocabulary = folder / "vocabulary.json"
    if vocabulary.is_file() and "" not in json.loads(vocabulary.read_text(encoding="utf-8")):
        return {}  # CTranslate2's own sign of a multilingual model
    return {str(tokenizer.id_to_token(token)): token for token in said.get("lang_ids") or ()}


def _symbols(tokenizer: tokenizers.Tokenizer, said: Mapping[str, Any], languages: tuple[int, ...]) -> Symbols:
    def token(*names: str) -> int:
        found = (tokenizer.token_to_id(f"<|{name}|>") for name in names)
        number = next((one for one in found if one is not None), None)
        if number is None:
            raise ValueError(f"its {TOKENIZER} has no token <|{names[0]}|>")
        return number

    never_first = said.get("begin_suppress_tokens", said.get("suppress_ids_begin"))
    return Symbols(
        start=token("startoftranscript"),
        end=token("endoftext"),
        no_speech=token("nospeech", "nocaptions"),
        no_timestamps=token("notimestamps"),
        languages=languages,
        never_first=tuple(never_first or ()),
    )


def _upper_half(weights: Weights) -> list[tuple[int, int]]:
    """The heads that CTranslate2 takes for those that follow the speech if nobody says."""
    n_layers = 0
    while f"model.decoder.layers.{n_layers}.fc1.weight" in weights.tensors:
        n_layers += 1
    return list(product(range(n_layers // 2, n_layers), range(weights.decoder_heads)))
