/* SPDX-License-Identifier: Apache-2.0 */
/* DSConv: integers of few bits, and a scale for every block of input channels of one output channel and one tap. */
#include <math.h>

#include "methods/method.h"

enum { BITS, BLOCK };

/* The numbers of a block lie one channel apart. */
typedef struct span {
    size_t count, stride;
    int32_t least; /* code, -2^(bits-1); the largest is one nearer to zero */
} span;

/* With one input channel every number is a block of its own, and its factor alone is a binary16 number: a code beside
 * it says nothing. Depthwise layers would take more bits than in plain integers of 8. */
static int fits(const double *values, const isg_method_shape *shape)
{
    (void)values;
    return shape->ci >= 2;
}

static size_t count_from(const double *values, const isg_method_shape *shape, size_t first)
{
    const size_t block = (size_t)values[BLOCK], left = shape->ci - first;
    return left < block ? left : block;
}

/* do Nascimento, Fawcett and Prisacariu, "DSConv: Efficient Convolution Operator" (arXiv 1901.01928), as their code has
 * it: the largest magnitude, the first of equals, becomes the code that two's complement has on one side only. That is
 * why the scale has the opposite sign of it. */
static double scale_for(const float *x, const span *s)
{
    double top = 0.0;
    for (size_t i = 0; i < s->count; i++) {
        const double here = x[i * s->stride];
        if (fabs(here) > fabs(top)) top = here;
    }
    return top != 0.0 ? s->least / top : 0.0;
}

static int32_t code_of(float x, double scale, int32_t least)
{
    const double c = nearbyint(x * scale);
    return c < least ? least : c > -least - 1 ? -least - 1 : (int32_t)c;
}

/* <x, q> / <q, q>: the factor with the least squared error for those codes. Of numbers that are such codes already it
 * is the factor that they were made with, exactly: both sums are whole multiples that a double holds. */
static double factor_for(const float *x, const span *s, double scale)
{
    double xq = 0.0, qq = 0.0;
    for (size_t i = 0; i < s->count; i++) {
        const int32_t q = code_of(x[i * s->stride], scale, s->least);
        xq += (double)x[i * s->stride] * q;
        qq += (double)q * q;
    }
    return qq > 0.0 ? xq / qq : 0.0;
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t taps = (size_t)shape->kh * shape->kw, block = (size_t)values[BLOCK];
    const uint32_t bits = (uint32_t)values[BITS];
    (void)err;
    for (size_t o = 0; o < shape->co; o++) {
        for (size_t i = 0; i < shape->ci; i += block) {
            const span s = {count_from(values, shape, i), taps, -(1 << (bits - 1))};
            for (size_t t = 0; t < taps; t++) {
                const float *x = w + (o * shape->ci + i) * taps + t;
                double scale = scale_for(x, &s);
                float factor = (float)factor_for(x, &s, scale);
                /* Codes of a block that binary16 makes zero would come back as zeros: store them as these. */
                if (fabsf(factor) <= 0x1p-25f) {
                    factor = 0.0f;
                    scale = 0.0;
                }
                isgi_coder_half(c, ISG_SECTION_SCALES, factor);
                for (size_t k = 0; k < s.count; k++)
                    isgi_coder_put(c, ISG_SECTION_CODES, (uint32_t)code_of(x[k * taps], scale, s.least), bits);
            }
        }
    }
    return ISG_OK;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t taps = (size_t)shape->kh * shape->kw, block = (size_t)values[BLOCK];
    const uint32_t bits = (uint32_t)values[BITS], sign = 1u << (bits - 1);
    (void)err;
    for (size_t o = 0; o < shape->co; o++) {
        for (size_t i = 0; i < shape->ci; i += block) {
            const size_t count = count_from(values, shape, i);
            for (size_t t = 0; t < taps; t++) {
                float *x = w + (o * shape->ci + i) * taps + t;
                const float factor = isgi_decoder_half(d);
                for (size_t k = 0; k < count; k++) {
                    const int32_t q = (int32_t)(isgi_decoder_take(d, bits) ^ sign) - (int32_t)sign;
                    x[k * taps] = q ? factor * (float)q : 0.0f; /* no -0: factors have signs */
                }
            }
        }
    }
    return ISG_OK;
}

/* No work: layers sum over a block with its integers, and one factor scales that sum. */
const isgi_method_kind isgi_method_dsconv = {
    .name = "dsconv",
    .summary = "DSConv: integers, a binary16 factor for every block of input channels of a tap",
    .params = {{"bits", 2, 8, 4, 1}, {"block", 1, 4096, 64, 1}},
    .fits = fits,
    .encode = encode,
    .decode = decode,
};
