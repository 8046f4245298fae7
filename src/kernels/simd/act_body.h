/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the activation kernels for any vector (vec_ISA.h); the order of operations is that of the reference. */
#include "kernels/kernels.h"
#include "kernels/simd/exp_body.h"

#define ACT_INLINE static inline __attribute__((always_inline))

ACT_INLINE vf act_clip(vf x, vf lo, vf hi)
{
    return vf_min(hi, vf_max(lo, x));
}

ACT_INLINE vf act_sigmoid(vf x)
{
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    const vf e = vf_exp_negative(vf_if_less(x, zero, x, vf_sub(vf_set1(-0.0f), x)));
    return vf_div(vf_if_less(x, zero, e, one), vf_add(one, e));
}

/* `kind` is a constant where this is called. */
ACT_INLINE vf act_vector(vf x, const uint32_t kind, const isgk_act *act)
{
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    switch (kind) {
    case ISGK_ACT_RELU: return vf_max(zero, x);
    case ISGK_ACT_CLIP: return act_clip(x, vf_set1(act->lo), vf_set1(act->hi));
    case ISGK_ACT_LEAKY_RELU: return vf_if_less(x, zero, vf_mul(x, vf_set1(act->alpha)), x);
    case ISGK_ACT_SIGMOID: return act_sigmoid(x);
    case ISGK_ACT_HARD_SIGMOID: return act_clip(vf_add(vf_mul(x, vf_set1(act->alpha)), vf_set1(act->beta)), zero, one);
    case ISGK_ACT_HARD_SWISH:
        return vf_mul(x, act_clip(vf_add(vf_mul(x, vf_set1(1.0f / 6.0f)), vf_set1(0.5f)), zero, one));
    case ISGK_ACT_SILU: return vf_mul(x, act_sigmoid(x));
    default: return x;
    }
}

/* What added to a number changes nothing. */
static const float act_no_bias[16] = {-0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f,
                                      -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f};

ACT_INLINE void act_row(float *dst, const float *src, size_t n, const float *bias, const uint32_t kind,
                        const isgk_act *act)
{
    const size_t walk = bias ? ~(size_t)0 : 0; /* over the bias */
    size_t i = 0;
    if (!bias) bias = act_no_bias;
    for (; n - i >= VF_LANES; i += VF_LANES)
        vf_store(dst + i, act_vector(vf_add(vf_load(src + i), vf_load(bias + (i & walk))), kind, act));
    if (i < n) {
        const vf_mask mask = vf_first(n - i);
        const vf x = vf_add(vf_load_some(src + i, mask), vf_load_some(bias + (i & walk), mask));
        vf_store_some(dst + i, mask, act_vector(x, kind, act));
    }
}

/* One loop for each kind, so that nothing is decided inside. */
#define ACT_ROWS(kind)                                                                                                 \
    case kind:                                                                                                         \
        for (size_t r = 0; r < m; r++) act_row(dst + r * ldd, src + r * ldd, n, bias, kind, act);                      \
        break;

static void act_rows(float *dst, const float *src, size_t ldd, size_t m, size_t n, const float *bias,
                     const isgk_act *act)
{
    switch (act->kind) {
        ACT_ROWS(ISGK_ACT_RELU)
        ACT_ROWS(ISGK_ACT_CLIP)
        ACT_ROWS(ISGK_ACT_LEAKY_RELU)
        ACT_ROWS(ISGK_ACT_SIGMOID)
        ACT_ROWS(ISGK_ACT_HARD_SIGMOID)
        ACT_ROWS(ISGK_ACT_HARD_SWISH)
        ACT_ROWS(ISGK_ACT_SILU)
    default:
        for (size_t r = 0; r < m; r++) act_row(dst + r * ldd, src + r * ldd, n, bias, ISGK_ACT_NONE, act);
        break;
    }
}

void VF_KERNEL(act_f32)(float *dst, const float *src, size_t n, const isgk_act *act)
{
    act_rows(dst, src, 0, 1, n, NULL, act);
}

void VF_KERNEL(epilogue_f32)(float *dst, size_t ldd, size_t m, size_t n, const float *bias, const isgk_act *act)
{
    const isgk_act none = {ISGK_ACT_NONE, 0.0f, 0.0f, 0.0f, 0.0f};
    act_rows(dst, dst, ldd, m, n, bias, act ? act : &none);
}
