"""The Triton kernels of meta-ACON's beta net.

A program makes BLOCK_O outputs of a layer for all samples, at most BLOCK_S,
so that a norm finds its batch in registers. Matrices are dense and float32:
a layer's input is (samples, width), its weight (outs, width).
"""
import triton
import triton.language as tl


@triton.jit
def _load(matrix, rows, cols, height, width):
    inside = (rows < height) & (cols < width)
    return tl.load(matrix + rows * width + cols, mask=inside, other=0.)


@triton.jit
def _load_input(x, scale, shift, samples, cols, height, width,
                AFFINE: tl.constexpr):
    value = _load(x, samples[:, None], cols[None, :], height, width)
    if AFFINE:
        there = cols < width
        value *= tl.load(scale + cols, mask=there, other=0.)[None, :]
        value += tl.load(shift + cols, mask=there, other=0.)[None, :]
    return value


@triton.jit
def _through(grad, weight, samples, outs, height, nexts, width,
             BLOCK_S: tl.constexpr, BLOCK_O: tl.constexpr,
             BLOCK_K: tl.constexpr):
    """Gradient of some of a layer's inputs, of that of its ``nexts``."""
    total = tl.zeros((BLOCK_S, BLOCK_O), tl.float32)
    for start in range(0, nexts, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        total = tl.dot(
            _load(grad, samples[:, None], k[None, :], height, nexts),
            _load(weight, k[:, None], outs[None, :], nexts, width),
            total, input_precision='ieee')
    return total


@triton.jit
def layer(out, hat, invstd, x, scale, shift, weight, bias, gamma, offset,
          mean, variance, seen, height, width, size, momentum, eps, factor,
          AFFINE: tl.constexpr, NORM: tl.constexpr, BATCH: tl.constexpr,
          LAST: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_O: tl.constexpr,
          BLOCK_K: tl.constexpr):
    """``out``, and ``hat``, what the norm makes without gamma and offset.

    Its running statistics follow those of the batch if BATCH.
    """
    samples = tl.arange(0, BLOCK_S)
    outs = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    valid = outs < size
    at = samples[:, None] * size + outs[None, :]
    inside = (samples[:, None] < height) & valid[None, :]
    value = tl.zeros((BLOCK_S, BLOCK_O), tl.float32)
    for start in range(0, width, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        value = tl.dot(
            _load_input(x, scale, shift, samples, k, height, width, AFFINE),
            _load(weight, outs[None, :], k[:, None], size, width),
            value, input_precision='ieee')
    value += tl.load(bias + outs, mask=valid, other=0.)[None, :]
    if NORM:
        if BATCH:
            centre = tl.sum(tl.where(inside, value, 0.), 0) / height
            away = tl.where(inside, value - centre[None, :], 0.)
            spread = tl.sum(away * away, 0) / height
            old = tl.load(mean + outs, mask=valid, other=0.)
            tl.store(mean + outs, old + momentum * (centre - old), mask=valid)
            old = tl.load(variance + outs, mask=valid, other=0.)
            new = spread * (height / (height - 1.))
            tl.store(variance + outs, old + momentum * (new - old),
                     mask=valid)
            if tl.program_id(0) == 0:
                tl.store(seen, tl.load(seen) + 1)
        else:
            centre = tl.load(mean + outs, mask=valid, other=0.)
            spread = tl.load(variance + outs, mask=valid, other=1.)
        inverse = 1. / tl.sqrt(spread + eps)
        tl.store(invstd + outs, inverse, mask=valid)
        value = (value - centre[None, :]) * inverse[None, :]
        tl.store(hat + at, value, mask=inside)
        value *= tl.load(gamma + outs, mask=valid, other=0.)[None, :]
        value += tl.load(offset + outs, mask=valid, other=0.)[None, :]
    if LAST:
        value = factor * tl.sigmoid(value)
    tl.store(out + at, value, mask=inside)


@triton.jit
def layer_backward(dproduct, dweight, dbias, dgamma, doffset, grad,
                   next_weight, out, hat, invstd, x, scale, shift, gamma,
                   height, width, size, nexts, factor, AFFINE: tl.constexpr,
                   NORM: tl.constexpr, BATCH: tl.constexpr,
                   LAST: tl.constexpr, BLOCK_S: tl.constexpr,
                   BLOCK_O: tl.constexpr, BLOCK_K: tl.constexpr):
    """``grad`` is of ``out`` if LAST, else of the next layer's product."""
    samples = tl.arange(0, BLOCK_S)
    outs = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    valid = outs < size
    at = samples[:, None] * size + outs[None, :]
    inside = (samples[:, None] < height) & valid[None, :]
    if LAST:
        beta = tl.load(out + at, mask=inside, other=0.)
        d = tl.load(grad + at, mask=inside, other=0.)
        d *= beta * (1. - beta / factor)
    else:
        d = _through(grad, next_weight, samples, outs, height, nexts, size,
                     BLOCK_S, BLOCK_O, BLOCK_K)
    if NORM:
        normed = tl.load(hat + at, mask=inside, other=0.)
        along = tl.sum(d * normed, 0)
        total = tl.sum(d, 0)
        tl.store(dgamma + outs, along, mask=valid)
        tl.store(doffset + outs, total, mask=valid)
        if BATCH:
            d -= (total[None, :] + normed * along[None, :]) / height
            d = tl.where(inside, d, 0.)
        slope = tl.load(gamma + outs, mask=valid, other=0.)
        slope *= tl.load(invstd + outs, mask=valid, other=0.)
        d *= slope[None, :]
    tl.store(dproduct + at, d, mask=inside)
    tl.store(dbias + outs, tl.sum(d, 0), mask=valid)
    for start in range(0, width, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        value = _load_input(x, scale, shift, samples, k, height, width,
                            AFFINE)
        tl.store(dweight + outs[:, None] * width + k[None, :],
                 tl.dot(tl.trans(d), value, input_precision='ieee'),
                 mask=valid[:, None] & (k[None, :] < width))


@triton.jit
def means_backward(share, totals, sums, dproduct, weight, means, scale,
                   height, width, hidden, pixels, AFFINE: tl.constexpr,
                   BLOCK_S: tl.constexpr, BLOCK_O: tl.constexpr,
                   BLOCK_K: tl.constexpr):
    """What each pixel gets through its channel's mean, and ``totals``.

    These are the ``sums`` (3 or 5, samples, width) that the op makes for p1,
    p2, beta, scale and shift, over all samples, and of the last two also
    what comes through the mean.
    """
    samples = tl.arange(0, BLOCK_S)
    cols = tl.program_id(0) * BLOCK_O + tl.arange(0, BLOCK_O)
    valid = cols < width
    at = samples[:, None] * width + cols[None, :]
    inside = (samples[:, None] < height) & valid[None, :]
    d = _through(dproduct, weight, samples, cols, height, hidden, width,
                 BLOCK_S, BLOCK_O, BLOCK_K)
    for i in tl.static_range(5 if AFFINE else 3):
        # not beta's
        if i != 2:
            total = tl.load(sums + i * height * width + at, mask=inside,
                            other=0.)
            if i == 3:
                total += d * tl.load(means + at, mask=inside, other=0.)
            if i == 4:
                total += d
            tl.store(totals + i * width + cols, tl.sum(total, 0), mask=valid)
    if AFFINE:
        d *= tl.load(scale + cols, mask=valid, other=0.)[None, :]
    tl.store(share + at, (d / pixels).to(share.dtype.element_ty),
             mask=inside)
