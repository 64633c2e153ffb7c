"""What type checkers are told of a call is what the call takes."""

from __future__ import annotations

import inspect

from producer import Client
from producer.given import GivenForMany, GivenForOne, GivenOptions, GivenTerms
from protocol.options import OPTION_NAMES


def test_every_option_can_be_given_by_name() -> None:
    """A misspelt option is found by a type checker, and a right one is not."""
    assert tuple(GivenOptions.__annotations__) == OPTION_NAMES


def test_what_transcribe_takes_is_what_submit_takes() -> None:
    """`transcribe` and `transcribe_batch` pass on all that `submit` and `submit_many` know."""
    for method, given in ((Client.submit, GivenForOne), (Client.submit_many, GivenForMany)):
        names = {*inspect.signature(method).parameters} - {"self", "audio", "audios", "options"}
        assert names == {*given.__annotations__} - {*OPTION_NAMES}
    assert {*GivenTerms.__annotations__} < {*GivenForOne.__annotations__}
