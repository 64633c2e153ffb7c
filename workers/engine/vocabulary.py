"""What a loaded Whisper can be asked for: its languages and tasks, and the tokens that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    size: int
    """Number of tokens."""
    symbols: frozenset[int]
    """Tokens that faster-whisper never lets a model generate by default: symbols and the control tokens."""
    controls: frozenset[int]
    """Those of them that are forbidden whenever any token is: start of transcript, tasks and the like."""
    tokenizers: dict[tuple[str, str], Tokenizer] = field(default_factory=dict)
    """By language and task, those asked for so far: each looks its tokens up once."""

    @classmethod
    def of(cls, whisper: WhisperModel) -> Vocabulary:
        """Look up what `whisper` knows."""
        languages = _languages(whisper)
        tokenizer = _tokenizer(whisper, languages[0], "transcribe")  # they are the same for every language
        return cls(
            whisper=whisper,
            languages=languages,
            size=whisper.hf_tokenizer.get_vocab_size(),
            symbols=frozenset(get_suppressed_tokens(tokenizer, suppress_tokens=[-1])),
            controls=frozenset(get_suppressed_tokens(tokenizer, suppress_tokens=[])),
        )

    @property
    def is_multilingual(self) -> bool:
        """Whether the model takes a language and a task; an English-only one takes neither."""
        return bool(self.whisper.model.is_multilingual)

    def check(self, options: Options) -> None:
        """Refuse what this model cannot do.

        Raises:
            RequestError: `LANGUAGE_UNSUPPORTED`, `TASK_UNSUPPORTED`, or a token that there is not.
        """
        if options.language is not None and options.language not in self.languages:
            raise RequestError(
                f"language is {options.language!r}: this model knows {self._languages_shown()}",
                "LANGUAGE_UNSUPPORTED",
            )
        if options.task == "translate" and not self.is_multilingual:
            raise RequestError("task is 'translate': this model is English-only", "TASK_UNSUPPORTED")
        # CTranslate2 would write past the end of its scores.
        if (highest := max(options.suppress_tokens or (0,))) >= self.size:
            raise RequestError(
                f"suppress_tokens holds {highest}: this model's tokens are 0 to {self.size - 1}", "BAD_OPTION"
            )

    def check_room(self, prompt: Sequence[int], options: Options) -> None:
        """Refuse a prompt that leaves no room for the answer.

        Raises:
            RequestError: `PROMPT_TOO_LONG`.
        """
        length, wanted = len(prompt), options.max_new_tokens or 0
        if length + wanted > self.whisper.max_length:
            raise RequestError(
                f"the prompt has {length} tokens and max_new_tokens is {wanted}: "
                f"together the limit is {self.whisper.max_length}",
                "PROMPT_TOO_LONG",
            )

    def initial_tokens(self, options: Options) -> list[int]:
        """The tokens of the initial prompt, if there is one."""
        return self.text_tokens(options.initial_prompt) if options.initial_prompt is not None else []

    def text_tokens(self, text: str) -> list[int]:
        """The tokens of text in the middle of a talk; none of no text."""
        encoding = self.whisper.hf_tokenizer.encode
        ids: list[int] = encoding(" " + text.strip(), add_special_tokens=False).ids if text else []
        return ids

    def tokenizer(self, language: str, task: str) -> Tokenizer:
        """The tokenizer whose start-of-transcript sequence asks for `language` and `task`."""
        if (language, task) not in self.tokenizers:
            self.tokenizers[language, task] = _tokenizer(self.whisper, language, task)
        return self.tokenizers[language, task]

    def suppressed(self, options: Options) -> tuple[int, ...] | None:
        """Tokens that are never generated, as faster-whisper reads the option."""
        wanted = options.suppress_tokens
        if not wanted:
            return wanted
        rest = self.symbols if -1 in wanted else self.controls
        return tuple(sorted({token for token in wanted if token >= 0} | rest))

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
