/* SPDX-License-Identifier: Apache-2.0 */
/* The fused way of a factored convolution: 1x1 with U, taps of the basis, 1x1 with V, over groups of output rows whose
 * intermediates stay in the cache. */
#include <string.h>

#include "rt/exec.h"
#include "rt/gen.h"
#include "rt/panels.h"

#define UNPACK_ROWS 256u /* rows of a panel a task unpacks */

typedef struct fused_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const isgi_conv *c;
    const isg_weight *w;
    const float *x;
    float *out;
    isgk_finish finish;
    const isgk_act *after; /* an activation that is not a clamp, applied afterwards */
    uint64_t share;        /* two passes: input pixels (rows where they lie apart) a task */
} fused_job;

/* ---- unpacking ---- */

static const isg_codes *first_factor(const isg_weight *w)
{
    return w->level1 ? &w->u : &w->basis;
}

/* Columns from .. from+count-1 of the padded matrix [rows][bases * list] of a factor with `bo` columns a base. */
static void unpack_padded(const fused_job *j, float *dst, size_t ldd, const isg_codes *codes, uint32_t row0,
                          uint32_t rows, uint32_t from, uint32_t count)
{
    /* Bases without padding between them are as one. */
    const uint32_t side = j->c->fused.list == j->w->bo ? j->c->fused.bases : 1, bases = j->c->fused.bases / side;
    const uint32_t list = side * j->c->fused.list, bo = side * j->w->bo, end = from + count;
    while (from < end) {
        const uint32_t base = from / list, o = from - base * list, left = list - o;
        const uint32_t n = base >= bases || end - from < left ? end - from : left;
        const uint32_t valid = base >= bases || o >= bo ? 0 : bo - o < n ? bo - o : n;
        isgi_gen_columns(&j->ctx->kernels, dst, ldd, codes, row0, rows, valid ? base * bo + o : 0, valid, n);
        dst += n;
        from += n;
    }
}

static uint32_t panels_of(uint32_t columns)
{
    return (columns + ISGK_PANEL - 1) / ISGK_PANEL;
}

static uint32_t blocks_of(uint32_t rows)
{
    return (rows + UNPACK_ROWS - 1) / UNPACK_ROWS;
}

typedef struct panel_rows {
    const isg_codes *codes;
    uint32_t row0, rows, from; /* of columns ISGK_PANEL wide */
    int padded;                /* bases lie padded in the panels */
    uint32_t columns;          /* of the matrix, padded so, from `from` on; what follows in the panel is 0 */
} panel_rows;

static void unpack_panel(const fused_job *j, float *dst, const panel_rows *r)
{
    const uint32_t padded = r->padded ? r->columns : 0, columns = r->columns - padded;
    if (padded) unpack_padded(j, dst, ISGK_PANEL, r->codes, r->row0, r->rows, r->from, padded);
    if (padded < ISGK_PANEL)
        isgi_gen_columns(&j->ctx->kernels, dst + padded, ISGK_PANEL, r->codes, r->row0, r->rows, columns ? r->from : 0,
                         columns, ISGK_PANEL - padded);
}

static void unpack_rounded(const fused_job *j, float *dst, panel_rows r)
{
    float some[ISGI_ROUND_ROWS * ISGK_PANEL];
    const uint32_t end = r.row0 + r.rows;
    for (; r.row0 < end; r.row0 += ISGI_ROUND_ROWS, dst += (size_t)ISGI_ROUND_ROWS / 2 * ISGK_PANEL) {
        r.rows = end - r.row0 < ISGI_ROUND_ROWS ? end - r.row0 : ISGI_ROUND_ROWS;
        unpack_panel(j, some, &r);
        isgi_panel_store(j->ctx, dst, some, r.rows);
    }
}

static void unpack_block(const fused_job *j, float *dst, const panel_rows *r)
{
    if (j->c->bf16)
        unpack_rounded(j, dst, *r);
    else
        unpack_panel(j, dst, r);
}

static void unpack_basis(const fused_job *j)
{
    unpack_padded(j, j->ctx->scratch + j->c->basis, j->c->fused.mid, &j->w->basis, 0, j->c->taps, 0, j->c->fused.mid);
}

/* Tasks in the order: panels of U by blocks of rows, panels of V by blocks of rows, the basis. */
static void unpack_task(void *arg, uint32_t index, uint32_t worker)
{
    const fused_job *j = (const fused_job *)arg;
    const isgi_conv *c = j->c;
    const uint32_t u_blocks = blocks_of(c->ic), u_tasks = panels_of(c->fused.mid) * u_blocks;
    const uint32_t v_blocks = blocks_of(j->w->bo), v_tasks = j->w->level2 ? panels_of(c->oc) * v_blocks : 0;
    const int second = index >= u_tasks;
    const uint32_t k = second ? j->w->bo : c->ic, task = second ? index - u_tasks : index;
    const uint32_t panel = task / (second ? v_blocks : u_blocks),
                   row0 = task % (second ? v_blocks : u_blocks) * UNPACK_ROWS;
    const uint32_t from = panel * ISGK_PANEL, left = (second ? c->oc : c->fused.mid) - from;
    const panel_rows r = {
        second ? &j->w->v : first_factor(j->w), row0, k - row0 < UNPACK_ROWS ? k - row0 : UNPACK_ROWS, from, !second,
        left < ISGK_PANEL ? left : ISGK_PANEL};
    float *dst = isgi_panel_rows(j->ctx, c, second ? c->v : c->u, k, panel, row0);
    (void)worker;
    if (index >= u_tasks + v_tasks)
        unpack_basis(j);
    else
        unpack_block(j, dst, &r);
}

static void unpack_factors(fused_job *j)
{
    const isgi_conv *c = j->c;
    uint64_t tasks = (uint64_t)panels_of(c->fused.mid) * blocks_of(c->ic);
    if (j->w->level2) tasks += (uint64_t)panels_of(c->oc) * blocks_of(j->w->bo);
    isgi_run_few(j->ctx, (uint64_t)c->fused.mid * c->ic + (uint64_t)c->oc * j->w->bo, unpack_task, j,
                 tasks + (j->w->level1 ? 1 : 0));
}

/* ---- the three products ---- */

/* Products with U of `count` pixels that follow each other `x_pixel` floats apart. */
static void multiply_u(const fused_job *j, float *mid, const float *x, size_t count)
{
    const isgi_fused *f = &j->c->fused;
    isgi_multiply_panels(j->ctx, j->c, mid, f->mid, x, f->x_pixel, j->c->u, count, f->mid, j->c->ic, NULL);
}

static const float *input_row(const fused_job *j, uint32_t image, uint32_t row)
{
    return j->x + (size_t)image * j->c->ih * j->c->iw * j->c->ic + row * j->c->fused.x_row;
}

static int rows_follow(const isgi_fused *f)
{
    return f->x_row == (size_t)f->iw * f->x_pixel;
}

/* Input rows from .. to-1 of an image into their places in the ring. */
static void fill_ring(const fused_job *j, uint32_t image, uint32_t from, uint32_t to, float *ring)
{
    const isgi_fused *f = &j->c->fused;
    const size_t row = (size_t)f->iw * f->mid;
    while (from < to) {
        const uint32_t slot = from % f->ring, room = f->ring - slot, left = to - from;
        const uint32_t rows = !rows_follow(f) ? 1 : left < room ? left : room;
        multiply_u(j, ring + slot * row, input_row(j, image, from), (size_t)rows * f->iw);
        from += rows;
    }
}

/* Sums over the taps of the basis for output row y. */
static void sum_taps(const fused_job *j, float *dst, size_t ldd, uint32_t channels, uint32_t y, const float *ring,
                     float *part, const isgk_finish *finish)
{
    const isgi_conv *c = j->c;
    const isgi_fused *f = &c->fused;
    const isgi_window *win = &c->window;
    const float **rows = (const float **)(void *)(part + c->at_taps);
    const isgk_dwrow g = {rows,    j->ctx->scratch + c->basis,
                          f->list, win->kh,
                          win->kw, f->bases,
                          f->iw,   f->mid,
                          f->list, f->sw,
                          win->dw, win->left};
    for (uint32_t ky = 0; ky < win->kh; ky++) {
        const int64_t iy = (int64_t)y * f->sh - win->top + (int64_t)ky * win->dh;
        rows[ky] = iy < 0 || iy >= f->ih ? NULL : ring + (size_t)(iy % f->ring) * f->iw * f->mid;
    }
    j->ctx->kernels.dwrow_f32(dst, ldd, &g, c->ow, channels, finish);
}

/* Output rows y0 .. y1-1, at most one group, from a filled ring. */
static void finish_rows(const fused_job *j, uint32_t image, uint32_t y0, uint32_t y1, const float *ring, float *part)
{
    const isgi_conv *c = j->c;
    const isgi_fused *f = &c->fused;
    const uint64_t first = ((uint64_t)image * c->oh + y0) * c->ow;
    const size_t pixels = (size_t)(y1 - y0) * c->ow;
    const float *sums = part + c->at_sums;
    float *out = j->out + (size_t)first * c->oc;
    const isgk_finish finish = isgi_finish_from(&j->finish, first);
    for (uint32_t y = y0; y < y1 && !j->w->level2; y++) {
        const size_t at = (size_t)(y - y0) * c->ow;
        const isgk_finish here = isgi_finish_from(&finish, at);
        sum_taps(j, out + at * c->oc, c->oc, c->oc, y, ring, part, &here);
    }
    if (j->w->level1 && j->w->level2) {
        for (uint32_t y = y0; y < y1; y++)
            sum_taps(j, part + c->at_sums + (size_t)(y - y0) * c->ow * f->list, f->list, f->list, y, ring, part, NULL);
        isgi_multiply_panels(j->ctx, c, out, c->oc, sums, f->list, c->v, pixels, c->oc, j->w->bo, &finish);
    }
    for (uint32_t y = y0; y < y1 && !j->w->level1;) { /* 1x1: the rows in the ring are the sums */
        const uint32_t slot = y % f->ring, rows = y1 - y < f->ring - slot ? y1 - y : f->ring - slot;
        const size_t at = (size_t)(y - y0) * c->ow;
        const isgk_finish here = isgi_finish_from(&finish, at);
        isgi_multiply_panels(j->ctx, c, out + at * c->oc, c->oc, ring + (size_t)slot * f->iw * f->mid, f->mid, c->v,
                             (size_t)rows * c->ow, c->oc, j->w->bo, &here);
        y += rows;
    }
    if (j->after) j->ctx->kernels.epilogue_f32(out, c->oc, pixels, c->oc, NULL, j->after);
}

/* First and one past the last input row that output rows y0 .. y1-1 read. */
static void rows_read(const isgi_conv *c, uint32_t y0, uint32_t y1, uint32_t *from, uint32_t *to)
{
    const int64_t top = (int64_t)y0 * c->fused.sh - c->window.top;
    const int64_t bottom =
        (int64_t)(y1 - 1) * c->fused.sh - c->window.top + (int64_t)(c->window.kh - 1) * c->window.dh + 1;
    *from = top < 0 ? 0 : (uint32_t)top;
    *to = bottom < 0 ? 0 : bottom > c->fused.ih ? c->fused.ih : (uint32_t)bottom;
}

static void strip_task(void *arg, uint32_t index, uint32_t worker)
{
    const fused_job *j = (const fused_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_fused *f = &c->fused;
    const uint32_t image = index / f->strips, height = (c->oh + f->strips - 1) / f->strips;
    const uint32_t begin = index % f->strips * height, end = c->oh - begin < height ? c->oh : begin + height;
    float *part = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats;
    float *ring = f->two_pass ? j->ctx->scratch + c->half + (size_t)image * f->ih * f->iw * f->mid : part + c->at_mid;
    uint32_t filled = 0;
    if (begin >= c->oh) return;
    for (uint32_t y = begin; y < end;) {
        const uint32_t next = end - y < f->group ? end : y + f->group;
        uint32_t from, to;
        rows_read(c, y, next, &from, &to);
        if (from < filled) from = filled;
        if (!f->two_pass && from < to) fill_ring(j, image, from, to, ring);
        if (to > filled) filled = to;
        finish_rows(j, image, y, next, ring, part);
        y = next;
    }
}

/* Products with U of a share of all pixels (of all rows where they lie apart). */
static void share_task(void *arg, uint32_t index, uint32_t worker)
{
    const fused_job *j = (const fused_job *)arg;
    const isgi_fused *f = &j->c->fused;
    const uint64_t all = (uint64_t)j->c->batch * f->ih * f->iw, begin = index * j->share;
    const uint64_t count = all - begin < j->share ? all - begin : j->share;
    (void)worker;
    if (begin < all)
        multiply_u(j, j->ctx->scratch + j->c->half + (size_t)begin * f->mid, j->x + (size_t)begin * f->x_pixel,
                   (size_t)count);
}

/* ---- by columns: each factor is read by one task, and what crosses between cores are the products ---- */

/* Columns from .. from+n-1 of a factor to panels from number `first` on, and what follows them there is 0. Returns
 * where they are in the scratch. */
static size_t unpack_columns(const fused_job *j, int second, uint32_t first, uint32_t from, uint32_t n)
{
    const isgi_conv *c = j->c;
    const uint32_t k = second ? j->w->bo : c->ic;
    const size_t at = second ? c->v : c->u;
    for (uint32_t p = 0; p < n; p += ISGK_PANEL) {
        const uint32_t left = n - p < ISGK_PANEL ? n - p : ISGK_PANEL;
        const panel_rows r = {second ? &j->w->v : first_factor(j->w), 0, k, from + p, !second, left};
        unpack_block(j, isgi_panel_rows(j->ctx, c, at, k, first + p / ISGK_PANEL, 0), &r);
    }
    return (size_t)(isgi_panel_rows(j->ctx, c, at, k, first, 0) - j->ctx->scratch);
}

static void u_columns_task(void *arg, uint32_t index, uint32_t worker)
{
    const fused_job *j = (const fused_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_fused *f = &c->fused;
    const uint32_t from = index * f->u_columns, left = f->mid - from, n = left < f->u_columns ? left : f->u_columns;
    const size_t at = unpack_columns(j, 0, index * panels_of(f->u_columns), from, n);
    const uint32_t rows = c->batch * f->ih, run = rows_follow(f) ? rows : 1;
    float *mid = j->ctx->scratch + c->half + from;
    (void)worker;
    if (!index && j->w->level1) unpack_basis(j);
    for (uint32_t r = 0; r < rows; r += run, mid += (size_t)f->iw * f->mid)
        isgi_multiply_panels(j->ctx, c, mid, f->mid, input_row(j, r / f->ih, r % f->ih), f->x_pixel, at,
                             (size_t)run * f->iw, n, c->ic, NULL);
}

static void v_columns_task(void *arg, uint32_t index, uint32_t worker)
{
    const fused_job *j = (const fused_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_fused *f = &c->fused;
    const uint32_t from = index * f->v_columns, left = c->oc - from, n = left < f->v_columns ? left : f->v_columns;
    const size_t at = unpack_columns(j, 1, from / ISGK_PANEL, from, n), pixels = (size_t)c->batch * c->oh * c->ow;
    const float *mid = j->ctx->scratch + c->half, *sums = mid;
    float *part = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats, *out = j->out + from;
    isgk_finish finish = j->finish;
    if (finish.bias) finish.bias += from;
    if (finish.residual) finish.residual += from;
    for (uint32_t i = 0, rows = j->w->level1 ? c->batch * c->oh : 0; i < rows; i++)
        sum_taps(j, part + c->at_sums + (size_t)i * c->ow * f->list, f->list, f->list, i % c->oh,
                 mid + (size_t)(i / c->oh) * f->ih * f->iw * f->mid, part, NULL);
    if (j->w->level1) sums = part + c->at_sums;
    isgi_multiply_panels(j->ctx, c, out, c->oc, sums, f->list, at, pixels, n, j->w->bo, &finish);
    if (j->after) j->ctx->kernels.epilogue_f32(out, c->oc, pixels, n, NULL, j->after);
}

void isgi_conv_fused(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    fused_job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.step = step;
    j.c = c;
    j.w = &ctx->weights[step->op.weight];
    j.x = ctx->tensors[step->op.inputs[0]].data;
    j.out = ctx->tensors[step->op.output].data;
    j.after = isgi_conv_finish(ctx, step, bias, &j.finish);
    if (c->fused.u_columns) {
        isgi_run_tasks(ctx, u_columns_task, &j, (c->fused.mid + c->fused.u_columns - 1) / c->fused.u_columns);
        isgi_run_tasks(ctx, v_columns_task, &j, c->tasks);
        return;
    }
    unpack_factors(&j);
    if (c->fused.two_pass) {
        const uint64_t all = (uint64_t)c->batch * c->fused.ih * c->fused.iw,
                       tasks = ISGI_SHARES * ctx->parallel.workers;
        j.share = (all + tasks - 1) / tasks;
        isgi_run_tasks(ctx, share_task, &j, (all + j.share - 1) / j.share);
    }
    isgi_run_tasks(ctx, strip_task, &j, (uint64_t)c->batch * c->fused.strips);
}
