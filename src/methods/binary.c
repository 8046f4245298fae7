/* SPDX-License-Identifier: Apache-2.0 */
/* Binary weights: a sign a weight, a level a channel. */
#include <math.h>

#include "methods/method.h"

/* Rastegari et al., "XNOR-Net" (arXiv 1603.05279), section 3.1: the level with the least squared error is E|w|. */
static double level_of(const float *w, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += fabs((double)w[i]);
    return sum / (double)count;
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t row = isgi_method_row(shape);
    (void)values;
    (void)err;
    for (size_t o = 0; o < shape->co; o++, w += row) {
        isgi_coder_half(c, ISG_SECTION_SCALES, (float)level_of(w, row));
        for (size_t i = 0; i < row; i++) isgi_coder_put(c, ISG_SECTION_CODES, w[i] >= 0.0f, 1);
    }
    return ISG_OK;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t row = isgi_method_row(shape);
    (void)values;
    (void)err;
    for (size_t o = 0; o < shape->co; o++, w += row) {
        const float level = isgi_decoder_half(d);
        for (size_t i = 0; i < row; i++) w[i] = isgi_decoder_take(d, 1) ? level : -level;
    }
    return ISG_OK;
}

const isgi_method_kind isgi_method_binary = {
    .name = "binary",
    .summary = "XNOR-Net: a sign a weight, a binary16 level an output channel",
    .encode = encode,
    .decode = decode,
};
