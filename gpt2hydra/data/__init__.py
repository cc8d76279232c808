"""The training data: text files, their tokens, and the order in which they are read."""
