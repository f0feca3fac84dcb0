"""Calls through wrappers, hooks, checkpoints and helpers."""

import functools

import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from styles.case import Two, case, conv


@case()
class CheckpointedLayer(Two):
    def forward(self, x):
        x = self.a(x)
        x = checkpoint(self.b, x, use_reentrant=False)
        return self.relu(x)


def block(layer, x):
    return F.relu(layer(x))


@case()
class HelperFunctionOutside(Two):
    def forward(self, x):
        return block(self.b, block(self.a, x))


@case()
class StaticMethod(Two):
    @staticmethod
    def act(x):
        return F.relu(x)

    def forward(self, x):
        return self.act(self.b(self.act(self.a(x))))


@case()
class HookedWithAFunction(Two):
    def __init__(self):
        super().__init__()
        self.a.register_forward_hook(lambda m, i, o: F.relu(o))
        self.b.register_forward_hook(lambda m, i, o: self.relu(o))

    def forward(self, x):
        return self.b(self.a(x))


@case()
class CheckpointedActivation(Two):
    def forward(self, x):
        x = checkpoint(self.relu, self.a(x), use_reentrant=False)
        return checkpoint(self.relu, self.b(x), use_reentrant=False)


@case()
class CheckpointedReentrant(Two):
    def body(self, x):
        return self.relu(self.b(self.relu(self.a(x))))

    def forward(self, x):
        if x.requires_grad:
            return checkpoint(self.body, x, use_reentrant=True)
        return self.body(x)


def _assign(module):
    module.forward = module.other


@case(prepare=_assign)
class ForwardAssigned(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = conv(3, 8), conv(8, 8), nn.ReLU()

    def other(self, x):
        return self.relu(self.b(self.relu(self.a(x))))

    def forward(self, x):
        raise AssertionError


def _wrapped(model):
    old = model.forward
    model._old_forward = old

    def new_forward(module, *args, **kwargs):
        return module._old_forward(*args, **kwargs)

    model.forward = functools.update_wrapper(
        functools.partial(new_forward, model), old
    )


@case(prepare=_wrapped)
class Accelerated(Two):
    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


def residual(function):
    @functools.wraps(function)
    def wrapper(self, x):
        return function(self, x) + x.mean()

    return wrapper


@case()
class DecoratedForward(Two):
    @residual
    def forward(self, x):
        return F.relu(self.b(self.relu(self.a(x))))
