"""Text from a trained model, and how well the model predicts a text."""
