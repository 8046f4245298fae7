/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's transforms with NEON: the shared body on its vectors. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "kernels/simd/vec_neon.h"

#include "kernels/simd/winograd_body.h"
#endif
