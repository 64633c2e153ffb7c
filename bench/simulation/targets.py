"""What the policy is to reach, each beside what it got."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.simulation.contest import BENTOML, FIXED, RAY_LONG, RAY_SHORT, SEGUE, TEI, TRITON, TRITON_DELAY
from bench.simulation.studies import deadlines, engines, lengths, overlap, urgent
from bench.simulation.studies.equal import BURST_GAPS, BURST_LOADS, LOADS
from bench.simulation.study import Study

#: Why a target is not reached.
NO_FORESIGHT = "the best policy without foresight is as far from it"
EVEN_BUFFERS = "Redis serves the worker that has waited longest, so buffers fill evenly; if one did first: "


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
    """Rows 1 to 13; with a minimum of 1, so that nothing is held but what is learnt to pay."""
    return [
        *_near_the_best(found),
        *_against_windows(found),
        *_against_triton(found),
        *_against_bentoml(found),
        *_against_early_binding(found),
        *_bursts(found),
        *_lengths(found),
        *_deadlines(found),
        *_urgent(found),
        *_engines(found),
        *_overlap(found),
        *_deciding(found),
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
    yield _at_most(3, "mean, over Triton with 0 ms, bursts, gap to 2 ms", short, 0.93)


def _against_bentoml(found: Study) -> Iterator[Target]:
    yield _at_most(4, "mean, over BentoML, any load", _over(found, BENTOML, LOADS), 1.01)
    yield _at_most(4, "mean, over BentoML, bursts", _over_on_bursts(found, BENTOML), 1.01)
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
    yield _at_most(7, "mean, over the clairvoyant, bursts, load to 0.2", over, 1.07)


def _lengths(found: Study) -> Iterator[Target]:
    """With what a worker sees as it is shipped: two batches."""
    table, seen = found.lengths, lengths.TWO_SEEN

    def over(peer: str, load: float, figure: str = "mean") -> list[float]:
        return [getattr(table[seen][load], figure) / getattr(table[peer][load], figure)]

    yield _at_most(8, "lengths: mean, over FIFO, load 0.8", over(TRITON, 0.8), 0.85)
    yield _at_most(8, "lengths: p99, over FIFO, load 0.8", over(TRITON, 0.8, "p99"), 1.01)
    yield _at_most(8, "lengths: mean, over FIFO, load 0.95", over(TRITON, 0.95), 0.55)
    sort = over(lengths.INFINITY_SORT, 0.95)
    yield _at_most(8, "lengths: mean, over infinity's sort, load 0.95", sort, 0.80)
    stable = table[seen][1.3].stable
    yield Target(
        row=8,
        asked="lengths: stable at 1.3 of FIFO's capacity",
        got="stable" if stable else "not",
        is_reached=stable,
    )


def _deadlines(found: Study) -> Iterator[Target]:
    mixed = found.deadlines[deadlines.MIXED]
    peers = (deadlines.CORK_SHORT, deadlines.CORK_LONG, deadlines.REJECT)
    for load, limit in ((0.95, 0.85), (1.1, 0.75)):
        best = max(mixed[peer][load].in_time for peer in peers)
        what = f"in time, 0.4 s or 3 s, load {load:g} (BentoML and Triton {best:.2f} at best)"
        yield _at_least(9, what, [mixed[deadlines.SEGUE][load].in_time], limit)


def _urgent(found: Study) -> Iterator[Target]:
    ours, strict = found.urgent[urgent.SEGUE], found.urgent[urgent.STRICT]
    over = [ours[load].urgent.p99 / strict[load].urgent.p99 for load in urgent.LOADS]
    yield _at_most(10, "urgent p99, over Triton's strict levels, load 0.5 to 0.9", over, 0.90)
    stable = [load for load in urgent.LOADS if ours[load].background.stable]
    yield Target(
        row=10,
        asked="urgent: background stable, load 0.5 to 0.9",
        got=f"at {len(stable)} of {len(urgent.LOADS)} loads",
        is_reached=len(stable) == len(urgent.LOADS),
    )


def _engines(found: Study) -> Iterator[Target]:
    eight = found.engines[8]
    share, all_of_it, ahead = (
        eight[name] for name in (engines.SHARE, engines.TAKE_ALL, engines.PREFETCH_DEFAULT)
    )
    over = [share[load].p99 / all_of_it[load].p99 for load in (0.2, 0.5)]
    yield _at_most(11, "8 engines: p99, over taking all, load 0.2 to 0.5", over, 0.80)
    over = [share[0.7].mean / ahead[0.7].mean]
    because = f"{EVEN_BUFFERS}{share[0.7].mean / eight[engines.ONE_FIRST][0.7].mean:.2f}"
    yield _at_most(11, "8 engines: mean, over Celery's default prefetch, load 0.7", over, 1 / 3, because)


def _overlap(found: Study) -> Iterator[Target]:
    pool, stages = found.overlap[overlap.POOL], found.overlap[overlap.STAGES]
    over = [pool[load].mean / stages[load].mean for load in (0.6, 0.8, 0.9)]
    yield _at_most(12, "decoding ahead: mean, over a pipeline of batches, load 0.6 to 0.9", over, 0.75)


def _deciding(found: Study) -> Iterator[Target]:
    p99 = found.deciding.p99 * 1e6
    yield Target(
        row=13,
        asked="a decision, 256 waiting, batches of 64: p99 ≤ 100 µs",
        got=f"{p99:.0f} µs; {found.deciding.at_once_p99 * 1e6:.0f} µs if not chosen while the engine runs",
        is_reached=p99 <= 100,
    )
    through = found.deciding.items_per_second
    yield Target(
        row=13,
        asked="items a second through the batcher: ≥ 2000",
        got=f"{through:.0f}",
        is_reached=through >= 2000,
    )


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


def _at_least(row: int, what: str, values: Sequence[float], limit: float) -> Target:
    worst = min(values)
    return Target(row=row, asked=f"{what}: ≥ {limit:g}", got=f"{worst:.3f}", is_reached=worst >= limit)
