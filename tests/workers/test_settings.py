"""What an operator turns: sources, limits, and mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import ValidationError

from protocol.address import without_password
from workers.settings import (
    LISTENING,
    NAMES,
    PASSWORD_FILE,
    Settings,
    SettingsError,
    load,
    load_settings,
    parse_listening,
)
from workers.settings_blocks import Batching
from workers.settings_names import Name

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
EXAMPLE = Path(__file__).parents[2] / "segue.example.yaml"

PREDECESSORS_BLOCK = """\
batch_processing_config:
  enabled: true
  max_batch_size: 8
  min_batch_size: 2
  max_batch_wait_ms: 100
  dynamic_batching: true
"""

#: Flag, smallest and largest accepted value, one step beyond each (None where there is none).
LIMITS = [
    ("max_batch_size", 0, 1, 256, 257),
    ("max_batch_wait_ms", -1, 0, 60_000, 60_001),
    ("min_batch_size", 0, 1, 8, 9),
    ("admission_max_waiting", -1, 0, 100_000_000, 100_000_001),
    ("admission_max_waiting_mb", -1, 0, 1_000_000, 1_000_001),
    ("cpu_threads", -1, 0, 1024, 1025),
    ("batch_timeout", 0.09, 0.1, 86_400, 86_400.1),
    ("load_timeout", 0.09, 0.1, 86_400, 86_400.1),
    ("shutdown_grace", -0.1, 0, 86_400, 86_400.1),
    ("result_ttl", 0, 1, 2_592_000, 2_592_001),
    ("max_retries", -1, 0, 100, 101),
    ("retry_delay", -0.1, 0, 3600, 3600.1),
    ("max_loaded_models", -1, 0, 20, 21),
    ("model_idle_ttl", -0.1, 0, 86_400, 86_400.1),
    ("fake_fixed_ms", -0.1, 0, 60_000, 60_000.1),
    ("fake_per_row_ms", -0.1, 0, 60_000, 60_000.1),
    ("prepare_ahead", -1, 0, 8, 9),
    ("max_batch_seconds", -0.1, 0, 7_680, 7_680.1),
    ("urgent_batch_ms", -1, 0, 60_000, 60_001),
    ("fake_per_audio_second_ms", -0.1, 0, 60_000, 60_000.1),
    ("fake_per_longest_second_ms", -0.1, 0, 60_000, 60_000.1),
    ("fake_prepare_per_row_ms", -0.1, 0, 60_000, 60_000.1),
    ("model", "", "x", "x" * 500, "x" * 501),
]

CHOICES = {
    "engine": ("faster-whisper", "torch", "fake"),
    "transport": ("claim", "redis"),
    "device": ("auto", "cpu", "cuda"),
    "compute_type": tuple(
        "auto default float32 float16 bfloat16 int16 int8 int8_float32 int8_float16 int8_bfloat16".split()
    ),
    "audio_context": ("auto", "full", "bucketed"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
}

SWITCHES = ("batching_enabled", "dynamic_batching", "allow_insecure", "strict_redis")


def file(folder: Path, content: str, name: str = "segue.yaml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def read(config: Path | None = None, environ: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """The settings, without whatever is set where the tests run."""
    return load(config, flags=flags, environ=environ or {}).settings


def mistakes(
    config: Path | None = None, environ: Mapping[str, str] | None = None, **flags: object
) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        read(config, environ, **flags)
    assert str(raised.value).splitlines() == list(raised.value.mistakes)
    return raised.value.mistakes


def one(flag: str, value: object) -> dict[str, Any]:
    return {flag: value}


def value_of(settings: Settings, flag: str) -> object:
    value: object = settings
    for part in next(name.path for name in NAMES if name.flag == flag):
        value = getattr(value, part)
    return value


class TestSources:
    def test_nothing_set_gives_the_defaults(self) -> None:
        """Without any source, the settings are the documented defaults."""
        settings = read()
        assert settings == Settings()
        assert (settings.redis_url, settings.engine, settings.model) == (
            "redis://127.0.0.1:6379/0",
            "faster-whisper",
            "small",
        )

    @pytest.mark.parametrize("content", [PREDECESSORS_BLOCK, ""])
    def test_predecessors_block_works_as_it_stands(self, tmp_path: Path, content: str) -> None:
        """The predecessor's block is read from the file verbatim, and its values are our defaults."""
        assert read(file(tmp_path, content)).batching == Batching(
            enabled=True, max_batch_size=8, min_batch_size=2, max_batch_wait_ms=100, dynamic_batching=True
        )

    def test_predecessors_block_is_obeyed(self, tmp_path: Path) -> None:
        """Each of the block's five names sets what it says."""
        content = (
            PREDECESSORS_BLOCK.replace("true", "false")
            .replace("8", "16")
            .replace(": 2", ": 3")
            .replace("100", "250")
        )
        assert read(file(tmp_path, content)).batching == Batching(
            enabled=False, max_batch_size=16, min_batch_size=3, max_batch_wait_ms=250, dynamic_batching=False
        )

    def test_toml_says_the_same_as_yaml(self, tmp_path: Path) -> None:
        """A TOML file has the same names."""
        content = 'model = "demo"\n[batch_processing_config]\nmax_batch_size = 4\n[fake]\nfixed_ms = 1\n'
        settings = read(file(tmp_path, content, "segue.toml"))
        assert (settings.model, settings.batching.max_batch_size, settings.fake.fixed_ms) == ("demo", 4, 1.0)

    def test_stronger_source_wins(self, tmp_path: Path) -> None:
        """Flags beat the environment, which beats the file, which beats the defaults."""
        config = file(tmp_path, "model: file\ndevice: cpu\nengine: fake\n")
        environ = {"SEGUE_MODEL": "environment", "SEGUE_DEVICE": "cuda"}
        loaded = load(config, flags={"model": "flag", "device": None}, environ=environ)
        assert (loaded.settings.model, loaded.settings.device, loaded.settings.engine) == (
            "flag",
            "cuda",
            "fake",
        )
        sources = {name: source for name, _, source in loaded.shown()}
        assert sources["model"] == "flag --model"
        assert sources["device"] == "environment SEGUE_DEVICE"
        assert sources["engine"] == f"file {config}: engine"
        assert sources["log_level"] == "default"

    def test_a_block_may_come_from_several_sources(self, tmp_path: Path) -> None:
        """Sources are merged name by name, not block by block."""
        config = file(tmp_path, "batch_processing_config:\n  max_batch_size: 4\n  max_batch_wait_ms: 7\n")
        batching = read(config, {"SEGUE_MAX_BATCH_SIZE": "5"}).batching
        assert (batching.max_batch_size, batching.max_batch_wait_ms) == (5, 7)

    def test_environment_names_the_file(self, tmp_path: Path) -> None:
        """`SEGUE_CONFIG` names the file, and a file given as a flag is taken instead."""
        named, flag = file(tmp_path, "model: named", "a.yaml"), file(tmp_path, "model: flag", "b.yml")
        assert read(environ={"SEGUE_CONFIG": str(named)}).model == "named"
        assert read(flag, {"SEGUE_CONFIG": str(named)}).model == "flag"

    def test_empty_variable_is_not_set(self) -> None:
        """An empty variable leaves the default, as `${SEGUE_MODEL:-}` in a compose file means it."""
        assert read(environ={"SEGUE_MODEL": "", "REDIS_URL": ""}) == Settings()

    def test_commented_out_block_is_empty(self, tmp_path: Path) -> None:
        """A block whose lines are all comments leaves the defaults."""
        assert read(file(tmp_path, "batch_processing_config:\n  # max_batch_size: 8\n")) == Settings()

    @pytest.mark.parametrize(
        "name", [name for name in NAMES if name is not PASSWORD_FILE], ids=lambda name: name.env
    )
    def test_every_setting_has_a_variable_and_a_flag(self, tmp_path: Path, name: Name) -> None:
        """Each setting can be given by its variable and by its flag, to the same effect."""
        other = {"batching_enabled": "false", "dynamic_batching": "no", "redis_url": "redis://:p@other:1/2"}
        other |= {"allow_insecure": "yes", "strict_redis": "on", "metrics_address": "localhost:1"}
        other |= {"models": "fast=tiny", "tenant_weights": "north=2"}
        other |= {"signing_keys_file": str(file(tmp_path, "one:" + "s" * 32))}
        value = other.get(name.flag) or ("DEBUG" if name.flag == "log_level" else None)
        value = value or (CHOICES[name.flag][-1] if name.flag in CHOICES else "3")
        by_variable, by_flag = read(environ={name.env: value}), read(**one(name.flag, value))
        assert by_variable == by_flag != Settings()

    def test_process_reads_its_own_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`load_settings` takes the variables of its process, and flags over them."""
        for name in NAMES:
            monkeypatch.delenv(name.env, raising=False)
        monkeypatch.delenv("SEGUE_CONFIG", raising=False)
        monkeypatch.setenv("SEGUE_MODEL", "environment")
        assert load_settings() == Settings(model="environment")
        assert load_settings(model="flag") == Settings(model="flag")


class TestLimits:
    @pytest.mark.parametrize(
        ("flag", "below", "low", "high", "above"), LIMITS, ids=[row[0] for row in LIMITS]
    )
    def test_limits_are_kept(
        self, flag: str, below: object, low: object, high: object, above: object
    ) -> None:
        """A setting takes its smallest and largest value and refuses what lies beyond, naming both."""
        assert value_of(read(**one(flag, low)), flag) == low
        assert value_of(read(**one(flag, high)), flag) == high
        for beyond in (below, above):
            (mistake,) = mistakes(**one(flag, beyond))
            assert mistake.startswith(f"flag --{flag.replace('_', '-')} is {beyond!r}"[:60])
            assert f"from {low} to" in mistake or f"of {len(str(low))} to" in mistake

    @pytest.mark.parametrize("flag", CHOICES)
    def test_choices_are_kept(self, flag: str) -> None:
        """A setting with choices takes each of them and nothing else, and names them."""
        for choice in CHOICES[flag]:
            assert value_of(read(**one(flag, choice)), flag) == choice
        (mistake,) = mistakes(**one(flag, "other"))
        others = ", or module:Class for one of your own" if flag == "engine" else ""
        assert mistake.endswith("expected one of " + ", ".join(CHOICES[flag]) + others)

    @pytest.mark.parametrize("name", ["embedder:Embedder", "a.b_c.d1:E_2", "größe:Maß"])
    def test_an_engine_of_ones_own_is_named_by_module_and_class(self, name: str) -> None:
        """For the worker, or for one of its models."""
        assert read(engine=name).engine == name
        models = {"one": {"model": "m", "engine": name}, "other": "n"}
        assert {one.engine for one in read(models=models).catalogue.values()} == {name, "faster-whisper"}

    @pytest.mark.parametrize(
        "name",
        ["embedder", "embedder:", ":E", "1a:B", "a:b:c", "a b:C", "a..b:C", "a.:b", "a:b.c", "/a:B", ""],
    )
    def test_other_names_of_engines_are_refused(self, name: str) -> None:
        """Likewise, and both say what there is."""
        (mistake,) = mistakes(engine=name)
        (of_model,) = mistakes(models={"one": {"model": "m", "engine": name}})
        assert f"engine is {name!r}: expected one of faster-whisper" in mistake
        assert f"models.one.engine is {name!r}: expected one of faster-whisper" in of_model

    @pytest.mark.parametrize("flag", SWITCHES)
    def test_switches_are_true_or_false(self, flag: str) -> None:
        """A switch is not a number."""
        assert value_of(read(**one(flag, "no")), flag) is False
        (mistake,) = mistakes(**one(flag, 2))
        assert mistake.endswith("is 2: expected true or false")

    @pytest.mark.parametrize("flag", [row[0] for row in LIMITS])
    @pytest.mark.parametrize("value", [True, [1], {"a": 1}, float("nan"), float("inf")], ids=repr)
    def test_other_types_are_refused(self, flag: str, value: object) -> None:
        """A number is neither a truth, a list, a mapping, not-a-number nor infinite; nor is a name."""
        assert len(mistakes(**one(flag, value))) == 1

    def test_key_file_without_keys_is_named(self, tmp_path: Path) -> None:
        """A worker that is to run signed requests only does not start without a key."""
        (mistake,) = mistakes(signing_keys_file=str(file(tmp_path, "")))
        assert mistake.endswith("holds no key")

    @pytest.mark.parametrize(
        ("where", "heard"),
        [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:1", ("0.0.0.0", 1))],  # noqa: S104
    )
    def test_metrics_have_an_address(self, where: str, heard: tuple[str, int]) -> None:
        """A host and a port; brackets around an address of many colons are no part of it."""
        assert parse_listening(read(metrics_address=where).metrics_address) == heard

    @pytest.mark.parametrize("where", ["9464", ":9464", "localhost", "localhost:", "here:65536", "here:x"])
    def test_metrics_address_is_whole(self, where: str) -> None:
        """Half an address is refused, with what a whole one looks like."""
        (mistake,) = mistakes(metrics_address=where)
        assert mistake == f"flag --metrics-address is {where!r}: expected {LISTENING}"

    def test_every_setting_is_tested(self) -> None:
        """The tables above cover every setting there is."""
        tested = (
            {row[0] for row in LIMITS} | set(CHOICES) | set(SWITCHES) | {"redis_url", "redis_password_file"}
        ) | {"signing_keys_file", "metrics_address", "models", "tenant_weights"}
        assert tested == {name.flag for name in NAMES}

    def test_largest_batch_of_one_needs_no_smallest(self) -> None:
        """Where batches hold one request, an idle engine waits for one, unless told otherwise."""
        assert read(max_batch_size=1).batching.min_batch_size == 1
        assert read(max_batch_size=2).batching.min_batch_size == 2
        (mistake,) = mistakes(max_batch_size=1, min_batch_size=2)
        assert mistake.endswith("expected a whole number from 1 to max_batch_size, which is 1")

    def test_level_may_be_lower_case(self) -> None:
        """The log level is read in either case."""
        assert read(log_level="warning").log_level == "WARNING"

    def test_window_is_also_known_in_seconds(self) -> None:
        """The window is milliseconds outside and seconds inside."""
        assert Batching(max_batch_wait_ms=250).max_batch_wait == 0.25


class TestTenantWeights:
    """What a tenant's share counts for, in each source."""

    def test_text_and_mapping_say_the_same(self, tmp_path: Path) -> None:
        """A variable or a flag says it in text, a file as a mapping."""
        config = file(tmp_path, "batch_processing_config:\n  tenant_weights: {north: 2, south: 0.5}\n")
        assert read(config=config).batching.tenant_weights == {"north": 2.0, "south": 0.5}
        assert read(config=config) == read(tenant_weights="north=2, south=0.5")

    @pytest.mark.parametrize(
        "weights", ["north", "north=", "north=no", "north=0", "north=101", "north=nan", "a b=1", 7, ["north"]]
    )
    def test_a_wrong_weight_is_named(self, weights: object) -> None:
        """Whatever is wrong with one of them, all are shown, and what they may be."""
        (mistake,) = mistakes(tenant_weights=weights)
        assert mistake == (
            f"flag --tenant-weights is {weights!r}: expected names of tenants with a weight from 0.01 to 100"
            " each, such as north=2, south=0.5"
        )


class TestModels:
    def test_one_model_is_a_catalogue_of_one(self) -> None:
        """`model` alone stays the simple way; the catalogue says on what it runs."""
        catalogue = read(model="tiny", device="cpu").catalogue
        assert [*catalogue] == ["tiny"]
        assert (catalogue["tiny"].model, catalogue["tiny"].device) == ("tiny", "cpu")

    def test_the_first_is_the_default(self) -> None:
        """Of several models the first is the default, unless `model` names another."""
        models = {"fast": "tiny", "quality": "large-v3"}
        assert read(models=models).model == "fast"
        assert read(models=models, model="quality").model == "quality"

    def test_a_model_may_differ_from_the_worker(self) -> None:
        """What a model says holds for it, what it leaves open is as the worker has it."""
        models = {"fast": "tiny", "quality": {"model": "large-v3", "device": "cuda", "compute_type": "int8"}}
        catalogue = read(models=models, device="cpu", audio_context="full").catalogue
        assert (catalogue["fast"].device, catalogue["fast"].compute_type) == ("cpu", "auto")
        assert (catalogue["quality"].device, catalogue["quality"].compute_type) == ("cuda", "int8")
        assert {one.audio_context for one in catalogue.values()} == {"full"}

    def test_file_and_variable_say_the_same(self, tmp_path: Path) -> None:
        """As a block in the file, or as text in a variable, and through JSON to another process."""
        config = file(tmp_path, "model: quality\nmodels:\n  fast: tiny\n  quality: Systran/x\n")
        by_file = read(config)
        assert by_file == read(
            environ={"SEGUE_MODELS": " fast=tiny,quality = Systran/x,", "SEGUE_MODEL": "quality"}
        )
        assert Settings.model_validate_json(by_file.model_dump_json()) == by_file

    @pytest.mark.parametrize(
        ("models", "said"),
        [
            ("tiny", "is 'tiny': expected names with a model each, such as fast=tiny, quality=small"),
            (["tiny"], "is ['tiny']: expected names with a model each"),
            (
                {"fa st": "tiny"},
                "expected a name of 1 to 64 letters, digits, '.', '_' or '-' for each, unlike 'fa st'",
            ),
            ({str(at): "tiny" for at in range(21)}, "expected at most 20 models, not 21"),
            ({"fast": ""}, ".fast.model is '': expected text of 1 to 500 characters"),
            ({"fast": 3}, ".fast is 3: expected a model, or a block of model, engine, device"),
            ({"fast": {"device": "cpu"}}, ".fast.model is missing: expected text of 1 to 500 characters"),
            (
                {"fast": {"model": "tiny", "modle": "x"}},
                ".fast.modle is unknown: expected one of model, engine",
            ),
            ({7: {"model": "tiny", "device": "gpu"}}, ".7.device is 'gpu': expected one of auto, cpu, cuda"),
        ],
    )
    def test_a_wrong_model_is_named(self, models: object, said: str) -> None:
        """By its place in the block, with the value and what would do."""
        (mistake,) = mistakes(models=models)
        assert mistake.startswith("flag --models")
        assert said in mistake

    def test_the_default_is_one_of_them(self, tmp_path: Path) -> None:
        """A default that is none of several models is a mistake, not one more model."""
        config = file(tmp_path, "model: small\nmodels: {fast: tiny, quality: small}\n")
        assert mistakes(config) == (
            f"file {config}: model is 'small': expected one of fast, quality, the names in models",
        )


class TestMistakes:
    def test_all_are_named_at_once(self, tmp_path: Path) -> None:
        """Each mistake is one line with its source, name, value and limit, whatever source it is in."""
        config = file(
            tmp_path, "device: gpu\ncolour: red\nbatch_processing_config:\n  max_batch_wait_ms: soon\n"
        )
        environ = {"SEGUE_MAX_BATCH_SIZE": "0", "SEGUE_MAX_BATCH_SIZ": "4", "REDIS_PASSWORD_FILE": "/nowhere"}
        assert sorted(mistakes(config, environ, retry_delay=-1, speed=9)) == [
            "environment REDIS_PASSWORD_FILE is '/nowhere', which cannot be read: No such file or directory",
            "environment SEGUE_MAX_BATCH_SIZ is unknown: did you mean SEGUE_MAX_BATCH_SIZE?",
            "environment SEGUE_MAX_BATCH_SIZE is '0': expected a whole number from 1 to 256",
            f"file {config}: batch_processing_config.max_batch_wait_ms is 'soon':"
            " expected a whole number from 0 to 60000",
            f"file {config}: colour is unknown: docs/settings.md lists the names there are",
            f"file {config}: device is 'gpu': expected one of auto, cpu, cuda",
            "flag --retry-delay is -1: expected seconds from 0 to 3600",
            "flag --speed is unknown: docs/settings.md lists the names there are",
        ]

    def test_a_mistake_that_explains_another_stands_alone(self) -> None:
        """A wrong largest batch does not also accuse the smallest, which nobody gave."""
        assert len(mistakes(max_batch_size=0)) == 1

    @pytest.mark.parametrize("variable", ["SEGUE_MODLE", "segue_model", "SEGUE_BATCHING", "SEGUE_"])
    def test_unknown_variables_are_refused(self, variable: str) -> None:
        """A variable with our prefix, in any case, that is no setting is a mistake; others are not ours."""
        assert len(mistakes(environ={variable: "x", "PATH": "/bin", "REDIS_HOST": "x"})) == 1

    @pytest.mark.parametrize(
        "content",
        ["max_batch_size: 4", "batching: {}", "batch_processing_config: {size: 4}", "fake: 7", "1: 2"],
    )
    def test_unknown_names_in_the_file_are_refused(self, tmp_path: Path, content: str) -> None:
        """A name at the wrong place, an unknown one, and a block that is none are mistakes."""
        (mistake,) = mistakes(file(tmp_path, content))
        assert "is unknown" in mistake

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.yaml", "model: [S3CRET", "is not YAML near line 1"),
            ("a.yaml", "redis_url: *S3CRET", "is not YAML near line 1"),
            ("a.yaml", "model: \x01", "is not YAML"),
            ("a.yaml", "model: 2026-99-99", "is not YAML"),
            ("a.yaml", "- S3CRET", "holds no names and values"),
            ("a.toml", "model = ", "is not TOML"),
            ("a.json", "{}", "ends in none of .yaml, .yml, .toml"),
        ],
    )
    def test_unreadable_file_is_named_and_not_quoted(
        self, tmp_path: Path, name: str, content: str, said: str
    ) -> None:
        """What is wrong with a file is said without quoting it, and beside all other mistakes."""
        first, second = mistakes(file(tmp_path, content, name), device="gpu")
        assert said in first
        assert "S3CRET" not in first
        assert second.startswith("flag --device")

    def test_file_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        """Neither format accepts bytes that are not UTF-8."""
        for name in ("a.toml", "a.yaml"):
            (tmp_path / name).write_bytes(b"model = '\xff'")
            (mistake,) = mistakes(tmp_path / name)
            assert "is not" in mistake

    def test_missing_file_is_a_mistake(self, tmp_path: Path) -> None:
        """A settings file that was named has to exist."""
        (mistake,) = mistakes(tmp_path / "none.yaml")
        assert mistake.endswith("cannot be read: No such file or directory")


class TestRedis:
    @pytest.mark.parametrize(
        "url",
        [
            "redis://localhost",
            "redis://127.0.0.2:1/15",
            "rediss://u:p%40@h:65535/",
            "redis://[::1]:6379/0",
            "rediss://:p@h?ssl_ca_certs=pyproject.toml",
            "redis+sentinel://:p@a,b:1,[::1]:2/3?master=m",
        ],
    )
    def test_addresses_are_accepted(self, url: str) -> None:
        """An address of Redis is taken as it is."""
        assert read(redis_url=url).redis_url == url

    @pytest.mark.parametrize(
        "url",
        [
            "http://h",
            "h:6379",
            "redis://",
            "redis://h:0",
            "redis://h:65536",
            "redis://h:x",
            "redis://h/zero",
            "redis://h/-1",
            "redis://h/0#1",
            "redis://h/0 ",
            "redis://a b/0",
            "redis://h/0\n",
            "redis://[::1",
            "redis://:pa/ss@h",
            "redis://h?timeout=1",
            "redis://a,b",
            "redis://h?ssl_ca_certs=ca.pem",
            "rediss://h?ssl_cert_reqs=optional",
            "rediss://h?ssl_check_hostname=perhaps",
            "redis+sentinel://h",
            "redis+sentinel://h?master=",
            "redis+sentinel://h,?master=m",
        ],
    )
    def test_other_addresses_are_refused(self, url: str) -> None:
        """What redis-py or Celery would misread is refused before they see it."""
        (mistake,) = mistakes(redis_url=url)
        assert "expected" in mistake

    @pytest.mark.parametrize("secret", ["S3CRET", "S3CRET p@:/?#%+\"' ü"])
    def test_password_comes_from_its_file(self, tmp_path: Path, secret: str) -> None:
        """The content of the file becomes the password, whatever characters it has."""
        environ = {
            "REDIS_URL": "redis://user:old@h:7/3",
            "REDIS_PASSWORD_FILE": str(file(tmp_path, secret + "\n", "s")),
        }
        with redis.Redis.from_url(read(environ=environ).redis_url) as client:
            understood = client.get_connection_kwargs()
        assert {name: understood[name] for name in ("username", "password", "host", "port", "db")} == {
            "username": "user",
            "password": secret,
            "host": "h",
            "port": 7,
            "db": 3,
        }

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
    def test_password_file_must_hold_one(self, tmp_path: Path, content: bytes) -> None:
        """An empty password file, or one that is not text, is a mistake."""
        (tmp_path / "s").write_bytes(content)
        (mistake,) = mistakes(redis_password_file=tmp_path / "s")
        assert mistake.startswith("flag --redis-password-file is ")

    def test_password_is_never_shown(self, tmp_path: Path) -> None:
        """Neither `repr`, `str`, nor the report shows it, wherever it comes from."""
        secret = str(file(tmp_path, "S3CRET", "s"))
        for loaded in (
            load(None, flags={}, environ={"REDIS_URL": "redis://u:S3CRET@h"}),
            load(None, flags={}, environ={"REDIS_URL": "redis://S3CRET@localhost"}),
            load(
                None,
                flags={},
                environ={"REDIS_URL": "redis+sentinel://localhost?sentinel_password=S3CRET&master=m"},
            ),
            load(None, flags={}, environ={"REDIS_PASSWORD_FILE": secret}),
        ):
            assert "S3CRET" in loaded.settings.redis_url
            shown = f"{loaded} {loaded.settings} {loaded.settings!r} {list(loaded.shown())}"
            assert "S3CRET" not in shown

    @pytest.mark.parametrize(
        "url",
        [
            "redis://:S3CRET@h:99999",
            "redis://u:a@S3CRET/@h",
            "redis://u:a/S3CRET@h",
            "http://u:S3CRET@h",
            ":S3CRET@h",
            "S3CRET",
            ["S3CRET"],
            {"password": "S3CRET"},
            "redis://h/x?password=S3CRET",
        ],
    )
    def test_password_is_not_shown_in_mistakes_either(self, url: object) -> None:
        """A wrong address is named without its password, however wrong it is."""
        with pytest.raises(SettingsError) as raised:
            read(redis_url=url)
        assert "S3CRET" not in str(raised.value)
        with pytest.raises(ValidationError) as direct:
            Settings.model_validate({"redis_url": url})
        assert "S3CRET" not in str(direct.value)

    def test_address_stays_recognisable_without_its_password(self) -> None:
        """User, host and database are still shown."""
        assert without_password("redis://u:S3CRET@h:1/2") == "redis://u:***@h:1/2"
        assert without_password("redis://h:1/2") == "redis://h:1/2"


class TestShape:
    def test_settings_survive_the_way_to_another_process(self, tmp_path: Path) -> None:
        """As JSON and back, the settings are equal, password included."""
        settings = read(
            redis_url="redis://h:1/2",
            redis_password_file=file(tmp_path, "S3CRET", "s"),
            max_batch_size=1,
            model="demo",
        )
        copy = Settings.model_validate_json(settings.model_dump_json())
        assert copy == settings
        assert copy.redis_url == "redis://:S3CRET@h:1/2"

    def test_settings_cannot_be_changed(self) -> None:
        """Settings are read once and stay; so do their blocks."""
        settings = Settings()
        with pytest.raises(ValidationError):
            settings.model = "other"  # type: ignore[misc]
        with pytest.raises(ValidationError):
            settings.batching.enabled = False  # type: ignore[misc]

    def test_unknown_fields_are_refused(self) -> None:
        """Code that misspells a setting is told so, too."""
        with pytest.raises(ValidationError):
            Settings.model_validate({"modle": "demo"})


class TestDocuments:
    def test_every_setting_is_documented(self) -> None:
        """The table in docs/settings.md has exactly our names, variables, defaults and limits."""
        rows = [
            [cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for line in DOCS.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")
        ]
        documented = {tuple(row[:4]) for row in rows}
        assert documented == {(name.file, name.env, shown(name.default), name.expected) for name in NAMES}
        assert all(row[4] for row in rows)

    def test_example_holds_every_default(self) -> None:
        """The example file names every setting, each with its default."""
        loaded = load(EXAMPLE, flags={}, environ={})
        assert loaded.settings == Settings()
        assert set(loaded.given) | {PASSWORD_FILE.path} == {name.path for name in NAMES}


def shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
