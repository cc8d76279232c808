"""Where prompts come from."""

from pathlib import Path

import pytest

from gpt2hydra import GenerateConfig
from gpt2hydra.config.errors import ConfigError
from gpt2hydra.inference.prompts import check_prompts, read_prompts


def from_file(file: Path | str) -> GenerateConfig:
    return GenerateConfig(checkpoint="", prompt_file=str(file))


def test_a_prompt_is_taken_as_it_is() -> None:
    assert read_prompts(GenerateConfig(checkpoint="", prompt=" two\nlines ")) == [" two\nlines "]


def test_each_line_of_a_file_is_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes("\ufeffone\r\n\n two \n   \nthrée".encode())
    assert read_prompts(from_file(tmp_path / "prompts.txt")) == ["one", " two ", "thrée"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        (b"", "holds no prompt; each line is one"),
        (b"\n \n", "holds no prompt; each line is one"),
        (b"ab\xff", "must be UTF-8; byte 2 is not"),
    ],
)
def test_a_file_that_cannot_be_used(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content)
    ((key, rule),) = [(each.key, each.rule) for each in check_prompts(from_file(tmp_path / "prompts.txt"))]
    assert (key, rule) == ("prompt_file", message)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert [each.rule for each in check_prompts(from_file(tmp_path))] == ["must be a file"]
    assert check_prompts(from_file("a" * 300))[0].rule.startswith("cannot be read: ")


def test_a_prompt_comes_from_one_place() -> None:
    with pytest.raises(ConfigError, match="must be null with prompt = a"):
        GenerateConfig(checkpoint="", prompt="a", prompt_file="b")
