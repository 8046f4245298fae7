/* SPDX-License-Identifier: Apache-2.0 */
/* Activation quantiser with moving minimum and maximum (SPEC section 4). */
#ifndef INSITU_QUANT_INPUT_QUANTISER_H
#define INSITU_QUANT_INPUT_QUANTISER_H

#include <stddef.h>
#include <stdint.h>

typedef struct isgi_input_quantiser {
    uint32_t bits;   /* 2..16 */
    float averaging; /* share of a new batch's extremes; 0.01 in the released code */
    int seen;        /* a batch has been seen */
    float lo, hi;    /* moving extremes */
} isgi_input_quantiser;

/* Moves the extremes by the batch x[n]; the first batch sets them. Call in training only, before apply. */
void isgi_input_quantiser_observe(isgi_input_quantiser *q, const float *x, size_t n);
/* Scale and zero point of the range, which always holds zero. */
void isgi_input_quantiser_params(const isgi_input_quantiser *q, float *scale, int32_t *zero_point);
/* y = Q(x), y may be x. The straight-through gradient is the identity, saturated inputs included. */
void isgi_input_quantiser_apply(const isgi_input_quantiser *q, float *y, const float *x, size_t n);

#endif
