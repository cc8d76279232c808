"""The picture of the sizes: what it says, read off matplotlib's own objects."""

from pathlib import Path
from typing import Any

import pytest

figures = pytest.importorskip("matplotlib.figure")

import gpt2hydra  # noqa: E402
from gpt2hydra import ConfigError  # noqa: E402
from gpt2hydra.commands.size import draw_schedule, plot  # noqa: E402
from gpt2hydra.sizing.memory import MEMORY_PARTS  # noqa: E402
from gpt2hydra.sizing.plan import Plan  # noqa: E402
from gpt2hydra.sizing.plot import plot_sizes  # noqa: E402


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were saved."""
    saved: list[Any] = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    return saved


def test_each_size_says_whether_it_fits(drawn: list[Any], tmp_path: Path) -> None:
    overrides = ["hardware=rtx_4090", "training.batch_size=8", "training.precision=bf16"]
    plans = {name: Plan(gpt2hydra.compose("train", [*overrides, f"model={name}"])) for name in ("small", "xl")}
    plot_sizes(plans, tmp_path / "sizes.png")
    small, xl = (text.get_text() for text in drawn[0].axes[0].texts)
    assert small.endswith(" GB, fits") and xl.endswith(" GB, does not fit")
    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()] == ["small\n124M", "xl\n1.56B"]


def test_the_legend_keeps_the_order_of_the_parts_and_ends_with_the_device(drawn: list[Any], tmp_path: Path) -> None:
    plot(["hardware=a100_40gb", "hardware.devices=4", "training.strategy=fsdp"], str(tmp_path / "sizes.png"))
    (legend,) = drawn[0].legends
    *parts, device = (text.get_text() for text in legend.get_texts())
    assert parts == [part for part in MEMORY_PARTS if part in parts] and len(parts) > 3
    assert device == "NVIDIA A100 40GB: 40.53 GB"
    assert "on each of 4 devices (fsdp)" in drawn[0].axes[0].get_xlabel()


def test_sizes_of_another_folder_are_drawn_too(drawn: list[Any], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/tiny.yaml").write_text("n_layer: 2\nn_embd: 64\nn_head: 2\n")
    plot([], str(tmp_path / "sizes.png"), str(tmp_path))
    names = [label.get_text().partition("\n")[0] for label in drawn[0].axes[0].get_yticklabels()]
    assert names == ["tiny", "small", "medium", "large", "xl"]


def labels(figure: Any) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_only_the_chosen_size_is_plotted(drawn: list[Any], tmp_path: Path) -> None:
    plot(["model=medium", "hardware=l4"], str(tmp_path / "sizes.png"))
    assert labels(drawn[0]) == ["medium\n355M"]


def test_overrides_that_make_all_sizes_one_shape_are_drawn_as_that_shape(drawn: list[Any], tmp_path: Path) -> None:
    plot(["experiment=quickstart", "hardware=l4"], str(tmp_path / "sizes.png"))
    axes, (legend,) = drawn[0].axes[0], drawn[0].legends
    assert labels(drawn[0]) == ["4 x 128\n834k"]
    assert axes.get_title(loc="left") == "batch 16, 64 tokens, fp32, AdamW"
    assert axes.get_xlabel().endswith("MB of 1,000,000 bytes")
    assert legend.get_texts()[-1].get_text() == "NVIDIA L4: 22.29 GB, beyond this plot"


def test_a_size_that_an_override_changes_is_not_called_by_its_name(drawn: list[Any], tmp_path: Path) -> None:
    plot(["model.n_layer=2", "hardware=l4"], str(tmp_path / "sizes.png"))
    assert [label.partition("\n")[0] for label in labels(drawn[0])] == ["2 x 768", "2 x 1024", "2 x 1280", "2 x 1600"]


def test_a_picture_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figures.Figure, "savefig", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        plot([], str(tmp_path / "sizes.png"))


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "wsd"])
def test_a_schedule_is_drawn_as_it_is_trained(schedule: str, drawn: list[Any], tmp_path: Path) -> None:
    settings = (f"training.schedule={schedule}", "training.max_steps=5000", "training.warmup_steps=200")
    config = gpt2hydra.compose("train", [*settings, *["training.decay_steps=1000"] * (schedule == "wsd")])
    draw_schedule(config, str(tmp_path / "schedule.png"))
    axes = drawn[0].axes[0]
    steps, rates = axes.lines[0].get_data()
    assert [steps[0], steps[-1]] == [0, 4999] and {200, 3999 if schedule == "wsd" else 200} <= set(steps)
    assert list(rates) == [config.training.learning_rate_at(step) for step in steps]
    corners = ["warm-up ends after 200 steps", "decay: 1,000 steps"]
    assert [text.get_text() for text in axes.texts] == corners[: 2 if schedule == "wsd" else 1]
