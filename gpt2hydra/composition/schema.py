"""Make and register the schema (Hydra: structured config) of each configuration class.

Hydra merges YAML into mutable dataclasses; ours are frozen. So a schema is a mutable copy, derived from the
fields of the class: names, types, defaults and formulas are declared only there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from gpt2hydra.composition.hydra_compat import register_resolver, store_config
from gpt2hydra.config.declaration import is_identifier
from gpt2hydra.config.errors import ABSENT
from gpt2hydra.config.gpt2 import CONF_DIR, GPT2Config
from gpt2hydra.config.keys import default_of, fields_of, is_open, section_classes
from gpt2hydra.config.run import GenerateConfig, HardwareConfig, TokenizerConfig, TrainConfig
from gpt2hydra.config.sections import class_by_name, qualified_name
from gpt2hydra.config.validation import Checked, check_declaration
from gpt2hydra.config.value_rules import Rule
from gpt2hydra.utils.immutable import thaw

ROOTS: dict[str, type[Checked]] = {"train_schema": TrainConfig, "generate_schema": GenerateConfig}
"""Name in a defaults list → configuration class; see :func:`register` for two classes with one name."""

GROUPS: dict[str, type[Checked]] = {"model": GPT2Config, "tokenizer": TokenizerConfig, "hardware": HardwareConfig}
"""Folder of ``conf/`` → class of its files. Any application may list them: ``gpt2/model@encoder: small``."""

_NAMES: dict[type[Checked], list[str]] = {config_class: [name] for name, config_class in ROOTS.items()}

_SCHEMAS: dict[type[Checked], type] = {}


# ----------------------------------------------------------------------------------------------- a schema and its class


def schema_of(config_class: type[Any]) -> type:
    """Return the schema of ``config_class``: the mutable dataclass into which Hydra composes."""
    if config_class in _SCHEMAS:
        return _SCHEMAS[config_class]
    check_declaration(config_class)
    specs = [(field.name, *_hydra_field(config_class, field)) for field in fields_of(config_class) if is_identifier(field.name)]
    name = config_class.__name__.removesuffix("Config") + "Schema"
    schema: Any = dataclasses.make_dataclass(name, specs, bases=(_Schema,), repr=False, eq=False)  # faster to make
    schema.__doc__, schema.config_class = config_class.__doc__, config_class
    if config_class.__module__ == "__main__":  # launchers pickle it by value, like the class
        schema.__module__ = "__main__"
    else:  # launchers pickle it by name; __getattr__ makes it again
        schema.__module__, schema.__qualname__ = __name__, qualified_name(config_class).replace(".", "/")
    register_resolvers(config_class)
    return _SCHEMAS.setdefault(config_class, schema)


def _hydra_field(config_class: type[Any], field: dataclasses.Field[Any]) -> tuple[Any, Any]:
    """Return the type and the default of a field in the schema."""
    optional = bool(field.metadata.get("optional"))
    if "section" in field.metadata:
        nested = field.metadata["section"]
        if optional:  # OmegaConf 2.3 cannot merge a mapping into a typed null
            return Any, None
        # a model must always be chosen; it has no default
        default = MISSING if issubclass(nested, GPT2Config) else dataclasses.field(default_factory=partial(node_of, nested))
        return schema_of(nested), default
    if "variants" in field.metadata:  # the keys are unknown before the discriminator
        return Any, None if optional else dataclasses.field(
            default_factory=partial(OmegaConf.create, {}, flags={"struct": False})
        )
    if "computed" in field.metadata:
        inputs = ",".join(f"${{.{name}}}" for name in field.metadata["inputs"])
        return Any, f"${{{_resolver(config_class, field)}:{inputs}}}"
    value = default_of(field)
    if value is ABSENT:
        return _hydra_type(field.metadata["rule"]), MISSING
    mutable = isinstance(value, (tuple, Mapping))
    return _hydra_type(field.metadata["rule"]), dataclasses.field(default_factory=partial(thaw, value)) if mutable else value


def node_of(config_class: type[Any]) -> Any:
    """Return the schema of a class for the ConfigStore; a node without struct mode if it has open keys."""
    schema = schema_of(config_class)
    others = [field for field in fields_of(config_class) if not is_identifier(field.name)]
    if not (others or is_open(config_class)):
        return schema
    node = OmegaConf.structured(schema, flags={"struct": False})
    for field in others:  # names that are not identifiers
        _, value = _hydra_field(config_class, field)
        made: Any = getattr(value, "default_factory", lambda value=value: value)
        node[field.name] = made()
    return node


class _SchemaType(type):
    """Metaclass: the schema of a base class counts as a subclass of the schema of a derived class.

    OmegaConf merges a typed node only into the same or a derived type. With this, ``gpt2/model: small`` may
    be chosen for a section whose class derives from ``GPT2Config``.
    """

    def __subclasscheck__(cls, other: type) -> bool:
        mine, theirs = getattr(cls, "config_class", None), getattr(other, "config_class", None)
        return super().__subclasscheck__(other) or (mine is not None and theirs is not None and issubclass(mine, theirs))


class _Schema(metaclass=_SchemaType):
    """Base of all schemas."""


def __getattr__(name: str) -> Any:
    """Make the schema that a launcher's process unpickles by name: ``my/app:Finetune``."""
    if ":" not in name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return schema_of(class_by_name(name.replace("/", ".")))


def class_of_schema(config: DictConfig) -> type[Checked] | None:
    """Return the class of the schema of a config or of a part of one; None if it has no schema of ours."""
    return getattr(OmegaConf.get_type(config), "config_class", None)


def known_classes() -> list[type[Checked]]:
    """Return the classes of all programs and of our groups."""
    return [*ROOTS.values(), *_NAMES, *GROUPS.values()]


def _hydra_type(rule: Rule) -> Any:
    if rule.kind not in (int, float, str):
        return Any  # OmegaConf would convert 5 to True; the rule is stricter
    return Optional[rule.kind] if rule.optional else rule.kind


# ---------------------------------------------------------------------------------------------------- computed values


def register_resolvers(config_class: type[Checked]) -> None:
    """Register the resolvers of computed fields of this class and its sections, such as ``gpt2.n_inner``."""
    for field in fields_of(config_class):
        for nested in section_classes(field):
            register_resolvers(nested)
        if "computed" in field.metadata:
            register_resolver(_resolver(config_class, field), _none_on_error(field.metadata["computed"]))


def _resolver(config_class: type[Checked], field: dataclasses.Field[Any]) -> str:
    """Return the name of a computed field's resolver, with the declaring class if that is not ours."""
    declares = [each for each in config_class.__mro__ if vars(each).get("__dataclass_fields__", {}).get(field.name) is field]
    home = f"{declares[-1].__module__}.{declares[-1].__qualname__}."
    return "gpt2." + ("" if home.startswith("gpt2hydra.") else re.sub(r"[^\w.]", "", home, flags=re.ASCII)) + field.name


def _none_on_error(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``formula``, but with result None for invalid inputs, because their own rules report them."""

    def compute(*inputs: Any) -> Any:
        try:
            return formula(*inputs)
        except Exception:
            return None

    return compute


# ------------------------------------------------------------------------------------------------------- registration


def register(config_class: type[Checked], config_name: str) -> None:
    """Make ``config_class`` the class of the primary config ``config_name``: ``<config_name>_schema``.

    ``train`` and ``generate`` stay ours. For other names the last class is used, because a notebook may
    declare a class again.

    Raises:
        TypeError: the class is declared wrongly.
    """
    check_declaration(config_class)
    name = f"{config_name}_schema"
    if ROOTS.get(name) not in (TrainConfig, GenerateConfig):
        ROOTS[name] = config_class
    names = _NAMES.setdefault(config_class, [])
    if name not in names:
        names.append(name)


def register_schemas(config_class: type[Checked] | None = None, config_name: str = "") -> None:
    """Store the schemas of primary configs in Hydra.

    If two classes have one name, ``config_class`` gets it.
    """
    schemas = dict(ROOTS)
    if config_class is not None and config_class.HAS_SCHEMA:
        schemas |= dict.fromkeys(schema_names(config_class, config_name), config_class)
    for name, each in schemas.items():
        stored = ConfigStore.instance().repo.get(f"{name}.yaml")
        if stored is None or class_of_schema(stored.node) is not each:
            store_config(name, node_of(each))


def schema_names(config_class: type[Checked], config_name: str) -> list[str]:
    """Return the names of the schema of ``config_class`` in defaults lists."""
    return _NAMES.get(config_class, [f"{config_name}_schema"])


def inherits_groups(config_class: type[Checked] | None) -> bool:
    """Return whether a program has the groups of our ``conf/``: its class derives from one of ours."""
    return config_class is not None and issubclass(config_class, (TrainConfig, GenerateConfig))


def file_of_option(config_path: str) -> str | None:
    """Return the file of an option of our groups such as ``gpt2/model/large``; None for another config."""
    top, _, path = config_path.removesuffix(".yaml").partition("/")
    file = CONF_DIR / f"{path}.yaml"
    return str(file) if top == "gpt2" and path.partition("/")[0] in GROUPS and file.is_file() else None


def register_groups() -> None:
    """Store ``gpt2/model``, ``gpt2/tokenizer``, ``gpt2/hardware`` in Hydra; skip files that cannot be read."""
    for group, config_class in GROUPS.items():
        for file in (CONF_DIR / group).glob("*.yaml"):
            with contextlib.suppress(Exception):  # OmegaConf and PyYAML may raise anything
                node = OmegaConf.merge(OmegaConf.structured(schema_of(config_class)), OmegaConf.load(file))
                OmegaConf.set_struct(node, False)  # allows _target_; validation rejects other keys
                store_config(file.stem, node, f"gpt2/{group}")


def register_configs() -> None:
    """Register our typed groups for another Hydra application, with an option for each file of ``conf/``.

    ``gpt2/model``, ``gpt2/tokenizer`` and ``gpt2/hardware`` can be used for any sections::

        defaults:
          - gpt2/model@model: large           # config.model, typed; instantiate(config.model) is a GPT2Config
          - gpt2/model@encoder: small

    A program with :func:`gpt2hydra.main` has them without this call. If its class derives from ``TrainConfig`` or
    ``GenerateConfig``, our folders are groups too (``model: large``), after the files of its own ``conf/``.
    """
    register_schemas()
    register_groups()
