"""Methods that are kept, wrapped, private, or hard to read."""

import functools
from typing import final

import torch
import torch.nn.functional as F
from torch import nn

from styles.case import case, conv


class Same(nn.Module):
    """Convolutions between which nothing changes its width."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = conv(3, 8), conv(8, 8), nn.ReLU()


@case()
class KeptInAList(Same):
    def __init__(self):
        super().__init__()
        self.stages = [self.stage, (self.stage,)]

    def stage(self, x):
        return self.relu(self.b(x))

    def forward(self, x):
        x = self.stage(self.relu(self.a(x)))
        return self.stages[1][0](self.stages[0](x))


@case()
class KeptInADict(Same):
    def __init__(self):
        super().__init__()
        self.by_name = {'stage': self.stage, 'none': None}

    def stage(self, x):
        return F.relu(self.b(x))

    def forward(self, x):
        return self.by_name['stage'](self.stage(self.a(x)))


@case()
class KeptWithArguments(Same):
    def __init__(self):
        super().__init__()
        self.twice = functools.partial(self.stage, scale=2.0)

    def stage(self, x, scale=1.0):
        return F.relu(self.b(x)) * scale

    def forward(self, x):
        return self.twice(self.stage(self.a(x)))


class Holder:
    """Keeps a method where nobody looks for it."""

    def __init__(self, method):
        self.method = method


@case()
class KeptByAnObject(Same):
    def __init__(self):
        super().__init__()
        self.holder = Holder(self.stage)

    def stage(self, x):
        return F.relu(self.b(x))

    def forward(self, x):
        return self.holder.method(self.stage(self.a(x)))


def activated(method):
    def wrapper(self, x):
        return F.relu(method(self, x))

    return wrapper


@case()
class ActivatedByADecorator(Same):
    @activated
    def first(self, x):
        return self.a(x)

    @activated
    def second(self, x):
        return self.b(x)

    def forward(self, x):
        return self.second(self.first(x))


@case()
class MarkedByADecorator(Same):
    @final
    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))))


@case()
class Private(Same):
    def __stage(self, x):
        return F.relu(self.b(x))

    def forward(self, x):
        return self.__stage(F.relu(self.a(x)))


@case()
def NamesItsOwnClass():
    class Net(Same):
        @staticmethod
        def scaled(x):
            return 2 * x

        def forward(self, x):
            return self.relu(self.b(Net.scaled(self.relu(self.a(x)))))

    return Net()


@case()
class TensorMethodByItsName(Same):
    def forward(self, x):
        x = getattr(self.a(x), 'relu')()  # noqa: B009
        bound = self.b(x).relu
        return bound()


class Stem(Same):
    def forward(self, x):
        return self.relu(F.relu(self.a(x)) - 1)


class Renamed(Stem):
    """Changes nothing that runs."""


@case()
class AfterItsBase(Renamed):
    def forward(self, x):
        return self.relu(self.b(super().forward(x)))


class Scaled(nn.Module):
    def forward(self, x):
        return F.relu(super().forward(x) - 0.5)


@case()
class BetweenItsBases(Scaled, Stem):
    def __init__(self):
        Stem.__init__(self)

    def forward(self, x):
        return F.relu(self.b(super().forward(x)))


@case()
class CallsItsBaseByName(Stem):
    def forward(self, x):
        return self.relu(self.b(Stem.forward(self, x)))


@case()
class InAContext(Same):
    @torch.autocast('cpu', enabled=False)
    @torch.enable_grad()
    def forward(self, x):
        return F.relu(self.b(self.relu(F.relu(self.a(x)) - 1)))


# fmt: off
@case()
class CommentAtTheMargin(Same):
    def forward(self, x):
        x = F.relu(self.a(x))
#        x = self.b(x)
        return F.relu(self.b(x))


@case()
class TextInAMethod(Same):
    def forward(self, x):
        text = """
            indented
        less"""
        return F.relu(self.b(F.relu(self.a(x)) * text.count(' ')))
# fmt: on


def count(module, args):
    module.calls = getattr(module, 'calls', 0) + 1


def listen(model):
    model.relu.register_forward_pre_hook(count)


@case(prepare=listen)
class SharedWithAHook(Same):
    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))
