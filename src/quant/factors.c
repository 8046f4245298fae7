/* SPDX-License-Identifier: Apache-2.0 */
/* Life and bookkeeping of trainable factors: which levels are on, creation, counting, dense weight orders. */
#include <insitu/factors.h>

#include "base/error.h"
#include "host/alloc.h"
#include "quant/quantiser.h"

#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

isg_levels isg_factor_levels(uint32_t ci, uint32_t co, uint32_t taps, uint32_t bi, uint32_t bo, int depthwise,
                             unsigned flags)
{
    isg_levels l = {0, 0, 0, 0};
    const uint64_t limit1 = min_u64(ci, taps), limit2 = min_u64(co, (uint64_t)ci * taps);

    if (depthwise) {
        bo = 0;
    } else if ((flags & ISG_LEVELS_RULE_09) && taps == 1 && bo != 0 && bo >= min_u64(co, ci)) {
        bo = (uint32_t)(9 * min_u64(co, ci) / 10);
    }
    l.level1 = bi > 0 && bi < limit1;
    l.level2 = bo > 0 && bo < limit2;
    if (l.level1) l.bi = bi;
    if (l.level2) {
        l.bo = bo;
    } else if (l.level1) {
        l.bo = co;
    }
    return l;
}

static isg_status init_factor(isg_factor *f, uint64_t rows, uint64_t cols, isg_error *err)
{
    if (rows > UINT32_MAX || cols > UINT32_MAX) return isgi_fail(err, ISG_E_LIMIT, "a factor has too many elements");
    if (cols && rows > (uint64_t)(SIZE_MAX / sizeof(float)) / cols) return isgi_nomem(err);
    f->rows = (uint32_t)rows;
    f->cols = (uint32_t)cols;
    f->quant.bits = 32;
    f->quant.family = ISG_QUANT_RAW;
    f->quant.scale_bits = 32;
    f->master = isgi_calloc((size_t)rows * (size_t)cols, sizeof *f->master);
    return f->master ? ISG_OK : isgi_nomem(err);
}

static isg_status init_all(isg_factors *f, isg_error *err)
{
    const uint64_t rows = (uint64_t)f->taps * f->ci;
    isg_status status;
    if (f->level1) {
        const uint64_t cols = (uint64_t)f->bi * f->bo;
        status = init_factor(&f->basis, f->taps, cols, err);
        if (status == ISG_OK) status = init_factor(&f->u, f->ci, cols, err);
    } else {
        status = init_factor(&f->basis, rows, f->level2 ? f->bo : f->co, err);
    }
    if (status == ISG_OK && f->level2) status = init_factor(&f->v, f->bo, f->co, err);
    return status;
}

isg_status isg_factors_create(isg_factors **out, uint32_t taps, uint32_t ci, uint32_t co, isg_levels levels,
                              int depthwise, isg_error *err)
{
    isg_factors *f;
    isg_status status;
    if (!taps || !ci || !co) return isgi_fail(err, ISG_E_ARG, "a weight has an empty dimension");
    if ((uint64_t)taps * ci > UINT32_MAX) return isgi_fail(err, ISG_E_LIMIT, "a weight has too many rows");
    if (depthwise && (co != 1 || levels.level2)) {
        return isgi_fail(err, ISG_E_ARG, "a depthwise weight has one kernel and no second level");
    }
    if ((levels.level1 && !levels.bi) || (levels.level2 && !levels.bo)) {
        return isgi_fail(err, ISG_E_ARG, "a level that is on needs a cardinality");
    }
    f = isgi_calloc(1, sizeof *f);
    if (!f) return isgi_nomem(err);
    f->taps = taps;
    f->ci = ci;
    f->co = co;
    f->level1 = levels.level1 != 0;
    f->level2 = levels.level2 != 0;
    f->depthwise = depthwise != 0;
    f->bi = f->level1 ? levels.bi : 0;
    f->bo = f->level2 ? levels.bo : f->level1 ? co : 0;
    status = init_all(f, err);
    if (status != ISG_OK) {
        isg_factors_destroy(f);
        return status;
    }
    *out = f;
    return ISG_OK;
}

static int copy_factor(isg_factor *dst, const isg_factor *src)
{
    const size_t n = (size_t)src->rows * src->cols, scales = isgi_scale_capacity(src);
    *dst = *src;
    dst->master = NULL;
    dst->scale = NULL;
    if (!src->master) return 1;
    dst->master = isgi_malloc(n * sizeof *dst->master);
    if (!dst->master) return 0;
    memcpy(dst->master, src->master, n * sizeof *dst->master);
    if (!src->scale) return 1;
    dst->scale = isgi_malloc(scales * sizeof *dst->scale);
    if (!dst->scale) return 0;
    memcpy(dst->scale, src->scale, scales * sizeof *dst->scale);
    return 1;
}

isg_status isg_factors_clone(isg_factors **out, const isg_factors *f, isg_error *err)
{
    isg_factors *copy = isgi_calloc(1, sizeof *copy);
    if (!copy) return isgi_nomem(err);
    *copy = *f;
    memset(&copy->basis, 0, sizeof copy->basis);
    memset(&copy->u, 0, sizeof copy->u);
    memset(&copy->v, 0, sizeof copy->v);
    if (!copy_factor(&copy->basis, &f->basis) || !copy_factor(&copy->u, &f->u) || !copy_factor(&copy->v, &f->v)) {
        isg_factors_destroy(copy);
        return isgi_nomem(err);
    }
    *out = copy;
    return ISG_OK;
}

isg_status isg_factors_requantise(isg_factors *f, const uint8_t bits[3], isg_error *err)
{
    isg_factor *const all[3] = {&f->basis, &f->u, &f->v};
    for (int k = 0; k < 3; k++) {
        isg_quant_spec *q = &all[k]->quant;
        if (all[k]->rows == 0) continue;
        if ((bits[k] < 1 || bits[k] > 8) && bits[k] != 32)
            return isgi_fail(err, ISG_E_ARG, "%u bits a factor: 1 to 8 or 32 are possible", bits[k]);
        if (bits[k] == 32) {
            *q = (isg_quant_spec){32, ISG_QUANT_RAW, 0, 16};
        } else if (q->family == ISG_QUANT_RAW) {
            *q = (isg_quant_spec){bits[k], ISG_QUANT_MIDTREAD, 0, 16};
        } else {
            q->bits = bits[k];
        }
        ISGI_TRY(isg_factor_fit_scale(all[k], err));
    }
    return ISG_OK;
}

void isg_factors_destroy(isg_factors *f)
{
    if (!f) return;
    isg_free(f->basis.master);
    isg_free(f->basis.scale);
    isg_free(f->u.master);
    isg_free(f->u.scale);
    isg_free(f->v.master);
    isg_free(f->v.scale);
    isg_free(f);
}

static uint64_t count_of(const isg_factor *f)
{
    return (uint64_t)f->rows * f->cols;
}

uint64_t isg_factors_params(const isg_factors *f)
{
    return count_of(&f->basis) + count_of(&f->u) + count_of(&f->v);
}

uint64_t isg_factors_code_bits(const isg_factors *f)
{
    return count_of(&f->basis) * f->basis.quant.bits + count_of(&f->u) * f->u.quant.bits +
           count_of(&f->v) * f->v.quant.bits;
}

static uint64_t scale_bits_of(const isg_factor *f)
{
    return (uint64_t)isgi_scale_count(f) * f->quant.scale_bits;
}

uint64_t isg_factors_stored_bits(const isg_factors *f)
{
    return isg_factors_code_bits(f) + scale_bits_of(&f->basis) + scale_bits_of(&f->u) + scale_bits_of(&f->v);
}

void isg_weight_oihw_to_hwio(float *dst, const float *src, uint32_t co, uint32_t ci, uint32_t taps)
{
    for (uint32_t o = 0; o < co; o++) {
        for (uint32_t c = 0; c < ci; c++) {
            const float *from = src + ((size_t)o * ci + c) * taps;
            for (uint32_t t = 0; t < taps; t++) dst[((size_t)t * ci + c) * co + o] = from[t];
        }
    }
}

void isg_weight_hwio_to_oihw(float *dst, const float *src, uint32_t co, uint32_t ci, uint32_t taps)
{
    for (uint32_t o = 0; o < co; o++) {
        for (uint32_t c = 0; c < ci; c++) {
            float *to = dst + ((size_t)o * ci + c) * taps;
            for (uint32_t t = 0; t < taps; t++) to[t] = src[((size_t)t * ci + c) * co + o];
        }
    }
}
