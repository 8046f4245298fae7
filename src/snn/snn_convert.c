/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion of a prepared graph: which nodes are neurons, what is a spike, weights in the order spikes use them. */
#include <math.h>
#include <string.h>

#include "snn/snn_internal.h"

/* Moves numbers without changing them: spikes stay spikes. */
static int only_moves(isg_op op)
{
    return op == ISG_OP_RESHAPE || op == ISG_OP_TRANSPOSE || op == ISG_OP_SLICE || op == ISG_OP_SPLIT ||
           op == ISG_OP_CONCAT || op == ISG_OP_PAD || op == ISG_OP_IDENTITY;
}

/* Why a node cannot stand between spiking neurons; NULL if it can. */
static const char *why_not(const isg_graph *g, const isg_node *n)
{
    switch (n->op) {
    case ISG_OP_CONV: return n->attr.conv.n == 2 ? NULL : "only two-dimensional convolutions have a spiking form";
    case ISG_OP_GEMM:
    case ISG_OP_ADD:
    case ISG_OP_SUB:
    case ISG_OP_RELU:
    case ISG_OP_AVERAGE_POOL:
    case ISG_OP_GLOBAL_AVERAGE_POOL:
    case ISG_OP_BATCH_NORM:
    case ISG_OP_REDUCE_MEAN:
    case ISG_OP_RESHAPE:
    case ISG_OP_TRANSPOSE:
    case ISG_OP_SLICE:
    case ISG_OP_SPLIT:
    case ISG_OP_CONCAT:
    case ISG_OP_IDENTITY: return NULL;
    case ISG_OP_PAD: return n->attr.pad.mode == ISG_PAD_CONSTANT ? NULL : "only constant padding has a spiking form";
    case ISG_OP_CLIP:
        return n->attr.scalar.lo == 0.0f && n->attr.scalar.hi > 0.0f ? NULL : "clip that does not begin at 0";
    case ISG_OP_MUL:
        return g->values[n->inputs[0]].constant || g->values[n->inputs[1]].constant
                   ? NULL
                   : "a product of two activations is not linear";
    case ISG_OP_DIV: return g->values[n->inputs[1]].constant ? NULL : "division by an activation is not linear";
    case ISG_OP_MAX_POOL:
    case ISG_OP_GLOBAL_MAX_POOL: return "max pooling has no exact spiking form (use average pooling)";
    default: return "operator has no spiking form (ReLU networks only)";
    }
}

static int is_graph_output(const isg_graph *g, int32_t value)
{
    return g->output_count > 0 && g->outputs[0] == value;
}

static isg_status choose_role(isg_snn *snn, int32_t i, isg_error *err)
{
    const isg_graph *g = snn->g;
    const isg_node *n = &g->nodes[i];
    isgi_snn_node *s = &snn->nodes[i];
    const char *reason;
    if (n->op == ISG_OP_SOFTMAX && is_graph_output(g, n->outputs[0])) {
        s->role = ISGI_SNN_LAST;
        snn->output = n->inputs[0];
        return ISG_OK;
    }
    reason = why_not(g, n);
    if (reason) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, reason, err);
    switch (n->op) {
    case ISG_OP_CONV: s->role = ISGI_SNN_CONV; break;
    case ISG_OP_GEMM: s->role = ISGI_SNN_GEMM; break;
    case ISG_OP_ADD: s->role = ISGI_SNN_ADD; break;
    case ISG_OP_RELU:
    case ISG_OP_CLIP: s->role = ISGI_SNN_NEURONS; break;
    case ISG_OP_AVERAGE_POOL:
    case ISG_OP_GLOBAL_AVERAGE_POOL: s->role = snn->spiking[n->inputs[0]] ? ISGI_SNN_POOL : ISGI_SNN_LINEAR; break;
    default: s->role = ISGI_SNN_LINEAR; break;
    }
    return ISG_OK;
}

/* What the node's outputs are, from its inputs. */
static void spread(isg_snn *snn, int32_t i)
{
    const isg_node *n = &snn->g->nodes[i];
    isgi_snn_node *s = &snn->nodes[i];
    int fixed = 1, spiking = only_moves(n->op), any = 0;
    for (int32_t k = 0; k < n->input_count; k++) {
        const int32_t v = n->inputs[k];
        if (v < 0) continue;
        if (!snn->fixed[v]) fixed = 0;
        if (snn->spiking[v]) any = 1;
        if (!snn->spiking[v] && !snn->g->values[v].constant) spiking = 0;
    }
    if (s->role == ISGI_SNN_POOL || s->role == ISGI_SNN_NEURONS) {
        fixed = 0;
        spiking = any = 1;
    }
    s->fixed = fixed;
    s->spikes = n->input_count > 0 && n->inputs[0] >= 0 && snn->spiking[n->inputs[0]];
    for (int32_t k = 0; k < n->output_count; k++) {
        if (n->outputs[k] < 0) continue;
        snn->fixed[n->outputs[k]] = (uint8_t)fixed;
        snn->spiking[n->outputs[k]] = (uint8_t)(spiking && any);
    }
}

/* OIHW of all groups -> [group][tap][ci][co of the group]; a GEMM is one tap and one group. */
static void reorder_weights(float *dst, const float *src, int64_t groups, int64_t co, int64_t ci, int64_t taps)
{
    for (int64_t g = 0; g < groups; g++)
        for (int64_t o = 0; o < co; o++)
            for (int64_t c = 0; c < ci; c++)
                for (int64_t t = 0; t < taps; t++)
                    dst[((g * taps + t) * ci + c) * co + o] = src[((g * co + o) * ci + c) * taps + t];
}

static isg_status load_weights(isg_snn *snn, int32_t i, isg_error *err)
{
    const isg_node *n = &snn->g->nodes[i];
    isgi_snn_node *s = &snn->nodes[i];
    const int conv = s->role == ISGI_SNN_CONV;
    const int64_t groups = conv ? n->attr.conv.groups : 1;
    isg_tensor *w;
    int64_t taps = 1;
    if (!conv && s->role != ISGI_SNN_GEMM) return ISG_OK;
    ISGI_TRY(isg_graph_weight(snn->g, n->inputs[1], &w, err));
    for (int64_t k = 0; k < w->count; k++)
        if (!isfinite(((const float *)w->data)[k])) {
            isg_tensor_destroy(w);
            return isgi_node_fail(snn->g, i, ISG_E_NUMERIC, "weight is not finite", err);
        }
    for (int32_t d = 2; d < w->rank; d++) taps *= w->dims[d];
    s->weights = isgi_malloc((size_t)w->count * sizeof *s->weights);
    if (s->weights) reorder_weights(s->weights, w->data, groups, w->dims[0] / groups, w->dims[1], taps);
    s->weight_shape = *w;
    s->weight_shape.data = NULL;
    isg_tensor_destroy(w);
    if (!s->weights) return isgi_nomem(err);
    if (n->input_count > 2 && n->inputs[2] >= 0) {
        const isg_tensor *bias = snn->g->values[n->inputs[2]].constant;
        if (!bias || bias->dtype != ISG_DT_F32)
            return isgi_node_fail(snn->g, i, ISG_E_UNSUPPORTED, "bias is not a float constant", err);
        s->bias = bias->data;
    }
    return ISG_OK;
}

static isg_status one_image_shape(isg_snn *snn, isg_error *err)
{
    const isg_graph *g = snn->g;
    const isg_value *v;
    int64_t dims[ISG_MAX_RANK];
    if (g->input_count != 1)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "spiking execution takes networks with one input");
    v = &g->values[g->inputs[0]];
    for (int32_t d = 0; d < v->rank; d++) {
        dims[d] = v->dims[d] == ISG_DIM_BATCH ? 1 : v->dims[d];
        if (dims[d] < 1) return isgi_fail(err, ISG_E_UNSUPPORTED, "input has an unknown dimension");
    }
    if (v->rank < 1 || v->dtype != ISG_DT_F32 || dims[0] != 1)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "spiking execution takes one float image at a time");
    ISGI_TRY(isgi_tensor_shape(&snn->input, ISG_DT_F32, v->rank, dims, err));
    snn->input_count = (uint64_t)snn->input.count;
    return ISG_OK;
}

static isg_status convert(isg_snn *snn, isg_error *err)
{
    const isg_graph *g = snn->g;
    ISGI_TRY(one_image_shape(snn, err));
    for (int32_t v = 0; v < g->value_count; v++) snn->fixed[v] = g->values[v].constant || g->values[v].factors;
    snn->fixed[g->inputs[0]] = 1;
    snn->output = g->outputs[0];
    for (int32_t i = 0; i < g->node_count; i++) {
        ISGI_TRY(choose_role(snn, i, err));
        spread(snn, i);
        ISGI_TRY(load_weights(snn, i, err));
        if (snn->nodes[i].role != ISGI_SNN_LINEAR && snn->nodes[i].role != ISGI_SNN_LAST)
            snn->layers[snn->layer_count++] = i;
    }
    return ISG_OK;
}

isg_status isg_snn_create(isg_snn **out, const isg_graph *prepared, const float *images, uint32_t count,
                          const isg_snn_options *options, isg_error *err)
{
    static const isg_snn_options fresh = ISG_SNN_OPTIONS_INIT;
    const isg_snn_options *o = options ? options : &fresh;
    const double percentile = o->percentile == 0.0 ? fresh.percentile : o->percentile;
    isg_snn *snn;
    isg_status status;
    if (o->struct_size != sizeof *o) return isgi_fail(err, ISG_E_ARG, "conversion options of another library version");
    if (!prepared || !images || !count) return isgi_fail(err, ISG_E_ARG, "conversion needs at least one image");
    if (!(percentile > 0.0 && percentile <= 100.0 && o->initial >= 0.0 && o->initial <= 1.0))
        return isgi_fail(err, ISG_E_ARG, "percentile or initial potential out of range");
    snn = isgi_calloc(1, sizeof *snn);
    if (!snn) return isgi_nomem(err);
    snn->initial = o->initial;
    snn->per_layer = o->per_layer;
    status = isg_graph_clone(&snn->g, prepared, err);
    if (status == ISG_OK) status = isg_graph_validate(snn->g, err);
    if (status == ISG_OK && snn->g->output_count < 1) status = isgi_fail(err, ISG_E_FORMAT, "graph has no output");
    if (status == ISG_OK) {
        snn->nodes = isgi_calloc((size_t)snn->g->node_count, sizeof *snn->nodes);
        snn->spiking = isgi_calloc((size_t)snn->g->value_count, 1);
        snn->fixed = isgi_calloc((size_t)snn->g->value_count, 1);
        snn->layers = isgi_calloc((size_t)snn->g->node_count, sizeof *snn->layers);
        if (!snn->nodes || !snn->spiking || !snn->fixed || !snn->layers) status = isgi_nomem(err);
    }
    if (status == ISG_OK) status = convert(snn, err);
    if (status == ISG_OK) status = isgi_snn_calibrate(snn, images, count, percentile, err);
    if (status != ISG_OK) {
        isg_snn_destroy(snn);
        return status;
    }
    *out = snn;
    return ISG_OK;
}

void isg_snn_destroy(isg_snn *snn)
{
    if (!snn) return;
    for (int32_t i = 0; snn->nodes && i < snn->g->node_count; i++) {
        isg_free(snn->nodes[i].weights);
        isg_free(snn->nodes[i].thresholds);
    }
    isg_free(snn->nodes);
    isg_free(snn->spiking);
    isg_free(snn->fixed);
    isg_free(snn->layers);
    isg_graph_destroy(snn->g);
    isg_free(snn);
}

uint64_t isg_snn_input_count(const isg_snn *snn)
{
    return snn->input_count;
}

uint64_t isg_snn_output_count(const isg_snn *snn)
{
    return snn->output_count;
}

uint32_t isg_snn_layer_count(const isg_snn *snn)
{
    return snn->layer_count;
}

isg_status isg_snn_layer_info(const isg_snn *snn, uint32_t layer, isg_snn_layer *info, isg_error *err)
{
    static const char *const kinds[] = {"linear", "conv", "gemm", "add", "pool", "neurons", "last"};
    const isgi_snn_node *s;
    if (layer >= snn->layer_count) return isgi_fail(err, ISG_E_ARG, "there is no spiking layer %u", layer);
    s = &snn->nodes[snn->layers[layer]];
    info->name = isg_graph_layer_name(snn->g, snn->layers[layer]);
    info->node = snn->layers[layer];
    info->kind = kinds[s->role];
    info->threshold = 0.0;
    for (int64_t c = 0; c < s->channels; c++)
        if ((double)s->thresholds[c] > info->threshold) info->threshold = (double)s->thresholds[c];
    info->neurons = s->neurons;
    info->synapses = s->synapses;
    info->graded = (s->role == ISGI_SNN_CONV || s->role == ISGI_SNN_GEMM) && !s->spikes;
    info->constant = s->fixed;
    return ISG_OK;
}
