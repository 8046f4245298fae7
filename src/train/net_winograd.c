/* SPDX-License-Identifier: Apache-2.0 */
/* Dense 3x3 convolutions of stride 1 and 2 by Winograd's algorithm: a quarter, or 0.56, of the multiplications. */
#include "train/net.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/dnn.h"
#include "train/winograd.h"

#include <string.h>

/* Tiles a block: its V and M stay in the caches, and the products are tall enough to run fast. */
#define BLOCK_TILES 64u
#define BLOCK_TILES_STRIDED 32u

typedef struct winograd_impl {
    isgi_winograd g;
    uint32_t block;
    float *panels[2];     /* U of all points in panels: for V . U, and for dM . Ut */
    size_t panel_step[2]; /* floats from one point to the next, of the panels */
    size_t u_step;        /* and of dU */
    size_t v, m, du;      /* by samples: offsets in the spare memory of a chunk */
    size_t part_bias;     /* by samples: offset behind dw in the partial sums */
} winograd_impl;

/* ---- weights ---- */

static void winograd_refresh(isgi_net *net, isgi_netop *op, uint32_t stream)
{
    const winograd_impl *c = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t ci = c->g.ci, co = c->g.co;
    /* strides of an input channel, an output channel and a tap in the weight's own order */
    const size_t in = w->factored ? co : 9, out = w->factored ? 1 : 9 * ci, tap = w->factored ? ci * co : 1;
    (void)stream;
    isgi_winograd_weights(c->g.side, c->panels[0], c->panel_step[0], w->w, ci, co, in, out, tap);
    if (c->panels[1]) isgi_winograd_weights(c->g.side, c->panels[1], c->panel_step[1], w->w, co, ci, out, in, tap);
}

/* ---- products ---- */

/* M = V . U or dV = dM . Ut at one kind of points */
static void multiply(isgi_net *net, const winograd_impl *c, int back, uint32_t kind, const isgi_points *from,
                     const isgi_points *to)
{
    const uint32_t i = kind / ISGI_WINOGRAD_KINDS, j = kind % ISGI_WINOGRAD_KINDS;
    const size_t rows = (size_t)isgi_winograd_members(c->g.side, i) * isgi_winograd_members(c->g.side, j) * from->rows;
    net->kernels.gemm_panels_f32(to->data + isgi_winograd_kind_at(c->g.side, to, i, j), to->channels,
                                 from->data + isgi_winograd_kind_at(c->g.side, from, i, j), from->channels,
                                 c->panels[back] + kind * c->panel_step[back], rows, to->channels, from->channels, NULL,
                                 NULL, 0);
}

/* dU = Vt . dM (+ dU) at one kind of points */
static void multiply_gradient(isgi_net *net, const winograd_impl *c, uint32_t kind, float *du, const isgi_points *v,
                              const isgi_points *dm, int add)
{
    const uint32_t i = kind / ISGI_WINOGRAD_KINDS, j = kind % ISGI_WINOGRAD_KINDS;
    const dnnl_dim_t rows =
        (dnnl_dim_t)((size_t)isgi_winograd_members(c->g.side, i) * isgi_winograd_members(c->g.side, j) * v->rows);
    const float *a = v->data + isgi_winograd_kind_at(c->g.side, v, i, j),
                *b = dm->data + isgi_winograd_kind_at(c->g.side, dm, i, j);
    du += kind * c->u_step;
    if (rows == 0) { /* a rank without samples of a short batch */
        memset(du, 0, (size_t)c->g.ci * c->g.co * sizeof *du);
        return;
    }
    if (isgi_dnn_sgemm('T', 'N', c->g.ci, c->g.co, rows, 1.0f, a, c->g.ci, b, c->g.co, add ? 1.0f : 0.0f, du,
                       c->g.co) != dnnl_success) {
        atomic_store(&net->failed, 1);
    }
}

static const float *bias_of(const isgi_net *net, const isgi_netop *op)
{
    return op->bias >= 0 ? net->param_list[op->bias].w : NULL;
}

static void bias_gradient(float *restrict db, const float *restrict dy, size_t rows, size_t co)
{
    memset(db, 0, co * sizeof *db);
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < co; o++) db[o] += dy[r * co + o];
    }
}

/* Where the input's gradient goes, cleared if nobody wrote to it before; NULL: nobody wants it. */
static float *begin_input_gradient(isgi_net *net, const isgi_netop *op, uint32_t chunk)
{
    const size_t floats = isgi_chunk_count(net, chunk) * net->acts[op->in[0]].size;
    float *dx;
    if (!isgi_op_needs(net, op, 0)) return NULL;
    dx = isgi_act_grad(net, op->in[0], chunk);
    if (!op->accumulate[0]) memset(dx, 0, floats * sizeof *dx);
    return dx;
}

/* Brings dw[tap][co] of input channel i to the weight's own order. */
static void store_weight_gradient(const winograd_impl *c, const isgi_netweight *w, size_t i, const float *dw,
                                  size_t dw_step)
{
    const size_t ci = c->g.ci, co = c->g.co, in = w->factored ? co : 9, out = w->factored ? 1 : 9 * ci;
    const size_t tap = w->factored ? ci * co : 1;
    for (size_t t = 0; t < 9; t++) {
        float *to = w->dw + i * in + t * tap;
        const float *from = dw + t * dw_step;
        if (w->uses > 1) {
            for (size_t o = 0; o < co; o++) to[o * out] += from[o];
        } else {
            for (size_t o = 0; o < co; o++) to[o * out] = from[o];
        }
    }
}

/* ---- passes by samples: every chunk does all of its own work, a block of tiles at a time ---- */

static void forward_samples(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const uint32_t tiles = isgi_chunk_count(net, chunk) * c->g.tiles;
    float *spare = isgi_net_spare(net, chunk);
    for (uint32_t t = 0; t < tiles; t += c->block) {
        const uint32_t n = tiles - t < c->block ? tiles - t : c->block;
        const isgi_points v = {spare + c->v, n, c->g.ci}, m = {spare + c->m, n, c->g.co};
        isgi_winograd_input(&c->g, &v, 0, isgi_act_data(net, op->in[0], chunk), t, n);
        for (uint32_t f = 0; f < ISGI_WINOGRAD_POINTS; f++) multiply(net, c, 0, f, &v, &m);
        isgi_winograd_output(&c->g, isgi_act_data(net, op->out, chunk), &m, 0, bias_of(net, op), t, n);
    }
}

static void backward_samples(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const uint32_t images = isgi_chunk_count(net, chunk), tiles = images * c->g.tiles;
    const float *x = isgi_act_data(net, op->in[0], chunk), *dy = isgi_act_grad(net, op->out, chunk);
    float *spare = isgi_net_spare(net, chunk), *partial = isgi_net_partial(net, chunk);
    float *dx = begin_input_gradient(net, op, chunk);
    if (images == 0) return;
    for (uint32_t t = 0; t < tiles; t += c->block) {
        const uint32_t n = tiles - t < c->block ? tiles - t : c->block;
        const isgi_points v = {spare + c->v, n, c->g.ci}, dm = {spare + c->m, n, c->g.co};
        isgi_winograd_input(&c->g, &v, 0, x, t, n);
        isgi_winograd_output_gradient(&c->g, &dm, 0, dy, t, n);
        for (uint32_t f = 0; f < ISGI_WINOGRAD_POINTS; f++) {
            multiply_gradient(net, c, f, spare + c->du, &v, &dm, t > 0);
            if (dx) multiply(net, c, 1, f, &dm, &v); /* V is not needed any more: dV takes its place */
        }
        if (dx) isgi_winograd_input_gradient(&c->g, dx, &v, 0, t, n);
    }
    isgi_winograd_weight_gradient(c->g.side, partial, spare + c->du, c->u_step, (size_t)c->g.ci * c->g.co, 0,
                                  (size_t)c->g.ci * c->g.co);
    if (op->bias >= 0) bias_gradient(partial + c->part_bias, dy, (size_t)images * c->g.out_h * c->g.out_w, c->g.co);
}

/* Input channels of this slice. */
static void reduce_samples(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t ci = c->g.ci, co = c->g.co;
    float *sum = isgi_net_partial(net, 0);
    for (size_t i = ci * chunk / net->chunks; i < ci * (chunk + 1) / net->chunks; i++) {
        for (size_t t = 0; t < 9; t++) isgi_reduce_partials(net, sum, 0, (t * ci + i) * co, (t * ci + i + 1) * co);
        store_weight_gradient(c, w, i, sum + i * co, ci * co);
    }
    if (chunk == 0 && op->bias >= 0) isgi_reduce_partials(net, net->param_list[op->bias].g, c->part_bias, 0, co);
}

/* ---- passes by points: for wide layers of few tiles, where U is the largest of all ----
 * The chunks transform their tiles; then each takes every chunks-th of the 36 kinds for all tiles of the batch, so that
 * U is read once and dU is a sum over tiles, not over chunks. */

static isgi_points common_v(const isgi_net *net, const winograd_impl *c)
{
    return (isgi_points){net->common, (size_t)net->n * c->g.tiles, c->g.ci};
}

static isgi_points common_m(const isgi_net *net, const winograd_impl *c)
{
    const isgi_points v = common_v(net, c);
    return (isgi_points){v.data + isgi_winograd_floats(c->g.side, v.rows, c->g.ci), v.rows, c->g.co};
}

static isgi_points common_dv(const isgi_net *net, const winograd_impl *c)
{
    const isgi_points m = common_m(net, c);
    return (isgi_points){m.data + isgi_winograd_floats(c->g.side, m.rows, c->g.co), m.rows, c->g.ci};
}

static float *common_du(const isgi_net *net, const winograd_impl *c)
{
    const isgi_points dv = common_dv(net, c);
    return dv.data + isgi_winograd_floats(c->g.side, dv.rows, c->g.ci);
}

static size_t first_tile(const isgi_net *net, const winograd_impl *c, uint32_t chunk)
{
    return (size_t)chunk * net->chunk_cap * c->g.tiles;
}

static void forward_points_in(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_points v = common_v(net, c);
    isgi_winograd_input(&c->g, &v, first_tile(net, c, chunk), isgi_act_data(net, op->in[0], chunk), 0,
                        isgi_chunk_count(net, chunk) * c->g.tiles);
}

static void forward_points(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_points v = common_v(net, c), m = common_m(net, c);
    for (uint32_t f = chunk; f < ISGI_WINOGRAD_POINTS; f += net->chunks) multiply(net, c, 0, f, &v, &m);
}

static void forward_points_out(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_points m = common_m(net, c);
    isgi_winograd_output(&c->g, isgi_act_data(net, op->out, chunk), &m, first_tile(net, c, chunk), bias_of(net, op), 0,
                         isgi_chunk_count(net, chunk) * c->g.tiles);
}

static void backward_points_in(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const uint32_t images = isgi_chunk_count(net, chunk);
    const float *dy = isgi_act_grad(net, op->out, chunk);
    const isgi_points dm = common_m(net, c);
    forward_points_in(net, op, chunk);
    isgi_winograd_output_gradient(&c->g, &dm, first_tile(net, c, chunk), dy, 0, images * c->g.tiles);
    if (op->bias >= 0) {
        bias_gradient(isgi_net_partial(net, chunk), dy, (size_t)images * c->g.out_h * c->g.out_w, c->g.co);
    }
}

static void backward_points(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_points v = common_v(net, c), dm = common_m(net, c), dv = common_dv(net, c);
    for (uint32_t f = chunk; f < ISGI_WINOGRAD_POINTS; f += net->chunks) {
        multiply_gradient(net, c, f, common_du(net, c), &v, &dm, 0);
        if (isgi_op_needs(net, op, 0)) multiply(net, c, 1, f, &dm, &dv);
    }
}

static void backward_points_out(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t ci = c->g.ci, co = c->g.co;
    const isgi_points dv = common_dv(net, c);
    float *dx = begin_input_gradient(net, op, chunk), *dw = isgi_net_spare(net, chunk);
    if (dx) {
        isgi_winograd_input_gradient(&c->g, dx, &dv, first_tile(net, c, chunk), 0,
                                     isgi_chunk_count(net, chunk) * c->g.tiles);
    }
    for (size_t i = ci * chunk / net->chunks; i < ci * (chunk + 1) / net->chunks; i++) {
        isgi_winograd_weight_gradient(c->g.side, dw, common_du(net, c), c->u_step, co, i * co, co);
        store_weight_gradient(c, w, i, dw, co);
    }
    if (chunk == 0 && op->bias >= 0) isgi_reduce_partials(net, net->param_list[op->bias].g, 0, 0, co);
}

/* The next layer uses the same memory. */
static void winograd_join(isgi_net *net, isgi_netop *op)
{
    (void)net;
    (void)op;
}

static void winograd_destroy(isgi_netop *op)
{
    winograd_impl *c = op->impl;
    if (c) isg_free(c->panels[0]);
    if (c) isg_free(c->panels[1]);
    isg_free(c);
    op->impl = NULL;
}

static const isgi_opvt samples_vt = {.forward = {forward_samples},
                                     .backward = {backward_samples, reduce_samples},
                                     .backward_join = {NULL, winograd_join},
                                     .refresh = winograd_refresh,
                                     .destroy = winograd_destroy};

static const isgi_opvt points_vt = {.forward = {forward_points_in, forward_points, forward_points_out},
                                    .forward_join = {NULL, NULL, winograd_join},
                                    .backward = {backward_points_in, backward_points, backward_points_out},
                                    .backward_join = {NULL, NULL, winograd_join},
                                    .refresh = winograd_refresh,
                                    .destroy = winograd_destroy};

/* ---- set-up ---- */

int isgi_winograd_fits(const isgi_net *net, const isgi_netop *op)
{
    const isg_conv_attr *a = &op->attr.conv;
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_value *v = &net->graph->values[net->weights[op->weight].value];
    if (x->rank != 4 || v->rank != 4 || v->dims[2] != 3 || v->dims[3] != 3 || a->groups > 1) return 0;
    if (x->dims[1] % ISGI_WINOGRAD_LINE || y->dims[1] % ISGI_WINOGRAD_LINE || v->dims[0] != y->dims[1] ||
        v->dims[1] != x->dims[1])
        return 0;
    if (a->stride[0] > 2) return 0;
    for (int k = 0; k < 2; k++) {
        if (a->stride[k] != a->stride[0] || a->dilation[k] > 1 || a->pads[k] < 0 || a->pads[k] > 2) return 0;
    }
    return y->dims[2] >= (int64_t)ISGI_WINOGRAD_TILE && y->dims[3] >= (int64_t)ISGI_WINOGRAD_TILE &&
           y->dims[2] < 1 << 15 && y->dims[3] < 1 << 15;
}

/* Between two points a cache line more than needed, so that the 36 of a tile do not fall into one set of the cache. */
static size_t spread(size_t floats)
{
    return floats + ISGI_WINOGRAD_LINE;
}

static size_t panel_floats(size_t depth, size_t width)
{
    return spread((width + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL * depth);
}

static isg_status make_panels(isgi_net *net, const isgi_netop *op, winograd_impl *c, isg_error *err)
{
    for (int k = 0; k < 2; k++) {
        c->panel_step[k] = k ? panel_floats(c->g.co, c->g.ci) : panel_floats(c->g.ci, c->g.co);
        if (k && !(net->trainable && isgi_op_needs(net, op, 0))) break;
        c->panels[k] = isgi_calloc(ISGI_WINOGRAD_POINTS * c->panel_step[k], sizeof(float));
        if (!c->panels[k]) return isgi_nomem(err);
    }
    return ISG_OK;
}

static void plan_samples(isgi_net *net, const isgi_netop *op, winograd_impl *c)
{
    c->block = c->g.stride == 1 ? BLOCK_TILES : BLOCK_TILES_STRIDED;
    c->m = isgi_winograd_floats(c->g.side, c->block, c->g.ci);
    c->du = c->m + isgi_winograd_floats(c->g.side, c->block, c->g.co);
    c->part_bias = (size_t)9 * c->g.ci * c->g.co;
    isgi_net_want(net, net->trainable ? c->part_bias + (op->bias >= 0 ? c->g.co : 0) : 0,
                  c->du + (net->trainable ? ISGI_WINOGRAD_POINTS * c->u_step : 0));
}

static void plan_points(isgi_net *net, const isgi_netop *op, winograd_impl *c)
{
    const size_t tiles = (size_t)net->batch * c->g.tiles;
    const size_t v = isgi_winograd_floats(c->g.side, tiles, c->g.ci),
                 m = isgi_winograd_floats(c->g.side, tiles, c->g.co);
    isgi_net_want(net, net->trainable && op->bias >= 0 ? c->g.co : 0, (size_t)9 * c->g.co);
    isgi_net_want_common(net, v + m + (net->trainable ? v + ISGI_WINOGRAD_POINTS * c->u_step : 0));
}

isg_status isgi_build_winograd(isgi_net *net, isgi_netop *op, isg_error *err)
{
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    winograd_impl *c = isgi_calloc(1, sizeof *c);
    size_t tiles;
    if (!c) return isgi_nomem(err);
    op->impl = c;
    op->vt = &samples_vt;
    c->g.ci = (uint32_t)x->dims[1];
    c->g.co = (uint32_t)y->dims[1];
    c->g.h = (uint32_t)x->dims[2];
    c->g.w = (uint32_t)x->dims[3];
    c->g.out_h = (uint32_t)y->dims[2];
    c->g.out_w = (uint32_t)y->dims[3];
    c->g.pad_top = (uint32_t)op->attr.conv.pads[0];
    c->g.pad_left = (uint32_t)op->attr.conv.pads[1];
    c->g.tiles_x = (c->g.out_w + ISGI_WINOGRAD_TILE - 1) / ISGI_WINOGRAD_TILE;
    c->g.tiles = c->g.tiles_x * ((c->g.out_h + ISGI_WINOGRAD_TILE - 1) / ISGI_WINOGRAD_TILE);
    c->g.stride = op->attr.conv.stride[0] > 1 ? 2 : 1;
    c->g.side = c->g.stride == 1 ? 6 : 9;
    c->u_step = spread((size_t)c->g.ci * c->g.co);
    ISGI_TRY(make_panels(net, op, c, err));
    /* by points V, M and dV of the batch go through memory once; by samples U and dU do, once a chunk */
    tiles = (size_t)net->batch * c->g.tiles;
    if ((size_t)net->chunks * c->g.ci * c->g.co > tiles * (c->g.ci + c->g.co)) {
        op->vt = &points_vt;
        plan_points(net, op, c);
    } else {
        plan_samples(net, op, c);
    }
    return ISG_OK;
}
