/* SPDX-License-Identifier: Apache-2.0 */
/* Contracts of the compute kernels and the table through which everything calls them. */
#ifndef INSITU_KERNELS_H
#define INSITU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct isgk_table isgk_table;

/* C[m][n] = (accumulate ? C : 0) + A[m][k] . B[k][n], all row-major with leading dimensions in floats. Each output
 * element is summed over k in increasing order in one chain (per ISA), so that splitting m or n over threads changes no
 * bit. */
typedef void (*isgk_gemm_f32_fn)(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t m,
                                 size_t n, size_t k, int accumulate);
/* dst[i] = code i * mul + add, codes of `bits` (1..8) starting at bit `bit_offset` of src, which holds src_bytes bytes.
 */
typedef void (*isgk_unpack_affine_fn)(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                                      uint32_t bits, float mul, float add);

struct isgk_table {
    isgk_gemm_f32_fn gemm_f32;
    isgk_unpack_affine_fn unpack_affine;
};

/* Fills the table: the plain C reference first, then what `isa` (isg_isa bits, already limited to the CPU's) overrides.
 */
void isgk_table_init(isgk_table *table, uint32_t isa);

#endif
