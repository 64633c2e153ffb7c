"""The GPU benchmark, tried out on the CPU with the smallest of its models."""

import json
import os
from pathlib import Path

import pytest

from bench.gpu import cublas
from bench.gpu.__main__ import main
from bench.gpu.full import halved, row_bytes
from bench.gpu.measure import Failed, Way, figure_of, noises
from bench.gpu.model import SIZES
from bench.gpu.saturated import sizes_up_to
from protocol.options import Options
from workers.engine.fake import FakeEngine

TINY = "--device cpu --size tiny --batch 2 --rounds 1".split()

WAY = Way(engine="faster-whisper", compute_type="float16", context="full")


@pytest.mark.timeout(300)
def test_both_engines_run_the_same_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One model of random weights, read by both; a row with another number of tokens would be an error."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # torch's threads wait actively
    assert main([*TINY, "--queued", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == []
    ways = [(one["way"]["engine"], one["way"]["context"]) for one in found["figures"]]
    engines = ("faster-whisper", "torch")
    assert ways == [(engine, context) for context in ("full", "bucketed") for engine in engines]
    assert all(one["requests_per_second"] == 2 / one["seconds"] for one in found["figures"])
    assert found["device"].startswith("CPU")
    assert found["machine"]["torch"] == torch.__version__


@pytest.mark.timeout(300)
def test_an_engine_is_measured_behind_a_queue_too(tmp_path: Path) -> None:
    """How long it waits while there is work; written as JSON and as Markdown."""
    into = tmp_path / "new"
    one_way = "--engine faster-whisper --context bucketed --queued 2 --into".split()
    assert main([*TINY, *one_way, str(into)]) == 0
    [saturated] = json.loads((into / "gpu.json").read_text())["saturated"]
    assert (saturated["way"]["context"], saturated["requests"]) == ("bucketed", 4)
    assert 0 <= saturated["idle_percent"] < 100
    lines = (into / "gpu.md").read_text().splitlines()
    assert sum(line.startswith("| faster-whisper | float32 | bucketed |") for line in lines) == 2


def test_a_way_that_does_not_run_here_says_why(tmp_path: Path) -> None:
    """An engine whose library or weights are not there is no figure, and no end of the others'."""
    found = figure_of(tmp_path / "missing", WAY, "cpu", 1, 1)
    assert isinstance(found, Failed)
    assert "no such folder" in found.reason


def test_what_does_not_fit_is_heard_in_parts() -> None:
    """The probe tells how far a batch was halved, and that all of it was heard."""
    options = Options(initial_prompt="out of memory above 5")
    engine = FakeEngine()
    rows = [engine.prepare(samples, options) for samples in noises(16)]
    found = halved(engine, rows, WAY, free_bytes=7)
    assert (found.heard, found.out_of_memory_at, found.runs_again) == (16, 8, True)
    assert found.engine_calls == 2 + 4


def test_a_row_of_large_v3_takes_a_quarter_of_a_gigabyte() -> None:
    """Keys and values of 32 layers, 1 500 places and 1 280 numbers each, of two bytes."""
    assert row_bytes(SIZES["large-v3"]) == 2 * 32 * 1500 * 1280 * 2


def test_ctranslate2_is_offered_the_latest_cublas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the names of CUDA 12, which is what it opens; processes started later look there first."""
    for version in (11, 13):
        folder = tmp_path / f"cu{version}" / "lib"
        folder.mkdir(parents=True)
        for name in cublas.NAMES:
            (folder / f"{name}.{version}").touch()
    (links := tmp_path / "links").mkdir()
    monkeypatch.setenv(cublas.VARIABLE, "/before")
    latest = tmp_path / "cu13" / "lib"
    assert cublas.offer(links, [tmp_path / "cu11" / "lib", tmp_path, latest]) == latest
    assert (links / "libcublas.so.12").resolve() == latest / "libcublas.so.13"
    assert (links / "libcublasLt.so.12").resolve() == latest / "libcublasLt.so.13"
    assert os.environ[cublas.VARIABLE] == f"{links}:{latest}:/before"


def test_nothing_is_offered_where_nothing_is(tmp_path: Path) -> None:
    """The engine then says itself what it misses."""
    assert cublas.offer(tmp_path, [tmp_path / "missing"]) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (32, [1, 2, 4, 8, 16, 32])]
)
def test_all_sizes_are_warmed_up(most: int, sizes: list[int]) -> None:
    """Powers of two, of which the torch engine keeps recorded steps, and what is measured."""
    assert sizes_up_to(most) == sizes


def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """No figure of a CPU is taken for one of a GPU."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert main([]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "nothing measured: neither CTranslate2 nor torch sees a CUDA device" in said.err
