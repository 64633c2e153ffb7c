"""What the policy is to reach, each beside what it got."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.simulation.contest import BENTOML, FIXED, RAY_LONG, RAY_SHORT, SEGUE, TEI, TRITON, TRITON_DELAY
from bench.simulation.study import BURST_GAPS, BURST_LOADS, LOADS, Study

#: Why a target is not reached: the rule for it is not built, or nobody can.
NO_GAP_RULE = "holding for the rest of a burst, learnt from its gaps, is not built"
NO_FORESIGHT = "the best policy without foresight is as far from it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to reach."""

    row: int
    """Its row in the table of targets; several lines may share one."""
    asked: str
    got: str
    is_reached: bool
    because: str = ""
    """Why not, if it is known."""


def targets(found: Study) -> Sequence[Target]:
    """Rows 1 to 7, with `min_batch_size` 1 and no window."""
    return [
        *_near_the_best(found),
        *_against_windows(found),
        *_against_triton(found),
        *_against_bentoml(found),
        *_against_early_binding(found),
        *_bursts(found),
    ]


def _near_the_best(found: Study) -> Iterator[Target]:
    online = [distance.online for by_load in found.distances.values() for distance in by_load.values()]
    yield _at_most(1, "mean, over the best without foresight, any load and cost", online, 1.02)
    because = NO_FORESIGHT if max(online) <= 1.02 else ""
    small = [distance.clairvoyant for ratio in ("1", "4.7") for distance in found.distances[ratio].values()]
    yield _at_most(1, "mean, over the clairvoyant, call/item up to 5", small, 1.10, because)
    large = [distance.clairvoyant for distance in found.distances["16"].values()]
    yield _at_most(1, "mean, over the clairvoyant, call/item 16", large, 1.15, because)


def _against_windows(found: Study) -> Iterator[Target]:
    yield _at_most(2, "mean, over a fixed 100 ms window, load to 0.7", _over(found, FIXED, LOADS[:5]), 0.65)
    yield _at_most(2, "mean, over a fixed 100 ms window, load 0.9", _over(found, FIXED, [0.9]), 0.80)


def _against_triton(found: Study) -> Iterator[Target]:
    yield _at_most(3, "mean, over Triton with 100 ms, load 0.05", _over(found, TRITON_DELAY, [0.05]), 0.60)
    yield _at_most(3, "mean, over Triton with 100 ms, load 0.3", _over(found, TRITON_DELAY, [0.3]), 0.85)
    yield _at_most(3, "mean, over Triton with 0 ms, any load", _over(found, TRITON, LOADS), 1.01)
    short = _over_on_bursts(found, TRITON, BURST_GAPS[:2])
    yield _at_most(3, "mean, over Triton with 0 ms, bursts, gap to 2 ms", short, 0.93, NO_GAP_RULE)


def _against_bentoml(found: Study) -> Iterator[Target]:
    yield _at_most(4, "mean, over BentoML, any load", _over(found, BENTOML, LOADS), 1.01)
    yield _at_most(4, "mean, over BentoML, bursts", _over_on_bursts(found, BENTOML), 1.01, NO_GAP_RULE)
    quiet = found.after_congestion[SEGUE] / found.after_congestion[BENTOML]
    yield _at_most(4, "mean after congestion, over BentoML", [quiet], 0.40)
    errors = [error.ours for error in found.estimates.values()]
    yield _at_most(4, "error of the latency model, any of five scenarios", errors, 0.05)


def _against_early_binding(found: Study) -> Iterator[Target]:
    yield _at_most(5, "mean, over TEI, load 0.2", _over(found, TEI, [0.2]), 0.80)
    yield _at_most(5, "mean, over TEI, load 0.3 to 0.9", _over(found, TEI, LOADS[2:6]), 0.70)
    stable = [found.poisson[SEGUE][0.95], found.poisson[RAY_SHORT][0.3], found.poisson[RAY_LONG][0.7]]
    yield Target(
        row=6,
        asked="stable at 0.95, where Ray Serve is not at 0.3 (10 ms) and 0.7 (100 ms)",
        got=", ".join("stable" if one.stable else "not" for one in stable),
        is_reached=[one.stable for one in stable] == [True, False, False],
    )


def _bursts(found: Study) -> Iterator[Target]:
    over = [ratio for by_gap in found.burst_distances.values() for ratio in by_gap.values()]
    yield _at_most(7, "mean, over the clairvoyant, bursts, load to 0.2", over, 1.07, NO_GAP_RULE)


def _over(found: Study, peer: str, loads: Iterable[float]) -> list[float]:
    return [found.poisson[SEGUE][load].mean / found.poisson[peer][load].mean for load in loads]


def _over_on_bursts(found: Study, peer: str, gaps: Iterable[float] = BURST_GAPS) -> list[float]:
    at = [found.bursts[load] for load in BURST_LOADS]
    return [table[SEGUE][gap].mean / table[peer][gap].mean for table in at for gap in gaps]


def _at_most(row: int, what: str, values: Sequence[float], limit: float, because: str = "") -> Target:
    worst = max(values)
    reached = worst <= limit
    return Target(
        row=row,
        asked=f"{what}: ≤ {limit:g}",
        got=f"{worst:.4f}" if len(values) == 1 else f"{min(values):.4f} to {worst:.4f}",
        is_reached=reached,
        because="" if reached else because,
    )
