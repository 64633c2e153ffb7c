"""The GPU benchmark, tried out on the CPU with the smallest of its models."""

import json

import pytest

pytest.importorskip("torch", reason="the extra `torch` is not installed")

import torch  # only where it is

from bench.gpu.__main__ import main


def test_both_engines_run_the_same_model(capsys: pytest.CaptureFixture[str]) -> None:
    """One model of random weights, read by both; a row with another number of tokens would be an error."""
    torch.set_num_threads(1)
    assert main("--device cpu --size tiny --batch 2 --rounds 1 --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == []
    ways = [(one["way"]["engine"], one["way"]["context"]) for one in found["figures"]]
    engines = ("faster-whisper", "torch")
    assert ways == [(engine, context) for engine in engines for context in ("full", "bucketed")]
    assert all(one["requests_per_second"] == 2 / one["seconds"] for one in found["figures"])
    assert found["device"].startswith("CPU")
    assert found["machine"]["torch"] == torch.__version__


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """No figure of a CPU is taken for one of a GPU."""
    assert main([]) == 0
    assert capsys.readouterr() == (
        "",
        "nothing measured: torch sees no CUDA device. `--device cpu --size tiny` shows what would be.\n",
    )
