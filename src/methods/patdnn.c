/* SPDX-License-Identifier: Apache-2.0 */
/* PatDNN: of every 3 x 3 kernel four entries, in one of a few patterns that the layer has, and of all kernels a part.
 *
 * Niu et al., "PatDNN" (ASPLOS 2020, arXiv 2001.00138): the centre belongs to every pattern, which leaves 56; a layer
 * uses those that its kernels want most; connectivity pruning keeps the kernels with the largest norm. What is written
 * is their filter-kernel-weight order without the permutation of filters, which only says in what order to compute. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "methods/largest.h"
#include "methods/method.h"

enum { PATTERNS, KEEP, BITS };

#define TAPS 9u
#define KEPT_TAPS 4u
#define CENTRE (1u << 4)
#define CANDIDATES 56u /* 8 over 3 */
#define CANDIDATE_BITS 6u

/* The bits that a number of `count` values takes; none for one. */
static uint32_t bits_of(uint64_t count)
{
    uint32_t bits = 0;
    while ((UINT64_C(1) << bits) < count) bits++;
    return bits;
}

static void put(isgi_coder *c, uint32_t code, uint32_t bits)
{
    if (bits) isgi_coder_put(c, ISG_SECTION_INDICES, code, bits);
}

static uint32_t take(isgi_decoder *d, uint32_t bits)
{
    return bits ? isgi_decoder_take(d, bits) : 0;
}

static int fits(const double *values, const isg_method_shape *shape)
{
    (void)values;
    return shape->kh == 3 && shape->kw == 3;
}

/* ---- patterns ---- */

/* Every pattern as a set of taps (bit 3 y + x), ascending. */
static void list_candidates(uint32_t masks[CANDIDATES])
{
    uint32_t count = 0;
    for (uint32_t mask = 0; mask < 1u << TAPS; mask++) {
        uint32_t taps = 0;
        for (uint32_t t = 0; t < TAPS; t++) taps += mask >> t & 1u;
        if (taps == KEPT_TAPS && (mask & CENTRE)) masks[count++] = mask;
    }
}

static double energy_in(const float *kernel, uint32_t mask)
{
    double sum = 0.0;
    for (uint32_t t = 0; t < TAPS; t++) {
        if (mask >> t & 1u) sum += (double)kernel[t] * (double)kernel[t];
    }
    return sum;
}

/* The candidates that retain most of a kernel, as bits: one, or several where there are zeros; none of a kernel of
 * zeros. */
static uint64_t best_of(const float *kernel, const uint32_t masks[CANDIDATES])
{
    double most = 0.0;
    uint64_t best = 0;
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        const double energy = energy_in(kernel, masks[i]);
        if (energy > most) {
            most = energy;
            best = 0;
        }
        if (energy == most && most > 0.0) best |= UINT64_C(1) << i;
    }
    return best;
}

/* The candidate that most kernels want: first those that want no other, then those that want others as well. */
static uint32_t most_wanted(const uint64_t *wanted, size_t kernels, uint64_t chosen)
{
    uint64_t alone[CANDIDATES] = {0}, votes[CANDIDATES] = {0};
    uint32_t best = CANDIDATES;
    for (size_t k = 0; k < kernels; k++) {
        const int one = !(wanted[k] & (wanted[k] - 1u));
        for (uint32_t i = 0; wanted[k] >> i; i++) {
            votes[i] += wanted[k] >> i & 1u;
            alone[i] += (wanted[k] >> i & 1u) && one;
        }
    }
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        if (chosen >> i & 1u) continue;
        if (best == CANDIDATES || alone[i] > alone[best] || (alone[i] == alone[best] && votes[i] > votes[best]))
            best = i;
    }
    return best;
}

/* The most frequent best patterns, ascending in `table`. Kernels that have a choice come last and count once, so that a
 * layer that was made of these patterns finds them again. Uses up `wanted`. */
static void choose_patterns(uint64_t *wanted, size_t kernels, uint32_t patterns, uint32_t table[CANDIDATES])
{
    uint64_t chosen = 0;
    uint32_t count = 0;
    for (uint32_t n = 0; n < patterns; n++) {
        const uint64_t next = UINT64_C(1) << most_wanted(wanted, kernels, chosen);
        chosen |= next;
        for (size_t k = 0; k < kernels; k++) {
            if (wanted[k] & next) wanted[k] = 0;
        }
    }
    for (uint32_t i = 0; i < CANDIDATES; i++) {
        if (chosen >> i & 1u) table[count++] = i;
    }
}

/* ---- kernels ---- */

/* A tensor's kernels: the pattern that retains most of each, and how much. */
typedef struct plan {
    uint32_t masks[CANDIDATES], table[CANDIDATES], patterns;
    uint8_t *id; /* of a kernel; GONE where it is not kept. Owned. */
    uint64_t *wanted;
    float *norm;   /* of what is retained of a kernel */
    uint8_t *kept; /* whether it is */
    float *values; /* of one filter */
} plan;

#define GONE UINT8_MAX

static void free_plan(plan *p)
{
    isg_free(p->id);
    isg_free(p->wanted);
    isg_free(p->norm);
    isg_free(p->kept);
    isg_free(p->values);
}

static isg_status make_plan(plan *p, const double *values, const isg_method_shape *shape, const float *w,
                            isg_error *err)
{
    const size_t kernels = (size_t)shape->co * shape->ci;
    p->patterns = (uint32_t)values[PATTERNS];
    p->id = isgi_calloc(kernels, sizeof *p->id);
    p->wanted = isgi_calloc(kernels, sizeof *p->wanted);
    p->norm = isgi_calloc(kernels, sizeof *p->norm);
    p->kept = isgi_malloc(kernels);
    p->values = isgi_calloc(shape->ci, KEPT_TAPS * sizeof *p->values);
    if (!p->id || !p->wanted || !p->norm || !p->kept || !p->values) return isgi_nomem(err);
    list_candidates(p->masks);
    for (size_t i = 0; i < kernels; i++) p->wanted[i] = best_of(w + TAPS * i, p->masks);
    choose_patterns(p->wanted, kernels, p->patterns, p->table);
    for (size_t i = 0; i < kernels; i++) {
        double most = -1.0;
        for (uint32_t k = 0; k < p->patterns; k++) {
            const double energy = energy_in(w + TAPS * i, p->masks[p->table[k]]);
            if (energy <= most) continue;
            most = energy;
            p->id[i] = (uint8_t)k;
        }
        p->norm[i] = (float)fmin(sqrt(most), FLT_MAX);
    }
    isgi_largest_mark(p->norm, kernels, (size_t)ceil((double)kernels / values[KEEP]), p->kept);
    for (size_t i = 0; i < kernels; i++) {
        if (!p->kept[i]) p->id[i] = GONE;
    }
    return ISG_OK;
}

/* ---- bits ---- */

/* One filter: where kernels may be missing how many there are, of each its input channel and pattern, then a scale and
 * four codes a kernel. */
static void put_filter(isgi_coder *c, const plan *p, const uint8_t *id, const isg_method_shape *shape, const float *w,
                       const double *values)
{
    const int all = values[KEEP] <= 1.0;
    size_t count = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < shape->ci; i++) kept += id[i] != GONE;
    if (!all) put(c, kept, bits_of((uint64_t)shape->ci + 1u));
    for (uint32_t i = 0; i < shape->ci; i++) {
        if (id[i] == GONE) continue;
        if (!all) put(c, i, bits_of(shape->ci));
        put(c, id[i], bits_of(p->patterns));
        for (uint32_t t = 0; t < TAPS; t++) {
            if (p->masks[p->table[id[i]]] >> t & 1u) p->values[count++] = w[(size_t)TAPS * i + t];
        }
    }
    if (kept) isgi_coder_uniform(c, ISG_SECTION_CODES, p->values, count, 1, (uint32_t)values[BITS]);
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    plan p = {0};
    const isg_status status = make_plan(&p, values, shape, w, err);
    if (status == ISG_OK) {
        for (uint32_t i = 0; i < p.patterns; i++) put(c, p.table[i], CANDIDATE_BITS);
        for (size_t o = 0; o < shape->co && c->status == ISG_OK; o++)
            put_filter(c, &p, p.id + o * shape->ci, shape, w + o * shape->ci * TAPS, values);
    }
    free_plan(&p);
    return status;
}

static void take_table(isgi_decoder *d, uint32_t patterns, uint32_t masks[CANDIDATES])
{
    uint32_t all[CANDIDATES], next = 0;
    list_candidates(all);
    for (uint32_t i = 0; i < patterns; i++) {
        const uint32_t index = take(d, CANDIDATE_BITS);
        if (index < next || index >= CANDIDATES) d->bad = 1;
        masks[i] = all[index < CANDIDATES ? index : 0];
        next = index + 1u;
    }
}

/* The mask of each kernel of a filter, 0 where there is none; returns how many there are. Input channels ascend. */
static uint32_t take_kernels(isgi_decoder *d, const double *values, const isg_method_shape *shape,
                             const uint32_t table[CANDIDATES], uint32_t *masks)
{
    const uint32_t patterns = (uint32_t)values[PATTERNS];
    const int all = values[KEEP] <= 1.0;
    const uint32_t kept = all ? shape->ci : take(d, bits_of((uint64_t)shape->ci + 1u));
    uint32_t next = 0;
    memset(masks, 0, shape->ci * sizeof *masks);
    for (uint32_t i = 0; i < kept && !d->bad; i++) {
        const uint32_t index = all ? i : take(d, bits_of(shape->ci)), id = take(d, bits_of(patterns));
        if (kept > shape->ci || index < next || index >= shape->ci || id >= patterns) {
            d->bad = 1;
            break;
        }
        masks[index] = table[id];
        next = index + 1u;
    }
    return d->bad ? 0 : kept;
}

static void spread(const float *values, const uint32_t *masks, uint32_t ci, float *w)
{
    for (uint32_t i = 0; i < ci; i++) {
        for (uint32_t t = 0; t < TAPS; t++) w[(size_t)TAPS * i + t] = masks[i] >> t & 1u ? *values++ : 0.0f;
    }
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    uint32_t table[CANDIDATES] = {0}, *masks = isgi_calloc(shape->ci, sizeof *masks);
    float *taken = isgi_calloc(shape->ci, KEPT_TAPS * sizeof *taken);
    const isg_status status = masks && taken ? ISG_OK : isgi_nomem(err);
    if (status == ISG_OK) take_table(d, (uint32_t)values[PATTERNS], table);
    for (size_t o = 0; o < shape->co && status == ISG_OK && !d->bad; o++) {
        const uint32_t kept = take_kernels(d, values, shape, table, masks);
        if (kept) isgi_decoder_uniform(d, taken, (size_t)KEPT_TAPS * kept, 1, (uint32_t)values[BITS]);
        if (!d->bad) spread(taken, masks, shape->ci, w + o * shape->ci * TAPS);
    }
    isg_free(masks);
    isg_free(taken);
    return status;
}

const isgi_method_kind isgi_method_patdnn = {
    .name = "patdnn",
    .summary = "PatDNN: four of nine weights a 3 x 3 kernel in patterns of the layer, and the kernels with most energy",
    .params = {{"patterns", 1, CANDIDATES, 8, 1}, {"keep", 1, 16, 1, 0}, {"bits", 2, 8, 8, 1}},
    .fits = fits,
    .encode = encode,
    .decode = decode,
};
