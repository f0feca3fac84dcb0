"""Kernels of Triton. May import PyTorch, the files above and its own alone.

Triton may be missing, so only the kernels' own files import it at their head.
"""
