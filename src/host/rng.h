/* SPDX-License-Identifier: Apache-2.0 */
/* The seeded random numbers of training and factorisation: xoshiro256** with a state that fits in a checkpoint. */
#ifndef INSITU_HOST_RNG_H
#define INSITU_HOST_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct isgi_rng {
    uint64_t s[4];
    double spare;       /* second deviate of the last pair */
    uint32_t has_spare; /* 0 or 1 */
} isgi_rng;

#define ISGI_RNG_STATE_BYTES 48u

/* Independent sequences for every (seed, stream), so that e.g. augmentation and initialisation do not share one. */
void isgi_rng_seed(isgi_rng *r, uint64_t seed, uint64_t stream);
uint64_t isgi_rng_u64(isgi_rng *r);
/* Uniform in 0..n-1 without bias; n == 0 gives 0. */
uint32_t isgi_rng_below(isgi_rng *r, uint32_t n);
/* Uniform in [0, 1): 24 bits resp. 53 bits. */
float isgi_rng_float(isgi_rng *r);
double isgi_rng_double(isgi_rng *r);
/* Standard normal deviate (polar method). */
double isgi_rng_normal(isgi_rng *r);
/* dst[i] = mean + std * deviate. */
void isgi_rng_fill_normal(isgi_rng *r, float *dst, size_t n, float mean, float std);
/* Fisher-Yates over n indices. */
void isgi_rng_shuffle(isgi_rng *r, uint32_t *items, uint32_t n);
/* State as little-endian bytes, the same on every machine. load gives 0 if the bytes are no state. */
void isgi_rng_save(const isgi_rng *r, uint8_t state[ISGI_RNG_STATE_BYTES]);
int isgi_rng_load(isgi_rng *r, const uint8_t state[ISGI_RNG_STATE_BYTES]);

#endif
