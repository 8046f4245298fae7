/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and fully connected layers: the ways GENERATE, HALF and DENSE, as products of gathered pixels. */
#include <string.h>

#include "kernels/scalar.h"
#include "rt/exec.h"
#include "rt/gen.h"
#include "rt/panels.h"

/* What the tasks of one product share. */
typedef struct conv_job {
    const isg_rt_context *ctx;
    const isgi_conv *c;
    const isg_weight *w;
    const isgi_step *step;
    const float *x, *bias, *matrix, *v;
    float *out, *dst; /* dst: where the product goes, pixel 0 of the span; out: the layer's output */
    size_t ldd;
    uint64_t first, count; /* pixels of this span */
    uint32_t row0, row1;   /* rows of W this call covers; `matrix` begins at row0 */
    int last;              /* no more rows follow */
    isgk_finish finish;    /* with panels */
    const isgk_act *after;
} conv_job;

/* ---- making rows of the matrix ---- */

typedef struct rows_job {
    const isgk_table *k;
    const isg_weight *w;
    const isgi_conv *c;
    float *scratch, *dst;
    uint32_t row0, rows, step; /* step: rows a task */
} rows_job;

#define ROWS_A_TASK 16u
#define NUMBERS_A_TASK 1024u

/* Rows of the matrix that this way multiplies with: W, or for HALF what lies below V. */
static void rows_task(void *arg, uint32_t index, uint32_t worker)
{
    const rows_job *j = (const rows_job *)arg;
    const isg_weight *w = j->w;
    const uint32_t at = index * j->step, left = j->rows - at, rows = left < j->step ? left : j->step;
    const uint32_t width = j->c->strategy == ISG_STRATEGY_HALF ? w->bo : w->co;
    float *dst = j->dst + (size_t)at * width, *tmp = j->scratch + j->c->rows_tmp + (size_t)at * w->bo;
    (void)worker;
    if (w->level1) {
        isg_weight g = *w;
        if (j->c->strategy == ISG_STRATEGY_HALF) {
            g.level2 = 0;
            g.co = g.bo;
        }
        isgi_gen_compose(j->k, dst, &g, j->scratch + j->c->basis, j->scratch + j->c->u, j->scratch + j->c->v,
                         j->row0 + at, rows, tmp);
    } else if (w->level2 && j->c->strategy != ISG_STRATEGY_HALF) {
        isgi_gen_dequant(j->k, tmp, &w->basis, j->row0 + at, rows);
        j->k->gemm_f32(dst, w->co, tmp, w->bo, j->scratch + j->c->v, w->co, rows, w->co, w->bo, 0);
    } else {
        isgi_gen_dequant(j->k, dst, &w->basis, j->row0 + at, rows);
    }
}

static void make_rows(const isg_rt_context *ctx, const isgi_conv *c, const isg_weight *w, uint32_t row0, uint32_t rows)
{
    const uint32_t width = c->strategy == ISG_STRATEGY_HALF ? w->bo : w->co;
    rows_job j = {&ctx->kernels, w, c, ctx->scratch, ctx->scratch + c->tile, row0, rows, ROWS_A_TASK};
    if (width < NUMBERS_A_TASK / ROWS_A_TASK) j.step = NUMBERS_A_TASK / width;
    isgi_run_few(ctx, (uint64_t)rows * width, rows_task, &j, (rows + j.step - 1) / j.step);
}

typedef struct dequant_job {
    const isgk_table *k;
    const isg_codes *codes;
    float *dst;
    uint32_t step;
} dequant_job;

static void dequant_task(void *arg, uint32_t index, uint32_t worker)
{
    const dequant_job *j = (const dequant_job *)arg;
    const uint32_t row = index * j->step, left = j->codes->rows - row;
    (void)worker;
    isgi_gen_dequant(j->k, j->dst + (size_t)row * j->codes->cols, j->codes, row, left < j->step ? left : j->step);
}

/* A whole factor, about 4096 numbers a task. */
static void dequant_factor(const isg_rt_context *ctx, const isg_codes *codes, float *dst)
{
    dequant_job j = {&ctx->kernels, codes, dst, 1};
    if (codes->cols < 4096u) j.step = 4096u / codes->cols;
    isgi_run_few(ctx, (uint64_t)codes->rows * codes->cols, dequant_task, &j,
                 ((uint64_t)codes->rows + j.step - 1) / j.step);
}

static void dequant_factors(const isg_rt_context *ctx, const isgi_conv *c, const isg_weight *w)
{
    if (w->level1) dequant_factor(ctx, &w->basis, ctx->scratch + c->basis);
    if (w->level1) dequant_factor(ctx, &w->u, ctx->scratch + c->u);
    if (w->level2) dequant_factor(ctx, &w->v, ctx->scratch + c->v);
}

const float *isgi_conv_matrix(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_conv *c = &step->conv;
    const isg_weight *w = &ctx->weights[step->op.weight];
    if (c->in_place) return (const float *)(const void *)w->basis.data;
    dequant_factors(ctx, c, w);
    make_rows(ctx, c, w, 0, w->taps * w->ci);
    return ctx->scratch + c->tile;
}

/* ---- gathering pixels ---- */

/* Most pieces are short: a call would cost more than the copy. */
static inline void copy_short(float *dst, const float *src, uint32_t n)
{
    if (n > 96) {
        memcpy(dst, src, n * sizeof *dst);
        return;
    }
    for (; n >= 8; n -= 8, dst += 8, src += 8) memcpy(dst, src, 8 * sizeof *dst);
    if (n & 4u) {
        memcpy(dst, src, 4 * sizeof *dst);
        dst += 4;
        src += 4;
    }
    if (n & 2u) {
        memcpy(dst, src, 2 * sizeof *dst);
        dst += 2;
        src += 2;
    }
    if (n & 1u) *dst = *src;
}

/* Floats [from, to) of the row of kernel row `ky` (kw * channels floats) for a pixel whose window begins at column x0
 * of the input row `line`; NULL line: all padding. */
static inline void gather_line(float *dst, const isgi_conv *c, const float *line, int64_t x0, uint32_t from,
                               uint32_t to)
{
    const uint32_t cg = c->ic / c->groups, dilation = c->window.dw;
    if (!line) {
        memset(dst, 0, (to - from) * sizeof *dst);
        return;
    }
    if (c->groups == 1 && dilation == 1 && x0 >= 0 && x0 + c->window.kw <= c->iw) {
        copy_short(dst, line + (size_t)x0 * c->ic + from, to - from);
        return;
    }
    while (from < to) {
        const uint32_t kx = from / cg, channel = from - kx * cg, left = cg - channel;
        const uint32_t n = to - from < left ? to - from : left;
        const int64_t ix = x0 + (int64_t)kx * dilation;
        if (ix < 0 || ix >= c->iw)
            memset(dst, 0, n * sizeof *dst);
        else
            copy_short(dst, line + (size_t)ix * c->ic + channel, n);
        dst += n;
        from += n;
    }
}

void isgi_conv_gather(float *dst, const isgi_conv *c, const float *x, uint64_t first, uint32_t count, uint32_t group,
                      uint32_t k0, uint32_t k1)
{
    const isgi_window *g = &c->window;
    const uint32_t cg = c->ic / c->groups, line = g->kw * cg, plane = c->oh * c->ow, ky0 = k0 / line, from0 = k0 % line;
    uint64_t image = first / plane;
    uint32_t oy = (uint32_t)(first % plane) / c->ow, ox = (uint32_t)(first % plane) % c->ow;
    for (uint32_t p = 0; p < count; p++) {
        const float *base = x + (size_t)image * c->ih * c->iw * c->ic + (size_t)group * cg;
        const int64_t y0 = (int64_t)oy * g->sh - g->top, x0 = (int64_t)ox * g->sw - g->left;
        uint32_t from = from0;
        for (uint32_t ky = ky0, left = k1 - k0; left; ky++, from = 0) {
            const uint32_t to = left < line - from ? from + left : line;
            const int64_t iy = y0 + (int64_t)ky * g->dh;
            gather_line(dst, c, iy < 0 || iy >= c->ih ? NULL : base + (size_t)iy * c->iw * c->ic, x0, from, to);
            dst += to - from;
            left -= to - from;
        }
        if (++ox == c->ow) {
            ox = 0;
            if (++oy == c->oh) {
                oy = 0;
                image++;
            }
        }
    }
}

/* ---- the product ---- */

static void product_task(void *arg, uint32_t index, uint32_t worker)
{
    const conv_job *j = (const conv_job *)arg;
    const isgi_conv *c = j->c;
    const uint64_t at = (uint64_t)(index / c->blocks) * c->strip;
    const uint32_t block = index % c->blocks, step = ((j->c->width + c->blocks - 1) / c->blocks + 15u) & ~15u;
    const uint32_t pixels = j->count - at < c->strip ? (uint32_t)(j->count - at) : c->strip;
    const uint32_t from = block * step, to = from + step < c->width ? from + step : c->width;
    float *columns = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats + c->at_gather;
    float *dst = j->dst + (size_t)at * j->ldd;
    if (from >= c->width) return;
    for (uint32_t group = 0; group < c->groups; group++) {
        const uint32_t og = c->width / c->groups, n0 = c->groups == 1 ? from : group * og;
        const uint32_t n = c->groups == 1 ? to - from : og;
        for (uint32_t k0 = j->row0; k0 < j->row1; k0 += c->tile_rows) {
            const uint32_t k1 = j->row1 - k0 < c->tile_rows ? j->row1 : k0 + c->tile_rows;
            const float *a = columns;
            size_t lda = k1 - k0;
            if (c->direct) {
                a = j->x + (size_t)(j->first + at) * c->ic + k0;
                lda = c->ic;
            } else {
                isgi_conv_gather(columns, c, j->x, j->first + at, pixels, group, k0, k1);
            }
            j->ctx->kernels.gemm_f32(dst + n0, j->ldd, a, lda, j->matrix + (size_t)(k0 - j->row0) * c->width + n0,
                                     c->width, pixels, n, k1 - k0, k0 > 0);
        }
    }
    if (j->last && c->strategy != ISG_STRATEGY_HALF)
        isgi_conv_epilogue(j->ctx, j->step, j->bias, j->first + at, pixels, from, to - from);
}

/* ---- the product in panels ---- */

typedef struct panels_job {
    const isg_rt_context *ctx;
    const isgi_conv *c;
    const float *matrix;
} panels_job;

/* Rows row0 .. of a panel, floats. */
static void copy_panel(const panels_job *j, float *dst, uint32_t from, uint32_t row0, uint32_t rows)
{
    const uint32_t left = j->c->width - from, n = left < ISGK_PANEL ? left : ISGK_PANEL;
    const float *src = j->matrix + from + (size_t)row0 * j->c->width;
    if (n < ISGK_PANEL) memset(dst, 0, (size_t)rows * ISGK_PANEL * sizeof *dst);
    for (uint32_t r = 0; r < rows; r++, src += j->c->width, dst += ISGK_PANEL) {
        if (n == ISGK_PANEL)
            memcpy(dst, src, ISGK_PANEL * sizeof *dst);
        else
            copy_short(dst, src, n);
    }
}

/* One panel of the matrix. */
static void panel_task(void *arg, uint32_t index, uint32_t worker)
{
    const panels_job *j = (const panels_job *)arg;
    const isgi_conv *c = j->c;
    float *dst = isgi_panel_rows(j->ctx, c, c->packed, c->k, index, 0), some[ISGI_ROUND_ROWS * ISGK_PANEL];
    (void)worker;
    if (!c->bf16) copy_panel(j, dst, index * ISGK_PANEL, 0, c->k);
    for (uint32_t r = 0; c->bf16 && r < c->k; r += ISGI_ROUND_ROWS, dst += (size_t)ISGI_ROUND_ROWS / 2 * ISGK_PANEL) {
        const uint32_t rows = c->k - r < ISGI_ROUND_ROWS ? c->k - r : ISGI_ROUND_ROWS;
        copy_panel(j, some, index * ISGK_PANEL, r, rows);
        isgi_panel_store(j->ctx, dst, some, rows);
    }
}

void isgi_conv_panels(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_conv *c = &step->conv;
    panels_job p = {ctx, c, isgi_conv_matrix(ctx, step)};
    isgi_run_few(ctx, (uint64_t)c->k * c->width, panel_task, &p, (c->width + ISGK_PANEL - 1) / ISGK_PANEL);
}

/* A strip of output pixels, finished. */
static void finish_task(void *arg, uint32_t index, uint32_t worker)
{
    const conv_job *j = (const conv_job *)arg;
    const isgi_conv *c = j->c;
    const uint64_t at = (uint64_t)index * c->strip;
    const uint32_t pixels = j->count - at < c->strip ? (uint32_t)(j->count - at) : c->strip;
    float *columns = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats + c->at_gather;
    float *dst = j->dst + (size_t)at * c->oc;
    const float *a = c->direct ? j->x + (size_t)at * c->ic : columns;
    const isgk_finish finish = isgi_finish_from(&j->finish, at);
    if (!c->direct) isgi_conv_gather(columns, c, j->x, at, pixels, 0, 0, c->k);
    isgi_multiply_panels(j->ctx, c, dst, c->oc, a, c->k, c->packed, pixels, c->oc, c->k, &finish);
    if (j->after) j->ctx->kernels.epilogue_f32(dst, c->oc, pixels, c->oc, NULL, j->after);
}

/* Input rows with their padding from row `iy` on, `count` of them. */
static void pad_rows(const isgi_conv *c, float *dst, const float *x, int64_t iy, uint32_t count)
{
    const size_t left = (size_t)c->window.left * c->ic, row = (size_t)c->iw * c->ic, line = (size_t)c->line * c->ic;
    for (int64_t end = iy + count; iy < end; iy++, dst += line) {
        const int in = iy >= 0 && iy < c->ih;
        memset(dst, 0, (in ? left : line) * sizeof *dst);
        if (!in) continue;
        memcpy(dst + left, x + (size_t)iy * row, row * sizeof *dst);
        memset(dst + left + row, 0, (line - left - row) * sizeof *dst);
    }
}

/* Output rows of one image from y0 on, no more than a task has, finished, from windows where they lie in rows of
 * pixels. */
static void lines_rows(const void *job, float *dst, uint32_t image, uint32_t y0, uint32_t rows, uint32_t worker)
{
    const conv_job *j = (const conv_job *)job;
    const isgi_conv *c = j->c;
    const isgi_window *g = &c->window;
    const size_t line = (size_t)(c->line ? c->line : c->iw) * c->ic;
    const isgk_runs runs = {(size_t)g->kw * c->ic, g->dh * line};
    const float *x = j->x + (size_t)image * c->ih * c->iw * c->ic;
    if (c->line) {
        float *padded = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats + c->at_gather;
        pad_rows(c, padded, x, (int64_t)y0 * g->sh - g->top, (rows - 1) * g->sh + (g->kh - 1) * g->dh + 1);
        x = padded;
    } else {
        x += (size_t)y0 * g->sh * line;
    }
    for (uint32_t y = 0; y < rows; y++) {
        const isgk_finish finish = isgi_finish_from(&j->finish, ((uint64_t)image * c->oh + y0 + y) * c->ow);
        float *to = dst + (size_t)y * c->ow * c->oc;
        j->ctx->kernels.gemm_panels_f32(to, c->oc, x + (size_t)y * g->sh * line, (size_t)g->sw * c->ic,
                                        j->ctx->scratch + c->packed, c->ow, c->oc, c->k, &finish, &runs, 0);
        if (j->after) j->ctx->kernels.epilogue_f32(to, c->oc, c->ow, c->oc, NULL, j->after);
    }
}

static void lines_task(void *arg, uint32_t index, uint32_t worker)
{
    const conv_job *j = (const conv_job *)arg;
    const isgi_conv *c = j->c;
    const uint32_t some = c->strip / c->ow, strips = (c->oh + some - 1) / some, image = index / strips;
    const uint32_t y = index % strips * some, rows = c->oh - y < some ? c->oh - y : some;
    lines_rows(j, j->dst + ((size_t)image * c->oh + y) * c->ow * c->oc, image, y, rows, worker);
}

static void run_panels(const isg_rt_context *ctx, conv_job *j)
{
    const isgi_conv *c = j->c;
    isgi_conv_panels(ctx, j->step);
    j->after = isgi_conv_finish(ctx, j->step, j->bias, &j->finish);
    j->count = (uint64_t)c->batch * c->oh * c->ow;
    j->dst = j->out;
    if (j->step->pooled.rows)
        isgi_pooled_run(ctx, j->step, lines_rows, j);
    else
        isgi_run_tasks(ctx, c->lined ? lines_task : finish_task, j, c->tasks);
}

/* out = half . V for one strip of a HALF span. */
static void expand_task(void *arg, uint32_t index, uint32_t worker)
{
    const conv_job *j = (const conv_job *)arg;
    const isgi_conv *c = j->c;
    const uint64_t at = (uint64_t)index * c->strip;
    const uint32_t pixels = j->count - at < c->strip ? (uint32_t)(j->count - at) : c->strip;
    float *out = j->out + (size_t)(j->first + at) * c->oc;
    (void)worker;
    j->ctx->kernels.gemm_f32(out, c->oc, j->dst + (size_t)at * c->width, c->width, j->v, c->oc, pixels, c->oc, c->width,
                             0);
    isgi_conv_epilogue(j->ctx, j->step, j->bias, j->first + at, pixels, 0, c->oc);
}

static void run_product(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    const isg_weight *w = &ctx->weights[step->op.weight];
    const uint64_t total = (uint64_t)c->batch * c->oh * c->ow;
    const int half = c->strategy == ISG_STRATEGY_HALF;
    conv_job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.c = c;
    j.w = w;
    j.step = step;
    j.x = ctx->tensors[step->op.inputs[0]].data;
    j.out = ctx->tensors[step->op.output].data;
    j.bias = bias;
    j.v = ctx->scratch + c->v;
    j.ldd = c->width;
    if (c->panels) {
        run_panels(ctx, &j);
        return;
    }
    for (j.first = 0; j.first < total; j.first += c->span) {
        const uint32_t rows = c->in_place ? c->k : c->tile_rows;
        j.count = total - j.first < c->span ? total - j.first : c->span;
        j.dst = half ? ctx->scratch + c->half : j.out + (size_t)j.first * c->oc;
        for (j.row0 = 0; j.row0 < c->k; j.row0 = j.row1) {
            j.row1 = c->k - j.row0 < rows ? c->k : j.row0 + rows;
            j.last = j.row1 == c->k;
            if (c->in_place) {
                j.matrix = (const float *)(const void *)w->basis.data;
            } else {
                make_rows(ctx, c, w, j.row0, j.row1 - j.row0);
                j.matrix = ctx->scratch + c->tile;
            }
            isgi_run_tasks(ctx, product_task, &j, (j.count + c->strip - 1) / c->strip * c->blocks);
        }
        if (half) isgi_run_tasks(ctx, expand_task, &j, (j.count + c->strip - 1) / c->strip);
    }
}

/* ---- all ways ---- */

const float *isgi_vector(const isg_rt_context *ctx, int32_t weight, float *dst)
{
    const isg_weight *w;
    if (weight < 0) return NULL;
    w = &ctx->weights[weight];
    if (isgi_lies_ready(w)) return (const float *)(const void *)w->basis.data;
    isgi_gen_dequant(&ctx->kernels, dst, &w->basis, 0, 1);
    return dst;
}

/* What a clamp can do is done in registers; another activation follows. */
const isgk_act *isgi_conv_finish(const isg_rt_context *ctx, const isgi_step *step, const float *bias,
                                 isgk_finish *finish)
{
    const isgk_act *act = &step->op.act;
    finish->bias = bias;
    finish->residual = step->residual >= 0 ? ctx->tensors[step->residual].data : NULL;
    finish->ldr = step->conv.oc;
    finish->lo = ISGI_MINUS_INFINITY;
    finish->hi = -ISGI_MINUS_INFINITY;
    if (act->kind == ISGK_ACT_RELU) {
        finish->lo = 0.0f;
    } else if (act->kind == ISGK_ACT_CLIP) {
        finish->lo = act->lo;
        finish->hi = act->hi;
    } else if (act->kind != ISGK_ACT_NONE) {
        return act;
    }
    return NULL;
}

void isgi_conv_epilogue(const isg_rt_context *ctx, const isgi_step *step, const float *bias, uint64_t first,
                        size_t pixels, uint32_t from, uint32_t n)
{
    const isgk_table *k = &ctx->kernels;
    const size_t channels = step->conv.oc, at = (size_t)first * channels + from;
    const size_t run = n == channels ? pixels : 1; /* pixels whose numbers follow each other */
    float *out = ctx->tensors[step->op.output].data + at;
    const float *residual;
    if (bias) bias += from;
    if (step->residual < 0) {
        k->epilogue_f32(out, channels, pixels, n, bias, &step->op.act);
        return;
    }
    residual = ctx->tensors[step->residual].data + at;
    if (bias) k->epilogue_f32(out, channels, pixels, n, bias, NULL);
    for (size_t p = 0; p < pixels; p += run)
        k->binary_f32(out + p * channels, out + p * channels, 1, residual + p * channels, 1, run * n, ISGK_BINARY_ADD);
    if (step->op.act.kind != ISGK_ACT_NONE) k->epilogue_f32(out, channels, pixels, n, NULL, &step->op.act);
}

isgk_finish isgi_finish_from(const isgk_finish *finish, uint64_t pixel)
{
    isgk_finish here = *finish;
    if (here.residual) here.residual += (size_t)pixel * here.ldr;
    return here;
}

void isgi_conv_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_conv *c = &step->conv;
    const isg_weight *w = &ctx->weights[step->op.weight];
    const float *bias;
    if (step->pair) {
        isgi_conv_pair(ctx, step);
        return;
    }
    bias = isgi_vector(ctx, step->op.vector, ctx->scratch + c->bias);
    if (c->fused.on) {
        isgi_conv_fused(ctx, step, bias);
        return;
    }
    if (c->winograd.tiles) {
        isgi_conv_winograd(ctx, step, bias);
        return;
    }
    if (c->parts) {
        isgi_conv_streamed(ctx, step, bias);
        return;
    }
    if (c->depthwise) {
        isgi_conv_depthwise(ctx, step, bias);
        return;
    }
    if (!c->panels) dequant_factors(ctx, c, w);
    run_product(ctx, step, bias);
}
