"""Files of options that Hydra reads without a word, or not at all, and what is odd about them."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from gpt2hydra.composition.hydra_compat import Repository
from gpt2hydra.composition.sources import displayed

HEADER = "# @package _global_"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def file_of(repository: Repository, config_path: str) -> Path | None:
    """The YAML file of an option, ``experiment/quickstart``; None where Python stored it, or there is none."""
    for source in repository.get_sources():
        path = Path(source.path, f"{config_path}.yaml")
        if source.scheme() == "file" and path.is_file():
            return path
    return None


def why_no_option(file: Path) -> str:
    """Why a file holds no option at all: it is a list, a text, or contains itself. Empty where it is a mapping, or empty."""
    try:
        events = list(yaml.parse(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""  # Hydra says what it is
    root = next((event for event in events if isinstance(event, (yaml.NodeEvent, yaml.CollectionStartEvent))), None)
    if isinstance(root, yaml.SequenceStartEvent):
        return f"is a list; {_shown(file)} must have lines of key: value"
    if isinstance(root, yaml.ScalarEvent) and root.value:
        return f"is one text; {_shown(file)} must have lines of key: value"
    anchor = _contains_itself(events)
    return f"contains itself: {_shown(file)} has *{anchor} below &{anchor}" if anchor else ""


def _contains_itself(events: list[yaml.Event]) -> str:
    """The anchor that is referred to below itself."""
    above: list[str | None] = []
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            above.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            above.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in above:
            return str(event.anchor)
    return ""


def why_not_global(file: Path) -> str:
    """Why the keys of a file without a section of its own, such as an experiment, do not belong to the whole config."""
    content = file.read_bytes()
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    if not content.strip():
        return f"names {_shown(file)}, which is empty"
    if content.startswith(BYTE_ORDER_MARK):
        return f"names {_shown(file)}, which begins with a byte-order mark; save it as UTF-8 without one"
    if HEADER in lines:
        return f"names {_shown(file)}, which has '{HEADER}' on line {lines.index(HEADER) + 1}; it must be the first line"
    return f"names {_shown(file)}, whose first line must be: {HEADER}"


def _shown(file: Path) -> str:
    return displayed(os.fspath(file))
