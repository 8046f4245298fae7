/* SPDX-License-Identifier: Apache-2.0 */
/* Between trainable factors and their packed form, and from either to the dense weight. */
#include <insitu/factors.h>
#include <insitu/rt.h>

#include "base/endian.h"
#include "base/half.h"
#include "cpu/cpu.h"
#include "host/alloc.h"
#include "kernels/kernels.h"
#include "quant/factors_weight.h"
#include "quant/quantiser.h"
#include "rt/gen.h"

#include <math.h>
#include <string.h>

#define PACK_ALIGN 64u

static size_t data_bytes_of(const isg_factor *f)
{
    const uint64_t n = (uint64_t)f->rows * f->cols;
    return (size_t)((n * f->quant.bits + 7) / 8);
}

static size_t align_up(size_t n)
{
    return (n + PACK_ALIGN - 1) / PACK_ALIGN * PACK_ALIGN;
}

static void store_number(uint8_t *p, float value, uint32_t bits)
{
    if (bits == 16) {
        isgi_store_u16(p, isgi_half_from_float(value));
    } else {
        isgi_store_f32(p, value);
    }
}

static void put_codes(uint8_t *dst, const int32_t *codes, size_t n, uint32_t bits)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t bit = (uint64_t)i * bits;
        const uint32_t word = (uint32_t)codes[i] << (bit & 7u);
        dst[bit >> 3] |= (uint8_t)word;
        if ((bit & 7u) + bits > 8u) dst[(bit >> 3) + 1] |= (uint8_t)(word >> 8);
    }
}

/* Writes one factor at *at (zeroed, large enough) and moves it on. */
static isg_status pack_factor(isg_codes *out, const isg_factor *f, uint8_t *base, size_t *at, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    const uint32_t scales = isgi_scale_count(f);
    uint8_t *data = base + *at, *scale = data + align_up(data_bytes_of(f));
    memset(out, 0, sizeof *out);
    if (n == 0) return ISG_OK;
    if (f->quant.family == ISG_QUANT_RAW) {
        float *y = isgi_malloc(n * sizeof *y);
        isg_status status = y ? isg_factor_quantise(y, f, err) : isgi_nomem(err);
        for (size_t i = 0; i < n && status == ISG_OK; i++) {
            store_number(data + i * f->quant.bits / 8, y[i], f->quant.bits);
        }
        isg_free(y);
        if (status != ISG_OK) return status;
    } else {
        int32_t *codes = isgi_malloc(n * sizeof *codes);
        isg_status status = codes ? isg_factor_codes(codes, f, err) : isgi_nomem(err);
        if (status == ISG_OK) put_codes(data, codes, n, f->quant.bits);
        isg_free(codes);
        if (status != ISG_OK) return status;
    }
    for (uint32_t c = 0; c < scales; c++) {
        const float s = f->quant.family == ISG_QUANT_PAPER ? isgi_paper_range(f)
                                                           : isgi_scale_stored(f->scale[c], f->quant.scale_bits);
        store_number(scale + (size_t)c * f->quant.scale_bits / 8, s, f->quant.scale_bits);
    }
    out->data = data;
    out->data_bytes = data_bytes_of(f);
    out->rows = f->rows;
    out->cols = f->cols;
    out->bits = f->quant.bits;
    out->family = f->quant.family;
    if (scales) {
        out->scales = scale;
        out->scale_count = scales;
        out->scale_bits = f->quant.scale_bits;
    }
    *at = (size_t)(scale - base) + align_up((size_t)scales * f->quant.scale_bits / 8);
    return ISG_OK;
}

static void copy_geometry(isg_weight *w, const isg_factors *f)
{
    memset(w, 0, sizeof *w);
    w->taps = f->taps;
    w->ci = f->ci;
    w->co = f->co;
    w->bi = f->bi;
    w->bo = f->bo;
    w->level1 = f->level1;
    w->level2 = f->level2;
    w->depthwise = f->depthwise;
}

isg_status isg_factors_pack(const isg_factors *f, isg_weight *w, void **buffer, size_t *bytes, isg_error *err)
{
    const isg_factor *const parts[3] = {&f->basis, &f->u, &f->v};
    size_t total = 0, at = 0;
    uint8_t *base;
    isg_weight packed;
    isg_codes *const outs[3] = {&packed.basis, &packed.u, &packed.v};

    for (int k = 0; k < 3; k++) {
        isg_status status = parts[k]->rows ? isgi_quant_check(parts[k], err) : ISG_OK;
        if (status != ISG_OK) return status;
        if (parts[k]->quant.family == ISG_QUANT_PAPER && parts[k]->quant.bits > 8) {
            return isgi_fail(err, ISG_E_UNSUPPORTED, "codes of %u bits cannot be stored",
                             (unsigned)parts[k]->quant.bits);
        }
        total += align_up(data_bytes_of(parts[k])) +
                 align_up((size_t)isgi_scale_count(parts[k]) * parts[k]->quant.scale_bits / 8);
    }
    base = isgi_calloc(total ? total : 1, 1);
    if (!base) return isgi_nomem(err);
    copy_geometry(&packed, f);
    for (int k = 0; k < 3; k++) {
        isg_status status = pack_factor(outs[k], parts[k], base, &at, err);
        if (status != ISG_OK) {
            isg_free(base);
            return status;
        }
    }
    *w = packed;
    *buffer = base;
    *bytes = total;
    return ISG_OK;
}

/* The number whose binary32 tanh is nearest to t; exact for a t that was a tanh itself. */
static float inverse_tanh(float t)
{
    float guess, low, high;
    if (fabsf(t) >= 1.0f) return t < 0 ? -10.0f : 10.0f;
    guess = low = high = atanhf(t);
    for (int k = 0; k < 16 && tanhf(guess) != t; k++) {
        low = nextafterf(low, -INFINITY);
        high = nextafterf(high, INFINITY);
        if (tanhf(low) == t) guess = low;
        if (tanhf(high) == t) guess = high;
    }
    return guess;
}

static isg_status unpack_factor(isg_factor *f, const isg_codes *codes, const isgk_table *k, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    isg_status status;
    if (codes->rows != f->rows || codes->cols != f->cols) {
        return isgi_fail(err, ISG_E_SHAPE, "packed codes do not have the shape of their weight");
    }
    if (n == 0) return ISG_OK;
    f->quant.bits = codes->bits;
    f->quant.family = codes->family;
    f->quant.scale_bits = codes->family == ISG_QUANT_RAW ? 32 : codes->scale_bits;
    f->quant.per_column = codes->scale_count > 1;
    status = isgi_quant_check(f, err);
    if (status != ISG_OK) return status;
    if (codes->family != ISG_QUANT_RAW && codes->scale_count != isgi_scale_count(f)) {
        return isgi_fail(err, ISG_E_SHAPE, "packed codes have %u scales for %u columns", (unsigned)codes->scale_count,
                         (unsigned)codes->cols);
    }
    isgi_gen_dequant(k, f->master, codes, 0, f->rows);
    if (codes->family == ISG_QUANT_RAW) return ISG_OK;
    if (codes->family == ISG_QUANT_PAPER) {
        for (size_t i = 0; i < n && codes->bits > 1; i++) f->master[i] = inverse_tanh(f->master[i]);
        return ISG_OK;
    }
    status = isgi_scale_reserve(f, err);
    if (status != ISG_OK) return status;
    for (uint32_t c = 0; c < codes->scale_count; c++) {
        const uint8_t *at = codes->scales + (size_t)c * codes->scale_bits / 8;
        f->scale[c] = codes->scale_bits == 16 ? isgi_half_to_float(isgi_load_u16(at)) : isgi_load_f32(at);
    }
    return ISG_OK;
}

isg_status isg_factors_unpack(isg_factors **out, const isg_weight *w, isg_error *err)
{
    const isg_levels levels = {w->bi, w->bo, w->level1, w->level2};
    isg_factors *f = NULL;
    isgk_table k;
    isg_status status = isg_factors_create(&f, w->taps, w->ci, w->co, levels, w->depthwise, err);
    if (status != ISG_OK) return status;
    isgk_table_init(&k, 0);
    status = unpack_factor(&f->basis, &w->basis, &k, err);
    if (status == ISG_OK) status = unpack_factor(&f->u, &w->u, &k, err);
    if (status == ISG_OK) status = unpack_factor(&f->v, &w->v, &k, err);
    if (status != ISG_OK) {
        isg_factors_destroy(f);
        return status;
    }
    *out = f;
    return ISG_OK;
}

isg_status isgi_factors_compose(float *hwio, const isg_factors *f, const float *b, const float *u, const float *v,
                                uint32_t isa, isg_error *err)
{
    const uint32_t rows = f->taps * f->ci;
    float *scratch = NULL;
    isg_weight geometry;
    isgk_table k;
    if (f->level1 && f->level2) {
        scratch = isgi_malloc((size_t)rows * f->bo * sizeof *scratch);
        if (!scratch) return isgi_nomem(err);
    }
    copy_geometry(&geometry, f);
    isgk_table_init(&k, isgi_cpu_effective_isa(isa));
    isgi_gen_compose(&k, hwio, &geometry, b, u, v, 0, rows, scratch);
    isg_free(scratch);
    return ISG_OK;
}

isg_status isgi_factors_quantised(const isg_factors *f, float **buffer, float **b, float **u, float **v, isg_error *err)
{
    const size_t nb = (size_t)f->basis.rows * f->basis.cols, nu = (size_t)f->u.rows * f->u.cols;
    const size_t nv = (size_t)f->v.rows * f->v.cols;
    float *y = isgi_malloc((nb + nu + nv) * sizeof *y);
    isg_status status = y ? isg_factor_quantise(y, &f->basis, err) : isgi_nomem(err);
    if (status == ISG_OK && nu) status = isg_factor_quantise(y + nb, &f->u, err);
    if (status == ISG_OK && nv) status = isg_factor_quantise(y + nb + nu, &f->v, err);
    if (status != ISG_OK) {
        isg_free(y);
        return status;
    }
    *buffer = y;
    *b = y;
    *u = nu ? y + nb : NULL;
    *v = nv ? y + nb + nu : NULL;
    return ISG_OK;
}

isg_status isg_factors_weight(float *hwio, const isg_factors *f, isg_error *err)
{
    float *buffer, *b, *u, *v;
    isg_status status = isgi_factors_quantised(f, &buffer, &b, &u, &v, err);
    if (status != ISG_OK) return status;
    status = isgi_factors_compose(hwio, f, b, u, v, ISG_ISA_SCALAR, err);
    isg_free(buffer);
    return status;
}
