/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution, pooling and row reductions with NEON: the shared body on its vectors. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "kernels/simd/vec_neon.h"

#include "kernels/simd/taps_body.h"
#endif
