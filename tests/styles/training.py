"""What is overwritten, frozen or runs in one mode alone."""


import torch
import torch.nn.functional as F
from torch import nn

from styles.case import Two, case, conv


@case()
class InplaceAndAnAliasInAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = (
            conv(3, 8),
            conv(8, 8),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        outs = []
        x = self.a(x)
        outs.append(x)
        x = self.relu(x)
        outs.append(self.b(x))
        return outs


@case()
class OnlyInTraining(Two):
    def __init__(self):
        super().__init__()
        self.aux = nn.ReLU()

    def forward(self, x):
        x = self.relu(self.a(x))
        if self.training:
            x = self.aux(x - 0.1)
        return self.b(x)


@case()
class WithoutGradient(Two):
    def forward(self, x):
        with torch.no_grad():
            x = self.relu(self.a(x))
        return self.b(x)


@case()
class ReadAfterInplaceFunction(Two):
    def forward(self, x):
        x = self.a(x)
        F.relu(x, inplace=True)
        x = self.b(x)
        x.relu_()
        return x


@case()
class OverwrittenLater(Two):
    def forward(self, x):
        x = self.a(x)
        y = F.relu(x)
        x += 1
        z = self.relu(x)
        x.mul_(2)
        return self.b(y + z)


@case()
class Asserts(Two):
    def forward(self, x):
        assert isinstance(self.relu, nn.ReLU)
        return self.b(self.relu(self.a(x)))


def _frozen(model):
    for p in model.parameters():
        p.requires_grad_(False)


@case(prepare=_frozen, trains=False)
class AllFrozen(Two):
    def forward(self, x):
        return self.relu(self.b(F.relu(self.a(x))))
