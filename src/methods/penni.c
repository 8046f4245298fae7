/* SPDX-License-Identifier: Apache-2.0 */
/* PENNI: all kernels of a layer are sums of a few bases that they share; small coefficients may be dropped. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "factor/linalg.h"
#include "host/alloc.h"
#include "methods/largest.h"
#include "methods/method.h"

enum { BASES, SPARSITY, BITS };

#define TAPS_MOST 1024u /* their Gram matrix is square */
#define BASES_MOST 64
#define RANK_LEAST 1e-12 /* of the largest eigenvalue: what rounding to float leaves of a direction without weights */
#define DOWN_TO_ACROSS 1.25 /* see quadratic(): any number that keeps patterns across and down apart */

/* Fewer numbers than the weights; or as many bases as taps, which is a change of axes before coefficients are dropped
 * and the end of the scale where nothing is lost. */
static int fits(const double *values, const isg_method_shape *shape)
{
    const uint64_t taps = (uint64_t)shape->kh * shape->kw, kernels = (uint64_t)shape->co * shape->ci;
    const uint64_t bases = (uint64_t)values[BASES];
    if (taps < 2 || taps > TAPS_MOST || bases > taps) return 0;
    return bases == taps ? kernels >= taps : bases * kernels + bases * taps <= kernels * taps;
}

/* ---- bases ---- */

typedef struct fit {
    size_t kernels, taps, bases;
    double *gram, *values;        /* [taps][taps], then rows of eigenvectors; [taps] */
    double *form, *frequencies;   /* [bases][bases], then rows of eigenvectors; [bases] */
    float *basis, *coefs, *there; /* [bases][taps]; [bases][kernels]; [kernels], without the dropped ones */
    uint8_t *kept;                /* [bases][kernels] */
} fit;

static void fit_clear(fit *f)
{
    isg_free(f->gram);
    isg_free(f->values);
    isg_free(f->form);
    isg_free(f->frequencies);
    isg_free(f->basis);
    isg_free(f->coefs);
    isg_free(f->there);
    isg_free(f->kept);
}

static isg_status fit_init(fit *f, const double *values, const isg_method_shape *shape, isg_error *err)
{
    memset(f, 0, sizeof *f);
    f->kernels = (size_t)shape->co * shape->ci;
    f->taps = (size_t)shape->kh * shape->kw;
    f->bases = (size_t)values[BASES];
    f->gram = isgi_calloc(f->taps * f->taps, sizeof *f->gram);
    f->values = isgi_calloc(f->taps, sizeof *f->values);
    f->form = isgi_calloc(f->bases * f->bases, sizeof *f->form);
    f->frequencies = isgi_calloc(f->bases, sizeof *f->frequencies);
    f->basis = isgi_calloc(f->bases * f->taps, sizeof *f->basis);
    f->coefs = isgi_calloc(f->kernels, f->bases * sizeof *f->coefs);
    f->there = isgi_calloc(f->kernels, sizeof *f->there);
    f->kept = isgi_calloc(f->kernels, f->bases);
    if (f->gram && f->values && f->form && f->frequencies && f->basis && f->coefs && f->there && f->kept) return ISG_OK;
    fit_clear(f);
    return isgi_nomem(err);
}

/* Li et al., "PENNI" (arXiv 2005.07133): the bases are principal components of the kernels. Not centred,
 * as its layers have no mean kernel to add. Returns how many directions the weights have, at most `bases`. */
static isg_status principal_components(fit *f, const float *w, size_t *rank, isg_error *err)
{
    const size_t n = f->taps;
    for (size_t k = 0; k < f->kernels; k++, w += n) {
        for (size_t a = 0; a < n; a++) {
            for (size_t b = 0; b < n; b++) f->gram[a * n + b] += (double)w[a] * (double)w[b];
        }
    }
    ISGI_TRY(isgi_eigen(f->gram, n, f->values, err));
    for (*rank = 0; *rank < f->bases && f->values[*rank] > RANK_LEAST * f->values[0];) ++*rank;
    return ISG_OK;
}

/* How u and v change together from a tap to its neighbours: the Laplacian of the grid of taps. */
static double quadratic(const double *u, const double *v, size_t kh, size_t kw)
{
    double sum = 0.0;
    for (size_t y = 0; y < kh; y++) {
        for (size_t x = 0; x < kw; x++) {
            const size_t a = y * kw + x, b = a + 1, c = a + kw;
            if (x + 1 < kw) sum += (u[a] - u[b]) * (v[a] - v[b]);
            if (y + 1 < kh) sum += DOWN_TO_ACROSS * (u[a] - u[c]) * (v[a] - v[c]);
        }
    }
    return sum;
}

/* Row `which` of turn [rank][rank] times the components; its largest number is positive. */
static void turn_one(fit *f, size_t rank, size_t which)
{
    const double *turn = f->form + which * rank;
    float *basis = f->basis + which * f->taps, top = 0.0f;
    for (size_t a = 0; a < f->taps; a++) {
        double sum = 0.0;
        for (size_t j = 0; j < rank; j++) sum += turn[j] * f->gram[j * f->taps + a];
        basis[a] = (float)sum;
        if (fabsf(basis[a]) > fabsf(top)) top = basis[a];
    }
    for (size_t a = 0; a < f->taps && top < 0.0f; a++) basis[a] = -basis[a];
}

/* Principal components are defined only as far as their variances differ, and dropping coefficients changes the
 * variances: weights made from them have other components and would lose again when they are stored again. The space
 * that the components span stays, so the bases are its patterns of pure frequency, eigenvectors of the Laplacian within
 * it. Components of trained kernels are nearly such: dropping coefficients of these loses what dropping those of the
 * components loses, within 3 % (ResNet-8, ResNet-20; half to a tenth kept). */
static isg_status find_bases(fit *f, const isg_method_shape *shape, const float *w, isg_error *err)
{
    size_t rank;
    ISGI_TRY(principal_components(f, w, &rank, err));
    if (rank == 0) return ISG_OK;
    for (size_t i = 0; i < rank; i++) {
        for (size_t j = 0; j < rank; j++)
            f->form[i * rank + j] = quadratic(f->gram + i * f->taps, f->gram + j * f->taps, shape->kh, shape->kw);
    }
    ISGI_TRY(isgi_eigen(f->form, rank, f->frequencies, err));
    for (size_t i = 0; i < rank; i++) turn_one(f, rank, i);
    return ISG_OK;
}

/* ---- coefficients ---- */

static void find_coefs(fit *f, const float *w)
{
    for (size_t k = 0; k < f->kernels; k++, w += f->taps) {
        for (size_t j = 0; j < f->bases; j++) {
            double sum = 0.0;
            for (size_t a = 0; a < f->taps; a++) sum += (double)w[a] * (double)f->basis[j * f->taps + a];
            /* beyond binary16 either way, which the coder refuses */
            f->coefs[j * f->kernels + k] = (float)fmax(-FLT_MAX, fmin(FLT_MAX, sum));
        }
    }
}

/* A scale a basis: coefficients of one are alike in size. With one a filter there are more scales, and codes of 2 to 4
 * bits on five bases have 1 to 45 % more error (ResNet-8, ResNet-20). */
static void put_coefs(isgi_coder *c, fit *f, size_t first, int masked, uint32_t bits)
{
    size_t n = 0;
    for (size_t i = first; i < first + f->kernels; i++) {
        if (masked) isgi_coder_put(c, ISG_SECTION_MASKS, f->kept[i], 1);
        if (f->kept[i]) f->there[n++] = f->coefs[i];
    }
    isgi_coder_uniform(c, ISG_SECTION_CODES, f->there, n, 1, bits);
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    isg_status status;
    fit f;
    ISGI_TRY(fit_init(&f, values, shape, err));
    status = find_bases(&f, shape, w, err);
    if (status == ISG_OK) {
        const size_t count = f.kernels * f.bases;
        for (size_t i = 0; i < f.bases * f.taps; i++) f.basis[i] = isgi_coder_half(c, ISG_SECTION_BASES, f.basis[i]);
        find_coefs(&f, w);
        isgi_largest_mark(f.coefs, count, isgi_largest_count(count, values[SPARSITY]), f.kept);
        for (size_t i = 0; i < count; i += f.kernels)
            put_coefs(c, &f, i, values[SPARSITY] > 0.0, (uint32_t)values[BITS]);
    }
    fit_clear(&f);
    return status;
}

/* ---- decoding ---- */

/* coefs [count] becomes those of a basis, with zeros where they were dropped. */
static void take_coefs(isgi_decoder *d, float *coefs, float *there, size_t count, int masked, uint32_t bits)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        coefs[i] = masked ? (float)isgi_decoder_take(d, 1) : 1.0f;
        n += coefs[i] != 0.0f;
    }
    isgi_decoder_uniform(d, there, n, 1, bits);
    for (size_t i = count; i-- > 0;) {
        if (coefs[i] != 0.0f) coefs[i] = there[--n];
    }
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t bases = (size_t)values[BASES], taps = (size_t)shape->kh * shape->kw;
    const size_t kernels = (size_t)shape->co * shape->ci;
    float *basis = isgi_calloc(bases, taps * sizeof *basis);
    float *coefs = isgi_calloc(bases + 1, kernels * sizeof *coefs), *there = coefs;
    if (!basis || !coefs) {
        isg_free(basis);
        isg_free(coefs);
        return isgi_nomem(err);
    }
    for (size_t i = 0; i < bases * taps; i++) basis[i] = isgi_decoder_half(d);
    for (size_t j = 1; j <= bases; j++)
        take_coefs(d, coefs + j * kernels, there, kernels, values[SPARSITY] > 0.0, (uint32_t)values[BITS]);
    for (size_t k = 0; k < kernels; k++) {
        for (size_t a = 0; a < taps; a++) {
            double sum = 0.0;
            for (size_t j = 0; j < bases; j++)
                sum += (double)coefs[(j + 1) * kernels + k] * (double)basis[j * taps + a];
            *w++ = (float)sum;
        }
    }
    isg_free(basis);
    isg_free(coefs);
    return ISG_OK;
}

/* A multiply-add a tap for each coefficient that is there. */
static void work(const double *values, const isg_method_shape *shape, isg_method_cost *cost)
{
    const size_t coefs = (size_t)values[BASES] * shape->co * shape->ci;
    cost->multiply_adds = (double)isgi_largest_count(coefs, values[SPARSITY]) * shape->kh * shape->kw;
}

const isgi_method_kind isgi_method_penni = {
    .name = "penni",
    .summary = "PENNI: kernels are sums of bases in binary16, coefficients are symmetric integers or dropped",
    .params = {{"bases", 1, BASES_MOST, 5, 1}, {"sparsity", 0, 0.99, 0, 0}, {"bits", 2, 8, 8, 1}},
    .fits = fits,
    .encode = encode,
    .decode = decode,
    .work = work,
};
