/* SPDX-License-Identifier: Apache-2.0 */
/* Activation quantiser with moving minimum and maximum (SPEC section 4). */
#include "quant/input_quantiser.h"

#include <math.h>

void isgi_input_quantiser_observe(isgi_input_quantiser *q, const float *x, size_t n)
{
    float lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    if (n == 0) return;
    if (q->seen) {
        q->lo += q->averaging * (lo - q->lo);
        q->hi += q->averaging * (hi - q->hi);
    } else {
        q->lo = lo;
        q->hi = hi;
        q->seen = 1;
    }
}

void isgi_input_quantiser_params(const isgi_input_quantiser *q, float *scale, int32_t *zero_point)
{
    const float lo = fminf(q->lo, 0.0f), hi = fmaxf(q->hi, 0.0f), top = (float)((1u << q->bits) - 1u);
    const float zero = -rintf(lo / fmaxf((hi - lo) / top, 1.1920929e-7f));
    *scale = fmaxf((hi - lo) / top, 1.1920929e-7f);
    *zero_point = (int32_t)fminf(fmaxf(zero, 0.0f), top);
}

void isgi_input_quantiser_apply(const isgi_input_quantiser *q, float *y, const float *x, size_t n)
{
    const float top = (float)((1u << q->bits) - 1u);
    float scale, zero, inverse;
    int32_t zero_point;
    isgi_input_quantiser_params(q, &scale, &zero_point);
    zero = (float)zero_point;
    inverse = 1.0f / scale;
    for (size_t i = 0; i < n; i++) {
        y[i] = (fminf(fmaxf(rintf(x[i] * inverse + zero), 0.0f), top) - zero) * scale;
    }
}
