/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of floats of AArch64 NEON, under the names that the kernel bodies use. */
#ifndef INSITU_KERNELS_VEC_NEON_H
#define INSITU_KERNELS_VEC_NEON_H

#include <arm_neon.h>
#include <stddef.h>

#include "kernels/scalar.h"

#define VF_LANES 4u
#define VF_KERNEL(op) isgk_##op##__neon
#define VF_CHEAP_MASKS 0  /* a masked store costs much more than a plain one */
#define VF_TAPS_VECTORS 4 /* vectors of a depthwise tile of four pixels */
#define VF_ROW_VECTORS 3  /* vectors of a depthwise tile of DWROW_PIXELS pixels of a row */
#define VF_GEMM_ROWS 8    /* rows of the two-vector tile: 16 accumulators of 32 registers, rows of A in the rest */
#define VF_GEMM_FLAT 4    /* rows of the four-vector tile */

typedef float32x4_t vf;
typedef size_t vf_mask; /* a number of lanes: NEON has no masked access */

/* The first n lanes, n <= VF_LANES. */
static inline vf_mask vf_first(size_t n)
{
    return n;
}

/* Asks for the cache line of p, which need not exist. */
static inline void vf_prefetch(const float *p)
{
    (void)p; /* no portable intrinsic */
}

static inline vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

static inline vf vf_load_or(vf other, const float *p, vf_mask m)
{
    float lanes[VF_LANES];
    if (m == VF_LANES) return vld1q_f32(p);
    vst1q_f32(lanes, other);
    for (size_t i = 0; i < m; i++) lanes[i] = p[i];
    return vld1q_f32(lanes);
}

static inline vf vf_load_some(const float *p, vf_mask m)
{
    return vf_load_or(vdupq_n_f32(0.0f), p, m);
}

static inline void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}

static inline void vf_store_some(float *p, vf_mask m, vf v)
{
    float lanes[VF_LANES];
    if (m == VF_LANES) {
        vst1q_f32(p, v);
        return;
    }
    vst1q_f32(lanes, v);
    for (size_t i = 0; i < m; i++) p[i] = lanes[i];
}

static inline vf vf_set1(float x)
{
    return vdupq_n_f32(x);
}

static inline vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

static inline vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}

/* a * b + c, rounded once. */
static inline vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

/* a > b ? a : b, so a NaN in b passes. */
static inline vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

/* a < b ? a : b. */
static inline vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

/* x < limit ? a : b. */
static inline vf vf_if_less(vf x, vf limit, vf a, vf b)
{
    return vbslq_f32(vcltq_f32(x, limit), a, b);
}

/* 2^n from t = n + ISGI_EXP_ROUND. */
static inline vf vf_power(vf t)
{
    const uint32x4_t bits = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    return vreinterpretq_f32_u32(vaddq_u32(bits, vdupq_n_u32(0x3f800000u)));
}

#endif
