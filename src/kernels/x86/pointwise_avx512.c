/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise arithmetic and softmax with AVX-512: the shared body on its vectors. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/vec_avx512.h"

#include "kernels/simd/pointwise_body.h"
#endif
