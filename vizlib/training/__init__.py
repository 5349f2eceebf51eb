"""Training: recipes as data, batches made on the device, one loop that writes a run folder as it
goes.
"""
