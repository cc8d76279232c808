"""``python -m gpt2hydra`` is the ``gpt2hydra`` command."""

from gpt2hydra.commands.main import main

if __name__ == "__main__":
    main()
