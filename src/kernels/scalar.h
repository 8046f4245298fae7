/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar definitions that every instruction set shares: minus infinity, and the one order of operations of exp(x).
 *
 * exp for x <= 0: x = n ln 2 + r with |r| <= ln 2 / 2; exp(x) = 2^n P(r), P the Taylor polynomial of degree 7 (its
 * remainder is (ln 2 / 2)^8 / 8! < 6e-9). No fused operations, so that all instruction sets agree to the bit. */
#ifndef INSITU_KERNELS_SCALAR_H
#define INSITU_KERNELS_SCALAR_H

#include <stdint.h>

#include "base/mem.h"

#define ISGI_MINUS_INFINITY (-1.0f / 0.0f)

#define ISGI_EXP_MIN (-87.0f) /* below this the result is 0: 2^n would leave the normal range */
#define ISGI_EXP_LOG2E 1.44269504f
#define ISGI_EXP_ROUND 12582912.0f   /* 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits */
#define ISGI_EXP_LN2_HI 0.693359375f /* 355/512: n times it is exact */
#define ISGI_EXP_LN2_LO (-2.12194440e-4f)
#define ISGI_EXP_C2 (1.0f / 2.0f)
#define ISGI_EXP_C3 (1.0f / 6.0f)
#define ISGI_EXP_C4 (1.0f / 24.0f)
#define ISGI_EXP_C5 (1.0f / 120.0f)
#define ISGI_EXP_C6 (1.0f / 720.0f)
#define ISGI_EXP_C7 (1.0f / 5040.0f)

static inline float isgi_exp_negative(float x)
{
    const float clamped = ISGI_EXP_MIN > x ? ISGI_EXP_MIN : x;
    const float t = clamped * ISGI_EXP_LOG2E + ISGI_EXP_ROUND, n = t - ISGI_EXP_ROUND;
    const float r = (clamped - n * ISGI_EXP_LN2_HI) - n * ISGI_EXP_LN2_LO;
    float p = ISGI_EXP_C7, power;
    uint32_t bits;
    p = p * r + ISGI_EXP_C6;
    p = p * r + ISGI_EXP_C5;
    p = p * r + ISGI_EXP_C4;
    p = p * r + ISGI_EXP_C3;
    p = p * r + ISGI_EXP_C2;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&power, &bits, sizeof power);
    return x < ISGI_EXP_MIN ? 0.0f : p * power;
}

#endif
