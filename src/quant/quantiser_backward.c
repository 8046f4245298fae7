/* SPDX-License-Identifier: Apache-2.0 */
/* Straight-through gradients of the weight quantisers. */
#include <insitu/factors.h>

#include "quant/quantiser.h"

#include <math.h>

static float clamp_value(float x, float limit)
{
    return x < -limit ? -limit : x > limit ? limit : x;
}

/* SPEC 3.1, q = 32: tanh(x) / max|tanh|, the gradient flows through the maximum (shared by ties). */
static void backward_paper_32(float *dmaster, const float *g, const isg_factor *f, float r)
{
    const size_t n = (size_t)f->rows * f->cols;
    double dot = 0;
    size_t ties = 0;
    float through;
    for (size_t i = 0; i < n; i++) {
        const float t = tanhf(f->master[i]);
        dot += (double)g[i] * (double)t;
        ties += fabsf(t) == r;
    }
    through = (float)(dot / ((double)r * (double)r * (double)ties));
    for (size_t i = 0; i < n; i++) {
        const float t = tanhf(f->master[i]);
        const float at_top = fabsf(t) == r ? (t < 0.0f ? -through : through) : 0.0f;
        dmaster[i] = (1.0f - t * t) * (g[i] / r - at_top);
    }
}

static void backward_paper(float *dmaster, const float *g, const isg_factor *f, int clamp)
{
    const size_t n = (size_t)f->rows * f->cols;
    const float r = isgi_paper_range(f);
    const float width = f->quant.bits == 1 ? r : 2.0f * r;
    if (r > 0.0f && f->quant.bits == 32) {
        backward_paper_32(dmaster, g, f, r);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const float t = f->quant.bits == 1 ? 0.0f : tanhf(f->master[i]);
        const float passed = clamp && width > 0.0f ? clamp_value(width * g[i], 1.0f) / width : g[i];
        dmaster[i] = passed * (1.0f - t * t);
    }
}

/* Learned step size: inside the range the master passes and the scale sees the rounding error; outside only the
 * scale, through the level it is held at. */
static void backward_step(float *dmaster, float *dscale, const float *g, const isg_factor *f)
{
    const uint32_t scales = isgi_scale_count(f);
    const float per_scale = (float)f->rows * (scales == 1 ? (float)f->cols : 1.0f);
    float lo, hi, step;
    isgi_level_range(f->quant.bits, f->quant.family, &lo, &hi, &step);
    for (uint32_t k = 0; k < scales; k++) {
        const float s = isgi_scale_stored(f->scale[k], f->quant.scale_bits);
        const uint32_t first = scales == 1 ? 0 : k, last = scales == 1 ? f->cols : k + 1;
        double sum = 0;
        for (uint32_t r = 0; r < f->rows; r++) {
            for (uint32_t c = first; c < last; c++) {
                const size_t i = (size_t)r * f->cols + c;
                const float x = s > 0.0f ? f->master[i] / s : 0.0f;
                const float level = isgi_level_nearest(f->master[i], s, f->quant.bits, f->quant.family);
                const int inside = x >= lo && x <= hi;
                dmaster[i] = inside ? g[i] : 0.0f;
                sum += (double)g[i] * (double)(inside ? level - x : level);
            }
        }
        if (dscale) dscale[k] = (float)(sum * (f->scale[k] < 0.0f ? -1.0 : 1.0)) / sqrtf(per_scale * hi);
    }
}

void isg_factor_backward(float *dmaster, float *dscale, const float *g, const isg_factor *f, int clamp)
{
    const size_t n = (size_t)f->rows * f->cols;
    if (f->quant.family == ISG_QUANT_PAPER) {
        backward_paper(dmaster, g, f, clamp);
    } else if (f->quant.family == ISG_QUANT_RAW) {
        for (size_t i = 0; i < n; i++) dmaster[i] = g[i];
    } else {
        backward_step(dmaster, dscale, g, f);
    }
}
