"""``gpt2hydra size``, ``explain``, ``check`` and the others: a file for each."""
