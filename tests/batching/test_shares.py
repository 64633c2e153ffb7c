"""Tenants get their shares, whatever they send."""

from batching.item import Item
from batching.shares import Shares


def items(tenant: str, count: int, cost: float = 1.0) -> list[Item]:
    return [Item(id=(tenant, n), key="k", enqueued_at=0.0, cost=cost, tenant=tenant) for n in range(count)]


def served(shares: Shares, waiting: list[Item], batches: int, size: int = 4) -> list[Item]:
    """What runs in so many batches when everybody's items wait all the time."""
    ran: list[Item] = []
    for _ in range(batches):
        turns = dict(zip(waiting, shares.turns(waiting), strict=True))
        batch = sorted(waiting, key=lambda item: turns[item])[:size]
        shares.charge(batch, {item.tenant for item in waiting})
        ran += batch
    return ran


def count_of(ran: list[Item], tenant: str) -> int:
    return sum(item.tenant == tenant for item in ran)


def test_equal_weights_equal_shares() -> None:
    """A hundred waiting items of one tenant get no more than ten of another."""
    ran = served(Shares({}), items("flood", 100) + items("few", 10), batches=10)
    assert (count_of(ran, "flood"), count_of(ran, "few")) == (20, 20)


def test_weights_divide_the_engine() -> None:
    """Three to one, and one to whoever is not named."""
    ran = served(Shares({"a": 3.0}), items("a", 50) + items("b", 50), batches=20)
    assert (count_of(ran, "a"), count_of(ran, "b")) == (60, 20)


def test_weights_hold_for_single_items_too() -> None:
    """In batches of one a heavy tenant goes more often, not always."""
    ran = served(Shares({"a": 3.0}), items("a", 50) + items("b", 50), batches=40, size=1)
    assert (count_of(ran, "a"), count_of(ran, "b")) == (30, 10)


def test_long_audio_counts_for_more() -> None:
    """Shares are of seconds of audio: four times as long, a quarter as many."""
    ran = served(Shares({}), items("long", 50, cost=4.0) + items("short", 50, cost=1.0), batches=20, size=5)
    assert (count_of(ran, "long"), count_of(ran, "short")) == (20, 80)


def test_absent_tenant_saves_no_turns() -> None:
    """Whoever comes back after a long time shares from then on, and does not run alone first."""
    shares = Shares({})
    served(shares, items("a", 50) + items("b", 50), batches=100)
    ran = served(shares, items("a", 50) + items("b", 50) + items("new", 50), batches=30)
    assert [count_of(ran, tenant) for tenant in ("a", "b", "new")] == [40, 40, 40]
