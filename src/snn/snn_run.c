/* SPDX-License-Identifier: Apache-2.0 */
/* One time step after another: spikes scattered through the weights, currents gathered in membranes, events counted. */
#include <math.h>
#include <string.h>

#include "snn/snn_internal.h"

/* One axis of a window. */
typedef struct axis {
    int64_t kernel, stride, dilation, pad, out;
} axis;

/* The output position that input position `at` reaches through `tap`, or -1. */
static int64_t reached(const axis *a, int64_t at, int64_t tap)
{
    const int64_t place = at + a->pad - tap * a->dilation;
    if (place < 0 || place % a->stride) return -1;
    return place / a->stride < a->out ? place / a->stride : -1;
}

static void axes_of(axis axes[2], const isg_conv_attr *attr, const isg_tensor *x, const isg_tensor *y)
{
    const int global = attr->n != 2;
    for (int d = 0; d < 2; d++) {
        axes[d].kernel = global ? x->dims[2 + d] : attr->kernel[d];
        axes[d].stride = global ? 1 : attr->stride[d];
        axes[d].dilation = global ? 1 : attr->dilation[d];
        axes[d].pad = global ? 0 : attr->pads[d];
        axes[d].out = y->dims[2 + d];
    }
}

/* Windows that hold each position of one axis. */
static int64_t windows_over(const axis *a, int64_t at)
{
    int64_t n = 0;
    for (int64_t tap = 0; tap < a->kernel; tap++) n += reached(a, at, tap) >= 0;
    return n;
}

static void add_scaled(float *restrict y, const float *restrict w, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += a * w[i];
}

/* Everything one input number adds to; returns how many sums that are. */
static uint64_t scatter(float *current, const axis axes[2], const float *w, int64_t tap_step, int64_t co, int64_t row,
                        int64_t y, int64_t x, float value)
{
    uint64_t sums = 0;
    for (int64_t ky = 0; ky < axes[0].kernel; ky++) {
        const int64_t oy = reached(&axes[0], y, ky);
        if (oy < 0) continue;
        for (int64_t kx = 0; kx < axes[1].kernel; kx++) {
            const int64_t ox = reached(&axes[1], x, kx);
            if (ox < 0) continue;
            add_scaled(current + (oy * axes[1].out + ox) * row, w + (ky * axes[1].kernel + kx) * tap_step, value, co);
            sums += (uint64_t)co;
        }
    }
    return sums;
}

static isg_status need_current(isg_snn_state *s, size_t count, isg_error *err)
{
    if (count > s->current_count) {
        isg_free(s->current);
        s->current_count = 0;
        s->current = isgi_malloc(count * sizeof *s->current);
        if (!s->current) return isgi_nomem(err);
        s->current_count = count;
    }
    memset(s->current, 0, count * sizeof *s->current);
    return ISG_OK;
}

static void count_events(const isgi_snn_node *n, isgi_snn_node_state *ns, uint64_t inputs, uint64_t sums)
{
    ns->run.inputs += inputs;
    if (n->spikes)
        ns->run.synaptic_ops += sums;
    else
        ns->run.macs += sums;
}

static isg_status run_conv(isg_snn_state *s, int32_t i, isg_error *err)
{
    const isg_node *node = &s->snn->g->nodes[i];
    const isgi_snn_node *n = &s->snn->nodes[i];
    isgi_snn_node_state *ns = &s->nodes[i];
    const isg_tensor *x = ns->in[0], *y = &ns->out[0];
    const int64_t groups = node->attr.conv.groups, ci = x->dims[1] / groups, co = y->dims[1] / groups;
    const int64_t pixels = y->dims[2] * y->dims[3], row = y->dims[1];
    const int64_t taps = node->attr.conv.kernel[0] * node->attr.conv.kernel[1];
    const float *from = x->data;
    float *to = y->data;
    uint64_t sums = 0, inputs = 0;
    axis axes[2];
    axes_of(axes, &node->attr.conv, x, y);
    ISGI_TRY(need_current(s, (size_t)(pixels * row), err));
    for (int64_t c = 0; c < x->dims[1]; c++) {
        const int64_t g = c / ci;
        const float *w = n->weights + (g * taps * ci + c % ci) * co;
        for (int64_t py = 0; py < x->dims[2]; py++)
            for (int64_t px = 0; px < x->dims[3]; px++, from++)
                if (*from != 0.0f) {
                    sums += scatter(s->current + g * co, axes, w, ci * co, co, row, py, px, *from);
                    inputs++;
                }
    }
    for (int64_t o = 0; o < row; o++) {
        const float bias = n->bias ? n->bias[o] : 0.0f;
        for (int64_t p = 0; p < pixels; p++) *to++ = s->current[p * row + o] + bias;
    }
    count_events(n, ns, inputs, sums);
    return ISG_OK;
}

static void run_gemm(isg_snn_state *s, int32_t i)
{
    const isgi_snn_node *n = &s->snn->nodes[i];
    isgi_snn_node_state *ns = &s->nodes[i];
    const isg_tensor *x = ns->in[0];
    const int64_t in = x->dims[1], out = ns->out[0].dims[1];
    const float *from = x->data;
    float *to = ns->out[0].data;
    uint64_t sums = 0, inputs = 0;
    /* an image has several rows where a Reshape made them */
    for (int64_t row = 0; row < x->dims[0]; row++, from += in, to += out) {
        for (int64_t o = 0; o < out; o++) to[o] = n->bias ? n->bias[o] : 0.0f;
        for (int64_t c = 0; c < in; c++) {
            if (from[c] == 0.0f) continue;
            add_scaled(to, n->weights + c * out, from[c], out);
            sums += (uint64_t)out;
            inputs++;
        }
    }
    count_events(n, ns, inputs, sums);
}

static uint64_t non_zero(const isg_tensor *t)
{
    const float *x = t->data;
    uint64_t n = 0;
    for (int64_t i = 0; i < t->count; i++) n += x[i] != 0.0f;
    return n;
}

/* Spikes that an addition passes on: one operation each (the identity shortcut of a residual block). */
static void count_add(isg_snn_state *s, int32_t i)
{
    const isg_node *node = &s->snn->g->nodes[i];
    for (int32_t k = 0; k < 2; k++) {
        const uint64_t spikes = s->snn->spiking[node->inputs[k]] ? non_zero(s->nodes[i].in[k]) : 0;
        s->nodes[i].run.inputs += spikes;
        s->nodes[i].run.synaptic_ops += spikes;
    }
}

static void count_pool(isg_snn_state *s, int32_t i)
{
    isgi_snn_node_state *ns = &s->nodes[i];
    const isg_tensor *x = ns->in[0];
    const float *from = x->data;
    axis axes[2];
    axes_of(axes, &s->snn->g->nodes[i].attr.conv, x, &ns->out[0]);
    ns->run.inputs += non_zero(x);
    for (int64_t c = 0; c < x->dims[1]; c++)
        for (int64_t y = 0; y < x->dims[2]; y++)
            for (int64_t px = 0; px < x->dims[3]; px++, from++)
                if (*from != 0.0f)
                    ns->run.synaptic_ops += (uint64_t)(windows_over(&axes[0], y) * windows_over(&axes[1], px));
}

/* Integrate and fire with soft reset, in place: currents become spikes of the threshold's size. */
static isg_status fire(isg_snn_state *s, int32_t i, float *data, int64_t count, int first, isg_error *err)
{
    const isgi_snn_node *n = &s->snn->nodes[i];
    isgi_snn_node_state *ns = &s->nodes[i];
    uint64_t spikes = 0;
    if (!ns->membrane) {
        ns->membrane = isgi_malloc((size_t)count * sizeof *ns->membrane);
        if (!ns->membrane) return isgi_nomem(err);
    }
    for (int64_t c = 0; c < n->channels; c++) {
        const float threshold = n->thresholds[c], start = threshold * (float)s->snn->initial;
        float *membrane = ns->membrane + c * n->spatial, *x = data + c * n->spatial;
        for (int64_t k = 0; first && k < n->spatial; k++) membrane[k] = start;
        for (int64_t k = 0; k < n->spatial; k++) {
            const float v = membrane[k] + x[k];
            const int fires = v >= threshold;
            membrane[k] = fires ? v - threshold : v;
            x[k] = fires ? threshold : 0.0f;
            spikes += (uint64_t)fires;
        }
    }
    ns->run.spikes += spikes;
    ns->run.updates += (uint64_t)count;
    return ISG_OK;
}

/* The activation that the neurons stand for. */
static void rectify(const isg_node *node, float *data, int64_t count)
{
    const float most = node->op == ISG_OP_CLIP ? node->attr.scalar.hi : INFINITY;
    for (int64_t k = 0; k < count; k++) {
        const float a = data[k] > 0.0f ? data[k] : 0.0f;
        data[k] = a < most ? a : most;
    }
}

static isg_status run_neurons(isg_snn_state *s, int32_t i, isgi_snn_mode mode, int first, isg_error *err)
{
    const isg_node *node = &s->snn->g->nodes[i];
    isg_tensor *y = &s->nodes[i].out[0];
    if (s->snn->nodes[i].role == ISGI_SNN_NEURONS)
        memcpy(y->data, s->nodes[i].in[0]->data, (size_t)y->count * sizeof(float));
    if (mode == ISGI_SNN_SPIKING) return fire(s, i, y->data, y->count, first, err);
    if (s->snn->nodes[i].role == ISGI_SNN_NEURONS) {
        for (int64_t k = 0; k < y->count; k++)
            if (!isfinite(((const float *)y->data)[k]))
                return isgi_node_fail(s->snn->g, i, ISG_E_NUMERIC, "activation is not finite", err);
        rectify(node, y->data, y->count);
    }
    if (s->visit) s->visit(s->visit_user, i, y);
    return ISG_OK;
}

static isg_status check_form(isg_snn_state *s, int32_t i, isg_error *err)
{
    const isg_tensor *x = s->nodes[i].in[0], *y = &s->nodes[i].out[0];
    if (!x || x->dtype != ISG_DT_F32 || y->dtype != ISG_DT_F32)
        return isgi_node_fail(s->snn->g, i, ISG_E_UNSUPPORTED, "only float32 has a spiking form", err);
    if (y->rank == 4 && y->dims[0] != 1)
        return isgi_node_fail(s->snn->g, i, ISG_E_UNSUPPORTED, "an image that becomes several has no spiking form",
                              err);
    return ISG_OK;
}

/* Shapes and memory of the node's outputs: made in the first step, cleared in later ones. */
static isg_status open_outputs(isg_snn_state *s, int32_t i, isgi_call *call, isg_error *err)
{
    const isg_node *node = call->node;
    isgi_snn_node_state *ns = &s->nodes[i];
    for (int32_t k = 0; k < node->input_count; k++) ns->in[k] = node->inputs[k] < 0 ? NULL : s->view[node->inputs[k]];
    if (s->snn->nodes[i].weights) ns->in[1] = &s->snn->nodes[i].weight_shape;
    if (ns->out[0].data) {
        for (int32_t k = 0; k < node->output_count; k++)
            memset(ns->out[k].data, 0, (size_t)ns->out[k].count * isg_dtype_size(ns->out[k].dtype));
        return ISG_OK;
    }
    ISGI_TRY(isgi_op_definition(node->op)->shape(call));
    for (int32_t k = 0; k < node->output_count; k++) {
        ISGI_TRY(isgi_tensor_alloc(&ns->out[k], err));
        if (node->outputs[k] >= 0) s->view[node->outputs[k]] = &ns->out[k];
    }
    return s->snn->nodes[i].role == ISGI_SNN_LINEAR ? ISG_OK : check_form(s, i, err);
}

static isg_status run_node(isg_snn_state *s, int32_t i, isgi_snn_mode mode, int first, isg_error *err)
{
    const isg_node *node = &s->snn->g->nodes[i];
    const isgi_snn_role role = s->snn->nodes[i].role;
    isgi_snn_node_state *ns = &s->nodes[i];
    isgi_call call = {node, s->snn->g->opset, ns->in, node->input_count, ns->out, node->output_count, err};
    ISGI_TRY(open_outputs(s, i, &call, err));
    switch (role) {
    case ISGI_SNN_CONV: return run_conv(s, i, err);
    case ISGI_SNN_GEMM: run_gemm(s, i); return ISG_OK;
    case ISGI_SNN_NEURONS: return run_neurons(s, i, mode, first, err);
    case ISGI_SNN_POOL:
        if (mode == ISGI_SNN_SPIKING) count_pool(s, i);
        ISGI_TRY(isgi_op_definition(node->op)->eval(&call));
        return run_neurons(s, i, mode, first, err);
    case ISGI_SNN_ADD:
        if (mode == ISGI_SNN_SPIKING) count_add(s, i);
        return isgi_op_definition(node->op)->eval(&call);
    default: return isgi_op_definition(node->op)->eval(&call);
    }
}

isg_status isgi_snn_step(isg_snn_state *s, isgi_snn_mode mode, int first, isg_error *err)
{
    const isg_snn *snn = s->snn;
    for (int32_t i = 0; i < snn->g->node_count; i++) {
        if (snn->nodes[i].role == ISGI_SNN_LAST || (snn->nodes[i].fixed && !first)) continue;
        ISGI_TRY(run_node(s, i, mode, first, err));
    }
    if (s->view[snn->output] && s->view[snn->output]->dtype == ISG_DT_F32) return ISG_OK;
    return isgi_fail(err, ISG_E_UNSUPPORTED, "the output does not depend on the input");
}

void isgi_snn_set_image(isg_snn_state *s, const float *image)
{
    s->input = s->snn->input;
    s->input.data = (void *)(uintptr_t)image; /* read only: no node writes to its inputs */
    s->view[s->snn->g->inputs[0]] = &s->input;
}

void isgi_snn_learn_shapes(isg_snn *snn, const isg_snn_state *s)
{
    snn->output_count = (uint64_t)s->view[snn->output]->count;
    for (uint32_t l = 0; l < snn->layer_count; l++) {
        const int32_t i = snn->layers[l];
        const isg_node *node = &snn->g->nodes[i];
        isgi_snn_node *n = &snn->nodes[i];
        const isg_tensor *x = s->nodes[i].in[0], *y = &s->nodes[i].out[0];
        axis axes[2];
        if (n->role == ISGI_SNN_NEURONS || n->role == ISGI_SNN_POOL) n->neurons = (uint64_t)y->count;
        if (n->role == ISGI_SNN_GEMM) n->synapses = (uint64_t)x->count * (uint64_t)y->dims[1];
        for (int32_t k = 0; n->role == ISGI_SNN_ADD && k < 2; k++)
            if (snn->spiking[node->inputs[k]]) n->synapses += (uint64_t)s->nodes[i].in[k]->count;
        if (n->role != ISGI_SNN_CONV && n->role != ISGI_SNN_POOL) continue;
        axes_of(axes, &node->attr.conv, x, y);
        for (int64_t py = 0; py < x->dims[2]; py++)
            for (int64_t px = 0; px < x->dims[3]; px++)
                n->synapses += (uint64_t)(windows_over(&axes[0], py) * windows_over(&axes[1], px));
        n->synapses *= (uint64_t)x->dims[1];
        if (n->role == ISGI_SNN_CONV) n->synapses *= (uint64_t)(y->dims[1] / node->attr.conv.groups);
    }
}

isg_status isg_snn_state_create(isg_snn_state **out, const isg_snn *snn, isg_error *err)
{
    const isg_graph *g = snn->g;
    isg_snn_state *s = isgi_calloc(1, sizeof *s);
    if (!s) return isgi_nomem(err);
    s->snn = snn;
    s->nodes = isgi_calloc((size_t)g->node_count, sizeof *s->nodes);
    s->view = isgi_calloc((size_t)g->value_count, sizeof *s->view);
    s->sum = isgi_calloc((size_t)snn->output_count, sizeof *s->sum);
    if (!s->nodes || !s->view || !s->sum) goto nomem;
    for (int32_t v = 0; v < g->value_count; v++) s->view[v] = g->values[v].constant;
    for (int32_t i = 0; i < g->node_count; i++) {
        s->nodes[i].in = isgi_calloc((size_t)g->nodes[i].input_count, sizeof *s->nodes[i].in);
        s->nodes[i].out = isgi_calloc((size_t)g->nodes[i].output_count, sizeof *s->nodes[i].out);
        if (!s->nodes[i].in || !s->nodes[i].out) goto nomem;
    }
    *out = s;
    return ISG_OK;
nomem:
    isg_snn_state_destroy(s);
    return isgi_nomem(err);
}

void isg_snn_state_destroy(isg_snn_state *s)
{
    if (!s) return;
    for (int32_t i = 0; s->nodes && i < s->snn->g->node_count; i++) {
        for (int32_t k = 0; s->nodes[i].out && k < s->snn->g->nodes[i].output_count; k++)
            isg_free(s->nodes[i].out[k].data);
        isg_free(s->nodes[i].in);
        isg_free(s->nodes[i].out);
        isg_free(s->nodes[i].membrane);
    }
    isg_free(s->nodes);
    isg_free(s->view);
    isg_free(s->current);
    isg_free(s->sum);
    isg_free(s);
}

void isg_snn_state_set_progress(isg_snn_state *s, const isg_progress *progress)
{
    s->progress = progress ? *progress : (isg_progress){0};
}

static void add_counts(isg_snn_counts *to, const isg_snn_counts *c)
{
    to->inputs += c->inputs;
    to->spikes += c->spikes;
    to->synaptic_ops += c->synaptic_ops;
    to->macs += c->macs;
    to->updates += c->updates;
}

static void report_step(isg_snn_state *s, uint32_t step, float *outputs, isg_snn_counts *total)
{
    for (uint64_t k = 0; k < s->snn->output_count; k++) outputs[k] = (float)(s->sum[k] / step);
    if (!total) return;
    memset(total, 0, sizeof *total);
    for (uint32_t l = 0; l < s->snn->layer_count; l++) add_counts(total, &s->nodes[s->snn->layers[l]].run);
}

isg_status isg_snn_run(isg_snn_state *s, const float *image, const uint32_t *steps, uint32_t step_count, float *outputs,
                       isg_snn_counts *totals, isg_error *err)
{
    const isg_snn *snn = s->snn;
    const float *out;
    uint32_t k, t, next = 0;
    for (k = 0; k < step_count; k++)
        if (steps[k] <= (k ? steps[k - 1] : 0)) return isgi_fail(err, ISG_E_ARG, "numbers of steps must rise from 1");
    if (!step_count) return isgi_fail(err, ISG_E_ARG, "at least one number of steps is needed");
    for (uint64_t p = 0; p < snn->input_count; p++)
        if (!isfinite(image[p])) return isgi_fail(err, ISG_E_NUMERIC, "the image holds a number that is not finite");
    isgi_snn_set_image(s, image);
    memset(s->sum, 0, (size_t)snn->output_count * sizeof *s->sum);
    for (int32_t i = 0; i < snn->g->node_count; i++) memset(&s->nodes[i].run, 0, sizeof s->nodes[i].run);
    for (t = 1; t <= steps[step_count - 1]; t++) {
        if (s->progress.cancelled && s->progress.cancelled(s->progress.user))
            return isgi_fail(err, ISG_E_CANCELLED, "cancelled");
        ISGI_TRY(isgi_snn_step(s, ISGI_SNN_SPIKING, t == 1, err));
        out = s->view[snn->output]->data;
        for (uint64_t p = 0; p < snn->output_count; p++) s->sum[p] += (double)out[p];
        if (t != steps[next]) continue;
        report_step(s, t, outputs + next * snn->output_count, totals ? totals + next : NULL);
        next++;
    }
    for (uint32_t l = 0; l < snn->layer_count; l++)
        add_counts(&s->nodes[snn->layers[l]].counts, &s->nodes[snn->layers[l]].run);
    return ISG_OK;
}

isg_snn_counts isg_snn_state_counts(const isg_snn_state *s, uint32_t layer)
{
    const isg_snn_counts none = {0, 0, 0, 0, 0};
    return layer < s->snn->layer_count ? s->nodes[s->snn->layers[layer]].counts : none;
}
