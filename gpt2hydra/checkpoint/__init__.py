"""What is kept? Whole folders of weights, and Hugging Face's format."""
