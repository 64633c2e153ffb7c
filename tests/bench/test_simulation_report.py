"""What `segue bench policy` shows: targets beside what was got, tables, JSON, a picture."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.policy import as_json, in_markdown, tables_of
from bench.simulation.contest import BENTOML, BEST, POLICIES, RAY_LONG, RAY_SHORT, SEGUE, TEI, TRITON
from bench.simulation.deciding import Deciding
from bench.simulation.estimation import SCENARIOS, Errors
from bench.simulation.studies import deadlines, engines, lengths, overlap, tenants, urgent
from bench.simulation.studies.deadlines import Served
from bench.simulation.studies.equal import BURST_GAPS, BURST_LOADS, COSTS, LOADS, Distance, Table
from bench.simulation.studies.tenants import Fairness
from bench.simulation.studies.urgent import Classes
from bench.simulation.study import Study
from bench.simulation.summary import Summary
from bench.simulation.targets import targets
from cli.main import app

GOOD = Summary(mean=0.1, p50=0.1, p99=0.2, batch_size=2.0, busy=0.5, stable=True)
POOR = replace(GOOD, mean=0.4, p99=0.9)
ENDLESS = replace(POOR, mean=300.0, stable=False)

ALL_GOOD = dict.fromkeys(lengths.LOADS, GOOD)
ALL_ENGINES_GOOD = dict.fromkeys(engines.LOADS, GOOD)
ALL_DECODED = dict.fromkeys(overlap.LOADS, GOOD)
LATE = dict.fromkeys(deadlines.LOADS, Served(in_time=0.7, shed=0.0))
SAME = dict.fromkeys(urgent.LOADS, Classes(urgent=GOOD, background=GOOD))


def found() -> Study:
    """A study in which all is reached."""
    by_load = {name: dict.fromkeys(LOADS, POOR) for name in POLICIES}
    by_load |= {name: dict.fromkeys(LOADS, ENDLESS) for name in (RAY_SHORT, RAY_LONG)}
    by_load |= {name: dict.fromkeys(LOADS, GOOD) for name in (SEGUE, TRITON, BEST)}
    by_gap = {name: dict.fromkeys(BURST_GAPS, POOR) for name in POLICIES}
    by_gap[SEGUE] = dict.fromkeys(BURST_GAPS, GOOD)
    foreseen = Distance(online=1.0, clairvoyant=1.05)
    return Study(
        items=5000,
        seeds=(1,),
        poisson=by_load,
        distances={ratio: dict.fromkeys(LOADS, foreseen) for ratio in COSTS},
        bursts={load: dict(by_gap) for load in BURST_LOADS},
        burst_distances={load: dict.fromkeys(BURST_GAPS, 1.05) for load in BURST_LOADS},
        lengths=_best_is(lengths.TWO_SEEN, lengths.policies(), lengths.LOADS),
        deadlines={name: _in_time() for name in deadlines.OBJECTIVES},
        urgent={
            name: dict.fromkeys(urgent.LOADS, Classes(urgent=one, background=GOOD))
            for name, one in zip(urgent.POLICIES, (GOOD, POOR, POOR), strict=True)
        },
        tenants={
            name: dict.fromkeys(tenants.LOADS, Fairness(jain=1.0, modest_mean=0.1, modest_p99=0.2))
            for name in tenants.POLICIES
        },
        engines={count: _best_is(engines.SHARE, engines.PULLINGS, engines.LOADS) for count in engines.COUNTS},
        overlap=_best_is(overlap.POOL, [overlap.POOL, overlap.STAGES, overlap.SERIAL], overlap.LOADS),
        deciding=Deciding(
            p50=0.00001, p99=0.00005, at_once_p50=0.0001, at_once_p99=0.0002, items_per_second=5000.0
        ),
        after_congestion={SEGUE: 0.1, BENTOML: 0.3},
        estimates=dict.fromkeys(SCENARIOS, Errors(ours=0.01, bentoml=0.5)),
    )


def _best_is(best: str, names: Iterable[str], loads: Iterable[float]) -> Table:
    return {name: dict.fromkeys(loads, GOOD if name == best else POOR) for name in names}


def _in_time() -> Mapping[str, Mapping[float, Served]]:
    good, poor = Served(in_time=0.9, shed=0.0), Served(in_time=0.5, shed=0.5)
    return {
        name: dict.fromkeys(deadlines.LOADS, good if name == deadlines.SEGUE else poor)
        for name in deadlines.POLICIES
    }


def missed(study: Study) -> list[int]:
    """The rows that are not reached."""
    return [target.row for target in targets(study) if not target.is_reached]


def test_all_targets_can_be_reached() -> None:
    """There is a line for each of the rows 1 to 13, and this study reaches them."""
    assert missed(found()) == []
    assert {target.row for target in targets(found())} == set(range(1, 14))


@pytest.mark.parametrize(
    ("worse", "rows"),
    [
        (replace(found(), after_congestion={SEGUE: 0.1, BENTOML: 0.2}), [4]),
        (replace(found(), estimates=dict.fromkeys(SCENARIOS, Errors(ours=0.06, bentoml=0.5))), [4]),
        (replace(found(), burst_distances={0.2: {0.002: 1.2}}), [7]),
        (
            replace(
                found(), distances={ratio: {0.5: Distance(online=1.0, clairvoyant=1.2)} for ratio in COSTS}
            ),
            [1, 1],
        ),
        (replace(found(), poisson={**found().poisson, RAY_SHORT: dict.fromkeys(LOADS, POOR)}), [6]),
        (replace(found(), poisson={**found().poisson, TEI: {**found().poisson[TEI], 0.9: GOOD}}), [5]),
        (replace(found(), lengths={**found().lengths, lengths.TWO_SEEN: {**ALL_GOOD, 1.3: ENDLESS}}), [8]),
        (replace(found(), deadlines={deadlines.MIXED: dict.fromkeys(deadlines.POLICIES, LATE)}), [9, 9]),
        (replace(found(), urgent=dict.fromkeys(urgent.POLICIES, SAME)), [10]),
        (replace(found(), engines={8: dict.fromkeys(engines.PULLINGS, ALL_ENGINES_GOOD)}), [11, 11]),
        (replace(found(), overlap=dict.fromkeys(found().overlap, ALL_DECODED)), [12]),
        (
            replace(found(), deciding=replace(found().deciding, p99=0.0002, items_per_second=1000.0)),
            [13, 13],
        ),
    ],
    ids=[
        "congestion",
        "estimator",
        "bursts",
        "clairvoyant",
        "ray",
        "tei",
        "lengths",
        "deadlines",
        "urgent",
        "engines",
        "overlap",
        "deciding",
    ],
)
def test_missed_target_says_so(worse: Study, rows: list[int]) -> None:
    """One figure that is too high misses its row and no other, however good the rest is."""
    assert missed(worse) == rows


def test_tables_show_every_policy_and_what_is_unstable() -> None:
    """On eighty columns nothing is cut; a latency that grows without end is not shown as a figure."""
    console = Console(width=80, record=True, file=StringIO())
    for part in tables_of(found()):
        console.print(part)
    shown = console.export_text()
    assert "…" not in shown
    assert "300000" not in shown
    assert all(shown.count(name) >= 3 for name in POLICIES)


def test_tables_can_go_into_a_document() -> None:
    """`--markdown` prints rows that a document shows as they are."""
    console = Console(width=200, record=True, file=StringIO())
    for part in tables_of(found(), wide=True):
        console.print(in_markdown(part))
    shown = console.export_text()
    assert "┃" not in shown
    assert re.search(rf"\| {SEGUE} +\| 100 / \d+ / \d+ \|", shown)


def test_json_holds_everything() -> None:
    """One object, with the targets, that JSON can carry."""
    whole = json.loads(json.dumps(as_json(found())))
    assert whole["poisson"][SEGUE]["0.05"]["mean"] == GOOD.mean
    assert len(whole["targets"]) == len(targets(found()))


def test_picture_is_drawn(tmp_path: Path) -> None:
    """`--plot` writes a PNG; a policy that is stable nowhere has no line."""
    pytest.importorskip("matplotlib")
    from bench.simulation.picture import draw

    draw(found(), tmp_path / "policy.png")
    assert (tmp_path / "policy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("words", [["--items", "10"], ["--plot", "nowhere/policy.png"]])
def test_what_cannot_be_shown_is_refused_first(words: list[str]) -> None:
    """Too few items to tell a growing queue, or a picture that cannot be written: no minutes are spent."""
    pytest.importorskip("matplotlib")
    refused = CliRunner().invoke(app, ["bench", "policy", *words])
    assert refused.exit_code == 2
    assert words[0] in refused.output
