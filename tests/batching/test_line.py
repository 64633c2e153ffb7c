"""A line is what a list sorted by length would be, whatever comes and goes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batching.item import Item
from batching.line import Line
from batching.shares import Shares


@dataclass
class Plain:
    """The same in as few words as there are."""

    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        self.items = sorted([*self.items, item], key=lambda one: one.cost)

    def pop(self, places: list[int]) -> tuple[Item, ...]:
        taken = tuple(self.items[place] for place in places)
        self.items = [item for item in self.items if item not in taken]
        return taken


items = st.builds(
    Item,
    id=st.just(0),
    key=st.just("k"),
    rank=st.integers(0, 2),
    enqueued_at=st.integers(0, 9).map(float),
    cost=st.integers(1, 5).map(float),
    deadline_at=st.none() | st.integers(10, 19).map(float),
    tenant=st.sampled_from("xy"),
)


@settings(max_examples=60)
@given(data=st.data(), rounds=st.lists(st.lists(items, min_size=1, max_size=30), min_size=1, max_size=5))
def test_line_is_a_list_sorted_by_length(data: st.DataObject, rounds: list[list[Item]]) -> None:
    """Whatever is added and taken, neighbours or not: the items, their columns and the least of each."""
    line, plain, number = Line(Shares({})), Plain(), 0
    for coming in rounds:
        for item in coming:
            number += 1
            one = replace(item, id=number)
            line.add(one, number)
            plain.add(one)
        places = data.draw(st.lists(st.integers(0, len(line) - 1), min_size=1, unique=True))
        if data.draw(st.booleans()):
            places = list(range(min(places), max(places) + 1))
        assert line.pop(np.array(places)) == plain.pop(places)
        assert_same(line, plain)


def assert_same(line: Line, plain: Plain) -> None:
    """Every column, the least of it, and whether there are several tenants."""
    assert line.items == plain.items
    assert line.lengths.tolist() == [item.cost for item in plain.items]
    assert line.enqueued_at.tolist() == [item.enqueued_at for item in plain.items]
    assert line.ranks.tolist() == [item.rank for item in plain.items]
    deadlines = [inf if item.deadline_at is None else item.deadline_at for item in plain.items]
    assert line.deadlines.tolist() == deadlines
    assert line.oldest_at == min((item.enqueued_at for item in plain.items), default=inf)
    assert line.first_rank == min((item.rank for item in plain.items), default=inf)
    assert line.first_deadline == min(deadlines, default=inf)
    assert line.has_tenants == (len({item.tenant for item in plain.items}) > 1)


def test_tenants_who_left_count_no_more() -> None:
    """A line that was emptied and has another tenant's items now has one tenant."""
    line, plain = Line(Shares({})), Plain()
    for number, tenant in enumerate("xy"):
        item = Item(id=number, key="k", enqueued_at=0.0, tenant=tenant)
        line.add(item, number)
        plain.add(item)
        assert_same(line, plain)
        assert line.pop(np.array([0])) == plain.pop([0])
