"""What is it trained on? The text, its tokens, and their order."""
