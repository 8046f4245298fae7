/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on sizes from outside that remembers whether it ever left its range. */
#ifndef INSITU_BASE_CHECKED_H
#define INSITU_BASE_CHECKED_H

#include <stddef.h>
#include <stdint.h>

/* A chain of operations is written straight down and tested once: *overflow starts at 0, is set by the first operation
 * that does not fit and never cleared. The result is then UINT64_MAX or SIZE_MAX, so that a forgotten test fails as
 * "too large" and not as "small". */
static inline uint64_t isgi_add_u64(uint64_t a, uint64_t b, int *overflow)
{
    if (a > UINT64_MAX - b) {
        *overflow = 1;
        return UINT64_MAX;
    }
    return a + b;
}

static inline uint64_t isgi_mul_u64(uint64_t a, uint64_t b, int *overflow)
{
    if (b && a > UINT64_MAX / b) {
        *overflow = 1;
        return UINT64_MAX;
    }
    return a * b;
}

/* a rounded up to a multiple of `alignment`, a power of two. */
static inline uint64_t isgi_align_u64(uint64_t a, uint64_t alignment, int *overflow)
{
    const uint64_t up = isgi_add_u64(a, alignment - 1, overflow);
    return *overflow ? UINT64_MAX : up & ~(alignment - 1);
}

static inline size_t isgi_add_size(size_t a, size_t b, int *overflow)
{
    if (a > SIZE_MAX - b) {
        *overflow = 1;
        return SIZE_MAX;
    }
    return a + b;
}

static inline size_t isgi_mul_size(size_t a, size_t b, int *overflow)
{
    if (b && a > SIZE_MAX / b) {
        *overflow = 1;
        return SIZE_MAX;
    }
    return a * b;
}

/* A stored 64-bit size as a size_t of this machine. */
static inline size_t isgi_size_from_u64(uint64_t a, int *overflow)
{
    if (a > SIZE_MAX) {
        *overflow = 1;
        return SIZE_MAX;
    }
    return (size_t)a;
}

#endif
