/* SPDX-License-Identifier: Apache-2.0 */
/* The list of weights that can be compressed, with what the pipeline learns about each of them. */
#include "compress/layers.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/cancel.h"

/* The largest weight of a layer whose scales are kept in binary16. */
#define LEAST_OF_HALF 0.015625f
#define MOST_OF_HALF 1024.0f

void isgi_layers_clear(isgi_layers *layers)
{
    for (uint32_t i = 0; i < layers->count; i++) {
        isg_free(layers->items[i].hwio);
        isg_free(layers->items[i].moment);
        isg_free(layers->items[i].mean);
    }
    isg_free(layers->items);
    layers->items = NULL;
    layers->count = 0;
}

int32_t isgi_layers_find(const isgi_layers *layers, int32_t node)
{
    for (uint32_t i = 0; i < layers->count; i++) {
        if (layers->items[i].node == node) return (int32_t)i;
    }
    return -1;
}

/* 1 if `node` has a weight that we compress; fills the geometry. */
static int layer_geometry(isgi_layer *layer, const isg_graph *g, int32_t index)
{
    const isg_node *node = &g->nodes[index];
    const isg_value *w;
    if ((node->op != ISG_OP_CONV && node->op != ISG_OP_GEMM) || node->input_count < 2) return 0;
    w = &g->values[node->inputs[1]];
    if (!w->constant || w->constant->dtype != ISG_DT_F32 || w->constant->count == 0) return 0;
    memset(layer, 0, sizeof *layer);
    layer->node = index;
    layer->value = node->inputs[1];
    layer->name = isg_graph_layer_name(g, index);
    layer->has_bias = node->input_count > 2 && node->inputs[2] != ISG_NO_VALUE;
    layer->co = (uint32_t)w->dims[0];
    layer->ci = (uint32_t)w->dims[1];
    layer->kh = layer->kw = layer->groups = 1;
    layer->sensitivity = 1.0;
    if (node->op == ISG_OP_GEMM) {
        layer->fc = 1;
    } else {
        if (w->rank != 4) return 0;
        layer->kh = (uint32_t)w->dims[2];
        layer->kw = (uint32_t)w->dims[3];
        layer->groups = (uint32_t)node->attr.conv.groups;
        layer->depthwise = layer->ci == 1 && layer->groups == layer->co && layer->groups > 1;
    }
    layer->rows = layer->kh * layer->kw * layer->ci;
    layer->cols = layer->co;
    return 1;
}

/* A weight that several nodes share is compressed once, for the first of them. */
static int is_listed(const isgi_layers *layers, int32_t value)
{
    for (uint32_t i = 0; i < layers->count; i++) {
        if (layers->items[i].value == value) return 1;
    }
    return 0;
}

/* Why no layer was found: weights of another type than ours hide all the others. */
static isg_status no_layers(const isg_graph *g, isg_error *err)
{
    char name[96];
    for (int32_t n = 0; n < g->node_count; n++) {
        const isg_node *node = &g->nodes[n];
        const isg_tensor *w;
        if ((node->op != ISG_OP_CONV && node->op != ISG_OP_GEMM) || node->input_count < 2) continue;
        w = g->values[node->inputs[1]].constant;
        if (w && w->dtype != ISG_DT_F32)
            return isgi_fail(err, ISG_E_UNSUPPORTED, "weight '%s' is of type %s, where only float32 is supported",
                             isgi_escape(name, sizeof name, g->values[node->inputs[1]].name),
                             isg_dtype_name((int32_t)w->dtype));
    }
    return isgi_fail(err, ISG_E_UNSUPPORTED, "the network has no weight that could be compressed");
}

/* Steps are a hundredth of the weights where codes have eight bits; below 2^-14 binary16 has fewer digits, below 2^-24
 * and from 65504 on none. */
static uint8_t scale_bits_for(const isgi_layer *layer)
{
    const size_t n = (size_t)layer->rows * layer->cols;
    float top = 0.0f;
    for (size_t i = 0; i < n; i++) top = fmaxf(top, fabsf(layer->hwio[i]));
    return top >= LEAST_OF_HALF && top <= MOST_OF_HALF ? 16 : 32;
}

isg_status isgi_layers_collect(isgi_layers *layers, const isg_graph *g, isg_error *err)
{
    layers->count = 0;
    layers->items = isgi_calloc((size_t)g->node_count + 1, sizeof *layers->items);
    if (!layers->items) return isgi_nomem(err);
    for (int32_t n = 0; n < g->node_count; n++) {
        isgi_layer *layer = &layers->items[layers->count];
        if (!layer_geometry(layer, g, n) || is_listed(layers, layer->value)) continue;
        layers->count++;
        layer->hwio = isgi_malloc((size_t)layer->rows * layer->cols * sizeof(float));
        if (!layer->hwio) return isgi_nomem(err);
        isg_weight_oihw_to_hwio(layer->hwio, g->values[layer->value].constant->data, layer->co, layer->ci,
                                layer->kh * layer->kw);
        layer->scale_bits = scale_bits_for(layer);
    }
    return layers->count ? ISG_OK : no_layers(g, err);
}

static void set_quant(isg_factor *f, uint8_t bits, uint8_t family, uint8_t scale_bits)
{
    if (!f->rows) return;
    f->quant.bits = bits;
    f->quant.family = bits >= 16 ? ISG_QUANT_RAW : family;
    f->quant.per_column = bits < 16 && family != ISG_QUANT_PAPER;
    f->quant.scale_bits = family == ISG_QUANT_PAPER ? 32 : scale_bits;
}

isg_status isgi_layer_factors(isg_factors **out, const isgi_layer *layer, const isg_layer_choice *choice,
                              isg_error *err)
{
    const uint32_t taps = layer->kh * layer->kw;
    isg_levels levels = {0, 0, 0, 0};
    isg_factors *f;
    const int depthwise = layer->depthwise && choice->bi;
    if (choice->bi || choice->bo) {
        levels.bi = choice->bi;
        levels.bo = choice->bo;
        levels.level1 = choice->bi > 0;
        levels.level2 = choice->bo > 0;
        if (levels.level1 && !levels.level2) levels.bo = depthwise ? 1 : layer->co;
    }
    ISGI_TRY(isg_factors_create(&f, taps, depthwise ? layer->co : layer->ci, depthwise ? 1 : layer->co, levels,
                                depthwise, err));
    set_quant(&f->basis, choice->bits_b, choice->family, layer->scale_bits);
    set_quant(&f->u, choice->bits_u, choice->family, layer->scale_bits);
    set_quant(&f->v, choice->bits_v, choice->family, layer->scale_bits);
    *out = f;
    return ISG_OK;
}

isg_status isgi_layer_bits(uint64_t *bits, const isgi_layer *layer, const isg_layer_choice *choice, isg_error *err)
{
    isg_factors *f;
    ISGI_TRY(isgi_layer_factors(&f, layer, choice, err));
    *bits = isg_factors_stored_bits(f);
    isg_factors_destroy(f);
    return ISG_OK;
}

/* Squared norm of x [taps] in the moment of one channel. */
static double moment_norm(const float *moment, const float *x, uint32_t taps)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < taps; i++) {
        for (uint32_t j = 0; j < taps; j++) sum += (double)x[i] * (double)moment[i * taps + j] * (double)x[j];
    }
    return sum;
}

/* Relative output error of a depthwise weight, every channel in the moment of its own inputs. */
static isg_status depthwise_error(double *error, const isg_factors *f, const isgi_layer *layer, isg_error *err)
{
    const uint32_t taps = layer->rows, channels = layer->cols;
    float *made = isgi_malloc((size_t)taps * channels * sizeof *made), *x = isgi_malloc(2 * taps * sizeof *x);
    double lost = 0.0, whole = 0.0;
    isg_status status = made && x ? isg_factors_weight(made, f, err) : isgi_nomem(err);
    for (uint32_t c = 0; status == ISG_OK && c < channels; c++) {
        const float *moment = layer->moment + (size_t)c * taps * taps;
        for (uint32_t t = 0; t < taps; t++) {
            x[t] = layer->hwio[(size_t)t * channels + c];
            x[taps + t] = made[(size_t)t * channels + c] - x[t];
        }
        whole += moment_norm(moment, x, taps);
        lost += moment_norm(moment, x + taps, taps);
    }
    isg_free(made);
    isg_free(x);
    if (status == ISG_OK) *error = whole > 0.0 ? lost / whole : 0.0;
    return status;
}

isg_status isgi_layer_fit(isg_factors *f, const isgi_layer *layer, uint32_t method, uint64_t seed,
                          const isg_progress *progress, isg_factor_report *report, isg_error *err)
{
    isg_factor_options options = {0};
    memset(report, 0, sizeof *report);
    if (!f->level1 && !f->level2) {
        if (!layer->depthwise || !layer->moment) {
            return isg_factor_round_dense(f, layer->hwio, layer->moment, report, err);
        }
        ISGI_TRY(isg_factor_round_grouped(f, layer->hwio, layer->moment, layer->groups, report, err));
        return depthwise_error(&report->output_error, f, layer, err);
    }
    options.struct_size = sizeof options;
    options.method = method;
    options.seed = seed;
    options.moment = layer->moment;
    options.quantise_aware = method == ISG_FACTOR_ALS;
    options.progress = progress;
    return isg_factorise(f, layer->hwio, &options, report, err);
}

/* ---- all layers ---- */

typedef struct isgi_layers_run {
    isgi_layer_fn *fn;
    void *user;
    const isgi_layers *layers;
    const char *stage;
    const isg_progress *progress;
    uint32_t *order; /* layers that are not kept */
    uint32_t count;
    isg_status *status; /* [layers] */
    isg_error *errors;
    uint64_t work; /* of all, in units */
    atomic_ullong done;
} isgi_layers_run;

/* What a layer takes grows with the products of its moment and its weight. */
static uint64_t layer_work(const isgi_layer *layer)
{
    return 1 + (uint64_t)((double)layer->rows * layer->rows * layer->cols / 1024.0);
}

static void order_by_work(isgi_layers_run *r)
{
    for (uint32_t i = 0; i < r->layers->count; i++) {
        const isgi_layer *layer = &r->layers->items[i];
        uint32_t at = r->count;
        if (layer->keep) continue;
        for (; at > 0 && layer_work(&r->layers->items[r->order[at - 1]]) < layer_work(layer); at--)
            r->order[at] = r->order[at - 1];
        r->order[at] = i;
        r->work += layer_work(layer);
        r->count++;
    }
}

void isgi_layer_advance(isgi_layer_turn *turn, double share)
{
    isgi_layers_run *r = turn->run;
    const isgi_layer *layer = &r->layers->items[turn->index];
    const uint64_t now = (uint64_t)((double)layer_work(layer) * share);
    if (now > turn->told) {
        atomic_fetch_add(&r->done, now - turn->told);
        turn->told = now;
    }
    if (turn->worker == 0 && r->progress && r->progress->report) {
        const double part = (double)atomic_load(&r->done) / (double)r->work;
        r->progress->report(r->progress->user, r->stage, (uint64_t)(100.0 * part), 100,
                            turn->text[0] ? turn->text : layer->name);
    }
}

static void layer_task(void *arg, uint32_t index, uint32_t worker)
{
    isgi_layers_run *r = arg;
    const uint32_t i = r->order[index];
    isgi_layer_turn turn = {.index = i, .worker = worker, .run = r};
    r->status[i] = isgi_cancelled(r->progress, &r->errors[i]);
    if (r->status[i] == ISG_OK) r->status[i] = r->fn(r->user, &turn, &r->errors[i]);
    if (r->status[i] == ISG_OK) isgi_layer_advance(&turn, 1.0);
}

isg_status isgi_layers_each(const isgi_layers *layers, isgi_layer_fn *fn, void *user, const char *stage,
                            const isg_parallel *parallel, const isg_progress *progress, isg_error *err)
{
    isgi_layers_run r = {.fn = fn, .user = user, .layers = layers, .stage = stage, .progress = progress};
    isg_status status = ISG_OK;
    r.order = isgi_calloc(layers->count, sizeof *r.order);
    r.status = isgi_calloc(layers->count, sizeof *r.status);
    r.errors = isgi_calloc(layers->count, sizeof *r.errors);
    atomic_init(&r.done, 0);
    if (!r.order || !r.status || !r.errors) {
        status = isgi_nomem(err);
    } else {
        order_by_work(&r);
        if (parallel && parallel->run)
            parallel->run(parallel->user, layer_task, &r, r.count);
        else
            for (uint32_t i = 0; i < r.count; i++) layer_task(&r, i, 0);
    }
    for (uint32_t i = 0; status == ISG_OK && i < layers->count; i++) {
        status = r.status[i];
        if (status != ISG_OK && err) *err = r.errors[i];
    }
    isg_free(r.order);
    isg_free(r.status);
    isg_free(r.errors);
    return status;
}
