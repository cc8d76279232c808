"""Checkpoints: folders of weights that appear complete or not at all, in Hugging Face's format."""
