"""What a run keeps on disk, and how it is read. Torch only where tensors are read: weights,
checkpoints, tensor_files, besides.
"""
