"""The engine process keeps nothing of a request between batches: what it must know comes with the order."""

import json
from typing import Any

import numpy as np

from protocol.options import Options
from protocol.request import Encoding, Payload, Request
from protocol.wire import encode_request
from workers.engine.fake import fingerprint
from workers.engine_process import EngineProcess
from workers.host import Host
from workers.settings import Settings
from workers.settings_blocks import FakeCost

PCM = np.arange(-8_000, 8_000, 10, dtype="<i2")


def order(progress: Any, **options: Any) -> dict[str, Any]:
    """A batch of one request with its audio in the message."""
    payload = Payload(encoding=Encoding.PCM, length=len(PCM), inline=PCM.tobytes())
    request = Request(request_id="a", payload=payload, options=Options(**options))
    return {"batch": 1, "requests": [["a", encode_request(request), progress]]}


def run(progress: Any) -> Any:
    """The outcome of a new process, as the parent reads it."""
    batch = order(progress, initial_prompt="again 1 times")
    report = Host(Settings(engine="fake")).run(json.loads(json.dumps(batch)))
    [outcome] = json.loads(json.dumps(report))["outcomes"]
    return outcome


def test_another_process_goes_on_where_one_left_off() -> None:
    """The first says at which temperature it wants the request again, the second gives the transcript."""
    first = run(None)
    assert first["again"]["temperature"] == 0.2
    second = run(first["again"]["progress"])
    assert second["transcript"]["text"] == fingerprint(PCM.astype(np.float32) / np.float32(32_768))
    assert second["transcript"]["segments"][0]["temperature"] == 0.2


def test_a_batch_whose_model_cannot_be_loaded_is_reported_all_the_same() -> None:
    """Each of its requests has its error, and no engine was called."""
    host = Host(Settings.model_validate({"engine": "fake", "models": {"fast": "x", "broken": "missing"}}))
    report = host.run(order(None, model_pref="broken"))
    assert [one["exc_message"][1] for one in report["outcomes"]] == ["MODEL_UNAVAILABLE"]
    assert (report["engine_calls"], report["model"]) == (0, None)
    assert "transcript" in host.run(order(None))["outcomes"][0]


def test_a_batch_that_comes_while_its_model_leaves_is_heard() -> None:
    """Whenever it comes, before, while or after the idle model leaves: it has its text, and nothing else."""
    idle_ttl = 0.02
    settings = Settings(model="demo", device="cpu", cpu_threads=1, model_idle_ttl=idle_ttl)
    process = EngineProcess(settings)
    try:
        assert "ready" in received(process)
        reloads = step = 0
        while step < 12 or not reloads:
            step += 1
            process.receive(idle_ttl * (step % 12) / 4)  # from at once to when it has long gone
            process.send(order(None, language="en", temperature=0))
            news = [received(process)]
            while "outcomes" not in news[-1]:
                news.append(received(process))
            reloads += len(news) > 1
            assert "transcript" in news[-1]["outcomes"][0]
        assert reloads > 0
    finally:
        process.close()


def received(process: EngineProcess) -> dict[str, Any]:
    """What the process says next."""
    report = process.receive(60.0)
    assert report is not None
    return report


def pair(name: str, seed: int) -> tuple[str, dict[str, Any]]:
    """A request with audio of its own, as the parent tells of it."""
    pcm = np.random.default_rng(seed).integers(-8_000, 8_000, 1_600).astype("<i2")
    payload = Payload(encoding=Encoding.PCM, length=len(pcm), inline=pcm.tobytes())
    return name, encode_request(Request(request_id=name, payload=payload))


def order_of(*pairs: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"batch": 1, "requests": [[*one, None] for one in pairs]}


def texts_of(report: dict[str, Any]) -> list[str]:
    return [outcome["transcript"]["text"] for outcome in report["outcomes"]]


def test_a_batch_uses_what_was_prepared_while_another_ran() -> None:
    """It gets the same texts as without; what was expected and did not come harms nobody."""
    expected = [pair("a", 1), pair("b", 2), pair("c", 3)]
    batch = order_of(expected[2], expected[0], pair("d", 4))
    alone = Host(Settings(engine="fake")).run(batch)
    assert alone["ahead"] == 0
    assert len(set(texts_of(alone))) == 3
    host = Host(Settings(engine="fake", fake=FakeCost(fixed_ms=20)))
    host.load()
    ready = 0
    while (
        ready < 2
    ):  # until the other batch has given the thread time enough; else the test runs out of its own
        host.expect(expected)
        host.run(order_of(pair("x", 5)))
        host.bind(batch)
        report = host.run(batch)
        ready = report["ahead"]
        assert texts_of(report) == texts_of(alone)
    assert ready == 2
