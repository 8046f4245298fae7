/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to bfloat16, the same everywhere: what VCVTNEPS2BF16 does. */
#ifndef INSITU_KERNELS_BF16_H
#define INSITU_KERNELS_BF16_H

#include <stdint.h>

#include "base/mem.h"

/* The upper half of a float's bits, ties to even. Denormals become zeros of their sign, a NaN stays one. */
static inline uint32_t isgk_bf16(float x)
{
    uint32_t u, rounded;
    memcpy(&u, &x, sizeof u);
    rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    rounded = (u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : rounded;
    return (u & 0x7f800000u) == 0 ? u >> 16 & 0x8000u : rounded;
}

/* Numbers 2 p and 2 p + 1 of a row in one word, the first in the lower half. */
static inline uint32_t isgk_bf16_pair(float even, float odd)
{
    return isgk_bf16(even) | isgk_bf16(odd) << 16;
}

#endif
