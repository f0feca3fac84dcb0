/* ACON and its gradients in one pass over memory; native_build.py compiles it.
 *
 * A tensor is a matrix: rows of n elements that lie side by side in memory.
 *   wide = 0: a row is one channel, and rows count channels first
 *   wide = 1: a row is one pixel, its n elements are the channels
 * `share` is the number of rows of a sample. p1 and p2 hold a value for each
 * channel, beta too, or one for each sample and channel, or for each element.
 * kernels.py has the formulas.
 */
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define SPAN 1024 /* neighbours summed in float before they join a double */

/* The compiler's command line chooses the element. */
#ifdef BFLOAT16
typedef uint16_t element;
INLINE float load(element value) {
  uint32_t bits = (uint32_t)value << 16;
  float result;
  memcpy(&result, &bits, 4);
  return result;
}
INLINE element store(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return value == value ? (element)rounded : (element)0x7fc0u;
}
#else
typedef float element;
INLINE float load(element value) { return value; }
INLINE element store(float value) { return value; }
#endif

/* 1 / (1 + exp(-z)); exp is 2^k times the polynomial of Cephes. */
INLINE float sigmoid(float z) {
  float v = -z;
  v = v > 89.f ? 89.f : v; /* where 2^k is infinite, so that s is 0 */
  v = v < -87.f ? -87.f : v;
  float shifted = v * 1.44269504f + 12582912.f; /* k, in the low bits */
  float k = shifted - 12582912.f;
  float r = v - k * 0.693359375f + k * 2.12194440e-4f;
  float e = 1.9875691500e-4f;
  e = e * r + 1.3981999507e-3f;
  e = e * r + 8.3334519073e-3f;
  e = e * r + 4.1665795894e-2f;
  e = e * r + 1.6666665459e-1f;
  e = e * r + 5.0000001201e-1f;
  e = e * r * r + r + 1.f;
  uint32_t bits;
  memcpy(&bits, &shifted, 4);
  bits = (bits << 23) + 0x3f800000u;
  float power;
  memcpy(&power, &bits, 4);
  return 1.f / (1.f + e * power);
}

/* The steps are constants, 0 or 1, wherever these two are called. */
INLINE void forward_row(element *y, const element *x, long n, const float *p1,
                        const float *p2, const float *beta, int step,
                        int beta_step) {
#pragma omp simd
  for (long i = 0; i < n; i++) {
    float low = p2[i * step], slope = p1[i * step] - low;
    float value = load(x[i]);
    float s = sigmoid(beta[i * beta_step] * slope * value);
    y[i] = store(value * (slope * s + low));
  }
}

INLINE void backward_row(element *dx, float *dp1, float *dp2, float *dbeta,
                         const element *dy, const element *x, long n,
                         const float *p1, const float *p2, const float *beta,
                         int step, int beta_step) {
  float sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum1, sum2, sum3)
  for (long i = 0; i < n; i++) {
    float low = p2[i * step], slope = p1[i * step] - low;
    float b = beta[i * beta_step];
    float value = load(x[i]), up = load(dy[i]);
    float d = slope * value;
    float s = sigmoid(b * d);
    float bend = up * s * (1.f - s) * d;
    float g = up * s + b * bend;
    dx[i] = store(slope * g + low * up);
    if (step) {
      dp1[i] += value * g;
      dp2[i] += value * (up - g);
    } else {
      sum1 += value * g;
      sum2 += value * (up - g);
    }
    if (beta_step)
      dbeta[i] += bend * d;
    else
      sum3 += bend * d;
  }
  if (!step) {
    *dp1 += sum1;
    *dp2 += sum2;
  }
  if (!beta_step)
    *dbeta += sum3;
}

enum betas { PER_CHANNEL, PER_SAMPLE, PER_ELEMENT };

/* Where the betas of a row begin, with `at` the row's first channel. */
INLINE long beta_start(enum betas betas, long row, long n, long at,
                       long channels, long share) {
  if (betas == PER_ELEMENT)
    return row * n;
  return betas == PER_SAMPLE ? row / share * channels + at : at;
}

/* Threads share the rows. */
void forward(element *y, const element *x, const float *p1, const float *p2,
             const float *beta, long rows, long n, long channels, long share,
             int wide, int betas, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long row = 0; row < rows; row++) {
    long start = row * n, at = wide ? 0 : row % channels;
    const float *q1 = p1 + at, *q2 = p2 + at;
    const float *b = beta + beta_start(betas, row, n, at, channels, share);
    if (wide)
      forward_row(y + start, x + start, n, q1, q2, b, 1, 1);
    else if (betas == PER_ELEMENT)
      forward_row(y + start, x + start, n, q1, q2, b, 0, 1);
    else
      forward_row(y + start, x + start, n, q1, q2, b, 0, 0);
  }
}

/* Threads share the chunks: up to `chunk` rows of a sample, one if a row is a
 * channel. `sums` holds zeros, (3, chunks, wide ? n : 1), where each chunk
 * leaves its part of dp1, dp2 and dbeta, so that the totals do not depend on
 * the threads. Betas of each element get their gradients in `dbeta`. */
void backward(element *dx, float *sums, float *dbeta, const element *dy,
              const element *x, const float *p1, const float *p2,
              const float *beta, long rows, long n, long channels, long share,
              int wide, int betas, long chunk, int threads) {
  long per_sample = (share + chunk - 1) / chunk, width = wide ? n : 1;
  long chunks = rows / share * per_sample;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long c = 0; c < chunks; c++) {
    long sample = c / per_sample, end = (sample + 1) * share;
    long first = sample * share + c % per_sample * chunk;
    long last = first + chunk < end ? first + chunk : end;
    float *sum1 = sums + c * width, *sum2 = sum1 + chunks * width;
    float *sum3 = sum2 + chunks * width;
    for (long row = first; row < last; row++) {
      long at = wide ? 0 : row % channels;
      const float *q1 = p1 + at, *q2 = p2 + at;
      const float *b = beta + beta_start(betas, row, n, at, channels, share);
      double totals[3] = {0, 0, 0};
      for (long i = 0; i < n; i += SPAN) {
        long start = row * n + i, m = n - i < SPAN ? n - i : SPAN;
        float part[3] = {0, 0, 0};
        if (wide)
          backward_row(dx + start, sum1 + i, sum2 + i,
                       betas == PER_ELEMENT ? dbeta + start : sum3 + i,
                       dy + start, x + start, m, q1 + i, q2 + i, b + i, 1, 1);
        else if (betas == PER_ELEMENT)
          backward_row(dx + start, part, part + 1, dbeta + start, dy + start,
                       x + start, m, q1, q2, b + i, 0, 1);
        else
          backward_row(dx + start, part, part + 1, part + 2, dy + start,
                       x + start, m, q1, q2, b, 0, 0);
        for (int k = 0; k < 3; k++)
          totals[k] += part[k];
      }
      if (!wide) {
        *sum1 = totals[0];
        *sum2 = totals[1];
        *sum3 = totals[2];
      }
    }
  }
}
