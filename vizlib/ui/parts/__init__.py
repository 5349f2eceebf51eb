"""What one page shows, or two."""
