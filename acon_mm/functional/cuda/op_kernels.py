"""The Triton kernels of ACON: one pass forward, one backward.

They walk over rows (:class:`acon_mm.functional.rows.Rows`) by tiles of
BLOCK_R rows and BLOCK_N neighbours. Sums stay in float32 registers and are
stored once for each program. Nothing but the shape decides their order (no
atomics, no autotuning), so that training can be repeated to the bit.

With ``q = p1 - p2``, ``s = sigmoid(beta q x)`` and ``h = x dy s (1 - s)``:

- ``y = x (q s + p2)`` and ``dx = dy (q s + p2) + beta q^2 h``,
- ``dp1 = sum(x dy s) + beta q sum(h x)``,
  ``dp2 = sum(x dy (1 - s)) - beta q sum(h x)`` and ``dbeta = q^2 sum(h x)``.

A fast GPU leaves about twenty instructions an element in half types before
they take longer than memory: what is the same for a row or a column is
multiplied once, before the tiles and after the sums.
"""
import triton
import triton.language as tl

# Betas of rows.py
PER_SAMPLE = tl.constexpr(1)
PER_ELEMENT = tl.constexpr(2)

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _sigmoid(power, PTX: tl.constexpr):
    """``1 / (1 + 2 ** power)``."""
    if PTX:
        # as above, without its care for results below the smallest normal
        s = tl.inline_asm_elementwise(
            '{.reg .f32 t; ex2.approx.ftz.f32 t, $1;'
            ' add.f32 t, t, 0f3F800000; rcp.approx.ftz.f32 $0, t;}',
            '=f,f', [power], dtype=tl.float32, is_pure=True, pack=1)
    else:
        s = 1. / (1. + tl.exp2(power))
    return s


@triton.jit
def _load(parameter, rows, cols, channels, WIDE: tl.constexpr):
    """The parameter of each row, or of each column if WIDE."""
    at = cols if WIDE else rows % channels
    return tl.load(parameter + at, mask=at < channels, other=0.)


@triton.jit
def _load_beta(beta, rows, cols, end, channels, share, WIDE: tl.constexpr,
               BETAS: tl.constexpr):
    at = cols.to(tl.int64) if WIDE else rows % channels
    valid = cols < channels if WIDE else rows < end
    if BETAS == PER_SAMPLE:
        # a program with wide rows has those of one sample
        at += (end // share - 1 if WIDE else rows // share) * channels
    return tl.load(beta + at, mask=valid, other=0.)


@triton.jit
def _expand(parameter, WIDE: tl.constexpr):
    # loaded in one dimension, since two would load each value many times
    return parameter[None, :] if WIDE else parameter[:, None]


@triton.jit
def _fold(values, FOLD: tl.constexpr):
    """Sums of FOLD neighbours, which one thread has."""
    if FOLD > 1:
        R: tl.constexpr = values.shape[0]
        N: tl.constexpr = values.shape[1]
        values = tl.sum(tl.reshape(values, (R, N // FOLD, FOLD)), 2)
    return values


@triton.jit
def _first_tile(parts, share, total, STEPS: tl.constexpr,
                BLOCK_R: tl.constexpr, BLOCK_N: tl.constexpr,
                WIDE: tl.constexpr):
    """The rows and columns that a program begins with; where rows end."""
    program = tl.program_id(0).to(tl.int64)
    if WIDE:
        sample = program // parts
        start = sample * share + program % parts * (STEPS * BLOCK_R)
        end = (sample + 1) * share
        across = BLOCK_N
    else:
        start = program * BLOCK_R
        end = total
        across = STEPS * BLOCK_N
    return (start + tl.arange(0, BLOCK_R),
            tl.program_id(1) * across + tl.arange(0, BLOCK_N), end)


@triton.jit
def _places(rows, cols, total, n, WIDE: tl.constexpr):
    """Where a program leaves its sums, how far the next kind of them is, and
    which there are."""
    if WIDE:
        part = tl.program_id(0).to(tl.int64) * n + cols
        plane = tl.num_programs(0).to(tl.int64) * n
        valid = cols < n
    else:
        part = tl.program_id(1).to(tl.int64) * total + rows
        plane = tl.num_programs(1).to(tl.int64) * total
        valid = rows < total
    return part, plane, valid


@triton.jit
def forward(y, x, p1, p2, beta, scale, shift, total, units, channels, share,
            parts, WIDE: tl.constexpr, BETAS: tl.constexpr,
            AFFINE: tl.constexpr, PTX: tl.constexpr, UNIT: tl.constexpr,
            BLOCK_R: tl.constexpr, BLOCK_N: tl.constexpr,
            STEPS: tl.constexpr):
    """Rows are ``units * UNIT`` long, which tells how wide to read."""
    n = units * UNIT
    rows, cols, end = _first_tile(parts, share, total, STEPS, BLOCK_R,
                                  BLOCK_N, WIDE)
    low = _load(p2, rows, cols, channels, WIDE)
    slope = _load(p1, rows, cols, channels, WIDE) - low
    bend = slope
    if BETAS != PER_ELEMENT:
        bend *= _load_beta(beta, rows, cols, end, channels, share, WIDE,
                           BETAS)
    power = _expand(bend * -LOG2_E, WIDE)
    if AFFINE:
        factor = _expand(_load(scale, rows, cols, channels, WIDE), WIDE)
        offset = _expand(_load(shift, rows, cols, channels, WIDE), WIDE)
    for _ in range(STEPS):
        inside = (rows[:, None] < end) & (cols[None, :] < n)
        offsets = rows[:, None] * n + cols[None, :]
        value = tl.load(x + offsets, mask=inside, other=0.).to(tl.float32)
        if AFFINE:
            value = value * factor + offset
        exponent = power * value
        if BETAS == PER_ELEMENT:
            exponent *= tl.load(beta + offsets, mask=inside, other=0.)
        s = _sigmoid(exponent, PTX)
        result = value * (_expand(slope, WIDE) * s + _expand(low, WIDE))
        tl.store(y + offsets, result.to(y.dtype.element_ty), mask=inside)
        if WIDE:
            rows += BLOCK_R
        else:
            cols += BLOCK_N


@triton.jit
def backward(dx, sums, dbeta, dy, x, p1, p2, beta, scale, shift, total,
             units, channels, share, parts, WIDE: tl.constexpr,
             BETAS: tl.constexpr, AFFINE: tl.constexpr, PTX: tl.constexpr,
             UNIT: tl.constexpr, BLOCK_R: tl.constexpr,
             BLOCK_N: tl.constexpr, STEPS: tl.constexpr, FOLD: tl.constexpr,
             STAGES: tl.constexpr):
    """``sums``: (3 or 5, programs 0, n) if WIDE, else (.., programs 1, total).

    FOLD: neighbours in a row whose sums are one, to keep fewer of them.
    STAGES: tiles that are read ahead into shared memory.
    """
    n = units * UNIT
    rows, cols, end = _first_tile(parts, share, total, STEPS, BLOCK_R,
                                  BLOCK_N, WIDE)
    low = _load(p2, rows, cols, channels, WIDE)
    slope = _load(p1, rows, cols, channels, WIDE) - low
    bend = slope
    if BETAS != PER_ELEMENT:
        bend *= _load_beta(beta, rows, cols, end, channels, share, WIDE,
                           BETAS)
    power = _expand(bend * -LOG2_E, WIDE)
    curve = _expand(bend * slope, WIDE)
    if AFFINE:
        factor = _expand(_load(scale, rows, cols, channels, WIDE), WIDE)
        offset = _expand(_load(shift, rows, cols, channels, WIDE), WIDE)
    sum_above = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_below = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_hx = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_scale = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_shift = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    # where channels are apart, the last program of a row has fewer tiles
    left = tl.cdiv(n - tl.program_id(1) * STEPS * BLOCK_N, BLOCK_N)
    steps = STEPS if WIDE else tl.minimum(STEPS, left)
    for _ in tl.range(steps, num_stages=STAGES):
        inside = (rows[:, None] < end) & (cols[None, :] < n)
        offsets = rows[:, None] * n + cols[None, :]
        inputs = tl.load(x + offsets, mask=inside, other=0.).to(tl.float32)
        up = tl.load(dy + offsets, mask=inside, other=0.).to(tl.float32)
        value = inputs
        if AFFINE:
            value = inputs * factor + offset
        exponent = power * value
        if BETAS == PER_ELEMENT:
            b = tl.load(beta + offsets, mask=inside, other=0.)
            exponent *= b
        s = _sigmoid(exponent, PTX)
        above = value * up * s
        below = value * up - above
        h = below * s
        if BETAS == PER_ELEMENT:
            tl.store(dbeta + offsets, curve * h * value, mask=inside)
            h *= b
        sum_above += _fold(above, FOLD)
        sum_below += _fold(below, FOLD)
        sum_hx += _fold(h * value, FOLD)
        result = up * (_expand(slope, WIDE) * s + _expand(low, WIDE))
        result += curve * h
        if AFFINE:
            sum_scale += _fold(inputs * result, FOLD)
            sum_shift += _fold(result, FOLD)
            result *= factor
        tl.store(dx + offsets, result.to(dx.dtype.element_ty), mask=inside)
        if WIDE:
            rows += BLOCK_R
        else:
            cols += BLOCK_N
    part, plane, valid = _places(rows, cols, total, n, WIDE)
    AXIS: tl.constexpr = 0 if WIDE else 1
    curved = tl.sum(sum_hx, AXIS)
    dp1 = tl.sum(sum_above, AXIS) + bend * curved
    dp2 = tl.sum(sum_below, AXIS) - bend * curved
    tl.store(sums + part, dp1, mask=valid)
    tl.store(sums + plane + part, dp2, mask=valid)
    tl.store(sums + 2 * plane + part, slope * slope * curved, mask=valid)
    if AFFINE:
        tl.store(sums + 3 * plane + part, tl.sum(sum_scale, AXIS), mask=valid)
        tl.store(sums + 4 * plane + part, tl.sum(sum_shift, AXIS), mask=valid)
