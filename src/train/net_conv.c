/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and fully connected layers of the trainable network over oneDNN. */
#include "train/net.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/dnn.h"

#include <string.h>

enum { PASS_FORWARD, PASS_DATA, PASS_WEIGHTS, PASS_COUNT };

/* One primitive and, a chunk, the memory objects of its arguments. */
typedef struct pass {
    dnnl_primitive_t prim;
    dnnl_memory_t src[ISGI_MAX_CHUNKS], dst[ISGI_MAX_CHUNKS], wei[ISGI_MAX_CHUNKS], bias[ISGI_MAX_CHUNKS],
        scratch[ISGI_MAX_CHUNKS];
    dnnl_memory_desc_t src_md, dst_md, wei_md, scratch_md;
} pass;

/* Brings an activation or its gradient to bf16, a chunk at a time. */
typedef struct lowering {
    dnnl_primitive_t prim;
    dnnl_memory_t from[ISGI_MAX_CHUNKS], to[ISGI_MAX_CHUNKS];
} lowering;

typedef struct conv_impl {
    pass p[PASS_COUNT];
    dnnl_memory_desc_t user_md, bias_md, x_md, y_md, low_x_md, low_y_md;
    lowering lower_x, lower_dy;
    dnnl_memory_t user_w, user_dw, packed[PASS_COUNT]; /* weights in the primitive's order */
    float *packed_data[PASS_COUNT], *own_dw;
    dnnl_primitive_t pack[PASS_COUNT]; /* reorders; the last one brings the gradient back */
    size_t dw_floats, dx_floats;       /* weight gradient in the primitive's order; input gradient a chunk */
    size_t low_x, low_dy;              /* their places in the spare memory */
    int has_bias, needs_dx, no_memory;
    int low; /* matrix work in bf16: inputs are rounded, sums and results stay binary32 */
} conv_impl;

static const dnnl_format_tag_t act_tag[4] = {dnnl_format_tag_undef, dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
static const dnnl_format_tag_t dense_tag[4] = {dnnl_format_tag_undef, dnnl_oiw, dnnl_oihw, dnnl_oidhw};
static const dnnl_format_tag_t dense_group_tag[4] = {dnnl_format_tag_undef, dnnl_goiw, dnnl_goihw, dnnl_goidhw};
static const dnnl_format_tag_t factor_tag[4] = {dnnl_format_tag_undef, dnnl_wio, dnnl_hwio, dnnl_dhwio};
static const dnnl_format_tag_t factor_group_tag[4] = {dnnl_format_tag_undef, dnnl_wigo, dnnl_hwigo, dnnl_dhwigo};

static isg_status conv_fail(const isgi_netop *op, isg_error *err)
{
    char name[100];
    return isgi_fail(err, ISG_E_INTERNAL, "training: no oneDNN primitive for node %s",
                     isgi_escape(name, sizeof name, op->name));
}

typedef struct conv_shape {
    int n;
    dnnl_dims_t x, y, w, b, stride, dilation, pad_l, pad_r;
    int w_rank;
    dnnl_memory_desc_t x_md, y_md, low_x_md, low_y_md, w_any, b_md;
    int low;
} conv_shape;

static int describe(const isgi_net *net, const isgi_netop *op, conv_shape *s, dnnl_memory_desc_t *user)
{
    const isg_conv_attr *a = &op->attr.conv;
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isgi_netweight *w = &net->weights[op->weight];
    const isg_value *v = &net->graph->values[w->value];
    const int n = x->rank - 2, groups = a->groups > 1;
    const int64_t g = a->groups > 1 ? a->groups : 1;
    s->n = n;
    if (n < 1 || n > 3 || v->rank != x->rank || v->dims[0] % g) return 0;
    s->x[0] = s->y[0] = net->chunk_cap;
    for (int k = 1; k < x->rank; k++) {
        s->x[k] = x->dims[k];
        s->y[k] = y->dims[k];
    }
    s->w_rank = 0;
    if (groups) s->w[s->w_rank++] = g;
    s->w[s->w_rank++] = v->dims[0] / g;
    s->w[s->w_rank++] = v->dims[1];
    s->b[0] = v->dims[0];
    for (int k = 0; k < n; k++) {
        s->w[s->w_rank++] = v->dims[k + 2];
        s->stride[k] = a->stride[k] > 0 ? a->stride[k] : 1;
        s->dilation[k] = (a->dilation[k] > 0 ? a->dilation[k] : 1) - 1;
        s->pad_l[k] = a->pads[k];
        /* what oneDNN wants is consistent sizes: the end padding that is really read may be less than asked for */
        s->pad_r[k] = (s->y[k + 2] - 1) * s->stride[k] + (v->dims[k + 2] - 1) * (s->dilation[k] + 1) + 1 - s->x[k + 2] -
                      s->pad_l[k];
    }
    return dnnl_memory_desc_init_by_tag(&s->x_md, x->rank, s->x, dnnl_f32, act_tag[n]) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&s->y_md, x->rank, s->y, dnnl_f32, act_tag[n]) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&s->low_x_md, x->rank, s->x, dnnl_bf16, act_tag[n]) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&s->low_y_md, x->rank, s->y, dnnl_bf16, act_tag[n]) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&s->w_any, s->w_rank, s->w, s->low ? dnnl_bf16 : dnnl_f32,
                                        dnnl_format_tag_any) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(&s->b_md, 1, s->b, dnnl_f32, dnnl_x) == dnnl_success &&
           dnnl_memory_desc_init_by_tag(user, s->w_rank, s->w, dnnl_f32,
                                        w->factored ? (groups ? factor_group_tag : factor_tag)[n]
                                                    : (groups ? dense_group_tag : dense_tag)[n]) == dnnl_success;
}

static int init_desc(dnnl_convolution_desc_t *d, int which, conv_shape *s, int bias)
{
    const dnnl_memory_desc_t *b = bias ? &s->b_md : NULL, *x = s->low ? &s->low_x_md : &s->x_md;
    const dnnl_memory_desc_t *dy = s->low ? &s->low_y_md : &s->y_md;
    dnnl_memory_desc_t dw = s->w_any; /* the gradient of the weights is summed in binary32 */
    switch (which) {
    case PASS_FORWARD:
        return dnnl_dilated_convolution_forward_desc_init(d, dnnl_forward_training, dnnl_convolution_direct, x,
                                                          &s->w_any, b, &s->y_md, s->stride, s->dilation, s->pad_l,
                                                          s->pad_r) == dnnl_success;
    case PASS_DATA:
        return dnnl_dilated_convolution_backward_data_desc_init(d, dnnl_convolution_direct, &s->x_md, &s->w_any, dy,
                                                                s->stride, s->dilation, s->pad_l,
                                                                s->pad_r) == dnnl_success;
    default:
        dw.data_type = dnnl_f32;
        return dnnl_dilated_convolution_backward_weights_desc_init(d, dnnl_convolution_direct, x, &dw, b, dy, s->stride,
                                                                   s->dilation, s->pad_l, s->pad_r) == dnnl_success;
    }
}

static int make_pass(isgi_net *net, conv_impl *c, int which, conv_shape *s, dnnl_primitive_desc_t hint,
                     dnnl_primitive_desc_t *keep)
{
    dnnl_convolution_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    pass *p = &c->p[which];
    int ok = init_desc(&d, which, s, c->has_bias) && dnnl_primitive_attr_create(&attr) == dnnl_success &&
             dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
             dnnl_primitive_desc_create(&pd, &d, attr, net->engine, hint) == dnnl_success &&
             dnnl_primitive_create(&p->prim, pd) == dnnl_success;
    if (ok) {
        const dnnl_query_t query = which == PASS_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
        p->wei_md = *dnnl_primitive_desc_query_md(pd, query, 0);
        p->src_md = which == PASS_DATA || !s->low ? s->x_md : s->low_x_md;
        p->dst_md = which == PASS_FORWARD || !s->low ? s->y_md : s->low_y_md;
        p->scratch_md = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (ok && keep)
        *keep = pd;
    else if (pd)
        dnnl_primitive_desc_destroy(pd);
    return ok;
}

static int make_reorder(isgi_net *net, dnnl_primitive_t *out, const dnnl_memory_desc_t *from,
                        const dnnl_memory_desc_t *to)
{
    dnnl_primitive_desc_t pd = NULL;
    int ok = dnnl_reorder_primitive_desc_create(&pd, from, net->engine, to, net->engine, NULL) == dnnl_success &&
             dnnl_primitive_create(out, pd) == dnnl_success;
    if (pd) dnnl_primitive_desc_destroy(pd);
    return ok;
}

static size_t floats_of(const dnnl_memory_desc_t *md)
{
    return (dnnl_memory_desc_get_size(md) + sizeof(float) - 1) / sizeof(float);
}

/* Weights in the order that the primitive likes; the primitive's own order may be the user's. */
static int make_packing(isgi_net *net, const isgi_netop *op, conv_impl *c, int which)
{
    const isgi_netweight *w = &net->weights[op->weight];
    pass *p = &c->p[which];
    const int same = dnnl_memory_desc_equal(&p->wei_md, &c->user_md);
    if (which == PASS_WEIGHTS) c->dw_floats = floats_of(&p->wei_md);
    if (same && which != PASS_WEIGHTS) {
        return dnnl_memory_create(&c->packed[which], &p->wei_md, net->engine, w->w) == dnnl_success;
    }
    c->packed_data[which] = isgi_calloc(floats_of(&p->wei_md), sizeof(float));
    c->no_memory = !c->packed_data[which];
    if (c->no_memory) return 0;
    return dnnl_memory_create(&c->packed[which], &p->wei_md, net->engine, c->packed_data[which]) == dnnl_success &&
           (which == PASS_WEIGHTS ? make_reorder(net, &c->pack[which], &p->wei_md, &c->user_md)
                                  : make_reorder(net, &c->pack[which], &c->user_md, &p->wei_md));
}

static void lowering_clear(lowering *l)
{
    if (l->prim) dnnl_primitive_destroy(l->prim);
    for (int i = 0; i < ISGI_MAX_CHUNKS; i++) {
        if (l->from[i]) dnnl_memory_destroy(l->from[i]);
        if (l->to[i]) dnnl_memory_destroy(l->to[i]);
    }
}

/* All but the impl itself. */
static void conv_clear(conv_impl *c)
{
    for (int k = 0; k < PASS_COUNT; k++) {
        pass *p = &c->p[k];
        for (int i = 0; i < ISGI_MAX_CHUNKS; i++) {
            dnnl_memory_t all[5] = {p->src[i], p->dst[i], p->wei[i], p->bias[i], p->scratch[i]};
            for (int m = 0; m < 5; m++) {
                if (all[m]) dnnl_memory_destroy(all[m]);
            }
        }
        if (p->prim) dnnl_primitive_destroy(p->prim);
        if (c->pack[k]) dnnl_primitive_destroy(c->pack[k]);
        if (c->packed[k]) dnnl_memory_destroy(c->packed[k]);
        isg_free(c->packed_data[k]);
    }
    if (c->user_w) dnnl_memory_destroy(c->user_w);
    if (c->user_dw) dnnl_memory_destroy(c->user_dw);
    lowering_clear(&c->lower_x);
    lowering_clear(&c->lower_dy);
    isg_free(c->own_dw);
    memset(c, 0, sizeof *c);
}

static void conv_destroy(isgi_netop *op)
{
    if (op->impl) conv_clear(op->impl);
    isg_free(op->impl);
    op->impl = NULL;
}

static void execute(isgi_net *net, dnnl_primitive_t prim, uint32_t chunk, int count, const dnnl_exec_arg_t *args)
{
    if (isgi_dnn_execute(prim, net->stream[chunk], count, args) != dnnl_success) atomic_store(&net->failed, 1);
}

static void conv_refresh(isgi_net *net, isgi_netop *op, uint32_t stream)
{
    conv_impl *c = op->impl;
    for (int k = 0; k < PASS_WEIGHTS; k++) {
        const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, c->user_w}, {DNNL_ARG_TO, c->packed[k]}};
        if (c->pack[k]) execute(net, c->pack[k], stream, 2, args);
    }
}

static void lower(isgi_net *net, const lowering *l, uint32_t chunk)
{
    const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, l->from[chunk]}, {DNNL_ARG_TO, l->to[chunk]}};
    if (l->prim) execute(net, l->prim, chunk, 2, args);
}

static void conv_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    conv_impl *c = op->impl;
    pass *p = &c->p[PASS_FORWARD];
    const dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, p->src[chunk]},
                                     {DNNL_ARG_DST, p->dst[chunk]},
                                     {DNNL_ARG_WEIGHTS, c->packed[PASS_FORWARD]},
                                     {DNNL_ARG_SCRATCHPAD, p->scratch[chunk]},
                                     {DNNL_ARG_BIAS, p->bias[chunk]}};
    if (isgi_chunk_count(net, chunk) == 0) return;
    lower(net, &c->lower_x, chunk);
    execute(net, p->prim, chunk, c->has_bias ? 5 : 4, args);
}

static void conv_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    conv_impl *c = op->impl;
    const uint32_t count = isgi_chunk_count(net, chunk);
    const size_t y_size = net->acts[op->out].size;
    pass *d = &c->p[PASS_DATA], *w = &c->p[PASS_WEIGHTS];
    if (count == 0) return;
    /* the primitive always runs over a full chunk: samples that are not there must not contribute */
    memset(isgi_act_grad(net, op->out, chunk) + count * y_size, 0, (net->chunk_cap - count) * y_size * sizeof(float));
    lower(net, &c->lower_x, chunk);
    lower(net, &c->lower_dy, chunk);
    {
        const dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, w->src[chunk]},
                                         {DNNL_ARG_DIFF_DST, w->dst[chunk]},
                                         {DNNL_ARG_DIFF_WEIGHTS, w->wei[chunk]},
                                         {DNNL_ARG_SCRATCHPAD, w->scratch[chunk]},
                                         {DNNL_ARG_DIFF_BIAS, w->bias[chunk]}};
        execute(net, w->prim, chunk, c->has_bias ? 5 : 4, args);
    }
    if (c->needs_dx) {
        const dnnl_exec_arg_t args[4] = {{DNNL_ARG_DIFF_SRC, d->src[chunk]},
                                         {DNNL_ARG_DIFF_DST, d->dst[chunk]},
                                         {DNNL_ARG_WEIGHTS, c->packed[PASS_DATA]},
                                         {DNNL_ARG_SCRATCHPAD, d->scratch[chunk]}};
        execute(net, d->prim, chunk, 4, args);
        if (op->accumulate[0]) {
            float *g = isgi_act_grad(net, op->in[0], chunk);
            const float *s = isgi_net_spare(net, chunk);
            for (size_t i = 0; i < count * net->acts[op->in[0]].size; i++) g[i] += s[i];
        }
    }
}

static void conv_reduce(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    conv_impl *c = op->impl;
    size_t begin, end;
    isgi_slice(net, c->dw_floats, chunk, &begin, &end);
    isgi_reduce_partials(net, c->packed_data[PASS_WEIGHTS], 0, begin, end);
    if (chunk == 0 && c->has_bias) {
        const isgi_param *b = &net->param_list[op->bias];
        isgi_reduce_partials(net, b->g, (c->dw_floats + 15) / 16 * 16, 0, b->count);
    }
}

static void conv_reduced(isgi_net *net, isgi_netop *op)
{
    conv_impl *c = op->impl;
    isgi_netweight *w = &net->weights[op->weight];
    const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, c->packed[PASS_WEIGHTS]}, {DNNL_ARG_TO, c->user_dw}};
    execute(net, c->pack[PASS_WEIGHTS], 0, 2, args);
    if (c->own_dw) {
        for (size_t i = 0; i < w->count; i++) w->dw[i] += c->own_dw[i];
    }
}

static const isgi_opvt conv_vt = {.forward = {conv_forward, NULL},
                                  .backward = {conv_backward, conv_reduce},
                                  .backward_join = {NULL, conv_reduced},
                                  .refresh = conv_refresh,
                                  .destroy = conv_destroy};

/* Every primitive of the layer, in bf16 or not; 0: there is none for it. */
static int make_primitives(isgi_net *net, isgi_netop *op, conv_impl *c, conv_shape *s, int low)
{
    dnnl_primitive_desc_t hint = NULL;
    int ok;
    memset(s, 0, sizeof *s);
    s->low = c->low = low;
    c->has_bias = op->bias >= 0;
    c->needs_dx = net->trainable && isgi_op_needs(net, op, 0);
    ok = describe(net, op, s, &c->user_md) && make_pass(net, c, PASS_FORWARD, s, NULL, &hint) &&
         make_packing(net, op, c, PASS_FORWARD);
    if (ok && c->needs_dx) ok = make_pass(net, c, PASS_DATA, s, hint, NULL) && make_packing(net, op, c, PASS_DATA);
    if (ok && net->trainable) {
        ok = make_pass(net, c, PASS_WEIGHTS, s, hint, NULL) && make_packing(net, op, c, PASS_WEIGHTS);
    }
    if (ok && low) ok = make_reorder(net, &c->lower_x.prim, &s->x_md, &s->low_x_md);
    if (ok && low && net->trainable) ok = make_reorder(net, &c->lower_dy.prim, &s->y_md, &s->low_y_md);
    if (hint) dnnl_primitive_desc_destroy(hint);
    return ok;
}

/* spare: the input gradient, the scratchpad of whichever pass is running, then what is rounded to bf16 */
static void plan_spare(isgi_net *net, const isgi_netop *op, conv_impl *c)
{
    const size_t x_size = net->acts[op->in[0]].size * net->chunk_cap;
    size_t at = 0, scratch = 0;
    c->dx_floats = c->needs_dx && op->accumulate[0] ? (x_size + 15) / 16 * 16 : 0;
    for (int k = 0; k < PASS_COUNT; k++) {
        const size_t n = c->p[k].prim ? (floats_of(&c->p[k].scratch_md) + 15) / 16 * 16 : 0;
        if (scratch < n) scratch = n;
    }
    at = c->dx_floats + scratch;
    c->low_x = at;
    if (c->low) at += (floats_of(&c->low_x_md) + 15) / 16 * 16;
    c->low_dy = at;
    if (c->low && net->trainable) at += (floats_of(&c->low_y_md) + 15) / 16 * 16;
    isgi_net_want(net, 0, at);
}

isg_status isgi_build_conv(isgi_net *net, isgi_netop *op, isg_error *err)
{
    conv_shape s;
    conv_impl *c;
    int ok;
    if (net->weights[op->weight].direct) return isgi_build_factored(net, op, err);
    if (isgi_winograd_fits(net, op)) return isgi_build_winograd(net, op, err);
    c = isgi_calloc(1, sizeof *c);
    if (!c) return isgi_nomem(err);
    op->impl = c;
    op->vt = &conv_vt;
    ok = net->precision == ISG_PRECISION_BF16 && make_primitives(net, op, c, &s, 1);
    if (!ok && !c->no_memory) {
        conv_clear(c);
        ok = make_primitives(net, op, c, &s, 0);
    }
    if (!ok) return c->no_memory ? isgi_nomem(err) : conv_fail(op, err);
    c->x_md = s.x_md;
    c->y_md = s.y_md;
    c->low_x_md = s.low_x_md;
    c->low_y_md = s.low_y_md;
    c->bias_md = s.b_md;
    plan_spare(net, op, c);
    if (net->trainable) isgi_net_want(net, (c->dw_floats + 15) / 16 * 16 + (size_t)s.b[0] + 16, 0);
    return ISG_OK;
}

static int bind_lowering(isgi_net *net, lowering *l, const dnnl_memory_desc_t *from, float *source,
                         const dnnl_memory_desc_t *to, float *place, uint32_t i)
{
    if (!l->prim) return 1;
    return dnnl_memory_create(&l->from[i], from, net->engine, source) == dnnl_success &&
           dnnl_memory_create(&l->to[i], to, net->engine, place) == dnnl_success;
}

static int bind_chunk(isgi_net *net, isgi_netop *op, conv_impl *c, int which, uint32_t i)
{
    pass *p = &c->p[which];
    const dnnl_engine_t e = net->engine;
    float *x = isgi_act_data(net, op->in[0], i), *spare = isgi_net_spare(net, i);
    float *y = which == PASS_FORWARD ? isgi_act_data(net, op->out, i) : isgi_act_grad(net, op->out, i);
    float *partial = isgi_net_partial(net, i);
    int ok;
    if (which == PASS_DATA) x = op->accumulate[0] ? spare : isgi_act_grad(net, op->in[0], i);
    if (c->low && which != PASS_DATA) x = spare + c->low_x;
    if (c->low && which != PASS_FORWARD) y = spare + c->low_dy;
    ok = dnnl_memory_create(&p->src[i], &p->src_md, e, x) == dnnl_success &&
         dnnl_memory_create(&p->dst[i], &p->dst_md, e, y) == dnnl_success &&
         dnnl_memory_create(&p->scratch[i], &p->scratch_md, e, spare + c->dx_floats) == dnnl_success;
    if (ok && which == PASS_WEIGHTS) ok = dnnl_memory_create(&p->wei[i], &p->wei_md, e, partial) == dnnl_success;
    if (ok && c->has_bias && which != PASS_DATA) {
        float *b = which == PASS_FORWARD ? net->param_list[op->bias].w : partial + (c->dw_floats + 15) / 16 * 16;
        ok = dnnl_memory_create(&p->bias[i], &c->bias_md, e, b) == dnnl_success;
    }
    return ok;
}

isg_status isgi_bind_conv(isgi_net *net, isgi_netop *op, isg_error *err)
{
    conv_impl *c = op->impl;
    isgi_netweight *w = &net->weights[op->weight];
    int ok;
    if (op->vt != &conv_vt) return ISG_OK;
    ok = dnnl_memory_create(&c->user_w, &c->user_md, net->engine, w->w) == dnnl_success;
    if (ok && net->trainable) {
        if (w->uses > 1) c->own_dw = isgi_calloc(w->count, sizeof(float));
        if (w->uses > 1 && !c->own_dw) return isgi_nomem(err);
        ok = dnnl_memory_create(&c->user_dw, &c->user_md, net->engine, c->own_dw ? c->own_dw : w->dw) == dnnl_success;
    }
    for (int k = 0; ok && k < PASS_COUNT; k++) {
        for (uint32_t i = 0; ok && c->p[k].prim && i < net->chunks; i++) ok = bind_chunk(net, op, c, k, i);
    }
    for (uint32_t i = 0; ok && i < net->chunks; i++) {
        float *spare = isgi_net_spare(net, i);
        ok = bind_lowering(net, &c->lower_x, &c->x_md, isgi_act_data(net, op->in[0], i), &c->low_x_md, spare + c->low_x,
                           i);
        if (ok && net->trainable) {
            ok = bind_lowering(net, &c->lower_dy, &c->y_md, isgi_act_grad(net, op->out, i), &c->low_y_md,
                               spare + c->low_dy, i);
        }
    }
    return ok ? ISG_OK : conv_fail(op, err);
}

/* ---- fully connected ---- */

/* Dense weights are [out][in], generated ones [in][out]. */
static void gemm_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const dnnl_dim_t n = isgi_chunk_count(net, chunk), k = w->ci, m = w->co;
    float *y = isgi_act_data(net, op->out, chunk);
    if (n == 0) return;
    if (op->bias >= 0) {
        for (dnnl_dim_t i = 0; i < n; i++) memcpy(y + i * m, net->param_list[op->bias].w, (size_t)m * sizeof *y);
    }
    if (isgi_dnn_sgemm('N', w->factored ? 'N' : 'T', n, m, k, 1.0f, isgi_act_data(net, op->in[0], chunk), k, w->w,
                       w->factored ? m : k, op->bias >= 0 ? 1.0f : 0.0f, y, m) != dnnl_success) {
        atomic_store(&net->failed, 1);
    }
}

static void gemm_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const dnnl_dim_t n = isgi_chunk_count(net, chunk), k = w->ci, m = w->co;
    const float *x = isgi_act_data(net, op->in[0], chunk), *dy = isgi_act_grad(net, op->out, chunk);
    float *dw = isgi_net_partial(net, chunk), *db = dw + (w->count + 15) / 16 * 16;
    dnnl_status_t ok;
    if (n == 0) return;
    ok = w->factored ? isgi_dnn_sgemm('T', 'N', k, m, n, 1.0f, x, k, dy, m, 0.0f, dw, m)
                     : isgi_dnn_sgemm('T', 'N', m, k, n, 1.0f, dy, m, x, k, 0.0f, dw, k);
    if (op->bias >= 0) {
        memset(db, 0, (size_t)m * sizeof *db);
        for (dnnl_dim_t i = 0; i < n; i++) {
            for (dnnl_dim_t j = 0; j < m; j++) db[j] += dy[i * m + j];
        }
    }
    if (ok == dnnl_success && isgi_op_needs(net, op, 0)) {
        ok = isgi_dnn_sgemm('N', w->factored ? 'T' : 'N', n, k, m, 1.0f, dy, m, w->w, w->factored ? m : k,
                            op->accumulate[0] ? 1.0f : 0.0f, isgi_act_grad(net, op->in[0], chunk), k);
    }
    if (ok != dnnl_success) atomic_store(&net->failed, 1);
}

static void gemm_reduce(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    isgi_netweight *w = &net->weights[op->weight];
    size_t begin, end;
    isgi_slice(net, w->count, chunk, &begin, &end);
    if (w->uses == 1) {
        isgi_reduce_partials(net, w->dw, 0, begin, end);
    } else {
        isgi_reduce_partials(net, isgi_net_partial(net, 0), 0, begin, end);
        for (size_t i = begin; i < end; i++) w->dw[i] += isgi_net_partial(net, 0)[i];
    }
    if (chunk == 0 && op->bias >= 0) {
        const isgi_param *b = &net->param_list[op->bias];
        isgi_reduce_partials(net, b->g, (w->count + 15) / 16 * 16, 0, b->count);
    }
}

static void gemm_reduced(isgi_net *net, isgi_netop *op)
{
    (void)net;
    (void)op;
}

static const isgi_opvt gemm_vt = {
    .forward = {gemm_forward, NULL}, .backward = {gemm_backward, gemm_reduce}, .backward_join = {NULL, gemm_reduced}};

isg_status isgi_build_gemm(isgi_net *net, isgi_netop *op, isg_error *err)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const isg_gemm_attr *a = &op->attr.gemm;
    if (a->alpha != 1.0f || a->beta != 1.0f || a->trans_a || !a->trans_b || net->acts[op->in[0]].rank != 2 ||
        net->acts[op->in[0]].size != w->ci || net->acts[op->out].size != w->co || w->taps != 1) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: a fully connected layer is not in prepared form");
    }
    op->vt = &gemm_vt;
    if (net->trainable) isgi_net_want(net, (w->count + 15) / 16 * 16 + w->co, 0);
    return ISG_OK;
}
