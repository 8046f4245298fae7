/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion between IEEE binary16 and binary32. */
#ifndef INSITU_BASE_HALF_H
#define INSITU_BASE_HALF_H

#include <stdint.h>

#include "base/mem.h"

static inline float isgi_half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u, mantissa = h & 1023u, bits;
    float value;
    if (exponent == 31u) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112u) << 23 | mantissa << 13;
    } else if (mantissa) { /* subnormal: normalise */
        exponent = 113u;
        while (!(mantissa & 1024u)) {
            mantissa <<= 1;
            exponent--;
        }
        bits = sign | exponent << 23 | (mantissa & 1023u) << 13;
    } else {
        bits = sign;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Round to nearest, ties to even; overflow becomes infinity; NaN stays NaN. */
static inline uint16_t isgi_half_from_float(float f)
{
    uint32_t bits, sign, mantissa;
    int32_t exponent;
    memcpy(&bits, &f, sizeof bits);
    sign = bits >> 16 & 0x8000u;
    exponent = (int32_t)(bits >> 23 & 255u) - 112;
    mantissa = bits & 0x7fffffu;
    if (exponent == 143) return (uint16_t)(sign | 0x7c00u | (mantissa ? 0x200u : 0u));
    if (exponent >= 31) return (uint16_t)(sign | 0x7c00u);
    if (exponent <= 0) {
        uint32_t shift, half, rest;
        if (exponent < -10) return (uint16_t)sign;
        mantissa |= 0x800000u;
        shift = (uint32_t)(14 - exponent);
        half = 1u << (shift - 1);
        rest = mantissa & ((1u << shift) - 1u);
        mantissa >>= shift;
        if (rest > half || (rest == half && (mantissa & 1u))) mantissa++;
        return (uint16_t)(sign | mantissa);
    }
    {
        uint32_t h = sign | (uint32_t)exponent << 10 | mantissa >> 13, rest = mantissa & 0x1fffu;
        if (rest > 0x1000u || (rest == 0x1000u && (h & 1u))) h++;
        return (uint16_t)h;
    }
}

#endif
