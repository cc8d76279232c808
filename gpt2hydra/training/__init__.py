"""The training loop, and what it uses: processes, evaluation, progress, signals, trackers."""
