"""What does it generate? Text from a trained model, and how well it predicts a text."""
