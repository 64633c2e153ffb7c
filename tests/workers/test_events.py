"""Tests of `workers.events`."""

import json
from typing import Any

import pytest
from celery.events.dispatcher import EventDispatcher as CelerysOwn
from kombu import serialization

from workers.app import make_app
from workers.events import EventDispatcher
from workers.settings import Settings


class Published:
    """In the place of kombu's producer: keeps what would be sent."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.broken = False

    def publish(self, body: Any, serializer: str, **_: Any) -> None:
        if self.broken:
            raise ConnectionError
        content_type, encoding, text = serialization.dumps(body, serializer=serializer)
        assert (content_type, encoding) == ("application/json", "utf-8")
        self.bodies.append(json.loads(text))


def dispatcher(kind: type = EventDispatcher, **options: Any) -> tuple[Any, Published]:
    app = make_app(Settings())
    app.conf.broker_url = "memory://"
    made = kind(app.connection_for_write(), "w@h", app=app, buffer_group=["task"], **options)
    made.producer = published = Published()
    return made, published


def sent(kind: type) -> Any:
    made, published = dispatcher(kind)
    made.send("task-received", uuid="a", name="n")
    made.send("task-started", uuid="a")
    made.flush()
    for event in published.bodies[0]:
        assert event.pop("timestamp") > 1e9
        del event["clock"]
    return published.bodies


def test_events_are_those_of_celery() -> None:
    """What Flower gets has the fields that Celery's own dispatcher would have sent, in one message."""
    assert sent(EventDispatcher) == sent(CelerysOwn)


def test_the_clock_goes_on_with_each_event() -> None:
    """Celery's logical clock tells which of two events was first."""
    made, published = dispatcher()
    made.send("task-received", uuid="a")
    made.send("task-started", uuid="a")
    made.flush()
    first, second = published.bodies[0]
    assert first["clock"] < second["clock"]


def test_a_full_buffer_is_sent_at_once() -> None:
    """As many as the limit says wait; one more does not."""
    made, published = dispatcher(buffer_limit=2)
    made.send("task-received", uuid="a")
    assert not published.bodies
    made.send("task-received", uuid="b")
    assert [event["uuid"] for event in published.bodies[0]] == ["a", "b"]


def test_events_that_could_not_be_sent_are_kept() -> None:
    """Redis is away: they are sent once it is back, as Celery does."""
    made, published = dispatcher()
    made.send("task-received", uuid="a")
    published.broken = True
    made.flush()
    published.broken = False
    made.flush()
    assert [event["uuid"] for event in published.bodies[0]] == ["a"]


@pytest.mark.parametrize("options", [{"enabled": False}, {"groups": ["worker"]}])
def test_nobody_who_wants_none_gets_events_of_tasks(options: dict[str, Any]) -> None:
    """`-E` off, or only the worker's own events wanted: none is made."""
    made, published = dispatcher(**options)
    made.producer = published
    made.send("task-received", uuid="a")
    made.flush()
    assert not published.bodies
