/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of elementwise arithmetic and softmax for any vector (vec_ISA.h). */
#include "kernels/kernels.h"
#include "kernels/simd/exp_body.h"

#define POINTWISE_INLINE static inline __attribute__((always_inline))
#define SOFTMAX_CHAINS 16u

POINTWISE_INLINE vf binary_vector(vf a, vf b, const isgk_binary_op op)
{
    switch (op) {
    case ISGK_BINARY_ADD: return vf_add(a, b);
    case ISGK_BINARY_SUB: return vf_sub(a, b);
    case ISGK_BINARY_MUL: return vf_mul(a, b);
    default: return vf_div(a, b);
    }
}

POINTWISE_INLINE void binary_run(float *dst, const float *a, size_t a_step, const float *b, size_t b_step, size_t n,
                                 const isgk_binary_op op)
{
    size_t i = 0;
    if (a_step && b_step) {
        for (; n - i >= VF_LANES; i += VF_LANES) {
            vf_store(dst + i, binary_vector(vf_load(a + i), vf_load(b + i), op));
        }
    } else if (n) {
        const vf x = vf_set1(a[0]), y = vf_set1(b[0]);
        for (; n - i >= VF_LANES; i += VF_LANES) {
            vf_store(dst + i, binary_vector(a_step ? vf_load(a + i) : x, b_step ? vf_load(b + i) : y, op));
        }
    }
    if (i < n) {
        const vf_mask mask = vf_first(n - i);
        const vf x = a_step ? vf_load_some(a + i, mask) : vf_set1(a[0]);
        const vf y = b_step ? vf_load_some(b + i, mask) : vf_set1(b[0]);
        vf_store_some(dst + i, mask, binary_vector(x, y, op));
    }
}

void VF_KERNEL(binary_f32)(float *dst, const float *a, size_t a_step, const float *b, size_t b_step, size_t n,
                           isgk_binary_op op)
{
    switch (op) {
    case ISGK_BINARY_ADD: binary_run(dst, a, a_step, b, b_step, n, ISGK_BINARY_ADD); break;
    case ISGK_BINARY_SUB: binary_run(dst, a, a_step, b, b_step, n, ISGK_BINARY_SUB); break;
    case ISGK_BINARY_MUL: binary_run(dst, a, a_step, b, b_step, n, ISGK_BINARY_MUL); break;
    case ISGK_BINARY_DIV: binary_run(dst, a, a_step, b, b_step, n, ISGK_BINARY_DIV); break;
    }
}

void VF_KERNEL(affine_f32)(float *dst, size_t ldd, const float *src, size_t lds, const float *scale, const float *shift,
                           size_t rows, size_t channels)
{
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        size_t c = 0;
        for (; channels - c >= VF_LANES; c += VF_LANES) {
            vf_store(dst + c, vf_add(vf_mul(vf_load(src + c), vf_load(scale + c)), vf_load(shift + c)));
        }
        if (c < channels) {
            const vf_mask mask = vf_first(channels - c);
            const vf x = vf_mul(vf_load_some(src + c, mask), vf_load_some(scale + c, mask));
            vf_store_some(dst + c, mask, vf_add(x, vf_load_some(shift + c, mask)));
        }
    }
}

static float softmax_max(const float *src, size_t n)
{
    float lanes[VF_LANES], best;
    vf acc = vf_set1(ISGI_MINUS_INFINITY);
    size_t i = 0;
    for (; n - i >= VF_LANES; i += VF_LANES) acc = vf_max(vf_load(src + i), acc);
    if (i < n) acc = vf_max(vf_load_or(vf_set1(ISGI_MINUS_INFINITY), src + i, vf_first(n - i)), acc);
    vf_store(lanes, acc);
    best = lanes[0];
    for (i = 1; i < VF_LANES; i++) best = lanes[i] > best ? lanes[i] : best;
    return best;
}

/* dst = exp(src - best); returns the sum, by the chains and the tree of the contract. */
static float softmax_exp(float *dst, const float *src, size_t n, float best)
{
    float lanes[SOFTMAX_CHAINS];
    const vf top = vf_set1(best);
    vf sum[SOFTMAX_CHAINS / VF_LANES];
    for (size_t h = 0; h < SOFTMAX_CHAINS / VF_LANES; h++) sum[h] = vf_set1(0.0f);
    for (size_t i = 0, h = 0; i < n; i += VF_LANES, h = (h + 1) % (SOFTMAX_CHAINS / VF_LANES)) {
        const vf_mask mask = vf_first(n - i < VF_LANES ? n - i : VF_LANES);
        const vf least = vf_set1(ISGI_MINUS_INFINITY);
        const vf e = vf_exp_negative(vf_sub(vf_load_or(least, src + i, mask), top));
        sum[h] = vf_add(sum[h], e); /* exp(-infinity) adds 0 */
        vf_store_some(dst + i, mask, e);
    }
    for (size_t h = 0; h < SOFTMAX_CHAINS / VF_LANES; h++) vf_store(lanes + h * VF_LANES, sum[h]);
    for (size_t half = SOFTMAX_CHAINS / 2; half; half /= 2) {
        for (size_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
    }
    return lanes[0];
}

void VF_KERNEL(softmax_f32)(float *dst, size_t ldd, const float *src, size_t lds, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        const float sum = softmax_exp(dst, src, n, softmax_max(src, n));
        binary_run(dst, dst, 1, &sum, 0, n, ISGK_BINARY_DIV);
    }
}
