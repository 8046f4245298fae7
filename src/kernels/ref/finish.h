/* SPDX-License-Identifier: Apache-2.0 */
/* The last steps on an element of a product in plain C. */
#ifndef INSITU_KERNELS_REF_FINISH_H
#define INSITU_KERNELS_REF_FINISH_H

#include "kernels/kernels.h"

static inline float finished(float x, const isgk_finish *finish, size_t row, size_t column)
{
    if (!finish) return x;
    if (finish->bias) x += finish->bias[column];
    if (finish->residual) x += finish->residual[row * finish->ldr + column];
    x = finish->lo > x ? finish->lo : x;
    return finish->hi < x ? finish->hi : x;
}

#endif
