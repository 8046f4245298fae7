/* SPDX-License-Identifier: Apache-2.0 */
/* Which numbers of a tensor are kept when the smallest in magnitude are dropped. */
#include "methods/largest.h"

#include <string.h>

size_t isgi_largest_count(size_t count, double sparsity)
{
    return count - (size_t)(sparsity * (double)count + 1e-6); /* 0.29 of 100 is 29 */
}

/* Magnitudes are in the order of their bits. */
static uint32_t magnitude(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}

/* Finds the keep-th largest magnitude byte by byte: a sort would take most of the time of an encoding. */
void isgi_largest_mark(const float *w, size_t count, size_t keep, uint8_t *kept)
{
    uint32_t least = 0, known = 0;
    size_t wanted = keep; /* of those whose bits start with the known ones of `least` */
    for (uint32_t shift = 32; shift;) {
        size_t counts[256] = {0};
        uint32_t byte = 255;
        shift -= 8;
        for (size_t i = 0; i < count; i++) {
            if ((magnitude(w[i]) & known) == least) counts[magnitude(w[i]) >> shift & 255u]++;
        }
        while (counts[byte] < wanted) wanted -= counts[byte--];
        least |= byte << shift;
        known |= 255u << shift;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t m = magnitude(w[i]);
        kept[i] = m > least || (m == least && wanted > 0);
        wanted -= m == least && wanted > 0;
    }
}
