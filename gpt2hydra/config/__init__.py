"""What is a valid configuration? Standard library only."""
