/* SPDX-License-Identifier: Apache-2.0 */
/* One step of rectified Adam (SPEC section 8) on one tensor; here because factorisation below training uses it too. */
#ifndef INSITU_FACTOR_RADAM_H
#define INSITU_FACTOR_RADAM_H

#include <stddef.h>
#include <stdint.h>

typedef struct isgi_radam {
    float learning_rate, beta1, beta2, epsilon;
    float weight_decay; /* decoupled, applied first */
} isgi_radam;

#define ISGI_RADAM_INIT                                                                                                \
    {                                                                                                                  \
        2e-3f, 0.9f, 0.999f, 1e-8f, 0.0f                                                                               \
    }

/* Moves p[n] by its gradient g[n]; m and v are the moments (zero before the first step); `step` counts from 1. */
void isgi_radam_step(const isgi_radam *o, float *p, const float *g, float *m, float *v, size_t n, uint64_t step);

#endif
