/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking of low-bit codes in plain C: the oracle of every unpack kernel. */
#include "kernels/kernels.h"

void isgk_unpack_affine__ref(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                             uint32_t bits, float mul, float add)
{
    const uint32_t mask = (1u << bits) - 1u;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bit = bit_offset + (uint64_t)i * bits;
        const size_t byte = (size_t)(bit >> 3);
        const uint32_t shift = (uint32_t)(bit & 7u);
        uint32_t word = src[byte];
        if (shift + bits > 8u && byte + 1 < src_bytes) word |= (uint32_t)src[byte + 1] << 8;
        dst[i] = (float)((word >> shift) & mask) * mul + add;
    }
}

void isgk_unpack_columns__ref(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                              uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits, float mul,
                              float add, const float *scales)
{
    for (size_t r = 0; r < rows; r++, dst += ldd) {
        isgk_unpack_affine__ref(dst, src, src_bytes, first_bit + r * row_bits, columns, bits, mul, add);
        for (size_t c = 0; c < columns; c++) dst[c] *= scales[c];
        for (size_t c = columns; c < width; c++) dst[c] = 0.0f;
    }
}
