"""What the studies add to the simulator: several engines, decoding, tenants, deadlines, and the clock."""

import numpy as np
import pytest

from batching.item import Item
from bench.simulation.arrivals import as_items, poisson
from bench.simulation.contest import LARGEST
from bench.simulation.cost import InWaves, Linear, Serial
from bench.simulation.deciding import deciding
from bench.simulation.peers.deadlines import TritonReject
from bench.simulation.policy import Shipped
from bench.simulation.several import Engines, Pulling
from bench.simulation.simulator import BrokenPolicy, Run, simulate
from bench.simulation.studies import deadlines, overlap, tenants, urgent

#: An engine on which every batch takes a second.
SECOND = Linear(base=1.0, each=0.0)

PULLINGS = [Pulling(), Pulling(shares=True), Pulling(ahead=4), Pulling(ahead=64, one_first=True)]


def several(count: int, pulling: Pulling, *times: float, largest: int = 4) -> Run:
    engines = Engines(count, lambda: Shipped(largest, window=0.0), SECOND, pulling, largest)
    return engines.simulate(as_items(np.array(times)))


@pytest.mark.parametrize("pulling", PULLINGS)
@pytest.mark.parametrize("count", [1, 3])
def test_every_item_runs_once_on_some_engine(count: int, pulling: Pulling) -> None:
    """However messages are claimed, none is lost, none runs twice, and no batch is too large."""
    times = poisson(count * 3.0, 300, 1)
    run = several(count, pulling, *times)
    assert sum(run.sizes) == len(times)
    assert max(run.sizes) <= 4
    assert (run.latencies >= 1.0 - 1e-9).all()


@pytest.mark.parametrize("pulling", PULLINGS)
def test_one_engine_is_the_simulator(pulling: Pulling) -> None:
    """With a single worker it does not matter how it claims: it is as if there were no others."""
    times = poisson(5.0, 300, 2)
    alone = simulate(Shipped(4, window=0.0), as_items(times), SECOND)
    assert np.allclose(several(1, pulling, *times).ended_at, alone.ended_at)


def test_idle_engines_share_what_waits() -> None:
    """Of two that come while all are busy, each engine that is freed then takes one, unless it takes all."""
    busy = [0.0, 0.0]
    assert sorted(several(2, Pulling(shares=True), *busy, 0.5, 0.5).sizes) == [1, 1, 1, 1]
    assert sorted(several(2, Pulling(), 0.0, 0.1, 0.5, 0.5).sizes) == [1, 1, 2]


def test_messages_held_ahead_wait_for_their_holder() -> None:
    """What a busy worker holds does not run on an engine that is idle."""
    ahead = several(2, Pulling(ahead=1), 0.0, 0.1, 1.05, 1.06, 1.07)
    demand = several(2, Pulling(), 0.0, 0.1, 1.05, 1.06, 1.07)
    assert ahead.ended_at.max() >= demand.ended_at.max()


def test_buffers_fill_evenly_unless_one_comes_first() -> None:
    """Redis serves who has waited longest, so two run side by side; a first buffer takes both."""
    assert several(2, Pulling(ahead=4), 0.0, 0.1).ended_at.tolist() == pytest.approx([1.0, 1.1])
    one_first = several(2, Pulling(ahead=4, one_first=True), 0.0, 0.1)
    assert one_first.ended_at.tolist() == pytest.approx([1.0, 2.0])


def test_decoding_is_first_come_first_served_on_its_threads() -> None:
    """Four are decoded at once; the fifth waits for the first."""
    done = overlap.decoded_at(np.array([0.0, 0.0, 0.0, 0.0, 0.001]))
    assert done.tolist() == pytest.approx([0.03, 0.03, 0.03, 0.03, 0.06])


def test_item_runs_when_it_is_ready() -> None:
    """Its latency counts from when it was enqueued, though the policy hears of it later."""
    run = simulate(Shipped(4), as_items(np.array([1.0])), SECOND, ready_at=np.array([1.5]))
    assert run.latencies.tolist() == pytest.approx([1.5])


def test_handler_that_decodes_keeps_the_engine_waiting() -> None:
    """Five items on four threads are two waves before the engine call."""
    cost = Serial(before=InWaves(each=0.1, threads=4), engine=SECOND)
    assert cost.seconds(as_items(np.zeros(5))) == pytest.approx(1.2)


def test_decoding_ahead_is_better_than_whole_batches() -> None:
    """Members that are bound late make fuller batches (target 12)."""
    pool, stages = (overlap.run(way, 0.6, 2000, 1) for way in (overlap.POOL, overlap.STAGES))
    assert pool.latencies.mean() <= 0.75 * stages.latencies.mean()


class Forgetful(TritonReject):
    """Says of nothing that it gave it up."""

    def take(self, now: float, /) -> tuple[Item, ...]:
        members = super().take(now)
        self.shed.clear()
        return members


def test_item_that_is_lost_is_not_shed() -> None:
    """Only what a policy admits to have given up may never run."""
    policy = Forgetful(1)
    with pytest.raises(BrokenPolicy, match="1 never ran"):
        simulate(policy, _late(), SECOND, shed=policy.shed)


def _late() -> list[Item]:
    return [
        Item(id=number, key="one", enqueued_at=at, deadline_at=by)
        for number, (at, by) in enumerate([(0.0, 5.0), (0.1, 0.5)])
    ]


def test_goodput_is_what_ended_in_time() -> None:
    """At a load far below the capacity all is; shed items and late ones are not."""
    calm = deadlines.hurried((0.5,), 0.1, 500, 1)
    assert deadlines.served(deadlines.POLICIES[deadlines.FIFO]((0.5,)), calm).in_time == 1.0
    flood = deadlines.hurried((0.5,), 2.0, 500, 1)
    rejects = deadlines.served(deadlines.POLICIES[deadlines.REJECT]((0.5,)), flood)
    assert rejects.in_time + rejects.shed < 1.0


def test_shipped_batcher_serves_more_in_time_than_first_come_first_served() -> None:
    """With deadlines at a load of 1.1, and though it runs what is late, too."""
    crowd = deadlines.hurried(deadlines.OBJECTIVES[deadlines.MIXED], 1.1, 1500, 1)
    ours, fifo = (
        deadlines.served(deadlines.POLICIES[name]((0.4, 3.0)), crowd)
        for name in (deadlines.SEGUE, deadlines.FIFO)
    )
    assert ours.shed == 0.0
    assert ours.in_time > 1.3 * fifo.in_time


def test_one_in_ten_is_urgent() -> None:
    """As many as asked, and the classes of a study are split by just that."""
    items = urgent.mixed(0.5, 4000, 1)
    assert np.mean([item.is_urgent for item in items]) == pytest.approx(0.1, abs=0.02)
    classes = urgent.study(300, (1,))[urgent.SEGUE][0.5]
    assert classes.urgent.mean != classes.background.mean


@pytest.mark.parametrize(
    ("demands", "shares"),
    [([1.1, 0.1, 0.1], [0.8, 0.1, 0.1]), ([0.2, 0.3], [0.2, 0.3]), ([1.0, 1.0], [0.5, 0.5])],
)
def test_max_min_fair_shares(demands: list[float], shares: list[float]) -> None:
    """Who asks for less than an equal part gets it, and the rest is shared alike."""
    assert tenants.fair_shares(np.array(demands)).tolist() == pytest.approx(shares)


def test_jain_index() -> None:
    """1 if all have the same, 1/n if one has everything."""
    assert tenants.jain(np.array([2.0, 2.0, 2.0])) == pytest.approx(1.0)
    assert tenants.jain(np.array([5.0, 0.0, 0.0, 0.0])) == pytest.approx(0.25)


def test_modest_tenants_do_not_wait_for_a_greedy_one() -> None:
    """Beyond the capacity the modest are served as if the greedy kept to its share."""
    found = tenants.study(1500, (1,))
    assert found[tenants.SEGUE][1.1].jain > 0.99
    assert found[tenants.SEGUE][1.1].modest_p99 < found[tenants.FIFO][1.1].modest_p99 / 4


def test_deciding_is_timed() -> None:
    """Decisions take some time, and the slowest at least as long as half of them."""
    timed = deciding(20)
    assert 0 < timed.p50 <= timed.p99
    assert timed.items_per_second > LARGEST
