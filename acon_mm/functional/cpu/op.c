/* ACON and its gradients in one pass over memory; build.py compiles it.
 *
 * A tensor is a matrix: rows of n elements that lie side by side in memory.
 *   wide = 0: a row is one channel, and rows count channels first
 *   wide = 1: a row is one pixel, its n elements are the channels
 * `share` is the number of rows of a sample. Parameters hold a value for each
 * channel; beta that, or one for each sample and channel, or for each element.
 * Without scale and shift (NULL), x goes into the activation as it is.
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
  /* in integers, since floats are compiled as if none were NaN */
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (element)rounded;
}
#else
typedef float element;
INLINE float load(element value) { return value; }
INLINE element store(float value) { return value; }
#endif

/* sigmoid(-v) = 1 / (1 + exp(v)), where exp(v) = 2^k 2^r with r = v / ln 2 - k
 * in [-.5, .5]; the polynomial is the minimax one of 2^r, 9e-8 off at most. */
INLINE float sigmoid_of_minus(float v) {
  v = v > 89.f ? 89.f : v; /* where 2^k is infinite, so that s is 0 */
  v = v < -87.f ? -87.f : v;
  float shifted = v * 1.44269504f + 12582912.f; /* k, in the low bits */
  float r = v * 1.44269504f - (shifted - 12582912.f);
  float e = 1.326465863e-3f;
  e = e * r + 9.671566077e-3f;
  e = e * r + 5.550734326e-2f;
  e = e * r + 2.402224094e-1f;
  e = e * r + 6.931470037e-1f;
  e = e * r + 1.f;
  uint32_t bits;
  memcpy(&bits, &shifted, 4);
  bits = (bits << 23) + 0x3f800000u;
  float power;
  memcpy(&power, &bits, 4);
  return 1.f / (1.f + e * power);
}

/* The value, or another where that is not a number: clamps may hide it. */
INLINE float unless_nan(float value, float other) {
  uint32_t bits;
  memcpy(&bits, &other, 4);
  return (bits & 0x7fffffffu) > 0x7f800000u ? other : value;
}

typedef struct {
  const float *p1, *p2, *beta, *scale, *shift;
} parameters;

/* step, beta_step and affine are constants, 0 or 1, wherever these two are
 * called: the compiler makes one loop of each kind. */
INLINE void forward_row(element *restrict y, const element *x, long n,
                        parameters p, int step, int beta_step, int affine) {
#pragma omp simd
  for (long i = 0; i < n; i++) {
    float b = p.beta[i * beta_step], low = unless_nan(p.p2[i * step], b);
    float slope = p.p1[i * step] - low, value = load(x[i]);
    if (affine)
      value = p.scale[i * step] * value + p.shift[i * step];
    float s = sigmoid_of_minus(-b * slope * value);
    y[i] = store(value * (slope * s + low));
  }
}

/* Sums of the gradients, in the order of the parameters. */
enum { SUMS = 5 };

/* What an element adds to them. */
typedef struct {
  float dp1, dp2, dbeta, dvalue;
} slopes;

INLINE slopes slopes_at(float value, float up, float slope, float low,
                        float b) {
  float d = slope * value;
  float s = sigmoid_of_minus(-b * d);
  float passed = up * s;
  float bend = (passed - passed * s) * d;
  float g = passed + b * bend;
  slopes at = {value * g, value * (up - g), bend * d, slope * g + low * up};
  return at;
}

INLINE void backward_row(element *restrict dx, float *const sums[SUMS],
                         const element *dy, const element *x, long n,
                         parameters p, int step, int beta_step, int affine) {
  float *restrict dp1 = sums[0], *restrict dp2 = sums[1];
  float *restrict dbeta = sums[2], *restrict dscale = sums[3];
  float *restrict dshift = sums[4];
  float sum1 = 0, sum2 = 0, sum3 = 0, sum4 = 0, sum5 = 0;
#pragma omp simd reduction(+ : sum1, sum2, sum3, sum4, sum5)
  for (long i = 0; i < n; i++) {
    float low = p.p2[i * step], slope = p.p1[i * step] - low;
    float b = p.beta[i * beta_step];
    float input = load(x[i]), value = input, up = load(dy[i]);
    if (affine)
      value = p.scale[i * step] * input + p.shift[i * step];
    slopes at = slopes_at(value, up, slope, low, b);
    dx[i] = store(affine ? p.scale[i * step] * at.dvalue : at.dvalue);
    if (step) {
      dp1[i] += at.dp1;
      dp2[i] += at.dp2;
    } else {
      sum1 += at.dp1;
      sum2 += at.dp2;
    }
    if (beta_step)
      dbeta[i] += at.dbeta;
    else
      sum3 += at.dbeta;
    if (affine && step) {
      dscale[i] += input * at.dvalue;
      dshift[i] += at.dvalue;
    } else if (affine) {
      sum4 += input * at.dvalue;
      sum5 += at.dvalue;
    }
  }
  if (!step) {
    *dp1 += sum1;
    *dp2 += sum2;
  }
  if (!beta_step)
    *dbeta += sum3;
  if (affine && !step) {
    *dscale += sum4;
    *dshift += sum5;
  }
}

enum betas { PER_CHANNEL, PER_SAMPLE, PER_ELEMENT };

/* Calls ROW(step, beta_step, affine) with constants. */
#define CALL_WITH_CONSTANTS(ROW, wide, betas, affine)                          \
  if (affine) {                                                                \
    if (wide)                                                                  \
      ROW(1, 1, 1);                                                            \
    else if (betas == PER_ELEMENT)                                             \
      ROW(0, 1, 1);                                                            \
    else                                                                       \
      ROW(0, 0, 1);                                                            \
  } else {                                                                     \
    if (wide)                                                                  \
      ROW(1, 1, 0);                                                            \
    else if (betas == PER_ELEMENT)                                             \
      ROW(0, 1, 0);                                                            \
    else                                                                       \
      ROW(0, 0, 0);                                                            \
  }

/* The parameters of a row from its i-th element on. */
INLINE parameters parameters_at(parameters p, long row, long i, long n,
                                long channels, long share, int wide,
                                int betas) {
  long at = wide ? i : row % channels;
  p.beta += betas == PER_ELEMENT  ? row * n + i
            : betas == PER_SAMPLE ? row / share * channels + at
                                  : at;
  p.p1 += at;
  p.p2 += at;
  if (p.scale) {
    p.scale += at;
    p.shift += at;
  }
  return p;
}

/* Threads share the rows. */
void forward(element *y, const element *x, const float *p1, const float *p2,
             const float *beta, const float *scale, const float *shift,
             long rows, long n, long channels, long share, int wide, int betas,
             int threads) {
  parameters all = {p1, p2, beta, scale, shift};
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long row = 0; row < rows; row++) {
    parameters p =
        parameters_at(all, row, 0, n, channels, share, wide, betas);
#define ROW(...) forward_row(y + row * n, x + row * n, n, p, __VA_ARGS__)
    CALL_WITH_CONSTANTS(ROW, wide, betas, scale)
#undef ROW
  }
}

/* Totals of each channel over `parts` rows of `sums`, in double. */
INLINE void total(float *totals, const float *sums, long parts,
                  long channels) {
  for (long at = 0; at < channels; at++) {
    double value = 0;
    for (long part = 0; part < parts; part++)
      value += sums[part * channels + at];
    totals[at] = value;
  }
}

/* Threads share the chunks: up to `chunk` rows of a sample, one if a row is a
 * channel. Each leaves its part of the gradients in `sums`, (SUMS, samples,
 * parts, C), so that the totals do not depend on the threads. Betas of each
 * element get their gradients without sums: `dbeta` must be zero. */
void backward(element *dx, float *dp1, float *dp2, float *dbeta, float *dscale,
              float *dshift, float *sums, const element *dy, const element *x,
              const float *p1, const float *p2, const float *beta,
              const float *scale, const float *shift, long rows, long n,
              long channels, long share, int wide, int betas, long chunk,
              int threads) {
  parameters all = {p1, p2, beta, scale, shift};
  float *const totals[SUMS] = {dp1, dp2, dbeta, dscale, dshift};
  long per_sample = (share + chunk - 1) / chunk, width = wide ? n : 1;
  long samples = rows / share, chunks = samples * per_sample;
  memset(sums, 0, sizeof(float) * SUMS * chunks * width);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long c = 0; c < chunks; c++) {
    long sample = c / per_sample, end = (sample + 1) * share;
    long first = sample * share + c % per_sample * chunk;
    long last = first + chunk < end ? first + chunk : end;
    for (long row = first; row < last; row++) {
      double row_totals[SUMS] = {0};
      for (long i = 0; i < n; i += SPAN) {
        long start = row * n + i, m = n - i < SPAN ? n - i : SPAN;
        parameters p =
            parameters_at(all, row, i, n, channels, share, wide, betas);
        float part[SUMS] = {0}, *to[SUMS];
        for (int k = 0; k < SUMS; k++)
          to[k] = wide ? sums + (k * chunks + c) * width + i : part + k;
        if (betas == PER_ELEMENT)
          to[2] = dbeta + start;
#define ROW(...)                                                               \
  backward_row(dx + start, to, dy + start, x + start, m, p, __VA_ARGS__)
        CALL_WITH_CONSTANTS(ROW, wide, betas, scale)
#undef ROW
        for (int k = 0; k < SUMS; k++)
          row_totals[k] += part[k];
      }
      for (int k = 0; k < SUMS && !wide; k++)
        sums[(k * chunks + c) * width] = row_totals[k];
    }
  }
  long parts = chunks * width / channels, own = parts / samples;
  for (int k = 0; k < (scale ? SUMS : 3); k++) {
    int with_sample = k == 2 && betas == PER_SAMPLE;
    if (k == 2 && betas == PER_ELEMENT)
      continue;
    for (long group = 0; group < (with_sample ? samples : 1); group++)
      total(totals[k] + group * channels,
            sums + (k * parts + group * own) * channels,
            with_sample ? own : parts, channels);
  }
}
