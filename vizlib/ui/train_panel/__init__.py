"""The part of the sidebar that trains."""
