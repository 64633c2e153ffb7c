"""Engines as an operator might write them, named ``tests.workers.own_engines:…`` in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.errors import OutOfMemory
from protocol.options import Options
from protocol.request import Medium
from workers.engine.base import Again, Asked, Engine, Heard, Outcome, Row, Samples
from workers.engine.fake import FakeEngine

#: What went on, for whoever asks.
told: list[str] = []


class Plain(FakeEngine):
    """Made as the settings have it, and no more."""

    def __init__(self, model: str, **how: Any) -> None:
        super().__init__(model)
        told.append(f"made with {how}")


class Least(Engine):
    """Has only what must be there; says how many rows shared a call."""

    def __init__(self, model: str, **_: Any) -> None:
        self.model = model

    def load(self) -> None:
        """Nothing to load."""

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """How many rows there are, and how long each is."""
        return [Heard(text=f"{len(rows)} rows", data={"seconds": row.seconds}) for row in rows]


class Speaker(Least):
    """Takes text, and says it aloud; how long, in zeros."""

    takes: Sequence[Medium] = ("text",)

    def prepare(self, samples: Samples, options: Options) -> Row:
        """Nobody asks for it."""
        told.append("prepared audio")
        return super().prepare(samples, options)

    def prepare_text(self, text: str, options: Options) -> Row:
        """May fail for a row, or give another's."""
        if options.hotwords == "unprepared":
            raise ValueError("not this one")
        if options.hotwords == "another row":
            return Row(text=text + " ", options=options)
        return Row(text=text, options=options, features=text.upper())

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """As loud as it was prepared."""
        return [Heard(text=row.features, audio=bytes(len(row.text or ""))) for row in rows]


class Bare:
    """Inherits nothing, and has what an engine had before there were texts."""

    def __init__(self, model: str, **_: Any) -> None:
        self.model = model

    def load(self) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to unload."""

    def prepare(self, samples: Samples, options: Options) -> Row:
        """As it is."""
        return Row(samples=samples, options=options)

    def prepare_all(self, asked: Sequence[tuple[Samples, Options]]) -> list[Row]:
        """One by one."""
        return [self.prepare(*one) for one in asked]

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """How long each is."""
        return [Heard(text=f"{row.seconds:g}") for row in rows]


class Unsaid(Least):
    """Does not say what it takes."""

    takes = "text"  # type: ignore[assignment]


class Clumsy(Least):
    """Makes the mistake that its model is called."""

    def load(self) -> None:
        """May fail."""
        if self.model == "too large":
            raise OutOfMemory("too large for this device")
        if self.model == "unloadable":
            raise RuntimeError("cannot read /home/somebody/weights.bin")

    def unload(self) -> None:
        """May fail."""
        told.append("unloading")
        if self.model == "stays":
            raise RuntimeError("in use")

    def prepare(self, samples: Samples, options: Options) -> Row:
        """May fail for a row, or give none."""
        if options.hotwords == "unprepared":
            raise ValueError("not this one")
        if options.hotwords == "another row":
            return Row(samples=samples.copy(), options=options)
        return None if options.hotwords == "no row" else super().prepare(samples, options)  # type: ignore[return-value]

    def prepare_all(self, asked: Sequence[Asked]) -> list[Row]:
        """May lose one, mix them up, or forget to return."""
        rows = super().prepare_all(asked)
        if self.model == "forgets":
            return None  # type: ignore[return-value]
        kept = rows[1:] if self.model == "loses rows" else rows
        return kept[::-1] if self.model == "mixes rows up" else kept

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """May give too few, or what nobody asked for."""
        outcomes = super().run(rows)
        if self.model == "loses outcomes":
            return outcomes[1:]
        if self.model == "asks again":
            return [Again(temperature=0.2, progress={}) for _ in rows]
        return outcomes


NO_CLASS = "a text"
