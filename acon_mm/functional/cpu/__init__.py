"""Kernels in C. May import PyTorch, the files above and its own alone."""
