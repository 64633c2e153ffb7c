"""What is prepared ahead of its batch is used for the very request it was made for, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from protocol.options import Options
from workers.engine.base import Row
from workers.prepared import FETCHED_TOGETHER, Order, Prepared

#: How long another thread may take, in seconds; only a failure waits that long.
PATIENCE = 20.0


#: How preparing may end, by the name that a request asks for it with.
BROKEN: dict[str, BaseException] = {"error": RuntimeError("scripted"), "exit": SystemExit("scripted")}


class Kitchen:
    """Makes rows when it is let to, and remembers for whom."""

    def __init__(self) -> None:
        self.may_go = threading.Semaphore(0)
        self.begun: list[str] = []
        self._changed = threading.Condition()

    def prepare(
        self, orders: Sequence[Order], begin: Callable[[Order], bool], end: Callable[[Order, Row], None]
    ) -> None:
        for order in orders:
            if not begin(order):
                continue
            with self._changed:
                self.begun.append(order[0])
                self._changed.notify_all()
            assert self.may_go.acquire(timeout=PATIENCE)
            if "breaks" in order[1]:
                raise BROKEN[order[1]["breaks"]]
            end(order, row_of(order))

    def wait_for(self, *begun: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun == list(begun), PATIENCE), self.begun

    def let(self, count: int) -> None:
        self.may_go.release(count)


def row_of(order: Order) -> Row:
    return Row(samples=np.full(int(order[1].get("samples", 1)), ord(order[0]), np.float32), options=Options())


def order(name: str, **kwargs: object) -> Order:
    return name, kwargs


def orders(names: str) -> list[Order]:
    return [order(name) for name in names]


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


@pytest.fixture
def prepared(kitchen: Kitchen) -> Prepared:
    made = Prepared(kitchen.prepare)
    made.start()
    return made


def taken(prepared: Prepared, batch: Sequence[Order]) -> str:
    """Of whom a batch finds rows: bound by the thread that reads, taken by the one that runs."""
    prepared.bind(batch)
    return names(prepared.take(batch))


def names(rows: Sequence[Row | None]) -> str:
    """A dot for each that was not ready."""
    return "".join("." if row is None else chr(int(row.samples[0])) for row in rows)


def test_a_batch_takes_what_is_ready(kitchen: Kitchen, prepared: Prepared) -> None:
    """Rows are made in the order of the list; a batch gets those that are ready, and no others."""
    prepared.expect(orders("abcd"))
    kitchen.let(2)
    kitchen.wait_for("a", "b", "c")
    assert taken(prepared, orders("bax")) == "ba."
    assert taken(prepared, orders("ab")) == ".."


def test_a_batch_waits_for_what_is_being_made(kitchen: Kitchen, prepared: Prepared) -> None:
    """A row that is half done is not made a second time; what has not been begun is left to the batch."""
    prepared.expect(orders("ab"))
    kitchen.wait_for("a")
    prepared.bind(orders("ab"))
    found: list[str] = []
    batch = threading.Thread(target=lambda: found.append(names(prepared.take(orders("ab")))))
    batch.start()
    kitchen.let(1)
    batch.join(PATIENCE)
    assert found == ["a."]
    assert kitchen.begun == ["a"]


def test_another_request_of_the_same_id_gets_nothing(kitchen: Kitchen, prepared: Prepared) -> None:
    """All of its arguments must be equal: the same id may stand for other audio, even in one batch."""
    prepared.expect([order("a", submitted_at=1.0), order("b")])
    kitchen.let(1)
    kitchen.wait_for("a", "b")
    assert taken(prepared, [order("a", submitted_at=1.0), order("a", submitted_at=2.0)]) == "a."
    prepared.expect([order("a", submitted_at=1.0), order("b")])
    kitchen.let(2)
    kitchen.wait_for("a", "b", "a")
    assert taken(prepared, [order("a", submitted_at=2.0)]) == "."


def test_what_is_expected_no_more_is_forgotten(kitchen: Kitchen, prepared: Prepared) -> None:
    """Each list takes the place of the one before: what was cancelled or runs elsewhere leaves no row."""
    prepared.expect(orders("abc"))
    kitchen.let(2)
    kitchen.wait_for("a", "b", "c")
    prepared.expect(orders("bd"))
    kitchen.let(1)
    kitchen.wait_for("a", "b", "c", "d")
    assert taken(prepared, orders("abc")) == ".b."


def test_what_is_bound_is_not_forgotten(kitchen: Kitchen, prepared: Prepared) -> None:
    """The next list may come before the batch has taken its rows, and names its members no more."""
    prepared.expect(orders("abc"))
    kitchen.let(1)
    kitchen.wait_for("a", "b")
    prepared.bind(orders("ab"))
    prepared.expect(orders("c"))
    kitchen.let(1)
    kitchen.wait_for("a", "b", "c")
    assert names(prepared.take(orders("ab"))) == "ab"


@pytest.mark.parametrize("how", BROKEN)
def test_what_breaks_is_left_to_its_batch(kitchen: Kitchen, prepared: Prepared, how: str) -> None:
    """The thread goes on with the next list; the batch prepares the broken one itself and meets its error."""
    prepared.expect([order("a", breaks=how), *orders("b")])
    kitchen.let(2)
    kitchen.wait_for("a")
    assert taken(prepared, [order("a", breaks=how)]) == "."
    prepared.expect(orders("b"))
    prepared.expect(orders("bc"))
    kitchen.let(1)
    kitchen.wait_for("a", "b", "c")
    assert taken(prepared, orders("b")) == "b"


def test_rows_take_a_bounded_amount_of_memory(kitchen: Kitchen) -> None:
    """When as much is ready as may be, no more is made until some of it is taken."""
    prepared = Prepared(kitchen.prepare, most_bytes=4 * 1_000)
    prepared.start()
    expected = "abcdefghij"
    prepared.expect([order(name, samples=250) for name in expected])
    kitchen.let(len(expected))
    kitchen.wait_for(*expected[:FETCHED_TOGETHER])
    assert taken(prepared, [order(name, samples=250) for name in "ab"]) == "ab"
    kitchen.wait_for(*expected[: 2 * FETCHED_TOGETHER])
