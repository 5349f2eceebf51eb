"""Convscope's library: train small image classifiers, look inside them, and check what they answer.

Everything a page or a command shows is computed here, on PyTorch and NumPy. Only `vizlib.ui` knows
Streamlit.
"""

__version__ = "0.1.0"
