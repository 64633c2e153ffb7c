"""Convert a trained model to CTranslate2's format, weights as int8, for faster-whisper.

python -m training.convert HF_DIR OUT_DIR
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import ctranslate2
from ctranslate2.converters import TransformersConverter

from training.tokenizer import SPARE

#: What faster-whisper reads beside the weights.
COPIED = ["tokenizer.json", "preprocessor_config.json"]


def convert(source: Path, target: Path) -> None:
    """Convert the model in folder `source`, overwriting folder `target`."""
    converter = TransformersConverter(str(source), copy_files=COPIED)
    converter.convert(str(target), quantization="int8", force=True)
    name_empty_token(target / "vocabulary.json")
    if not ctranslate2.models.Whisper(str(target)).is_multilingual:
        raise ValueError(f"{target}: the converted model is not multilingual")


def name_empty_token(path: Path) -> None:
    """Rename the spare token of a `vocabulary.json` to the empty one, the sign of a multilingual model."""
    tokens = json.loads(path.read_text(encoding="utf-8"))
    tokens[tokens.index(SPARE)] = ""
    path.write_text(json.dumps(tokens, ensure_ascii=False, indent=0), encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.convert", description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, metavar="HF_DIR")
    parser.add_argument("target", type=Path, metavar="OUT_DIR")
    options = parser.parse_args()
    convert(options.source, options.target)
    print(f"{options.target}: {sum(file.stat().st_size for file in options.target.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
