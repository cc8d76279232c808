"""Configuration classes: their fields, rules and violations. Standard library only."""
