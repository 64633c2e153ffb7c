"""`python -m bench.gpu`: a table, or with ``--json`` one JSON object; says on which device it ran."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from bench.figures import machine
from bench.gpu.measure import (
    BATCH_SIZES,
    CONTEXTS,
    SECONDS,
    TEXT_TOKENS,
    Failed,
    Figure,
    Probe,
    Way,
    figures,
    probe,
)
from bench.gpu.model import SIZES, write_model

#: What each engine computes in: half precision on a GPU, where float32 is for nobody; float32 on a CPU.
TYPES: dict[str, dict[Literal["faster-whisper", "torch"], tuple[str, ...]]] = {
    "cuda": {"faster-whisper": ("float16",), "torch": ("float16", "bfloat16")},
    "cpu": {"faster-whisper": ("float32",), "torch": ("float32",)},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, which is 0 where there is no GPU to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="large-v3")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCH_SIZES), metavar="ROWS")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and (reason := no_cuda()):
        print(f"nothing measured: {reason}. `--device cpu --size tiny` shows what would be.", file=sys.stderr)
        return 0
    found = measure(asked)
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    return 0


def no_cuda() -> str:
    """Why there is no CUDA device; empty if there is one."""
    try:
        import torch
    except ModuleNotFoundError:
        return "torch is not installed (pip install 'segue[torch]')"
    return "" if torch.cuda.is_available() else "torch sees no CUDA device"


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Every way at every size, and the probe where there is a device to fill."""
    say = Console(stderr=True).print
    ways = [
        Way(engine=engine, compute_type=kind, context=context)
        for engine, kinds in TYPES[asked.device].items()
        for kind in kinds
        for context in CONTEXTS
    ]
    found: list[Figure | Failed | Probe] = []
    with TemporaryDirectory() as folder:
        say(f"writing {asked.size} with random weights")
        write_model(SIZES[asked.size], Path(folder))
        for way in ways:
            found += figures(
                Path(folder),
                way,
                device=asked.device,
                sizes=asked.batch,
                rounds=asked.rounds,
                say=say,
            )
        if asked.device == "cuda":
            found.append(probe(Path(folder), next(way for way in ways if way.engine == "torch")))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(asked.device),
        "machine": machine() | {name: installed(name) for name in ("torch", "ctranslate2")},
        "model": {"size": asked.size, "weights": "random", **asdict(SIZES[asked.size])},
        "audio_seconds": SECONDS,
        "tokens_per_row": TEXT_TOKENS,
        "rounds": asked.rounds,
        "figures": [
            asdict(one) | {"requests_per_second": one.requests_per_second}
            for one in found
            if isinstance(one, Figure)
        ],
        "failed": [asdict(one) for one in found if isinstance(one, Failed)],
        "out_of_memory": [asdict(one) for one in found if isinstance(one, Probe)],
    }


def device_name(device: str) -> str:
    """What a person calls it."""
    if device == "cpu":
        return f"CPU: {machine()['processor']}"
    import torch

    return str(torch.cuda.get_device_name(0))


def installed(name: str) -> str:
    """The version of a package, or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def show(found: dict[str, Any]) -> None:
    """The same for reading."""
    console = Console(markup=False, highlight=False)
    console.print(f"{found['at']}  {found['device']}")
    console.print("  ".join(f"{name} {value}" for name, value in found["machine"].items()))
    table = Table(
        title=f"{found['model']['size']}, random weights: {SECONDS} s of audio, {TEXT_TOKENS} tokens a row",
        title_justify="left",
    )
    for heading in ("engine", "type", "context"):
        table.add_column(heading)
    for heading in ("batch", "ms a call", "slowest", "requests/s", "ms to prepare a row"):
        table.add_column(heading, justify="right")
    for one in found["figures"]:
        table.add_row(
            one["way"]["engine"],
            one["way"]["compute_type"],
            one["way"]["context"],
            str(one["batch_size"]),
            f"{one['seconds'] * 1000:.1f}",
            f"{one['slowest'] * 1000:.1f}",
            f"{one['requests_per_second']:.1f}",
            f"{one['prepare_seconds'] * 1000:.1f}",
        )
    console.print(table)
    for one in [*found["failed"], *found["out_of_memory"]]:
        console.print(json.dumps(one))


if __name__ == "__main__":
    sys.exit(main())
