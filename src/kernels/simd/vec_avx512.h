/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of floats of AVX-512, under the names that the kernel bodies use. */
#ifndef INSITU_KERNELS_VEC_AVX512_H
#define INSITU_KERNELS_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>

#include "kernels/scalar.h"

#define VF_LANES 16u
#define VF_KERNEL(op) isgk_##op##__avx512
#define VF_CHEAP_MASKS 1  /* a masked store costs no more than a plain one */
#define VF_TAPS_VECTORS 4 /* vectors of a depthwise tile of four pixels */
#define VF_ROW_VECTORS 3  /* vectors of a depthwise tile of DWROW_PIXELS pixels of a row */
#define VF_GEMM_ROWS 12   /* rows of the two-vector tile: 24 accumulators of 32 registers */
#define VF_GEMM_FLAT 6    /* rows of the four-vector tile */

typedef __m512 vf;
typedef __mmask16 vf_mask;

/* The first n lanes, n <= VF_LANES. */
static inline vf_mask vf_first(size_t n)
{
    return (__mmask16)((1u << n) - 1u);
}

/* Asks for the cache line of p, which need not exist. */
static inline void vf_prefetch(const float *p)
{
    _mm_prefetch((const char *)(const void *)p, _MM_HINT_T0);
}

static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline vf vf_load_some(const float *p, vf_mask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}

static inline vf vf_load_or(vf other, const float *p, vf_mask m)
{
    return _mm512_mask_loadu_ps(other, m, p);
}

static inline void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

static inline void vf_store_some(float *p, vf_mask m, vf v)
{
    _mm512_mask_storeu_ps(p, m, v);
}

static inline vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

/* a * b + c, rounded once. */
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* a > b ? a : b, so a NaN in b passes. */
static inline vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

/* a < b ? a : b. */
static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

/* x < limit ? a : b. */
static inline vf vf_if_less(vf x, vf limit, vf a, vf b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_LT_OQ), b, a);
}

/* 2^n from t = n + ISGI_EXP_ROUND. */
static inline vf vf_power(vf t)
{
    const __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
}

#endif
