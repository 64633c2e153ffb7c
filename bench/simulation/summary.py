"""What a simulation says about a policy, in few figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.simulation.simulator import Run

#: The share of the items at the start that is left out: the queue is still empty then.
WARM_UP = 0.1

#: A run is unstable if more than this share of its items had not ended when the last was enqueued: the queue
#: grew all the time. At a load of 0.95 a stable policy leaves some thirty, so 5 000 items tell the two apart.
LEFT_BEHIND = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Latencies in seconds, from enqueued to the end of the batch."""

    mean: float
    p50: float
    p99: float
    batch_size: float
    """Items in a batch, on average over the batches."""
    busy: float
    """Share of the time for which the engine ran."""
    stable: bool
    """False if the queue grew for as long as items came: the latencies then say only how long that was."""


def summary_of(runs: Sequence[Run]) -> Summary:
    """One policy at one load, over runs with different seeds."""
    latencies = np.concatenate([run.latencies[int(WARM_UP * len(run.latencies)) :] for run in runs])
    p50, p99 = np.quantile(latencies, [0.5, 0.99]).tolist()
    return Summary(
        mean=float(latencies.mean()),
        p50=p50,
        p99=p99,
        batch_size=sum(sum(run.sizes) for run in runs) / sum(len(run.sizes) for run in runs),
        busy=sum(run.busy for run in runs) / sum(float(run.ended_at.max()) for run in runs),
        stable=all(run.unfinished <= LEFT_BEHIND * len(run.latencies) for run in runs),
    )
