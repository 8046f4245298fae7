/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of the plain C kernels. */
#ifndef INSITU_KERNELS_REF_H
#define INSITU_KERNELS_REF_H

#include "kernels/kernels.h"

void isgk_gemm_f32__ref(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t m,
                        size_t n, size_t k, int accumulate);
void isgk_unpack_affine__ref(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                             uint32_t bits, float mul, float add);

#endif
