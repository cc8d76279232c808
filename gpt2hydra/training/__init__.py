"""How is it trained? The training loop and what belongs to it."""
