/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of a training device, each written once for one element `i` of arguments `a`: compiled as C by
 * device_reference.c and for a GPU by cuda/device_cuda.cu, which define ISGI_ELEMENT and ISGI_INLINE. */
#ifndef INSITU_TRAIN_DEVICE_ELEMENTS_H
#define INSITU_TRAIN_DEVICE_ELEMENTS_H

#include <math.h>

#include "train/device_kernels.h"

ISGI_ELEMENT(gather_taps)
{
    const uint32_t c = i % a->channels, row = i / a->channels, taps = a->taps.taps;
    const uint32_t sample = row / a->taps.out_pixels, p = row % a->taps.out_pixels;
    const float *x = a->x + (uint64_t)sample * a->taps.in_pixels * a->channels + c;
    float *to = a->to + (uint64_t)row * taps * a->channels + c;
    for (uint32_t t = 0; t < taps; t++) {
        const int32_t q = a->taps.source[p * taps + t];
        to[(uint64_t)t * a->channels] = q < 0 ? 0.0f : x[(uint64_t)(uint32_t)q * a->channels];
    }
}

ISGI_ELEMENT(scatter_taps)
{
    const uint32_t c = i % a->channels, row = i / a->channels, taps = a->taps.taps;
    const uint32_t sample = row / a->taps.in_pixels, q = row % a->taps.in_pixels;
    float sum = a->accumulate ? a->dx[i] : 0.0f;
    for (uint32_t t = 0; t < taps; t++) {
        const int32_t p = a->taps.reader[q * taps + t];
        if (p >= 0) {
            sum += a->from[(((uint64_t)sample * a->taps.out_pixels + (uint32_t)p) * taps + t) * a->channels + c];
        }
    }
    a->dx[i] = sum;
}

/* Where the pixels of a group begin: in a list of taps and in the samples that `pixels` divides. A group that reaches
 * past the last row repeats it. */
ISGI_INLINE void middle_group(uint32_t first, uint32_t rows, uint32_t pixels, uint32_t taps, uint32_t sample_floats,
                              uint32_t list[ISGI_MIDDLE_ROWS], uint32_t base[ISGI_MIDDLE_ROWS])
{
    for (uint32_t r = 0; r < ISGI_MIDDLE_ROWS; r++) {
        const uint32_t row = first + r < rows ? first + r : rows - 1;
        list[r] = row % pixels * taps;
        base[r] = row / pixels * sample_floats;
    }
}

ISGI_ELEMENT(middle_forward)
{
    const uint32_t o = i % a->bo, first = i / a->bo * ISGI_MIDDLE_ROWS, taps = a->taps.taps, width = a->bi * a->bo;
    uint32_t list[ISGI_MIDDLE_ROWS], base[ISGI_MIDDLE_ROWS];
    float sum[ISGI_MIDDLE_ROWS] = {0};
    middle_group(first, a->rows, a->taps.out_pixels, taps, a->taps.in_pixels * width, list, base);
    for (uint32_t t = 0; t < taps; t++) {
        int32_t q[ISGI_MIDDLE_ROWS];
        for (uint32_t r = 0; r < ISGI_MIDDLE_ROWS; r++) q[r] = a->taps.source[list[r] + t];
        for (uint32_t w = o; w < width; w += a->bo) {
            const float b = a->basis[t * width + w];
            for (uint32_t r = 0; r < ISGI_MIDDLE_ROWS; r++) {
                if (q[r] >= 0) sum[r] += b * a->z[base[r] + (uint32_t)q[r] * width + w];
            }
        }
    }
    for (uint32_t r = 0; r < ISGI_MIDDLE_ROWS && first + r < a->rows; r++) a->out[(first + r) * a->bo + o] = sum[r];
}

ISGI_ELEMENT(middle_data)
{
    const uint32_t width = a->bi * a->bo, w = i % width, first = i / width * ISGI_MIDDLE_ROWS, taps = a->taps.taps;
    uint32_t list[ISGI_MIDDLE_ROWS], base[ISGI_MIDDLE_ROWS];
    float sum[ISGI_MIDDLE_ROWS] = {0};
    middle_group(first, a->rows, a->taps.in_pixels, taps, a->taps.out_pixels * a->bo, list, base);
    for (uint32_t t = 0; t < taps; t++) {
        const float b = a->basis[t * width + w];
        for (uint32_t r = 0; r < ISGI_MIDDLE_ROWS; r++) {
            const int32_t p = a->taps.reader[list[r] + t];
            if (p >= 0) sum[r] += a->dd[base[r] + (uint32_t)p * a->bo + w % a->bo] * b;
        }
    }
    for (uint32_t r = 0; r < ISGI_MIDDLE_ROWS && first + r < a->rows; r++) a->out[(first + r) * width + w] = sum[r];
}

ISGI_ELEMENT(middle_basis)
{
    const uint32_t width = a->bi * a->bo, w = i % width, bg = i / width, taps = a->taps.taps;
    const uint32_t groups = (taps + ISGI_MIDDLE_TAPS - 1) / ISGI_MIDDLE_TAPS, tap = bg % groups * ISGI_MIDDLE_TAPS;
    const uint32_t block = bg / groups, first = block * ISGI_SUM_ROWS, pixels = a->taps.out_pixels;
    const float *dd = a->dd + (uint64_t)first * a->bo + w % a->bo;
    const float *z = a->z + (uint64_t)(first / pixels) * a->taps.in_pixels * width + w;
    uint32_t p = first % pixels;
    float sum[ISGI_MIDDLE_TAPS] = {0};
    for (uint32_t row = first; row < first + ISGI_SUM_ROWS && row < a->rows; row++, dd += a->bo) {
        for (uint32_t t = 0; t < ISGI_MIDDLE_TAPS; t++) {
            const int32_t q = tap + t < taps ? a->taps.source[p * taps + tap + t] : -1;
            if (q >= 0) sum[t] += *dd * z[(uint32_t)q * width];
        }
        if (++p == pixels) {
            p = 0;
            z += (uint64_t)a->taps.in_pixels * width;
        }
    }
    for (uint32_t t = 0; t < ISGI_MIDDLE_TAPS && tap + t < taps; t++)
        a->out[(block * taps + tap + t) * width + w] = sum[t];
}

ISGI_ELEMENT(reorder_weight)
{
    const uint32_t o = i % a->co, tc = i / a->co, c = tc % a->ci, t = tc / a->ci;
    const uint64_t onnx = ((uint64_t)o * a->ci + c) * a->taps + t;
    if (a->back) {
        a->to[onnx] = a->from[i];
    } else {
        a->to[i] = a->from[onnx];
    }
}

ISGI_ELEMENT(fold)
{
    const uint32_t c = i % a->columns, first = i / a->columns * ISGI_FOLD;
    float sum = 0;
    for (uint32_t r = first; r < first + ISGI_FOLD && r < a->rows; r++) sum += a->from[(uint64_t)r * a->columns + c];
    a->to[i] = sum;
}

ISGI_ELEMENT(add_bias)
{
    a->y[i] += a->bias[i % a->columns];
}

ISGI_ELEMENT(norm_sums)
{
    const uint32_t c = i % a->channels, block = i / a->channels, first = block * ISGI_SUM_ROWS;
    const float pivot = a->pivot[c];
    float s = 0, q = 0;
    for (uint32_t r = first; r < first + ISGI_SUM_ROWS && r < a->rows; r++) {
        const uint64_t at = (uint64_t)r * a->channels + c;
        const float d = a->x[at] - pivot;
        float g = d;
        if (a->dy) g = a->relu && !(a->x[at] * a->mul[c] + a->add[c] > 0) ? 0.0f : a->dy[at];
        s += g;
        q += g * d;
    }
    a->sums[(uint64_t)block * 2 * a->channels + c] = (double)s;
    a->sums[((uint64_t)block * 2 + 1) * a->channels + c] = (double)q;
}

ISGI_ELEMENT(norm_fold)
{
    const uint32_t c = i % a->columns, first = i / a->columns * ISGI_FOLD;
    double sum = 0;
    for (uint32_t r = first; r < first + ISGI_FOLD && r < a->rows; r++) sum += a->from[(uint64_t)r * a->columns + c];
    a->to[i] = sum;
}

ISGI_ELEMENT(norm_combine)
{
    double mean = (double)a->running_mean[i], var = (double)a->running_var[i];
    if (a->sums) {
        const double m = a->count, s = a->sums[i], q = a->sums[a->channels + i];
        var = q / m - (s / m) * (s / m);
        if (var < 0) var = 0;
        mean += s / m;
        a->running_mean[i] += a->momentum * ((float)mean - a->running_mean[i]);
        a->running_var[i] += a->momentum * ((float)(m > 1 ? var * m / (m - 1) : var) - a->running_var[i]);
    }
    a->mean[i] = (float)mean;
    a->istd[i] = (float)(1.0 / sqrt(var + (double)a->eps));
    a->mul[i] = a->gamma[i] * a->istd[i];
    a->add[i] = a->beta[i] - a->mean[i] * a->mul[i];
}

ISGI_ELEMENT(norm_apply)
{
    const uint32_t c = i % a->channels;
    const float v = a->x[i] * a->mul[c] + a->add[c];
    a->y[i] = a->relu && v < 0 ? 0.0f : v;
}

ISGI_ELEMENT(norm_slopes)
{
    const double s = a->sums[i], q = a->sums[a->channels + i], istd = (double)a->istd[i], mul = (double)a->mul[i];
    a->dbeta[i] = (float)s;
    a->dgamma[i] = (float)(q * istd);
    a->k0[i] = (float)(-mul * s / a->count);
    a->k1[i] = (float)(-mul * q * istd * istd / a->count);
}

ISGI_ELEMENT(norm_gradient)
{
    const uint32_t c = i % a->channels;
    const float x = a->x[i], g = a->relu && !(x * a->mul[c] + a->add[c] > 0) ? 0.0f : a->dy[i];
    const float v = a->mul[c] * g + (a->k1[c] * (x - a->mean[c]) + a->k0[c]);
    a->dx[i] = a->accumulate ? a->dx[i] + v : v;
}

ISGI_ELEMENT(sum_two)
{
    const float v = a->b ? a->a[i] + a->b[i] : a->a[i];
    a->y[i] = a->relu && v < 0 ? 0.0f : v;
}

ISGI_ELEMENT(pass_gradient)
{
    const float g = a->y && !(a->y[i] > 0) ? 0.0f : a->dy[i];
    a->dx[i] = a->accumulate ? a->dx[i] + g : g;
}

ISGI_ELEMENT(activate)
{
    a->y[i] = isgi_activation_value(&a->f, a->x[i]);
}

ISGI_ELEMENT(activate_gradient)
{
    const float g = isgi_activation_gradient(&a->f, a->x[i], a->dy[i]);
    a->dx[i] = a->accumulate ? a->dx[i] + g : g;
}

ISGI_ELEMENT(pool_average)
{
    const uint32_t c = i % a->width, row = i / a->width, o = row % a->positions, sample = row / a->positions;
    const float *x = a->x + (uint64_t)sample * a->in_positions * a->width + c;
    float sum = 0;
    for (uint32_t k = a->start[o]; k < a->start[o + 1]; k++) sum += x[(uint64_t)a->list[k] * a->width];
    a->y[i] = sum * a->factor[o];
}

ISGI_ELEMENT(pool_average_gradient)
{
    const uint32_t c = i % a->width, row = i / a->width, q = row % a->in_positions, sample = row / a->in_positions;
    const float *dy = a->dy + (uint64_t)sample * a->positions * a->width + c;
    float sum = a->accumulate ? a->dx[i] : 0.0f;
    for (uint32_t k = a->reader_start[q]; k < a->reader_start[q + 1]; k++) {
        sum += dy[(uint64_t)a->readers[k] * a->width] * a->factor[a->readers[k]];
    }
    a->dx[i] = sum;
}

ISGI_ELEMENT(pool_max)
{
    const uint32_t c = i % a->width, row = i / a->width, o = row % a->positions, sample = row / a->positions;
    const float *x = a->x + (uint64_t)sample * a->in_positions * a->width + c;
    uint32_t at = a->list[a->start[o]];
    float y = x[(uint64_t)at * a->width];
    for (uint32_t k = a->start[o] + 1; k < a->start[o + 1]; k++) {
        const float v = x[(uint64_t)a->list[k] * a->width];
        /* written so that a NaN wins and stays */
        if (v <= y || y != y) continue;
        y = v;
        at = a->list[k];
    }
    a->y[i] = y;
    a->arg[i] = at;
}

ISGI_ELEMENT(pool_max_gradient)
{
    const uint32_t c = i % a->width, row = i / a->width, q = row % a->in_positions, sample = row / a->in_positions;
    const uint64_t base = (uint64_t)sample * a->positions * a->width + c;
    float sum = a->accumulate ? a->dx[i] : 0.0f;
    for (uint32_t k = a->reader_start[q]; k < a->reader_start[q + 1]; k++) {
        const uint64_t at = base + (uint64_t)a->readers[k] * a->width;
        if (a->arg[at] == q) sum += a->dy[at];
    }
    a->dx[i] = sum;
}

#endif
