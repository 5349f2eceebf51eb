"""What stands around every page: address, pickers, links, slider, sentences."""
