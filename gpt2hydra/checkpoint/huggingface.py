"""Convert GPT2Config to and from the ``config.json`` of Hugging Face. Standard library only.

The keys are those of transformers (``transformers/models/gpt2/configuration_gpt2.py``): OpenAI's and ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpt2hydra.config.errors import ABSENT, ConfigError, Source, Violation
from gpt2hydra.config.gpt2 import GPT2Config
from gpt2hydra.config.keys import TARGET_KEYS, fields_of, values_of
from gpt2hydra.config.strict_json import read_json
from gpt2hydra.config.validation import check
from gpt2hydra.utils.formatting import format_value
from gpt2hydra.utils.paths import user_path

MAX_CONFIG_BYTES = 1_000_000
"""Bytes. The config.json of a GPT-2 has about 700; a larger file is not one."""

GELU_NAMES = ("gelu_new", "gelu_pytorch_tanh")
"""Two names of one function, GPT-2's tanh approximation; for the second, PyTorch has a single kernel."""

_INNER_WIDTH_FORMULA = next(field.metadata["doc"] for field in fields_of(GPT2Config) if field.name == "n_inner")
"""Our formula as text."""

_SHAPE_KEYS = tuple(field.name for field in fields_of(GPT2Config) if field.init)

_FIELD_KEYS = {field.name for field in fields_of(GPT2Config)}

_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "n_ctx": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
"""Other keys that transformers, in any version, reads as a field of the shape."""

_FIXED_VALUES: dict[str, tuple[tuple[Any, ...], str]] = {
    "model_type": (("gpt2",), "must be gpt2"),
    "activation_function": (GELU_NAMES, "must be gelu_new or gelu_pytorch_tanh, two names of GPT-2's activation"),
    "tie_word_embeddings": ((True,), "must be true: the output layer is the token embedding"),
    "scale_attn_weights": ((True,), "must be true: attention is scaled by 1/sqrt(head_dim)"),
    "scale_attn_by_inverse_layer_idx": ((False,), "must be false: no other scaling by layer"),
    "reorder_and_upcast_attn": ((False,), "must be false: precision is a setting of the run, not of the shape"),
    "add_cross_attention": ((False,), "must be false: there is no encoder to attend to"),
    "is_encoder_decoder": ((False,), "must be false: GPT-2 is only a decoder"),
    "pruned_heads": (({}, None), "must be empty: every layer has n_head heads"),
    "quantization_config": ((None,), "must be absent: weights are floating-point numbers"),
    "auto_map": (({}, None), "must be absent: code that comes with a checkpoint is never run"),
}
"""Key → the values that this package's GPT-2 allows, the default of an absent key first; and the rule."""


def to_hf(config: GPT2Config, end_of_text: int | None = None) -> dict[str, Any]:
    """The content of a ``config.json`` from which transformers and compatible readers build the same model.

    ``n_ctx`` repeats ``n_positions`` for old readers, ``n_inner: null`` means 4·n_embd to all of them, and
    the activation has its oldest name, ``gelu_new``.

    Args:
        end_of_text: token that begins and ends a text. The default is GPT-2's 50256, or the last token if
            there are fewer.

    Raises:
        ConfigError: the end of text is no token, or the class has fields that transformers' GPT-2 lacks.
    """
    dropped = {key: value for key, value in values_of(config).items() if key not in _FIELD_KEYS and key not in TARGET_KEYS}
    if dropped:
        rule = "would be lost: a config.json of GPT-2 has no such key"
        raise ConfigError(Violation(key, value, rule) for key, value in dropped.items())
    if end_of_text is None:
        end_of_text = min(50256, config.vocab_size - 1)
    if not 0 <= end_of_text < config.vocab_size:
        rule = f"must be a token: ≥ 0 and < vocab_size = {config.vocab_size:,}"
        raise ConfigError([Violation("end_of_text", end_of_text, rule)])
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        **{name: getattr(config, name) for name in _SHAPE_KEYS},
        "n_ctx": config.n_positions,
        "n_inner": None if config.n_inner == _null_inner_width(config.n_embd) else config.n_inner,
        "activation_function": "gelu_new",
        "initializer_range": 0.02,  # OpenAI's, gpt-2/src/model.py
        "scale_attn_weights": True,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
    }


def from_hf(source: Mapping[str, Any] | str | Path) -> GPT2Config:
    """The shape that a Hugging Face config describes.

    Args:
        source: the content of a ``config.json``, its path, or the path of its folder.

    Keys that do not change what a GPT-2 computes (``summary_*``, ``task_specific_params``,
    ``transformers_version``, ...) are ignored. Absent keys take transformers' defaults, which are ours.

    Raises:
        ConfigError: with everything that our GPT-2 cannot express, or the reason why the file cannot be read.
    """
    if isinstance(source, Mapping):
        return _parse_shape(source, None)
    file = user_path(source)
    file = file / "config.json" if file.is_dir() else file
    return _parse_shape(read_json(file, MAX_CONFIG_BYTES), Source("file", str(file)))


def _parse_shape(given: Mapping[str, Any], source: Source | None) -> GPT2Config:
    shape = {name: given[name] for name in _SHAPE_KEYS if name in given}
    violations = [*_check_fixed_values(given), *_check_spelling(given)]
    for alias, name in _ALIASES.items():
        if alias not in given:
            continue
        if not _is_same(shape.setdefault(name, given[alias]), given[alias]):
            violations.append(Violation(alias, given[alias], f"must agree with {name} = {format_value(shape[name])}"))
    found = check(GPT2Config, shape)
    violations = [*found.violations, *violations]
    inner = given.get("n_inner")
    if inner is None and "n_embd" in found.values:
        inner = _null_inner_width(found.values["n_embd"])
    if inner is not None and not _is_same(inner, found.values.get("n_inner", inner)):
        violations.append(Violation("n_inner", inner, f"must be null or {_INNER_WIDTH_FORMULA} = {found.values['n_inner']}"))
    if violations:
        raise ConfigError(replace(each, source=source) for each in violations)
    return GPT2Config(**shape)


def _null_inner_width(n_embd: int) -> int:
    """Return the MLP's width that ``n_inner: null`` means to every reader (transformers, ``GPT2MLP``)."""
    return 4 * n_embd


def _check_fixed_values(given: Mapping[str, Any]) -> list[Violation]:
    """The violations of keys with another model's value. ``model_type`` is required; others have defaults."""
    violations = []
    for key, (allowed, rule) in _FIXED_VALUES.items():
        value = given.get(key, ABSENT if key == "model_type" else allowed[0])
        if not any(_is_same(value, each) for each in allowed):
            violations.append(Violation(key, value, rule))
    return violations


def _check_spelling(given: Mapping[str, Any]) -> list[Violation]:
    """The violations of unknown keys that look like a misspelt field. Other readers ignore them."""
    known = {*_SHAPE_KEYS, *_ALIASES, *_FIXED_VALUES, "n_inner"}
    violations = []
    for key in given:
        near = difflib.get_close_matches(str(key), _SHAPE_KEYS, n=1, cutoff=0.85)
        if near and key not in known:
            violations.append(Violation(str(key), given[key], f"unknown key; did you mean {near[0]}?"))
    return violations


def _is_same(one: object, other: object) -> bool:
    """Whether type and value are equal: Python's ``True == 1`` is not enough."""
    return type(one) is type(other) and one == other
