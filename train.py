"""Train GPT-2: ``python train.py experiment=quickstart``, or ``python train.py --help``."""

from gpt2hydra.launch.entry_points import train

if __name__ == "__main__":
    train()
