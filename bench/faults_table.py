"""What became of a storm, for reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from bench.aims import Aim, aims
from bench.faults import Ledger, Recovery
from bench.storm import Plan

#: Violations that are shown; the file of the history has whatever else is needed to understand them.
SHOWN = 20


def tables_of(plan: Plan, ledger: Ledger) -> Iterator[RenderableType]:
    """Everything worth showing, top to bottom."""
    yield (
        f"{plan.requests} requests at {plan.rate:g} a second, {plan.workers} workers, seed {plan.seed}:"
        f" {ledger.seconds:.0f} s"
    )
    yield outcomes_table(ledger)
    yield waits_table(ledger)
    yield strikes_table(ledger)
    yield aims_table(aims(plan, ledger))
    if ledger.violations:
        yield violations_table(ledger)
    yield "Every promise was kept." if ledger.is_clean else "Promises were broken."


def outcomes_table(ledger: Ledger) -> Table:
    """What became of the requests."""
    table = _table("Requests")
    for name in ("submitted", "accepted", "succeeded", "failed", "gave_up", "cancelled", "expired"):
        table.add_row(name.replace("_", " "), str(getattr(ledger, name)))
    table.add_section()
    for name in ("lost", "doubled", "wrong", "executions", "recomputed", "worker_exits"):
        table.add_row(name.replace("_", " "), str(getattr(ledger, name)))
    return table


def waits_table(ledger: Ledger) -> Table:
    """How long it took from a submit to its transcript."""
    table = Table(title_justify="left")
    for heading in ("From submit to transcript", "p50 s", "p99 s", "p100 s"):
        table.add_column(heading, justify="right" if heading.startswith("p") else "left")
    for name, waits in (("all", ledger.waits), ("those that ran again", ledger.waits_again)):
        if waits:
            table.add_row(name, f"{waits.p50:.2f}", f"{waits.p99:.2f}", f"{waits.p100:.2f}")
    return table


def strikes_table(ledger: Ledger) -> Table:
    """What struck how often, how often it hit a running batch, and how long that took to be made good."""
    once = ("alone: released", "runs again", "done")
    table = _table("Strikes", "hits", "done p50 s", "p100 s", *(f"{name} p100 s" for name in once))
    for kind, number in sorted(ledger.strikes.items()):
        recovery = ledger.recovery.get(kind)
        table.add_row(kind, str(number), *(_figures(recovery) if recovery else ["0"]))
    return table


def aims_table(rows: Sequence[Aim]) -> Table:
    """What was aimed at, and whether it was reached."""
    table = Table(title_justify="left")
    for heading in ("Aims", "at most", "found", ""):
        table.add_column(heading, justify="right" if heading in ("at most", "found") else "left")
    for row in rows:
        verdict = "reached" if row.is_reached else "missed"
        table.add_row(row.what, f"{row.most:g}", f"{row.found:g}", verdict)
    return table


def _figures(recovery: Recovery) -> list[str]:
    once = (recovery.released_p100_once, recovery.again_p100_once, recovery.p100_once)
    shown = ["" if seconds is None else f"{seconds:.2f}" for seconds in once]
    return [str(recovery.hits), f"{recovery.p50:.2f}", f"{recovery.p100:.2f}", *shown]


def violations_table(ledger: Ledger) -> Table:
    """The first promises that were broken, and for whom."""
    table = Table(title=f"Violations: {len(ledger.violations)}", title_justify="left")
    for heading in ("rule", "request", "how"):
        table.add_column(heading, overflow="fold")
    for one in ledger.violations[:SHOWN]:
        table.add_row(one.rule, one.request_id, one.how)
    return table


def _table(title: str, *more: str) -> Table:
    table = Table(title_justify="left")
    table.add_column(title)
    for heading in ("number", *more):
        table.add_column(heading, justify="right")
    return table
