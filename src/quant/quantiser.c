/* SPDX-License-Identifier: Apache-2.0 */
/* The weight quantisers: codes, fake quantisation and scale search for every family of weight.h. */
#include "quant/quantiser.h"

#include <insitu/factors.h>

#include "base/half.h"
#include "host/alloc.h"

#include <math.h>
#include <string.h>

#define SEARCH_STEPS 48
#define REFINE_STEPS 8

uint32_t isgi_scale_count(const isg_factor *f)
{
    if (f->quant.family == ISG_QUANT_RAW || f->rows == 0) return 0;
    return f->quant.per_column && f->quant.family != ISG_QUANT_PAPER ? f->cols : 1;
}

uint32_t isgi_scale_capacity(const isg_factor *f)
{
    const uint32_t n = isgi_scale_count(f);
    return n ? n : 1;
}

float isgi_scale_stored(float scale, uint32_t scale_bits)
{
    const float s = fabsf(scale);
    if (scale_bits != 16) return s;
    return s > 65504.0f ? 65504.0f : isgi_half_to_float(isgi_half_from_float(s));
}

isg_status isgi_quant_check(const isg_factor *f, isg_error *err)
{
    const isg_quant_spec q = f->quant;
    int ok = 0;
    if (q.family == ISG_QUANT_RAW) ok = q.bits == 16 || q.bits == 32;
    if (q.family == ISG_QUANT_PAPER) ok = ((q.bits >= 1 && q.bits <= 16) || q.bits == 32) && !q.per_column;
    if (q.family == ISG_QUANT_MIDTREAD || q.family == ISG_QUANT_MIDRISE) ok = q.bits >= 1 && q.bits <= 8;
    if (ok && q.family != ISG_QUANT_RAW) ok = q.scale_bits == 16 || q.scale_bits == 32;
    if (ok) return ISG_OK;
    return isgi_fail(err, ISG_E_ARG, "no quantiser of family %u with %u bits and %u bit scales", (unsigned)q.family,
                     (unsigned)q.bits, (unsigned)q.scale_bits);
}

isg_status isgi_scale_reserve(isg_factor *f, isg_error *err)
{
    isg_free(f->scale);
    f->scale = isgi_calloc(isgi_scale_capacity(f), sizeof *f->scale);
    return f->scale ? ISG_OK : isgi_nomem(err);
}

void isgi_level_range(uint32_t bits, uint32_t family, float *lo, float *hi, float *step)
{
    const float top = (float)((1u << bits) - 1u);
    if (bits == 1 || family == ISG_QUANT_MIDRISE) {
        *lo = -top;
        *hi = top;
        *step = 2.0f;
    } else {
        *lo = -(float)(1u << (bits - 1));
        *hi = (float)((1u << (bits - 1)) - 1u);
        *step = 1.0f;
    }
}

static float level_in(float x, float scale, float lo, float hi, float step)
{
    float level;
    if (scale == 0.0f) return step == 1.0f ? 0.0f : 1.0f;
    /* + 0: a negative zero is not a level. */
    level = step == 1.0f ? rintf(x / scale) + 0.0f : 2.0f * floorf(x / scale * 0.5f) + 1.0f;
    return level < lo ? lo : level > hi ? hi : level;
}

float isgi_level_nearest(float x, float scale, uint32_t bits, uint32_t family)
{
    float lo, hi, step;
    isgi_level_range(bits, family, &lo, &hi, &step);
    return level_in(x, scale, lo, hi, step);
}

/* Squared error for a scale, and the scale that is best for the levels chosen (0 if there is none). */
static double scale_error(const float *x, size_t stride, const float *weight, size_t n, const float range[3], float s,
                          float *better)
{
    double error = 0, xl = 0, ll = 0;
    for (size_t i = 0; i < n; i++) {
        const float v = x[i * stride], level = level_in(v, s, range[0], range[1], range[2]);
        const double w = weight ? weight[i] : 1.0, d = (double)v - (double)(level * s);
        error += w * d * d;
        xl += w * (double)v * (double)level;
        ll += w * (double)level * (double)level;
    }
    *better = ll > 0 && xl > 0 ? (float)(xl / ll) : 0.0f;
    return error;
}

float isgi_scale_search(const float *x, size_t stride, const float *weight, size_t n, isg_quant_spec spec)
{
    float range[3], top = 0, best = 0, better;
    double least;
    for (size_t i = 0; i < n; i++) top = fmaxf(top, fabsf(x[i * stride]));
    if (top == 0.0f) return 0.0f;
    isgi_level_range(spec.bits, spec.family, &range[0], &range[1], &range[2]);
    least = INFINITY;
    for (int k = 1; k <= SEARCH_STEPS; k++) {
        const float s = isgi_scale_stored(top / range[1] * 1.2f * (float)k / SEARCH_STEPS, spec.scale_bits);
        const double e = scale_error(x, stride, weight, n, range, s, &better);
        if (e < least) {
            least = e;
            best = s;
        }
    }
    for (int k = 0; k < REFINE_STEPS; k++) {
        double e;
        float next;
        scale_error(x, stride, weight, n, range, best, &better);
        next = isgi_scale_stored(better, spec.scale_bits);
        if (next == best || next == 0.0f) break;
        e = scale_error(x, stride, weight, n, range, next, &better);
        if (e >= least) break;
        least = e;
        best = next;
    }
    return best;
}

isg_status isg_factor_fit_scale(isg_factor *f, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    const uint32_t count = isgi_scale_count(f);
    isg_status status = isgi_quant_check(f, err);
    if (status != ISG_OK) return status;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(f->master[i])) return isgi_fail(err, ISG_E_NUMERIC, "a factor holds a number that is not finite");
    }
    if (f->quant.family == ISG_QUANT_RAW || f->quant.family == ISG_QUANT_PAPER || n == 0) return ISG_OK;
    status = isgi_scale_reserve(f, err);
    if (status != ISG_OK) return status;
    if (count == 1) {
        f->scale[0] = isgi_scale_search(f->master, 1, NULL, n, f->quant);
    } else {
        for (uint32_t c = 0; c < count; c++) {
            f->scale[c] = isgi_scale_search(f->master + c, f->cols, NULL, f->rows, f->quant);
        }
    }
    return ISG_OK;
}

float isgi_paper_range(const isg_factor *f)
{
    const size_t n = (size_t)f->rows * f->cols;
    double sum = 0;
    float top = 0;
    for (size_t i = 0; i < n; i++) {
        if (f->quant.bits == 1) {
            sum += fabs((double)f->master[i]);
        } else {
            top = fmaxf(top, fabsf(tanhf(f->master[i])));
        }
    }
    if (f->quant.bits == 1) return n ? isgi_scale_stored((float)(sum / (double)n), f->quant.scale_bits) : 0.0f;
    return isgi_scale_stored(top, f->quant.bits == 32 ? 32 : f->quant.scale_bits);
}

/* SPEC section 3, binary32, in its order of operations; half to even. r == 0 (all zero) takes the code of zero. */
static float paper_code(float x, float r, uint32_t bits)
{
    const float top = (float)((1u << bits) - 1u);
    float j;
    if (bits == 1) return x < 0.0f ? 0.0f : 1.0f;
    if (r == 0.0f) return (float)(1u << (bits - 1));
    j = rintf((tanhf(x) / (2.0f * r) + 0.5f) * top);
    return j < 0.0f ? 0.0f : j > top ? top : j;
}

/* Mirrors the decoder in rt/gen, operation for operation. */
static void quantise_paper(float *y, const isg_factor *f)
{
    const size_t n = (size_t)f->rows * f->cols;
    const float r = isgi_paper_range(f);
    const uint32_t bits = f->quant.bits;
    const float top = bits < 32 ? (float)((1u << bits) - 1u) : 0.0f;
    for (size_t i = 0; i < n; i++) {
        const float x = f->master[i];
        if (bits == 32) {
            y[i] = r == 0.0f ? 0.0f : tanhf(x) / r;
        } else if (bits == 1) {
            y[i] = x > 0.0f ? r : x < 0.0f ? -r : 0.0f;
        } else {
            y[i] = r == 0.0f ? 0.0f : paper_code(x, r, bits) / top * (2.0f * r) - r;
        }
    }
}

static float scale_at(const isg_factor *f, size_t index)
{
    return isgi_scale_stored(f->scale[f->quant.per_column ? index % f->cols : 0], f->quant.scale_bits);
}

static isg_status check_values(const isg_factor *f, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    isg_status status = isgi_quant_check(f, err);
    if (status != ISG_OK) return status;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(f->master[i])) return isgi_fail(err, ISG_E_NUMERIC, "a factor holds a number that is not finite");
        if (f->quant.family == ISG_QUANT_RAW && f->quant.bits == 16 && fabsf(f->master[i]) >= 65520.0f) {
            return isgi_fail(err, ISG_E_NUMERIC, "a factor holds a number beyond binary16");
        }
    }
    if (f->quant.family != ISG_QUANT_MIDTREAD && f->quant.family != ISG_QUANT_MIDRISE) return ISG_OK;
    if (n && !f->scale) return isgi_fail(err, ISG_E_ARG, "a factor has no scales yet");
    for (uint32_t c = 0; c < isgi_scale_count(f); c++) {
        if (!isfinite(f->scale[c])) return isgi_fail(err, ISG_E_NUMERIC, "a scale is not finite");
    }
    return ISG_OK;
}

isg_status isg_factor_quantise(float *y, const isg_factor *f, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    float lo, hi, step;
    isg_status status = check_values(f, err);
    if (status != ISG_OK) return status;
    if (f->quant.family == ISG_QUANT_PAPER) {
        quantise_paper(y, f);
        return ISG_OK;
    }
    if (f->quant.family == ISG_QUANT_RAW) {
        for (size_t i = 0; i < n; i++) {
            y[i] = f->quant.bits == 32 ? f->master[i] : isgi_half_to_float(isgi_half_from_float(f->master[i]));
        }
        return ISG_OK;
    }
    isgi_level_range(f->quant.bits, f->quant.family, &lo, &hi, &step);
    for (size_t i = 0; i < n; i++) {
        const float s = scale_at(f, i);
        y[i] = level_in(f->master[i], s, lo, hi, step) * s;
    }
    return ISG_OK;
}

isg_status isg_factor_codes(int32_t *codes, const isg_factor *f, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    float lo, hi, step, r;
    isg_status status = check_values(f, err);
    if (status != ISG_OK) return status;
    if (f->quant.family == ISG_QUANT_RAW || f->quant.bits > 16) {
        return isgi_fail(err, ISG_E_ARG, "a factor of %u bits has no codes", (unsigned)f->quant.bits);
    }
    if (f->quant.family == ISG_QUANT_PAPER) {
        r = isgi_paper_range(f);
        for (size_t i = 0; i < n; i++) codes[i] = (int32_t)paper_code(f->master[i], r, f->quant.bits);
        return ISG_OK;
    }
    isgi_level_range(f->quant.bits, f->quant.family, &lo, &hi, &step);
    for (size_t i = 0; i < n; i++) {
        codes[i] = (int32_t)((level_in(f->master[i], scale_at(f, i), lo, hi, step) - lo) / step);
    }
    return ISG_OK;
}
