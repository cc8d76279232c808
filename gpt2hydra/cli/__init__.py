"""What can be typed? The decorator, sweeps, help, and one file for each command."""
