"""What a run keeps on disk, and how it is read. Torch only in weights.py."""
