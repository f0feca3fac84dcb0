"""Ways of the values and of the control."""

import torch
import torch.nn.functional as F
from torch import nn

from styles.case import Two, case, conv


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs, self.relu = (
            nn.ModuleList([conv(3, 8), conv(8, 4), conv(4, 5)]),
            nn.ReLU(),
        )


@case()
class LoopOverPairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.relu = conv(3, 3), nn.ReLU()

    def forward(self, x):
        for y, scale in [(x, 1.0), (x + 1, 2.0)]:
            x = self.relu(self.a(y)) * scale
        return x


@case()
class RecursiveInnerFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.relu = conv(3, 3), nn.ReLU()

    def forward(self, x):
        def deeper(x, n):
            if n == 0:
                return x
            return deeper(self.a(x), n - 1)

        x = deeper(x, 2)
        return self.relu(x)


@case()
class PooledToAFixedLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.relu = (
            conv(3, 8),
            nn.AdaptiveAvgPool2d(4),
            nn.ReLU(),
        )

    def forward(self, x):
        return self.relu(self.pool(self.conv(x)).flatten(2))  # (N, 8, 16)


@case()
class RangeNotTheLast(Layers):
    def forward(self, x):
        for i in range(len(self.convs)):
            x = self.convs[i](x)
            if i < len(self.convs) - 1:
                x = self.relu(x)
        return x


@case()
class AnnotatedAssignment(Two):
    def forward(self, x):
        x = self.a(x)
        x: torch.Tensor = self.b(x)
        return self.relu(x)


@case()
class TimesAnAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.relu = conv(3, 1), nn.ReLU()

    def forward(self, x):
        return self.relu(x * self.attention(x))


@case()
class PreActivationInALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.relu = conv(3, 8), nn.ReLU()
        self.convs = nn.ModuleList([conv(8, 4), conv(4, 6)])

    def forward(self, x):
        x = self.stem(x)
        for layer in self.convs:
            x = layer(self.relu(x))
        return x


@case()
class MatchStatement(nn.Module):
    def __init__(self):
        super().__init__()
        self.mode, self.conv, self.relu_a, self.relu_b = (
            'a',
            conv(3, 8),
            nn.ReLU(),
            nn.ReLU(),
        )

    def forward(self, x):
        match self.mode:
            case 'a':
                return self.relu_a(self.conv(x))
            case _:
                return self.relu_b(self.conv(x))


@case()
class TwoReturns(nn.Module):
    def __init__(self):
        super().__init__()
        self.deep, self.a, self.b = True, conv(3, 8), conv(8, 4)
        self.relu = nn.ReLU()

    def features(self, x):
        x = self.a(x)
        if not self.deep:
            return x
        return self.b(x)

    def forward(self, x):
        return self.relu(self.features(x))


@case()
class Comprehension(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([conv(3, 4), conv(3, 6)])
        self.relu = nn.ReLU()

    def forward(self, x):
        return torch.cat([self.relu(c(x)) for c in self.convs], 1)


@case()
class FunctionInComprehension(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([conv(3, 4), conv(3, 6)])

    def forward(self, x):
        return torch.cat([F.relu(c(x)) for c in self.convs], 1)


@case()
class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs, self.relu = (
            nn.ModuleList([conv(3, 4), conv(4, 6)]),
            nn.ReLU(),
        )

    def stages(self, x):
        for c in self.convs:
            x = self.relu(c(x))
            yield x

    def forward(self, x):
        return list(self.stages(x))


@case()
class Shuffled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.act = conv(3, 8), conv(8, 8), nn.ReLU()

    def forward(self, x):
        x = self.a(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = self.act(x)
        return self.b(F.pixel_unshuffle(F.relu(F.pixel_shuffle(x, 2)), 2))


@case()
class Split(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.act = conv(3, 8), nn.ReLU()

    def forward(self, x):
        x, y = self.a(x).split([3, 5], 1)
        return torch.cat([self.act(x), F.relu(y)], 1)


@case()
class TryFinally(Two):
    def forward(self, x):
        try:
            x = self.relu(self.a(x))
        finally:
            x = self.relu(self.b(x))
        return x


@case()
class Clamped(Two):
    def forward(self, x):
        return self.relu(self.b(self.a(x).clamp(min=0)))


@case(
    inputs=(
        torch.randn(2, 4, 8, 8, generator=torch.manual_seed(5)),
        torch.randn(2, 6, generator=torch.manual_seed(6)),
    )
)
class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc, self.relu = conv(4, 8), nn.Linear(6, 8), nn.ReLU()

    def forward(self, x, t):
        return self.relu(
            self.conv(x) + self.relu(self.fc(t))[:, :, None, None]
        )


@case(
    inputs=(torch.randn(6, generator=torch.manual_seed(3)).view(2, 3),), dim=1
)
class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(3, 8), nn.Linear(8, 2)])

    def forward(self, x):
        for i, fc in enumerate(self.fcs):
            x = F.relu(fc(x)) if i < len(self.fcs) - 1 else fc(x)
        return x
