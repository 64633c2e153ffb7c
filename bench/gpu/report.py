"""What the GPU benchmark found: as JSON, and as tables of Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.figures import machine
from bench.gpu.full import Probe
from bench.gpu.measure import SECONDS, TEXT_TOKENS, Failed, Figure
from bench.gpu.model import SIZES
from bench.gpu.saturated import Saturated

Found = Figure | Failed | Probe | Saturated


def everything(found: Sequence[Found], *, size: str, device: str, rounds: int) -> dict[str, Any]:
    """All of it, with what is needed to judge it. JSON-able; lengths of time are in seconds."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "machine": machine() | {name: installed(name) for name in ("torch", "ctranslate2")},
        "model": {"size": size, "weights": "random", **asdict(SIZES[size])},
        "audio_seconds": SECONDS,
        "tokens_per_row": TEXT_TOKENS,
        "rounds": rounds,
        "figures": [_figure(one, found) for one in found if isinstance(one, Figure)],
        "saturated": [asdict(one) for one in found if isinstance(one, Saturated)],
        "out_of_memory": [asdict(one) for one in found if isinstance(one, Probe)],
        "failed": [asdict(one) for one in found if isinstance(one, Failed)],
    }


def write(found: dict[str, Any], folder: Path) -> None:
    """As `gpu.json` and `gpu.md` in `folder`."""
    (folder / "gpu.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (folder / "gpu.md").write_text(markdown(found), encoding="utf-8")


def markdown(found: dict[str, Any]) -> str:
    """The same for reading."""
    return "\n".join(_lines(found)) + "\n"


def installed(name: str) -> str:
    """The version of a package, or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _figure(one: Figure, found: Sequence[Found]) -> dict[str, Any]:
    alone = [
        each for each in found if isinstance(each, Figure) and (each.way, each.batch_size) == (one.way, 1)
    ]
    speedup = one.requests_per_second / alone[0].requests_per_second if alone else None
    return asdict(one) | {"requests_per_second": one.requests_per_second, "speedup": speedup}


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['at']}, {found['device']}. " + ", ".join(f"{k} {v}" for k, v in found["machine"].items())
    yield from _table(
        f"{found['model']['size']} with random weights, {found['audio_seconds']} s of audio and "
        f"{found['tokens_per_row']} tokens a row, median of {found['rounds']} calls:",
        ("Batch", "ms a call", "Slowest", "Requests/s", "× one by one", "ms to prepare a row"),
        [(one, _timed(one)) for one in found["figures"]],
    )
    yield from _table(
        "A worker with its queue full:",
        ("Batch", "Requests", "Requests/s", "Engine idle with work", "Ready ahead"),
        [(one, _queued(one)) for one in found["saturated"]],
    )
    yield from _table(
        "More rows than fit:",
        ("Rows", "GB left", "Smallest that did not fit", "Calls", "Heard", "Runs again"),
        [(one, _probed(one)) for one in found["out_of_memory"]],
    )
    yield from _table("Not run:", ("Why",), [(one, (one["reason"],)) for one in found["failed"]])


def _timed(one: dict[str, Any]) -> Sequence[str]:
    return (
        str(one["batch_size"]),
        f"{one['seconds'] * 1000:.1f}",
        f"{one['slowest'] * 1000:.1f}",
        f"{one['requests_per_second']:.1f}",
        "" if one["speedup"] is None else f"{one['speedup']:.2f}",
        f"{one['prepare_seconds'] * 1000:.1f}",
    )


def _queued(one: dict[str, Any]) -> Sequence[str]:
    return (
        str(one["batch_size"]),
        str(one["requests"]),
        f"{one['requests_per_second']:.1f}",
        f"{one['idle_percent']:.1f} %",
        f"{one['ready_percent']:.0f} %",
    )


def _probed(one: dict[str, Any]) -> Sequence[str]:
    return (
        str(one["rows"]),
        f"{one['free_bytes'] / 1e9:.1f}",
        str(one["out_of_memory_at"]),
        str(one["engine_calls"]),
        str(one["heard"]),
        "yes" if one["runs_again"] else "no",
    )


def _table(
    title: str, headings: Sequence[str], rows: Sequence[tuple[dict[str, Any], Sequence[str]]]
) -> Iterator[str]:
    """Nothing if there are no rows."""
    if not rows:
        return
    yield f"\n{title}\n"
    yield "| Engine | Type | Context | " + " | ".join(headings) + " |"
    yield "|---|---|---|" + "---:|" * len(headings)
    for one, cells in rows:
        way = one["way"]
        yield f"| {way['engine']} | {way['compute_type']} | {way['context']} | " + " | ".join(cells) + " |"
