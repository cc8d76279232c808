"""Sampling: what is chosen, what is seen, what is printed."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpt2hydra import GenerateConfig
from gpt2hydra.checkpoint import model_files, run_checkpoints
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.inference import generate as module
from gpt2hydra.inference.generate import encode_prompt, generate
from tests.command_line import CommandLine
from tests.models import save_tiny, tiny_model
from tests.processes import Forked, run_script

BYTES = bytes_tokenizer()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(run_checkpoints.checkpoint_dir(tmp_path_factory.mktemp("run"), 0)).parent.parent


def greedy(folder: Path | str, **settings: object) -> GenerateConfig:
    return GenerateConfig(checkpoint=str(folder), **{"temperature": 0, "max_new_tokens": 10, "prompt": "It was", **settings})  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------------- prompts


def test_an_empty_prompt_starts_from_end_of_text() -> None:
    assert encode_prompt("", BYTES, 257) == [256]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("\ud800", "must be text in UTF-8"), ("hé", "has token 195, but the model knows 128 only")],
)
def test_prompts_that_cannot_be_used(prompt: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encode_prompt(prompt, BYTES, 128)


# -------------------------------------------------------------------------------------------------------- what is printed


def test_samples_are_printed_as_they_are_returned(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one, two = generate(greedy(saved, num_samples=2, temperature=1))
    out, err = capfd.readouterr()
    assert (out, err) == (f"{one}\n---\n{two}\n", "")
    assert one.startswith("It was") and two.startswith("It was") and one != two


def test_a_seed_means_one_text(saved: Path) -> None:
    texts = [generate(greedy(saved, temperature=1, seed=seed))[0] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_second_sample_is_the_first_of_the_next_seed(saved: Path) -> None:
    both = generate(greedy(saved, temperature=1, seed=1, num_samples=2, max_new_tokens=30))
    assert both == [generate(greedy(saved, temperature=1, seed=seed, max_new_tokens=30))[0] for seed in (1, 2)]


def test_many_samples_go_in_several_batches(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, object] = {"temperature": 1, "num_samples": 5, "max_new_tokens": 20}
    together = generate(greedy(saved, **settings))
    monkeypatch.setattr(
        module, "MAX_CACHE_BYTES", 2 * 2 * 2 * 32 * 16 * 4
    )  # two samples: keys and values, layers, width, places
    assert generate(greedy(saved, **settings)) == together


def test_prompts_come_from_a_file(saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompts.txt").write_text("It was\n\nOnce upon\r\n", encoding="utf-8-sig")
    found = generate(greedy(saved, prompt="", prompt_file=str(tmp_path / "prompts.txt")))
    assert capfd.readouterr().out == f"{found[0]}\n---\n{found[1]}\n"
    assert found == [generate(greedy(saved, prompt=prompt))[0] for prompt in ("It was", "Once upon")]


def test_json_has_a_line_for_each_sample(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = generate(greedy(saved, num_samples=2, temperature=1, seed=7, format="json"))
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["prompt"] + line["text"] for line in lines] == texts
    about = [{key: value for key, value in line.items() if key != "text"} for line in lines]
    assert about == [
        {"prompt": "It was", "sample": number, "seed": 7 + number, "tokens": 10, "finish": "length"} for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("prompt", "count", "note"),
    [
        ("x" * 16, 1, ""),
        ("x" * 40, 1, "note: the prompt has 40 tokens, and the context is 16; older text is dropped.\n"),
        ("x" * 6, 11, ""),
        ("x" * 6, 12, "note: the context is 16 tokens; older text is dropped.\n"),
    ],
)
def test_a_prompt_longer_than_the_context_is_noted(
    prompt: str, count: int, note: str, saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    generate(greedy(saved, prompt=prompt, max_new_tokens=count))
    assert capfd.readouterr().err == note


def test_the_command_line_generates(saved: Path, run: CommandLine) -> None:
    arguments = (f"checkpoint='{saved}'", "prompt=a=b, {c}: 'd'", "max_new_tokens=3", "temperature=0")
    outcome = run(*arguments, job=generate, config_name="generate")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("a=b, {c}: 'd'")
    assert run.left_behind() == []


def generate_for_nobody(*arguments: str) -> None:
    """``python generate.py ... | true``: nobody reads the output any more."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, sys.stdout.fileno())
    run_script("generate.py", *arguments)


def test_a_reader_that_has_gone_away_ends_it_quietly(saved: Path) -> None:
    done = Forked(generate_for_nobody, f"checkpoint='{saved}'", "prompt=x", "max_new_tokens=5000").wait()
    assert (done.returncode, done.stderr) == (0, "note: the context is 16 tokens; older text is dropped.\n")


# ------------------------------------------------------------------------------------------------- folders from elsewhere


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(16)[None]).logits
    return found


def test_transformers_loads_our_checkpoint_as_it_is(saved: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(run_checkpoints.checkpoint_dir(saved, 0), attn_implementation="sdpa")
    assert torch.allclose(logits(model), logits(tiny_model()), atol=1e-4)  # gelu_new, in several kernels
    tokenizer = AutoTokenizer.from_pretrained(run_checkpoints.checkpoint_dir(saved, 0))
    assert tokenizer("hé\n")["input_ids"] == BYTES.encode("hé\n")
    assert (tokenizer.decode([104, 195, 169]), tokenizer.eos_token_id, tokenizer.model_max_length) == ("hé", 256, 16)


def test_we_load_our_checkpoint_as_it_was(saved: Path) -> None:
    model, tokenizer = model_files.load_model(str(saved))
    assert torch.equal(logits(model), logits(tiny_model()))
    assert tokenizer.encode("hé") == BYTES.encode("hé")


def test_we_load_what_transformers_saves(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    BYTES.save(tmp_path, 16)
    model, _ = model_files.load_model(str(tmp_path))
    assert torch.equal(logits(model), logits(tiny_model()))


def rewrite(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], source: Path, folder: Path) -> str:
    """A copy of a checkpoint with other weights."""
    folder.mkdir(exist_ok=True)
    for file in run_checkpoints.checkpoint_dir(source, 0).glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    save_file(change(load_file(run_checkpoints.checkpoint_dir(source, 0) / "model.safetensors")), folder / "model.safetensors")
    return str(folder)


def as_on_the_hub(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 16, 16).tril() for layer in range(2)}
    return {name.removeprefix("transformer."): each for name, each in weights.items()} | masks


def test_names_without_prefix_and_masks_as_in_the_hubs_gpt2(saved: Path, tmp_path: Path) -> None:
    model, _ = model_files.load_model(rewrite(as_on_the_hub, saved, tmp_path))
    assert torch.equal(logits(model), logits(tiny_model()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_into_fp32(dtype: torch.dtype, saved: Path, tmp_path: Path) -> None:
    model, _ = model_files.load_model(
        rewrite(lambda all_: {name: each.to(dtype) for name, each in all_.items()}, saved, tmp_path)
    )
    assert model.dtype == torch.float32
    assert torch.allclose(logits(model), logits(tiny_model()), atol=0.5)


def test_a_sharded_checkpoint_is_read(saved: Path, tmp_path: Path) -> None:
    folder = Path(rewrite(as_on_the_hub, saved, tmp_path))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {name: f"model-0000{1 + rank % 2}-of-00002.safetensors" for rank, name in enumerate(weights)}
    for shard in set(where.values()):
        save_file({name: each for name, each in weights.items() if where[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    model, _ = model_files.load_model(str(folder))
    assert torch.equal(logits(model), logits(tiny_model()))


def test_loading_refuses_too(saved: Path, tmp_path: Path) -> None:
    folder = rewrite(lambda all_: {name: each for name, each in all_.items() if "wpe" not in name}, saved, tmp_path)
    with pytest.raises(ConfigError, match=r"lacks 1 of the 28 weights of its own config\.json; wpe\.weight is the first"):
        model_files.load_model(folder)


def test_tensors_of_others_are_passed_over_in_silence(saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = rewrite(lambda all_: {**all_, "foo": torch.zeros(3)}, saved, tmp_path)
    capfd.readouterr()
    model_files.load_model(folder)
    assert capfd.readouterr() == ("", "")
