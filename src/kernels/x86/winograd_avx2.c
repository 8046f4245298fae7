/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's transforms with AVX2: the shared body on its vectors. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/vec_avx2.h"

#include "kernels/simd/winograd_body.h"
#endif
