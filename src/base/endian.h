/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian loads and stores that need no alignment. */
#ifndef INSITU_BASE_ENDIAN_H
#define INSITU_BASE_ENDIAN_H

#include <stdint.h>

#include "base/mem.h"

/* Whether numbers in a file can be used where they lie. Compilers make a constant of it. */
static inline int isgi_host_is_little(void)
{
    const uint16_t probe = 1;
    uint8_t first;
    memcpy(&first, &probe, 1);
    return first == 1;
}

static inline uint16_t isgi_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}

static inline uint32_t isgi_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t isgi_load_u64(const uint8_t *p)
{
    return (uint64_t)isgi_load_u32(p) | (uint64_t)isgi_load_u32(p + 4) << 32;
}

static inline float isgi_load_f32(const uint8_t *p)
{
    uint32_t bits = isgi_load_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void isgi_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void isgi_store_u32(uint8_t *p, uint32_t v)
{
    isgi_store_u16(p, (uint16_t)v);
    isgi_store_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void isgi_store_u64(uint8_t *p, uint64_t v)
{
    isgi_store_u32(p, (uint32_t)v);
    isgi_store_u32(p + 4, (uint32_t)(v >> 32));
}

static inline void isgi_store_f32(uint8_t *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    isgi_store_u32(p, bits);
}

#endif
