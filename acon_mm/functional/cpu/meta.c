/* Meta-ACON and its gradients: the mean of each channel of each sample, the
 * beta net on it and ACON, behind one call. op.c says how a tensor lies;
 * betas are PER_SAMPLE. Layers are as in net.c, the net's input and
 * its output have as many channels as x.
 */
#include "op.c"
#include "net.c"

#define LAYERS 2
#define BLOCK (1 << 19) /* elements that are read in their order */

/* What the forward pass keeps: means of x and, with a norm in front, of what
 * that makes of x; the layers' outputs, the last of which is beta. */
typedef struct {
  float *means, *inputs;
  outputs layers[LAYERS];
} kept;

static kept carve(float *memory, long samples, long channels,
                  const layer *layers) {
  kept parts = {memory, memory + samples * channels};
  memory = parts.inputs + samples * channels;
  for (int k = 0; k < LAYERS; k++) {
    long size = samples * layers[k].out;
    outputs own = {memory, memory + size, memory + 2 * size};
    parts.layers[k] = own;
    memory += 2 * size + layers[k].out;
  }
  return parts;
}

static double sum_of(const float *x, long n) {
  double total = 0;
  for (long start = 0; start < n; start += SPAN) {
    long m = n - start < SPAN ? n - start : SPAN;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (long i = 0; i < m; i++)
      sum += x[start + i];
    total += sum;
  }
  return total;
}

static void add_rows(float *restrict sums, const float *x, long rows, long n) {
  memset(sums, 0, sizeof(float) * n);
  for (long row = 0; row < rows; row++)
#pragma omp simd
    for (long i = 0; i < n; i++)
      sums[i] += x[row * n + i];
}

/* Threads share the chunks as in `backward` of op.c; each leaves its sums
 * in `parts`, (samples, parts, C). */
static void mean_forward(float *means, float *parts, const float *x, long rows,
                         long n, long channels, long share, int wide,
                         long chunk, int threads) {
  long per_sample = (share + chunk - 1) / chunk, samples = rows / share;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long c = 0; c < samples * per_sample; c++) {
    long sample = c / per_sample, end = (sample + 1) * share;
    long first = sample * share + c % per_sample * chunk;
    long last = first + chunk < end ? first + chunk : end;
    if (wide)
      add_rows(parts + c * n, x + first * n, last - first, n);
    else /* a chunk is one row */
      parts[c] = sum_of(x + first * n, n);
  }
  long own = per_sample * (wide ? n : 1);
  for (long sample = 0; sample < samples; sample++)
    total(means + sample * channels, parts + sample * own, own / channels,
          channels);
  for (long i = 0; i < samples * channels; i++)
    means[i] /= share * n / channels;
}

/* Adds to dx, which was just written from its start to its end: each thread
 * goes back from there, where the cache still holds it. `dmeans` is divided
 * already. */
static void mean_backward(float *dx, const float *dmeans, long rows, long n,
                          long channels, long share, int wide, int threads) {
  long block = BLOCK / n + 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int t = 0; t < threads; t++) {
    long first = rows * t / threads, last = rows * (t + 1) / threads;
    for (long end = last; end > first; end -= block)
      for (long row = end - block > first ? end - block : first; row < end;
           row++) {
        float *restrict to = dx + row * n;
        const float *from = dmeans + row / share * channels;
        if (wide)
#pragma omp simd
          for (long i = 0; i < n; i++)
            to[i] += from[i];
        else
#pragma omp simd
          for (long i = 0; i < n; i++)
            to[i] += from[row % channels];
      }
  }
}

/* Makes beta, the last layer's output, of the inputs that are there. */
static void net_forward(kept parts, const layer *layers, float factor,
                        long samples, long channels, int threads) {
  const float *inputs = parts.inputs;
  for (int k = 0; k < LAYERS; k++) {
    layer_forward(parts.layers[k], inputs, samples, layers[k], threads);
    inputs = parts.layers[k].y;
  }
  float *beta = parts.layers[LAYERS - 1].y;
  for (long i = 0; i < samples * channels; i++)
    beta[i] = unless_nan(factor * sigmoid_of_minus(-beta[i]), beta[i]);
}

/* Behind `up`, which has beta's gradient, is room for those of the layers'
 * inputs; returns that of the first, which is the net's. */
static float *net_backward(float *up, kept parts, const layer *layers,
                           const gradients *grads, float factor, long samples,
                           long channels, int threads) {
  float *beta = parts.layers[LAYERS - 1].y;
  for (long i = 0; i < samples * channels; i++)
    up[i] *= beta[i] * (1 - beta[i] / factor);
  for (int k = LAYERS - 1; k >= 0; k--) {
    float *reached = up + samples * layers[k].out;
    layer_backward(reached, grads[k], up, parts.layers[k],
                   k ? parts.layers[k - 1].y : parts.inputs, samples,
                   layers[k], threads);
    up = reached;
  }
  return up;
}

/* The net alone, of inputs that lie in `memory` already; returns where beta
 * is in there. */
long beta_forward(float *memory, const layer *layers, float factor,
                  long samples, long channels, int threads) {
  kept parts = carve(memory, samples, channels, layers);
  net_forward(parts, layers, factor, samples, channels, threads);
  return parts.layers[LAYERS - 1].y - memory;
}

/* `work` begins with beta's gradient; returns where the inputs' is. */
long beta_backward(float *work, float *memory, const layer *layers,
                   const gradients *grads, float factor, long samples,
                   long channels, int threads) {
  kept parts = carve(memory, samples, channels, layers);
  return net_backward(work, parts, layers, grads, factor, samples, channels,
                      threads) -
         work;
}

void meta_forward(float *y, float *memory, const float *x, const float *p1,
                  const float *p2, const float *scale, const float *shift,
                  const layer *layers, float factor, long rows, long n,
                  long channels, long share, int wide, long chunk,
                  int threads) {
  long samples = rows / share, size = samples * channels;
  kept parts = carve(memory, samples, channels, layers);
  /* y has room for the chunks' sums, and is not needed yet */
  mean_forward(parts.means, y, x, rows, n, channels, share, wide, chunk,
               threads);
  for (long i = 0; i < size; i++)
    parts.inputs[i] = scale ? parts.means[i] * scale[i % channels] +
                                  shift[i % channels]
                            : parts.means[i];
  net_forward(parts, layers, factor, samples, channels, threads);
  float *beta = parts.layers[LAYERS - 1].y;
  forward(y, x, p1, p2, beta, scale, shift, rows, n, channels, share, wide,
          PER_SAMPLE, threads);
}

/* `work` takes the parts of the gradients of op.c, those of beta and
 * those of each layer's input. */
void meta_backward(float *dx, float *dp1, float *dp2, float *dscale,
                   float *dshift, float *work, const float *dy,
                   const float *x, const float *p1, const float *p2,
                   const float *scale, const float *shift, float *memory,
                   const layer *layers, const gradients *grads, float factor,
                   long rows, long n, long channels, long share, int wide,
                   long chunk, int threads) {
  long samples = rows / share, size = samples * channels;
  long chunks = samples * ((share + chunk - 1) / chunk);
  kept parts = carve(memory, samples, channels, layers);
  float *beta = parts.layers[LAYERS - 1].y;
  float *up = work + SUMS * chunks * (wide ? n : 1);
  backward(dx, dp1, dp2, up, dscale, dshift, work, dy, x, p1, p2, beta, scale,
           shift, rows, n, channels, share, wide, PER_SAMPLE, chunk, threads);
  up = net_backward(up, parts, layers, grads, factor, samples, channels,
                    threads);
  for (long i = 0; i < size; i++) {
    if (scale) {
      dscale[i % channels] += up[i] * parts.means[i];
      dshift[i % channels] += up[i];
      up[i] *= scale[i % channels];
    }
    up[i] *= (float)channels / (share * n);
  }
  mean_backward(dx, up, rows, n, channels, share, wide, threads);
}
