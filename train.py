"""Train GPT-2: ``python train.py experiment=quickstart``, or ``python train.py --help``."""

import gpt2hydra


@gpt2hydra.main(config_name="train", extra="train")
def main(config: gpt2hydra.TrainConfig) -> float:
    """Train, and return the validation loss, which is what a Hydra sweeper minimises."""
    from gpt2hydra.train import train

    return train(config).validation_loss


if __name__ == "__main__":
    main()
