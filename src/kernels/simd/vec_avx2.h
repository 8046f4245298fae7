/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of floats of AVX2 and FMA, under the names that the kernel bodies use. */
#ifndef INSITU_KERNELS_VEC_AVX2_H
#define INSITU_KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>

#include "kernels/scalar.h"

#define VF_LANES 8u
#define VF_KERNEL(op) isgk_##op##__avx2
#define VF_CHEAP_MASKS 0  /* a masked store costs much more than a plain one */
#define VF_TAPS_VECTORS 2 /* vectors of a depthwise tile of four pixels */
#define VF_ROW_VECTORS 2  /* vectors of a depthwise tile of DWROW_PIXELS pixels of a row */
#define VF_GEMM_ROWS 6    /* rows of the two-vector tile: 12 accumulators of 16 registers */
#define VF_GEMM_FLAT 2    /* rows of the four-vector tile */

typedef __m256 vf;
typedef __m256i vf_mask;

/* The first n lanes, n <= VF_LANES. */
static inline vf_mask vf_first(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

/* Asks for the cache line of p, which need not exist. */
static inline void vf_prefetch(const float *p)
{
    _mm_prefetch((const char *)(const void *)p, _MM_HINT_T0);
}

static inline vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline vf vf_load_some(const float *p, vf_mask m)
{
    return _mm256_maskload_ps(p, m);
}

static inline vf vf_load_or(vf other, const float *p, vf_mask m)
{
    return _mm256_blendv_ps(other, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
}

static inline void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}

static inline void vf_store_some(float *p, vf_mask m, vf v)
{
    _mm256_maskstore_ps(p, m, v);
}

static inline vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

static inline vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}

/* a * b + c, rounded once. */
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* a > b ? a : b, so a NaN in b passes. */
static inline vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

/* a < b ? a : b. */
static inline vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

/* x < limit ? a : b. */
static inline vf vf_if_less(vf x, vf limit, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, limit, _CMP_LT_OQ));
}

/* 2^n from t = n + ISGI_EXP_ROUND. */
static inline vf vf_power(vf t)
{
    const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
}

#endif
