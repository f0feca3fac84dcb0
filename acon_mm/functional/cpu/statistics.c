/* The statistics of a batch, by one pass over it; op.c says how a tensor lies.
 * No sum depends on the threads.
 */
#include <math.h>

/* What the forward pass keeps of each channel, and of each sample. */
typedef struct {
  float *mean, *inverse, *scale, *shift, *means;
} kept;

static kept carve(float *memory, long channels) {
  kept parts = {memory, memory + channels, memory + 2 * channels,
                memory + 3 * channels, memory + 4 * channels};
  return parts;
}

typedef struct {
  const float *weight, *bias;
  float *mean, *variance; /* that follow the batch's, or NULL */
  float momentum, eps;
} norm;

/* Sums of x and of its square. The one is of what is left of a neighbour, so
 * that float is enough for it. */
typedef struct {
  double sum, squares;
} moments;

INLINE moments moments_of(float sum, float squares, double pivot, long n) {
  moments of = {sum + pivot * n, squares + pivot * (2. * sum + pivot * n)};
  return of;
}

INLINE void add(moments *to, moments from) {
  to->sum += from.sum;
  to->squares += from.squares;
}

static moments moments_of_row(const element *x, long n) {
  moments total = {0, 0};
  for (long start = 0; start < n; start += SPAN) {
    long m = n - start < SPAN ? n - start : SPAN;
    float pivot = load(x[start]), sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum, squares)
    for (long i = 0; i < m; i++) {
      float d = load(x[start + i]) - pivot;
      sum += d;
      squares += d * d;
    }
    add(&total, moments_of(sum, squares, pivot, m));
  }
  return total;
}

static void finish(kept parts, norm l, moments of, long at, double count) {
  double mean = of.sum / count, variance = of.squares / count - mean * mean;
  variance = unless_nan(variance < 0 ? 0 : variance, mean);
  parts.mean[at] = mean;
  parts.inverse[at] = 1 / sqrt(variance + l.eps);
  parts.scale[at] = parts.inverse[at] * l.weight[at];
  parts.shift[at] = l.bias[at] - mean * parts.scale[at];
  if (l.mean) {
    l.mean[at] += l.momentum * (mean - l.mean[at]);
    l.variance[at] +=
        l.momentum * (variance * count / (count - 1) - l.variance[at]);
  }
}

/* Of a channel whose rows lie `channels` apart, by samples. */
static void statistics_of_channel(kept parts, norm l, const element *x,
                                  long at, long rows, long n, long channels,
                                  long share) {
  moments total = {0, 0};
  for (long sample = 0; sample < rows / share; sample++) {
    moments own = {0, 0};
    for (long row = sample * share + at; row < (sample + 1) * share;
         row += channels)
      add(&own, moments_of_row(x + row * n, n));
    parts.means[sample * channels + at] = own.sum / (share / channels * n);
    add(&total, own);
  }
  finish(parts, l, total, at, (double)rows / channels * n);
}

/* Threads share the chunks; each leaves its sums, (2, chunks, C), which its
 * first row is taken from. */
static void statistics_of_pixels(kept parts, norm l, float *sums,
                                 const element *x, long rows, long channels,
                                 long share, long chunk, int threads) {
  long per_sample = (share + chunk - 1) / chunk, samples = rows / share;
  long chunks = samples * per_sample;
  memset(sums, 0, sizeof(float) * 2 * chunks * channels);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long c = 0; c < chunks; c++) {
    long end = (c / per_sample + 1) * share;
    long first = c / per_sample * share + c % per_sample * chunk;
    long last = first + chunk < end ? first + chunk : end;
    float *restrict sum = sums + c * channels;
    float *restrict squares = sum + chunks * channels;
    const element *pivot = x + first * channels;
    for (long row = first; row < last; row++) {
      const element *from = x + row * channels;
#pragma omp simd
      for (long i = 0; i < channels; i++) {
        float d = load(from[i]) - load(pivot[i]);
        sum[i] += d;
        squares[i] += d * d;
      }
    }
  }
  for (long at = 0; at < channels; at++) {
    moments total = {0, 0};
    for (long sample = 0; sample < samples; sample++) {
      moments own = {0, 0};
      for (long k = 0; k < per_sample; k++) {
        long first = sample * share + k * chunk;
        long left = (sample + 1) * share - first;
        long i = (sample * per_sample + k) * channels + at;
        add(&own, moments_of(sums[i], sums[chunks * channels + i],
                             load(x[first * channels + at]),
                             left < chunk ? left : chunk));
      }
      parts.means[sample * channels + at] = own.sum / share;
      add(&total, own);
    }
    finish(parts, l, total, at, rows);
  }
}
