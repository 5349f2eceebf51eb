"""Figures, one a file: an object holds the computed arrays, a constructor computes them once,
methods draw them any number of times.
"""
