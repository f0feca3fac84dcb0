"""The Triton kernels of ACON: one pass forward, one backward.

They walk over rows (:class:`acon_mm.functional.rows.Rows`) by tiles of
BLOCK_R rows and BLOCK_N neighbours; ``kernels.py`` has the formulas. Sums
stay in float32 registers and are stored once for each program. Nothing but
the shape decides their order (no atomics, no autotuning), so that training
can be repeated to the bit.
"""
import triton
import triton.language as tl

# Betas of rows.py
PER_SAMPLE = tl.constexpr(1)
PER_ELEMENT = tl.constexpr(2)


@triton.jit
def _load(parameter, rows, cols, channels, WIDE: tl.constexpr):
    """The parameter of each row, or of each column if WIDE."""
    at = cols if WIDE else rows % channels
    # loaded in one dimension, since two would load each value many times
    return _expand(tl.load(parameter + at, mask=at < channels, other=0.), WIDE)


@triton.jit
def _load_beta(beta, offsets, inside, rows, cols, end, channels, share,
               WIDE: tl.constexpr, BETAS: tl.constexpr):
    if BETAS == PER_ELEMENT:
        value = tl.load(beta + offsets, mask=inside, other=0.)
    else:
        at = cols.to(tl.int64) if WIDE else rows % channels
        valid = cols < channels if WIDE else rows < end
        if BETAS == PER_SAMPLE:
            # a program with wide rows has those of one sample
            at += (end // share - 1 if WIDE else rows // share) * channels
        value = _expand(tl.load(beta + at, mask=valid, other=0.), WIDE)
    return value


@triton.jit
def _expand(parameter, WIDE: tl.constexpr):
    return parameter[None, :] if WIDE else parameter[:, None]


@triton.jit
def _first_rows(parts, share, total, STEPS: tl.constexpr,
                BLOCK_R: tl.constexpr, WIDE: tl.constexpr):
    """The program's first rows, and where its rows end."""
    program = tl.program_id(0).to(tl.int64)
    if WIDE:
        sample = program // parts
        start = sample * share + program % parts * (STEPS * BLOCK_R)
        end = (sample + 1) * share
    else:
        start = program * BLOCK_R
        end = total
    return start + tl.arange(0, BLOCK_R), end


@triton.jit
def forward(y, x, p1, p2, beta, scale, shift, total, n, channels, share,
            parts, WIDE: tl.constexpr, BETAS: tl.constexpr,
            AFFINE: tl.constexpr, BLOCK_R: tl.constexpr,
            BLOCK_N: tl.constexpr):
    rows, end = _first_rows(parts, share, total, 1, BLOCK_R, WIDE)
    cols = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = (rows[:, None] < end) & (cols[None, :] < n)
    offsets = rows[:, None] * n + cols[None, :]
    low = _load(p2, rows, cols, channels, WIDE)
    slope = _load(p1, rows, cols, channels, WIDE) - low
    b = _load_beta(beta, offsets, inside, rows, cols, end, channels, share,
                   WIDE, BETAS)
    value = tl.load(x + offsets, mask=inside, other=0.).to(tl.float32)
    if AFFINE:
        value *= _load(scale, rows, cols, channels, WIDE)
        value += _load(shift, rows, cols, channels, WIDE)
    s = tl.sigmoid(b * slope * value)
    result = value * (slope * s + low)
    tl.store(y + offsets, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def backward(dx, sums, dbeta, dy, x, p1, p2, beta, scale, shift, total, n,
             channels, share, parts, WIDE: tl.constexpr, BETAS: tl.constexpr,
             AFFINE: tl.constexpr, BLOCK_R: tl.constexpr,
             BLOCK_N: tl.constexpr, STEPS: tl.constexpr):
    """``sums``: (3 or 5, programs 0, n) if WIDE, else (.., programs 1, total).
    """
    rows, end = _first_rows(parts, share, total, STEPS, BLOCK_R, WIDE)
    across = BLOCK_N if WIDE else STEPS * BLOCK_N
    cols = tl.program_id(1) * across + tl.arange(0, BLOCK_N)
    low = _load(p2, rows, cols, channels, WIDE)
    slope = _load(p1, rows, cols, channels, WIDE) - low
    if AFFINE:
        factor = _load(scale, rows, cols, channels, WIDE)
        offset = _load(shift, rows, cols, channels, WIDE)
    sum1 = tl.zeros((BLOCK_R, BLOCK_N), tl.float32)
    sum2 = tl.zeros((BLOCK_R, BLOCK_N), tl.float32)
    sum3 = tl.zeros((BLOCK_R, BLOCK_N), tl.float32)
    sum4 = tl.zeros((BLOCK_R, BLOCK_N), tl.float32)
    sum5 = tl.zeros((BLOCK_R, BLOCK_N), tl.float32)
    for _ in range(STEPS):
        inside = (rows[:, None] < end) & (cols[None, :] < n)
        offsets = rows[:, None] * n + cols[None, :]
        b = _load_beta(beta, offsets, inside, rows, cols, end, channels,
                       share, WIDE, BETAS)
        inputs = tl.load(x + offsets, mask=inside, other=0.).to(tl.float32)
        up = tl.load(dy + offsets, mask=inside, other=0.).to(tl.float32)
        value = inputs
        if AFFINE:
            value = inputs * factor + offset
        d = slope * value
        s = tl.sigmoid(b * d)
        bend = up * s * (1. - s) * d
        g = up * s + b * bend
        sum1 += value * g
        sum2 += value * (up - g)
        result = slope * g + low * up
        if AFFINE:
            sum4 += inputs * result
            sum5 += result
            result *= factor
        tl.store(dx + offsets, result.to(dx.dtype.element_ty), mask=inside)
        if BETAS == PER_ELEMENT:
            tl.store(dbeta + offsets, bend * d, mask=inside)
        else:
            sum3 += bend * d
        if WIDE:
            rows += BLOCK_R
        else:
            cols += BLOCK_N
    if WIDE:
        part = tl.program_id(0).to(tl.int64) * n + cols
        plane = tl.num_programs(0).to(tl.int64) * n
        valid = cols < n
        AXIS: tl.constexpr = 0
    else:
        part = tl.program_id(1).to(tl.int64) * total + rows
        plane = tl.num_programs(1).to(tl.int64) * total
        valid = rows < total
        AXIS: tl.constexpr = 1
    tl.store(sums + part, tl.sum(sum1, AXIS), mask=valid)
    tl.store(sums + plane + part, tl.sum(sum2, AXIS), mask=valid)
    tl.store(sums + 2 * plane + part, tl.sum(sum3, AXIS), mask=valid)
    if AFFINE:
        tl.store(sums + 3 * plane + part, tl.sum(sum4, AXIS), mask=valid)
        tl.store(sums + 4 * plane + part, tl.sum(sum5, AXIS), mask=valid)
