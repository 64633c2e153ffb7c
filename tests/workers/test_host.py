"""The engine process keeps nothing of a request between batches: what it must know comes with the order."""

import json
from typing import Any

import numpy as np

from protocol.options import Options
from protocol.request import Encoding, Payload, Request
from protocol.wire import encode_request
from workers.engine.fake import fingerprint
from workers.host import Host
from workers.settings import Settings

PCM = np.arange(-8_000, 8_000, 10, dtype="<i2")


def order(progress: Any) -> dict[str, Any]:
    """A batch of one request, its audio in the message, that needs its second temperature."""
    payload = Payload(encoding=Encoding.PCM, samples=len(PCM), inline=PCM.tobytes())
    request = Request(request_id="a", payload=payload, options=Options(initial_prompt="again 1 times"))
    return {"batch": 1, "requests": [["a", encode_request(request), progress]]}


def run(progress: Any) -> Any:
    """The outcome of a new process, as the parent reads it."""
    report = Host(Settings(engine="fake")).run(json.loads(json.dumps(order(progress))))
    [outcome] = json.loads(json.dumps(report))["outcomes"]
    return outcome


def test_another_process_goes_on_where_one_left_off() -> None:
    """The first says at which temperature it wants the request again, the second gives the transcript."""
    first = run(None)
    assert first["again"]["temperature"] == 0.2
    second = run(first["again"]["progress"])
    assert second["transcript"]["text"] == fingerprint(PCM.astype(np.float32) / np.float32(32_768))
    assert second["transcript"]["segments"][0]["temperature"] == 0.2
