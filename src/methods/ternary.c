/* SPDX-License-Identifier: Apache-2.0 */
/* Ternary weight networks: -a, 0, a a channel, five of them a byte. */
#include <math.h>

#include "methods/method.h"

#define A_BYTE 5u /* 3^5 = 243 */

static int32_t digit_of(float x, double threshold)
{
    return fabs((double)x) > threshold ? (x > 0.0f ? 1 : -1) : 0;
}

/* Li, Zhang and Liu, "Ternary Weight Networks" (arXiv 1605.04711): threshold 0.7 E|w|, a = E(|w| : |w| > threshold). */
static double threshold_of(const float *w, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += fabs((double)w[i]);
    return 0.7 * sum / (double)count;
}

static double level_of(const float *w, size_t count, double threshold)
{
    double sum = 0.0;
    size_t above = 0;
    for (size_t i = 0; i < count; i++) {
        if (!digit_of(w[i], threshold)) continue;
        sum += fabs((double)w[i]);
        above++;
    }
    return above ? sum / (double)above : 0.0;
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t row = isgi_method_row(shape);
    (void)values;
    (void)err;
    for (size_t o = 0; o < shape->co; o++, w += row) {
        const double threshold = threshold_of(w, row);
        isgi_coder_half(c, ISG_SECTION_SCALES, (float)level_of(w, row, threshold));
        for (size_t i = 0; i < row; i += A_BYTE) {
            uint32_t byte = 0;
            for (size_t k = i + A_BYTE < row ? i + A_BYTE : row; k-- > i;)
                byte = 3u * byte + (uint32_t)(digit_of(w[k], threshold) + 1);
            isgi_coder_put(c, ISG_SECTION_CODES, byte, 8);
        }
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
        uint32_t byte = 0;
        for (size_t i = 0; i < row; i++, byte /= 3u) {
            if (i % A_BYTE == 0) byte = isgi_decoder_take(d, 8);
            w[i] = level * (float)((int32_t)(byte % 3u) - 1);
        }
    }
    return ISG_OK;
}

const isgi_method_kind isgi_method_ternary = {
    .name = "ternary",
    .summary = "TWN: one of -a, 0, a, five a byte, a binary16 level an output channel",
    .encode = encode,
    .decode = decode,
};
