/* SPDX-License-Identifier: Apache-2.0 */
/* Bias compensation: the mean output error of compressed layers moves into their biases. */
#include "compress/compensate.h"

#include <string.h>

#include "base/error.h"
#include "host/alloc.h"

/* The bias of the layer's node as writable numbers; a zero one is added where the node has none. */
static isg_status layer_bias(float **bias, isg_graph *g, const isgi_layer *layer, isg_error *err)
{
    isg_node *node = &g->nodes[layer->node];
    const int64_t dims[1] = {layer->co};
    isg_tensor *zero;
    int32_t *inputs, value;
    if (node->input_count > 2 && node->inputs[2] != ISG_NO_VALUE) {
        isg_tensor *t = g->values[node->inputs[2]].constant;
        if (!t || t->dtype != ISG_DT_F32 || t->count != layer->co) {
            return isgi_fail(err, ISG_E_UNSUPPORTED, "layer %s: its bias is not a constant", layer->name);
        }
        *bias = t->data;
        return ISG_OK;
    }
    ISGI_TRY(isg_tensor_create(&zero, ISG_DT_F32, 1, dims, err));
    value = isg_graph_add_constant(g, "bias", zero);
    if (value < 0) {
        isg_tensor_destroy(zero);
        return isgi_nomem(err);
    }
    inputs = isgi_malloc(3 * sizeof *inputs);
    if (!inputs) return isgi_nomem(err);
    node = &g->nodes[layer->node];
    inputs[0] = node->inputs[0];
    inputs[1] = node->inputs[1];
    inputs[2] = value;
    isg_free(node->inputs);
    node->inputs = inputs;
    node->input_count = 3;
    *bias = g->values[value].constant->data;
    return ISG_OK;
}

/* out[o] += sign * sum over the column of W[.][o] * mean[.] */
static void add_response(double *out, const float *hwio, const float *mean, const isgi_layer *layer, double sign)
{
    for (uint32_t r = 0; r < layer->rows; r++) {
        for (uint32_t o = 0; o < layer->cols; o++) {
            const float x = layer->depthwise ? mean[(size_t)o * layer->rows + r] : mean[r];
            out[o] += sign * (double)hwio[(size_t)r * layer->cols + o] * (double)x;
        }
    }
}

static isg_status compensate_layer(const isgi_layer *layer, isg_graph *g, const isgi_calibration *c, uint64_t items,
                                   isg_error *err)
{
    const size_t width = layer->depthwise ? (size_t)layer->co * layer->rows : layer->rows;
    float *mean = isgi_malloc(width * sizeof *mean), *bias = NULL;
    float *made = isgi_malloc((size_t)layer->rows * layer->cols * sizeof *made);
    double *shift = isgi_calloc(layer->cols, sizeof *shift);
    isg_status status = mean && made && shift ? ISG_OK : isgi_nomem(err);
    if (status == ISG_OK) status = isgi_calibrate_mean(mean, layer, g, c, items, err);
    if (status == ISG_OK) status = isg_factors_weight(made, g->values[layer->value].factors, err);
    if (status == ISG_OK) status = layer_bias(&bias, g, layer, err);
    if (status == ISG_OK) {
        add_response(shift, layer->hwio, layer->mean, layer, 1.0);
        add_response(shift, made, mean, layer, -1.0);
        for (uint32_t o = 0; o < layer->cols; o++) bias[o] = (float)((double)bias[o] + shift[o]);
    }
    isg_free(mean);
    isg_free(made);
    isg_free(shift);
    return status;
}

isg_status isgi_compensate_biases(const isgi_layers *layers, isg_graph *g, const isgi_calibration *c, uint64_t items,
                                  isg_error *err)
{
    for (uint32_t i = 0; i < layers->count; i++) {
        const isgi_layer *layer = &layers->items[i];
        if (layer->keep || !layer->mean || (layer->groups > 1 && !layer->depthwise)) continue;
        if (c->progress && c->progress->report) {
            c->progress->report(c->progress->user, "compensating", i, layers->count, layer->name);
        }
        ISGI_TRY(compensate_layer(layer, g, c, items, err));
    }
    return ISG_OK;
}
