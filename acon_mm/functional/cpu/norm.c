/* Batch norm by the batch's statistics and ACON behind it. op.c says how a
 * tensor lies; betas are not PER_ELEMENT. The norm's output is written nowhere:
 * with c = x - mean and r = 1 / deviation, ACON's input is
 *   v = weight r c + bias
 * and of the gradient dv that reaches it
 *   dbias = sum dv,  dweight = r sum c dv,
 *   dx = weight r (dv - dbias / m - c r dweight / m)    (m: x's of a channel)
 * where a function of the means of v adds the same to all dv of a sample.
 *
 * Where a row is a channel, a thread takes all rows of one: what a first pass
 * read of it is in the cache for the second. No sum depends on the threads.
 */
#include "op.c"
#include "statistics.c"

/* What a call does: beta may have to be made of the means in between. */
enum { FIRST = 1, SECOND = 2 };

/* `memory` is kept for `norm_backward`; `sums` is for the chunks. */
void norm_forward(element *y, float *memory, float *sums, const element *x,
                  const float *p1, const float *p2, const float *beta,
                  const float *weight, const float *bias, float *mean,
                  float *variance, float momentum, float eps, long rows,
                  long n, long channels, long share, int wide, int betas,
                  long chunk, int threads, int passes) {
  kept parts = carve(memory, channels);
  norm l = {weight, bias, mean, variance, momentum, eps};
  if (wide) {
    if (passes & FIRST)
      statistics_of_pixels(parts, l, sums, x, rows, channels, share, chunk,
                           threads);
    if (passes & SECOND)
      forward(y, x, p1, p2, beta, parts.scale, parts.shift, rows, n, channels,
              share, wide, betas, threads);
    return;
  }
  parameters all = {p1, p2, beta, parts.scale, parts.shift};
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long at = 0; at < channels; at++) {
    if (passes & FIRST)
      statistics_of_channel(parts, l, x, at, rows, n, channels, share);
    for (long row = at; row < rows && passes & SECOND; row += channels)
      forward_row(y + row * n, x + row * n, n,
                  parameters_at(all, row, 0, n, channels, share, wide, betas),
                  0, 0, 1);
  }
}

/* Of a pixel or of up to SPAN of a channel: p.scale and p.shift make of x
 * what goes into ACON, `mean` is what the norm takes off. */
INLINE void sums_row(float *const sums[SUMS], const element *dy,
                     const element *x, long n, parameters p,
                     const float *mean, int step) {
  float *restrict dp1 = sums[0], *restrict dp2 = sums[1];
  float *restrict dbeta = sums[2], *restrict dweight = sums[3];
  float *restrict dbias = sums[4];
  float sum1 = 0, sum2 = 0, sum3 = 0, sum4 = 0, sum5 = 0;
#pragma omp simd reduction(+ : sum1, sum2, sum3, sum4, sum5)
  for (long i = 0; i < n; i++) {
    long k = i * step;
    float input = load(x[i]), low = p.p2[k];
    slopes at = slopes_at(p.scale[k] * input + p.shift[k], load(dy[i]),
                          p.p1[k] - low, low, p.beta[k]);
    float along = (input - mean[k]) * at.dvalue;
    if (step) {
      dp1[i] += at.dp1;
      dp2[i] += at.dp2;
      dbeta[i] += at.dbeta;
      dweight[i] += along;
      dbias[i] += at.dvalue;
    } else {
      sum1 += at.dp1;
      sum2 += at.dp2;
      sum3 += at.dbeta;
      sum4 += along;
      sum5 += at.dvalue;
    }
  }
  if (!step) {
    *dp1 += sum1;
    *dp2 += sum2;
    *dbeta += sum3;
    *dweight += sum4;
    *dbias += sum5;
  }
}

/* Of a channel by samples, as `statistics_of_channel`. */
static void sums_of_channel(float *const totals[SUMS], const element *dy,
                            const element *x, parameters all, kept parts,
                            long at, long rows, long n, long channels,
                            long share, int betas) {
  double sums[SUMS] = {0};
  long sample = 0;
  for (long row = at; row < rows; row += channels) {
    if (betas == PER_SAMPLE && row / share != sample) {
      totals[2][sample * channels + at] = sums[2];
      sums[2] = 0;
      sample = row / share;
    }
    for (long i = 0; i < n; i += SPAN) {
      float part[SUMS] = {0};
      float *const to[SUMS] = {part, part + 1, part + 2, part + 3, part + 4};
      sums_row(to, dy + row * n + i, x + row * n + i,
               n - i < SPAN ? n - i : SPAN,
               parameters_at(all, row, i, n, channels, share, 0, betas),
               parts.mean + at, 0);
      for (int k = 0; k < SUMS; k++)
        sums[k] += part[k];
    }
  }
  for (int k = 0; k < SUMS; k++)
    totals[k][(k == 2) * sample * channels + at] = sums[k];
  totals[3][at] *= parts.inverse[at];
}

/* As `backward` of op.c. */
static void sums_of_pixels(float *const totals[SUMS], float *sums,
                           const element *dy, const element *x,
                           parameters all, kept parts, long rows,
                           long channels, long share, int betas, long chunk,
                           int threads) {
  long per_sample = (share + chunk - 1) / chunk, samples = rows / share;
  long chunks = samples * per_sample;
  memset(sums, 0, sizeof(float) * SUMS * chunks * channels);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long c = 0; c < chunks; c++) {
    long end = (c / per_sample + 1) * share;
    long first = c / per_sample * share + c % per_sample * chunk;
    long last = first + chunk < end ? first + chunk : end;
    float *to[SUMS];
    for (int k = 0; k < SUMS; k++)
      to[k] = sums + (k * chunks + c) * channels;
    for (long row = first; row < last; row++)
      sums_row(to, dy + row * channels, x + row * channels, channels,
               parameters_at(all, row, 0, channels, channels, share, 1,
                             betas),
               parts.mean, 1);
  }
  for (int k = 0; k < SUMS; k++) {
    int with_sample = k == 2 && betas == PER_SAMPLE;
    for (long group = 0; group < (with_sample ? samples : 1); group++)
      total(totals[k] + group * channels,
            sums + (k * chunks + group * per_sample) * channels,
            with_sample ? per_sample : chunks, channels);
  }
  for (long at = 0; at < channels; at++)
    totals[3][at] *= parts.inverse[at];
}

/* Adds what comes through the means of a sample, which the norm makes. */
static void add_means(float *dweight, float *dbias, const float *dmeans,
                      kept parts, long at, long samples, long channels) {
  for (long sample = 0; sample < samples; sample++) {
    long i = sample * channels + at;
    dbias[at] += dmeans[i];
    dweight[at] +=
        dmeans[i] * (parts.means[i] - parts.mean[at]) * parts.inverse[at];
  }
}

/* dx = scale (dv + along (x - mean) + level), the latter with the sample. */
INLINE void dx_row(element *restrict dx, const element *dy, const element *x,
                   long n, parameters p, const float *mean, const float *along,
                   const float *level, int step) {
#pragma omp simd
  for (long i = 0; i < n; i++) {
    long k = i * step;
    float input = load(x[i]), low = p.p2[k];
    slopes at = slopes_at(p.scale[k] * input + p.shift[k], load(dy[i]),
                          p.p1[k] - low, low, p.beta[k]);
    dx[i] = store(p.scale[k] *
                  (at.dvalue + along[k] * (input - mean[k]) + level[k]));
  }
}

/* `along` (C) and `level` (samples, C) of `dx_row`. */
static void levels(float *along, float *level, const float *dweight,
                   const float *dbias, const float *dmeans, kept parts,
                   long at, long samples, long channels, double count) {
  along[at] = -parts.inverse[at] * dweight[at] / count;
  for (long i = at; i < samples * channels; i += channels)
    level[i] =
        ((dmeans ? dmeans[i] * (float)samples : 0.f) - dbias[at]) / count;
}

/* `sums` takes what the chunks leave, then `along` and `level`. `dmeans`, or
 * NULL, is what reaches the means of what the norm makes. */
void norm_backward(element *dx, float *dp1, float *dp2, float *dbeta,
                   float *dweight, float *dbias, float *sums,
                   const float *dmeans, const element *dy, const element *x,
                   const float *p1, const float *p2, const float *beta,
                   float *memory, long rows, long n, long channels, long share,
                   int wide, int betas, long chunk, int threads, int passes) {
  kept parts = carve(memory, channels);
  parameters all = {p1, p2, beta, parts.scale, parts.shift};
  float *const totals[SUMS] = {dp1, dp2, dbeta, dweight, dbias};
  float *along = sums, *level = sums + channels;
  long samples = rows / share;
  double count = (double)rows / channels * n;
  if (wide) {
    if (passes & FIRST)
      sums_of_pixels(totals, sums, dy, x, all, parts, rows, channels, share,
                     betas, chunk, threads);
    if (!(passes & SECOND))
      return;
    for (long at = 0; at < channels; at++) {
      if (dmeans)
        add_means(dweight, dbias, dmeans, parts, at, samples, channels);
      levels(along, level, dweight, dbias, dmeans, parts, at, samples,
             channels, rows);
    }
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long row = 0; row < rows; row++)
      dx_row(dx + row * n, dy + row * n, x + row * n, n,
             parameters_at(all, row, 0, n, channels, share, wide, betas),
             parts.mean, along, level + row / share * channels, 1);
    return;
  }
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (long at = 0; at < channels; at++) {
    if (passes & FIRST)
      sums_of_channel(totals, dy, x, all, parts, at, rows, n, channels, share,
                      betas);
    if (!(passes & SECOND))
      continue;
    if (dmeans)
      add_means(dweight, dbias, dmeans, parts, at, samples, channels);
    levels(along, level, dweight, dbias, dmeans, parts, at, samples, channels,
           count);
    for (long row = at; row < rows; row += channels)
      dx_row(dx + row * n, dy + row * n, x + row * n, n,
             parameters_at(all, row, 0, n, channels, share, wide, betas),
             parts.mean + at, along + at,
             level + row / share * channels + at, 0);
  }
}
