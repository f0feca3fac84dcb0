/* The layers of meta-ACON's beta net on n samples: a product, with a norm or
 * none behind it, and behind the last one factor * sigmoid.
 *
 * Matrices lie row by row: x (n, in), weight (out, in), y and hat (n, out).
 * `hat` is what the norm multiplies by gamma, `inverse` one over the standard
 * deviation. Threads share the columns, so that no sum depends on them.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define COLUMNS 16      /* go together: a line of the cache */
#define WORTH (1 << 16) /* products that are worth waking another thread */

/* As meta.py tells it; gamma is NULL without a norm. With `batch`, the
 * statistics are the batch's and the running ones follow. */
typedef struct {
  const float *weight, *bias, *gamma, *offset;
  float *mean, *variance;
  int64_t *seen;
  long out, in;
  int batch;
  float momentum, eps;
} layer;

typedef struct {
  float *weight, *bias, *gamma, *offset;
} gradients;

/* What a layer keeps for its gradients. */
typedef struct {
  float *y, *hat, *inverse;
} outputs;

/* Columns j to j + m, of which y has the products. */
static void normalize(outputs to, long n, layer l, long j, long m) {
  double sum[COLUMNS] = {0}, squares[COLUMNS] = {0};
  float centre[COLUMNS], spread[COLUMNS];
  for (long c = 0; c < m; c++) {
    centre[c] = l.mean[j + c];
    spread[c] = l.variance[j + c];
  }
  if (l.batch) {
    for (long i = 0; i < n; i++)
      for (long c = 0; c < m; c++)
        sum[c] += to.y[i * l.out + j + c];
    for (long i = 0; i < n; i++)
      for (long c = 0; c < m; c++) {
        double d = to.y[i * l.out + j + c] - sum[c] / n;
        squares[c] += d * d;
      }
    for (long c = 0; c < m; c++) {
      centre[c] = sum[c] / n;
      spread[c] = squares[c] / n;
      float unbiased = squares[c] / (n - 1);
      l.mean[j + c] += l.momentum * (centre[c] - l.mean[j + c]);
      l.variance[j + c] += l.momentum * (unbiased - l.variance[j + c]);
    }
  }
  for (long c = 0; c < m; c++)
    to.inverse[j + c] = 1 / sqrtf(spread[c] + l.eps);
  for (long i = 0; i < n; i++)
    for (long c = 0; c < m; c++) {
      long at = i * l.out + j + c;
      to.hat[at] = (to.y[at] - centre[c]) * to.inverse[j + c];
      to.y[at] = l.gamma[j + c] * to.hat[at] + l.offset[j + c];
    }
}

/* Of x with the ROWS rows of a weight: their sums wait for each other less. */
#define ROWS 4
static void inner_products(float *y, const float *x, const float *weight,
                           long n) {
  const float *a = weight, *b = a + n, *c = b + n, *d = c + n;
  float sum_a = 0, sum_b = 0, sum_c = 0, sum_d = 0;
#pragma omp simd reduction(+ : sum_a, sum_b, sum_c, sum_d)
  for (long k = 0; k < n; k++) {
    sum_a += x[k] * a[k];
    sum_b += x[k] * b[k];
    sum_c += x[k] * c[k];
    sum_d += x[k] * d[k];
  }
  y[0] = sum_a;
  y[1] = sum_b;
  y[2] = sum_c;
  y[3] = sum_d;
}

static float inner_product(const float *x, const float *weight, long n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (long k = 0; k < n; k++)
    sum += x[k] * weight[k];
  return sum;
}

static void layer_forward(outputs to, const float *x, long n, layer l,
                          int threads) {
  threads = n * l.out * l.in > WORTH ? threads : 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long j = 0; j < l.out; j += COLUMNS) {
    long m = l.out - j < COLUMNS ? l.out - j : COLUMNS, c = 0;
    const float *weight = l.weight + j * l.in;
    for (; c + ROWS <= m; c += ROWS)
      for (long i = 0; i < n; i++)
        inner_products(to.y + i * l.out + j + c, x + i * l.in,
                       weight + c * l.in, l.in);
    for (; c < m; c++)
      for (long i = 0; i < n; i++)
        to.y[i * l.out + j + c] =
            inner_product(x + i * l.in, weight + c * l.in, l.in);
    for (long i = 0; i < n; i++)
      for (c = j; c < j + m; c++)
        to.y[i * l.out + c] += l.bias[c];
    if (l.gamma)
      normalize(to, n, l, j, m);
  }
  if (l.gamma)
    *l.seen += l.batch;
}

/* Columns j to j + m; overwrites dy with what reaches the product. */
static void norm_backward(float *dgamma, float *doffset, float *dy,
                          outputs from, long n, layer l, long j, long m) {
  double sum[COLUMNS] = {0}, product[COLUMNS] = {0};
  for (long i = 0; i < n; i++)
    for (long c = 0; c < m; c++) {
      long at = i * l.out + j + c;
      sum[c] += dy[at];
      product[c] += dy[at] * from.hat[at];
    }
  for (long c = 0; c < m; c++) {
    dgamma[j + c] = product[c];
    doffset[j + c] = sum[c];
  }
  for (long i = 0; i < n; i++)
    for (long c = 0; c < m; c++) {
      long at = i * l.out + j + c;
      float value = dy[at];
      if (l.batch)
        value -= (sum[c] + product[c] * from.hat[at]) / n;
      dy[at] = value * l.gamma[j + c] * from.inverse[j + c];
    }
}

/* Of x with m columns of a weight, in sums that do not wait for each other. */
INLINE void column_products(float *restrict y, const float *x,
                            const float *weight, long out, long in, long m) {
  float sums[ROWS][COLUMNS] = {0};
  long j = 0;
  for (; j + ROWS <= out; j += ROWS)
    for (long r = 0; r < ROWS; r++)
#pragma omp simd
      for (long k = 0; k < m; k++)
        sums[r][k] += x[j + r] * weight[(j + r) * in + k];
  for (; j < out; j++)
#pragma omp simd
    for (long k = 0; k < m; k++)
      sums[0][k] += x[j] * weight[j * in + k];
  for (long k = 0; k < m; k++)
    y[k] = sums[0][k] + sums[1][k] + sums[2][k] + sums[3][k];
}

/* Overwrites dy with what reaches the product. */
static void layer_backward(float *dx, gradients grads, float *dy,
                           outputs from, const float *x, long n, layer l,
                           int threads) {
  threads = n * l.out * l.in > WORTH ? threads : 1;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
#pragma omp for
    for (long j = 0; j < l.out; j += COLUMNS) {
      long m = l.out - j < COLUMNS ? l.out - j : COLUMNS;
      if (l.gamma)
        norm_backward(grads.gamma, grads.offset, dy, from, n, l, j, m);
      for (long c = j; c < j + m; c++) {
        float *restrict dweight = grads.weight + c * l.in, up = dy[c];
        grads.bias[c] = up;
#pragma omp simd
        for (long k = 0; k < l.in; k++)
          dweight[k] = up * x[k];
        for (long i = 1; i < n; i++) {
          up = dy[i * l.out + c];
          grads.bias[c] += up;
#pragma omp simd
          for (long k = 0; k < l.in; k++)
            dweight[k] += up * x[i * l.in + k];
        }
      }
    }
#pragma omp for
    for (long k = 0; k < l.in; k += COLUMNS)
      for (long i = 0; i < n; i++) {
        float *to = dx + i * l.in + k;
        const float *up = dy + i * l.out, *weight = l.weight + k;
        if (l.in - k >= COLUMNS) /* a constant, for the compiler */
          column_products(to, up, weight, l.out, l.in, COLUMNS);
        else
          column_products(to, up, weight, l.out, l.in, l.in - k);
      }
  }
}
