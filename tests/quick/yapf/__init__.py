"""Stands for yapf in tests, and in the commands that they run.

MMEngine lays out the whole config five times as a training begins: a quarter
of the time of a short one. What it says is the same.
"""
__version__ = '0.40.2'
