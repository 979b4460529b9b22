/* The arithmetic of small networks, in C99 without any library.

   Numbers are float32. Images have their channels last: (height, width, channels). Sizes are in elements. The same file
   becomes kernels.wasm (`python -m scripts.chores.wasm`) and a part of each header that `scripts/export.py --format c`
   writes, so a browser and a microcontroller compute the same. Loops over channels are innermost and independent of
   each other: a compiler turns them into vector instructions without being allowed to reorder sums. */

#ifndef KERNEL
#define KERNEL __attribute__((visibility("default")))
#endif

typedef union { float number; unsigned bits; } zoo_word;

static inline float zoo_exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const int n = (int)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f)); /* x = n log(2) + r */
  const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  const float p = ((((1.9875691e-4f * r + 1.3981999e-3f) * r + 8.3334519e-3f) * r + 4.1665796e-2f) * r + 1.6666665e-1f) * r;
  const zoo_word two_to_n = {.bits = (unsigned)(n + 127) << 23};
  return ((p + 0.5f) * r * r + r + 1.0f) * two_to_n.number;
}

static inline float zoo_log(float x) {
  zoo_word word = {.number = x};
  int n = (int)(word.bits >> 23) - 127;
  word.bits = (word.bits & 0x7fffffu) | 0x3f800000u; /* x = 2^n m, with m from 1 to 2 */
  float m = word.number;
  if (m > 1.41421356f) { m *= 0.5f; n += 1; }
  const float t = (m - 1.0f) / (m + 1.0f), s = t * t; /* log(m) = 2 artanh(t) */
  return (float)n * 0.69314718f + 2.0f * t * (1.0f + s * (0.33333333f + s * (0.2f + s * (0.14285714f + s * 0.11111111f))));
}

static inline float zoo_sqrt(float x) {
  if (x <= 0.0f) return 0.0f;
  zoo_word word = {.number = x};
  word.bits = (word.bits >> 1) + 0x1fbb4000u; /* within 4% */
  float root = word.number;
  for (int i = 0; i < 3; i++) root = 0.5f * (root + x / root); /* Newton */
  return root;
}

static inline float zoo_sigmoid(float x) { return 1.0f / (1.0f + zoo_exp(-x)); }

static inline float zoo_tanh(float x) { return 1.0f - 2.0f / (1.0f + zoo_exp(2.0f * x)); }

static inline float zoo_erf(float x) { /* Abramowitz and Stegun, 7.1.26: within 1.5e-7 */
  const float a = x < 0.0f ? -x : x, t = 1.0f / (1.0f + 0.3275911f * a);
  const float p = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const float y = 1.0f - p * zoo_exp(-a * a);
  return x < 0.0f ? -y : y;
}

/* Bytes of an image as numbers. */
KERNEL void zoo_load(const unsigned char *x, float *y, int n) {
  for (int i = 0; i < n; i++) y[i] = (float)x[i];
}

/* Four numbers of neighboring channels. */
#ifdef __GNUC__
typedef float zoo_four __attribute__((vector_size(16)));
typedef float zoo_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
#define ZOO_READ(FROM) (*(const zoo_unaligned *)(FROM))
#define ZOO_WRITE(TO, VALUE) (*(zoo_unaligned *)(TO) = (VALUE))
#define ZOO_LANES 4
#else
typedef float zoo_four;
#define ZOO_READ(FROM) (*(FROM))
#define ZOO_WRITE(TO, VALUE) (*(TO) = (VALUE))
#define ZOO_LANES 1
#endif

/* Where the pixels of a tile are read for one tap: in the image, or zeros beyond its edge. */
#define ZOO_FROM(P)                                                                             \
  const int u##P = up[P] + tap / kernel_width * dilation_y;                                     \
  const int v##P = left[P] + tap % kernel_width * dilation_x;                                   \
  const int inside##P = u##P >= 0 && u##P < height && v##P >= 0 && v##P < width;                \
  const float *from##P = inside##P ? x + (u##P * width + v##P) * channels : zeros;

/* Convolution of one group; a dense layer is a convolution of 1 x 1.

   x: (height, width, channels), of which `inner` are read. w: (taps, inner, outputs). b: (outputs).
   y: (y_height, y_width, y_channels), of which `outputs` are written. zeros: `inner` zeros, what lies beyond the edge.
   Four pixels and eight output channels are computed together, so that what is read is used several times. */
KERNEL void zoo_conv(const float *x, const float *w, const float *b, const float *zeros, float *restrict y,
                     int height, int width, int channels, int inner, int y_height, int y_width, int y_channels,
                     int outputs, int kernel_height, int kernel_width, int stride_y, int stride_x, int pad_y, int pad_x,
                     int dilation_y, int dilation_x) {
  const int taps = kernel_height * kernel_width, pixels = y_height * y_width, two = 2 * ZOO_LANES;
  for (int at = 0; at < pixels; at += 4) {
    int up[4], left[4];
    for (int p = 0; p < 4; p++) { /* a tile beyond the last pixel repeats it */
      const int pixel = at + p < pixels ? at + p : pixels - 1;
      up[p] = pixel / y_width * stride_y - pad_y;
      left[p] = pixel % y_width * stride_x - pad_x;
    }
    float *y0 = y + at * y_channels, *y1 = at + 1 < pixels ? y0 + y_channels : y0;
    float *y2 = at + 2 < pixels ? y1 + y_channels : y1, *y3 = at + 3 < pixels ? y2 + y_channels : y2;
    int o = 0;
    for (; o + two <= outputs; o += two) {
      const float *row = w + o;
      zoo_four p0 = ZOO_READ(b + o), q0 = ZOO_READ(b + o + ZOO_LANES), p1 = p0, q1 = q0, p2 = p0, q2 = q0, p3 = p0, q3 = q0;
      for (int tap = 0; tap < taps; tap++) {
        ZOO_FROM(0) ZOO_FROM(1) ZOO_FROM(2) ZOO_FROM(3)
        for (int c = 0; c < inner; c++, row += outputs) {
          const zoo_four p = ZOO_READ(row), q = ZOO_READ(row + ZOO_LANES);
          p0 += from0[c] * p, q0 += from0[c] * q;
          p1 += from1[c] * p, q1 += from1[c] * q;
          p2 += from2[c] * p, q2 += from2[c] * q;
          p3 += from3[c] * p, q3 += from3[c] * q;
        }
      }
      ZOO_WRITE(y3 + o, p3), ZOO_WRITE(y3 + o + ZOO_LANES, q3); /* the last first: where a tile repeats a pixel, */
      ZOO_WRITE(y2 + o, p2), ZOO_WRITE(y2 + o + ZOO_LANES, q2); /* all of its copies are the same */
      ZOO_WRITE(y1 + o, p1), ZOO_WRITE(y1 + o + ZOO_LANES, q1);
      ZOO_WRITE(y0 + o, p0), ZOO_WRITE(y0 + o + ZOO_LANES, q0);
    }
    for (; o < outputs; o++) {
      const float *row = w + o;
      float s0 = b[o], s1 = s0, s2 = s0, s3 = s0;
      for (int tap = 0; tap < taps; tap++) {
        ZOO_FROM(0) ZOO_FROM(1) ZOO_FROM(2) ZOO_FROM(3)
        for (int c = 0; c < inner; c++, row += outputs) {
          s0 += from0[c] * *row, s1 += from1[c] * *row, s2 += from2[c] * *row, s3 += from3[c] * *row;
        }
      }
      y3[o] = s3, y2[o] = s2, y1[o] = s1, y0[o] = s0;
    }
  }
}

/* Convolution of every channel with a kernel of its own. w: (taps, channels). */
KERNEL void zoo_depthwise(const float *x, const float *w, const float *b, float *restrict y, int height, int width,
                          int channels, int y_height, int y_width, int kernel_height, int kernel_width, int stride_y,
                          int stride_x, int pad_y, int pad_x, int dilation_y, int dilation_x) {
  for (int i = 0; i < y_height; i++)
    for (int j = 0; j < y_width; j++, y += channels) {
      for (int c = 0; c < channels; c++) y[c] = b[c];
      for (int tap = 0; tap < kernel_height * kernel_width; tap++) {
        const int u = i * stride_y - pad_y + tap / kernel_width * dilation_y;
        const int v = j * stride_x - pad_x + tap % kernel_width * dilation_x;
        if (u < 0 || u >= height || v < 0 || v >= width) continue;
        const float *from = x + (u * width + v) * channels, *row = w + tap * channels;
        for (int c = 0; c < channels; c++) y[c] += from[c] * row[c];
      }
    }
}

/* kind: 0 the largest, 1 the mean of what lies within the image, 2 the mean with zeros beyond the edge. */
KERNEL void zoo_pool(const float *x, float *restrict y, int kind, int height, int width, int channels, int y_height,
                     int y_width, int kernel_height, int kernel_width, int stride_y, int stride_x, int pad_y,
                     int pad_x) {
  for (int i = 0; i < y_height; i++)
    for (int j = 0; j < y_width; j++, y += channels) {
      int count = 0;
      for (int c = 0; c < channels; c++) y[c] = kind ? 0.0f : -3.4028235e38f;
      for (int tap = 0; tap < kernel_height * kernel_width; tap++) {
        const int u = i * stride_y - pad_y + tap / kernel_width, v = j * stride_x - pad_x + tap % kernel_width;
        if (u < 0 || u >= height || v < 0 || v >= width) continue;
        const float *from = x + (u * width + v) * channels;
        count++;
        if (kind)
          for (int c = 0; c < channels; c++) y[c] += from[c];
        else
          for (int c = 0; c < channels; c++) y[c] = from[c] > y[c] ? from[c] : y[c];
      }
      const float share = 1.0f / (float)(kind == 2 ? kernel_height * kernel_width : count);
      if (kind)
        for (int c = 0; c < channels; c++) y[c] *= share;
    }
}

/* y (outer, inner) from x (outer, n, inner). kind: 0 mean, 1 sum, 2 the largest. */
KERNEL void zoo_reduce(const float *x, float *restrict y, int kind, int outer, int n, int inner) {
  for (int o = 0; o < outer; o++, y += inner) {
    for (int c = 0; c < inner; c++) y[c] = x[c];
    x += inner;
    for (int i = 1; i < n; i++, x += inner)
      if (kind == 2)
        for (int c = 0; c < inner; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
      else
        for (int c = 0; c < inner; c++) y[c] += x[c];
    if (kind == 0)
      for (int c = 0; c < inner; c++) y[c] *= 1.0f / (float)n;
  }
}

KERNEL void zoo_softmax(const float *x, float *y, int rows, int n) {
  for (int row = 0; row < rows; row++, x += n, y += n) {
    float most = x[0], sum = 0.0f;
    for (int i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int i = 0; i < n; i++) sum += y[i] = zoo_exp(x[i] - most);
    for (int i = 0; i < n; i++) y[i] /= sum;
  }
}

/* y (m, n), dense, = a (m, k) times b (k, n), whose strides are given. */
KERNEL void zoo_matmul(const float *a, const float *b, float *restrict y, int m, int k, int n, int a_m, int a_k, int b_k,
                       int b_n) {
  for (int i = 0; i < m; i++, y += n) {
    for (int j = 0; j < n; j++) y[j] = 0.0f;
    for (int t = 0; t < k; t++) {
      const float factor = a[i * a_m + t * a_k], *row = b + t * b_k;
      if (b_n == 1)
        for (int j = 0; j < n; j++) y[j] += factor * row[j];
      else
        for (int j = 0; j < n; j++) y[j] += factor * row[j * b_n];
    }
  }
}

#define ZOO_EACH(RESULT) for (int i = 0; i < n; i++) { const float t = x[i]; y[i] = RESULT; } break;

/* y = f(x), which may be the same numbers; p and q are constants of f. */
KERNEL void zoo_unary(const float *x, float *y, int f, int n, float p, float q) {
  (void)p, (void)q; /* few functions have constants */
  switch (f) {
    case 0: ZOO_EACH(t > 0.0f ? t : 0.0f)
    case 1: ZOO_EACH(zoo_sigmoid(t))
    case 2: ZOO_EACH(zoo_tanh(t))
    case 3: ZOO_EACH(zoo_erf(t))
    case 4: ZOO_EACH(-t)
    case 5: ZOO_EACH(zoo_sqrt(t))
    case 6: ZOO_EACH(1.0f / t)
    case 7: ZOO_EACH(zoo_exp(t))
    case 8: ZOO_EACH(t < 0.0f ? -t : t)
    case 9: ZOO_EACH(t < p ? p : t > q ? q : t)                               /* clip */
    case 10: ZOO_EACH(t < 0.0f ? p * t : t)                                   /* leaky ReLU */
    case 11: ZOO_EACH(t < 0.0f ? p * (zoo_exp(t) - 1.0f) : t)                 /* ELU */
    case 12: ZOO_EACH(p * t + q < 0.0f ? 0.0f : p * t + q > 1.0f ? 1.0f : p * t + q) /* hard sigmoid */
    case 13: ZOO_EACH((t > 0.0f ? t : 0.0f) + zoo_log(1.0f + zoo_exp(t < 0.0f ? t : -t))) /* softplus */
    case 14: ZOO_EACH(zoo_log(t))
    case 15: ZOO_EACH(t * zoo_sigmoid(t)) /* swish */
  }
}

#undef ZOO_EACH
#define ZOO_EACH(RESULT)                                                                   \
  for (int i = 0; i < n2; i++) { const float s = a[i * a2], t = b[i * b2]; y[i] = RESULT; } \
  break;

/* y (n0, n1, n2), dense, = f(a, b), whose strides are given; 0 repeats a value. */
KERNEL void zoo_binary(const float *a, const float *b, float *y, int f, int n0, int n1, int n2, int a0, int a1, int a2,
                       int b0, int b1, int b2) {
  for (int i0 = 0; i0 < n0; i0++, a += a0 - n1 * a1, b += b0 - n1 * b1)
    for (int i1 = 0; i1 < n1; i1++, a += a1, b += b1, y += n2) switch (f) {
        case 0: ZOO_EACH(s + t)
        case 1: ZOO_EACH(s * t)
        case 2: ZOO_EACH(s - t)
        case 3: ZOO_EACH(s / t)
        case 4: ZOO_EACH(s > t ? s : t)
        case 5: ZOO_EACH(s < t ? s : t)
      }
}

#undef ZOO_EACH

/* Numbers of x (n0, n1, n2) to where they are wanted in y; the strides of both are given. */
KERNEL void zoo_copy(const float *x, float *y, int n0, int n1, int n2, int x0, int x1, int x2, int y0, int y1, int y2) {
  for (int i = 0; i < n0; i++)
    for (int j = 0; j < n1; j++)
      for (int k = 0; k < n2; k++) y[i * y0 + j * y1 + k * y2] = x[i * x0 + j * x1 + k * x2];
}
