"""The published reports whose networks are here, and the training of them."""
