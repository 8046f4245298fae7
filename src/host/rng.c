/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** (Blackman and Vigna), seeded through splitmix64; normal deviates by Marsaglia's polar method. */
#include "host/rng.h"

#include <math.h>
#include <string.h>

#include "base/endian.h"

static uint64_t rotate_left(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void isgi_rng_seed(isgi_rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t mix = stream;
    uint64_t state = seed ^ rotate_left(splitmix(&mix), 17);
    for (int i = 0; i < 4; i++) r->s[i] = splitmix(&state);
    r->spare = 0.0;
    r->has_spare = 0;
}

uint64_t isgi_rng_u64(isgi_rng *r)
{
    const uint64_t result = rotate_left(r->s[1] * 5, 7) * 9;
    const uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotate_left(r->s[3], 45);
    return result;
}

uint32_t isgi_rng_below(isgi_rng *r, uint32_t n)
{
    uint64_t product;
    uint32_t threshold;
    if (n == 0) return 0;
    threshold = (uint32_t)-n % n;
    do {
        product = (isgi_rng_u64(r) >> 32) * n;
    } while ((uint32_t)product < threshold);
    return (uint32_t)(product >> 32);
}

float isgi_rng_float(isgi_rng *r)
{
    return (float)(isgi_rng_u64(r) >> 40) * 0x1p-24f;
}

double isgi_rng_double(isgi_rng *r)
{
    return (double)(isgi_rng_u64(r) >> 11) * 0x1p-53;
}

double isgi_rng_normal(isgi_rng *r)
{
    double u, v, q, factor;
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    do {
        u = 2.0 * isgi_rng_double(r) - 1.0;
        v = 2.0 * isgi_rng_double(r) - 1.0;
        q = u * u + v * v;
    } while (q >= 1.0 || q == 0.0);
    factor = sqrt(-2.0 * log(q) / q);
    r->spare = v * factor;
    r->has_spare = 1;
    return u * factor;
}

void isgi_rng_fill_normal(isgi_rng *r, float *dst, size_t n, float mean, float std)
{
    for (size_t i = 0; i < n; i++) dst[i] = mean + std * (float)isgi_rng_normal(r);
}

void isgi_rng_shuffle(isgi_rng *r, uint32_t *items, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = isgi_rng_below(r, i), t = items[i - 1];
        items[i - 1] = items[j];
        items[j] = t;
    }
}

void isgi_rng_save(const isgi_rng *r, uint8_t state[ISGI_RNG_STATE_BYTES])
{
    uint64_t bits;
    for (int i = 0; i < 4; i++) isgi_store_u64(state + 8 * i, r->s[i]);
    memcpy(&bits, &r->spare, sizeof bits);
    isgi_store_u64(state + 32, bits);
    isgi_store_u64(state + 40, r->has_spare);
}

int isgi_rng_load(isgi_rng *r, const uint8_t state[ISGI_RNG_STATE_BYTES])
{
    const uint64_t bits = isgi_load_u64(state + 32), flag = isgi_load_u64(state + 40);
    isgi_rng loaded;
    for (int i = 0; i < 4; i++) loaded.s[i] = isgi_load_u64(state + 8 * i);
    memcpy(&loaded.spare, &bits, sizeof bits);
    loaded.has_spare = (uint32_t)flag;
    /* All zeros is the one state that the generator never leaves. */
    if (flag > 1 || !(loaded.s[0] | loaded.s[1] | loaded.s[2] | loaded.s[3]) || !isfinite(loaded.spare)) return 0;
    *r = loaded;
    return 1;
}
