"""The subcommands of ``gpt2hydra``, such as ``size`` and ``check``: a module for each, and shared ones."""
