"""What is wrong with a configuration that was refused: everything at once, each with who set it and what to type instead.

Hydra stops at its first error. This takes the composition apart (parse, choose options, merge file by file, apply override by
override), leaves out what fails, and goes on to the gate with the rest. It runs only once something was refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.gate import examine, in_order, set_by_hand
from gpt2hydra.composition.hydra_errors import as_it_came, file_error
from gpt2hydra.composition.hydra_state import hydra_state
from gpt2hydra.composition.provenance import replay
from gpt2hydra.composition.refusal.choices import as_choice, files_of, self_before_schema, with_unpackaged_once
from gpt2hydra.composition.refusal.files import merge
from gpt2hydra.composition.refusal.hydras_own import refused_overrides
from gpt2hydra.composition.refusal.overrides import sort
from gpt2hydra.composition.refusal.remedies import Trial, right_words, traced
from gpt2hydra.composition.refusal.values import apply
from gpt2hydra.composition.refusal.words import told_once
from gpt2hydra.composition.yaml_traps import misread
from gpt2hydra.config.errors import ABSENT, ConfigError, Violation
from gpt2hydra.config.validation import Checked

Later = Callable[[Sequence[str], Checked | None], Iterable[Violation]]
"""What a program would find wrong later: of the words of a command line that are right, and of their configuration, None where
what is wrong stands in a file.
"""


def refusal_of(composer: Composer, overrides: Sequence[str], error: Exception, later: Later | None = None) -> ConfigError:
    """Everything that is wrong with ``overrides`` over the composer's config, of which ``error`` is the first sign."""
    with hydra_state():
        composer = composer.searching(overrides)
        try:
            found = _violations(composer, overrides)
            rest = right_words(found, overrides)
            config = _valid(composer, rest)
            absent = _absent_files(composer, rest, config, found)
            violations = with_tried_remedies(composer, overrides, [*found, *absent])
        except ConfigError as obstacle:  # the schema is not in the defaults list: all else would only follow from that
            violations, later = [*obstacle.violations], None
        except Exception as obstacle:  # a primary config that cannot be read, and what else lets nothing compose
            violations, later = [file_error(obstacle, composer.config_name)], None
    if isinstance(error, ConfigError) and error.violations[0].key.startswith("hydra."):
        violations += error.violations
    violations = violations or [as_it_came(error)]
    known = {violation.key for violation in violations}
    return ConfigError([*violations, *(each for each in (later(rest, config) if later else ()) if each.key not in known)])


def with_tried_remedies(composer: Composer, overrides: Sequence[str], violations: Sequence[Violation]) -> list[Violation]:
    """The violations of ``overrides`` with the remedies that work; those that do not are left out."""
    trial = Trial(composer, overrides, violations, lambda texts: _violations(composer, texts))
    return [trial.tried(each) for each in violations]


def _valid(composer: Composer, texts: Sequence[str]) -> Checked | None:
    try:
        return composer.instantiate(texts)
    except Exception:  # what is wrong stands in a file
        return None


def _absent_files(
    composer: Composer, texts: Sequence[str], config: Checked | None, violations: Sequence[Violation]
) -> list[Violation]:
    """What a valid config of the right words names that is not there."""
    problems = composer.look(config) if config is not None else ()
    known = {violation.key for violation in violations}
    told = map(composer.trace(texts).blame, problems) if problems else ()
    return [each for each in told if each.key not in known]


def _violations(composer: Composer, texts: Sequence[str]) -> list[Violation]:
    overrides = sort(composer, texts)
    overrides.violations += refused_overrides(composer, overrides)
    repository = composer.options.repository
    files = files_of(composer, repository, overrides)
    if files is None:
        return overrides.violations
    merged, groups = merge(composer, files, repository), composer.options.groups()
    config, root = merged.config, merged.root
    overrides.violations = told_once(texts, overrides.violations, composer, root)
    several = composer.options.unclear(overrides.choices, root)
    found = [*overrides.violations, *merged.violations, *several]
    clear = {choice.key_or_group for choice in overrides.choices} - {
        each.key for each in several
    }  # or it is clear what was meant
    unclear = {violation.key for violation in found} - clear
    for override in overrides.values:
        if override.key_or_group.partition(".")[0] not in unclear:
            found += apply(config, override, root, groups)
    _let_hydra_resolve(composer, config)
    known = {violation.key for violation in found} - clear
    _, broken = examine(config, root, frozenset(known))
    provenance = replay(files, repository, overrides.values)
    by_hand = set_by_hand(overrides.values, root)
    by_key = {violation.key: violation for violation in [*by_hand, *broken, *misread(provenance, root)]}
    found += (each for key, each in by_key.items() if key not in known)
    found = [as_choice(each, composer) if each.value is ABSENT else each for each in found]
    early = self_before_schema(composer, repository, files)
    if early is not None:  # what the files set is overwritten, so that it seems to be missing
        found = [early, *(each for each in found if each.is_typed)]
    found = [*with_unpackaged_once(found, composer, root, overrides.choices)]
    return in_order(root, [traced(each, provenance, root) for each in found])


def _let_hydra_resolve(composer: Composer, config: DictConfig) -> None:
    """Where a value refers to ``${hydra:...}``, and no job runs that it could be read from, make one up."""
    if "${hydra:" in str(OmegaConf.to_container(config, resolve=False)) and not HydraConfig.initialized():
        with contextlib.suppress(Exception):  # the reference is then reported
            composer.point([], 0)
