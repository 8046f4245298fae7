/* SPDX-License-Identifier: Apache-2.0 */
/* Compiles a graph into a trainable network: activations, gradient flow, memory plan, schedule of phases. */
#include "train/net_device.h"

#include <insitu/rt.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "host/alloc.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* oneDNN asks its OpenMP for the number of threads. Which OpenMP that is depends on how oneDNN was built, so its two
 * entry points are looked up at run time; without one there is nothing to hold back. */
int isgi_omp_enter(void)
{
    union {
        void *p;
        int (*fn)(void);
    } get = {dlsym(RTLD_DEFAULT, "omp_get_max_threads")};
    int previous;
    if (!get.p) return 0;
    previous = get.fn();
    if (previous != 1) isgi_omp_leave(1);
    return previous;
}

void isgi_omp_leave(int previous)
{
    union {
        void *p;
        void (*fn)(int);
    } set = {dlsym(RTLD_DEFAULT, "omp_set_num_threads")};
    if (set.p && previous > 0) set.fn(previous);
}

void isgi_act_strides(const isgi_act *a, int64_t strides[ISG_MAX_RANK])
{
    const int channels_last = a->rank >= 3 && a->rank <= 5;
    int64_t step = 1;
    if (channels_last) {
        strides[1] = 1;
        step = a->dims[1];
    }
    for (int32_t k = a->rank - 1; k >= (channels_last ? 2 : 1); k--) {
        strides[k] = step;
        step *= a->dims[k];
    }
    strides[0] = 0;
}

void isgi_net_want(isgi_net *net, size_t partial_floats, size_t spare_floats)
{
    partial_floats = (partial_floats + 15) / 16 * 16;
    spare_floats = (spare_floats + 15) / 16 * 16;
    if (net->partial_floats < partial_floats) net->partial_floats = partial_floats;
    if (net->spare_floats < spare_floats) net->spare_floats = spare_floats;
}

void isgi_net_want_common(isgi_net *net, size_t floats)
{
    if (net->common_floats < floats) net->common_floats = floats;
}

#define SUM_BLOCK 512

/* dst[0..n) = pairwise sum of the partials of `count` chunks from `first` on; dst may be the first one's. */
static void sum_tree(const isgi_net *net, float *dst, size_t offset, size_t n, uint32_t first, uint32_t count)
{
    const float *p = isgi_net_partial(net, first) + offset;
    float right[SUM_BLOCK];
    uint32_t half = 1;
    if (count == 1) {
        if (dst != p) memcpy(dst, p, n * sizeof *dst);
        return;
    }
    while (half * 2 < count) half *= 2;
    sum_tree(net, dst, offset, n, first, half);
    sum_tree(net, right, offset, n, first + half, count - half);
    for (size_t i = 0; i < n; i++) dst[i] += right[i];
}

void isgi_reduce_partials(const isgi_net *net, float *dst, size_t offset, size_t begin, size_t end)
{
    uint32_t used = 0;
    while (used < net->chunks && isgi_chunk_count(net, used) > 0) used++;
    for (size_t at = begin; used && at < end; at += SUM_BLOCK) {
        const size_t n = end - at < SUM_BLOCK ? end - at : SUM_BLOCK;
        sum_tree(net, dst + at, offset + at, n, 0, used);
    }
    /* a rank without samples of a short batch */
    if (used == 0 && begin < end) memset(dst + begin, 0, (end - begin) * sizeof *dst);
}

int32_t isgi_net_add_param(isgi_net *net, const char *name, const char *suffix, float *origin, size_t count, int decay)
{
    isgi_param *p = &net->param_list[net->param_count];
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%.80s%s", name, suffix);
    p->origin = origin;
    p->count = count;
    p->decay = (uint8_t)decay;
    return net->param_count++;
}

/* ---- activations ---- */

static isg_status add_act(isgi_net *net, int32_t value, int32_t producer, isg_error *err)
{
    const isg_value *v = &net->graph->values[value];
    isgi_act *a = &net->acts[net->act_count];
    char name[100];
    memset(a, 0, sizeof *a);
    a->value = value;
    a->rank = v->rank;
    a->producer = producer;
    a->first_use = INT32_MAX;
    a->last_use = -1;
    a->size = 1;
    isgi_escape(name, sizeof name, v->name ? v->name : "");
    if (v->dtype != ISG_DT_F32)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: value %s is of type %s, where only float32 is supported",
                         name, isg_dtype_name((int32_t)v->dtype));
    if (v->rank < 2 || v->rank > ISG_MAX_RANK)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: value %s has no batch dimension", name);
    for (int32_t k = 1; k < v->rank; k++) {
        if (v->dims[k] <= 0 || a->size > (SIZE_MAX >> 16) / (size_t)v->dims[k]) {
            return isgi_fail(err, ISG_E_SHAPE, "training: value %s has no fixed shape", name);
        }
        a->dims[k] = v->dims[k];
        a->size *= (size_t)v->dims[k];
    }
    net->act_of_value[value] = net->act_count++;
    return ISG_OK;
}

/* ---- nodes to operations ---- */

static int32_t find_weight(isgi_net *net, int32_t value)
{
    for (int32_t i = 0; i < net->weight_count; i++) {
        if (net->weights[i].value == value) {
            net->weights[i].uses++;
            return i;
        }
    }
    net->weights[net->weight_count].value = value;
    net->weights[net->weight_count].uses = 1;
    return net->weight_count++;
}

static isg_status node_fail(const isg_node *node, const char *what, isg_error *err)
{
    char name[100];
    return isgi_fail(err, ISG_E_UNSUPPORTED, "training: %s node %s: %s", isg_op_name(node->op),
                     isgi_escape(name, sizeof name, node->name ? node->name : ""), what);
}

static isg_status weighted_op(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err)
{
    const isg_value *v = &net->graph->values[node->inputs[1]];
    if (op->in[0] < 0) return node_fail(node, "the input is a constant", err);
    if (!v->constant && !v->factors) return node_fail(node, "the weight is not a constant", err);
    op->in_count = 1;
    op->weight = find_weight(net, node->inputs[1]);
    if (node->input_count > 2 && node->inputs[2] >= 0) {
        const isg_value *b = &net->graph->values[node->inputs[2]];
        if (!b->constant || b->constant->dtype != ISG_DT_F32) return node_fail(node, "the bias is not constant", err);
        op->bias = isgi_net_add_param(net, node->name ? node->name : "", ".bias", b->constant->data,
                                      (size_t)b->constant->count, 0);
    }
    return ISG_OK;
}

static isg_status build_op(isgi_net *net, isgi_netop *op, const isg_node *node, int32_t which, isg_error *err)
{
    switch (node->op) {
    case ISG_OP_CONV:
    case ISG_OP_GEMM: return weighted_op(net, op, node, err);
    case ISG_OP_BATCH_NORM: return isgi_build_batchnorm(net, op, node, err);
    case ISG_OP_RELU:
    case ISG_OP_LEAKY_RELU:
    case ISG_OP_HARD_SIGMOID:
    case ISG_OP_HARD_SWISH:
    case ISG_OP_SIGMOID: return isgi_build_activation(net, op, err);
    case ISG_OP_CLIP:
        for (int32_t k = 1; k < 3 && k < node->input_count; k++) {
            const isg_tensor *t = node->inputs[k] >= 0 ? net->graph->values[node->inputs[k]].constant : NULL;
            if (!t) continue;
            if (t->dtype != ISG_DT_F32 || t->count != 1)
                return node_fail(node, "the limits are not float scalars", err);
            if (k == 1) op->attr.scalar.lo = *(const float *)t->data;
            if (k == 2) op->attr.scalar.hi = *(const float *)t->data;
        }
        op->in_count = 1;
        return isgi_build_activation(net, op, err);
    case ISG_OP_ADD:
    case ISG_OP_SUB:
    case ISG_OP_MUL:
    case ISG_OP_DIV:
    case ISG_OP_SUM: return isgi_build_binary(net, op, node, err);
    case ISG_OP_MAX_POOL:
    case ISG_OP_AVERAGE_POOL:
    case ISG_OP_GLOBAL_AVERAGE_POOL:
    case ISG_OP_GLOBAL_MAX_POOL:
    case ISG_OP_REDUCE_MEAN: op->in_count = 1; return isgi_build_pool(net, op, node, err);
    case ISG_OP_SOFTMAX: return isgi_build_softmax(net, op, err);
    case ISG_OP_CONCAT: return isgi_build_move(net, op, node, which, err);
    case ISG_OP_PAD:
    case ISG_OP_SLICE:
    case ISG_OP_SPLIT:
    case ISG_OP_GATHER:
    case ISG_OP_TRANSPOSE:
    case ISG_OP_RESHAPE:
    case ISG_OP_FLATTEN:
    case ISG_OP_SQUEEZE:
    case ISG_OP_UNSQUEEZE:
    case ISG_OP_IDENTITY:
    case ISG_OP_DROPOUT: op->in_count = 1; return isgi_build_move(net, op, node, which, err);
    default: return node_fail(node, "this operation cannot be trained through", err);
    }
}

static isg_status add_output(isgi_net *net, const isg_node *node, int32_t which, isg_error *err)
{
    isgi_netop *op = &net->ops[net->op_count];
    memset(op, 0, sizeof *op);
    op->op = node->op;
    op->name = node->name ? node->name : "";
    op->attr = node->attr;
    op->weight = op->bias = -1;
    for (int32_t k = 0; k < ISGI_OP_INPUTS; k++) op->in[k] = -1;
    if (node->input_count > ISGI_OP_INPUTS) return node_fail(node, "too many inputs", err);
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k] >= 0) op->in[k] = net->act_of_value[node->inputs[k]];
    }
    op->in_count = node->input_count;
    ISGI_TRY(add_act(net, node->outputs[which], net->op_count, err));
    op->out = net->act_count - 1;
    net->op_count++;
    return build_op(net, op, node, which, err);
}

/* An operation for every output that the logits need. Of one that they do not need nobody would write the gradient. */
static isg_status add_node(isgi_net *net, const isg_node *node, const uint8_t *needed, isg_error *err)
{
    for (int32_t which = 0; which < node->output_count; which++) {
        if (node->outputs[which] < 0 || !needed[node->outputs[which]]) continue;
        if (which > 0 && node->op != ISG_OP_SPLIT) return node_fail(node, "another output than its first is used", err);
        ISGI_TRY(add_output(net, node, which, err));
    }
    return ISG_OK;
}

/* A closing Softmax is left out: the losses want logits. */
static int32_t logits_value(const isg_graph *g)
{
    const int32_t v = g->outputs[0], p = g->values[v].producer;
    if (p >= 0 && g->nodes[p].op == ISG_OP_SOFTMAX && g->values[v].rank == 2) return g->nodes[p].inputs[0];
    return v;
}

static void mark_needed(const isg_graph *g, uint8_t *needed, int32_t value)
{
    needed[value] = 1;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const isg_node *node = &g->nodes[i];
        int wanted = 0;
        for (int32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] >= 0) wanted |= needed[node->outputs[k]];
        }
        for (int32_t k = 0; wanted && k < node->input_count; k++) {
            if (node->inputs[k] >= 0) needed[node->inputs[k]] = 1;
        }
    }
}

static isg_status compile_ops(isgi_net *net, isg_error *err)
{
    const isg_graph *g = net->graph;
    const int32_t logits = logits_value(g);
    uint8_t *needed = isgi_calloc((size_t)g->value_count + 1, 1);
    isg_status status = ISG_OK;
    if (!needed) return isgi_nomem(err);
    mark_needed(g, needed, logits);
    status = add_act(net, g->inputs[0], -1, err);
    for (int32_t i = 0; status == ISG_OK && i < g->node_count; i++) status = add_node(net, &g->nodes[i], needed, err);
    isg_free(needed);
    if (status != ISG_OK) return status;
    net->input = 0;
    net->logits = net->act_of_value[logits];
    if (net->logits < 0) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: the output is a constant");
    net->classes = (uint32_t)net->acts[net->logits].size;
    return ISG_OK;
}

/* A Relu that is the only reader of a BatchNormalization or a plain Add becomes part of it: a pass over memory less in
 * each direction. */
static void fuse_relu(isgi_net *net)
{
    int32_t *readers = net->act_readers, kept = 0;
    for (int32_t i = 0; i < net->op_count; i++) {
        for (int32_t k = 0; k < net->ops[i].in_count; k++) {
            if (net->ops[i].in[k] >= 0) readers[net->ops[i].in[k]]++;
        }
    }
    for (int32_t i = 0; i < net->op_count; i++) {
        isgi_netop *op = &net->ops[i];
        isgi_act *x = op->in[0] >= 0 ? &net->acts[op->in[0]] : NULL;
        isgi_netop *before = x && x->producer >= 0 ? &net->ops[x->producer] : NULL;
        const int bn = before && before->op == ISG_OP_BATCH_NORM;
        if (op->op == ISG_OP_RELU && before && op->in[0] != net->logits && readers[op->in[0]] == 1 && !before->relu &&
            (bn || isgi_add_takes_relu(net, before))) {
            before->out = op->out;
            before->relu = 1;
            if (!bn) isgi_add_fuse_relu(before);
            x->size = 0;
            net->acts[op->out].producer = x->producer;
            if (op->vt->destroy) op->vt->destroy(op);
            continue;
        }
        net->acts[op->out].producer = kept;
        if (kept != i) net->ops[kept] = *op;
        kept++;
    }
    net->op_count = kept;
}

/* ---- gradient flow and memory ---- */

static void plan_gradients(isgi_net *net)
{
    net->acts[net->input].needs_grad = net->input_gradient;
    for (int32_t i = 0; i < net->op_count; i++) {
        isgi_netop *op = &net->ops[i];
        uint8_t needs = op->weight >= 0 || op->bias >= 0 || op->op == ISG_OP_BATCH_NORM;
        for (int32_t k = 0; k < op->in_count; k++) {
            isgi_act *a;
            if (op->in[k] < 0) continue;
            a = &net->acts[op->in[k]];
            needs |= a->needs_grad;
            if (a->first_use > i) a->first_use = i;
            if (a->last_use < i) a->last_use = i;
        }
        net->acts[op->out].needs_grad = net->trainable && needs;
    }
    for (int32_t i = net->op_count - 1; i >= 0; i--) {
        isgi_netop *op = &net->ops[i];
        for (int32_t k = 0; k < op->in_count; k++) {
            if (op->in[k] < 0) continue;
            /* until gradients get their offsets, grad says whether one was written by an operation further on */
            op->accumulate[k] = net->acts[op->in[k]].grad != 0;
            net->acts[op->in[k]].grad = 1;
        }
    }
    for (int32_t i = 0; i < net->act_count; i++) net->acts[i].grad = 0;
}

typedef struct interval {
    int32_t begin, end;
    size_t size, *offset;
} interval;

/* First fit, in the order given; the offsets stay multiples of 16 floats a sample. */
static size_t place_intervals(interval *list, int32_t count)
{
    size_t top = 0;
    for (int32_t i = 0; i < count; i++) {
        size_t at = 0;
        int moved = 1;
        while (moved) {
            moved = 0;
            for (int32_t j = 0; j < i; j++) {
                const size_t o = *list[j].offset;
                if (list[j].end < list[i].begin || list[i].end < list[j].begin) continue;
                if (o >= at + list[i].size || at >= o + list[j].size) continue;
                at = o + list[j].size;
                moved = 1;
            }
        }
        *list[i].offset = at;
        if (at + list[i].size > top) top = at + list[i].size;
    }
    return top;
}

static isg_status plan_memory(isgi_net *net, isg_error *err)
{
    const int32_t n = net->op_count;
    interval *list = isgi_calloc((size_t)net->act_count * 2 + 1, sizeof *list);
    int32_t count = 0;
    if (!list) return isgi_nomem(err);
    for (int32_t i = 0; i < net->act_count; i++) {
        isgi_act *a = &net->acts[i];
        const size_t size = (a->size + 15) / 16 * 16;
        const int32_t last = i == net->logits ? 2 * n : a->last_use < 0 ? a->producer : a->last_use;
        const int32_t first_grad = i == net->logits || a->last_use < 0 ? n - 1 : 2 * n - 1 - a->last_use;
        list[count++] = (interval){a->producer, net->trainable ? 2 * n : last, size, &a->data};
        if (net->trainable && i != net->logits) list[count - 1].end = 2 * n - 1 - (a->producer < 0 ? 0 : a->producer);
        if (a->needs_grad) list[count++] = (interval){first_grad, 2 * n - 1 - a->producer, size, &a->grad};
    }
    net->arena_floats = place_intervals(list, count);
    isg_free(list);
    if (net->arena_floats > SIZE_MAX / sizeof(float) / ISGI_MAX_CHUNKS / net->chunk_cap) return isgi_nomem(err);
    net->arena = isgi_calloc(net->arena_floats * net->chunk_cap * net->chunks, sizeof(float));
    net->partial = isgi_calloc(net->partial_floats * net->chunks + 1, sizeof(float));
    net->spare = isgi_calloc(net->spare_floats * net->chunks + 1, sizeof(float));
    net->common = isgi_calloc(net->common_floats + 1, sizeof(float));
    return net->arena && net->partial && net->spare && net->common ? ISG_OK : isgi_nomem(err);
}

static void add_steps(isgi_step *list, int32_t *count, isgi_netop *op, const isgi_phase_fn fn[ISGI_PHASES],
                      const isgi_join_fn join[ISGI_PHASES])
{
    for (int p = 0; p < ISGI_PHASES; p++) {
        const int more = p + 1 < ISGI_PHASES && fn[p + 1] != NULL;
        if (!fn[p] && !join[p]) continue;
        list[(*count)++] = (isgi_step){fn[p], join[p], op, (uint8_t)(join[p] != NULL || more)};
    }
}

static isg_status plan_schedule(isgi_net *net, isg_error *err)
{
    net->forward = isgi_calloc((size_t)net->op_count * ISGI_PHASES + 1, sizeof *net->forward);
    net->backward = isgi_calloc((size_t)net->op_count * ISGI_PHASES + 1, sizeof *net->backward);
    if (!net->forward || !net->backward) return isgi_nomem(err);
    for (int32_t i = 0; i < net->op_count; i++) {
        isgi_netop *op = &net->ops[i];
        if (op->vt) add_steps(net->forward, &net->forward_count, op, op->vt->forward, op->vt->forward_join);
    }
    for (int32_t i = net->op_count - 1; net->trainable && i >= 0; i--) {
        isgi_netop *op = &net->ops[i];
        if (!net->acts[op->out].needs_grad || !op->vt) continue;
        add_steps(net->backward, &net->backward_count, op, op->vt->backward, op->vt->backward_join);
    }
    return ISG_OK;
}

static isg_status bind_params(isgi_net *net, isg_error *err)
{
    size_t total = 0, at = 0;
    for (int32_t i = 0; i < net->param_count; i++) total += (net->param_list[i].count + 15) / 16 * 16;
    net->param_floats = total;
    net->params = isgi_calloc(total + 1, sizeof(float));
    net->grads = isgi_calloc((net->trainable ? total : 0) + 1, sizeof(float));
    if (!net->params || !net->grads) return isgi_nomem(err);
    for (int32_t i = 0; i < net->param_count; i++) {
        isgi_param *p = &net->param_list[i];
        p->w = net->params + at;
        p->g = net->trainable ? net->grads + at : NULL;
        memcpy(p->w, p->origin, p->count * sizeof *p->w);
        at += (p->count + 15) / 16 * 16;
        if (p->scale) {
            double sum = 0;
            for (size_t k = 0; k < p->count; k++) sum += fabs((double)p->w[k]);
            p->floor = (float)(sum / (double)p->count * 0.01);
        }
    }
    return ISG_OK;
}

static isg_status build_primitives(isgi_net *net, isgi_device *device, isg_error *err)
{
    for (int32_t i = 0; i < net->op_count; i++) {
        const isgi_netop *op = &net->ops[i];
        if (op->op == ISG_OP_CONV) net->weights[op->weight].direct = isgi_factored_fits(net, op) != 0;
    }
    for (int32_t i = 0; i < net->weight_count; i++) ISGI_TRY(isgi_weight_bind(net, &net->weights[i], err));
    for (int32_t i = 0; i < net->op_count; i++) {
        isgi_netop *op = &net->ops[i];
        /* a convolution of the device needs no primitive here */
        if (op->op == ISG_OP_CONV && !(device && isgi_devop_code(net, op))) ISGI_TRY(isgi_build_conv(net, op, err));
        if (op->op == ISG_OP_GEMM) ISGI_TRY(isgi_build_gemm(net, op, err));
    }
    ISGI_TRY(plan_memory(net, err));
    for (int32_t i = 0; i < net->op_count; i++) {
        if (net->ops[i].op == ISG_OP_CONV && net->ops[i].vt) ISGI_TRY(isgi_bind_conv(net, &net->ops[i], err));
    }
    ISGI_TRY(plan_schedule(net, err));
    return device ? isgi_devnet_create(net, device, err) : ISG_OK;
}

static isg_status allocate_lists(isgi_net *net, isg_error *err)
{
    size_t outputs = 1;
    const isg_graph *g = net->graph;
    for (int32_t i = 0; i < g->node_count; i++) outputs += (size_t)g->nodes[i].output_count;
    net->act_of_value = isgi_malloc(((size_t)g->value_count + 1) * sizeof *net->act_of_value);
    net->acts = isgi_calloc(outputs, sizeof *net->acts);
    net->act_readers = isgi_calloc(outputs, sizeof *net->act_readers);
    net->ops = isgi_calloc(outputs, sizeof *net->ops);
    net->weights = isgi_calloc((size_t)g->node_count + 1, sizeof *net->weights);
    net->param_list = isgi_calloc((size_t)g->node_count * 8 + 8, sizeof *net->param_list);
    if (!net->act_of_value || !net->acts || !net->act_readers || !net->ops || !net->weights || !net->param_list)
        return isgi_nomem(err);
    for (int32_t i = 0; i < g->value_count; i++) net->act_of_value[i] = -1;
    return ISG_OK;
}

static isg_status compile(isgi_net *net, isgi_device *device, isg_error *err)
{
    if (net->graph->input_count != 1 || net->graph->output_count < 1) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: the network must have one input");
    }
    ISGI_TRY(allocate_lists(net, err));
    if (dnnl_engine_create(&net->engine, dnnl_cpu, 0) != dnnl_success) {
        return isgi_fail(err, ISG_E_INTERNAL, "training: oneDNN has no CPU engine");
    }
    for (uint32_t c = 0; c < net->chunks; c++) {
        if (dnnl_stream_create(&net->stream[c], net->engine, dnnl_stream_default_flags) != dnnl_success) {
            return isgi_nomem(err);
        }
    }
    ISGI_TRY(compile_ops(net, err));
    for (int32_t i = 0; i < net->weight_count; i++) ISGI_TRY(isgi_weight_plan(net, &net->weights[i], err));
    ISGI_TRY(bind_params(net, err));
    fuse_relu(net);
    plan_gradients(net);
    ISGI_TRY(build_primitives(net, device, err));
    ISGI_TRY(isgi_net_plan_shares(net, err));
    return isgi_net_refresh(net, err);
}

isg_status isgi_net_create(isgi_net **out, const isg_graph *g, const isgi_net_options *o, isg_error *err)
{
    isgi_net *net = isgi_calloc(1, sizeof *net);
    isg_status status;
    int omp;
    if (!net) return isgi_nomem(err);
    net->graph = g;
    net->batch = o->batch ? o->batch : 1;
    net->chunks = net->batch / 16 < 1 ? 1 : net->batch / 16 > ISGI_MAX_CHUNKS ? ISGI_MAX_CHUNKS : net->batch / 16;
    net->chunk_cap = (net->batch + net->chunks - 1) / net->chunks;
    net->trainable = o->trainable != 0;
    net->paper_clamp = o->paper_clamp;
    net->project = o->project;
    net->project_user = o->project_user;
    net->execution = o->execution;
    net->precision = o->precision;
    net->input_gradient = o->trainable && o->input_gradient;
    net->parallel = o->parallel;
    net->comm = o->comm;
    isgk_table_init(&net->kernels, isgi_cpu_effective_isa(ISG_ISA_ALL));
    omp = isgi_omp_enter();
    status = compile(net, o->device, err);
    isgi_omp_leave(omp);
    if (status != ISG_OK) {
        isgi_net_destroy(net);
        return status;
    }
    *out = net;
    return ISG_OK;
}

void isgi_net_destroy(isgi_net *net)
{
    if (!net) return;
    isgi_devnet_destroy(net);
    for (int32_t i = 0; i < net->op_count; i++) {
        if (net->ops[i].vt && net->ops[i].vt->destroy) net->ops[i].vt->destroy(&net->ops[i]);
    }
    for (int32_t i = 0; i < net->weight_count; i++) isgi_weight_clear(&net->weights[i]);
    for (uint32_t c = 0; c < ISGI_MAX_CHUNKS; c++) {
        if (net->stream[c]) dnnl_stream_destroy(net->stream[c]);
    }
    if (net->engine) dnnl_engine_destroy(net->engine);
    isg_free(net->act_of_value);
    isg_free(net->acts);
    isg_free(net->act_readers);
    isg_free(net->ops);
    isg_free(net->weights);
    isg_free(net->param_list);
    isg_free(net->params);
    isg_free(net->grads);
    isg_free(net->running);
    isg_free(net->forward);
    isg_free(net->backward);
    isg_free(net->arena);
    isg_free(net->partial);
    isg_free(net->spare);
    isg_free(net->common);
    isgi_net_clear_shares(net);
    isg_free(net);
}
