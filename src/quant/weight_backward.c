/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the factors from the gradient of the generated weight (SPEC section 2 differentiated). */
#include <insitu/factors.h>
#include <insitu/rt.h>

#include "cpu/cpu.h"
#include "host/alloc.h"
#include "kernels/kernels.h"
#include "quant/factors_weight.h"

#include <string.h>

void isgi_level1_forward(float *c, const isg_factors *f, const float *b, const float *u)
{
    const size_t bo = f->bo, width = (size_t)f->bi * bo;
    for (uint32_t t = 0; t < f->taps; t++) {
        for (uint32_t ch = 0; ch < f->ci; ch++) {
            float *row = c + ((size_t)t * f->ci + ch) * bo;
            const float *bt = b + t * width, *uc = u + ch * width;
            for (size_t o = 0; o < bo; o++) row[o] = bt[o] * uc[o];
            for (size_t i = bo; i < width; i += bo) {
                for (size_t o = 0; o < bo; o++) row[o] += bt[i + o] * uc[i + o];
            }
        }
    }
}

void isgi_level1_backward(const isg_factors *f, const float *dc, const float *b, const float *u, float *db, float *du)
{
    const size_t bo = f->bo, width = (size_t)f->bi * bo;
    if (db) memset(db, 0, (size_t)f->taps * width * sizeof *db);
    if (du) memset(du, 0, (size_t)f->ci * width * sizeof *du);
    for (uint32_t t = 0; t < f->taps; t++) {
        for (uint32_t ch = 0; ch < f->ci; ch++) {
            const float *row = dc + ((size_t)t * f->ci + ch) * bo, *bt = b + t * width, *uc = u + ch * width;
            for (size_t i = 0; i < width; i += bo) {
                for (size_t o = 0; db && o < bo; o++) db[t * width + i + o] += row[o] * uc[i + o];
                for (size_t o = 0; du && o < bo; o++) du[ch * width + i + o] += row[o] * bt[i + o];
            }
        }
    }
}

static void transpose(float *dst, const float *src, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) dst[c * rows + r] = src[r * cols + c];
    }
}

/* dV = C^T dW and dC = dW V^T. */
static isg_status level2_backward(const isg_factors *f, const float *dw, const float *c, const float *v, float *dc,
                                  float *dv, isg_error *err)
{
    const size_t rows = (size_t)f->taps * f->ci, bo = f->bo, co = f->co;
    const size_t need = bo * (rows > co ? rows : co);
    float *turned = isgi_malloc(need * sizeof *turned);
    isgk_table k;
    if (!turned) return isgi_nomem(err);
    isgk_table_init(&k, isgi_cpu_effective_isa(ISG_ISA_ALL));
    if (dv) {
        transpose(turned, c, rows, bo);
        k.gemm_f32(dv, co, turned, rows, dw, co, bo, co, rows, 0);
    }
    if (dc) {
        transpose(turned, v, bo, co);
        k.gemm_f32(dc, bo, dw, co, turned, bo, rows, bo, co, 0);
    }
    isg_free(turned);
    return ISG_OK;
}

isg_status isg_factors_weight_backward(const isg_factors *f, const float *dw, const float *b, const float *u,
                                       const float *v, float *db, float *du, float *dv, isg_error *err)
{
    const size_t rows = (size_t)f->taps * f->ci;
    float *c = NULL, *dc = NULL;
    isg_status status = ISG_OK;

    if (!f->level1 && !f->level2) {
        if (db) memcpy(db, dw, rows * f->co * sizeof *db);
        return ISG_OK;
    }
    if (!f->level1) return level2_backward(f, dw, b, v, db, dv, err);
    if (!f->level2) {
        isgi_level1_backward(f, dw, b, u, db, du);
        return ISG_OK;
    }
    c = isgi_malloc(rows * f->bo * sizeof *c);
    dc = isgi_malloc(rows * f->bo * sizeof *dc);
    if (!c || !dc) {
        status = isgi_nomem(err);
        goto done;
    }
    isgi_level1_forward(c, f, b, u);
    status = level2_backward(f, dw, c, v, dc, dv, err);
    if (status == ISG_OK) isgi_level1_backward(f, dc, b, u, db, du);
done:
    isg_free(c);
    isg_free(dc);
    return status;
}
