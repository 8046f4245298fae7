/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that only move numbers inside a sample: reshape, transpose, slice, pad, gather, split, concat. */
#include "train/net_impl.h"

#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

#define NOWHERE UINT32_MAX

/* Output element i of a sample is element map[i] of input source[i] (0 where there is one input), or `fill`. */
typedef struct move_impl {
    uint32_t *map;
    uint8_t *source; /* NULL: input 0 */
    float fill;
    int straight; /* map is the identity over the whole sample */
} move_impl;

static void move_destroy(isgi_netop *op)
{
    move_impl *m = op->impl;
    if (!m) return;
    isg_free(m->map);
    isg_free(m->source);
    isg_free(m);
    op->impl = NULL;
}

static void move_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const move_impl *m = op->impl;
    const size_t out = net->acts[op->out].size;
    for (uint32_t i = 0; i < isgi_chunk_count(net, chunk); i++) {
        float *y = isgi_act_data(net, op->out, chunk) + i * out;
        const float *x[ISGI_OP_INPUTS];
        for (int32_t k = 0; k < op->in_count; k++) {
            x[k] = isgi_act_data(net, op->in[k], chunk) + i * net->acts[op->in[k]].size;
        }
        if (m->straight) {
            memcpy(y, x[0], out * sizeof *y);
        } else if (m->source) {
            for (size_t j = 0; j < out; j++) y[j] = x[m->source[j]][m->map[j]];
        } else {
            for (size_t j = 0; j < out; j++) y[j] = m->map[j] == NOWHERE ? m->fill : x[0][m->map[j]];
        }
    }
}

static void move_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const move_impl *m = op->impl;
    const size_t out = net->acts[op->out].size;
    for (uint32_t i = 0; i < isgi_chunk_count(net, chunk); i++) {
        const float *dy = isgi_act_grad(net, op->out, chunk) + i * out;
        float *dx[ISGI_OP_INPUTS] = {0};
        for (int32_t k = 0; k < op->in_count; k++) {
            const size_t size = net->acts[op->in[k]].size;
            if (!isgi_op_needs(net, op, k)) continue;
            dx[k] = isgi_act_grad(net, op->in[k], chunk) + i * size;
            if (!op->accumulate[k]) memset(dx[k], 0, size * sizeof *dx[k]);
        }
        for (size_t j = 0; j < out; j++) {
            float *d = dx[m->source ? m->source[j] : 0];
            if (d && m->map[j] != NOWHERE) d[m->map[j]] += dy[j];
        }
    }
}

static const isgi_opvt move_vt = {.forward = {move_forward}, .backward = {move_backward}, .destroy = move_destroy};

int isgi_move_is_straight(const isgi_netop *op)
{
    const move_impl *m = op->impl;
    return m->straight && op->in_count == 1;
}

/* ---- maps ---- */

/* Reads element i of an integer constant input. */
int isgi_read_ints(const isgi_net *net, const isg_node *node, int32_t k, int64_t *out, int32_t limit, int32_t *count)
{
    const isg_tensor *t;
    *count = 0;
    if (k >= node->input_count || node->inputs[k] < 0) return 1;
    t = net->graph->values[node->inputs[k]].constant;
    if (!t || t->count > limit || (t->dtype != ISG_DT_I64 && t->dtype != ISG_DT_I32)) return 0;
    for (int64_t i = 0; i < t->count; i++) {
        out[i] = t->dtype == ISG_DT_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
    }
    *count = (int32_t)t->count;
    return 1;
}

/* Where along axis k of the input the output index comes from: origin + index * step, or an explicit list. */
typedef struct move_axes {
    int64_t origin[ISG_MAX_RANK], step[ISG_MAX_RANK];
    int32_t perm[ISG_MAX_RANK]; /* output axis of input axis k */
    const int64_t *list;        /* GATHER indices along list_axis */
    int32_t list_axis;
    isg_pad_mode mode;
} move_axes;

static int64_t pad_index(int64_t i, int64_t n, isg_pad_mode mode)
{
    if (i >= 0 && i < n) return i;
    if (mode == ISG_PAD_EDGE) return i < 0 ? 0 : n - 1;
    if (mode == ISG_PAD_REFLECT && n > 1) {
        const int64_t period = 2 * (n - 1);
        i = (i % period + period) % period;
        return i < n ? i : period - i;
    }
    return -1;
}

static void fill_map(const isgi_act *x, const isgi_act *y, const move_axes *a, uint32_t *map)
{
    int64_t xs[ISG_MAX_RANK], ys[ISG_MAX_RANK], index[ISG_MAX_RANK] = {0};
    isgi_act_strides(x, xs);
    isgi_act_strides(y, ys);
    for (size_t i = 0; i < y->size; i++) {
        int64_t to = 0, from = 0;
        for (int32_t k = 1; k < y->rank; k++) to += index[k] * ys[k];
        for (int32_t k = 1; k < x->rank && from >= 0; k++) {
            const int64_t o = index[a->perm[k]];
            int64_t at = a->list && a->list_axis == k ? a->list[o] : a->origin[k] + o * a->step[k];
            if (a->list && a->list_axis == k && at < 0) at += x->dims[k];
            at = pad_index(at, x->dims[k], a->mode);
            from = at < 0 ? -1 : from + at * xs[k];
        }
        map[to] = from < 0 ? NOWHERE : (uint32_t)from;
        for (int32_t k = y->rank - 1; k >= 1 && ++index[k] == y->dims[k]; k--) index[k] = 0;
    }
}

/* Reshape and kin: the same logical row-major order on both sides. */
static void fill_reshape(const isgi_act *x, const isgi_act *y, uint32_t *map)
{
    int64_t xs[ISG_MAX_RANK], ys[ISG_MAX_RANK], xi[ISG_MAX_RANK] = {0}, yi[ISG_MAX_RANK] = {0};
    isgi_act_strides(x, xs);
    isgi_act_strides(y, ys);
    for (size_t i = 0; i < y->size; i++) {
        int64_t to = 0, from = 0;
        for (int32_t k = 1; k < y->rank; k++) to += yi[k] * ys[k];
        for (int32_t k = 1; k < x->rank; k++) from += xi[k] * xs[k];
        map[to] = (uint32_t)from;
        for (int32_t k = y->rank - 1; k >= 1 && ++yi[k] == y->dims[k]; k--) yi[k] = 0;
        for (int32_t k = x->rank - 1; k >= 1 && ++xi[k] == x->dims[k]; k--) xi[k] = 0;
    }
}

static int slice_axes(const isgi_net *net, const isg_node *node, const isgi_act *x, move_axes *a)
{
    int64_t starts[ISG_MAX_RANK], ends[ISG_MAX_RANK], axes[ISG_MAX_RANK], steps[ISG_MAX_RANK];
    int32_t n, n_ends, n_axes, n_steps;
    if (!isgi_read_ints(net, node, 1, starts, ISG_MAX_RANK, &n) ||
        !isgi_read_ints(net, node, 2, ends, ISG_MAX_RANK, &n_ends) ||
        !isgi_read_ints(net, node, 3, axes, ISG_MAX_RANK, &n_axes) ||
        !isgi_read_ints(net, node, 4, steps, ISG_MAX_RANK, &n_steps)) {
        return 0;
    }
    for (int32_t k = 0; k < n; k++) {
        int64_t axis = n_axes ? axes[k] : k, step = n_steps ? steps[k] : 1, s = starts[k], d;
        if (axis < 0) axis += x->rank;
        if (axis < 0 || axis >= x->rank || step == 0) return 0;
        if (axis == 0) {
            if (s != 0 || step != 1 || (k < n_ends && ends[k] >= 0 && ends[k] < INT32_MAX)) return 0;
            continue;
        }
        d = x->dims[axis];
        if (s < 0) s += d;
        if (s < 0) s = 0;
        if (s > (step > 0 ? d : d - 1)) s = step > 0 ? d : d - 1;
        a->origin[axis] = s;
        a->step[axis] = step;
    }
    return 1;
}

static int pad_axes(const isgi_net *net, const isg_node *node, const isgi_act *x, move_axes *a, float *fill)
{
    int64_t pads[2 * ISG_MAX_RANK], axes[ISG_MAX_RANK];
    int32_t n, n_axes;
    if (!isgi_read_ints(net, node, 1, pads, 2 * ISG_MAX_RANK, &n) || n % 2 ||
        !isgi_read_ints(net, node, 3, axes, ISG_MAX_RANK, &n_axes)) {
        return 0;
    }
    if (node->input_count > 2 && node->inputs[2] >= 0) {
        const isg_tensor *t = net->graph->values[node->inputs[2]].constant;
        if (!t || t->dtype != ISG_DT_F32 || t->count != 1) return 0;
        *fill = *(const float *)t->data;
    }
    a->mode = node->attr.pad.mode;
    for (int32_t k = 0; k < n / 2; k++) {
        int64_t axis = n_axes ? axes[k] : k;
        if (axis < 0) axis += x->rank;
        if (axis < 0 || axis >= x->rank || (axis == 0 && (pads[k] || pads[k + n / 2]))) return 0;
        a->origin[axis] = -pads[k];
    }
    return 1;
}

/* The sizes are input 1: outputs that nobody reads are omitted and have no shape. */
static int split_axes(const isgi_net *net, const isg_node *node, const isgi_act *x, int32_t which, move_axes *a)
{
    int64_t axis = node->attr.axes.axes[0], *sizes;
    int32_t n;
    int ok;
    if (axis < 0) axis += x->rank;
    if (axis < 1 || axis >= x->rank) return 0;
    sizes = isgi_calloc((size_t)node->output_count, sizeof *sizes);
    ok = sizes && isgi_read_ints(net, node, 1, sizes, node->output_count, &n) && n == node->output_count;
    for (int32_t i = 0; ok && i < which; i++) a->origin[axis] += sizes[i];
    isg_free(sizes);
    return ok;
}

static isg_status concat_map(isgi_net *net, isgi_netop *op, move_impl *m, isg_error *err)
{
    const isgi_act *y = &net->acts[op->out];
    int64_t axis = op->attr.axes.axes[0], ys[ISG_MAX_RANK], base = 0;
    if (axis < 0) axis += y->rank;
    if (axis < 1 || axis >= y->rank) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: concat over the batch");
    m->source = isgi_malloc(y->size);
    if (!m->source) return isgi_nomem(err);
    isgi_act_strides(y, ys);
    for (int32_t s = 0; s < op->in_count; s++) {
        const isgi_act *x = op->in[s] >= 0 ? &net->acts[op->in[s]] : NULL;
        int64_t xs[ISG_MAX_RANK], index[ISG_MAX_RANK] = {0};
        if (!x) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: concat with a constant");
        isgi_act_strides(x, xs);
        for (size_t i = 0; i < x->size; i++) {
            int64_t to = base * ys[axis], from = 0;
            for (int32_t k = 1; k < x->rank; k++) {
                to += index[k] * ys[k];
                from += index[k] * xs[k];
            }
            m->map[to] = (uint32_t)from;
            m->source[to] = (uint8_t)s;
            for (int32_t k = x->rank - 1; k >= 1 && ++index[k] == x->dims[k]; k--) index[k] = 0;
        }
        base += x->dims[axis];
    }
    return ISG_OK;
}

static int axes_map(isgi_net *net, isgi_netop *op, const isg_node *node, int32_t which, move_impl *m)
{
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    int64_t *list = NULL;
    move_axes a;
    int ok = x->rank == y->rank;
    memset(&a, 0, sizeof a);
    for (int32_t k = 0; k < x->rank; k++) {
        a.perm[k] = k;
        a.step[k] = 1;
    }
    switch (node->op) {
    case ISG_OP_SLICE: ok = ok && slice_axes(net, node, x, &a); break;
    case ISG_OP_PAD: ok = ok && pad_axes(net, node, x, &a, &m->fill); break;
    case ISG_OP_SPLIT: ok = ok && split_axes(net, node, x, which, &a); break;
    case ISG_OP_TRANSPOSE:
        ok = ok && node->attr.axes.n == x->rank && node->attr.axes.axes[0] == 0;
        for (int32_t k = 0; ok && k < x->rank; k++) a.perm[node->attr.axes.axes[k]] = k;
        break;
    default: { /* GATHER of a list along one axis */
        int32_t n;
        int64_t axis = node->attr.axes.axes[0];
        if (axis < 0) axis += x->rank;
        ok = ok && axis >= 1 && axis < x->rank;
        list = ok ? isgi_calloc((size_t)y->dims[axis] + 1, sizeof *list) : NULL;
        ok = ok && list && isgi_read_ints(net, node, 1, list, (int32_t)y->dims[axis], &n) && n == y->dims[axis];
        a.list = list;
        a.list_axis = (int32_t)axis;
    }
    }
    if (ok) fill_map(x, y, &a, m->map);
    isg_free(list);
    return ok;
}

isg_status isgi_build_move(isgi_net *net, isgi_netop *op, const isg_node *node, int32_t which, isg_error *err)
{
    const isgi_act *y = &net->acts[op->out];
    move_impl *m = isgi_calloc(1, sizeof *m);
    if (!m) return isgi_nomem(err);
    op->impl = m;
    op->vt = &move_vt;
    m->map = isgi_malloc(y->size * sizeof *m->map);
    if (!m->map) return isgi_nomem(err);
    if (op->in[0] < 0 || y->size >= NOWHERE) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: move of a constant");
    switch (node->op) {
    case ISG_OP_CONCAT: return concat_map(net, op, m, err);
    case ISG_OP_SLICE:
    case ISG_OP_PAD:
    case ISG_OP_SPLIT:
    case ISG_OP_GATHER:
    case ISG_OP_TRANSPOSE:
        if (!axes_map(net, op, node, which, m)) {
            char name[100];
            return isgi_fail(err, ISG_E_UNSUPPORTED, "training: %s node %s: this form is not supported",
                             isg_op_name(node->op), isgi_escape(name, sizeof name, op->name));
        }
        break;
    default:
        if (net->acts[op->in[0]].size != y->size) {
            return isgi_fail(err, ISG_E_UNSUPPORTED, "training: a reshape moves numbers between samples");
        }
        fill_reshape(&net->acts[op->in[0]], y, m->map);
    }
    m->straight = net->acts[op->in[0]].size == y->size;
    for (size_t i = 0; m->straight && i < y->size; i++) m->straight = m->map[i] == i;
    return ISG_OK;
}
