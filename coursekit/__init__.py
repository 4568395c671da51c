"""A course on deep learning for jets, and the small package behind it."""

__version__ = "0.1.0"
