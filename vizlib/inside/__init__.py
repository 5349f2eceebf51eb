"""How one looks into a network."""
