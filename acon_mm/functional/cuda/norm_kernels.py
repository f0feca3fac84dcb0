"""The Triton kernels of batch norm and ACON as one function.

They walk over rows as those of ``op_kernels.py``. With the statistics of a
first pass, ``op_kernels.forward`` makes the output of ``scale x + shift``. In
the backward pass ``sums`` reads once what ``inputs`` needs for ``dx``. What
ends in between is of a channel: memory is (4, C), the mean, 1 / deviation,
scale and shift. ``norm.c`` has the formulas.
"""
import triton
import triton.language as tl

from .net_kernels import _load as _load_matrix
from .net_kernels import _through
from .op_kernels import (
    LOG2_E,
    _expand,
    _first_tile,
    _fold,
    _load,
    _load_beta,
    _places,
    _sigmoid,
)


@triton.jit
def statistics(moments, x, total, units, channels, share, parts,
               WIDE: tl.constexpr, UNIT: tl.constexpr, BLOCK_R: tl.constexpr,
               BLOCK_N: tl.constexpr, STEPS: tl.constexpr,
               FOLD: tl.constexpr, STAGES: tl.constexpr):
    """``moments``: sums (2, ...) as those of ``op_kernels.backward``, of what
    is left of a channel's first element and of its square: of x itself, most
    of them would be the mean's."""
    n = units * UNIT
    rows, cols, end = _first_tile(parts, share, total, STEPS, BLOCK_R,
                                  BLOCK_N, WIDE)
    there = cols < n if WIDE else rows < end
    at = cols if WIDE else rows % channels * n
    pivot = tl.load(x + at, mask=there, other=0.).to(tl.float32)
    first = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    second = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    left = tl.cdiv(n - tl.program_id(1) * STEPS * BLOCK_N, BLOCK_N)
    steps = STEPS if WIDE else tl.minimum(STEPS, left)
    for _ in tl.range(steps, num_stages=STAGES):
        inside = (rows[:, None] < end) & (cols[None, :] < n)
        value = tl.load(x + rows[:, None] * n + cols[None, :], mask=inside,
                        other=0.).to(tl.float32)
        value = tl.where(inside, value - _expand(pivot, WIDE), 0.)
        first += _fold(value, FOLD)
        second += _fold(value * value, FOLD)
        if WIDE:
            rows += BLOCK_R
        else:
            cols += BLOCK_N
    part, plane, valid = _places(rows, cols, total, n, WIDE)
    AXIS: tl.constexpr = 0 if WIDE else 1
    tl.store(moments + part, tl.sum(first, AXIS), mask=valid)
    tl.store(moments + plane + part, tl.sum(second, AXIS), mask=valid)


@triton.jit
def finish(memory, means, moments, x, weight, bias, mean, variance, samples,
           channels, apart, count, momentum, eps, RUNNING: tl.constexpr,
           BLOCK_S: tl.constexpr, BLOCK_O: tl.constexpr):
    """Of ``moments`` (2, samples, C); ``means`` are those of x, (samples, C).

    Channels' first elements are ``apart`` in x. The running statistics follow
    if RUNNING.
    """
    cols = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    valid = cols < channels
    pivot = tl.load(x + cols * apart, mask=valid, other=0.).to(tl.float32)
    first = tl.zeros((BLOCK_O, ), tl.float32)
    second = tl.zeros((BLOCK_O, ), tl.float32)
    for start in range(0, samples, BLOCK_S):
        rows = start + tl.arange(0, BLOCK_S)
        at = rows[:, None] * channels + cols[None, :]
        inside = (rows[:, None] < samples) & valid[None, :]
        own = tl.load(moments + at, mask=inside, other=0.)
        tl.store(means + at, pivot[None, :] + own * (samples / count),
                 mask=inside)
        first += tl.sum(own, 0)
        second += tl.sum(_load_matrix(
            moments + samples * channels, rows[:, None], cols[None, :],
            samples, channels), 0)
    away = first / count
    spread = second / count - away * away
    # not a maximum, which would hide what is not a number
    spread = tl.where(spread < 0., 0., spread)
    centre = pivot + away
    inverse = 1. / tl.sqrt(spread + eps)
    scale = inverse * tl.load(weight + cols, mask=valid, other=0.)
    shift = tl.load(bias + cols, mask=valid, other=0.) - centre * scale
    tl.store(memory + cols, centre, mask=valid)
    tl.store(memory + channels + cols, inverse, mask=valid)
    tl.store(memory + 2 * channels + cols, scale, mask=valid)
    tl.store(memory + 3 * channels + cols, shift, mask=valid)
    if RUNNING:
        old = tl.load(mean + cols, mask=valid, other=0.)
        tl.store(mean + cols, old + momentum * (centre - old), mask=valid)
        old = tl.load(variance + cols, mask=valid, other=0.)
        new = spread * (count / (count - 1.))
        tl.store(variance + cols, old + momentum * (new - old), mask=valid)


@triton.jit
def sums(out, dy, x, p1, p2, beta, memory, total, units, channels, share,
         parts, WIDE: tl.constexpr, BETAS: tl.constexpr, PTX: tl.constexpr,
         UNIT: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_N: tl.constexpr,
         STEPS: tl.constexpr, FOLD: tl.constexpr, STAGES: tl.constexpr):
    """``out``: sums (5, ...) as those of ``op_kernels.backward``, the last two
    of ``(x - mean) dv`` and ``dv``, where dv reaches the norm's output."""
    n = units * UNIT
    rows, cols, end = _first_tile(parts, share, total, STEPS, BLOCK_R,
                                  BLOCK_N, WIDE)
    low = _load(p2, rows, cols, channels, WIDE)
    slope = _load(p1, rows, cols, channels, WIDE) - low
    bend = slope * _load_beta(beta, rows, cols, end, channels, share, WIDE,
                              BETAS)
    power = _expand(bend * -LOG2_E, WIDE)
    curve = _expand(bend * slope, WIDE)
    mean = _expand(_load(memory, rows, cols, channels, WIDE), WIDE)
    factor = _expand(
        _load(memory + 2 * channels, rows, cols, channels, WIDE), WIDE)
    offset = _expand(
        _load(memory + 3 * channels, rows, cols, channels, WIDE), WIDE)
    sum_above = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_below = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_hx = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_along = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    sum_level = tl.zeros((BLOCK_R, BLOCK_N // FOLD), tl.float32)
    left = tl.cdiv(n - tl.program_id(1) * STEPS * BLOCK_N, BLOCK_N)
    steps = STEPS if WIDE else tl.minimum(STEPS, left)
    for _ in tl.range(steps, num_stages=STAGES):
        inside = (rows[:, None] < end) & (cols[None, :] < n)
        offsets = rows[:, None] * n + cols[None, :]
        inputs = tl.load(x + offsets, mask=inside, other=0.).to(tl.float32)
        up = tl.load(dy + offsets, mask=inside, other=0.).to(tl.float32)
        value = inputs * factor + offset
        s = _sigmoid(power * value, PTX)
        above = value * up * s
        below = value * up - above
        h = below * s
        sum_above += _fold(above, FOLD)
        sum_below += _fold(below, FOLD)
        sum_hx += _fold(h * value, FOLD)
        result = up * (_expand(slope, WIDE) * s + _expand(low, WIDE))
        result += curve * h
        sum_along += _fold((inputs - mean) * result, FOLD)
        sum_level += _fold(result, FOLD)
        if WIDE:
            rows += BLOCK_R
        else:
            cols += BLOCK_N
    part, plane, valid = _places(rows, cols, total, n, WIDE)
    AXIS: tl.constexpr = 0 if WIDE else 1
    curved = tl.sum(sum_hx, AXIS)
    dp1 = tl.sum(sum_above, AXIS) + bend * curved
    dp2 = tl.sum(sum_below, AXIS) - bend * curved
    tl.store(out + part, dp1, mask=valid)
    tl.store(out + plane + part, dp2, mask=valid)
    tl.store(out + 2 * plane + part, slope * slope * curved, mask=valid)
    tl.store(out + 3 * plane + part, tl.sum(sum_along, AXIS), mask=valid)
    tl.store(out + 4 * plane + part, tl.sum(sum_level, AXIS), mask=valid)


@triton.jit
def coefficients(totals, along, level, parts, memory, means, dproduct,
                 net_weight, samples, channels, hidden, count,
                 NET: tl.constexpr, BLOCK_S: tl.constexpr,
                 BLOCK_O: tl.constexpr, BLOCK_K: tl.constexpr):
    """Of ``parts`` (5, samples, C) the ``totals`` (5, C), and what ``inputs``
    adds to dv: ``along (x - mean) + level``, (C,) and (samples, C).

    If NET, beta comes from the means of a sample, and what reaches these
    through the net's first layer is added; one block has all samples then.
    """
    cols = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    valid = cols < channels
    inverse = tl.load(memory + channels + cols, mask=valid, other=0.)
    dweight = tl.zeros((BLOCK_O, ), tl.float32)
    dbias = tl.zeros((BLOCK_O, ), tl.float32)
    for i in tl.static_range(5):
        total = tl.zeros((BLOCK_O, ), tl.float32)
        for start in range(0, samples, BLOCK_S):
            rows = start + tl.arange(0, BLOCK_S)
            total += tl.sum(_load_matrix(
                parts + i * samples * channels, rows[:, None], cols[None, :],
                samples, channels), 0)
        if i < 3:
            tl.store(totals + i * channels + cols, total, mask=valid)
        if i == 3:
            dweight = total * inverse
        if i == 4:
            dbias = total
    if NET:
        rows = tl.arange(0, BLOCK_S)
        d = _through(dproduct, net_weight, rows, cols, samples, hidden,
                     channels, BLOCK_S, BLOCK_O, BLOCK_K)
        away = _load_matrix(means, rows[:, None], cols[None, :], samples,
                            channels)
        away -= tl.load(memory + cols, mask=valid, other=0.)[None, :]
        dweight += tl.sum(d * away, 0) * inverse
        dbias += tl.sum(d, 0)
    tl.store(totals + 3 * channels + cols, dweight, mask=valid)
    tl.store(totals + 4 * channels + cols, dbias, mask=valid)
    tl.store(along + cols, -inverse * dweight / count, mask=valid)
    for start in range(0, samples, BLOCK_S):
        rows = start + tl.arange(0, BLOCK_S)
        value = tl.zeros((BLOCK_S, BLOCK_O), tl.float32) - dbias[None, :]
        if NET:
            value += d * samples
        tl.store(level + rows[:, None] * channels + cols[None, :],
                 value / count,
                 mask=(rows[:, None] < samples) & valid[None, :])


@triton.jit
def inputs(dx, dy, x, p1, p2, beta, memory, along, level, total, units,
           channels, share, parts, WIDE: tl.constexpr, BETAS: tl.constexpr,
           PTX: tl.constexpr, UNIT: tl.constexpr, BLOCK_R: tl.constexpr,
           BLOCK_N: tl.constexpr, STEPS: tl.constexpr):
    """``dx = scale (dv + along (x - mean) + level)``."""
    n = units * UNIT
    rows, cols, end = _first_tile(parts, share, total, STEPS, BLOCK_R,
                                  BLOCK_N, WIDE)
    low = _load(p2, rows, cols, channels, WIDE)
    slope = _load(p1, rows, cols, channels, WIDE) - low
    bend = slope * _load_beta(beta, rows, cols, end, channels, share, WIDE,
                              BETAS)
    power = _expand(bend * -LOG2_E, WIDE)
    curve = _expand(bend * slope, WIDE)
    factor = _load(memory + 2 * channels, rows, cols, channels, WIDE)
    offset = _expand(
        _load(memory + 3 * channels, rows, cols, channels, WIDE), WIDE)
    # what does not depend on the element, once
    lean = _load(along, rows, cols, channels, WIDE)
    flat = _load_beta(level, rows, cols, end, channels, share, WIDE, BETAS)
    flat -= lean * _load(memory, rows, cols, channels, WIDE)
    flat = _expand(flat * factor, WIDE)
    lean = _expand(lean * factor, WIDE)
    factor = _expand(factor, WIDE)
    for _ in range(STEPS):
        inside = (rows[:, None] < end) & (cols[None, :] < n)
        offsets = rows[:, None] * n + cols[None, :]
        value = tl.load(x + offsets, mask=inside, other=0.).to(tl.float32)
        up = tl.load(dy + offsets, mask=inside, other=0.).to(tl.float32)
        rest = lean * value + flat
        value = value * factor + offset
        s = _sigmoid(power * value, PTX)
        result = up * (_expand(slope, WIDE) * s + _expand(low, WIDE))
        result += curve * value * up * s * (1. - s)
        result = result * factor + rest
        tl.store(dx + offsets, result.to(dx.dtype.element_ty), mask=inside)
        if WIDE:
            rows += BLOCK_R
        else:
            cols += BLOCK_N
