"""Sampling: what is drawn, what the model sees, where a sample ends."""

import pytest

pytest.importorskip("torch")

import torch

from gpt2hydra import GenerateConfig
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.data.tokenizer import bytes_tokenizer
from gpt2hydra.inference.sampling import Sample, context_after_truncation, draw_token, generate_batch
from tests.models import tiny_model

BYTES = bytes_tokenizer()


def settings(**given: object) -> GenerateConfig:
    return GenerateConfig(checkpoint="there", **{"temperature": 0, "top_k": None, **given})  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ({}, {0, 1, 2, 3}),
        ({"temperature": 0}, {2}),
        ({"temperature": 0.01}, {2}),
        ({"temperature": 1e-40}, {2}),
        ({"temperature": 100}, {0, 1, 2, 3}),
        ({"top_k": 1}, {2}),
        ({"top_k": 2}, {0, 2}),
        ({"top_k": 4}, {0, 1, 2, 3}),
        ({"top_k": 999}, {0, 1, 2, 3}),
        ({"top_p": 1.0}, {0, 1, 2, 3}),
        ({"top_p": 0.9}, {0, 2, 3}),
        ({"top_p": 0.6}, {0, 2}),
        ({"top_p": 1e-9}, {2}),
        ({"top_k": 3, "top_p": 0.6}, {0, 2}),
        ({"min_p": 0.05}, {0, 1, 2, 3}),
        ({"min_p": 0.2}, {0, 2, 3}),
        ({"min_p": 0.5}, {0, 2}),
        ({"min_p": 1.0}, {2}),
    ],
)
def test_which_tokens_can_be_drawn(given: dict[str, object], drawn: set[int]) -> None:
    logits = torch.tensor([0.3, 0.05, 0.5, 0.15]).log()  # their probabilities at temperature 1
    generator = torch.Generator().manual_seed(1)
    assert {draw_token(logits, settings(**{"temperature": 1, **given}), generator) for _ in range(300)} == drawn


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_damaged_weights_are_reported_by_what_they_compute(value: float) -> None:
    with pytest.raises(ConfigError, match="checkpoint = there\n    computes NaN or infinity: its weights are damaged"):
        draw_token(torch.tensor([0.0, value]), settings(), torch.Generator())


def test_tokens_that_were_there_are_less_likely() -> None:
    logits = torch.tensor([4.0, -1.0, 3.0, -2.0])
    assert draw_token(logits, settings(repetition_penalty=2), torch.Generator(), [0, 1, 0]) == 2
    assert logits.tolist() == [4, -1, 3, -2]
    assert draw_token(logits, settings(repetition_penalty=1.3), torch.Generator(), [0, 0, 0]) == 0  # once, however often seen


# ------------------------------------------------------------------------------------------------------ what it sees


def grown(prompt: list[int], count: int, ends: frozenset[int] = frozenset(), **given: object) -> Sample:
    sample = Sample(prompt, settings(max_new_tokens=count, **given), BYTES, ends)
    generate_batch(tiny_model(), [sample])
    return sample


def continuation(prompt: list[int], count: int) -> list[int]:
    return grown(prompt, count).history[len(prompt) :]


def likeliest(tokens: list[int]) -> int:
    return int(tiny_model()(torch.tensor([tokens])).logits[0, -1].argmax())


def test_the_cache_changes_nothing() -> None:
    tokens = [1, 2, 3]
    for token in continuation(tokens, 13):
        assert token == likeliest(tokens)
        tokens.append(token)


def test_a_prompt_longer_than_the_context_counts_by_its_end() -> None:
    prompt = list(range(40))
    assert continuation(prompt, 1) == [likeliest(prompt[-16:])]


def test_beyond_the_context_three_quarters_stay_in_sight() -> None:
    tokens = list(range(10))
    made = continuation(tokens, 20)
    assert len(made) == 20
    assert made[7] == likeliest((tokens + made[:7])[-context_after_truncation(16) :])
    assert context_after_truncation(16) == 12


@pytest.mark.parametrize("n_positions", [1, 2, 3, 1024])
def test_something_always_stays_and_something_goes(n_positions: int) -> None:
    assert 1 <= context_after_truncation(n_positions) <= max(1, n_positions - 1)


def test_samples_of_a_batch_equal_those_generated_one_by_one() -> None:
    def new(number: int) -> Sample:
        prompt = list(b"It was")
        return Sample(prompt, settings(temperature=1, max_new_tokens=40), BYTES, frozenset(range(0, 257, 40)), number)

    together = [new(number) for number in range(6)]
    generate_batch(tiny_model(), together)
    assert len({len(sample.history) for sample in together}) > 2  # they end at different places, some beyond the context
    for number, sample in enumerate(together):
        alone = new(number)
        generate_batch(tiny_model(), [alone])
        assert (alone.history, alone.text, alone.finish) == (sample.history, sample.text, sample.finish)


# ---------------------------------------------------------------------------------------------------------- where it ends


def test_end_of_text_ends_it() -> None:
    first, second = continuation([1], 2)
    assert first != second
    ended = grown([1], 9, frozenset([second]))
    assert (ended.history, ended.finish, ended.tokens) == ([1, first], "end_of_text", 1)
    assert grown([1], 9, frozenset([first])).history == [1]


def test_without_end_of_text_a_sample_has_the_requested_length() -> None:
    sample = grown([1], 9)
    assert (len(sample.history), sample.tokens, sample.finish) == (10, 9, "length")


class Scripted(Sample):
    """A sample that takes the tokens that it is told."""

    def __init__(self, text: bytes, **given: object) -> None:
        super().__init__([], settings(max_new_tokens=len(text), **given), BYTES)
        self.shown: list[str] = []
        self.on_text = self.shown.append
        for byte in text:
            if not self.finish:
                self.draw_next(torch.nn.functional.one_hot(torch.tensor(byte), 257).float())


@pytest.mark.parametrize(
    ("written", "stop", "shown", "finish"),
    [
        pytest.param("aé€".encode(), None, ["a", "é", "€"], "length", id="a character waits until its bytes are there"),
        pytest.param(b"\xe2\x82", None, ["\N{REPLACEMENT CHARACTER}"], "length", id="a character that is never whole"),
        pytest.param(b"\xffA", None, ["\N{REPLACEMENT CHARACTER}", "A"], "length", id="no UTF-8"),
        pytest.param(b"one. two", ". ", ["o", "n", "e"], "stop", id="a stop"),
        pytest.param(b"one.two", ". ", ["o", "n", "e", ".t", "w", "o"], "length", id="the beginning of a stop"),
        pytest.param(b"aab", "ab", ["a"], "stop", id="a stop that begins anew"),
        pytest.param(b"a#b|c", "|c|#", ["a"], "stop", id="the first of several stops"),
        pytest.param(b"one.", ". ", ["o", "n", "e", "."], "length", id="an end within a stop"),
        pytest.param(b"\n\nUser", "User|\n\n", [], "stop", id="at once"),
    ],
)
def test_only_final_text_is_shown(written: bytes, stop: str | None, shown: list[str], finish: str) -> None:
    sample = Scripted(written, stop=stop)
    assert (sample.shown, sample.text, sample.finish) == (shown, "".join(shown), finish)
