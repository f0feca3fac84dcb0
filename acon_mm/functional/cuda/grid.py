"""What one program of a Triton kernel does, and how many there are."""
import functools
import math
import os

import torch
from torch import Tensor

from ..rows import Betas, Rows

# Bytes of x in a tile. The registers of a multiprocessor are enough for 24
# to 32 warps, which then wait for 48 to 64 KiB at a time; some 30 keep the
# memory of an H200 busy.
TILE = 8192
WARPS = 8
# The most channels of a tile where they lie side by side. Each has sums of
# its own there, for which the registers are few: the backward pass halves
# the tile, as it does for a beta of each element, and has some tiles read
# ahead into shared memory.
WIDE_TILE = 256
STAGES = 4
# of a thread, or two programs of the backward pass would not fit
MOST_REGISTERS = 128
# The fewest and the most tiles of a program, and programs that are enough: a
# large GPU has 500 at a time, and waits for the last ones with much of it
# idle. The more tiles, the less are the parameters that are read and the sums
# that are written, which matter where channels lie side by side: there, what
# is before and behind the tiles of a backward pass takes the instructions of
# three of them.
FORWARD_STEPS = (1, 1, 1)
BACKWARD_STEPS = (4, 32, 16384)
WIDE_FORWARD_STEPS = (1, 4, 8192)
WIDE_BACKWARD_STEPS = (8, 64, 2048)
# Tiles of tensors that fill a large GPU more than once are made of more and
# shorter rows where an eighth of them would lie behind the ends of rows.
LARGE = 1 << 23
LEAST_ROW = 512
SLACK = 1.125
# bytes that a thread reads at a time
VECTOR = 16
# programs in the second dimension of a CUDA grid
MOST_SEGMENTS = 65535


class Launch:
    """The grid of a kernel, and of its arguments what no tensor is.

    Args:
        x (Tensor): Whose shape, strides and dtype count.
        betas (Betas): What beta differs with.
        affine (bool): Whether there are scale and shift.
        dim (int): Dimension of the channels, from 0 on.
        backward (bool): Whether the kernel makes sums.

    Attributes:
        rows (Rows): How the kernel walks over ``x``.
        grid (tuple[int, int]): Programs.
        sizes (tuple[int, ...]): The integers behind the tensors.
        options (dict): What the kernel is compiled for.
        segments, parts (int): Programs that share a channel of a sample.
    """

    def __init__(self, x: Tensor, betas: Betas, affine: bool, dim: int,
                 backward: bool) -> None:
        self.rows = rows = Rows(x, betas, dim)
        block_r, block_n = _tile(x, rows, backward)
        steps = _steps(x.numel() // (block_r * block_n), rows.wide, backward)
        if rows.wide:
            self.segments = 1
            self.parts = -(-rows.share // (block_r * steps))
            self.grid = (rows.samples * self.parts, -(-rows.n // block_n))
        else:
            tiles = -(-rows.n // block_n)
            steps = min(steps, at_least(tiles))
            while -(-tiles // steps) > MOST_SEGMENTS:
                steps *= 2
            self.segments = -(-tiles // steps)
            self.parts = rows.share // rows.channels
            self.grid = (-(-rows.rows // block_r), self.segments)
        unit = math.gcd(rows.n, VECTOR)
        self.sizes = (rows.rows, rows.n // unit, rows.channels, rows.share,
                      self.parts)
        ptx = torch.version.hip is None and not is_interpreted()
        self.options = dict(
            WIDE=rows.wide,
            BETAS=int(rows.betas),
            AFFINE=affine,
            PTX=ptx,
            UNIT=unit,
            BLOCK_R=block_r,
            BLOCK_N=block_n,
            STEPS=steps,
            num_warps=WARPS)
        if backward and rows.wide:
            self.options |= dict(FOLD=1, STAGES=STAGES)
            if ptx:
                self.options |= dict(maxnreg=MOST_REGISTERS)
        elif backward:
            vector = min(unit, VECTOR // x.element_size(), block_n)
            self.options |= dict(FOLD=vector, STAGES=1)

    def new_sums(self, count: int, x: Tensor) -> Tensor:
        """Room for so many sums of each program."""
        return x.new_empty((count, self.segments, self.rows.samples,
                            self.parts, self.rows.channels),
                           dtype=torch.float32)


def launch_of(x: Tensor, betas: Betas, affine: bool, dim: int,
              backward: bool) -> Launch:
    """The launch of a layout; making it takes longer than a small tensor."""
    return _launch_of(x.shape, x.stride(), x.dtype, betas, affine, dim,
                      backward)


@functools.lru_cache(maxsize=4096)
def _launch_of(shape: torch.Size, strides: tuple[int, ...],
               dtype: torch.dtype, *rest) -> Launch:
    return Launch(torch.empty_strided(shape, strides, dtype=dtype,
                                      device='meta'), *rest)


def _tile(x: Tensor, rows: Rows, backward: bool) -> tuple[int, int]:
    """Rows and columns."""
    tile = TILE // x.element_size()
    if backward and (rows.wide or rows.betas == Betas.PER_ELEMENT):
        tile //= 2
    columns = min(at_least(rows.n), WIDE_TILE if rows.wide else tile)
    while (x.numel() >= LARGE and columns > LEAST_ROW
           and -(-rows.n // columns) * columns > SLACK * rows.n):
        columns //= 2
    return tile // columns, columns


def _steps(tiles: int, wide: bool, backward: bool) -> int:
    """Tiles of a program, of all that there are."""
    if wide:
        limits = WIDE_BACKWARD_STEPS if backward else WIDE_FORWARD_STEPS
    else:
        limits = BACKWARD_STEPS if backward else FORWARD_STEPS
    few, many, enough = limits
    # a power of two, since each number is another kernel to compile
    return _at_most(min(many, max(few, tiles // enough)))


def is_interpreted() -> bool:
    """Whether Triton runs its kernels in Python, for tests."""
    return os.environ.get('TRITON_INTERPRET') == '1'


def _at_most(n: int) -> int:
    """The largest power of two up to ``n``."""
    return 1 << (n.bit_length() - 1)


def at_least(n: int) -> int:
    """The smallest power of two from ``n`` on."""
    return 1 << (n - 1).bit_length()
