/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as the cost model sees them: geometry and stored streams of each layer, from graphs, models and choices. */
#include <insitu/sim.h>

#include "base/error.h"
#include "host/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RAW_BITS 8 /* what unquantised numbers are taken to be on the machine */

static double code_bytes(double numbers, unsigned bits)
{
    return ceil(numbers * bits / 8);
}

static double layer_weights(const isg_sim_layer *l)
{
    return (double)l->ci * l->taps * l->co;
}

static int is_fully_connected(const isg_sim_layer *l)
{
    return l->taps == 1 && l->in_pixels == 1 && l->out_pixels == 1;
}

/* Numbers in each factor, after weight.h. A depthwise layer with level 1 is one kernel with its channels as ci. */
static void factor_numbers(const isg_sim_layer *l, double *basis, double *u, double *v)
{
    const double ci = l->depthwise ? l->co : l->ci;
    const double bo = l->depthwise ? 1 : l->bo;
    *basis = l->level1 ? bo * l->bi * l->taps : bo * ci * l->taps;
    *u = l->level1 ? bo * l->bi * ci : 0;
    *v = l->level2 ? bo * l->co : 0;
}

/* Stored bytes of the streams from geometry, levels and bits. */
static void stream_bytes(isg_sim_layer *l, unsigned scale_bits, unsigned bias_bits)
{
    memset(l->bytes, 0, sizeof l->bytes);
    l->dense_bytes = code_bytes(layer_weights(l), l->weight_bits);
    l->bytes[ISG_SIM_BIAS] = code_bytes(l->co, bias_bits);
    if (l->level1 || l->level2) {
        double basis, u, v;
        factor_numbers(l, &basis, &u, &v);
        l->bytes[ISG_SIM_BASIS] = code_bytes(basis, l->basis_bits);
        l->bytes[ISG_SIM_U] = code_bytes(u, l->u_bits);
        l->bytes[ISG_SIM_V] = code_bytes(v, l->v_bits);
        l->bytes[ISG_SIM_SCALE] = code_bytes(1 + l->level1 + l->level2, scale_bits);
    } else {
        l->bytes[ISG_SIM_WEIGHT] = l->dense_bytes;
        l->bytes[ISG_SIM_SCALE] = code_bytes(l->co, scale_bits);
    }
}

static isg_status check_form(const isg_sim_form *f, isg_error *err)
{
    const uint8_t bits[] = {f->weight_bits, f->activation_bits};
    const uint8_t factor_bits[] = {f->basis_bits, f->u_bits, f->v_bits};
    if (f->struct_size != sizeof *f)
        return isgi_error(err, ISG_E_ARG, "isg_sim_form: wrong struct_size", ISG_ERROR_NONE, -1);
    for (int i = 0; i < 2; i++)
        if (bits[i] < 1 || bits[i] > 32) return isgi_fail(err, ISG_E_ARG, "%u bits, allowed are 1 to 32", bits[i]);
    for (int i = 0; i < 3 && (f->bi || f->bo); i++) {
        if (factor_bits[i] < 1 || factor_bits[i] > 32)
            return isgi_fail(err, ISG_E_ARG, "%u bits of a factor, allowed are 1 to 32", factor_bits[i]);
    }
    return ISG_OK;
}

isg_status isg_sim_layer_finish(isg_sim_layer *l, const isg_sim_form *form, isg_error *err)
{
    isg_levels levels = {0, 0, 0, 0};
    ISGI_TRY(check_form(form, err));
    if (!l->groups || !l->ci || !l->co || !l->taps || !l->in_pixels || !l->out_pixels || l->co % l->groups)
        return isgi_fail(err, ISG_E_ARG, "layer %.60s: its sizes do not make a layer", l->name);
    l->depthwise = l->groups > 1 && l->ci == 1 && l->co == l->groups;
    l->in_elements = l->in_pixels * l->ci * l->groups;
    l->out_elements = l->out_pixels * l->co;
    if ((l->groups == 1 || l->depthwise) && (form->factor_fc || !is_fully_connected(l))) {
        levels = isg_factor_levels(l->depthwise ? l->co : l->ci, l->depthwise ? 1 : l->co, l->taps, form->bi, form->bo,
                                   l->depthwise, form->level_flags);
    }
    l->level1 = levels.level1;
    l->level2 = levels.level2;
    l->bi = levels.level1 ? levels.bi : 0;
    l->bo = levels.level2 ? levels.bo : levels.level1 ? (l->depthwise ? 1 : l->co) : 0;
    l->basis_bits = l->level1 || l->level2 ? form->basis_bits : 0;
    l->u_bits = l->level1 ? form->u_bits : 0;
    l->v_bits = l->level2 ? form->v_bits : 0;
    l->weight_bits = form->weight_bits;
    l->activation_bits = form->activation_bits;
    l->nonzero = 1;
    l->spikes = l->synaptic_ops = -1;
    l->node = -1;
    stream_bytes(l, form->scale_bits, form->bias_bits);
    return ISG_OK;
}

isg_status isg_sim_network_create(isg_sim_network **out, const char *name, uint32_t layers, isg_error *err)
{
    isg_sim_network *n = isgi_calloc(1, sizeof *n);
    if (!n) return isgi_nomem(err);
    n->layers = isgi_calloc(layers ? layers : 1, sizeof *n->layers);
    if (!n->layers) {
        isg_free(n);
        return isgi_nomem(err);
    }
    n->layer_count = layers;
    isgi_escape(n->name, sizeof n->name, name);
    *out = n;
    return ISG_OK;
}

void isg_sim_network_destroy(isg_sim_network *n)
{
    if (!n) return;
    isg_free(n->layers);
    isg_free(n);
}

/* ---- as stored ---- */

/* Bits that a factor's numbers count with: RAW ones are what the machine would hold. */
static uint8_t stored_bits(uint8_t bits)
{
    return bits > 8 ? RAW_BITS : bits;
}

typedef struct stored {
    uint32_t bi, bo, basis_rows, basis_cols;
    uint8_t level1, level2, basis_bits, u_bits, v_bits;
    double scale_bytes;
} stored;

/* Overlays what a compressed weight says on a layer finished as dense. */
static void apply_stored(isg_sim_layer *l, const stored *s)
{
    const double bias = l->bytes[ISG_SIM_BIAS];
    l->level1 = s->level1;
    l->level2 = s->level2;
    l->bi = s->level1 ? s->bi : 0;
    l->bo = s->level2 ? s->bo : s->level1 ? (l->depthwise ? 1 : l->co) : 0;
    l->basis_bits = stored_bits(s->basis_bits);
    l->u_bits = s->level1 ? stored_bits(s->u_bits) : 0;
    l->v_bits = s->level2 ? stored_bits(s->v_bits) : 0;
    if (!s->level1 && !s->level2) l->weight_bits = l->basis_bits;
    stream_bytes(l, 0, 0);
    l->bytes[ISG_SIM_SCALE] = s->scale_bytes;
    l->bytes[ISG_SIM_BIAS] = bias;
    if (!s->level1 && !s->level2) l->basis_bits = 0;
}

static stored stored_from_factors(const isg_factors *f)
{
    const isg_factor *parts[3] = {&f->basis, &f->u, &f->v};
    stored s = {.bi = f->bi,
                .bo = f->bo,
                .level1 = f->level1,
                .level2 = f->level2,
                .basis_bits = f->basis.quant.bits,
                .u_bits = f->u.quant.bits,
                .v_bits = f->v.quant.bits};
    for (int i = 0; i < 3; i++) {
        if (!parts[i]->rows || parts[i]->quant.family == ISG_QUANT_RAW) continue;
        s.scale_bytes += (parts[i]->quant.per_column ? parts[i]->cols : 1) * (parts[i]->quant.scale_bits / 8.0);
    }
    return s;
}

static stored stored_from_weight(const isg_weight *w)
{
    const isg_codes *parts[3] = {&w->basis, &w->u, &w->v};
    stored s = {.bi = w->bi,
                .bo = w->bo,
                .level1 = w->level1,
                .level2 = w->level2,
                .basis_bits = w->basis.bits,
                .u_bits = w->u.bits,
                .v_bits = w->v.bits};
    for (int i = 0; i < 3; i++)
        if (parts[i]->rows) s.scale_bytes += parts[i]->scale_count * (parts[i]->scale_bits / 8.0);
    return s;
}

/* ---- from a graph ---- */

static uint64_t pixels(const isg_value *v)
{
    uint64_t n = 1;
    for (int32_t i = 2; i < v->rank; i++) n *= v->dims[i] > 0 ? (uint64_t)v->dims[i] : 0;
    return n;
}

/* 1: the node has a weight that costs something. */
static int has_weight(const isg_graph *g, const isg_node *node)
{
    const isg_value *w;
    if ((node->op != ISG_OP_CONV && node->op != ISG_OP_GEMM) || node->input_count < 2 || node->inputs[1] < 0) return 0;
    w = &g->values[node->inputs[1]];
    return w->constant || w->factors;
}

static isg_status layer_from_node(isg_sim_layer *l, const isg_graph *g, int32_t index, const isg_sim_form *form,
                                  isg_error *err)
{
    const isg_node *node = &g->nodes[index];
    const isg_value *x = &g->values[node->inputs[0]], *w = &g->values[node->inputs[1]],
                    *y = &g->values[node->outputs[0]];
    const isg_sim_form plain = ISG_SIM_FORM_INIT;
    const int64_t groups = node->op == ISG_OP_CONV ? node->attr.conv.groups : 1;
    uint64_t taps = 1;
    isgi_escape(l->name, sizeof l->name, isg_graph_layer_name(g, index));
    for (int32_t i = 2; i < w->rank; i++) taps *= (uint64_t)w->dims[i];
    if (w->rank < 2 || groups < 1 || groups > UINT32_MAX || w->dims[0] > UINT32_MAX || w->dims[1] > UINT32_MAX ||
        taps > UINT32_MAX)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "layer %s: its weight has an odd shape", l->name);
    l->groups = (uint32_t)groups;
    l->co = (uint32_t)w->dims[0];
    l->ci = (uint32_t)w->dims[1];
    l->taps = (uint32_t)taps;
    l->in_pixels = node->op == ISG_OP_CONV ? pixels(x) : 1;
    l->out_pixels = node->op == ISG_OP_CONV ? pixels(y) : 1;
    if (!l->in_pixels || !l->out_pixels)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "layer %s: its spatial size is not known", l->name);
    ISGI_TRY(isg_sim_layer_finish(l, form ? form : &plain, err));
    l->node = index;
    if (!form && w->factors) {
        const stored s = stored_from_factors(w->factors);
        apply_stored(l, &s);
    }
    return ISG_OK;
}

isg_status isg_sim_network_from_graph(isg_sim_network **out, const isg_graph *g, const isg_sim_form *form,
                                      isg_error *err)
{
    isg_sim_network *n = NULL;
    isg_status status = ISG_OK;
    uint32_t count = 0;
    for (int32_t i = 0; i < g->node_count; i++) count += (uint32_t)has_weight(g, &g->nodes[i]);
    if (!count) return isgi_error(err, ISG_E_UNSUPPORTED, "the network has no layer with weights", ISG_ERROR_NONE, -1);
    ISGI_TRY(isg_sim_network_create(&n, "graph", count, err));
    n->layer_count = 0;
    for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++)
        if (has_weight(g, &g->nodes[i])) status = layer_from_node(&n->layers[n->layer_count++], g, i, form, err);
    if (status == ISG_OK)
        *out = n;
    else
        isg_sim_network_destroy(n);
    return status;
}

/* ---- from a model ---- */

static uint64_t op_pixels(uint32_t rank, const uint32_t *dims)
{
    uint64_t n = 1;
    for (uint32_t i = 2; i < rank; i++) n *= dims[i];
    return n;
}

static isg_status layer_from_op(isg_sim_layer *l, const isg_rt_op *op, const isg_weight *w, const isg_sim_form *form,
                                isg_error *err)
{
    const isg_sim_form plain = ISG_SIM_FORM_INIT;
    const uint32_t channels = op->input_rank > 1 ? op->input_dims[1] : 1;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(op->name_bytes < 60 ? op->name_bytes : 60), op->name);
    isgi_escape(l->name, sizeof l->name, name);
    l->taps = w->taps;
    if (w->depthwise) {
        l->groups = l->co = w->ci;
        l->ci = 1;
    } else {
        l->groups = w->ci ? channels / w->ci : 1;
        l->co = w->co;
        l->ci = w->ci;
    }
    l->in_pixels = op_pixels(op->input_rank, op->input_dims);
    l->out_pixels = op_pixels(op->output_rank, op->output_dims);
    ISGI_TRY(isg_sim_layer_finish(l, form ? form : &plain, err));
    if (!form && (w->level1 || w->level2 || w->basis.family != ISG_QUANT_RAW)) {
        const stored s = stored_from_weight(w);
        apply_stored(l, &s);
    }
    return ISG_OK;
}

static isg_status layers_from_context(isg_sim_network *n, const isg_rt_context *ctx, const isg_rt_model *rt,
                                      const isg_sim_form *form, isg_error *err)
{
    n->layer_count = 0;
    for (uint32_t i = 0; i < isg_rt_op_count(ctx); i++) {
        isg_rt_op op;
        isg_weight w;
        ISGI_TRY(isg_rt_op_info(ctx, i, &op));
        if (op.weight < 0 || (strcmp(op.kind, "conv") != 0 && strcmp(op.kind, "fc") != 0)) continue;
        ISGI_TRY(isg_rt_weight(rt, (uint32_t)op.weight, &w));
        ISGI_TRY(layer_from_op(&n->layers[n->layer_count++], &op, &w, form, err));
    }
    if (!n->layer_count)
        return isgi_error(err, ISG_E_UNSUPPORTED, "the model has no layer with weights", ISG_ERROR_NONE, -1);
    return ISG_OK;
}

isg_status isg_sim_network_from_model(isg_sim_network **out, const isg_model *m, const isg_sim_form *form,
                                      isg_error *err)
{
    isg_sim_network *n = NULL;
    isg_session *session = NULL;
    const isg_rt_context *ctx;
    isg_status status = isg_session_create(&session, m, NULL, err);
    if (status != ISG_OK) return status;
    ctx = isg_session_context(session);
    status = isg_sim_network_create(&n, "model", isg_rt_op_count(ctx), err);
    if (status != ISG_OK) goto done;
    status = layers_from_context(n, ctx, isg_model_rt(m), form, err);
    if (status != ISG_OK) goto done;
    *out = n;
    n = NULL;
done:
    isg_sim_network_destroy(n);
    isg_session_destroy(session);
    return status;
}

/* ---- comparison without trained weights ---- */

const isg_sim_choice *isg_sim_choices(uint32_t *count)
{
    static const isg_sim_choice choices[] = {
        {"int8", "dense, 8-bit", {sizeof(isg_sim_form), 0, 0, 0, 0, 0, 0, 8, 8, 16, 32, 0}, ISG_SIM_DENSE},
        {"uniform4", "dense, 4-bit", {sizeof(isg_sim_form), 0, 0, 0, 0, 0, 0, 4, 8, 16, 32, 0}, ISG_SIM_DENSE},
        {"generate",
         "(2,44) 3-6-3, W generated",
         {sizeof(isg_sim_form), 2, 44, 0, 3, 6, 3, 8, 8, 16, 32, 0},
         ISG_SIM_GENERATE},
        {"half",
         "(2,44) 3-6-3, level 1 generated",
         {sizeof(isg_sim_form), 2, 44, 0, 3, 6, 3, 8, 8, 16, 32, 0},
         ISG_SIM_HALF},
        {"factored",
         "(2,44) 3-6-3, nothing generated",
         {sizeof(isg_sim_form), 2, 44, 0, 3, 6, 3, 8, 8, 16, 32, 0},
         ISG_SIM_FACTORED},
    };
    *count = (uint32_t)(sizeof choices / sizeof *choices);
    return choices;
}
