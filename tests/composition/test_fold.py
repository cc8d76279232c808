"""Who set a value. In the random part every value in every file names its own place: what Hydra composed tells who is right."""

from __future__ import annotations

import copy
import random
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest
from hydra import version
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime
from omegaconf import MISSING, OmegaConf

from gpt2hydra.composition.composer import Composer
from gpt2hydra.composition.fold import Provenance
from gpt2hydra.composition.hydra_compat import set_version_base
from gpt2hydra.composition.hydra_loader import make_search_path
from gpt2hydra.config.errors import DELETED

DEFAULT = "the default"


@dataclass
class Typed:
    a: str = DEFAULT
    b: str = DEFAULT


@dataclass
class Schema:
    top: str = DEFAULT
    unset: str = MISSING
    typed: Typed = field(default_factory=Typed)
    chosen: Typed = MISSING
    maybe: Optional[Typed] = None
    named: dict[str, Typed] = field(default_factory=dict)
    names: list[str] = field(default_factory=lambda: [DEFAULT, DEFAULT])
    free: Any = DEFAULT


@dataclass
class Stored:
    host: str = "the ConfigStore: db/stored"
    port: Any = "the ConfigStore: db/stored"


TREE = {
    "conf/main.yaml": """
        defaults:
          - schema@shape
          - base: one
          - opt: adam
          - opt@second.opt: sgd
          - db: mysql
          - sched: cosine
          - opt_sched: ${opt}_${sched}
          - _self_
          - late: one
          - optional nowhere: nothing
          - experiment: null
        hydra:
          searchpath: [file://extra]
          job: {name: main}
        top: HERE
        opt: {momentum: HERE}
        shape:
          top: HERE
          names: [HERE, HERE]
          typed:
            a: HERE
        copied: ${opt}
        text: ${top}/HERE
        """,
    "conf/base/one.yaml": "# @package _global_\nfree:\n  deep:\n    x: HERE\n    y: HERE\nmain_wins: HERE\n",
    "conf/base/two.yaml": """
        # @package _global_
        defaults:
          - _self_
          - one
        free: HERE
        main_wins: HERE
        shape: {typed: {a: HERE, b: HERE}, free: {x: HERE}}
        """,
    "conf/opt/adam.yaml": "lr: HERE\nbetas: [HERE, HERE]\nmomentum: HERE\neps:\n  small: HERE\n",
    "conf/opt/sgd.yaml": "defaults: [adam, _self_]\nlr: HERE\n\nnesterov: HERE\n",
    "conf/opt/fancy.yaml": """
        defaults:
          - _self_
          - adam
          - /late@inner: two
        lr: HERE
        eps: HERE
        anchor: &anchor
          p: HERE
          q: HERE
        merged:
          <<: *anchor
          q: HERE
        again: *anchor
        """,
    "conf/db/mysql.yaml": "# @package storage.db\nhost: HERE\nport: HERE\n",
    "conf/sched/cosine.yaml": "steps: HERE\n",
    "conf/opt_sched/adam_cosine.yaml": "pair: HERE\n",
    "conf/opt_sched/sgd_cosine.yaml": "# @package pair\nname: HERE\n",
    "conf/opt_sched/fancy_cosine.yaml": "# @package _global_\nopt:\n  lr: HERE\n",
    "conf/opt_sched/adam_linear.yaml": "# @package _global_\nsched: {pair: HERE}\n",
    "conf/opt_sched/sgd_linear.yaml": "pair: HERE\n",
    "conf/opt_sched/fancy_linear.yaml": "pair: HERE\n",
    "conf/late/one.yaml": "x: HERE\n",
    "conf/late/two.yaml": "x: HERE\n# a comment\ny: [HERE]\n",
    "conf/experiment/a.yaml": """
        # @package _global_
        defaults:
          - override /opt: sgd
          - override /db: plain
          - _self_
        opt: {lr: HERE, new: HERE}
        shape: {chosen: {a: HERE}, names: [HERE]}
        copied:
          lr: HERE
        """,
    "conf/experiment/b.yaml": """
        # @package _global_
        defaults:
          - /late@deep.er: two
          - override /opt@second.opt: adam
          - override /sched: linear
        shape:
          maybe: {b: HERE}
          named:
            one: {a: HERE}
            two: {b: HERE}
          free: {deep: HERE}
        second: {opt: {betas: [HERE]}}
        deep: {er: {x: HERE}}
        """,
    "conf/experiment/c.yaml": "# @package _global_\nopt: null\nshape:\n  typed: {b: HERE}\n  chosen: {}\n  free: HERE\n",
    "extra/sched/linear.yaml": "steps: HERE\nwarmup: HERE\n",
    "extra/db/mysql.yaml": "never: HERE\n",
    "more/late/two.yaml": "z: HERE\n",
    "more/sched/cosine.yaml": "\nsteps: HERE\nperiod: HERE\n",
}
"""``HERE`` becomes the place where it stands: ``conf/late/one.yaml:1``."""


@pytest.fixture(scope="module")
def hydra_ready() -> Iterator[None]:
    """Hydra's plugins, version base, job name and ConfigStore, given back as they were."""
    Plugins.instance()
    store, base, name = ConfigStore.instance(), version.VersionBase.instance(), JobRuntime.instance().get("name")
    before = copy.deepcopy(store.repo), base.version_base
    set_version_base()
    JobRuntime.instance().set("name", "test")
    store.store(name="schema", node=Schema)
    store.store(group="db", name="stored", node=Stored)
    store.store(
        group="db", name="plain", node={"host": "the ConfigStore: db/plain", "more": {"x": "the ConfigStore: db/plain"}}
    )
    yield
    store.repo, base.version_base = before
    JobRuntime.instance().set("name", name)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hydra_ready: None) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(tree: dict[str, str], root: Path) -> None:
    for name, text in tree.items():
        indent = min((len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip()), default=0)
        lines = [line[indent:] for line in text.removeprefix("\n").splitlines()]
        lines = [line.replace("HERE", f"{name}:{number}") for number, line in enumerate(lines, 1)]
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def a_composer(conf: str = "conf", config_dir: str | None = None) -> Composer:
    return Composer("main", make_search_path(conf if "://" in conf else str(Path(conf).absolute())), config_dir, once=True)


def traced(here: Path, tree: dict[str, str], *overrides: str, conf: str = "conf", config_dir: str | None = None) -> Provenance:
    """Provenance of a config that composes, the same by the fold as by Hydra."""
    write(tree, here)
    composer = a_composer(conf, config_dir)
    provenance = composer.fold(overrides).provenance
    assert provenance.correct_from(composer.compose_by_hydra(overrides)) == frozenset()
    return provenance


# ----------------------------------------------------------------------------------------------- random compositions


CHOICES = """
    opt=adam opt=sgd opt=fancy ~opt opt@second.opt=adam opt@second.opt=fancy ~opt@second.opt db=mysql db=stored db=plain
    sched=cosine sched=linear late=one late=two late=[one,two] ~late +late@added=two +opt@a.b=sgd base=one base=two
    experiment=a experiment=b experiment=c experiment=[a,b] experiment=[b,c] experiment=[c,a]
""".split()

VALUES = """
    top=V shape.top=V shape.free=V shape={top:V,typed:{a:V}} shape.unset=V
    shape.typed.a=V shape.typed={b:V} shape.typed={a:V,b:V}
    shape.chosen={a:V} shape.chosen.b=V shape.maybe={a:V} shape.names=[V,V] shape.names.0=V shape.names.1=V
    free=V free={x:V} free.deep.x=V ++free.deep.z=V +free.new=[V] opt.lr=V ++opt.lr=V +opt.fresh=V opt={lr:V} +opt={p:{q:V}}
    opt.betas=[V] opt.betas.0=V ~opt.lr ~opt.eps ~opt.betas ++opt.eps.small.x=V
    ~shape.typed ~shape.names ~copied.lr copied={lr:V} copied.lr=V
    +brand.new.key=V ++brand={a:V} +brand.other=V ~brand second.opt.lr=V second={opt:{lr:V}} ~second.opt ~second main_wins=V
    storage.db.host=V ~storage.db.port storage={db:{host:V}} text=V text=${top}/V shape.named.one.a=V
    ~shape.named.one ++late.x=V
    sched.steps=V +pair.more=V hydra.job.name=V
""".split()


def random_overrides(seed: int) -> list[str]:
    """A few choices and values, in random order; ``V`` becomes ``by-N`` in the Nth override."""
    rng = random.Random(seed)
    drawn = rng.sample(CHOICES, rng.randint(0, 3)) + rng.choices(VALUES, k=rng.randint(0, 6))
    rng.shuffle(drawn)
    return [re.sub(r"\bV\b", f"by-{index}", each) for index, each in enumerate(drawn)]


COPIED = next(
    f"conf/main.yaml:{number}"
    for number, line in enumerate(textwrap.dedent(TREE["conf/main.yaml"]).lstrip("\n").splitlines(), 1)
    if line == "copied: ${opt}"
)


def places(value: object, overrides: list[str]) -> set[str]:
    """Where ``value`` says that it comes from; ``null`` and ``${opt}`` cannot say it, but are written in one place each."""
    if by := [int(index) for index in re.findall(r"by-(\d+)", repr(value))]:
        return {f"the command line: {overrides[max(by)]}"}
    if found := re.search(r"the default|the ConfigStore: [\w/]+|\w+(/\w+)*\.yaml:\d+", repr(value)):
        return {found[0]}
    return {"null": {DEFAULT, "conf/experiment/c.yaml:2"}, "???": {DEFAULT}, "${opt}": {COPIED}}[str(value or "null")]


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def agreed(overrides: list[str], composer: Composer) -> bool:
    """Compose with random overrides; whether Hydra took them. Fails where the trace is wrong about one value."""
    provenance = composer.fold(overrides).provenance
    try:
        config = composer.compose_by_hydra(overrides)
    except Exception:  # refused, and OmegaConf has no common class for it
        return False
    assert provenance.correct_from(config) == frozenset(), overrides
    raw: Any = OmegaConf.to_container(config, resolve=False)
    del raw["hydra"]
    chains = {key: chain for key, chain in provenance.settings.items() if chain[-1].value is not DELETED}
    assert chains.keys() == dict(leaves(raw)).keys(), overrides
    for key, value in leaves(raw):
        if value != {}:
            assert str(chains[key][-1].source) in places(value, overrides), (key, overrides)
        for setting in chains[key]:
            if setting.value is not DELETED and setting.value != {}:
                assert str(setting.source) in places(setting.value, overrides), (key, overrides)
    return True


BATCHES = [pytest.param(batch, marks=() if batch < 4 else pytest.mark.thorough) for batch in range(24)]


@pytest.mark.parametrize("batch", BATCHES)
def test_every_value_of_random_compositions_is_traced_to_where_it_was_written(batch: int, here: Path) -> None:
    write(TREE, here)
    composers = [a_composer(), a_composer(), a_composer(config_dir="more")]
    seeds = range(batch * 1000, batch * 1000 + 50)
    assert sum(agreed(random_overrides(seed), composers[seed % 3]) for seed in seeds) >= 20  # Hydra refuses the rest
