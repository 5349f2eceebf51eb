"""What is computed once, and beside the pages."""
