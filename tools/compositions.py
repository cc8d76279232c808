"""Composes random override lists, and sees that each becomes what ``hydra.compose`` makes of it, or is refused by both.

Run: ``python -m tools.compositions --lists 5000``, some minutes. A quarter of the lists are for our own
``conf/``, the others for small random trees of groups, options and experiments.
"""

from __future__ import annotations

import argparse
import random
import re
import shlex
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra import compose as hydra_compose
from hydra.core.hydra_config import HydraConfig

from gpt2hydra.composition.composer import Composer, Composition
from gpt2hydra.composition.instantiate import instantiate
from gpt2hydra.config.errors import ConfigError, Violation
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.run import TrainConfig
from gpt2hydra.fields import Checked, choice, flag, integer, items, number, section, text
from tests.hydra_api import hydra_in
from tools.mutations import words


@dataclass(frozen=True)
class Inner(Checked):
    """A section within a section."""

    p: int = integer(1, "p", at_least=0, at_most=1000)
    q: float = number(0.5, "q", at_least=0, at_most=1000)


@dataclass(frozen=True)
class Part(Checked):
    """A section that has a group of options."""

    x: int = integer(1, "x", at_least=0, at_most=1000)
    f: bool = flag(False, "f")
    s: str = text("s", "s")
    kind: str = choice("one", "kind", ("one", "two"))
    inner: Inner = section(Inner, "a section of its own")


@dataclass(frozen=True)
class Root(Checked):
    """The configuration of a program with two sections of one group."""

    a: Part = section(Part, "one")
    b: Part = section(Part, "another of the same group")
    n: int = integer(1, "n", at_least=0, at_most=1000)
    t: str = text("t", "t")
    z: int | None = integer(None, "z", at_least=0, at_most=1000, optional=True)


@dataclass(frozen=True)
class Listed(Root):
    """The same with a list, so that Hydra is asked for what a fold does not know."""

    sizes: tuple[int, ...] = items(integer(1, "size", at_least=0, at_most=1000), "sizes", default=(1, 2))


# ---------------------------------------------------------------------------------------------------------- random trees

VALUES = {
    "x": ["0", "3", "36", "${n}", "${b.x}", "${.inner.p}", "1000"],
    "f": ["true", "false", "${a.f}"],
    "s": ["a text", "'7'", "${t}", "${.x}", "a${.x}b", "é", "x: y"],
    "kind": ["one", "two", "${a.kind}"],
    "sizes": ["[]", "[3]", "[4, 5, 6]", "['${n}', 8]"],
    "p": ["0", "7", "${n}", "${..x}"],
    "q": ["0.25", "3", "1e-3", "${n}"],
    "n": ["0", "2", "40", "${a.x}", "${b.inner.p}"],
    "t": ["a", "'8'", "a: b", "${a.s}"],
    "z": ["null", "9", "${n}"],
}
"""What a file or the command line may give to a key, mostly right."""

WRONG = ["-1", "abc", "yes", "1.5", "null", "[1]", "{y: 1}", "${nothing}", "${a}", "2000", "'3'", "???", "1_0", "012", "nan"]

OPTIONS = {"a": ["o1", "o2", "o3", "sub/o4"], "a/inner": ["i1", "i2"], "experiment": ["e1", "e2", "e3"], "mode": ["m1", "m2"]}
"""The options of each group."""


def _value(rng: random.Random, key: str, wrong: float = 0.004) -> str:
    if rng.random() < wrong:
        return rng.choice(WRONG)
    references = rng.random() < 0.15
    return rng.choice([each for each in VALUES[key] if references or "${" not in each])


def _part(rng: random.Random, indent: str) -> list[str]:
    """Lines that set some keys of a section."""
    keys = rng.sample(["x", "f", "s", "kind"], rng.randint(1, 3))
    lines = [f"{indent}{key}: {_quoted(_value(rng, key))}" for key in keys]
    if rng.random() < 0.3:
        lines += [f"{indent}inner:", *_inner(rng, indent + "  ")]
    if rng.random() < 0.004:
        lines.append(f"{indent}odd: 3")
    return lines


def _inner(rng: random.Random, indent: str) -> list[str]:
    return [f"{indent}{key}: {_value(rng, key)}" for key in rng.sample(["p", "q"], rng.randint(1, 2))]


def _quoted(value: str) -> str:
    return f'"{value}"' if ": " in value and value[0] != "{" else value


def _root(rng: random.Random) -> list[str]:
    """Lines that set some keys of the root and of its sections."""
    lines = [f"{key}: {_quoted(_value(rng, key))}" for key in rng.sample(["n", "t", "z"], rng.randint(0, 2))]
    for name in rng.sample(["a", "b"], rng.choice([0, 0, 1, 2])):
        lines += [f"{name}:", *_part(rng, "  ")]
    return lines


def _list(entries: Sequence[str]) -> list[str]:
    return ["defaults:", *(f"  - {entry}" for entry in entries)] if entries else []


def _option(rng: random.Random, name: str) -> list[str]:
    """An option of the group ``a``: for its own section, for the root, or for a section that its header names."""
    kind = rng.random()
    if kind < 0.1:
        return ["# @package _global_", *_root(rng)]
    header = [f"# @package {rng.choice(['_group_', 'a', 'b'])}"] if kind < 0.15 else []
    entries = {"o2": ["o1"], "o3": ["o1", "o2"], "o1": ["inner: i1", "inner: i2"]}.get(name, [])  # earlier ones: no circles
    taken = rng.sample(entries, 1) if entries and rng.random() < 0.3 else []
    if taken and rng.random() < 0.7:
        taken.insert(rng.randint(0, 1), "_self_")
    return [*header, *_list(taken), *_part(rng, "")]


def _experiment(rng: random.Random, name: str) -> list[str]:
    entries = []
    if rng.random() < 0.6:
        entries.append(f"override /{rng.choice(['a', 'a@b'])}: {rng.choice(OPTIONS['a'])}")
    if rng.random() < 0.2:
        entries.append(f"override /mode: {rng.choice(OPTIONS['mode'])}")
    if rng.random() < 0.06:
        entries.append(f"/a/inner@{rng.choice(['a', 'b'])}.inner: {rng.choice(OPTIONS['a/inner'])}")
    if name > "e1" and rng.random() < 0.2:
        entries.append("e1")
    if rng.random() < 0.6:
        entries.insert(rng.randint(0, len(entries)), "_self_")
    return ["# @package _global_", *_list(entries), *_root(rng)]


def _primary(rng: random.Random) -> list[str]:
    entries = [f"a: {rng.choice(OPTIONS['a'])}", f"a@b: {rng.choice(OPTIONS['a'])}"]
    if rng.random() < 0.15:
        entries.append(f"a/inner@{rng.choice(['a', 'b'])}.inner: {rng.choice(OPTIONS['a/inner'])}")
    entries.append(f"mode: {rng.choice(['m1', 'null'])}")
    entries.insert(rng.randint(0, len(entries)), "_self_")
    entries.append(rng.choice(["experiment: null", "optional experiment: null", "experiment: e1"]))
    return [*_list(["program_schema", *entries]), *_root(rng)]


def random_tree(rng: random.Random) -> dict[str, str]:
    """The files of a small program."""
    files = {"program": _primary(rng)}
    files |= {f"a/{name}": _option(rng, name) for name in OPTIONS["a"]}
    files |= {f"a/inner/{name}": _inner(rng, "") for name in OPTIONS["a/inner"]}
    files |= {f"mode/{name}": ["# @package _global_", *_root(rng)] for name in OPTIONS["mode"]}
    files |= {f"experiment/{name}": _experiment(rng, name) for name in OPTIONS["experiment"]}
    return {f"{name}.yaml": "\n".join(lines) + "\n" for name, lines in files.items()}


# ------------------------------------------------------------------------------------------------- random override lists


def _choice(rng: random.Random) -> str:
    group = rng.choice(["a", "a", "a@b", "experiment", "experiment", "mode"])
    if rng.random() < 0.06:
        return rng.choice(
            ["+a/inner@a.inner=i1", "+a/inner@b.inner=i2", "a/inner@a.inner=i2", "a=nothing", "+a=o1", "~mode", "mode=null"]
        )
    return f"{group}={rng.choice(OPTIONS[group.partition('@')[0]])}"


def _setting(rng: random.Random) -> str:
    name = rng.choice([*(["x", "f", "s", "kind"] * 2), "p", "q", "n", "t", "z"])
    above = {"n": "", "t": "", "z": "", "p": "inner.", "q": "inner."}.get(name, "")
    key = name if name in ("n", "t", "z") else f"{rng.choice(['a', 'b'])}.{above}{name}"
    sign = rng.choices(["", "++", "+", "~"], weights=[20, 4, 1, 1])[0]
    if sign == "~":
        return f"~{key}"
    value = _value(rng, name, wrong=0.06)
    return f"{sign}{key}={value}" if value not in ("x: y", "a: b", "é") else f"{sign}{key}='{value}'"


ODD = words("""
a={x:·3} a={inner:·{p:·4}} b={s:·abc,·kind:·two} +a.new=3 ++b={x:·5,·f:·true} a.inner={q:·2} ~a.inner sizes=[${n}]
sizes.0=3 sizes.0=-1 sizes.1=${n} ++sizes.0=8 +sizes.0=8 ~sizes.0 sizes.7=3 sizes[0]=3 a.s.0=3
t=${a.s}${n} t=${oc.env:HOME} t=${hydra:job.name} n=2,3 hydra.job.name=x hydra.run.dir=x hydra.mode=RUN nonsense =
n=${oc.decode:'3'} n=choice(1,2) n=int('3') n=json_str(3) t=str(3) t='a\\'b' t="a·b" t=a·b t= n= ~b.nope a.nope=1
a.s=007 experiment=[e1,e2] ~n=2 ~a.x=3 a.x=null t=null z=null a=null b=??? a.x=${..n} n=${a.inner.p} ~experiment
""")
"""Overrides of other kinds, right and wrong."""


def _odd(rng: random.Random) -> str:
    return rng.choice(ODD)


def random_list(rng: random.Random) -> list[str]:
    """A few overrides for a random tree."""
    return [rng.choices([_choice, _setting, _odd], weights=[4, 6, 1])[0](rng) for _ in range(rng.randint(0, 6))]


OURS = {
    "model": ["small", "medium", "large", "xl", "[small,large]", "lrage"],
    "tokenizer": ["bytes", "gpt2"],
    "hardware": ["none", "a100", "null"],
    "experiment": ["quickstart", "gpt2_124m", "nonesuch", "null"],
    "model.n_head": ["7", "8", "16", "abc", "012", "1_0", "1e1", "null", "'8'", "true", "${model.n_layer}"],
    "model.n_embd": ["64", "640", "${model.n_positions}", "${nope}", "-1"],
    "model.resid_pdrop": ["0", "0.5", "nan", "inf", "1e400", "1e-3", "'0.1'", "[1]"],
    "training.batch_size": ["-1", "0", "1", "8", "64", "${training.seed}"],
    "training.seq_len": ["64", "1024", "1025", "${model.n_positions}"],
    "training.learning_rate": ["1e-3", "0", "3e-4", "${training.weight_decay}"],
    "training.precision": ["bf16", "fp32", "float16"],
    "training": ["{batch_size: 3}", "{nope: 3}", "5", "null"],
    "data.path": ["a.txt", "null", "'a b'", "${model.n_embd}", "[a]", "007"],
    "data.validation_fraction": ["0.1", "1", "0.5"],
    "dry_run": ["true", "5", "no"],
    "hydra.job.name": ["x"],
    "hardware.name": ["${hydra:job.name}", "${oc.env:HOME}", "a100"],
}
"""Values for keys and groups of our own ``conf/``."""

OURS_ODD = words("""
+model.n_hed=3 ++model.n_layer=3 ++model.n_inner=5 model.n_inner=5 ~model.n_layer ~experiment ~tokenizer ~hardware nonsense =
+data.extra={a:·1} hydra.run.dir=x training.seed=${oc.env:NONE_SUCH} model.n_layer=2,3 trainin.seed=3 gpt2/model@model=large
+experiment=quickstart model@model=xl
""")


def random_list_of_ours(rng: random.Random) -> list[str]:
    """A few overrides for ``conf/train.yaml``."""
    drawn = rng.choices([*OURS], k=rng.randint(0, 5))
    return [rng.choice(OURS_ODD) if rng.random() < 0.15 else f"{key}={rng.choice(OURS[key])}" for key in drawn]


# ---------------------------------------------------------------------------------------------------------- both answers


def by_hydra(config_name: str, config_class: type[Checked], words: Sequence[str]) -> Checked | None:
    """What Hydra's public API composes, as the gate reads it; None where either refuses."""
    try:
        config = hydra_compose(config_name, [*words], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return instantiate(config, config_class)
    except Exception:  # they raise what they like
        return None
    finally:
        HydraConfig.instance().cfg = None


ON_PURPOSE = re.compile(
    "is a list; set all of it|is in the defaults list already; leave out the plus|use a sweep for several|YAML reads it"
)
"""Rules of what Hydra takes, some in one version: an item that is deleted, a second option, a misread value."""


def is_on_purpose(violation: Violation) -> bool:
    """Whether what Hydra takes is refused nevertheless."""
    no_option = violation.action == "deleted" and violation.rule.startswith("must be one of")
    return no_option or ON_PURPOSE.search(violation.rule) is not None


@dataclass
class Comparison:
    """Override lists that were tried, and what came of them."""

    accepted: int = 0
    refused: int = 0
    on_purpose: int = 0
    """Of the refused ones, those that Hydra takes."""
    failures: list[str] = field(default_factory=list)

    def attempt(self, folder: Path, config_name: str, config_class: type[Checked], lists: Iterable[Sequence[str]]) -> None:
        """Compose each list both ways, with the files of one folder."""
        composer = Composer(config_name, folder, config_class=config_class, once=True)
        with hydra_in(folder, "gpt2hydra"):
            for words in lists:
                try:
                    self._compare(words, composer.compose(words), by_hydra(config_name, config_class, words))
                except Exception:
                    self.failures.append(f"{shlex.join(words)}\nraises\n{traceback.format_exc()}")

    def _compare(self, words: Sequence[str], ours: Composition, hydras: Checked | None) -> None:
        if ours.is_valid:
            self.accepted += 1
            if ours.config != hydras:
                self.failures.append(f"{shlex.join(words)}\nis accepted\n  as   {ours.config}\n  not  {hydras or 'refused'}")
            return
        self.refused += 1
        if hydras is None:
            return
        self.on_purpose += 1
        if not any(map(is_on_purpose, ours.violations)):
            self.failures.append(f"{shlex.join(words)}\nis refused, and Hydra takes it\n{ConfigError(ours.violations)}")


LISTS_OF_A_TREE = 25


def compared(lists: int, seed: int) -> Comparison:
    """So many random lists."""
    rng, found = random.Random(seed), Comparison()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra warns of what is odd, and composes it
        found.attempt(CONF_DIR, "train", TrainConfig, [random_list_of_ours(rng) for _ in range(lists // 4)])
        for first in range(lists // 4, lists, LISTS_OF_A_TREE):
            folder, config_class, before = Path(name, f"conf{first}"), rng.choice([Root, Root, Listed]), len(found.failures)
            tree = random_tree(rng)
            if config_class is Listed:
                tree["program.yaml"] += f"sizes: {rng.choice(VALUES['sizes'])}\n"
            for file, content in tree.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(content, encoding="utf-8")
            found.attempt(
                folder, "program", config_class, [random_list(rng) for _ in range(min(LISTS_OF_A_TREE, lists - first))]
            )
            if len(found.failures) > before:
                found.failures.append("\n".join(f"{file}\n{_indented(content)}" for file, content in tree.items()))
            shutil.rmtree(folder)
    return found


def _indented(content: str) -> str:
    return "\n".join(f"    | {line}" for line in content.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = compared(options.lists, options.seed)
    print("\n\n".join(found.failures) or "each became what Hydra makes of it, or was refused by both")
    print(f"{found.accepted} lists accepted, {found.refused} refused, {found.on_purpose} of them on purpose", file=sys.stderr)
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
