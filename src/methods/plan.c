/* SPDX-License-Identifier: Apache-2.0 */
/* A method over a whole network: which weights it stores, what they take, and the network that is left. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/cancel.h"
#include "methods/method.h"

#define DEFAULT_REST 8u

typedef struct plan_layer {
    char *name, *value; /* of the first node that reads the weight, and of the weight */
    isg_method_shape shape;
    isg_method_way way;
} plan_layer;

struct isg_method_plan {
    isg_method method, rest;
    plan_layer *layers;
    uint32_t count;
    int rest_plain; /* the rest stays in binary32; there is no method for it */
};

/* ---- what the layers are ---- */

static isg_method_shape shape_of(const isg_value *v)
{
    isg_method_shape s = {(uint32_t)v->dims[0], (uint32_t)v->dims[1], 1, 1};
    for (int32_t i = 2; i < v->rank; i++) {
        if (i + 1 < v->rank)
            s.kh *= (uint32_t)v->dims[i];
        else
            s.kw = (uint32_t)v->dims[i];
    }
    return s;
}

/* The weight of node `index`, or ISG_NO_VALUE where it has none that can be stored another way. */
static int32_t weight_of(const isg_graph *g, int32_t index)
{
    const isg_node *n = &g->nodes[index];
    if ((n->op != ISG_OP_CONV && n->op != ISG_OP_GEMM) || n->input_count < 2 || n->inputs[1] < 0) return ISG_NO_VALUE;
    return g->values[n->inputs[1]].constant || g->values[n->inputs[1]].factors ? n->inputs[1] : ISG_NO_VALUE;
}

static plan_layer *find_layer(const isg_method_plan *p, const char *value)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (!strcmp(p->layers[i].value, value)) return &p->layers[i];
    }
    return NULL;
}

/* Adds to *kept where the name is one to keep. */
static isg_status add_layer(isg_method_plan *p, const isg_graph *g, int32_t node, const regex_t *keep, uint32_t *kept,
                            isg_error *err)
{
    const isg_value *v = &g->values[weight_of(g, node)];
    plan_layer *l = &p->layers[p->count];
    char shown[96];
    if (find_layer(p, v->name)) return ISG_OK;
    if (v->factors || v->constant->dtype != ISG_DT_F32 || v->rank < 2)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "layer %s: its weight is not plain float32",
                         isgi_escape(shown, sizeof shown, isg_graph_layer_name(g, node)));
    l->name = isgi_strdup(isg_graph_layer_name(g, node));
    l->value = isgi_strdup(v->name);
    p->count++;
    if (!l->name || !l->value) return isgi_nomem(err);
    l->shape = shape_of(v);
    if (keep && regexec(keep, l->name, 0, NULL, 0) == 0) {
        l->way = ISG_METHOD_KEPT;
        ++*kept;
    } else {
        l->way = isg_method_fits(&p->method, &l->shape) ? ISG_METHOD_USED : ISG_METHOD_REST;
    }
    return ISG_OK;
}

static isg_status set_rest(isg_method_plan *p, uint32_t bits, isg_error *err)
{
    isg_method *rest;
    char text[32];
    p->rest_plain = bits == 32;
    if (p->rest_plain) return ISG_OK;
    snprintf(text, sizeof text, "uniform:bits=%u", (unsigned)bits);
    ISGI_TRY(isg_method_create(&rest, text, err));
    p->rest = *rest;
    isg_method_destroy(rest);
    return ISG_OK;
}

static isg_status add_layers(isg_method_plan *p, const isg_graph *g, const char *keep, isg_error *err)
{
    regex_t regex;
    char shown[96];
    uint32_t kept = 0;
    isg_status status = ISG_OK;
    if (keep && regcomp(&regex, keep, REG_EXTENDED | REG_NOSUB) != 0)
        return isgi_fail(err, ISG_E_ARG, "layer pattern \"%s\" is not a regular expression",
                         isgi_escape(shown, sizeof shown, keep));
    for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++) {
        if (weight_of(g, i) >= 0) status = add_layer(p, g, i, keep ? &regex : NULL, &kept, err);
    }
    if (keep) regfree(&regex);
    if (status == ISG_OK && keep && !kept)
        return isgi_fail(err, ISG_E_ARG, "layer pattern \"%s\" matches no layer",
                         isgi_escape(shown, sizeof shown, keep));
    return status;
}

isg_status isg_method_plan_create(isg_method_plan **out, const isg_graph *g, const isg_method *m,
                                  const isg_method_options *options, isg_error *err)
{
    const uint32_t rest = options && options->rest_bits ? options->rest_bits : DEFAULT_REST;
    isg_method_plan *p;
    isg_status status;
    *out = NULL;
    if (options && options->struct_size != sizeof *options)
        return isgi_fail(err, ISG_E_ARG, "options of another version");
    if (rest != 32 && (rest < 2 || rest > 8))
        return isgi_fail(err, ISG_E_ARG, "bits of layers that a method has no form for: 2 to 8, or 32");
    p = isgi_calloc(1, sizeof *p);
    if (!p) return isgi_nomem(err);
    p->method = *m;
    p->layers = isgi_calloc((size_t)g->node_count + 1u, sizeof *p->layers);
    status = p->layers ? set_rest(p, rest, err) : isgi_nomem(err);
    if (status == ISG_OK) status = add_layers(p, g, options ? options->keep : NULL, err);
    if (status != ISG_OK) {
        isg_method_plan_destroy(p);
        return status;
    }
    *out = p;
    return ISG_OK;
}

uint32_t isg_method_plan_used(const isg_method_plan *p)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < p->count; i++) used += p->layers[i].way == ISG_METHOD_USED;
    return used;
}

void isg_method_plan_destroy(isg_method_plan *p)
{
    if (!p) return;
    for (uint32_t i = 0; i < p->count; i++) {
        isg_free(p->layers[i].name);
        isg_free(p->layers[i].value);
    }
    isg_free(p->layers);
    isg_free(p);
}

/* ---- storing ---- */

static int stays_plain(const isg_method_plan *p, const plan_layer *l)
{
    return l->way == ISG_METHOD_KEPT || (l->way == ISG_METHOD_REST && p->rest_plain);
}

/* `made` is what the bytes of `w` decode to. */
static isg_status through_bytes(const isg_method_plan *p, const plan_layer *l, const float *w, float *made,
                                uint64_t *size, isg_method_cost *cost, isg_error *err)
{
    const isg_method *m = l->way == ISG_METHOD_USED ? &p->method : &p->rest;
    uint8_t *bytes;
    size_t stored;
    isg_status status = isg_method_encode(m, &l->shape, w, &bytes, &stored, cost, err);
    if (status == ISG_OK) status = isg_method_decode(m, &l->shape, bytes, stored, made, err);
    isg_free(bytes);
    *size = stored;
    return status;
}

static size_t numbers_of(const plan_layer *l)
{
    return (size_t)l->shape.co * isgi_method_row(&l->shape);
}

static isg_status store_layer(const isg_method_plan *p, const plan_layer *l, const isg_graph *g, isg_method_layer *r,
                              isg_error *err)
{
    const int32_t value = isg_graph_find_value(g, l->value);
    const size_t count = numbers_of(l);
    isg_tensor *tensor = value >= 0 ? g->values[value].constant : NULL;
    float *w = tensor ? tensor->data : NULL, *made;
    isg_status status;
    char shown[96];
    *r = (isg_method_layer){.shape = l->shape, .way = l->way, .cost = {.weights = count}};
    r->name = isgi_strdup(l->name);
    if (!r->name) return isgi_nomem(err);
    if (!tensor || tensor->dtype != ISG_DT_F32 || (size_t)tensor->count != count)
        return isgi_fail(err, ISG_E_ARG, "another network: it has no weight '%s'",
                         isgi_escape(shown, sizeof shown, l->value));
    r->bytes = (uint64_t)count * sizeof *w;
    for (size_t i = 0; i < count; i++) r->whole += (double)w[i] * (double)w[i];
    if (stays_plain(p, l)) return ISG_OK;
    made = isgi_malloc(count * sizeof *made);
    if (!made) return isgi_nomem(err);
    status = through_bytes(p, l, w, made, &r->bytes, &r->cost, err);
    if (status == ISG_E_NUMERIC && err) {
        const isg_error what = *err;
        isgi_fail(err, status, "layer %s: %s", isgi_escape(shown, sizeof shown, l->name), what.message);
    }
    for (size_t i = 0; i < count && status == ISG_OK; i++) {
        const double e = (double)w[i] - (double)made[i];
        r->lost += e * e;
        w[i] = made[i];
    }
    isg_free(made);
    return status;
}

typedef struct store_job {
    const isg_method_plan *p;
    const isg_graph *g;
    const isg_progress *progress;
    isg_method_layer *layers;
    isg_error *errors; /* status OK: none */
} store_job;

static void store_task(void *arg, uint32_t index, uint32_t worker)
{
    store_job *job = (store_job *)arg;
    isg_error *err = &job->errors[index];
    isg_status status = isgi_cancelled(job->progress, err);
    (void)worker;
    if (status == ISG_OK) status = store_layer(job->p, &job->p->layers[index], job->g, &job->layers[index], err);
    err->status = status;
}

static void add_up(isg_method_report *r, const isg_graph *g, const isg_method_plan *p)
{
    double lost = 0.0, whole = 0.0;
    for (uint32_t i = 0; i < r->layer_count; i++) {
        const isg_method_layer *l = &r->layers[i];
        r->weights += l->cost.weights;
        r->weight_bytes += l->bytes;
        if (l->way != ISG_METHOD_USED) continue;
        r->used.weights += l->cost.weights;
        for (int s = 0; s < ISG_SECTION_COUNT; s++) r->used.bits[s] += l->cost.bits[s];
        r->used.multiply_adds += l->cost.multiply_adds;
        r->used.shift_adds += l->cost.shift_adds;
        r->used_bytes += l->bytes;
        lost += l->lost;
        whole += l->whole;
    }
    r->weight_error = lost == 0.0 ? 0.0 : lost / whole;
    for (int32_t i = 0; i < g->value_count; i++) {
        const isg_tensor *c = g->values[i].constant;
        if (c && c->dtype == ISG_DT_F32 && !find_layer(p, g->values[i].name))
            r->other_bytes += (uint64_t)c->count * sizeof(float);
    }
}

void isg_method_report_clear(isg_method_report *r)
{
    for (uint32_t i = 0; r->layers && i < r->layer_count; i++) isg_free(r->layers[i].name);
    isg_free(r->layers);
    memset(r, 0, sizeof *r);
}

isg_status isg_method_plan_store(const isg_method_plan *p, isg_graph *g, const isg_parallel *parallel,
                                 const isg_progress *progress, isg_method_report *report, isg_error *err)
{
    isg_method_report own;
    isg_method_report *r = report ? report : &own;
    store_job job = {.p = p, .g = g, .progress = progress};
    isg_status status = ISG_OK;
    memset(r, 0, sizeof *r);
    r->layer_count = p->count;
    job.layers = r->layers = isgi_calloc(p->count, sizeof *r->layers);
    job.errors = isgi_calloc(p->count, sizeof *job.errors);
    if (!job.layers || !job.errors) {
        status = isgi_nomem(err);
    } else {
        if (parallel && parallel->run)
            parallel->run(parallel->user, store_task, &job, p->count);
        else
            for (uint32_t i = 0; i < p->count; i++) store_task(&job, i, 0);
        for (uint32_t i = 0; i < p->count && status == ISG_OK; i++) {
            status = job.errors[i].status;
            if (status != ISG_OK && err) *err = job.errors[i];
        }
    }
    if (status == ISG_OK) add_up(r, g, p);
    isg_free(job.errors);
    if (!report || status != ISG_OK) isg_method_report_clear(r);
    return status;
}

isg_status isg_method_project(void *user, const char *value, const float *master, float *w, size_t count,
                              isg_error *err)
{
    const isg_method_plan *p = (const isg_method_plan *)user;
    const plan_layer *l = find_layer(p, value);
    isg_method_cost cost;
    uint64_t size;
    if (!l || stays_plain(p, l) || numbers_of(l) != count) {
        memcpy(w, master, count * sizeof *w);
        return ISG_OK;
    }
    return through_bytes(p, l, master, w, &size, &cost, err);
}
