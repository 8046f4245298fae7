/* SPDX-License-Identifier: Apache-2.0 */
/* Blueprint separable convolutions: a filter is one blueprint over the taps times a weight an input channel. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "factor/linalg.h"
#include "host/alloc.h"
#include "methods/method.h"

enum { BITS };

#define TAPS_MOST 1024u /* their Gram matrix is square */
#define SCALES_TRIED 64 /* from the one that clips nothing down to a quarter of it */

/* Haase and Amthor, "Rethinking Depthwise Separable Convolutions" (arXiv 2003.13549), BSConv-U: a filter is W[i][t] =
 * pw[i] dw[t]. Where each input channel has a filter of its own (ci = 1) a filter is a blueprint already. */
static int fits(const double *values, const isg_method_shape *shape)
{
    const uint64_t taps = (uint64_t)shape->kh * shape->kw;
    (void)values;
    return shape->ci > 1 && taps > 1 && taps <= TAPS_MOST;
}

typedef struct scratch {
    size_t ci, taps;
    int32_t most;
    double *gram, *values, *pw, *dw;
    int32_t *trial, *p, *d; /* codes; trial for either */
} scratch;

static void scratch_clear(scratch *s)
{
    isg_free(s->gram);
    isg_free(s->values);
    isg_free(s->pw);
    isg_free(s->trial);
    isg_free(s->p);
    isg_free(s->d);
}

static isg_status scratch_init(scratch *s, const isg_method_shape *shape, uint32_t bits, isg_error *err)
{
    memset(s, 0, sizeof *s);
    s->ci = shape->ci;
    s->taps = (size_t)shape->kh * shape->kw;
    s->most = (1 << (bits - 1)) - 1;
    s->gram = isgi_calloc(s->taps * s->taps, sizeof *s->gram);
    s->values = isgi_calloc(s->taps, sizeof *s->values);
    s->pw = isgi_calloc(s->ci, sizeof *s->pw);
    s->trial = isgi_calloc(s->ci + s->taps, sizeof *s->trial);
    s->p = isgi_calloc(s->ci, sizeof *s->p);
    s->d = isgi_calloc(s->taps, sizeof *s->d);
    if (s->gram && s->values && s->pw && s->trial && s->p && s->d) return ISG_OK;
    scratch_clear(s);
    return isgi_nomem(err);
}

/* Codes along x, whose length is free: those with the smallest angle to it. Only their product with the other factor's
 * codes is scaled, so one scale a filter is enough. The largest code is always `most`: what was coded is found again.
 */
static void codes_along(const double *x, size_t count, int32_t most, int32_t *trial, int32_t *codes)
{
    double top = 0.0, best = 0.0;
    memset(codes, 0, count * sizeof *codes);
    for (size_t i = 0; i < count; i++) top = fmax(top, fabs(x[i]));
    if (!(top > 0.0)) return;
    for (int k = 0; k < SCALES_TRIED; k++) {
        const double scale = top * (1.0 - 0.75 * k / SCALES_TRIED) / most;
        double along = 0.0, squares = 0.0;
        for (size_t i = 0; i < count; i++) {
            trial[i] = (int32_t)fmax(-most, fmin(most, nearbyint(x[i] / scale)));
            along += x[i] * trial[i];
            squares += (double)trial[i] * trial[i];
        }
        if (!(along * along > best * squares)) continue;
        best = along * along / squares;
        memcpy(codes, trial, count * sizeof *codes);
    }
}

/* The best rank-1 form has for dw the first eigenvector of the taps' Gram matrix (Eckart and Young). Its sign is free:
 * the first code that is not zero is made positive. */
static isg_status find_dw(scratch *s, const float *w, isg_error *err)
{
    const size_t n = s->taps;
    memset(s->gram, 0, n * n * sizeof *s->gram);
    for (size_t i = 0; i < s->ci; i++, w += n) {
        for (size_t a = 0; a < n; a++) {
            for (size_t b = 0; b < n; b++) s->gram[a * n + b] += (double)w[a] * (double)w[b];
        }
    }
    ISGI_TRY(isgi_eigen(s->gram, n, s->values, err));
    codes_along(s->gram, n, s->most, s->trial, s->d);
    for (size_t a = 0; a < n; a++) {
        if (s->d[a] == 0) continue;
        if (s->d[a] > 0) break;
        for (size_t b = a; b < n; b++) s->d[b] = -s->d[b];
        break;
    }
    return ISG_OK;
}

/* With dw's codes given, the best pw is what each channel has of them, and so is the scale with both given. Returns
 * the weight of two codes `most`. */
static double find_pw(scratch *s, const float *w)
{
    double dd = 0.0, pp = 0.0, along = 0.0;
    for (size_t a = 0; a < s->taps; a++) dd += (double)s->d[a] * s->d[a];
    for (size_t i = 0; i < s->ci; i++, w += s->taps) {
        s->pw[i] = 0.0;
        for (size_t a = 0; a < s->taps; a++) s->pw[i] += (double)w[a] * s->d[a];
    }
    codes_along(s->pw, s->ci, s->most, s->trial, s->p);
    for (size_t i = 0; i < s->ci; i++) {
        pp += (double)s->p[i] * s->p[i];
        along += s->pw[i] * s->p[i];
    }
    return pp * dd > 0.0 ? along / (pp * dd) * s->most * s->most : 0.0;
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const uint32_t bits = (uint32_t)values[BITS];
    isg_status status = ISG_OK;
    scratch s;
    ISGI_TRY(scratch_init(&s, shape, bits, err));
    for (size_t o = 0; o < shape->co; o++, w += s.ci * s.taps) {
        status = find_dw(&s, w, err);
        if (status != ISG_OK) break;
        isgi_coder_half(c, ISG_SECTION_SCALES, (float)find_pw(&s, w));
        for (size_t a = 0; a < s.taps; a++) isgi_coder_put(c, ISG_SECTION_BASES, (uint32_t)(s.d[a] + s.most), bits);
        for (size_t i = 0; i < s.ci; i++) isgi_coder_put(c, ISG_SECTION_CODES, (uint32_t)(s.p[i] + s.most), bits);
    }
    scratch_clear(&s);
    return status;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const uint32_t bits = (uint32_t)values[BITS];
    const size_t taps = (size_t)shape->kh * shape->kw;
    const int32_t most = (1 << (bits - 1)) - 1;
    int32_t dw[TAPS_MOST];
    (void)err;
    for (size_t o = 0; o < shape->co; o++) {
        const float top = isgi_decoder_half(d);
        for (size_t a = 0; a < taps; a++) dw[a] = (int32_t)isgi_decoder_take(d, bits) - most;
        for (size_t i = 0; i < shape->ci; i++, w += taps) {
            const int32_t pw = (int32_t)isgi_decoder_take(d, bits) - most;
            for (size_t a = 0; a < taps; a++) w[a] = top * ((float)(pw * dw[a]) / (float)(most * most));
        }
    }
    return ISG_OK;
}

/* A product a weight; the scale is folded into the output. */
static void work(const double *values, const isg_method_shape *shape, isg_method_cost *cost)
{
    (void)values;
    (void)shape;
    cost->multiply_adds = (double)cost->weights;
}

const isgi_method_kind isgi_method_bsconv = {
    .name = "bsconv",
    .summary = "BSConv-U: filters of rank 1 in symmetric integers, a binary16 scale an output channel",
    .params = {{"bits", 2, 8, 8, 1}},
    .fits = fits,
    .encode = encode,
    .decode = decode,
    .work = work,
};
