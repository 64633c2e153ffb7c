"""What a worker says of a Redis that fails: plain words, once."""

from __future__ import annotations

import logging

import pytest
import redis
from redis import exceptions

from workers.trouble import Trouble, in_plain_words

log = logging.getLogger("tests.trouble")


@pytest.fixture
def trouble(caplog: pytest.LogCaptureFixture) -> Trouble:
    """Something that Redis keeps a worker from."""
    caplog.set_level(logging.WARNING)
    return Trouble(log, "could not store results")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "write to its disk"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "fewer replicas"),
        (redis.ResponseError("BUSY Redis is busy running a script."), "somebody's script"),
        (redis.ResponseError("WRONGTYPE key 'segue' is a string"), "somebody else uses a key"),
        (redis.ResponseError("OOM command not allowed"), "full"),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), "may only be read"),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading its data"),
        (redis.AuthenticationError("invalid username-password pair"), "refuses this worker's user"),
        (redis.TimeoutError("Timeout reading from socket"), "does not answer"),
        (redis.ConnectionError("Error 111"), "cannot be reached"),
        (redis.ResponseError("ERR something new"), "Redis refuses"),
    ],
)
def test_every_state_has_plain_words(error: Exception, words: str) -> None:
    """An operator reads what is wrong with Redis, whatever class or code the error has."""
    assert words in in_plain_words(error)


def test_the_same_is_said_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried again; details such as a port that change are not news."""
    for port in range(3):
        trouble.met(redis.ConnectionError(f"Error 111 from port {port}"))
    assert len(caplog.messages) == 1


def test_what_changes_is_said_again(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    """Another thing that is wrong is another line, and so is the end; what never failed has no end."""
    trouble.over()
    trouble.met(redis.ConnectionError("gone"))
    trouble.met(exceptions.BusyLoadingError("loading"))
    trouble.over()
    trouble.over()
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "could not store results",
        "could not store results",
        "Redis is back, this is over",
    ]
