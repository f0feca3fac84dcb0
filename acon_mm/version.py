"""The version of acon_mm; nothing else, so that reading it imports nothing."""

__version__ = '0.1.0'
