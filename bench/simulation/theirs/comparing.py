"""Our rewriting of a peer beside the peer itself, on the same arrivals."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.elsewhere import CONTESTANT, python_with
from bench.simulation.arrivals import Times, as_items, poisson
from bench.simulation.contest import (
    BENTOML,
    CELERY,
    LARGEST,
    POLICIES,
    RAY_DEFAULT,
    RAY_LONG,
    RAY_SHORT,
    WHISPER,
    WINDOW,
)
from bench.simulation.simulator import simulate
from bench.simulation.theirs.virtual_time import Told

#: Requests for each peer and load: a peer's own code takes some milliseconds for each.
ITEMS = 2000

LOADS = (0.1, 0.3, 0.7)

#: How long a peer may take for one load, in seconds.
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A module beside this one, and what must be installed for it."""

    module: str
    packages: Mapping[str, str]
    alone: Mapping[str, str]
    """Installed without what they depend on."""
    window: float = WINDOW


_RAY = {"ray[serve]": "2.60.0"}

#: By the names of the contest, in the versions that were read.
PEERS = {
    BENTOML: Peer(
        module="cork",
        packages={"attrs": "26.1.0", "numpy": "2.4.6", "starlette": "1.10.0"},
        alone={"bentoml": "1.4.40"},
    ),
    RAY_SHORT: Peer(module="ray_queue", packages=_RAY, alone={}, window=RAY_DEFAULT),
    RAY_LONG: Peer(module="ray_queue", packages=_RAY, alone={}),
    CELERY: Peer(module="flushing", packages=CONTESTANT, alone={}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One peer at one load: latencies in seconds."""

    peer: str
    load: float
    their_mean: float
    our_mean: float
    their_p99: float
    our_p99: float
    furthest: float
    """By how much the latency of any request differs, at most."""


def compare(folder: Path, seed: int, told: Callable[[str], None]) -> Iterator[Comparison]:
    """Every peer at every load; `folder` is for copies of our files.

    Raises:
        NotInstalled: pip could not get a peer.
        subprocess.SubprocessError: a peer's own code failed, or took longer than `PATIENCE_SECONDS`.
    """
    root = _copied(folder)
    for name, peer in PEERS.items():
        told(f"installing {name}")
        python = python_with(peer.packages, alone=peer.alone, called=peer.module)
        for load in LOADS:
            told(f"{name} itself, at a load of {load:g}")
            times = poisson(load * WHISPER.capacity(LARGEST), ITEMS, seed)
            theirs = _latencies(python, peer, times, root)
            ours = simulate(POLICIES[name](), as_items(times), WHISPER).latencies
            yield compared(name, load, theirs, ours)


def compared(peer: str, load: float, theirs: Times, ours: Times) -> Comparison:
    """Two runs on the same arrivals, each of the shape `[n_items]`."""
    return Comparison(
        peer=peer,
        load=load,
        their_mean=float(theirs.mean()),
        our_mean=float(ours.mean()),
        their_p99=float(np.quantile(theirs, 0.99)),
        our_p99=float(np.quantile(ours, 0.99)),
        furthest=float(np.abs(theirs - ours).max()),
    )


def _copied(folder: Path) -> Path:
    """The drivers alone, so that another Python sees nothing else that is ours."""
    package = folder / "bench" / "simulation" / "theirs"
    package.mkdir(parents=True)
    for name in ("virtual_time", *(peer.module for peer in PEERS.values())):
        shutil.copy(Path(__file__).with_name(f"{name}.py"), package)
    return folder


def _latencies(python: Path, peer: Peer, times: Times, root: Path) -> Times:
    asked = Told(
        enqueued_at=times.tolist(),
        largest=LARGEST,
        window=peer.window,
        base=WHISPER.base,
        each=WHISPER.each,
    )
    ran = subprocess.run(
        [str(python), "-m", f"bench.simulation.theirs.{peer.module}"],
        input=json.dumps(asdict(asked)),
        capture_output=True,
        check=True,
        text=True,
        cwd=root,
        timeout=PATIENCE_SECONDS,
    )
    ended_at: Sequence[float] = json.loads(ran.stdout.splitlines()[-1])["ended_at"]
    return np.array(ended_at) - times
