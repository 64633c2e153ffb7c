"""Promise: a bug that loses, doubles or mixes up requests shows in the history of what happened to them.

A short run of real pieces passes the checker; the same run with one bug in one piece does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from cli.local_redis import LocalRedis
from producer import Client
from protocol.errors import QueueUnreachable, RequestError
from tests.integration.scripted_pieces import Producer, Worker
from tests.integration.scripted_run import Pieces, play
from workers.transport import scripts
from workers.transport.claims import LANES, Claimed, Claims, Share
from workers.transport.settlement import Settlement


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis whose append-only file nobody else writes to."""
    with LocalRedis(tmp_path_factory.mktemp("redis")) as running:
        yield running


NO_LEASE = "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end"

#: Bugs in the scripts: script, what stands there once, what the bug makes of it, the rules that it breaks.
IN_SCRIPTS = {
    "the last result wins": (
        "settle",
        "if not stored then redis.call('SET', result, value, 'EX', seconds) end",
        "redis.call('SET', result, value, 'EX', seconds)",
        {"single truth"},
    ),
    "tells a result that is not stored": ("settle", "stored or value)", "value)", {"single truth"}),
    "settles without a lease": ("settle", NO_LEASE, "", {"innocents"}),
    "does not acknowledge": ("settle", "redis.call('HDEL', KEYS[2], ARGV[i])", "", {"at rest"}),
    "gives back all but one": (
        "give_back",
        "ipairs(messages)",
        "ipairs({unpack(messages, 2)})",
        {"conservation"},
    ),
    "keeps the record when it gives back": ("give_back", "redis.call('DEL', KEYS[2])", "", {"at rest"}),
    "a clock that is an hour slow": (
        "renew",
        "local now = redis.call('TIME')",
        "local now = {redis.call('TIME')[1] - 3600, 0}",
        {"bounded work"},
    ),
    "tells claims again that were heard": (
        "claim",
        "for told = ARGV[4] + 1, number",
        "for told = 1, number",
        {"bounded work"},
    ),
    "forgets cancellations": ("start", "redis.call('EXISTS', cancelled) == 1", "false", {"cancelled"}),
}


class PopsThenRecords(Claims):
    """As kombu's own transport: one step takes a message, the next records it."""

    def claim(
        self, count: int, urgent: int = 0, share: Share | None = None, *, chosen: Sequence[bytes] = ()
    ) -> list[Claimed]:
        """Claim, with a moment in which a message is nowhere."""
        popped = self._redis.register_script("return redis.call('RPOP', KEYS[1])")(keys=[LANES[1]])
        if popped:
            self._redis.rpush(LANES[1], popped)
        return super().claim(count, urgent, share, chosen=chosen)


class AcknowledgesFirst(Claims):
    """As Celery without late acknowledgement."""

    def settle(self, settlement: Settlement) -> None:
        """Settle, with a moment in which a request has neither message nor result."""
        super().settle(Settlement(tags=settlement.tags))
        super().settle(Settlement(results=settlement.results, audios=settlement.audios))


class ReleasesWhenCut(Worker):
    """As kombu: whatever is not acknowledged goes back when the connection does, and runs on."""

    def reconnect(self) -> None:
        """Return what runs."""
        self.claims.give_back()
        self.claims.take_lease()


class MixesUpResults(Worker):
    """Gives the results of a batch to its members in another order."""

    def hear(self, texts: list[str]) -> list[str]:
        """What the engine gives, the wrong way round."""
        return texts[::-1]


class BuriesGoodOnes(Worker):
    """Takes what stands beside junk for junk."""

    def is_sensible(self, message: bytes) -> bool:
        """Whether this is a message, and not the one of t."""
        return super().is_sensible(message) and b'"t"' not in message


class RunsWhatHasExpired(Worker):
    """Does not look at when a request expires."""

    def has_expired(self, *_: object) -> bool:
        """Never."""
        return False


class ExpiresWhatHasRun(Worker):
    """Looks at when a request expires only when it has run."""

    def has_ended(self, one: Claimed, late: float) -> bool:
        """Whether it has expired; it is then settled so, after it ran."""
        if self.has_expired(one.message, late):
            self._begin([one], late)
        return super().has_ended(one, late)


class SkipsTheLast(Worker):
    """Takes every batch for one row shorter than it is, and settles it whole."""

    def settle(self, members: Sequence[Claimed], metas: Sequence[dict[str, object]]) -> None:
        """Acknowledge all, with a result for all but the last of several."""
        if len(members) == 1:
            super().settle(members, metas)
            return
        super().settle(members[:-1], metas[:-1])
        self.claims.settle(Settlement(tags=[one.tag for one in members[-1:]]))


class BelievesItWasHeard(Producer):
    """Takes a submit that nobody answered for one that was accepted."""

    def ask(self, client: Client, audio: NDArray[np.int16], name: str, given: dict[str, object]) -> None:
        """Submit one, whatever becomes of it."""
        try:
            super().ask(client, audio, name, given)
        except QueueUnreachable:
            return


class BelievesItWasRefused(Producer):
    """Reports a submit as refused that was accepted."""

    def ask(self, client: Client, audio: NDArray[np.int16], name: str, given: dict[str, object]) -> None:
        """Submit one, and complain."""
        super().ask(client, audio, name, given)
        if name == "a":
            raise RequestError("no")


class OverwritesIds(Producer):
    """Accepts any audio under an id that is taken."""

    def ask(self, client: Client, audio: NDArray[np.int16], name: str, given: dict[str, object]) -> None:
        """Submit one; a conflict is none."""
        try:
            super().ask(client, audio, name, given)
        except RequestError:
            return


class CancelsTooLate(Producer):
    """Says of a request that runs that it is cancelled."""

    def has_cancelled(self, name: str) -> bool:
        """Always."""
        super().has_cancelled(name)
        return True


#: Bugs in the other pieces, and the rules that they break.
IN_PIECES: dict[str, tuple[Pieces, set[str]]] = {
    "pops, then records": (Pieces(claims=PopsThenRecords), {"conservation"}),
    "acknowledges before the result": (Pieces(claims=AcknowledgesFirst), {"conservation"}),
    "releases when it is cut": (Pieces(worker=ReleasesWhenCut), {"bounded work"}),
    "mixes up the results of a batch": (Pieces(worker=MixesUpResults), {"no cross-talk"}),
    "buries good messages": (Pieces(worker=BuriesGoodOnes), {"conservation"}),
    "runs what has expired": (Pieces(worker=RunsWhatHasExpired), {"expired"}),
    "expires what has run": (Pieces(worker=ExpiresWhatHasRun), {"expired"}),
    "forgets the last of a batch": (Pieces(worker=SkipsTheLast), {"conservation"}),
    "believes that it was heard": (Pieces(producer=BelievesItWasHeard), {"honest producer"}),
    "believes that it was refused": (Pieces(producer=BelievesItWasRefused), {"honest producer"}),
    "two contents under one id": (Pieces(producer=OverwritesIds), {"single truth"}),
    "cancels what runs": (Pieces(producer=CancelsTooLate), {"cancelled"}),
}


def planted(name: str, right: str, wrong: str) -> Callable[[redis.Redis], Claims]:
    """Makes claims with `wrong` in the place of `right` in one script, where it stands once."""
    text = scripts.text_of(name)
    assert text.count(right) == 1

    def make(connection: redis.Redis) -> Claims:
        claims = Claims(connection)
        claims._scripts[name] = connection.register_script(text.replace(right, wrong))
        return claims

    return make


def rules_broken(server: LocalRedis, pieces: Pieces, folder: Path) -> set[str]:
    """The rules that the history of a run with these pieces breaks."""
    return {one.rule for one in play(server, pieces, folder)}


def test_real_pieces_keep_every_promise(server: LocalRedis, tmp_path: Path) -> None:
    """The run as it is: lost answers, a death, a copy, a cancellation, junk, and nothing amiss."""
    assert play(server, Pieces(), tmp_path) == []


@pytest.mark.parametrize("bug", IN_SCRIPTS)
def test_bug_in_a_script_shows(server: LocalRedis, tmp_path: Path, bug: str) -> None:
    """The run with one mistake in one script breaks the rule that the script is there for."""
    script, right, wrong, rules = IN_SCRIPTS[bug]
    assert rules <= rules_broken(server, Pieces(claims=planted(script, right, wrong)), tmp_path)


@pytest.mark.parametrize("bug", IN_PIECES)
def test_bug_in_a_piece_shows(server: LocalRedis, tmp_path: Path, bug: str) -> None:
    """The run with one wrong worker, producer or way of claiming breaks the rule that it should keep."""
    pieces, rules = IN_PIECES[bug]
    assert rules <= rules_broken(server, pieces, tmp_path)
