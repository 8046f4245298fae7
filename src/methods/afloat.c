/* SPDX-License-Identifier: Apache-2.0 */
/* AdaptivFloat: floats of few bits whose exponents follow the tensor, dense or with a mask of those that are stored. */
#include <math.h>

#include "host/alloc.h"
#include "methods/largest.h"
#include "methods/method.h"

enum { EXPONENT, MANTISSA, SPARSITY };

/* The exponent of the largest magnitude is stored with 8 bits from here on. So low that no network comes near, so high
 * that floats hold every magnitude exactly, down to 2^(-112 - 31 - 6). */
#define TOP_LEAST (-112)
#define TOP_MOST 127
#define TOP_BITS 8u

/* Tambe et al., "AdaptivFloat" (arXiv 1909.13271), algorithm 1. Code c > 0 is 2^(bias + E) (1 + M / 2^mantissa) where
 * c = E 2^mantissa + M; code 0 is zero, which takes the place of the smallest magnitude, 2^bias. */
typedef struct format {
    int32_t mantissa, bias;
    uint32_t most; /* code of a magnitude; the sign is the bit above */
    double least;  /* magnitude of code 1 */
} format;

static format format_of(const double *values, int32_t top)
{
    format f;
    f.mantissa = (int32_t)values[MANTISSA];
    f.bias = top - ((1 << (int32_t)values[EXPONENT]) - 1);
    f.most = (1u << ((uint32_t)values[EXPONENT] + (uint32_t)f.mantissa)) - 1u;
    f.least = ldexp(1.0 + ldexp(1.0, -f.mantissa), f.bias);
    return f;
}

static uint32_t bits_of(const format *f)
{
    uint32_t bits = 1;
    for (uint32_t most = f->most; most; most >>= 1) bits++;
    return bits;
}

/* 2^top <= the largest magnitude < 2^(top+1). */
static int32_t top_of(const float *w, size_t count)
{
    float most = 0.0f;
    int top;
    for (size_t i = 0; i < count; i++) most = fmaxf(most, fabsf(w[i]));
    frexp(most, &top);
    return most == 0.0f || top - 1 < TOP_LEAST ? TOP_LEAST : top - 1;
}

/* Below the smallest magnitude the halfway point decides, and itself becomes zero (the paper leaves it open). Mantissas
 * round to nearest, ties to even, into the next exponent where they must, and never beyond the largest magnitude. */
static uint32_t code_of(const format *f, float x)
{
    const double size = fabs((double)x);
    uint32_t code;
    int exponent;
    double part;
    if (size < f->least) {
        code = size > f->least / 2;
    } else {
        part = nearbyint(ldexp(frexp(size, &exponent), f->mantissa + 1)); /* 2^mantissa .. 2^(mantissa+1) */
        code = (uint32_t)((exponent - 2 - f->bias) * (1 << f->mantissa) + (int32_t)part);
        if (code > f->most) code = f->most;
    }
    return code && x < 0.0f ? code + f->most + 1u : code;
}

static float number_of(const format *f, uint32_t code)
{
    const uint32_t size = code & f->most, one = 1u << f->mantissa;
    double x;
    if (!size) return 0.0f;
    x = ldexp((double)(one + (size & (one - 1u))), f->bias + (int32_t)(size >> f->mantissa) - f->mantissa);
    return (float)(code > f->most ? -x : x);
}

/* ---- the method ---- */

/* The mask is EdgeBERT's (arXiv 2011.14203): a bit a weight, and codes of those alone that are not zero, also where it
 * is rounding that makes them zero. Here a weight's bit stands before its code. */
static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t count = (size_t)shape->co * isgi_method_row(shape);
    const int32_t top = top_of(w, count);
    const format f = format_of(values, top);
    const uint32_t bits = bits_of(&f);
    const int sparse = values[SPARSITY] > 0.0;
    uint8_t *kept = isgi_malloc(count);
    if (!kept) return isgi_nomem(err);
    isgi_largest_mark(w, count, isgi_largest_count(count, values[SPARSITY]), kept);
    isgi_coder_put(c, ISG_SECTION_SCALES, (uint32_t)(top - TOP_LEAST), TOP_BITS);
    for (size_t i = 0; i < count; i++) {
        const uint32_t code = kept[i] ? code_of(&f, w[i]) : 0;
        if (sparse) isgi_coder_put(c, ISG_SECTION_MASKS, code != 0, 1);
        if (code || !sparse) isgi_coder_put(c, ISG_SECTION_CODES, code, bits);
    }
    isg_free(kept);
    return ISG_OK;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t count = (size_t)shape->co * isgi_method_row(shape);
    const int32_t top = TOP_LEAST + (int32_t)isgi_decoder_take(d, TOP_BITS);
    const format f = format_of(values, top > TOP_MOST ? TOP_MOST : top);
    const uint32_t bits = bits_of(&f);
    const int sparse = values[SPARSITY] > 0.0;
    (void)err;
    if (top > TOP_MOST) d->bad = 1;
    for (size_t i = 0; i < count; i++)
        w[i] = !sparse || isgi_decoder_take(d, 1) ? number_of(&f, isgi_decoder_take(d, bits)) : 0.0f;
    return ISG_OK;
}

/* No work: codes are the numbers. */
const isgi_method_kind isgi_method_afloat = {
    .name = "afloat",
    .summary = "AdaptivFloat: small floats, an exponent bias a tensor; EdgeBERT's mask where sparse",
    .params = {{"exponent", 2, 5, 3, 1}, {"mantissa", 0, 6, 4, 1}, {"sparsity", 0, 0.99, 0, 0}},
    .encode = encode,
    .decode = decode,
};
