/* SPDX-License-Identifier: Apache-2.0 */
/* Two forms of one network matched layer by layer, and models of the one that hold a single layer of the other. */
#include <insitu/compress.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "rt/view.h"

/* A convolution or fully connected operation of one of the two. */
typedef struct weighted {
    const char *name; /* inside the model's image */
    uint32_t name_bytes, op, record;
    int32_t node; /* of the unpacked graph */
    int taken;    /* matched already */
} weighted;

typedef struct weighted_list {
    weighted *items;
    uint32_t count;
} weighted_list;

typedef struct swap_layer {
    int32_t node, twin; /* the same layer in `original` and in `compressed` */
    uint32_t op;
    isg_layer_report report;
} swap_layer;

struct isg_layer_swap {
    isg_graph *original, *compressed;
    int32_t weight, bias; /* values of `original` that stand for those of `compressed` while a model is made */
    swap_layer *layers;
    uint32_t count;
};

static int is_weighted(const isg_node *n)
{
    return n->op == ISG_OP_CONV || n->op == ISG_OP_GEMM;
}

/* isg_unpack_image() makes one CONV or GEMM of every convolution and fully connected operation, in their order. */
static isg_status collect(weighted_list *list, const isg_model *model, const isg_graph *g, isg_error *err)
{
    const isgi_model *m = isgi_model_of_const(isg_model_rt(model));
    isgi_cursor c = isgi_view_ops(m);
    int32_t node = 0;
    list->count = 0;
    list->items = isgi_calloc(m->ops + 1u, sizeof *list->items);
    if (!list->items) return isgi_nomem(err);
    for (uint32_t i = 0; i < m->ops; i++) {
        const uint32_t own = m->inputs + m->constants + i;
        weighted *w = &list->items[list->count];
        isgi_shape shape;
        isgi_op op;
        isgi_view_tensor(m, own, &shape, NULL);
        ISGI_TRY(isgi_view_read_op(&c, own, shape.rank, &op, err));
        if (op.kind != ISG_KIND_CONV && op.kind != ISG_KIND_FC) continue;
        while (node < g->node_count && !is_weighted(&g->nodes[node])) node++;
        if (node == g->node_count) return isgi_fail(err, ISG_E_INTERNAL, "an operation has no node");
        w->name = op.name;
        w->name_bytes = op.name_bytes;
        w->op = i;
        w->record = (uint32_t)op.weight;
        w->node = node++;
        list->count++;
    }
    return ISG_OK;
}

static weighted *find_twin(weighted_list *list, const weighted *of)
{
    for (uint32_t i = 0; i < list->count; i++) {
        weighted *w = &list->items[i];
        if (w->taken || w->name_bytes != of->name_bytes || memcmp(w->name, of->name, of->name_bytes)) continue;
        w->taken = 1;
        return w;
    }
    return NULL;
}

static isg_status no_twin(const weighted *w, const char *where, isg_error *err)
{
    char text[96], name[120];
    snprintf(text, sizeof text, "%.*s", (int)w->name_bytes, w->name);
    return isgi_fail(err, ISG_E_ARG, "not two forms of one network: %s has no layer '%s'", where,
                     isgi_escape(name, sizeof name, text));
}

static int same_shape(const isg_graph *a, const isg_node *x, const isg_graph *b, const isg_node *y)
{
    const isg_value *v = &a->values[x->inputs[1]], *w = &b->values[y->inputs[1]];
    if (x->op != y->op || v->rank != w->rank || memcmp(v->dims, w->dims, (size_t)v->rank * sizeof *v->dims)) return 0;
    return x->op != ISG_OP_CONV || x->attr.conv.groups == y->attr.conv.groups;
}

/* ||W - W^||^2 / ||W||^2 */
static isg_status weight_error(double *error, const isg_graph *a, int32_t value, const isg_graph *b, int32_t other,
                               isg_error *err)
{
    isg_tensor *w = NULL, *made = NULL;
    double lost = 0.0, whole = 0.0;
    isg_status status = isg_graph_weight(a, value, &w, err);
    if (status == ISG_OK) status = isg_graph_weight(b, other, &made, err);
    for (int64_t i = 0; status == ISG_OK && i < w->count; i++) {
        const double x = (double)((const float *)w->data)[i], e = x - (double)((const float *)made->data)[i];
        whole += x * x;
        lost += e * e;
    }
    isg_tensor_destroy(w);
    isg_tensor_destroy(made);
    if (status == ISG_OK) *error = lost == 0.0 ? 0.0 : lost / whole;
    return status;
}

static isg_status fill_report(isg_layer_report *r, const weighted *w, const isg_value *value, const isg_node *node,
                              const isg_weight *stored, isg_error *err)
{
    const isg_codes *const codes[3] = {&stored->basis, &stored->u, &stored->v};
    memset(r, 0, sizeof *r);
    r->name = isgi_strndup(w->name, w->name_bytes);
    if (!r->name) return isgi_nomem(err);
    r->co = (uint32_t)value->dims[0];
    r->ci = (uint32_t)value->dims[1];
    r->kh = value->rank == 4 ? (uint32_t)value->dims[2] : 1;
    r->kw = value->rank == 4 ? (uint32_t)value->dims[3] : 1;
    r->groups = node->op == ISG_OP_CONV ? (uint32_t)node->attr.conv.groups : 1;
    r->level1 = stored->level1;
    r->level2 = stored->level2;
    r->choice.bi = stored->level1 ? stored->bi : 0;
    r->choice.bo = stored->level2 ? stored->bo : 0;
    r->choice.bits_b = stored->basis.bits;
    r->choice.bits_u = stored->level1 ? stored->u.bits : 0;
    r->choice.bits_v = stored->level2 ? stored->v.bits : 0;
    r->choice.family = stored->basis.family;
    r->kept = !stored->level1 && !stored->level2 && stored->basis.family == ISG_QUANT_RAW;
    r->params_full = (uint64_t)r->co * r->ci * r->kh * r->kw;
    r->bytes_full = r->params_full * sizeof(float);
    r->bytes = isgi_weight_bytes(stored);
    for (int i = 0; i < 3; i++) r->params += (uint64_t)codes[i]->rows * codes[i]->cols;
    r->sensitivity = r->output_error = NAN;
    return ISG_OK;
}

static isg_status match_layer(isg_layer_swap *s, const weighted *w, weighted_list *twins,
                              const isg_rt_model *compressed, isg_error *err)
{
    swap_layer *layer = &s->layers[s->count];
    const isg_node *node = &s->original->nodes[w->node], *other;
    const isg_value *value = &s->original->values[node->inputs[1]];
    const weighted *twin = find_twin(twins, w);
    isg_weight stored;
    if (!twin) return no_twin(w, "the compressed one", err);
    other = &s->compressed->nodes[twin->node];
    layer->node = w->node;
    layer->twin = twin->node;
    layer->op = w->op;
    isgi_view_weight(isgi_model_of_const(compressed), twin->record, &stored);
    s->count++;
    ISGI_TRY(fill_report(&layer->report, w, value, node, &stored, err));
    if (!same_shape(s->original, node, s->compressed, other)) {
        char name[120];
        return isgi_fail(err, ISG_E_ARG, "not two forms of one network: layer '%s' differs in shape",
                         isgi_escape(name, sizeof name, layer->report.name));
    }
    return weight_error(&layer->report.weight_error, s->original, node->inputs[1], s->compressed, other->inputs[1],
                        err);
}

static isg_status match_all(isg_layer_swap *s, const isg_model *original, const isg_model *compressed, isg_error *err)
{
    weighted_list own = {0}, twins = {0};
    isg_status status = collect(&own, original, s->original, err);
    if (status == ISG_OK) status = collect(&twins, compressed, s->compressed, err);
    if (status == ISG_OK) {
        s->layers = isgi_calloc(own.count + 1u, sizeof *s->layers);
        if (!s->layers) status = isgi_nomem(err);
    }
    for (uint32_t i = 0; status == ISG_OK && i < own.count; i++)
        status = match_layer(s, &own.items[i], &twins, isg_model_rt(compressed), err);
    for (uint32_t i = 0; status == ISG_OK && i < twins.count; i++)
        if (!twins.items[i].taken) status = no_twin(&twins.items[i], "the original", err);
    isg_free(own.items);
    isg_free(twins.items);
    return status;
}

/* A value that has no content of its own. */
static isg_status add_stand_in(isg_graph *g, const char *name, int32_t *value, isg_error *err)
{
    *value = isg_graph_add_value(g, name, ISG_DT_F32, -1, NULL);
    if (*value >= 0) return ISG_OK;
    return isgi_fail(err, (isg_status)*value, "cannot add to the graph: %s", isg_status_text((isg_status)*value));
}

isg_status isg_layer_swap_create(isg_layer_swap **out, const isg_model *original, const isg_model *compressed,
                                 isg_error *err)
{
    isg_layer_swap *s = isgi_calloc(1, sizeof *s);
    isg_status status;
    *out = NULL;
    if (!s) return isgi_nomem(err);
    status = isg_model_graph(&s->original, original, err);
    if (status == ISG_OK) status = isg_model_graph(&s->compressed, compressed, err);
    if (status == ISG_OK) status = match_all(s, original, compressed, err);
    if (status == ISG_OK) status = add_stand_in(s->original, "weight.compressed", &s->weight, err);
    if (status == ISG_OK) status = add_stand_in(s->original, "bias.compressed", &s->bias, err);
    if (status == ISG_OK)
        *out = s;
    else
        isg_layer_swap_destroy(s);
    return status;
}

void isg_layer_swap_destroy(isg_layer_swap *s)
{
    if (!s) return;
    isg_graph_destroy(s->original);
    isg_graph_destroy(s->compressed);
    for (uint32_t i = 0; i < s->count; i++) isg_free(s->layers[i].report.name);
    isg_free(s->layers);
    isg_free(s);
}

uint32_t isg_layer_swap_count(const isg_layer_swap *s)
{
    return s->count;
}

const isg_layer_report *isg_layer_swap_report(const isg_layer_swap *s, uint32_t layer)
{
    return layer < s->count ? &s->layers[layer].report : NULL;
}

uint32_t isg_layer_swap_op(const isg_layer_swap *s, uint32_t layer)
{
    return layer < s->count ? s->layers[layer].op : UINT32_MAX;
}

/* The stand-in gets what `from` has, which stays the owner. */
static void lend(isg_value *to, const isg_value *from)
{
    to->rank = from->rank;
    memcpy(to->dims, from->dims, sizeof to->dims);
    to->constant = from->constant;
    to->factors = from->factors;
}

static void take_back(isg_value *to)
{
    to->constant = NULL;
    to->factors = NULL;
}

isg_status isg_layer_swap_model(isg_model **out, isg_layer_swap *s, uint32_t layer, isg_error *err)
{
    isg_value *values = s->original->values;
    isg_node *node, kept;
    const isg_node *twin;
    int32_t inputs[3];
    isg_status status;
    *out = NULL;
    if (layer >= s->count) return isgi_fail(err, ISG_E_ARG, "no such layer %u", (unsigned)layer);
    node = &s->original->nodes[s->layers[layer].node];
    twin = &s->compressed->nodes[s->layers[layer].twin];
    kept = *node;
    inputs[0] = node->inputs[0];
    inputs[1] = s->weight;
    inputs[2] = s->bias;
    lend(&values[s->weight], &s->compressed->values[twin->inputs[1]]);
    node->inputs = inputs;
    node->input_count = 2;
    if (twin->input_count > 2 && twin->inputs[2] != ISG_NO_VALUE) {
        lend(&values[s->bias], &s->compressed->values[twin->inputs[2]]);
        node->input_count = 3;
    }
    status = isg_model_from_graph(out, s->original, err);
    *node = kept;
    take_back(&values[s->weight]);
    take_back(&values[s->bias]);
    return status;
}
