/* One layer of meta-ACON's beta net on n samples: a product, with a norm or
 * none behind it, and behind the last layer scale * sigmoid.
 *
 * Matrices lie row by row: x (n, in), weight (out, in), y and hat (n, out).
 * `hat` is what the norm multiplies by gamma, `inverse` one over the standard
 * deviation. gamma is NULL without a norm, scale 0 in front of another layer.
 */
#include <math.h>
#include <string.h>

/* With `batch`, the statistics are the batch's and the running ones follow. */
static void normalize(float *y, float *hat, float *inverse, float *mean,
                      float *variance, const float *gamma, const float *offset,
                      long n, long out, int batch, float momentum, float eps) {
  for (long j = 0; j < out; j++) {
    float centre = mean[j], spread = variance[j];
    if (batch) {
      double sum = 0, squares = 0;
      for (long i = 0; i < n; i++)
        sum += y[i * out + j];
      centre = sum / n;
      for (long i = 0; i < n; i++) {
        double d = y[i * out + j] - centre;
        squares += d * d;
      }
      spread = squares / n;
      mean[j] += momentum * (centre - mean[j]);
      variance[j] += momentum * ((float)(squares / (n - 1)) - variance[j]);
    }
    inverse[j] = 1 / sqrtf(spread + eps);
    for (long i = 0; i < n; i++) {
      float value = (y[i * out + j] - centre) * inverse[j];
      hat[i * out + j] = value;
      y[i * out + j] = gamma[j] * value + offset[j];
    }
  }
}

void forward(float *y, float *hat, float *inverse, const float *x,
             const float *weight, const float *bias, const float *gamma,
             const float *offset, float *mean, float *variance, long n,
             long in, long out, int batch, float momentum, float eps,
             float scale) {
  for (long i = 0; i < n; i++)
    for (long j = 0; j < out; j++) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (long k = 0; k < in; k++)
        sum += x[i * in + k] * weight[j * in + k];
      y[i * out + j] = sum + bias[j];
    }
  if (gamma)
    normalize(y, hat, inverse, mean, variance, gamma, offset, n, out, batch,
              momentum, eps);
  if (scale)
    for (long i = 0; i < n * out; i++)
      y[i] = scale / (1 + expf(-y[i]));
}

/* Overwrites dy with what reaches the product. */
void backward(float *dx, float *dweight, float *dbias, float *dgamma,
              float *doffset, float *dy, const float *y, const float *hat,
              const float *inverse, const float *x, const float *weight,
              const float *gamma, long n, long in, long out, int batch,
              float scale) {
  if (scale)
    for (long i = 0; i < n * out; i++)
      dy[i] *= y[i] * (1 - y[i] / scale);
  for (long j = 0; gamma && j < out; j++) {
    double sum = 0, product = 0;
    for (long i = 0; i < n; i++) {
      sum += dy[i * out + j];
      product += dy[i * out + j] * hat[i * out + j];
    }
    dgamma[j] = product;
    doffset[j] = sum;
    for (long i = 0; i < n; i++) {
      float value = dy[i * out + j];
      if (batch)
        value -= (sum + product * hat[i * out + j]) / n;
      dy[i * out + j] = value * gamma[j] * inverse[j];
    }
  }
  memset(dx, 0, sizeof(float) * n * in);
  memset(dweight, 0, sizeof(float) * out * in);
  memset(dbias, 0, sizeof(float) * out);
  for (long i = 0; i < n; i++)
    for (long j = 0; j < out; j++) {
      float up = dy[i * out + j];
      dbias[j] += up;
#pragma omp simd
      for (long k = 0; k < in; k++) {
        dx[i * in + k] += up * weight[j * in + k];
        dweight[j * in + k] += up * x[i * in + k];
      }
    }
}
