"""Ways to call an activation."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import functional

from styles.case import Two, case, conv

GLOBAL = nn.ReLU()


@case()
class HelperCalledWithAnActivation(Two):
    def head(self, x):
        return self.relu(self.b(x))

    def forward(self, x):
        return self.head(self.relu(self.a(x)))


@case()
class HelperRebindsItsParameter(Two):
    def head(self, x):
        x = self.b(x)
        return self.relu(x)

    def forward(self, x):
        return self.head(self.a(x))


@case()
class ThirdCallByALocalName(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.relu = (
            conv(3, 8),
            conv(8, 4),
            conv(4, 4),
            nn.ReLU(),
        )

    def forward(self, x):
        x = self.relu(self.a(x))
        x = self.relu(self.b(x))
        act = self.relu
        return act(self.c(x))


@case()
class KeywordCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = conv(3, 8), nn.ReLU()

    def forward(self, x):
        return self.relu(input=self.conv(x))


@case()
class FunctionOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.idle = conv(3, 8), nn.ReLU()

    def forward(self, x):
        return F.relu(self.conv(x))


@case()
class ActivationsOutsideOfModules(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu, self.acts = (
            conv(3, 3),
            conv(3, 4),
            nn.ReLU(),
            [nn.ReLU()],
        )

    def forward(self, x):
        x = nn.ReLU()(x - 1)
        x = GLOBAL(x - 0.1)
        x = self.acts[0](x - 0.1)
        act = F.relu
        x = act(x - 0.1)
        x = (self.a(x) - 0.1).relu()
        return self.relu(self.b(x))


@case()
class Partial(Two):
    def __init__(self):
        super().__init__()
        self.act = functools.partial(F.relu, inplace=True)

    def forward(self, x):
        return self.act(self.b(self.act(self.a(x))))


@case()
class MethodOfTensor(Two):
    def forward(self, x):
        x = self.a(x).relu_()
        return torch.relu_(self.b(x))


@case()
class Walrus(Two):
    def forward(self, x):
        if (y := self.relu(self.a(x))).dim() == 4:
            return self.relu(self.b(y))
        return y


@case()
class Lambda(Two):
    def forward(self, x):
        step = lambda y, layer: self.relu(layer(y))  # noqa: E731  as people write it
        return step(step(x, self.a), self.b)


@case()
class KindByFlag(Two):
    def __init__(self):
        super().__init__()
        self.smooth = False

    def forward(self, x):
        act = F.gelu if self.smooth else F.relu
        return (F.silu if self.smooth else torch.relu)(self.b(act(self.a(x))))


@case()
class LoopOverKinds(Two):
    def forward(self, x):
        for act, layer in ((F.relu, self.a), (F.leaky_relu, self.b)):
            x = act(layer(x))
        return x


@case()
class LoopOverEverything(Two):
    def forward(self, x):
        for f in (self.a, self.relu, self.b, F.relu):
            x = f(x)
        return x


@case()
class CalledByTheParent(nn.Module):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = conv(3, 8), nn.ReLU()

        def forward(self, x):
            return self.act(self.conv(x))

    def __init__(self):
        super().__init__()
        self.block, self.last = self.Block(), conv(8, 4)

    def forward(self, x):
        return self.block.act(self.last(self.block(x)))


@case()
class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = conv(3, 3)
        self.rest = [nn.Sequential(conv(3, 3), nn.ReLU()), nn.ReLU()]
        self.acts = [nn.ReLU(), self.first]

    def forward(self, x):
        x = self.acts[0](self.first(x))
        return self.rest[1](x - 0.1)


@case()
class Aliased(Two):
    def __init__(self):
        super().__init__()
        self.activation = self.relu
        self.__dict__['plain'] = self.relu

    def forward(self, x):
        return self.plain(self.b(self.activation(self.a(x))))


@case()
class PropertyAct(Two):
    @property
    def act(self):
        return self.relu

    def forward(self, x):
        return self.act(self.b(self.act(self.a(x))))


@case()
class ClassAttribute(nn.Module):
    act = nn.ReLU()
    function = staticmethod(F.relu)

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(3, 8), conv(8, 4)

    def forward(self, x):
        return self.act(self.b(self.function(self.a(x))))


@case()
class Renamed(Two):
    def forward(this, x, *unused, scale=1.0, **more):
        return scale * this.relu(
            this.b(functional.relu(input=this.a(x), inplace=True))
        )


@case()
class Slots(Two):
    def __call__(self, x):
        return super().__call__(x) * 1.0

    def forward(self, x):
        return nn.functional.relu(self.b(nn.ReLU(inplace=True)(self.a(x))))
