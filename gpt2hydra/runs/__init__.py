"""The run directory: its record, lock, metrics and plots; and the comparison of runs."""
