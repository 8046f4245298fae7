/* SPDX-License-Identifier: Apache-2.0 */
/* Activations in plain C. Comparisons are written so that a NaN passes through, as the vector forms do. */
#include "kernels/kernels.h"
#include "kernels/scalar.h"

static float clip_value(float x, float lo, float hi)
{
    x = lo > x ? lo : x;
    return hi < x ? hi : x;
}

static float sigmoid_value(float x)
{
    const float e = isgi_exp_negative(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static float act_value(float x, const isgk_act *act)
{
    switch (act->kind) {
    case ISGK_ACT_RELU: return 0.0f > x ? 0.0f : x;
    case ISGK_ACT_CLIP: return clip_value(x, act->lo, act->hi);
    case ISGK_ACT_LEAKY_RELU: return x < 0.0f ? x * act->alpha : x;
    case ISGK_ACT_SIGMOID: return sigmoid_value(x);
    case ISGK_ACT_HARD_SIGMOID: return clip_value(x * act->alpha + act->beta, 0.0f, 1.0f);
    case ISGK_ACT_HARD_SWISH: return x * clip_value(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
    case ISGK_ACT_SILU: return x * sigmoid_value(x);
    default: return x;
    }
}

void isgk_act_f32__ref(float *dst, const float *src, size_t n, const isgk_act *act)
{
    for (size_t i = 0; i < n; i++) dst[i] = act_value(src[i], act);
}

void isgk_epilogue_f32__ref(float *dst, size_t ldd, size_t m, size_t n, const float *bias, const isgk_act *act)
{
    const isgk_act none = {ISGK_ACT_NONE, 0.0f, 0.0f, 0.0f, 0.0f};
    if (!act) act = &none;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float *x = dst + i * ldd + j;
            *x = act_value(bias ? *x + bias[j] : *x, act);
        }
    }
}
