/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product with AVX-512: the shared body on its vectors. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/vec_avx512.h"

#include "kernels/simd/gemm_body.h"
#endif
