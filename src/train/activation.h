/* SPDX-License-Identifier: Apache-2.0 */
/* The activation functions of training and their derivatives, for the processor and for devices. */
#ifndef INSITU_TRAIN_ACTIVATION_H
#define INSITU_TRAIN_ACTIVATION_H

#include <math.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define ISGI_EVERYWHERE static inline __host__ __device__
#else
#define ISGI_EVERYWHERE static inline
#endif

enum { ISGI_ACT_CLAMP, ISGI_ACT_LEAKY, ISGI_ACT_HARD_SIGMOID, ISGI_ACT_HARD_SWISH, ISGI_ACT_SIGMOID };

/* CLAMP between lo and hi; LEAKY: alpha; HARD_SIGMOID: alpha, beta. */
typedef struct isgi_activation {
    uint32_t kind;
    float alpha, beta, lo, hi;
} isgi_activation;

ISGI_EVERYWHERE float isgi_activation_value(const isgi_activation *a, float x)
{
    float t;
    switch (a->kind) {
    case ISGI_ACT_CLAMP: t = x < a->lo ? a->lo : x; return t > a->hi ? a->hi : t;
    case ISGI_ACT_LEAKY: return x < 0 ? a->alpha * x : x;
    case ISGI_ACT_HARD_SIGMOID: t = a->alpha * x + a->beta; return t < 0 ? 0 : t > 1 ? 1 : t;
    case ISGI_ACT_HARD_SWISH: t = x / 6 + 0.5f; return x * (t < 0 ? 0 : t > 1 ? 1 : t);
    default: return 1.0f / (1.0f + expf(-x));
    }
}

/* dy times the derivative at x. A clamp that is shut lets nothing through, whatever dy is. */
ISGI_EVERYWHERE float isgi_activation_gradient(const isgi_activation *a, float x, float dy)
{
    float t;
    switch (a->kind) {
    case ISGI_ACT_CLAMP: return x > a->lo && x < a->hi ? dy : 0.0f;
    case ISGI_ACT_LEAKY: return dy * (x < 0 ? a->alpha : 1);
    case ISGI_ACT_HARD_SIGMOID: t = a->alpha * x + a->beta; return dy * (t <= 0 || t >= 1 ? 0 : a->alpha);
    case ISGI_ACT_HARD_SWISH: return dy * (x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5f);
    default: t = 1.0f / (1.0f + expf(-x)); return dy * (t * (1 - t));
    }
}

#endif
