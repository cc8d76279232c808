"""Compose YAML files and overrides into one validated configuration, or report all violations."""
