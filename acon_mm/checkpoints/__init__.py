"""Reading checkpoints: MMEngine's own, and those of the authors of ACON."""
