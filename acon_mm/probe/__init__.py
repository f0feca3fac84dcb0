"""Running a model, or a part of one, on small inputs, without a trace.

Nothing here knows of activations.
"""
