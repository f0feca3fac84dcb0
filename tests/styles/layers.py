"""Layers of PyTorch, containers and kinds of activations."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from styles.case import TOKENS, case, conv


class ToChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


class Registered(nn.Module):
    def __init_subclass__(cls, *, key, **kwargs):
        super().__init_subclass__(**kwargs)


@case(inputs=(torch.randn(2, 5, 8, generator=torch.manual_seed(5)),), dim=-1)
def TransformerLayerWithAModule():
    return nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, activation=nn.ReLU(), batch_first=True
    )


@case(dim=-1)
def PermutingModule():
    return nn.Sequential(conv(3, 8), ToChannelsLast(), nn.ReLU())


@case()
class AsksForTheKind(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, 8), nn.ReLU(), conv(8, 4), nn.ReLU()
        )

    def forward(self, x):
        outs = []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                outs.append(x)
        return outs


@case()
class LayersNamedAct(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = conv(3, 8), conv(8, 8), nn.ReLU()
        for i in (1, 2):
            setattr(self, f'act{i}', conv(8, 8))

    def forward(self, x):
        x = self.relu(self.a(x))
        for i in (1, 2):
            x = getattr(self, f'act{i}')(x)
        return self.relu(self.b(x))


@case()
def BoundedRectifier():
    return nn.Sequential(conv(3, 8), nn.Hardtanh(0, 6), conv(8, 4), nn.ReLU())


@case()
class SubclassHookWithAnArgument(Registered, key='x'):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = conv(3, 8), conv(8, 4), nn.ReLU()

    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


@case()
class IntegerParameterFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.codes = nn.Parameter(
            torch.zeros(4, dtype=torch.int8), requires_grad=False
        )
        self.conv, self.relu = conv(3, 8), nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x))


@case()
class Dictionary(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict(
            OrderedDict(
                a=conv(3, 4), act=nn.ReLU(), b=conv(4, 6), act2=nn.ReLU()
            )
        )

    def forward(self, x):
        for _, layer in self.layers.items():
            x = layer(x)
        return x


@case()
class SharedInASequence(nn.Module):
    def __init__(self):
        super().__init__()
        act = nn.ReLU()
        self.layers = nn.Sequential(conv(3, 4), act, conv(4, 6), act)

    def forward(self, x):
        return self.layers(x)


@case()
class Slices(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, 4), nn.ReLU(), conv(4, 6), nn.ReLU()
        )

    def forward(self, x):
        return self.layers[2:](self.layers[:2](x))


@case()
class LayerNorm2dInFront(nn.Module):
    class Norm(nn.LayerNorm):
        def forward(self, x):
            return F.layer_norm(
                x.permute(0, 2, 3, 1),
                self.normalized_shape,
                self.weight,
                self.bias,
                self.eps,
            ).permute(0, 3, 1, 2)

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = conv(3, 8), self.Norm(8), nn.ReLU()

    def forward(self, x):
        return self.relu(self.norm(self.conv(x)))


@case(inputs=TOKENS, dim=-1)
def EncoderLayerByName():
    return nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, activation='relu', batch_first=True
    )


@case(inputs=TOKENS, dim=-1)
def Encoder():
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.0, activation='relu', batch_first=True
        ),
        2,
    )


@case(inputs=TOKENS * 2, dim=-1)
def Decoder():
    return nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


@case(inputs=TOKENS * 2, dim=-1)
def WholeTransformer():
    return nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)


@case(inputs=(torch.randn(2, 3, 20, generator=torch.manual_seed(5)),))
def OneDimensional():
    return nn.Sequential(
        nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Conv1d(8, 4, 3), nn.ReLU()
    )


@case(inputs=(torch.randn(2, 3, 4, 6, 6, generator=torch.manual_seed(5)),))
def ThreeDimensional():
    return nn.Sequential(
        nn.Conv3d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 4, 1), nn.ReLU()
    )


@case(inputs=(torch.arange(10).view(2, 5),), dim=-1)
class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.fc, self.act = (
            nn.Embedding(16, 8),
            nn.Linear(8, 6),
            nn.ReLU(),
        )

    def forward(self, x):
        return self.act(self.fc(self.table(x)))


@case(inputs=TOKENS, dim=-1)
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.act = nn.GRU(8, 6, batch_first=True), nn.ReLU()

    def forward(self, x):
        return self.act(self.rnn(x)[0])


@case()
class OwnActivation(nn.Module):
    class Leaky(nn.Module):
        def forward(self, x):
            return F.relu(x) - 0.1 * F.relu(-x)

    def __init__(self):
        super().__init__()
        self.conv, self.act = conv(3, 8), self.Leaky()

    def forward(self, x):
        return self.act(self.conv(x))


@case()
class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.jit.script(nn.Sequential(conv(3, 8), nn.ReLU()))
        self.b, self.act = conv(8, 4), nn.ReLU()

    def forward(self, x):
        return self.act(self.b(self.a(x)))


@case()
class SubclassOfSequential(nn.Sequential):
    def __init__(self):
        super().__init__(conv(3, 8), nn.ReLU(), conv(8, 3), nn.ReLU())

    def forward(self, x):
        return F.relu(super().forward(x) + x)


@case(dim=-1)
class PatchesAndMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.mlp = nn.Sequential(
            nn.LayerNorm(8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)
        )

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return x + self.mlp(x)


@case()
class Statistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bn, self.b, self.bn2 = (
            conv(3, 8),
            nn.BatchNorm2d(8),
            conv(8, 3),
            nn.BatchNorm2d(3),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.bn(self.a(x)))
        out = self.bn2(self.b(out))
        out += x
        return self.relu(out)


@case()
class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList(
            [
                nn.ModuleList([conv(3, 4), nn.ReLU()]),
                nn.ModuleList([conv(4, 5), nn.ReLU()]),
            ]
        )

    def forward(self, x):
        for c, act in self.body:
            x = act(c(x))
        return x
