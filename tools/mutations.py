"""Mutates YAML files of a copy of ``conf/``, and sees that each composes as Hydra composes it, or is refused in words.

Run: ``python -m tools.mutations --files 10000``, about half an hour. All are written into one folder, one
after another, so that a composition which is remembered for too long is found too.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import gpt2hydra
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from tests.hydra_api import hydra_in

# ---------------------------------------------------------------------------------------------------------- mutations


def words(table: str) -> list[str]:
    """The words of a table; ``·`` is a space in one. Odd signs of space are words too."""
    return [word.replace("·", " ") for word in re.split("[ \n]+", table.strip("\n"))]


VALUES = words("""
OLD 'OLD' "OLD" OLDx 0OLD OLD.0 OLDe0 -OLD +OLD OLD_0 OLD:30 [OLD] {OLD:·OLD} &a·OLD *a !!int·OLD !!str·OLD !!float·OLD
!!int·"OLD" !!bool·OLD !own·OLD !!binary·OLD !!python/name:os.system !!null·'' !!set·{OLD} !!timestamp·2026-01-01 |·OLD >-
OLD·#·why OLD#why 014 0o14 0x1F 0b11 1e3 1E3 1.e3 .1e0 1_000 1:30 190:20:30.15 1. .5 .inf -.INF .nan 1e400 -0 +12 1,000
99999999999999999999 yes no on off true TRUE True y n ~ null Null NULL ··· '' "" - ? ??? @x `x` %x text:·x 'a "\\x00"
"\\ud800" ${ ${} ${x ${nothing} ${model.n_embd} ${model.n_head} ${training.seq_len} ${.n_head} ${..seq_len} ${oc.env:HOME}
${oc.env:NONE_SUCH} ${oc.env:X,12} ${oc.decode:'12'} ${gpt2.n_inner:3} ${gpt2.nothing:3} ${hydra:job.name} ${now:%Y} \\${x}
${model} ${training} 12${x} [] {} [1,·2] {n_head:·4} {a:·{b:·c}} [[[]]] 2026-01-31 2026-01-31·12:00:00 = << é \u2028 \x85
\ufeff12 \x7f cuda gpu bf16 256 64 4 2 1 0 0.5
""")
"""What a value becomes; ``OLD`` is what it was."""

LINES = words("""
<<:·{n_head:·4} <<:·*a <<:·[{n_head:·4},·{n_head:·8}] <<:·x *a &a *a:·3 ?·[a,·b] ?·n_head --- ... --- · %YAML·1.2 %TAG·!·x -·a
a a: :·a n_head:·4 n_layer:·2 model.n_head:·4 model:·{n_head:·4} model:·{n_hed:·4} model:·large model:·null training:
training:·null training:·{seed:·3} training:·[] training:·{seq_len:·64} tokenizer:·{path:·x} hydra:·{} hydra:·{job:·{name:·x}}
hydra:·{x:·1} hydra: hydra:·x hydra:·{run:·{dir:·x}} hydra:·{launcher:·{n_jobs:·2}} dry_run:·true dry_run:·yes dry_run:·1
seed:·3 defaults:·[] defaults: defaults:·x defaults:·{model:·large} defaults:·[_self_] 1:·2 null:·1 true:·1 1.5:·1 [a]:·1
"":·1 'n_head':·4 "n_head":·4 é:·1 <<<<<<<·HEAD ======= _target_:·x experiment:·x x:·{y:·1} n_inner:·1024
hardware:·{devices:·2} data:·{path:·007} data:·{path:·no} data:·{path:·2026-01-31} data:·{path:·a} # -
""")
"""What is put between two lines."""

ENTRIES = words("""
override·model:·large override·/model:·xl /model:·large model:·large model:·nothing model:·[small,·large] model:·null model:
model model@encoder:·large /model@_global_:·large /model@training:·large model@model:·large override·/model@model:·large
override·model@encoder:·xl /model/large model/large /model/large@model /hardware/l4@hardware model:·large.yaml model:·/large
model:·../model/large optional·model:·nothing optional·/experiment:·null /experiment:·quickstart experiment:·quickstart
override·/experiment:·quickstart override·/tokenizer:·gpt2 override·/tokenizer:·byte override·/tokenizr:·gpt2
override·/hardware:·l4 override·hydra/job_logging:·none override·hydra/launcher:·basic override·/hydra/sweeper:·nothing
hydra/job_logging:·none _self_ _self_:·x train_schema generate_schema nothing_schema nothing train generate ${model}
tokenizer:·${model} hardware:·${tokenizer} 3 3.5 null true [a] {} {model:·large,·hardware:·l4} '' ??? model:·??? model:·3
model:·{a:·1} ~model override overide·/model:·large override·override·/model:·large optional·override·/model:·large /: @
model@:·large model:·"large" é:·x
""")
"""What comes into a defaults list."""

KEYS = words("""{}x x{} '{}' "{}" &a·{} ?·{} x.{} {}.x !!str·{} {}· /{} {}@x -{} -·{} *a·""")
"""What a key becomes."""

HEADERS = words("""
_global_ _group_ model foo model.n_head model.extra _name_ _global_.training training hydra hydra.job _group_._name_ a..b . é
""")
"""What stands behind ``@package``."""

SIGNS = ":-#'\"{}[]&*!|>%@`,?~=$\\\t \n\0\u00e9\ufeff\u2028\u0085\x1b0_.1e"


def line_moved(rng: random.Random, lines: list[str]) -> None:
    lines.insert(rng.randrange(len(lines)), lines.pop(rng.randrange(len(lines))))


def line_gone(rng: random.Random, lines: list[str]) -> None:
    del lines[rng.randrange(len(lines))]


def line_twice(rng: random.Random, lines: list[str]) -> None:
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))


def line_new(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    indent = " " * (len(lines[at]) - len(lines[at].lstrip(" ")))
    lines.insert(at, indent + rng.choice(LINES))


def indentation(rng: random.Random, lines: list[str]) -> None:
    """Of one line, or of all that follow."""
    first = rng.randrange(len(lines))
    last = rng.choice([first + 1, first + 2, len(lines)])
    change = rng.choice(["", " ", "  ", "    ", "\t", " \t", "\u00a0"])
    lines[first:last] = [change + (line.lstrip() if rng.random() < 0.3 else line) for line in lines[first:last]]


def sign_gone(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    cut = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:cut] + lines[at][cut + 1 :]


def sign_new(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    cut = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:cut] + rng.choice(SIGNS) + lines[at][cut:]


def value(rng: random.Random, lines: list[str]) -> None:
    at = _line_with_a_key(rng, lines)
    key, _, old = lines[at].partition(":")
    lines[at] = f"{key}: {rng.choice(VALUES).replace('OLD', old.partition(' #')[0].strip())}"


def key(rng: random.Random, lines: list[str]) -> None:
    at = _line_with_a_key(rng, lines)
    start = lines[at][: len(lines[at]) - len(lines[at].lstrip(" -"))]
    name, colon, rest = lines[at][len(start) :].partition(":")
    lines[at] = start + rng.choice(KEYS).format(name) + colon + rest


def _line_with_a_key(rng: random.Random, lines: list[str]) -> int:
    return rng.choice([at for at, line in enumerate(lines) if ":" in line and line[:1] != "#"] or [0])


def entry(rng: random.Random, lines: list[str]) -> None:
    """Into the defaults list, or in place of one; of a file without one, a list that it is all of."""
    new = rng.choice(ENTRIES)
    first = next((at for at, line in enumerate(lines) if line.startswith("defaults:")), None)
    if first is None:
        at = rng.choice([0, len(lines)])
        lines[at:at] = ["defaults:", f"  - {new}"]
    else:
        last = next((at for at in range(first + 1, len(lines)) if lines[at][:3] != "  -"), len(lines))
        at = rng.randint(first + 1, last)
        lines[at : at + rng.randint(0, int(at < last))] = [f"  - {new}"]


def header(rng: random.Random, lines: list[str]) -> None:
    form = rng.choice(["# @package {}", "#@package {}", "# @package: {}", " # @package {}", "# @pakage {}"])
    line = form.format(rng.choice(HEADERS))
    if lines[0].startswith("# @package") and rng.random() < 0.7:
        lines[0] = line
    else:
        lines.insert(rng.choice([0, 0, 1]), line)


def written_anew(rng: random.Random, lines: list[str]) -> None:
    """The same values in another of YAML's forms, in another order perhaps; the lines of comment at the top stay."""
    try:
        content = yaml.safe_load("\n".join(lines))
    except Exception:  # mutated already; PyYAML raises what it likes, KeyError for !!bool 25
        return
    top = [line for line in lines if line.startswith("#")][: rng.choice([1, 1, 1, 0])]
    form: dict[str, Any] = {
        "default_flow_style": rng.choice([None, True, False]),
        "default_style": rng.choice([None, None, "'", '"', "|", ">"]),
        "canonical": rng.random() < 0.1,
        "sort_keys": rng.random() < 0.3,
        "explicit_start": rng.random() < 0.1,
        "indent": rng.choice([2, 4, 8]),
        "width": rng.choice([20, 1000]),
    }
    lines[:] = top + (yaml.safe_dump(content, **form).splitlines() or [""])


def aliased(rng: random.Random, lines: list[str]) -> None:
    """A value that another line repeats by ``*a``."""
    at = [at for at, line in enumerate(lines) if re.match(r"\s+\w+: \S", line)]
    if len(at) > 1:
        first, second = sorted(rng.sample(at, 2))
        lines[first] = lines[first].replace(": ", ": &a ", 1)
        lines[second] = lines[second].partition(":")[0] + ": *a"


MUTATIONS: tuple[Callable[[random.Random, list[str]], None], ...] = (
    *(line_moved, line_gone, line_twice, line_new, line_new, indentation, indentation, sign_gone, sign_new, aliased),
    *(value, value, value, key, entry, entry, header, written_anew, written_anew),
)
"""Each changes the lines of a file, of which there is one at least."""

BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    lambda rng, content: b"\xef\xbb\xbf" + content,
    lambda rng, content: content.replace(b"\n", b"\r\n"),
    lambda rng, content: content.replace(b"\n", b"\r"),
    lambda rng, content: content.decode().encode("utf-16"),
    lambda rng, content: content[: rng.randrange(len(content) + 1)],
    lambda rng, content: content.rstrip(b"\n"),
    lambda rng, content: b"",
    lambda rng, content: b"# nothing but this\n",
    lambda rng, content: content.replace(b"a", b"\xe4", 1),
    lambda rng, content: content.replace(b"e", b"\0", 1),
    lambda rng, content: content + b"#" + b"x" * 100_000 + b"\n",
    lambda rng, content: content + b"x: " + b"y" * 100_000 + b"\n",
    lambda rng, content: content + b"x: " + b"[" * 200 + b"]" * 200,
    lambda rng, content: b"\n" * 600 + content,
    lambda rng, content: content.replace(b"  ", b"\t"),
    lambda rng, content: b"x: &x {x: *x}\n" + content,
)


@dataclass(frozen=True)
class Case:
    """One file below ``conf/`` with new content, and a command line that has it read."""

    file: str
    program: str
    overrides: tuple[str, ...]
    mutations: str
    content: bytes

    def __str__(self) -> str:
        lines = self.content[:3000].decode("utf-8", "backslashreplace").split("\n")
        head = f"{' '.join([self.program, *self.overrides])}: {self.file}, {self.mutations}"
        return "\n".join([head, *(f"  | {line if line.isprintable() else ascii(line)}" for line in lines)])


def random_case(rng: random.Random) -> Case:
    """A file of ``conf/``, mutated once or a few times."""
    path = rng.choice([*sorted(CONF_DIR.glob("*/*.yaml")), *sorted(CONF_DIR.glob("*.yaml")), *[CONF_DIR / "train.yaml"] * 4])
    group, option = path.parent.name, path.stem
    if path.parent == CONF_DIR:
        program, overrides = option, rng.choice([(), (), ("model=large",), ("experiment=quickstart",)])
        overrides = ("checkpoint=x",) if option == "generate" else overrides
    else:
        program, overrides = "train", (f"{group}={option}",)
        overrides += (("tokenizer.path=x",) if option == "gpt2_124m" else ("training.seed=3",)) * (rng.random() < 0.2)
    lines, done = path.read_text(encoding="utf-8").splitlines(), []
    for mutation in rng.choices(MUTATIONS, k=rng.choice([1, 1, 1, 2, 2, 3])):
        mutation(rng, lines)
        lines = lines or [""]
        done.append(mutation.__name__)
    content = "\n".join([*lines, ""]).encode("utf-8")
    if rng.random() < 0.12:
        content = rng.choice(BYTES)(rng, content)
        done.append("bytes")
    return Case(path.relative_to(CONF_DIR).as_posix(), program, overrides, ", ".join(done), content)


# --------------------------------------------------------------------------------------------------------- both answers


def by_hydra(case: Case) -> str | None:
    """Every value of Hydra's config but its own node, resolved, as JSON; None where Hydra, OmegaConf or YAML raise."""
    try:
        config = hydra_compose(case.program, [*case.overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        values = {str(key): config[key] for key in config if key != "hydra"}
        values = {
            key: OmegaConf.to_container(each, resolve=True, throw_on_missing=True) if OmegaConf.is_config(each) else each
            for key, each in values.items()
        }
        return json.dumps(values, sort_keys=True)
    except Exception:  # they raise what they like
        return None
    finally:
        HydraConfig.instance().cfg = None


def by_us(case: Case, folder: Path) -> str | ConfigError:
    """The same, or the refusal. Whatever else is raised is a mistake of ours."""
    try:
        return json.dumps(gpt2hydra.compose(case.program, case.overrides, config_dir=folder).to_dict(), sort_keys=True)
    except ConfigError as error:
        return error


ON_PURPOSE = re.compile("twice|YAML reads it|must be given on the command line|invalid Unicode character escape|found a tab")
"""Rules of what Hydra takes, and what is no good even where it changes no value; the last two are libyaml's."""

SECONDS = 20
"""Of the processor, which no composition takes, refused or not."""


@dataclass
class Comparison:
    """Cases that were tried, and what came of them."""

    folder: Path
    accepted: int = 0
    unchanged: int = 0
    """Of the accepted ones, those whose mutation changed no value."""
    refused: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    usual: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    """What Hydra composes of the files as they are."""

    def attempt(self, case: Case) -> None:
        """Compose it both ways, and put the file back."""
        command = (case.program, *case.overrides)
        if command not in self.usual:
            self.usual[command] = by_hydra(case)
        file = self.folder / case.file
        file.write_bytes(case.content)
        start = time.process_time()
        try:
            ours = by_us(case, self.folder)
            seconds = time.process_time() - start
            self._compare(case, ours, by_hydra(case), self.usual[command])
            if seconds > SECONDS:
                self.failures.append(f"{case}\ntakes {seconds:.0f} s")
        except Exception:
            self.failures.append(f"{case}\nraises\n{traceback.format_exc()}")
        finally:
            shutil.copyfile(CONF_DIR / case.file, file)

    def _compare(self, case: Case, ours: str | ConfigError, hydras: str | None, usual: str | None) -> None:
        if isinstance(ours, str):
            self.accepted += 1
            self.unchanged += ours == usual
            if ours != hydras:
                self.failures.append(f"{case}\nis accepted\n  as   {ours}\n  not  {hydras}")
            return
        self.refused.append(f"{case}\n{ours}")
        rules = [violation.rule for violation in ours.violations]
        if not rules or not all(violation.key and violation.rule for violation in ours.violations):
            self.failures.append(f"{case}\nis refused without a message\n{ours!r}")
        if hydras is not None and hydras == usual and not any(map(ON_PURPOSE.search, rules)):
            self.failures.append(f"{case}\nis harmless, and refused\n{ours}")


def compared(files: int, seed: int) -> Comparison:
    """So many random cases, in a copy of ``conf/``."""
    rng = random.Random(seed)
    gpt2hydra.register_configs()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra warns of what is odd, and composes it
        found = Comparison(Path(shutil.copytree(CONF_DIR, Path(name, "conf"))))
        with hydra_in(found.folder, "gpt2hydra"):
            for _ in range(files):
                found.attempt(random_case(rng))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many of the refusals too, to be read")
    options = parser.parse_args()
    found = compared(options.files, options.seed)
    print(*found.refused[: options.show], sep="\n\n", end="\n\n")
    print("\n\n".join(found.failures) or "each was composed as Hydra composes it, or refused")
    print(f"{found.accepted} accepted, {found.unchanged} of them unchanged; {len(found.refused)} refused", file=sys.stderr)
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
