"""``python -m gpt2hydra`` is the ``gpt2hydra`` command."""

from gpt2hydra.cli.commands import main

if __name__ == "__main__":
    main()
