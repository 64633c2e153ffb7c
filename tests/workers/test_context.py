"""How much of a window is encoded, and which models allow less than 30 s."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from workers import demo
from workers.engine.context import BUCKETED, BUCKETS, FULL, allows_bucketed, chosen_context


@pytest.mark.parametrize(
    ("frames", "padded"), [(1, 100), (5, 100), (100, 100), (101, 200), (401, 600), (2401, 3000), (3000, 3000)]
)
def test_a_window_is_encoded_at_the_next_bucket(frames: int, padded: int) -> None:
    """The shortest length that holds it; with the full context always 30 s."""
    assert BUCKETED.padded(frames) == padded
    assert FULL.padded(frames) == 3000


def test_buckets_are_few_even_and_close() -> None:
    """The encoder halves the frames; above 2 s, padding makes no window more than half as long again."""
    assert all(length % 2 == 0 for length in BUCKETS)
    assert BUCKETS[-1] == 3000
    assert all(longer <= 1.5 * length for length, longer in pairwise(BUCKETS[1:]))


def test_the_demo_model_allows_shortened_windows() -> None:
    """It was trained on windows of many lengths, and its folder says so."""
    assert chosen_context("auto", demo.model_path()) is BUCKETED


@pytest.mark.parametrize("says", ['{"feature_size": 80}', '{"audio_context": "full"}', "[]", "not JSON"])
def test_a_folder_that_does_not_say_so_is_encoded_in_full(tmp_path: Path, says: str) -> None:
    """Stock weights were trained on 30 s, so that is what they get."""
    (tmp_path / "preprocessor_config.json").write_text(says, "utf-8")
    assert chosen_context("auto", tmp_path) is FULL


def test_a_model_from_the_hub_is_encoded_in_full() -> None:
    """Neither a size, nor a folder without the file, says anything."""
    assert chosen_context("auto", None) is FULL
    assert not allows_bucketed(Path("nowhere"))


def test_the_operator_decides_for_any_model(tmp_path: Path) -> None:
    """What is asked for by name holds, whatever the folder says."""
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"audio_context": "bucketed"}), "utf-8")
    assert chosen_context("full", tmp_path) is FULL
    assert chosen_context("bucketed", None) is BUCKETED
