"""Continue a prompt: ``python generate.py checkpoint=RUN_DIR prompt="The "``, or ``python generate.py --help``."""

import gpt2hydra


@gpt2hydra.main(config_name="generate", extra="train")
def main(config: gpt2hydra.GenerateConfig) -> None:
    """Print the samples."""
    from gpt2hydra.generate import generate

    generate(config)


if __name__ == "__main__":
    main()
