"""What the activations of a model have learned: seen, counted and drawn.

``record`` notes what each of them gets and computes while the model runs,
``statistics`` makes numbers of that, ``hook`` sends them to MMEngine's
visualizer during training, ``curves`` and ``pictures`` draw them.
"""
