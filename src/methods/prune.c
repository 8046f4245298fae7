/* SPDX-License-Identifier: Apache-2.0 */
/* Magnitude pruning after Han et al. (arXiv 1506.02626): the largest weights, and a mask or runs for their places. */
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "methods/largest.h"
#include "methods/method.h"

enum { SPARSITY, BITS };

#define WIDTHS 16u     /* bits of a run: 1 to so many */
#define WIDTH_BITS 4u  /* one less is stored */
#define COUNT_BITS 32u /* of runs: they end where their number says, as a row of zeros may follow */
enum { KEPT = 1, FILLER = 2 };

/* Han et al., "Deep Compression" (arXiv 1510.00149), section 2 and figure 2: a gap too long for a run is bridged by a
 * weight of zero that is stored. Marks those; none follows the last weight that is kept. */
static void mark_fillers(uint8_t *kept, size_t count, uint32_t width)
{
    uint32_t gap = 0;
    while (count && !kept[count - 1]) count--;
    for (size_t i = 0; i < count; i++) {
        if (kept[i]) {
            gap = 0;
        } else if (++gap == 1u << width) {
            kept[i] = FILLER;
            gap = 0;
        }
    }
}

/* The width of runs with the fewest bits, and how many weights it stores. Theirs is 8 for convolutions and 5 for fully
 * connected layers; which is best depends on how many weights are left. */
static uint32_t best_width(const uint8_t *kept, size_t count, uint32_t bits, uint64_t *stored)
{
    uint64_t stores[WIDTHS + 1] = {0}, gap = 0;
    uint32_t best = 1;
    for (size_t i = 0; i < count; i++, gap++) {
        if (!kept[i]) continue;
        for (uint32_t width = 1; width <= WIDTHS; width++) stores[width] += 1 + (gap >> width);
        gap = UINT64_MAX; /* 0 at the next place */
    }
    for (uint32_t width = 2; width <= WIDTHS; width++) {
        if (stores[width] * (width + bits) < stores[best] * (best + bits)) best = width;
    }
    *stored = stores[best];
    return best;
}

static void put_runs(isgi_coder *c, const uint8_t *kept, size_t count, uint64_t stored, uint32_t width)
{
    uint32_t gap = 0;
    isgi_coder_put(c, ISG_SECTION_INDICES, 1, 1);
    isgi_coder_put(c, ISG_SECTION_INDICES, width - 1u, WIDTH_BITS);
    isgi_coder_put(c, ISG_SECTION_INDICES, (uint32_t)stored, COUNT_BITS);
    for (size_t i = 0; i < count; i++, gap++) {
        if (!kept[i]) continue;
        isgi_coder_put(c, ISG_SECTION_INDICES, gap, width);
        gap = UINT32_MAX; /* 0 at the next place */
    }
}

static void put_mask(isgi_coder *c, const uint8_t *kept, size_t count)
{
    isgi_coder_put(c, ISG_SECTION_MASKS, 0, 1);
    for (size_t i = 0; i < count; i++) isgi_coder_put(c, ISG_SECTION_MASKS, kept[i], 1);
}

/* Marks what is stored and writes where, in the way that takes fewer bits, scales of rows aside. */
static void put_places(isgi_coder *c, const float *w, size_t count, size_t keep, uint32_t bits, uint8_t *kept)
{
    uint64_t stored;
    uint32_t width;
    isgi_largest_mark(w, count, keep, kept);
    width = best_width(kept, count, bits, &stored);
    if (WIDTH_BITS + COUNT_BITS + width * stored + bits * (stored - keep) < count) {
        mark_fillers(kept, count, width);
        put_runs(c, kept, count, stored, width);
    } else {
        put_mask(c, kept, count);
    }
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t row = isgi_method_row(shape), count = shape->co * row;
    const uint32_t bits = (uint32_t)values[BITS];
    uint8_t *kept = isgi_malloc(count), *at = kept;
    float *there = isgi_calloc(row, sizeof *there);
    if (!kept || !there) {
        isg_free(kept);
        isg_free(there);
        return isgi_nomem(err);
    }
    put_places(c, w, count, isgi_largest_count(count, values[SPARSITY]), bits, kept);
    for (size_t o = 0; o < shape->co; o++, w += row, at += row) {
        size_t n = 0;
        for (size_t i = 0; i < row; i++) {
            if (at[i]) there[n++] = at[i] == KEPT ? w[i] : 0.0f;
        }
        if (n) isgi_coder_uniform(c, ISG_SECTION_CODES, there, n, 1, bits); /* no scale for nothing */
    }
    isg_free(kept);
    isg_free(there);
    return ISG_OK;
}

/* w becomes 1 where a weight is stored and 0 elsewhere. */
static void take_places(isgi_decoder *d, float *w, size_t count)
{
    size_t at = 0;
    uint32_t width;
    if (!isgi_decoder_take(d, 1)) {
        for (size_t i = 0; i < count; i++) w[i] = (float)isgi_decoder_take(d, 1);
        return;
    }
    memset(w, 0, count * sizeof *w);
    width = isgi_decoder_take(d, WIDTH_BITS) + 1u;
    for (uint32_t left = isgi_decoder_take(d, COUNT_BITS); left && !d->bad; left--) {
        at += isgi_decoder_take(d, width);
        if (at < count)
            w[at++] = 1.0f;
        else
            d->bad = 1;
    }
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t row = isgi_method_row(shape);
    float *there = isgi_calloc(row, sizeof *there);
    if (!there) return isgi_nomem(err);
    take_places(d, w, shape->co * row);
    for (size_t o = 0; o < shape->co && !d->bad; o++, w += row) {
        size_t n = 0;
        for (size_t i = 0; i < row; i++) n += w[i] != 0.0f;
        if (n) isgi_decoder_uniform(d, there, n, 1, (uint32_t)values[BITS]);
        for (size_t i = row; i-- > 0;) {
            if (w[i] != 0.0f) w[i] = there[--n];
        }
    }
    isg_free(there);
    return ISG_OK;
}

const isgi_method_kind isgi_method_prune = {
    .name = "prune",
    .summary = "magnitude pruning: symmetric integers for the largest weights, a mask or runs for their places",
    .params = {{"sparsity", 0, 0.99, 0.9, 0}, {"bits", 2, 8, 8, 1}},
    .encode = encode,
    .decode = decode,
};
