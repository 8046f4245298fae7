/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion between IEEE binary16 and binary32. */
#ifndef INSITU_BASE_HALF_H
#define INSITU_BASE_HALF_H

#include <stdint.h>

#include "base/mem.h"

/* Without branches, so that loops of it become vectors. */
static inline float isgi_half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, size = (uint32_t)(h & 0x7fffu) << 13;
    /* A subnormal's mantissa below that of 2^-14: the difference is exact. */
    const uint32_t small = size + (113u << 23);
    uint32_t bits = size + (size < 31u << 23 ? 112u << 23 : 224u << 23), normal_bits;
    float value;
    memcpy(&value, &small, sizeof value);
    value -= 0x1p-14f;
    memcpy(&normal_bits, &value, sizeof normal_bits);
    bits = sign | (size < 1u << 23 ? normal_bits : bits);
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
