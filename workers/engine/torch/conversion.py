"""The weights of a model that was converted for CTranslate2, under the names that transformers gives them.

The format is what `ctranslate2.specs.model_spec.ModelSpec` writes (4.8): after a head, for each variable its
name, rank, shape, type, length in bytes and bytes; then names that mean another's variable. int8 weights
have a scale a row, and are the row times its scale, rounded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

#: The format's version; older ones say less of each variable.
VERSION = 6

SPECIFICATION = "WhisperSpec"

#: By CTranslate2's number of the type (`ctranslate2/types.h`). bfloat16 is none of NumPy's: read as bits.
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16, 5: np.int16}
_BFLOAT16 = 5

Tensors = dict[str, torch.Tensor]

#: Names of transformers' parts beside CTranslate2's: in a layer, of linear maps joined into one, and of
#: what lies around the layers.
_NORMS = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "attention/layer_norm": "encoder_attn_layer_norm",
    "ffn/layer_norm": "final_layer_norm",
}
_LINEARS = {
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_AROUND = {
    "conv1": "conv1",
    "conv2": "conv2",
    "layer_norm": "layer_norm",
    "embeddings/weight": "embed_tokens.weight",
    "position_encodings/encodings": "embed_positions.weight",
    "projection/weight": "proj_out.weight",
}


def read_converted(path: Path) -> tuple[Tensors, int, int]:
    """The weights in `path`, and the numbers of heads of encoder and decoder.

    Raises:
        ValueError: the file is of another version or another kind of model.
    """
    with path.open("rb") as file:
        variables = dict(_variables(file))
        (count,) = _numbers(file, "I")
        variables |= {alias: variables[_text(file)] for alias in (_text(file) for _ in range(count))}
    tensors = dict(_renamed(_whole(variables)))
    return tensors, int(variables["encoder/num_heads"]), int(variables["decoder/num_heads"])


def _variables(file: BinaryIO) -> Iterator[tuple[str, torch.Tensor]]:
    (version,) = _numbers(file, "I")
    if version != VERSION:
        raise ValueError(f"model.bin has version {version} of its format, expected {VERSION}")
    if (kind := _text(file)) != SPECIFICATION:
        raise ValueError(f"model.bin is a {kind!r}, expected {SPECIFICATION!r}")
    _, count = _numbers(file, "II")
    for _ in range(count):
        yield _text(file), _variable(file)


def _variable(file: BinaryIO) -> torch.Tensor:
    (rank,) = _numbers(file, "B")
    shape = _numbers(file, f"{rank}I")
    kind, length = _numbers(file, "BI")
    if kind not in _TYPES:
        raise ValueError(f"model.bin holds a variable of type {kind}, expected one of {sorted(_TYPES)}")
    values = torch.from_numpy(np.frombuffer(file.read(length), _TYPES[kind]).reshape(shape).copy())
    return values.view(torch.bfloat16) if kind == _BFLOAT16 else values


def _whole(variables: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights and no scales: what is whole numbers is divided by its scale."""
    for name, values in variables.items():
        scale = variables.get(f"{name}_scale")
        if scale is not None:
            yield name, values.float() / scale.reshape(-1, *[1] * (values.dim() - 1))
        elif values.dim() > 0 and not name.endswith("_scale"):
            yield name, values


def _renamed(variables: Iterator[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, values in variables:
        side, part, *rest = name.split("/")
        if not part.startswith("layer_") or part == "layer_norm":
            yield from _around(side, "/".join([part, *rest]), values)
            continue
        layer = f"model.{side}.layers.{part.removeprefix('layer_')}"
        block, kind = "/".join(rest[:-1]), _kind(rest[-1])
        parts = _LINEARS.get(block) or (_NORMS[block],)
        for one, piece in zip(parts, values.chunk(len(parts)), strict=True):
            yield f"{layer}.{one}.{kind}", piece


def _around(side: str, name: str, values: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    if whole := _AROUND.get(name):
        yield "proj_out.weight" if whole == "proj_out.weight" else f"model.{side}.{whole}", values
    elif part := _AROUND.get(name.rpartition("/")[0]):
        yield f"model.{side}.{part}.{_kind(name.rpartition('/')[2])}", values


def _kind(name: str) -> str:
    return {"gamma": "weight", "beta": "bias"}.get(name, name)


def _numbers(file: BinaryIO, layout: str) -> tuple[int, ...]:
    layout = "<" + layout
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "H")
    return file.read(length).rstrip(b"\0").decode()
