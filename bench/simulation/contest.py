"""Who is compared: the shipped batcher and its peers, by name, all with batches of up to 16."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.simulation.cost import Linear
from bench.simulation.peers.bentoml import BentoML
from bench.simulation.peers.bound_early import ClosedByTimer, OneAhead, ray_serve
from bench.simulation.peers.waiting import Triton, WindowFromDequeue, WindowFromLoop
from bench.simulation.policy import Policy, Shipped

LARGEST = 16

#: The engine of the contest: see there.
WHISPER = Linear()

#: The window of the peers that need one, and the worker's own default: seconds.
WINDOW = 0.1

#: Ray Serve's default `batch_wait_timeout_s`.
RAY_DEFAULT = 0.01

SEGUE, SEGUE_WINDOW = "Segue, min 1", "Segue, min 2, 100 ms"
TRITON, TRITON_DELAY = "Triton, delay 0", "Triton, delay 100 ms"
FIXED, LITSERVE = "mosec, TorchServe 100 ms", "LitServe 100 ms"
BENTOML, TEI = "BentoML", "TEI"
RAY_SHORT, RAY_LONG, CELERY = "Ray Serve 10 ms", "Ray Serve 100 ms", "celery-batches 100 ms"

#: The policy that `best_online` computes for each load: no peer, but the mark.
BEST = "best without foresight"

POLICIES: Mapping[str, Callable[[], Policy]] = {
    SEGUE: lambda: Shipped(LARGEST),
    SEGUE_WINDOW: lambda: Shipped(LARGEST, smallest=2, window=WINDOW),
    TRITON: lambda: Triton(LARGEST, 0.0),
    TRITON_DELAY: lambda: Triton(LARGEST, WINDOW),
    FIXED: lambda: WindowFromDequeue(LARGEST, WINDOW),
    LITSERVE: lambda: WindowFromLoop(LARGEST, WINDOW),
    BENTOML: lambda: BentoML(LARGEST),
    TEI: lambda: OneAhead(LARGEST),
    RAY_SHORT: lambda: ray_serve(LARGEST, RAY_DEFAULT),
    RAY_LONG: lambda: ray_serve(LARGEST, WINDOW),
    CELERY: lambda: ClosedByTimer(LARGEST, WINDOW),
}
