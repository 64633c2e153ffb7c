"""What conversion changes beside the weights."""

import json
from pathlib import Path

import pytest

from training.convert import name_empty_token


def test_the_spare_token_becomes_the_empty_one(tmp_path: Path) -> None:
    """The second trap: CTranslate2 calls a model multilingual only if its vocabulary holds ""."""
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(["Ġthe", "Ã¼r", "<|spare|>", "<|endoftext|>"]), encoding="utf-8")
    name_empty_token(path)
    assert json.loads(path.read_text(encoding="utf-8")) == ["Ġthe", "Ã¼r", "", "<|endoftext|>"]


def test_a_vocabulary_without_a_spare_token_is_refused(tmp_path: Path) -> None:
    """Another model's vocabulary is left as it is."""
    path = tmp_path / "vocabulary.json"
    path.write_text('["a", "b"]', encoding="utf-8")
    with pytest.raises(ValueError, match="spare"):
        name_empty_token(path)
    assert path.read_text(encoding="utf-8") == '["a", "b"]'
