/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions with factored weights run as they are stored: U, basis (depthwise, summed over bi), V; no weight made.
 */
#include "train/net_impl.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/dnn.h"
#include "train/taps.h"

#include <string.h>

/* Pixels that go through all products at least, where the chunk has them: the gradients of factors are sums over them,
 * and short sums run slowly; long ones leave the cache. */
#define TILE_PIXELS 1024
#define BLOCK_ROWS 96u /* rows of the left side of a product with a factor */

/* SPEC section 2 in another order of summation, x a pixel's channels:
 *   z[q] = x[q] . U;   d[p][o] = sum_t sum_i basis[t][i*bo + o] z[q(p,t)][i*bo + o];   y[p] = d[p] . V
 * Level 2 alone (taps 1): d = x . basis. Level 1 alone: y = d. A trainable network keeps z and d of
 * the whole batch for backward. */
/* A factor as the right side of a product, and its transpose for gradients; both in panels. */
typedef struct operand {
    float *panels, *transposed; /* transposed: only where gradients are asked for */
    size_t rows, cols;
} operand;

typedef struct factored_impl {
    isgi_taps taps;
    operand right[3]; /* basis (without level 1), U, V; rows 0: not one */
    uint32_t bi, bo, ci, co, in_pixels, out_pixels, tile;
    uint8_t level1, level2, gather; /* gather: a 1x1 with a stride */
    float *kept;                    /* trainable: a chunk's z of all samples, then its d; else NULL */
    size_t z_size, d_size;          /* floats a sample */
    int32_t *lists;                 /* those of taps */
    /* offsets in the spare memory of a chunk; z doubles as gathered x, dz as its dx */
    size_t taps_room, z, d, dd, dz;
    size_t part[3], part_bias, part_floats;
} factored_impl;

/* ---- products ---- */

static size_t panel_floats(size_t rows, size_t cols)
{
    return (cols + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL * rows;
}

static isg_status make_operand(operand *o, size_t rows, size_t cols, int transposed, isg_error *err)
{
    const size_t ahead = panel_floats(rows, cols), back = transposed ? panel_floats(cols, rows) : 0;
    o->rows = rows;
    o->cols = cols;
    o->panels = isgi_calloc(ahead + back + 1, sizeof(float)); /* zeros behind the last column stay */
    if (!o->panels) return isgi_nomem(err);
    if (transposed) o->transposed = o->panels + ahead;
    return ISG_OK;
}

static void factored_refresh(isgi_net *net, isgi_netop *op, uint32_t stream)
{
    const factored_impl *f = op->impl;
    (void)stream;
    for (int k = 0; k < 3; k++) {
        const operand *o = &f->right[k];
        const float *q = net->weights[op->weight].q[k];
        for (size_t j = 0; o->rows && j < o->cols; j += ISGK_PANEL) {
            const size_t n = o->cols - j < ISGK_PANEL ? o->cols - j : ISGK_PANEL;
            float *panel = o->panels + j * o->rows;
            for (size_t r = 0; r < o->rows; r++) memcpy(panel + r * ISGK_PANEL, q + r * o->cols + j, n * sizeof *q);
        }
        for (size_t j = 0; o->transposed && j < o->rows; j += ISGK_PANEL) {
            const size_t n = o->rows - j < ISGK_PANEL ? o->rows - j : ISGK_PANEL;
            net->kernels.transpose_f32(o->transposed + j * o->cols, ISGK_PANEL, q + j * o->cols, o->cols, n, o->cols);
        }
    }
}

/* C[m][n] = A[m][k] . panels (+ C), by blocks of rows that stay in the nearest caches while the panels pass. */
static void multiply_panels(const isgi_net *net, float *c, const float *a, const float *panels, size_t m, size_t n,
                            size_t k, int add)
{
    for (size_t r = 0; r < m; r += BLOCK_ROWS) {
        const size_t rows = m - r < BLOCK_ROWS ? m - r : BLOCK_ROWS;
        net->kernels.gemm_panels_f32(c + r * n, n, a + r * k, k, panels, rows, n, k, NULL, NULL, add);
    }
}

/* C[m][cols] = A[m][rows] . Q */
static void multiply(const isgi_net *net, const operand *q, size_t m, const float *a, float *c)
{
    multiply_panels(net, c, a, q->panels, m, q->cols, q->rows, 0);
}

/* C[m][rows] = A[m][cols] . Qt (+ C) */
static void multiply_back(const isgi_net *net, const operand *q, size_t m, const float *a, int add, float *c)
{
    multiply_panels(net, c, a, q->transposed, m, q->rows, q->cols, add);
}

/* dQ[m][n] = At . B (+ dQ) of `rows` rows of both */
static void multiply_gradient(isgi_net *net, size_t m, size_t n, size_t rows, const float *a, const float *b, int add,
                              float *dq)
{
    const dnnl_status_t ok = isgi_dnn_sgemm('T', 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)rows, 1.0f, a,
                                            (dnnl_dim_t)m, b, (dnnl_dim_t)n, add ? 1.0f : 0.0f, dq, (dnnl_dim_t)n);
    if (ok != dnnl_success) atomic_store(&net->failed, 1);
}

/* ---- a tile of samples ---- */

static float *z_of(const isgi_net *net, const factored_impl *f, uint32_t chunk, uint32_t s)
{
    if (!f->kept) return isgi_net_spare(net, chunk) + f->z;
    return f->kept + chunk * net->chunk_cap * (f->z_size + f->d_size) + s * f->z_size;
}

static float *d_of(const isgi_net *net, const factored_impl *f, uint32_t chunk, uint32_t s)
{
    if (!f->kept) return isgi_net_spare(net, chunk) + f->d;
    return f->kept + (chunk * (f->z_size + f->d_size) + f->z_size) * net->chunk_cap + s * f->d_size;
}

/* From x to d (which is y where level 2 is off) for n samples. */
static void to_middle(isgi_net *net, const isgi_netop *op, uint32_t chunk, const float *x, uint32_t n, float *z,
                      float *d)
{
    const factored_impl *f = op->impl;
    const size_t width = (size_t)f->bi * f->bo;
    if (f->level1) {
        const float *basis = net->weights[op->weight].q[0];
        float *room = isgi_net_spare(net, chunk) + f->taps_room;
        multiply(net, &f->right[1], (size_t)n * f->in_pixels, x, z);
        for (uint32_t s = 0; s < n; s++) {
            float *to = d + (size_t)s * f->out_pixels * f->bo;
            isgi_taps_forward(&f->taps, &net->kernels, to, z + s * f->in_pixels * width, basis, room);
        }
        return;
    }
    for (uint32_t s = 0; f->gather && s < n; s++) {
        for (uint32_t p = 0; p < f->out_pixels; p++) {
            float *to = z + ((size_t)s * f->out_pixels + p) * f->ci;
            if (f->taps.source[p] < 0) {
                memset(to, 0, f->ci * sizeof *to);
            } else {
                memcpy(to, x + ((size_t)s * f->in_pixels + (size_t)f->taps.source[p]) * f->ci, f->ci * sizeof *to);
            }
        }
    }
    if (f->gather) x = z;
    multiply(net, &f->right[0], (size_t)n * f->out_pixels, x, d);
}

static void add_bias_rows(float *y, const float *bias, size_t rows, size_t co)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < co; o++) y[r * co + o] += bias[o];
    }
}

static void factored_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const factored_impl *f = op->impl;
    const uint32_t count = isgi_chunk_count(net, chunk);
    const size_t in_size = (size_t)f->in_pixels * f->ci, out_size = (size_t)f->out_pixels * f->co;
    const float *x = isgi_act_data(net, op->in[0], chunk);
    float *y = isgi_act_data(net, op->out, chunk);
    for (uint32_t s = 0; s < count; s += f->tile) {
        const uint32_t n = count - s < f->tile ? count - s : f->tile;
        const size_t rows = (size_t)n * f->out_pixels;
        float *ys = y + s * out_size, *d = f->level2 ? d_of(net, f, chunk, s) : ys;
        to_middle(net, op, chunk, x + s * in_size, n, z_of(net, f, chunk, s), d);
        if (f->level2) multiply(net, &f->right[2], rows, d, ys);
        if (op->bias >= 0) add_bias_rows(ys, net->param_list[op->bias].w, rows, f->co);
    }
}

/* Sums dx of a 1x1 with a stride back to the pixels it was taken from; `fresh`: the others are 0. */
static void scatter_rows(const factored_impl *f, float *dx, const float *from, uint32_t n, int fresh)
{
    const size_t in_size = (size_t)f->in_pixels * f->ci;
    if (fresh) memset(dx, 0, n * in_size * sizeof *dx);
    for (uint32_t s = 0; s < n; s++) {
        for (uint32_t p = 0; p < f->out_pixels; p++) {
            const float *src = from + ((size_t)s * f->out_pixels + p) * f->ci;
            float *to = dx + s * in_size + (size_t)(f->taps.source[p] < 0 ? 0 : f->taps.source[p]) * f->ci;
            for (uint32_t c = 0; f->taps.source[p] >= 0 && c < f->ci; c++) to[c] += src[c];
        }
    }
}

static void tile_backward(isgi_net *net, isgi_netop *op, uint32_t chunk, uint32_t s, uint32_t n)
{
    const factored_impl *f = op->impl;
    const size_t in_rows = (size_t)n * f->in_pixels, rows = (size_t)n * f->out_pixels, width = (size_t)f->bi * f->bo;
    float *spare = isgi_net_spare(net, chunk), *partial = isgi_net_partial(net, chunk);
    const float *dy = isgi_act_grad(net, op->out, chunk) + (size_t)s * f->out_pixels * f->co, *dd = dy;
    const float *x = isgi_act_data(net, op->in[0], chunk) + (size_t)s * f->in_pixels * f->ci;
    const float *z = z_of(net, f, chunk, s), *d = d_of(net, f, chunk, s);
    float *dx = NULL, *dz = spare + f->dz;
    const float *basis = net->weights[op->weight].q[0];
    if (isgi_op_needs(net, op, 0)) dx = isgi_act_grad(net, op->in[0], chunk) + (size_t)s * f->in_pixels * f->ci;
    if (f->level2) {
        multiply_gradient(net, f->bo, f->co, rows, d, dy, s > 0, partial + f->part[2]);
        multiply_back(net, &f->right[2], rows, dy, 0, spare + f->dd);
        dd = spare + f->dd;
    }
    if (!f->level1) {
        multiply_gradient(net, f->ci, f->bo, rows, f->gather ? z : x, dd, s > 0, partial + f->part[0]);
        if (dx && !f->gather) multiply_back(net, &f->right[0], rows, dd, op->accumulate[0], dx);
        if (dx && f->gather) multiply_back(net, &f->right[0], rows, dd, 0, dz);
        if (dx && f->gather) scatter_rows(f, dx, dz, n, !op->accumulate[0]);
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        const size_t at = k * f->in_pixels * width;
        const float *ddk = dd + (size_t)k * f->out_pixels * f->bo;
        isgi_taps_data_gradient(&f->taps, &net->kernels, dz + at, ddk, basis, spare + f->taps_room);
        isgi_taps_basis_gradient(&f->taps, partial + f->part[0], ddk, z + at, in_rows * width - at,
                                 spare + f->taps_room);
    }
    multiply_gradient(net, f->ci, width, in_rows, x, dz, s > 0, partial + f->part[1]);
    if (dx) multiply_back(net, &f->right[1], in_rows, dz, op->accumulate[0], dx);
}

static void factored_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const factored_impl *f = op->impl;
    const uint32_t count = isgi_chunk_count(net, chunk);
    float *partial = isgi_net_partial(net, chunk);
    if (count == 0) return;
    memset(partial, 0, f->part_floats * sizeof *partial);
    for (uint32_t s = 0; s < count; s += f->tile) {
        tile_backward(net, op, chunk, s, count - s < f->tile ? count - s : f->tile);
    }
    if (op->bias >= 0) {
        const float *dy = isgi_act_grad(net, op->out, chunk);
        for (size_t r = 0; r < (size_t)count * f->out_pixels; r++) {
            for (uint32_t o = 0; o < f->co; o++) partial[f->part_bias + o] += dy[r * f->co + o];
        }
    }
}

static void factored_reduce(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const factored_impl *f = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const isg_factor *all[3] = {&w->f.basis, &w->f.u, &w->f.v};
    for (int k = 0; k < 3; k++) {
        size_t begin, end;
        if (w->master[k] < 0) continue;
        isgi_slice(net, (size_t)all[k]->rows * all[k]->cols, chunk, &begin, &end);
        isgi_reduce_partials(net, w->dq[k], f->part[k], begin, end);
    }
    if (chunk == 0 && op->bias >= 0) {
        const isgi_param *b = &net->param_list[op->bias];
        isgi_reduce_partials(net, b->g, f->part_bias, 0, b->count);
    }
}

static void factored_reduced(isgi_net *net, isgi_netop *op)
{
    (void)net;
    (void)op;
}

static void factored_destroy(isgi_netop *op)
{
    factored_impl *f = op->impl;
    if (f) isg_free(f->kept);
    for (int k = 0; f && k < 3; k++) isg_free(f->right[k].panels);
    if (f) isg_free(f->lists);
    isg_free(f);
    op->impl = NULL;
}

static const isgi_opvt factored_vt = {.refresh = factored_refresh,
                                      .forward = {factored_forward, NULL},
                                      .backward = {factored_backward, factored_reduce},
                                      .backward_join = {NULL, factored_reduced},
                                      .destroy = factored_destroy};

/* ---- set-up ---- */

static uint64_t pixels_of(const isgi_act *a)
{
    return a->size / (uint64_t)a->dims[1];
}

int isgi_factored_fits(const isgi_net *net, const isgi_netop *op)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_factors *f = &w->f;
    const uint64_t in = pixels_of(x), out = pixels_of(y), width = (uint64_t)f->bi * f->bo;
    uint64_t made, factored;
    if (!w->factored || w->uses > 1 || f->depthwise || op->attr.conv.groups > 1 || x->rank > 4) return 0;
    if (net->execution == ISG_EXECUTION_GENERATE || (!f->level1 && (!f->level2 || f->taps > 1))) return 0;
    if (in > INT32_MAX || out > INT32_MAX || f->ci != (uint64_t)x->dims[1] || f->co != (uint64_t)y->dims[1]) return 0;
    if (net->execution == ISG_EXECUTION_FACTORED) return 1;
    made = out * f->taps * f->ci * f->co;
    factored = f->level1 ? in * f->ci * width + out * f->taps * width : out * f->ci * f->bo;
    if (f->level2) factored += out * f->bo * f->co;
    return factored < made;
}

static void set_window(const isgi_net *net, const isgi_netop *op, isgi_taps *w)
{
    const isg_conv_attr *a = &op->attr.conv;
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_value *v = &net->graph->values[net->weights[op->weight].value];
    const int n = x->rank - 2;
    for (int k = 0; k < 2; k++) {
        w->in[k] = w->out[k] = w->kernel[k] = w->stride[k] = w->dilation[k] = 1;
        w->pad[k] = 0;
    }
    for (int k = 0; k < n; k++) {
        const int to = k + 2 - n;
        w->in[to] = (size_t)x->dims[k + 2];
        w->out[to] = (size_t)y->dims[k + 2];
        w->kernel[to] = (size_t)v->dims[k + 2];
        w->stride[to] = a->stride[k] > 0 ? (size_t)a->stride[k] : 1;
        w->dilation[to] = a->dilation[k] > 0 ? (size_t)a->dilation[k] : 1;
        w->pad[to] = (size_t)a->pads[k];
    }
}

void isgi_conv_taps(const isgi_net *net, const isgi_netop *op, int32_t *source, int32_t *reader)
{
    const size_t taps = net->weights[op->weight].taps;
    isgi_taps w;
    set_window(net, op, &w);
    for (size_t i = 0; i < w.in[0] * w.in[1] * taps; i++) reader[i] = -1;
    for (size_t i = 0; i < w.out[0] * w.out[1] * taps; i++) {
        const size_t p = i / taps, t = i % taps;
        /* what lies before the first row or column wraps to a large number */
        const size_t r = p / w.out[1] * w.stride[0] + t / w.kernel[1] * w.dilation[0] - w.pad[0];
        const size_t c = p % w.out[1] * w.stride[1] + t % w.kernel[1] * w.dilation[1] - w.pad[1];
        const int inside = r < w.in[0] && c < w.in[1];
        source[i] = inside ? (int32_t)(r * w.in[1] + c) : -1;
        if (inside) reader[(size_t)source[i] * taps + t] = (int32_t)p;
    }
}

static size_t take(size_t *at, size_t floats)
{
    const size_t here = *at;
    *at += (floats + 15) / 16 * 16;
    return here;
}

static void plan_factored_memory(isgi_net *net, const isgi_netop *op, factored_impl *f)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t in = (size_t)f->tile * f->in_pixels, out = (size_t)f->tile * f->out_pixels;
    const size_t z = f->level1 ? in * f->bi * f->bo : f->gather ? out * f->ci : 0;
    size_t at = 0;
    f->taps_room = take(&at, f->level1 ? isgi_taps_spare(&f->taps) : 0);
    if (!f->kept) f->z = take(&at, z);
    if (!f->kept) f->d = take(&at, out * f->bo);
    if (net->trainable) {
        f->dd = take(&at, f->level2 ? out * f->bo : 0);
        f->dz = take(&at, z);
    }
    isgi_net_want(net, 0, at);
    at = 0;
    f->part[0] = take(&at, (size_t)w->f.basis.rows * w->f.basis.cols);
    f->part[1] = take(&at, (size_t)w->f.u.rows * w->f.u.cols);
    f->part[2] = take(&at, (size_t)w->f.v.rows * w->f.v.cols);
    f->part_bias = take(&at, op->bias >= 0 ? f->co : 0);
    f->part_floats = at;
    if (net->trainable) isgi_net_want(net, at, 0);
}

static isg_status list_taps(const isgi_net *net, const isgi_netop *op, factored_impl *f, isg_error *err)
{
    const size_t taps = net->weights[op->weight].f.taps, sources = f->out_pixels * taps;
    f->lists = isgi_malloc((sources + f->in_pixels * taps) * sizeof *f->lists);
    if (!f->lists) return isgi_nomem(err);
    isgi_conv_taps(net, op, f->lists, f->lists + sources);
    set_window(net, op, &f->taps);
    f->taps.bi = f->bi;
    f->taps.bo = f->bo;
    f->taps.source = f->lists;
    f->taps.reader = f->lists + sources;
    return ISG_OK;
}

static isg_status make_operands(const isgi_net *net, factored_impl *f, isg_error *err)
{
    const size_t width = (size_t)f->bi * f->bo;
    if (f->level1) {
        ISGI_TRY(make_operand(&f->right[1], f->ci, width, net->trainable, err));
    } else {
        ISGI_TRY(make_operand(&f->right[0], f->ci, f->bo, net->trainable, err));
    }
    return f->level2 ? make_operand(&f->right[2], f->bo, f->co, net->trainable, err) : ISG_OK;
}

isg_status isgi_build_factored(isgi_net *net, isgi_netop *op, isg_error *err)
{
    const isg_factors *w = &net->weights[op->weight].f;
    factored_impl *f = isgi_calloc(1, sizeof *f);
    if (!f) return isgi_nomem(err);
    op->impl = f;
    op->vt = &factored_vt;
    f->bi = w->level1 ? w->bi : 1;
    f->bo = w->level2 ? w->bo : w->co;
    f->ci = w->ci;
    f->co = w->co;
    f->level1 = w->level1;
    f->level2 = w->level2;
    f->in_pixels = (uint32_t)pixels_of(&net->acts[op->in[0]]);
    f->out_pixels = (uint32_t)pixels_of(&net->acts[op->out]);
    f->tile = TILE_PIXELS / f->in_pixels < 1 ? 1 : TILE_PIXELS / f->in_pixels;
    if (f->tile > net->chunk_cap) f->tile = net->chunk_cap;
    ISGI_TRY(list_taps(net, op, f, err));
    for (uint32_t p = 0; !f->level1 && p < f->out_pixels; p++) f->gather |= f->taps.source[p] != (int32_t)p;
    if (f->in_pixels != f->out_pixels && !f->level1) f->gather = 1;
    f->z_size = f->level1 ? (size_t)f->in_pixels * f->bi * f->bo : f->gather ? (size_t)f->out_pixels * f->ci : 0;
    f->d_size = f->level2 ? (size_t)f->out_pixels * f->bo : 0;
    if (net->trainable) {
        f->kept = isgi_calloc((f->z_size + f->d_size) * net->chunk_cap * net->chunks + 1, sizeof *f->kept);
        if (!f->kept) return isgi_nomem(err);
    }
    ISGI_TRY(make_operands(net, f, err));
    plan_factored_memory(net, op, f);
    return ISG_OK;
}
