"""What a refusal says: all problems at once, who set each, what to type instead."""

import json
from pathlib import Path

import pytest

import gpt2hydra
from gpt2hydra.commands import main
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.config.gpt2 import CONF_DIR
from gpt2hydra.config.keys import fields_of
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.config.validation import Checked
from tests.command_line import CommandLine


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF_DIR.parent)  # origins are shown relative to it


def report(*overrides: str, name: str = "train", config_dir: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        gpt2hydra.compose(name, list(overrides), config_dir=config_dir)
    return str(caught.value)


def only(*overrides: str, name: str = "train", config_dir: Path | None = None) -> str:
    """The one violation of a report."""
    head, violation = report(*overrides, name=name, config_dir=config_dir).split("\n\n")
    assert head == "1 problem in the configuration."
    return "\n".join(line[2:] for line in violation.splitlines())


def known(root: type[Checked]) -> str:
    return ", ".join(field.name for field in fields_of(root))


@pytest.mark.parametrize(
    ("overrides", "rule", "remedies"),
    [
        pytest.param(
            ["experiment=quikstart", "model.n_head=5"],
            "must divide model.n_embd = 128",
            ["model.n_head=4", "experiment=quickstart"],
            id="experiment",
        ),
        pytest.param(
            ["model=lrage", "model.n_head=7"], "must divide model.n_embd = 1280", ["model=large", "model.n_head=8"], id="size"
        ),
        pytest.param(
            ["+model=large", "model.n_head=7"], "must divide model.n_embd = 1280", ["model=large", "model.n_head=8"], id="plus"
        ),
        pytest.param(["model=huge", "model.n_head=7"], None, [], id="nothing is near, so nothing is known"),
        pytest.param(["model=[small,large]", "model.n_head=7"], None, [], id="two sizes, so nothing is known"),
    ],
)
def test_other_mistakes_are_checked_against_the_suggested_option(
    overrides: list[str], rule: str | None, remedies: list[str]
) -> None:
    message = report(*overrides)
    assert ("must divide" in message) == (rule is not None) and (rule or "") in message
    assert [line.partition("try: ")[2] for line in message.splitlines() if "try: " in line] == remedies


def test_mistakes_are_reported_in_the_order_of_the_schema() -> None:
    reported = report("model=large", "model.n_head=7", "model.resid_pdrop=1.5", "model.n_layer=abc", "model.n_hed=3")
    keys = [part.strip().partition(" = ")[0] for part in reported.split("\n\n")[1:]]
    assert keys == ["model.n_layer", "model.n_head", "model.resid_pdrop", "model.n_hed"]


def test_swapped_layers_and_heads_are_recognised() -> None:
    assert (
        only("model=xl", "model.n_layer=25", "model.n_head=48")
        == """\
model.n_head = 48
  must divide model.n_embd = 1600; n_layer and n_head look swapped: xl has 48 layers, 25 heads
  set by the command line: model.n_head=48   (was 25, conf/model/xl.yaml:3)
  try: model.n_head=25 model.n_layer=48"""
    )


# ------------------------------------------------------------------------------------------------------------- no hole

A_VALUE = "must be an integer ≥ 1 and ≤ 10,000"
WAS_12 = "(was 12, conf/model/small.yaml:1)\n  try: model.n_layer=12"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        pytest.param(
            "+model.n_hed=5",
            "model.n_hed = 5\n  unknown key; did you mean model.n_head?\n  set by the command line: +model.n_hed=5",
            id="added key",
        ),
        pytest.param(
            "++model.n_hed=5",
            "model.n_hed = 5\n  unknown key; did you mean model.n_head?\n  set by the command line: ++model.n_hed=5",
            id="forced key",
        ),
        pytest.param(
            "+training.seed=3",
            "training.seed = 3\n  exists already; leave out the plus\n"
            "  set by the command line: +training.seed=3   (was 1337, the default)\n  try: training.seed=3",
            id="added, though it is there",
        ),
        pytest.param(
            "+training.seed=abc",
            "training.seed = abc\n  must be an integer ≥ 0 and ≤ 4,294,967,295, not text; it exists already; leave out the plus"
            "\n"
            "  set by the command line: +training.seed=abc   (was 1337, the default)\n  try: training.seed=1337",
            id="added, though it is there, and wrong",
        ),
        pytest.param(
            "+foo.bar=3",
            f"foo.bar = 3\n  unknown key; known: {known(TrainConfig)}\n  set by the command line: +foo.bar=3",
            id="added section",
        ),
        pytest.param(
            "n_head=8",
            "n_head = 8\n  unknown key; did you mean model.n_head?\n  set by the command line: n_head=8\n  try: model.n_head=8",
            id="section left out",
        ),
        pytest.param(
            "model.seed=3",
            "model.seed = 3\n  unknown key; did you mean training.seed?\n  set by the command line: model.seed=3\n"
            "  try: training.seed=3",
            id="key of another section",
        ),
        pytest.param(
            "trainin.lr=3",
            "trainin.lr = 3\n  unknown key; did you mean training.learning_rate?\n  set by the command line: trainin.lr=3\n"
            "  try: training.learning_rate=3",
            id="initials",
        ),
        pytest.param(
            "model.n_head.x=3",
            "model.n_head.x = 3\n  unknown key: model.n_head is a single value, it has no keys below it\n"
            "  set by the command line: model.n_head.x=3",
            id="below a value",
        ),
        pytest.param(
            "trainin.seed=3",
            "trainin.seed = 3\n  unknown key; did you mean training.seed?\n  set by the command line: trainin.seed=3\n"
            "  try: training.seed=3",
            id="misspelt section",
        ),
        pytest.param(
            "modle=large",
            "modle = large\n  unknown key; did you mean model?\n  set by the command line: modle=large\n  try: model=large",
            id="misspelt group",
        ),
        pytest.param(
            "model=lrage",
            "model = lrage\n  must be one of large, medium, small, xl\n  set by the command line: model=lrage\n"
            "  try: model=large",
            id="misspelt option",
        ),
        pytest.param(
            "hardware=h100",
            "hardware = h100\n  must be one of a100_40gb, a100_80gb, h100_80gb, h200, l4, rtx_3090, rtx_4090, this_machine\n"
            "  set by the command line: hardware=h100\n  try: hardware=h100_80gb",
            id="beginning of an option",
        ),
        pytest.param(
            "model=[small,large]",
            "model = [small,large]\n  must be one of large, medium, small, xl; use a sweep for several\n"
            "  set by the command line: model=[small,large]\n  try: -m model=small,large",
            id="several options",
        ),
        pytest.param(
            "+experiment=quickstart",
            "experiment = quickstart\n  is in the defaults list already; leave out the plus\n"
            "  set by the command line: +experiment=quickstart\n  try: experiment=quickstart",
            id="added choice",
        ),
        pytest.param(
            "model=null",
            "model = null\n  must be one of large, medium, small, xl\n  set by the command line: model=null\n"
            "  try: model=small",
            id="null option",
        ),
        pytest.param(
            "~model",
            "model\n  must be one of large, medium, small, xl\n  deleted by the command line: ~model\n  try: model=small",
            id="deleted group",
        ),
        pytest.param(
            "~tokenizer",
            "tokenizer\n  must be one of bytes, gpt2\n  deleted by the command line: ~tokenizer\n  try: tokenizer=bytes",
            id="deleted group that the schema would fill in",
        ),
        pytest.param(
            "~training",
            "training\n  cannot be deleted: every key of the schema has a value\n  set by the command line: ~training",
            id="deleted section",
        ),
        pytest.param(
            "~model.n_layer",
            "model.n_layer\n  cannot be deleted: every key of the schema has a value\n"
            "  set by the command line: ~model.n_layer",
            id="deleted key",
        ),
        pytest.param(
            "~model.n_layr",
            "model.n_layr\n  cannot be deleted: there is no such key\n  set by the command line: ~model.n_layr",
            id="deleted nothing",
        ),
        pytest.param(
            "model={n_hed: 5}",
            "model.n_hed = 5\n  unknown key; did you mean model.n_head?\n  set by the command line: model={n_hed: 5}",
            id="dict value",
        ),
        pytest.param(
            "model={n_head: 8, n_hed: 5}",
            "model.n_hed = 5\n  unknown key; did you mean model.n_head?\n"
            "  set by the command line: model={n_head: 8, n_hed: 5}",
            id="dict value of which one key is right",
        ),
        pytest.param(
            "training=null",
            "training = null\n  is a section; set its keys, for example training.seq_len\n"
            "  set by the command line: training=null",
            id="null section",
        ),
        pytest.param(
            "model.n_layer=???",
            f"model.n_layer\n  must be given: transformer blocks\n  set by the command line: model.n_layer=???   {WAS_12}",
            id="mandatory marker",
        ),
        pytest.param(
            "model.n_layer=${nope}",
            "model.n_layer = ${nope}\n  refers to a key that does not exist\n"
            f"  set by the command line: model.n_layer=${{nope}}   {WAS_12}",
            id="interpolation of nothing",
        ),
        pytest.param(
            "model.n_layer=${oc.env:GPT2HYDRA_NO_SUCH}",
            "model.n_layer = ${oc.env:GPT2HYDRA_NO_SUCH}\n  refers to an environment variable that is not set\n"
            f"  set by the command line: model.n_layer=${{oc.env:GPT2HYDRA_NO_SUCH}}   {WAS_12}",
            id="environment variable that is not set",
        ),
        pytest.param(
            "model.n_layer=true",
            f"model.n_layer = true\n  {A_VALUE}, not true or false\n  set by the command line: model.n_layer=true   {WAS_12}",
            id="bool for int",
        ),
        pytest.param(
            "training.max_steps=1,000",
            "training.max_steps = 1,000\n  is a list of values for Hydra; a number has no commas\n"
            "  set by the command line: training.max_steps=1,000\n  try: training.max_steps=1000",
            id="comma in a number",
        ),
        pytest.param(
            "training.batch_size=64.0",
            "training.batch_size = 64.0\n  must be an integer ≥ 1 and ≤ 1,000,000, not a float; write 64\n"
            "  set by the command line: training.batch_size=64.0   (was 4, the default)\n  try: training.batch_size=64",
            id="float that is an integer",
        ),
        pytest.param(
            "model.n_layer=12.0",
            f"model.n_layer = 12.0\n  {A_VALUE}, not a float; write 12\n"
            f"  set by the command line: model.n_layer=12.0   {WAS_12}",
            id="float for int",
        ),
        pytest.param(
            "dry_run=5",
            "dry_run = 5\n  must be true or false, not an integer\n"
            "  set by the command line: dry_run=5   (was false, the default)",
            id="int for bool",
        ),
        pytest.param(
            "dry_run=1",
            "dry_run = 1\n  must be true or false, not an integer\n"
            "  set by the command line: dry_run=1   (was false, the default)\n  try: dry_run=true",
            id="1 for true",
        ),
        pytest.param(
            "training.precisixn=20000",
            "training.precisixn = 20000\n  unknown key; did you mean training.precision?\n"
            "  set by the command line: training.precisixn=20000",
            id="misspelt key with a value that would not do either",
        ),
        pytest.param(
            "dta.path=a b.txt",
            "dta.path = a b.txt\n  unknown key; did you mean data.path?\n  set by the command line: dta.path=a b.txt\n"
            "  try: \"data.path='a b.txt'\"",
            id="remedy that a shell must not split",
        ),
        pytest.param(
            "model.resid_pdrop=nan",
            "model.resid_pdrop = nan\n  must be finite: a number ≥ 0 and ≤ 1\n"
            "  set by the command line: model.resid_pdrop=nan   (was 0.1, the default)\n  try: model.resid_pdrop=0.1",
            id="nan",
        ),
        pytest.param(
            "training.learning_rate=-inf",
            "training.learning_rate = -inf\n  must be finite: a number > 0 and ≤ 10\n"
            "  set by the command line: training.learning_rate=-inf   (was 0.0006, the default)\n"
            "  try: training.learning_rate=0.0006",
            id="inf",
        ),
        pytest.param(
            "model.resid_pdrop=1e400",
            "model.resid_pdrop = inf\n  must be finite: a number ≥ 0 and ≤ 1\n"
            "  set by the command line: model.resid_pdrop=1e400   (was 0.1, the default)\n  try: model.resid_pdrop=0.1",
            id="1e400",
        ),
        pytest.param(
            "model.n_layer=1:30",
            f"model.n_layer = 1:30\n  {A_VALUE}, not text\n  set by the command line: model.n_layer=1:30   {WAS_12}",
            id="sexagesimal",
        ),
        pytest.param(
            "model.n_inner=5",
            "model.n_inner = 5\n  is computed (4 * n_embd): 3072 for model.n_embd = 768; it cannot be set\n"
            "  set by the command line: model.n_inner=5",
            id="computed value",
        ),
        pytest.param(
            "++model.n_inner=5",
            "model.n_inner = 5\n  is computed (4 * n_embd): 3072 for model.n_embd = 768; it cannot be set\n"
            "  set by the command line: ++model.n_inner=5",
            id="computed value, forced",
        ),
        pytest.param(
            "+model.n_inner=5",
            "model.n_inner = 5\n  is computed (4 * n_embd); it cannot be set\n  set by the command line: +model.n_inner=5",
            id="computed value, added",
        ),
        pytest.param(
            "model.n_layer=2,3",
            "model.n_layer = 2,3\n  is a list of values to sweep over, which needs -m (--multirun)\n"
            "  set by the command line: model.n_layer=2,3\n  try: -m model.n_layer=2,3",
            id="sweep without -m",
        ),
        pytest.param(
            "hydra.run.dri=x",
            "hydra.run.dri = x\n  unknown key of Hydra's own config; did you mean hydra.run.dir?\n"
            "  set by the command line: hydra.run.dri=x\n  try: hydra.run.dir=x",
            id="Hydra's own key",
        ),
        pytest.param("=", "=\n  is not an override, which is KEY=VALUE, or ~KEY to delete\n  on the command line", id="no key"),
        pytest.param(
            "model.n_layer=(",
            "model.n_layer = (\n  is not an override that Hydra can read (extraneous input '(')\n"
            "  set by the command line: model.n_layer=(\n  try: model.n_layer=12",
            id="no grammar",
        ),
    ],
)
def test_every_violation_is_reported(override: str, expected: str) -> None:
    assert only(override) == expected


def test_5000_digits_are_refused_in_few_words() -> None:
    digits = "9" * 5000
    assert only(f"model.n_layer={digits}").splitlines()[:2] == [
        f"model.n_layer = {digits[:60]}... (5,000 characters)",
        "  has too many digits",
    ]
    assert only(f"model.resid_pdrop={digits[:400]}").splitlines()[1] == "  must be finite: a number ≥ 0 and ≤ 1"


def test_a_value_from_the_environment_stays_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2HYDRA_SECRET", "hunter2")
    for key in ("training.device", "model.n_layer", "dry_run", "training.learning_rate", "tokenizer.name"):
        assert "hunter2" not in report(f"{key}=${{oc.env:GPT2HYDRA_SECRET}}")


@pytest.mark.parametrize("override", ["data.path=~nobody/x", "data.path=007", "data.path=true", "training.precision=16"])
def test_an_override_is_shown_as_it_was_typed(override: str, run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPT2HYDRA_ERRORS", "json")
    outcome = run(override, "model.n_head=7")
    found = {each["key"]: each["source"]["override"] for each in json.loads(outcome.err)["violations"]}
    assert found == {"model.n_head": "model.n_head=7", override.partition("=")[0]: override}


def test_python_and_commands_show_an_override_as_it_was_typed(run: CommandLine) -> None:
    assert "  set by the command line: training.precision=16   (was fp32" in report("training.precision=16")
    with pytest.raises(SystemExit):
        main.main(["size", "training.precision=16"])
    assert "  set by the command line: training.precision=16   (was fp32" in run.capfd.readouterr().err


def test_a_repeated_mistake_is_reported_once() -> None:
    assert only("model.n_positions=0").startswith("model.n_positions = 0\n")  # training.seq_len: ${model.n_positions}


def test_a_missing_checkpoint_is_reported_with_what_it_is() -> None:
    assert (
        only(name="generate")
        == """\
checkpoint
  must be given: run directory, or any Hugging Face folder of a GPT-2 with safetensors
  try: checkpoint=..."""
    )


def test_a_group_of_another_program_is_an_unknown_key() -> None:
    assert (
        only("checkpoint=there", "model=large", name="generate")
        == f"""\
model = large
  unknown key; known: {known(GenerateConfig)}
  set by the command line: model=large"""
    )


# ------------------------------------------------------------------------------------------------------------- in files


def a_conf(folder: Path, **files: str) -> Path:
    """A user's own ``conf/`` with one primary config, ``mine.yaml``, and more."""
    primary = "defaults:\n  - train_schema\n  - model: mine\n  - _self_\n"
    for name, content in {"mine": primary, "model__mine": "n_layer: 2\n", **files}.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> str:
    monkeypatch.chdir(tmp_path)
    return only(name="mine", config_dir=a_conf(tmp_path / "conf", **files))


def test_an_unknown_key_in_a_file_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        in_files(tmp_path, monkeypatch, model__mine="n_layer: 2\n# width\nn_embed: 64\n")
        == """\
model.n_embed = 64
  unknown key; did you mean model.n_embd?
  set by conf/model/mine.yaml:3"""
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "n_layer: 012",
            "model.n_layer = 012\n  YAML reads it as 10; in the file, write 12\n  set by conf/model/mine.yaml:1   "
            "(was 12, the default)\n  try: model.n_layer=12",
            id="octal",
        ),
        pytest.param(
            "vocab_size: 10:00:00",
            "model.vocab_size = 10:00:00\n  YAML reads it as 36000; in the file, write 36000\n"
            "  set by conf/model/mine.yaml:1   (was 50257, the default)\n  try: model.vocab_size=36000",
            id="sexagesimal",
        ),
    ],
)
def test_a_number_that_yaml_misreads(line: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_files(tmp_path, monkeypatch, model__mine=f"{line}\n") == expected


@pytest.mark.parametrize(
    ("written", "read", "remedy"),
    [
        ("no", "false", "data.path=no"),
        ("007", "7", "\"data.path='007'\""),
        ("1.10", "1.1", "\"data.path='1.10'\""),
        ("1e3", "1000.0", "\"data.path='1e3'\""),
    ],
)
def test_text_that_yaml_takes_for_something_else(
    written: str, read: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = f"defaults:\n  - train_schema\n  - model: mine\n  - _self_\ndata:\n  path: {written}\n"
    assert (
        in_files(tmp_path, monkeypatch, mine=primary)
        == f"""\
data.path = {written}
  is text, but YAML reads it as {read}; in the file, put it in quotes: '{written}'
  set by conf/mine.yaml:6   (was null, the default)
  try: {remedy}"""
    )


def test_quotes_are_not_suggested_for_an_invalid_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = "defaults:\n  - train_schema\n  - model: mine\n  - _self_\ntokenizer:\n  name: 1e3\n"
    assert (
        in_files(tmp_path, monkeypatch, mine=primary)
        == """\
tokenizer.name = 1e3
  must be one of bytes, gpt2
  set by conf/mine.yaml:6   (was bytes, the default)
  try: tokenizer.name=bytes"""
    )


def test_quoted_text_and_plain_numbers_are_read_right(tmp_path: Path) -> None:
    primary = "defaults:\n  - train_schema\n  - model: mine\n  - _self_\ndata:\n  path: 'no'\nhardware: {name: 4090}\n"
    config = gpt2hydra.compose("mine", config_dir=a_conf(tmp_path, mine=primary, model__mine="n_layer: 1_0\nn_head: 08\n"))
    shape = config.model.n_layer, config.model.n_head
    assert (config.data.path, config.hardware.name, *shape) == ("no", "4090", 10, 8)  # 08 is no number of base 8


def test_a_file_that_is_no_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = in_files(tmp_path, monkeypatch, model__mine="n_layer: [1\nn_head: 3\n")
    assert message.startswith("conf/model/mine.yaml:2\n  is not YAML: ")


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        pytest.param("model: mien", "must be one of mine; did you mean mine?", id="option"),
        pytest.param("modell: mine", "there is no such group; did you mean model?", id="group"),
        pytest.param("generat_schema", "there is no such config; did you mean generate_schema?", id="config"),
        pytest.param("3", "there is no such config", id="number"),
        pytest.param("override /modl: mine", "there is no such group; did you mean /model?", id="override"),
    ],
)
def test_a_line_of_the_defaults_list_that_names_nothing(
    entry: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = f"defaults:\n  - train_schema\n  - {entry}\n  - override hydra/job_logging: none\n"
    message = in_files(tmp_path, monkeypatch, mine=primary)
    assert message == f"defaults: {entry}\n  {rule}\n  set by conf/mine.yaml:3"


EXPERIMENT = "defaults:\n  - train_schema\n  - model: mine\n  - _self_\n  - experiment: null\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            "# @package _global_\nmodel.n_layer: 6\n",
            "model.n_layer = 6\n  must be nested in YAML: model: {n_layer: 6}\n  set by conf/experiment/x.yaml:2",
            id="dotted key",
        ),
        pytest.param(
            "model: {n_layer: 6}\n",
            "experiment = x\n  names conf/experiment/x.yaml, whose first line must be: # @package _global_\n"
            "  set by the command line: experiment=x",
            id="no package",
        ),
        pytest.param(
            "",
            "experiment = x\n  names conf/experiment/x.yaml, which is empty\n  set by the command line: experiment=x",
            id="empty",
        ),
        pytest.param(
            "# @package _global_\nmodel:\n\tn_layer: 6\n",
            "conf/experiment/x.yaml:3\n  has a tab in its indentation; YAML takes spaces only\n"
            "  chosen by the command line: experiment=x",
            id="tab",
        ),
        pytest.param(
            "# @package _global_\nmodel: {n_layer: 6}\nmodel: {n_layer: 7}\n",
            "conf/experiment/x.yaml:3\n  has the key model twice\n  chosen by the command line: experiment=x",
            id="key twice",
        ),
        pytest.param(
            "# @package _global_\ntraining:\n  seed: ???\n",
            "training.seed = ???\n  must be given on the command line: the file has ???\n"
            "  set by conf/experiment/x.yaml:3\n  try: training.seed=1337",
            id="left to the command line",
        ),
        pytest.param(
            "# @package _global_\nmodel:\n  n_layer: ${training.seed}\ntraining:\n  seed: ${model.n_layer}\n",
            "",
            id="circle",
        ),
    ],
)
def test_a_users_experiment(content: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    conf = a_conf(tmp_path / "conf", mine=EXPERIMENT, experiment__x=content)
    if expected:
        assert only("experiment=x", name="mine", config_dir=conf) == expected
    else:
        assert report("experiment=x", name="mine", config_dir=conf).count("refers to itself") == 2


def test_a_value_required_by_a_file_can_be_given_on_the_command_line(tmp_path: Path) -> None:
    conf = a_conf(tmp_path, mine=EXPERIMENT, experiment__x="# @package _global_\ntraining:\n  seed: ???\n")
    assert gpt2hydra.compose("mine", ["experiment=x", "training.seed=3"], config_dir=conf).training.seed == 3


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        pytest.param("a: [\n", "mine.yaml:2\n    is not YAML", id="no YAML"),
        pytest.param("- a\n", "mine.yaml\n    ", id="a list"),
        pytest.param("hydra:\n  searchpath: 5\n", "hydra.searchpath = 5\n    is not accepted by Hydra", id="search path"),
        pytest.param("defaults: [train_schema, '']\n", "defaults: ''\n    there is no such config", id="no name"),
        pytest.param("defaults: [{model: {n_head: 4}}]\n", "defaults\n    must name an option", id="a mapping for an option"),
        pytest.param("defaults: 5\n", "defaults\n    must be a list with lines '- group: option'", id="defaults"),
    ],
)
def test_a_primary_config_that_cannot_be_used_is_a_report_too(content: str, reported: str, tmp_path: Path) -> None:
    message = report(name="mine", config_dir=a_conf(tmp_path, mine=content))
    assert message.startswith("1 problem in the configuration.\n\n  ") and reported in message


def test_a_list_where_hydras_own_files_have_a_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = "defaults: [train_schema, model: mine, _self_]\nhydra:\n  job_logging:\n    handlers: [file]\n"
    message = in_files(tmp_path, monkeypatch, mine=primary).splitlines()
    assert message[0] == "hydra.job_logging.handlers = ['file']" and message[2] == "  set by conf/mine.yaml:4"
    assert message[1].startswith("  is not accepted by Hydra: Cannot merge ")


def test_an_empty_mapping_is_no_value() -> None:
    assert "model.n_layer = {}\n    must be an integer" in report("model.n_layer={}", "model.n_head=7")


def test_consequences_of_an_invalid_value_are_not_reported() -> None:
    assert only("model.n_embd=${nope}").startswith("model.n_embd = ${nope}\n")
    assert only("~model", "model.n_layer=3").startswith("model\n")


def test_keys_of_a_plugin_are_known_if_it_is_chosen() -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    assert only("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "model.n_hed=1").startswith("model.n_hed = 1\n")
