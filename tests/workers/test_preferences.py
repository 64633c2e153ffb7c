"""What a request's preference means to a worker."""

import pytest

from protocol.errors import RequestError
from protocol.options import Options
from protocol.request import Encoding, Payload, Request
from workers.engine.base import compatibility_key
from workers.preferences import WORDS, Preferences
from workers.settings import Settings

SEVERAL: dict[str, object] = {
    "models": {"fast": "tiny", "quality": "large-v3", "german": "x/y"},
    "model": "quality",
}


def asking(preference: str | None) -> Request:
    payload = Payload(encoding=Encoding.PCM, length=16_000, key="segue:audio:x")
    return Request(request_id="a", payload=payload, options=Options(model_pref=preference, beam_size=2))


def settled(settings: dict[str, object], preference: str | None) -> str | None:
    request = Preferences(Settings.model_validate(settings)).settled(asking(preference))
    assert request.options.beam_size == 2
    return request.options.model_pref


def test_a_name_means_its_model() -> None:
    """Each configured name stands for itself, the default's like nothing said."""
    assert [settled(SEVERAL, name) for name in ("fast", "german", "quality", None)] == [
        "fast",
        "german",
        None,
        None,
    ]


@pytest.mark.parametrize("preference", [None, *WORDS, "small"])
def test_one_model_is_all_preferences(preference: str | None) -> None:
    """A worker with one model serves whoever asks for fast, balanced or quality, or for it by its name."""
    assert settled({"model": "small"}, preference) is None


@pytest.mark.parametrize(
    ("settings", "preference", "said"),
    [
        (SEVERAL, "balanced", "model_pref is 'balanced': this worker has fast, quality, german"),
        (SEVERAL, "large-v3", "model_pref is 'large-v3': this worker has fast, quality, german"),
        ({"model": "/srv/ours"}, "german", "this worker has one model, for fast, balanced, quality"),
    ],
)
def test_an_unknown_preference_is_told_the_names(
    settings: dict[str, object], preference: str, said: str
) -> None:
    """The names, and not what stands behind them."""
    with pytest.raises(RequestError) as caught:
        settled(settings, preference)
    assert caught.value.code == "UNKNOWN_MODEL"
    assert caught.value.message.endswith(said)


def test_models_do_not_share_a_batch() -> None:
    """Two ways to ask for one model do, once they are settled."""
    preferences = Preferences(Settings.model_validate(SEVERAL))
    keys = [
        compatibility_key(preferences.settled(asking(name)).options)
        for name in (None, "quality", "fast", "fast")
    ]
    assert keys[0] == keys[1] != keys[2] == keys[3]
