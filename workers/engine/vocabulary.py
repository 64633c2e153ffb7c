"""What a loaded Whisper can be asked for: its languages and tasks, and the tokens that ask for them."""

from __future__ import annotations

from dataclasses import dataclass

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from protocol.errors import RequestError
from protocol.languages import LANGUAGE_CODES
from protocol.options import Options

#: Most languages named in an error; stock Whisper has about a hundred.
MAX_LANGUAGES_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The languages, tasks and special tokens of one loaded model."""

    whisper: WhisperModel
    languages: tuple[str, ...]
    """Codes, sorted; an English-only model has just ``en``."""
    suppressed: tuple[int, ...]
    """Tokens that are never generated: faster-whisper's default set, the same for every language."""

    @classmethod
    def of(cls, whisper: WhisperModel) -> Vocabulary:
        """Look up what `whisper` knows."""
        languages = _languages(whisper)
        tokenizer = _tokenizer(whisper, languages[0], "transcribe")
        return cls(
            whisper=whisper,
            languages=languages,
            suppressed=get_suppressed_tokens(tokenizer, suppress_tokens=[-1]),
        )

    @property
    def is_multilingual(self) -> bool:
        """Whether the model takes a language and a task; an English-only one takes neither."""
        return bool(self.whisper.model.is_multilingual)

    def check(self, options: Options) -> None:
        """Refuse what this model cannot do.

        Raises:
            RequestError: `LANGUAGE_UNSUPPORTED` or `TASK_UNSUPPORTED`.
        """
        if options.language is not None and options.language not in self.languages:
            raise RequestError(
                f"language is {options.language!r}: this model knows {self._languages_shown()}",
                "LANGUAGE_UNSUPPORTED",
            )
        if options.task == "translate" and not self.is_multilingual:
            raise RequestError("task is 'translate': this model is English-only", "TASK_UNSUPPORTED")

    def tokenizer(self, language: str, task: str) -> Tokenizer:
        """The tokenizer whose start-of-transcript sequence asks for `language` and `task`."""
        return _tokenizer(self.whisper, language, task)

    def _languages_shown(self) -> str:
        if len(self.languages) > MAX_LANGUAGES_SHOWN:
            return f"{len(self.languages)} others"
        return ", ".join(self.languages)


def _languages(whisper: WhisperModel) -> tuple[str, ...]:
    if not whisper.model.is_multilingual:
        return ("en",)
    known = whisper.hf_tokenizer.token_to_id
    return tuple(code for code in sorted(LANGUAGE_CODES) if known(f"<|{code}|>") is not None)


def _tokenizer(whisper: WhisperModel, language: str, task: str) -> Tokenizer:
    return Tokenizer(whisper.hf_tokenizer, whisper.model.is_multilingual, task=task, language=language)
