"""GPT2Config to and from the ``config.json`` of Hugging Face. Standard library only.

The names are transformers' own (``transformers/models/gpt2/configuration_gpt2.py``), which are OpenAI's and
ours.
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
from gpt2hydra.utils.formatting import show
from gpt2hydra.utils.paths import user_path

LARGEST_CONFIG = 1_000_000
"""Bytes. A GPT-2's config.json has about 700; more than this is not one."""

GELU = ("gelu_new", "gelu_pytorch_tanh")
"""Two names of one function, GPT-2's tanh approximation; the second is PyTorch's single kernel for it."""

_INNER_WIDTH = next(field.metadata["doc"] for field in fields_of(GPT2Config) if field.name == "n_inner")
"""The formula in words; it is also what null means to all who read such a file."""

_SHAPE = tuple(field.name for field in fields_of(GPT2Config) if field.init)

_KEYS = {field.name for field in fields_of(GPT2Config)}

_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "n_ctx": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
"""Other names under which transformers, past and present, reads a field of the shape."""

_FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    "model_type": (("gpt2",), "must be gpt2"),
    "activation_function": (GELU, "must be gelu_new or gelu_pytorch_tanh, two names of GPT-2's activation"),
    "tie_word_embeddings": ((True,), "must be true: the output layer is the token embedding"),
    "scale_attn_weights": ((True,), "must be true: attention is scaled by 1/sqrt(head_dim)"),
    "scale_attn_by_inverse_layer_idx": ((False,), "must be false: no other scaling by layer"),
    "reorder_and_upcast_attn": ((False,), "must be false: precision is a setting of the run, not of the shape"),
    "add_cross_attention": ((False,), "must be false: there is no encoder to attend to"),
    "is_encoder_decoder": ((False,), "must be false: GPT-2 is a decoder alone"),
    "pruned_heads": (({}, None), "must be empty: every layer has n_head heads"),
    "quantization_config": ((None,), "must be absent: weights are floating-point numbers"),
    "auto_map": (({}, None), "must be absent: code that comes with a checkpoint is never run"),
}
"""Key → the values of this package's GPT-2, the first one where it is absent, and the rule in words."""


def to_hf(config: GPT2Config, end_of_text: int | None = None) -> dict[str, Any]:
    """The content of a ``config.json`` from which transformers and others build the same model.

    ``n_ctx`` repeats ``n_positions`` for old readers, ``n_inner: null`` means 4·n_embd to all of them, and
    the activation bears its oldest name, ``gelu_new``.

    Args:
        end_of_text: token that begins and ends a text. The default is GPT-2's 50256, or the last one if there
            are fewer.

    Raises:
        ConfigError: the end of text is no token, or the class has fields that a GPT-2 of transformers has
            not.
    """
    dropped = {key: value for key, value in values_of(config).items() if key not in _KEYS and key not in TARGET_KEYS}
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
        **{name: getattr(config, name) for name in _SHAPE},
        "n_ctx": config.n_positions,
        "n_inner": None if config.n_inner == 4 * config.n_embd else config.n_inner,
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
        source: the content of a ``config.json``, its path, or the path of the folder that holds it.

    Keys that no GPT-2 computes with (``summary_*``, ``task_specific_params``, ``transformers_version``, ...)
    are passed over, absent ones take transformers' defaults, which are ours.

    Raises:
        ConfigError: naming everything that our GPT-2 cannot express, or why the file cannot be read.
    """
    if isinstance(source, Mapping):
        return _shape(source, None)
    file = user_path(source)
    file = file / "config.json" if file.is_dir() else file
    return _shape(read_json(file, LARGEST_CONFIG), Source("file", str(file)))


def _shape(given: Mapping[str, Any], source: Source | None) -> GPT2Config:
    shape = {name: given[name] for name in _SHAPE if name in given}
    violations = [*_unlike_gpt2(given), *_misspelt(given)]
    for alias, name in _ALIASES.items():
        if alias not in given:
            continue
        if not _same(shape.setdefault(name, given[alias]), given[alias]):
            violations.append(Violation(alias, given[alias], f"must agree with {name} = {show(shape[name])}"))
    found = check(GPT2Config, shape)
    violations = [*found.violations, *violations]
    inner = given.get("n_inner")
    if inner is not None and not _same(inner, found.values.get("n_inner", inner)):
        violations.append(Violation("n_inner", inner, f"must be null or {_INNER_WIDTH} = {found.values['n_inner']}"))
    if violations:
        raise ConfigError(replace(each, source=source) for each in violations)
    return GPT2Config(**shape)


def _unlike_gpt2(given: Mapping[str, Any]) -> list[Violation]:
    """What makes this another model than GPT-2. ``model_type`` must be there: all else has a default."""
    violations = []
    for key, (allowed, rule) in _FIXED.items():
        value = given.get(key, ABSENT if key == "model_type" else allowed[0])
        if not any(_same(value, each) for each in allowed):
            violations.append(Violation(key, value, rule))
    return violations


def _misspelt(given: Mapping[str, Any]) -> list[Violation]:
    """Keys that readers would pass over, so near to a field that they must have been meant for it."""
    known = {*_SHAPE, *_ALIASES, *_FIXED, "n_inner"}
    violations = []
    for key in given:
        near = difflib.get_close_matches(str(key), _SHAPE, n=1, cutoff=0.85)
        if near and key not in known:
            violations.append(Violation(str(key), given[key], f"unknown key; did you mean {near[0]}?"))
    return violations


def _same(one: object, other: object) -> bool:
    """Equal, and not only because Python takes ``True`` for 1."""
    return type(one) is type(other) and one == other
