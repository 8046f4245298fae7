/* SPDX-License-Identifier: Apache-2.0 */
/* CirCNN: circulant blocks over output and input channels, one number a diagonal. */
#include <math.h>

#include "host/alloc.h"
#include "methods/method.h"

enum { BLOCK, BITS };

#define BLOCK_MOST 256u

/* One block: `rows` output and `columns` input channels, `block` of each but at the far edges. */
typedef struct tile {
    size_t o, i, rows, columns, block;
} tile;

static size_t at_most(size_t left, size_t most)
{
    return left < most ? left : most;
}

static tile tile_at(const isg_method_shape *shape, size_t block, size_t o, size_t i)
{
    const tile t = {o, i, at_most(shape->co - o, block), at_most(shape->ci - i, block), block};
    return t;
}

/* Numbers of a block are equal where (o - i) mod block is: that is the number's diagonal. */
static size_t diagonal(const tile *t, size_t row, size_t column)
{
    return row >= column ? row - column : row + t->block - column;
}

/* Whether a diagonal has numbers. Where the edge cuts a block some have none; those are not stored, and which they are
 * follows from the shape. The rest are min(block, rows + columns - 1), never more than the block has numbers. */
static int exists(const tile *t, size_t d)
{
    return d < t->rows || d + t->columns > t->block;
}

/* Stored numbers of the row of blocks that begins at output channel o. At most as many as weights. */
static size_t stored_in_row(const isg_method_shape *shape, size_t block, size_t o)
{
    size_t count = 0;
    for (size_t i = 0; i < shape->ci; i += block) {
        const tile t = tile_at(shape, block, o, i);
        count += at_most(t.rows + t.columns - 1, block);
    }
    return count * shape->kh * shape->kw;
}

static size_t place_of(const isg_method_shape *shape, const tile *t, size_t row, size_t column, size_t tap)
{
    return ((t->o + row) * shape->ci + t->i + column) * shape->kh * shape->kw + tap;
}

/* The nearest circulant block in squared error: the mean of a diagonal over the numbers that it has. */
static size_t means_of(const isg_method_shape *shape, const tile *t, size_t tap, const float *w, float *means)
{
    double sums[BLOCK_MOST] = {0};
    uint32_t counts[BLOCK_MOST] = {0};
    size_t used = 0;
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t q = 0; q < t->columns; q++) {
            const size_t d = diagonal(t, r, q);
            sums[d] += w[place_of(shape, t, r, q, tap)];
            counts[d]++;
        }
    }
    for (size_t d = 0; d < t->block; d++) {
        if (exists(t, d)) means[used++] = (float)(sums[d] / counts[d]);
    }
    return used;
}

static size_t spread(const isg_method_shape *shape, const tile *t, size_t tap, float *w, const float *means)
{
    float numbers[BLOCK_MOST] = {0};
    size_t used = 0;
    for (size_t d = 0; d < t->block; d++) {
        if (exists(t, d)) numbers[d] = means[used++];
    }
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t q = 0; q < t->columns; q++) w[place_of(shape, t, r, q, tap)] = numbers[diagonal(t, r, q)];
    }
    return used;
}

/* Ding et al., "CirCNN" (arXiv 1708.08917): a fully connected layer is a grid of circulant blocks, and so is every tap
 * of a convolution, over its output and input channels. Codes share a scale over one row of blocks, that is over all
 * inputs and taps of its output channels, so that a scale can be taken out of their sums. */
static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t block = (size_t)values[BLOCK], taps = (size_t)shape->kh * shape->kw;
    float *means = isgi_calloc(stored_in_row(shape, block, 0), sizeof *means); /* no later row has more */
    if (!means) return isgi_nomem(err);
    for (size_t o = 0; o < shape->co; o += block) {
        size_t used = 0;
        for (size_t i = 0; i < shape->ci; i += block) {
            const tile t = tile_at(shape, block, o, i);
            for (size_t tap = 0; tap < taps; tap++) used += means_of(shape, &t, tap, w, means + used);
        }
        isgi_coder_uniform(c, ISG_SECTION_CODES, means, used, 1, (uint32_t)values[BITS]);
    }
    isg_free(means);
    return ISG_OK;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t block = (size_t)values[BLOCK], taps = (size_t)shape->kh * shape->kw;
    float *means = isgi_calloc(stored_in_row(shape, block, 0), sizeof *means);
    if (!means) return isgi_nomem(err);
    for (size_t o = 0; o < shape->co; o += block) {
        size_t used = 0;
        isgi_decoder_uniform(d, means, stored_in_row(shape, block, o), 1, (uint32_t)values[BITS]);
        for (size_t i = 0; i < shape->ci; i += block) {
            const tile t = tile_at(shape, block, o, i);
            for (size_t tap = 0; tap < taps; tap++) used += spread(shape, &t, tap, w, means + used);
        }
    }
    isg_free(means);
    return ISG_OK;
}

/* With one channel on a side no two numbers share a diagonal: there is nothing to gain, as in depthwise layers. */
static int fits(const double *values, const isg_method_shape *shape)
{
    (void)values;
    return shape->co >= 2 && shape->ci >= 2;
}

/* No work: making the tensor is a map of indices. */
const isgi_method_kind isgi_method_circnn = {
    .name = "circnn",
    .summary = "CirCNN: circulant blocks of channels, a code a diagonal, a binary16 scale a row of blocks",
    .params = {{"block", 2, BLOCK_MOST, 8, 1}, {"bits", 2, 8, 8, 1}},
    .fits = fits,
    .encode = encode,
    .decode = decode,
};
