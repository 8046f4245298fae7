/* SPDX-License-Identifier: Apache-2.0 */
/* Uniform symmetric codes, one scale an output channel: what post-training quantisation of weights stores. */
#include "methods/method.h"

enum { BITS };

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t row = isgi_method_row(shape);
    (void)err;
    for (size_t o = 0; o < shape->co; o++)
        isgi_coder_uniform(c, ISG_SECTION_CODES, w + o * row, row, 1, (uint32_t)values[BITS]);
    return ISG_OK;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t row = isgi_method_row(shape);
    (void)err;
    for (size_t o = 0; o < shape->co; o++) isgi_decoder_uniform(d, w + o * row, row, 1, (uint32_t)values[BITS]);
    return ISG_OK;
}

const isgi_method_kind isgi_method_uniform = {
    .name = "uniform",
    .summary = "symmetric integers, a binary16 scale an output channel",
    .params = {{"bits", 2, 8, 8, 1}},
    .encode = encode,
    .decode = decode,
};
