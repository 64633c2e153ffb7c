"""On a GPU: recorded steps say what steps say that are not recorded."""

import pytest
from faster_whisper import decode_audio

from protocol.options import Options
from workers import demo
from workers.engine.base import Heard

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from workers.engine.torch.engine import TorchWhisperEngine  # noqa: E402 # only where torch is

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


def texts(*, graphs: bool, beam_size: int) -> list[str]:
    """Twice five rows, then three: a step is used again, and another is recorded."""
    engine = TorchWhisperEngine("demo", device="cuda", compute_type="float32", graphs=graphs)
    engine.load()
    options = Options(beam_size=beam_size, temperature=0.0)
    clips = [decode_audio(str(clip.path)) for clip in demo.speech()[:13]]
    found = []
    for batch in (clips[:5], clips[5:10], clips[10:]):
        outcomes = engine.run([engine.prepare(samples, options) for samples in batch])
        found += [outcome.text for outcome in outcomes if isinstance(outcome, Heard)]
    return found


@pytest.mark.parametrize("beam_size", [1, 5])
def test_recorded_steps_say_the_same(beam_size: int) -> None:
    """Text for text, whatever was said before in the same place."""
    recorded = texts(graphs=True, beam_size=beam_size)
    assert len(recorded) == 13
    assert recorded == texts(graphs=False, beam_size=beam_size)
