"""Which list and key a request goes to."""

import pytest

from protocol.request import Priority
from protocol.routing import payload_key, priority_from_number, queue_key, result_key


@pytest.mark.parametrize(
    ("number", "priority"),
    [
        (0, Priority.URGENT),
        (4, Priority.URGENT),
        (5, Priority.NORMAL),
        (8, Priority.NORMAL),
        (9, Priority.BULK),
        (255, Priority.BULK),
        (-1, Priority.URGENT),
    ],
)
def test_number_means_the_list_that_kombu_keeps_it_in(number: int, priority: Priority) -> None:
    """kombu rounds a priority number down to its step; so do we."""
    assert priority_from_number(number) is priority


def test_keys_are_what_kombu_and_celery_use() -> None:
    """Producers write where workers read."""
    assert queue_key(Priority.URGENT) == "segue"
    assert queue_key(Priority.BULK) == "segue\x06\x169"
    assert result_key("a") == "celery-task-meta-a"
    assert payload_key("a") == "segue:audio:a"
