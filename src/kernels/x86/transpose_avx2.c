/* SPDX-License-Identifier: Apache-2.0 */
/* Transposition with AVX2: blocks of 8 x 8 in registers, the edges one by one. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/unroll.h"

#include <immintrin.h>

static inline void transpose_block(float *dst, size_t ldd, const float *src, size_t lds)
{
    __m256 r[8], s[8];
    ISGI_UNROLL
    for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(src + i * lds);
    ISGI_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    ISGI_UNROLL
    for (size_t i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);
    }
    ISGI_UNROLL
    for (size_t i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * ldd, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(dst + (i + 4) * ldd, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

void isgk_transpose_f32__avx2(float *dst, size_t ldd, const float *src, size_t lds, size_t rows, size_t cols)
{
    const size_t whole_rows = rows & ~(size_t)7, whole_cols = cols & ~(size_t)7;
    for (size_t c = 0; c < whole_cols; c += 8) {
        for (size_t r = 0; r < whole_rows; r += 8) transpose_block(dst + c * ldd + r, ldd, src + r * lds + c, lds);
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = r < whole_rows ? whole_cols : 0; c < cols; c++) dst[c * ldd + r] = src[r * lds + c];
    }
}
#endif
