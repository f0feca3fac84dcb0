"""Trained models run over some images, and what they predict drawn."""
