"""The released networks in the authors' own layout (nmaac/acon).

The reference for sizes that have no parity case; the layout itself is
checked against those that have one.
"""
import torch
import torch.nn as nn
from torch import Tensor


class Acon(nn.Module):

    def __init__(self, width: int, r: int, meta: bool) -> None:
        super().__init__()
        self.p1 = nn.Parameter(torch.empty(1, width, 1, 1))
        self.p2 = nn.Parameter(torch.empty(1, width, 1, 1))
        if meta:
            hidden = max(r, width // r)
            self.fc1 = nn.Conv2d(width, hidden, 1)
            self.bn1 = nn.BatchNorm2d(hidden)
            self.fc2 = nn.Conv2d(hidden, width, 1)
            self.bn2 = nn.BatchNorm2d(width)
        else:
            self.beta = nn.Parameter(torch.empty(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, 'beta'):
            beta = self.beta
        else:
            pooled = x.mean((2, 3), keepdim=True)
            hidden = self.bn1(self.fc1(pooled))
            beta = torch.sigmoid(self.bn2(self.fc2(hidden)))
        difference = (self.p1 - self.p2) * x
        return difference * torch.sigmoid(beta * difference) + self.p2 * x


class AconFReLU(nn.Module):

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.conv_frelu = nn.Conv2d(
            width, width, 3, stride, 1, groups=width)
        self.bn1 = nn.BatchNorm2d(width)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        lower = self.bn1(self.conv_frelu(x))
        if self.stride == 2:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        difference = x - lower
        return self.bn2(difference * torch.sigmoid(difference) + lower)


def conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1,
            groups: int = 1) -> list:
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride, kernel // 2, groups=groups)
    return [conv, nn.BatchNorm2d(outputs)]


class ShuffleBlock(nn.Module):

    def __init__(self, inputs: int, outputs: int, stride: int, act) -> None:
        super().__init__()
        half = outputs // 2
        entry = inputs if stride == 2 else half
        rest = outputs - entry
        self.branch_main = nn.Sequential(
            *conv_bn(entry, half), act(half),
            *conv_bn(half, half, 3, stride, groups=half),
            *conv_bn(half, rest), act(rest))
        self.branch_proj = nn.Sequential(
            *conv_bn(inputs, inputs, 3, stride, groups=inputs),
            *conv_bn(inputs, inputs), act(inputs)) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.branch_proj is not None:
            return torch.cat((self.branch_proj(x), self.branch_main(x)), 1)
        n, c, h, w = x.shape
        passed, x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(
            2, -1, c // 2, h, w)
        return torch.cat((passed, self.branch_main(x)), 1)


class TFBlock(nn.Module):

    def __init__(self, inputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.branch_main = nn.Sequential(
            *conv_bn(inputs, inputs), AconFReLU(inputs),
            *conv_bn(inputs, inputs))
        self.acon = AconFReLU(inputs * stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch_main(x)
        if self.stride == 2:
            return self.acon(torch.cat((x, out), 1))
        return self.acon(x + out)


class SmallNet(nn.Module):
    """What ShuffleNetV2 and TFNet have in common.

    ``ends`` are the blocks whose outputs are returned, beside the last 1x1.
    """

    def __init__(self, blocks: list, ends: tuple, stem: list, last: list,
                 pool: bool) -> None:
        super().__init__()
        self.ends, self.pool = ends, pool
        self.first_conv = nn.Sequential(*stem)
        self.features = nn.Sequential(*blocks)
        self.conv_last = nn.Sequential(*last)
        self.classifier = nn.Sequential(
            nn.Linear(last[0].out_channels, 1000))

    def forward(self, x: Tensor) -> list:
        x = self.first_conv(x)
        if self.pool:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        outs = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in self.ends:
                outs.append(x)
        return outs + [self.conv_last(x)]


def shufflenet(channels: tuple, r: int, meta: bool) -> SmallNet:

    def act(width):
        return Acon(width, r, meta)

    blocks, inputs = [], 24
    for width, depth in zip(channels[:3], (4, 8, 4), strict=True):
        for i in range(depth):
            blocks.append(ShuffleBlock(inputs, width, 1 if i else 2, act))
            inputs = width
    return SmallNet(blocks, (3, 11, 15), conv_bn(3, 24, 3, 2) + [act(24)],
                    conv_bn(inputs, channels[3]) + [act(channels[3])], True)


def tfnet(width: int) -> SmallNet:
    blocks, inputs = [], width
    for depth in (2, 3, 8, 3):
        for i in range(depth):
            blocks.append(TFBlock(inputs, 1 if i else 2))
            inputs *= 1 if i else 2
    return SmallNet(blocks, (1, 4, 12, 15), conv_bn(3, width, 3, 2) +
                    [nn.ReLU()],
                    conv_bn(inputs, 1024) + [AconFReLU(1024)], False)


class Bottleneck(nn.Module):

    def __init__(self, inputs: int, planes: int, stride: int,
                 meta: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(inputs, planes, 1, stride)
        self.conv2, self.bn2 = conv_bn(planes, planes, 3)
        self.acon = Acon(planes, 16, meta)
        self.conv3, self.bn3 = conv_bn(planes, planes * 4)
        self.downsample = nn.Sequential(
            *conv_bn(inputs, planes * 4, 1, stride)
        ) if inputs != planes * 4 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.acon(self.bn2(self.conv2(out)))
        return (self.bn3(self.conv3(out)) + self.downsample(x)).relu()


class ResNet(nn.Module):

    def __init__(self, depths: tuple, meta: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, depth in enumerate(depths):
            planes, blocks = 64 * 2**stage, []
            for i in range(depth):
                stride = 2 if stage and not i else 1
                blocks.append(Bottleneck(inputs, planes, stride, meta))
                inputs = planes * 4
            setattr(self, f'layer{stage + 1}', nn.Sequential(*blocks))
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> list:
        x = self.bn1(self.conv1(x)).relu()
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        outs = []
        for stage in range(1, 5):
            x = getattr(self, f'layer{stage}')(x)
            outs.append(x)
        return outs
