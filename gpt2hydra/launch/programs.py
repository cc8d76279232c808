"""The programs ``train.py`` and ``generate.py``, installed as ``gpt2hydra-train``, ``gpt2hydra-generate``."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from gpt2hydra.composition.job import set_by
from gpt2hydra.config.run import GenerateConfig, TrainConfig
from gpt2hydra.launch.app import main
from gpt2hydra.launch.extras import importing_pytorch


@main(config_name="train", extra="train")
def train(config: TrainConfig) -> float:
    """Train, and return the validation loss, which a Hydra sweeper minimizes."""
    with importing_pytorch():
        from gpt2hydra.training.run import train  # PyTorch

    resume_from = Path(config.resume) if config.resume else None
    return train(config, output_dir(), set_by(config), resume_from=resume_from).validation_loss


@main(config_name="generate", extra="train")
def generate(config: GenerateConfig) -> None:
    """Generate and print samples."""
    with importing_pytorch():
        from gpt2hydra.inference.generate import generate  # PyTorch

    generate(config)


def output_dir() -> Path:
    """Return the directory of this run: Hydra's inside a job, else a new ``outputs/<date>/<time>``."""
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        return Path(HydraConfig.get().runtime.output_dir)
    from gpt2hydra.runs.directory import default_run_directory  # help and completion do not need it

    return default_run_directory()
