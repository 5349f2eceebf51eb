"""What is handed in: a run as one page that needs no network, and as a zip of all its numbers."""
