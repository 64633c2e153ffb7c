"""`python -m bench.gpu`: tables in Markdown, or with ``--json`` one JSON object; ``--into`` writes both.

Every way has a process of its own, so that one whose libraries do not fit this machine, or that loses the
device, costs the others nothing. Files are written anew after each figure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from bench.apart import Apart
from bench.figures import machine
from bench.gpu import cublas
from bench.gpu.full import probe
from bench.gpu.measure import BATCH_SIZES, CONTEXTS, Failed, Way, failed, figure_of
from bench.gpu.model import SIZES, write_model
from bench.gpu.report import Found, everything, markdown, write
from bench.gpu.saturated import saturated

#: What each engine computes in: half precision on a GPU, where float32 is for nobody; float32 on a CPU.
TYPES: dict[str, dict[Literal["faster-whisper", "torch"], tuple[str, ...]]] = {
    "cuda": {"faster-whisper": ("float16",), "torch": ("float16", "bfloat16")},
    "cpu": {"faster-whisper": ("float32",), "torch": ("float32",)},
}
ENGINES = tuple(TYPES["cpu"])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, which is 0 where there is no GPU to measure."""
    asked = _parser().parse_args(arguments)
    if asked.device == "cuda" and (reason := no_cuda()):
        print(f"nothing measured: {reason}. `--device cpu --size tiny` shows what would be.", file=sys.stderr)
        return 0
    device, found = device_name(asked.device), list[Found]()
    whole = everything(found, size=asked.size, device=device, rounds=asked.rounds)
    for one in measure(asked):
        found.append(one)
        whole = everything(found, size=asked.size, device=device, rounds=asked.rounds)
        if asked.into is not None:
            asked.into.mkdir(parents=True, exist_ok=True)
            write(whole, asked.into)
    print(json.dumps(whole, indent=2) if asked.json else markdown(whole))
    return 0


def no_cuda() -> str:
    """Why there is no CUDA device for any of the engines; empty if there is one."""
    import ctranslate2

    if ctranslate2.get_cuda_device_count() > 0:
        return ""
    try:
        import torch
    except ModuleNotFoundError:
        return "CTranslate2 sees no CUDA device, and torch is not installed (pip install 'segue[torch]')"
    return "" if torch.cuda.is_available() else "neither CTranslate2 nor torch sees a CUDA device"


def device_name(device: str) -> str:
    """What a person calls it."""
    if device == "cpu":
        return f"CPU: {machine()['processor']}"
    try:
        import torch
    except ModuleNotFoundError:
        return "a CUDA device"
    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else "a CUDA device"


def measure(asked: argparse.Namespace) -> Iterator[Found]:
    """Every way at every size, then behind a queue, then where more is asked for than fits."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as links:
        if asked.device == "cuda" and not cublas.is_found():
            offered = cublas.offer(Path(links), cublas.installed_folders())
            _say(f"CTranslate2 is offered the cuBLAS of {offered}")
        _say(f"writing {asked.size} with random weights")
        write_model(SIZES[asked.size], Path(folder))
        for way in ways(asked):
            yield from of_way(asked, Path(folder), way)


def ways(asked: argparse.Namespace) -> list[Way]:
    """Those that are asked for, the engines in turn."""
    return [
        Way(engine=engine, compute_type=kind, context=context)
        for context in asked.context
        for engine, kinds in TYPES[asked.device].items()
        if engine in asked.engine
        for kind in kinds
    ]


def of_way(asked: argparse.Namespace, folder: Path, way: Way) -> Iterator[Found]:
    """All that is measured of one way; ends with what failed first."""
    name = f"{way.engine} {way.compute_type} {way.context}"
    with Apart() as process:
        for size in asked.batch:
            _say(f"{name}, batches of {size}")
            found = _found(process, way, partial(figure_of, folder, way, asked.device, size, asked.rounds))
            yield found
            if isinstance(found, Failed):
                return
    if asked.device == "cuda" and way.context == "full":
        _say(f"{name}, more than fits")
        with Apart() as process:  # without what the others have left in the device's memory
            yield _found(process, way, partial(probe, folder, way, SIZES[asked.size]))
    if asked.queued:
        _say(f"{name}, behind a queue")
        yield saturated(folder, way, asked.device, max(asked.batch), asked.queued)


def _found(process: Apart, way: Way, step: Callable[[], Found]) -> Found:
    try:
        return process.run(step).answer
    except BrokenProcessPool as error:
        return failed(way, error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="large-v3")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--engine", choices=ENGINES, nargs="+", default=list(ENGINES))
    parser.add_argument("--context", choices=CONTEXTS, nargs="+", default=list(CONTEXTS))
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCH_SIZES), metavar="ROWS")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--queued", type=int, default=20, metavar="BATCHES", help="0 leaves the queue out")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="for gpu.json and gpu.md")
    parser.add_argument("--json", action="store_true")
    return parser


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
