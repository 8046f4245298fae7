/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 in plain C for the kernels' test: SIMDe, and the intrinsics that it lacks. Stands before the compiler's own
 * header in the include path. */
#ifndef INSITU_EMULATED_IMMINTRIN_H
#define INSITU_EMULATED_IMMINTRIN_H

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <math.h>
#include <simde/x86/avx512.h>
#include <string.h>

#define __mmask16 simde__mmask16
#define __mmask64 simde__mmask64

#define EMULATE static inline __attribute__((unused))

/* Lanes of `type` whose bit of the mask is set; nothing else is touched. */
#define EMULATE_LOAD(name, vector, mask, type, lanes)                                                                  \
    EMULATE vector name(mask some, const void *p)                                                                      \
    {                                                                                                                  \
        type x[lanes] = {0};                                                                                           \
        vector v;                                                                                                      \
        for (int i = 0; i < lanes; i++)                                                                                \
            if (some >> i & 1) memcpy(&x[i], (const char *)p + (size_t)i * sizeof(type), sizeof(type));                \
        memcpy(&v, x, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }
#define EMULATE_STORE(name, vector, mask, type, lanes)                                                                 \
    EMULATE void name(void *p, mask some, vector v)                                                                    \
    {                                                                                                                  \
        type x[lanes];                                                                                                 \
        memcpy(x, &v, sizeof x);                                                                                       \
        for (int i = 0; i < lanes; i++)                                                                                \
            if (some >> i & 1) memcpy((char *)p + (size_t)i * sizeof(type), &x[i], sizeof(type));                      \
    }

EMULATE_LOAD(_mm512_maskz_loadu_ps, simde__m512, simde__mmask16, float, 16)
EMULATE_LOAD(_mm512_maskz_loadu_epi32, simde__m512i, simde__mmask16, int32_t, 16)
EMULATE_LOAD(_mm512_maskz_loadu_epi8, simde__m512i, simde__mmask64, int8_t, 64)
EMULATE_LOAD(_mm_maskz_loadu_epi8, simde__m128i, simde__mmask16, int8_t, 16)
EMULATE_STORE(_mm512_mask_storeu_ps, simde__m512, simde__mmask16, float, 16)
EMULATE_STORE(_mm512_mask_storeu_epi32, simde__m512i, simde__mmask16, int32_t, 16)
EMULATE_STORE(_mm512_mask_storeu_epi8, simde__m512i, simde__mmask64, int8_t, 64)
EMULATE_STORE(_mm_mask_storeu_epi8, simde__m128i, simde__mmask16, int8_t, 16)

EMULATE simde__m512 _mm512_mask_loadu_ps(simde__m512 other, simde__mmask16 some, const void *p)
{
    float x[16];
    memcpy(x, &other, sizeof x);
    for (int i = 0; i < 16; i++)
        if (some >> i & 1) memcpy(&x[i], (const char *)p + (size_t)i * sizeof *x, sizeof *x);
    memcpy(&other, x, sizeof x);
    return other;
}

EMULATE simde__m512 _mm512_cvtepi32_ps(simde__m512i v)
{
    int32_t from[16];
    float to[16];
    simde__m512 out;
    memcpy(from, &v, sizeof from);
    for (int i = 0; i < 16; i++) to[i] = (float)from[i];
    memcpy(&out, to, sizeof out);
    return out;
}

EMULATE simde__m512i _mm512_cvtps_epi32(simde__m512 v)
{
    float from[16];
    int32_t to[16];
    simde__m512i out;
    memcpy(from, &v, sizeof from);
    for (int i = 0; i < 16; i++)
        to[i] = fabsf(from[i]) < 2147483648.0f ? (int32_t)nearbyintf(from[i]) : INT32_MIN; /* ties to even */
    memcpy(&out, to, sizeof out);
    return out;
}

EMULATE simde__m512i _mm512_zextsi256_si512(simde__m256i v)
{
    simde__m512i out = simde_mm512_setzero_si512();
    memcpy(&out, &v, sizeof v);
    return out;
}

EMULATE int32_t _mm512_reduce_add_epi32(simde__m512i v)
{
    int32_t x[16];
    uint32_t sum = 0;
    memcpy(x, &v, sizeof x);
    for (int i = 0; i < 16; i++) sum += (uint32_t)x[i];
    return (int32_t)sum;
}

EMULATE simde__m128i _mm512_cvtusepi32_epi8(simde__m512i v)
{
    uint32_t from[16];
    uint8_t to[16];
    simde__m128i out;
    memcpy(from, &v, sizeof from);
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)(from[i] < 255 ? from[i] : 255);
    memcpy(&out, to, sizeof out);
    return out;
}
/* Denormal numbers and sums count as zeros; the odd product first (SIMDe's own keeps neither). */
#undef __m512bh
#undef _mm512_dpbf16_ps
#define __m512bh simde__m512i
#define _mm512_dpbf16_ps emulate_dpbf16
EMULATE float emulate_bf16_sum(float sum, uint32_t x, uint32_t w)
{
    float a, b;
    memcpy(&a, &x, sizeof a);
    memcpy(&b, &w, sizeof b);
    if (fabsf(a) < 0x1p-126f || fabsf(b) < 0x1p-126f) return sum;
    sum = fmaf(a, b, sum);
    return fabsf(sum) < 0x1p-126f ? copysignf(0.0f, sum) : sum;
}

EMULATE uint16_t emulate_bf16_round(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (x != x) return (uint16_t)(u >> 16 | 0x40);
    if (!(u & 0x7f800000u)) return (uint16_t)(u >> 16 & 0x8000u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

#undef _mm512_cvtne2ps_pbh
#define _mm512_cvtne2ps_pbh emulate_cvtne2ps
EMULATE simde__m512i emulate_cvtne2ps(simde__m512 high, simde__m512 low)
{
    float from[32];
    uint16_t to[32];
    simde__m512i out;
    memcpy(from, &low, sizeof low);
    memcpy(from + 16, &high, sizeof high);
    for (int i = 0; i < 32; i++) to[i] = emulate_bf16_round(from[i]);
    memcpy(&out, to, sizeof out);
    return out;
}

EMULATE simde__m512 emulate_dpbf16(simde__m512 sums, simde__m512i x, simde__m512i w)
{
    uint32_t a[16], b[16];
    float s[16];
    memcpy(a, &x, sizeof a);
    memcpy(b, &w, sizeof b);
    memcpy(s, &sums, sizeof s);
    for (int i = 0; i < 16; i++) {
        s[i] = emulate_bf16_sum(s[i], a[i] & 0xffff0000u, b[i] & 0xffff0000u);
        s[i] = emulate_bf16_sum(s[i], a[i] << 16, b[i] << 16);
    }
    memcpy(&sums, s, sizeof s);
    return sums;
}

#endif
