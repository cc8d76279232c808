"""What does it say? Samples from a trained model."""
