"""JSON Schema (2020-12) of a configuration class, for editors: its rules and texts. Standard library only.

``${other.key}`` and ``???`` are allowed in place of any value. ``markdownDescription`` and
``patternErrorMessage`` are read by the language servers of editors; validators ignore keys that JSON Schema
does not define.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gpt2hydra.config.keys import doc_of, fields_of, is_open, section_classes
from gpt2hydra.config.sections import Section
from gpt2hydra.config.value_rules import Either, Items, MappingOf, Rule, Scalar
from gpt2hydra.utils.formatting import format_value
from gpt2hydra.utils.immutable import thaw

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

REFERENCE_PATTERN = r"\$\{.+\}|^\?\?\?$"
"""A pattern of the texts that may replace any value: OmegaConf's interpolation, or 'must be given'."""

REFERENCE_SCHEMA: Schema = {"type": "string", "pattern": REFERENCE_PATTERN}

JSON_TYPES: Mapping[type, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}


def allow_reference(schema: Schema, rule: str) -> Schema:
    """Allow a reference besides the values of ``schema``. No ``anyOf``, so that editors name the rule."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    message = f"must be {rule}; or ${{another.key}}"
    return {**schema, "type": [*kinds, "string"], "pattern": REFERENCE_PATTERN, "patternErrorMessage": message}


def schema_of_rule(rule: Rule, definitions: dict[str, Schema]) -> Schema:
    """The schema of the values that obey ``rule``, and of references."""
    schema = _schema_without_null(rule, definitions)
    if rule.kind is str and not rule.choices:
        return {"type": ["string", "null"]} if rule.optional else schema
    if "type" not in schema:  # several kinds, or a few values
        return {"anyOf": [schema, *([{"type": "null"}] if rule.optional else []), REFERENCE_SCHEMA]} if schema else {}
    if rule.optional:
        schema = {**schema, "type": [*([schema["type"]] if isinstance(schema["type"], str) else schema["type"]), "null"]}
    return allow_reference(schema, str(rule))


def _schema_without_null(rule: Rule, definitions: dict[str, Schema]) -> Schema:
    """The schema of the values except null and references."""
    if isinstance(rule, Items):
        lengths = {"minItems": rule.at_least or None, "maxItems": rule.at_most}
        return {"type": "array", "items": schema_of_rule(rule.element, definitions), **_without_none(lengths)}
    if isinstance(rule, MappingOf):
        return {"type": "object", "additionalProperties": schema_of_rule(rule.element, definitions)}
    if isinstance(rule, Either):
        return {"anyOf": [_schema_without_null(each, definitions) for each in rule.alternatives]}
    if isinstance(rule, Section):
        return reference_to(rule.config_class, definitions)
    if rule.choices:
        return {"enum": [*rule.choices]}
    if not isinstance(rule, Scalar):
        return {}
    limits = {"minimum": rule.at_least, "exclusiveMinimum": rule.above, "maximum": rule.at_most}
    return {"type": JSON_TYPES[rule.kind], **_without_none(limits)}


def _without_none(limits: Mapping[str, Any]) -> Schema:
    return {key: each for key, each in limits.items() if each is not None}


def reference_to(config_class: type[Any], definitions: dict[str, Schema]) -> Schema:
    """A reference to the schema of a class, which is added to ``definitions``."""
    name = definition_name(config_class)
    if name not in definitions:
        definitions[name] = {}  # keeps its position before those of its sections
        definitions[name] = schema_of_class(config_class, definitions)
    return {"$ref": f"#/$defs/{name}"}


def definition_name(config_class: type[Any]) -> str:
    """The name of a class in ``$defs``: one for each value of its discriminator, if it has one."""
    values = [each.metadata["rule"].choices for each in fields_of(config_class) if each.metadata.get("discriminates")]
    return "-".join([config_class.__name__, *(str(value) for choices in values for value in choices)])


def schema_of_field(field: dataclasses.Field[Any], definitions: dict[str, Schema]) -> Schema:
    """The schema of one field: its values, description and default."""
    doc = field.metadata.get("doc", "")
    if nested := section_classes(field):
        schemas = [reference_to(each, definitions) for each in nested]
        if len(schemas) == 1 and not field.metadata.get("optional"):
            return {**schemas[0], "description": doc}
        return {"anyOf": [*schemas, *([{"type": "null"}] if field.metadata.get("optional") else [])], "description": doc}
    rule: Rule = field.metadata["rule"]
    schema = {**schema_of_rule(rule, definitions), "description": f"{doc}; {rule}"}
    default = field.default
    if default is dataclasses.MISSING:
        return {**schema, "markdownDescription": f"{doc}\n\n{rule}; must be given"}
    return {**schema, "default": thaw(default), "markdownDescription": f"{doc}\n\n{rule}; default `{format_value(default)}`"}


def schema_of_class(config_class: type[Any], definitions: dict[str, Schema]) -> Schema:
    """The schema of a class's keys, or of a reference. Its sections' classes are added to ``definitions``."""
    fields = [field for field in fields_of(config_class) if field.init]  # computed values cannot be set
    properties = {field.name: schema_of_field(field, definitions) for field in fields}
    keys = {"type": "object", "properties": properties, "additionalProperties": is_open(config_class)}
    description = doc_of(config_class) or config_class.__name__
    return {"description": description, **allow_reference(keys, f"a section with the keys of {config_class.__name__}")}
