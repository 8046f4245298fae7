/* SPDX-License-Identifier: Apache-2.0 */
/* One step of rectified Adam (SPEC section 8) on one tensor. */
#include "factor/radam.h"

#include <math.h>

void isgi_radam_step(const isgi_radam *o, float *p, const float *g, float *m, float *v, size_t n, uint64_t step)
{
    /* The nearest decimal of the binary32 settings: 0.999f alone would move rho by a part in a thousand. */
    const double b1 = round((double)o->beta1 * 1e7) / 1e7, b2 = round((double)o->beta2 * 1e7) / 1e7;
    const double t = (double)step, power2 = pow(b2, t), left1 = 1.0 - pow(b1, t);
    const double rho_end = 2.0 / (1.0 - b2) - 1.0, rho = rho_end - 2.0 * t * power2 / (1.0 - power2);
    const int rectified = rho >= 5.0;
    const float decay = (float)((double)o->weight_decay * (double)o->learning_rate);
    const float c1 = (float)b1, d1 = (float)(1.0 - b1), c2 = (float)b2, d2 = (float)(1.0 - b2);
    double size = (double)o->learning_rate / left1;
    float move;

    if (rectified) {
        size *= sqrt((1.0 - power2) * (rho - 4.0) / (rho_end - 4.0) * (rho - 2.0) / rho * rho_end / (rho_end - 2.0));
    }
    move = (float)size;
    for (size_t i = 0; i < n; i++) {
        m[i] = c1 * m[i] + d1 * g[i];
        v[i] = c2 * v[i] + d2 * g[i] * g[i];
        p[i] -= decay * p[i];
        p[i] -= rectified ? move * m[i] / (sqrtf(v[i]) + o->epsilon) : move * m[i];
    }
}
