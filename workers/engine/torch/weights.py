"""The weights of a Whisper, by the names that transformers gives them, read from a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from workers.engine.torch.conversion import read_converted

#: The files of transformers' format; large models are cut into several, which the index names.
SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: CTranslate2's, as faster-whisper loads it.
CONVERTED = "model.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What a folder says of the network itself."""

    tensors: Mapping[str, torch.Tensor]
    """On the CPU, as stored: a type for each, which need not be the one that is computed in."""
    encoder_heads: int
    decoder_heads: int


def read_weights(folder: Path) -> Weights:
    """Read the weights of `folder`, be they in transformers' format or converted for CTranslate2.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: they are no Whisper's, or of a form that is not known.
    """
    if (folder / CONVERTED).is_file():
        tensors, encoder_heads, decoder_heads = read_converted(folder / CONVERTED)
        return Weights(tensors=tensors, encoder_heads=encoder_heads, decoder_heads=decoder_heads)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _check(config)
    return Weights(
        tensors=_read_safetensors(folder),
        encoder_heads=config["encoder_attention_heads"],
        decoder_heads=config["decoder_attention_heads"],
    )


class Shelf:
    """The weights below one name, moved and cast as they are taken."""

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], cast: Callable[[Any], Any], name: str = ""
    ) -> None:
        self._tensors = tensors
        self._cast = cast
        self._name = name

    def at(self, name: str) -> Shelf:
        """Those below `name`."""
        return Shelf(self._tensors, self._cast, f"{self._name}{name}.")

    def __call__(self, name: str) -> torch.Tensor:
        """The tensor of that name; `ValueError` if there is none."""
        found = self._tensors.get(self._name + name)
        if found is None:
            raise ValueError(f"the weights lack {self._name}{name}")
        return self._cast(found)

    def joined(self, *names: str) -> torch.Tensor:
        """Several one after the other; where one is missing (a bias that Whisper does not have), zeros."""
        found = [self._tensors.get(self._name + name) for name in names]
        like = next(one for one in found if one is not None)
        return self._cast(torch.cat([torch.zeros_like(like) if one is None else one for one in found]))

    def count(self, name: str) -> int:
        """How many are numbered below `name`, from 0."""
        number = 0
        while any(one.startswith(f"{self._name}{name}.{number}.") for one in self._tensors):
            number += 1
        return number


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what this network does not compute."""
    expected = {"model_type": "whisper", "activation_function": "gelu", "scale_embedding": False}
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise ValueError(f"{name} in its config.json is {config[name]!r}, expected {value!r}")


def _read_safetensors(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / SAFETENSORS).is_file():
        return dict(load_file(folder / SAFETENSORS))
    if not (folder / INDEX).is_file():
        raise FileNotFoundError(f"its folder holds neither {SAFETENSORS} nor {CONVERTED}")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    tensors: dict[str, torch.Tensor] = {}
    for part in sorted(set(index["weight_map"].values())):
        tensors |= load_file(folder / part)
    return tensors
