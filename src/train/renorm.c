/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisation for networks whose BatchNorm was folded away: insert from measured statistics, fold again. */
#include "train/trainer.h"

#include "base/error.h"
#include "host/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".renorm"
#define EPSILON 1e-5f
#define BATCHES 8u

/* ---- measuring ---- */

/* Sums over all batches of a convolution's output, a channel: n, sum, sum of squares. */
typedef struct moments {
    int32_t value; /* the convolution's output */
    int64_t channels;
    double count, *sum, *square;
} moments;

/* The convolutions without BatchNorm of one graph. */
typedef struct survey {
    moments *list;
    int32_t count;
} survey;

static void add_moments(const isgi_net *net, const isgi_netop *op, moments *m)
{
    const isgi_act *a = &net->acts[op->out];
    for (uint32_t c = 0; c < net->chunks; c++) {
        const float *y = isgi_act_data(net, op->out, c);
        const size_t rows = isgi_chunk_count(net, c) * a->size / (size_t)m->channels;
        for (size_t r = 0; r < rows; r++) {
            for (int64_t k = 0; k < m->channels; k++) {
                const double x = (double)y[r * (size_t)m->channels + (size_t)k];
                m->sum[k] += x;
                m->square[k] += x * x;
            }
        }
        m->count += (double)rows;
    }
}

static int has_batchnorm(const isg_graph *g, int32_t value)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        if (g->nodes[i].op == ISG_OP_BATCH_NORM && g->nodes[i].inputs[0] == value) return 1;
    }
    return 0;
}

static isg_status list_convolutions(const isgi_net *net, survey *s, isg_error *err)
{
    s->list = isgi_calloc((size_t)net->op_count + 1, sizeof *s->list);
    if (!s->list) return isgi_nomem(err);
    for (int32_t i = 0; i < net->op_count; i++) {
        const isgi_netop *op = &net->ops[i];
        moments *m = &s->list[s->count];
        if (op->op != ISG_OP_CONV || has_batchnorm(net->graph, net->acts[op->out].value)) continue;
        m->value = net->acts[op->out].value;
        m->channels = net->acts[op->out].dims[1];
        m->sum = isgi_calloc((size_t)m->channels * 2, sizeof *m->sum);
        if (!m->sum) return isgi_nomem(err);
        m->square = m->sum + m->channels;
        s->count++;
    }
    return ISG_OK;
}

static isg_status measure(isgi_net *net, isgi_feed *feed, const survey *s, const isg_progress *p, isg_error *err)
{
    if (s->count == 0) return ISG_OK;
    ISGI_TRY(isgi_feed_seek(feed, 0, 0, err));
    for (uint32_t b = 0; b < BATCHES && b < isgi_feed_batches(feed); b++) {
        const isgi_batch *batch;
        if (p->cancelled && p->cancelled(p->user))
            return isgi_fail(err, ISG_E_CANCELLED, "stopped before a step was taken, while statistics were measured");
        ISGI_TRY(isgi_feed_next(feed, &batch, err));
        isgi_net_load(net, batch->x, batch->count);
        ISGI_TRY(isgi_net_forward(net, 0, err));
        for (int32_t i = 0, k = 0; i < net->op_count && k < s->count; i++) {
            if (net->acts[net->ops[i].out].value == s->list[k].value) add_moments(net, &net->ops[i], &s->list[k++]);
        }
    }
    return ISG_OK;
}

static isg_status survey_graph(survey *s, const isg_graph *g, const isg_dataset *data, const isg_input_spec *input,
                               const isg_train_options *o, isg_parallel parallel, isg_error *err)
{
    /* a trainable net keeps every activation until backward */
    const isgi_net_options n = {.batch = o->batch, .trainable = 1, .parallel = parallel};
    isgi_net *net = NULL;
    isg_train_options alone = *o;
    isgi_feed *feed = NULL;
    uint32_t shape[3];
    isg_status status = isgi_net_create(&net, g, &n, err);
    alone.comm = NULL; /* every rank measures the same whole batches: that is less than agreeing on parts */
    if (status == ISG_OK) status = isgi_net_input_shape(net, input, shape, err);
    if (status == ISG_OK) status = isgi_feed_create(&feed, data, input, shape, 0, INT32_MAX, &alone, err);
    if (status == ISG_OK) status = list_convolutions(net, s, err);
    if (status == ISG_OK) status = measure(net, feed, s, &o->progress, err);
    isgi_feed_destroy(feed);
    isgi_net_destroy(net);
    return status;
}

static void survey_clear(survey *s)
{
    for (int32_t i = 0; i < s->count; i++) isg_free(s->list[i].sum);
    isg_free(s->list);
}

static void channel_statistics(const moments *m, int64_t k, float *mean, float *var)
{
    const double average = m->sum[k] / m->count, spread = m->square[k] / m->count - average * average;
    *mean = (float)average;
    *var = spread > 0 ? (float)spread : 0.0f;
}

/* The teacher's convolution of the same name and width, or NULL. */
static const moments *counterpart(const isg_graph *g, const moments *m, const isg_graph *teacher, const survey *s)
{
    const char *name = isg_graph_layer_name(g, g->values[m->value].producer);
    for (int32_t i = 0; i < s->count; i++) {
        const moments *t = &s->list[i];
        if (t->channels == m->channels &&
            !strcmp(name, isg_graph_layer_name(teacher, teacher->values[t->value].producer))) {
            return t;
        }
    }
    return NULL;
}

/* ---- inserting ---- */

static isg_status vector_constant(isg_graph *g, const char *layer, const char *suffix, int64_t n, int32_t *value,
                                  float **data, isg_error *err)
{
    isg_tensor *t = NULL;
    char name[128];
    snprintf(name, sizeof name, "%.100s%s", layer, suffix);
    ISGI_TRY(isg_tensor_create(&t, ISG_DT_F32, 1, &n, err));
    *value = isg_graph_add_constant(g, name, t);
    if (*value < 0) {
        isg_tensor_destroy(t);
        return isgi_fail(err, (isg_status)*value, "cannot add a constant");
    }
    *data = t->data;
    return ISG_OK;
}

/* gamma and beta are the standard deviation and mean of `like`: the convolution itself, or its teacher's. */
static isg_status insert_one(isg_graph *g, const moments *m, const moments *like, isg_error *err)
{
    const int32_t conv = g->values[m->value].producer;
    char layer[96], name[112];
    int32_t in[5], bn;
    float *p[5] = {0};
    snprintf(layer, sizeof layer, "%.88s", isg_graph_layer_name(g, conv));
    snprintf(name, sizeof name, "%s" SUFFIX, layer);
    ISGI_TRY(vector_constant(g, name, ".gamma", m->channels, &in[1], &p[1], err));
    ISGI_TRY(vector_constant(g, name, ".beta", m->channels, &in[2], &p[2], err));
    ISGI_TRY(vector_constant(g, name, ".mean", m->channels, &in[3], &p[3], err));
    ISGI_TRY(vector_constant(g, name, ".var", m->channels, &in[4], &p[4], err));
    in[0] = isg_graph_add_value(g, name, ISG_DT_F32, g->values[m->value].rank, g->values[m->value].dims);
    if (in[0] < 0) return isgi_nomem(err);
    for (int64_t k = 0; k < m->channels; k++) {
        float spread;
        channel_statistics(m, k, &p[3][k], &p[4][k]);
        channel_statistics(like, k, &p[2][k], &spread);
        p[1][k] = sqrtf(spread + EPSILON);
    }
    g->nodes[conv].outputs[0] = in[0];
    g->values[in[0]].producer = conv;
    g->values[m->value].producer = -1;
    bn = isg_graph_add_node(g, ISG_OP_BATCH_NORM, name, in, 5, &m->value, 1);
    if (bn < 0) return isgi_fail(err, (isg_status)bn, "cannot add a BatchNormalization node");
    g->nodes[bn].attr.scalar.alpha = EPSILON;
    return ISG_OK;
}

isg_status isgi_renorm_insert(isg_graph *g, const isg_graph *teacher, const isg_dataset *data,
                              const isg_input_spec *input, const isg_train_options *o, isg_parallel parallel,
                              isg_error *err)
{
    survey own = {0}, wanted = {0};
    isg_status status = survey_graph(&own, g, data, input, o, parallel, err);
    if (status == ISG_OK && o->match_teacher) status = survey_graph(&wanted, teacher, data, input, o, parallel, err);
    for (int32_t i = 0; status == ISG_OK && i < own.count; i++) {
        const moments *like = o->match_teacher ? counterpart(g, &own.list[i], teacher, &wanted) : NULL;
        status = insert_one(g, &own.list[i], like ? like : &own.list[i], err);
    }
    if (status == ISG_OK) status = isg_graph_sort(g, err);
    survey_clear(&own);
    survey_clear(&wanted);
    return status;
}

/* ---- folding ---- */

/* The factor with a column for every output channel, or NULL (depthwise with level 1 has rows instead, the PAPER family
 * takes its range from the master). */
static isg_factor *output_factor(isg_factors *f)
{
    isg_factor *x = f->level2 ? &f->v : f->level1 ? &f->u : &f->basis;
    if (x->quant.family == ISG_QUANT_PAPER) return NULL;
    return f->depthwise && f->level1 ? NULL : x;
}

static isg_status scale_columns(isg_factor *x, uint32_t co, const float *a, isg_error *err)
{
    const int steps = x->quant.family != ISG_QUANT_RAW;
    if (steps && !x->quant.per_column) {
        float *s = isgi_malloc(x->cols * sizeof *s);
        if (!s) return isgi_nomem(err);
        for (uint32_t c = 0; c < x->cols; c++) s[c] = x->scale[0];
        isg_free(x->scale);
        x->scale = s;
        x->quant.per_column = 1;
    }
    for (uint32_t c = 0; c < x->cols; c++) {
        const float k = a[c % co];
        for (uint32_t r = 0; r < x->rows; r++) x->master[(size_t)r * x->cols + c] *= k;
        if (steps && k != 0) x->scale[c] *= fabsf(k);
    }
    return ISG_OK;
}

static int32_t uses_of(const isg_graph *g, int32_t value)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        for (int32_t k = 0; k < g->nodes[i].input_count; k++) n += g->nodes[i].inputs[k] == value;
    }
    for (int32_t i = 0; i < g->output_count; i++) n += g->outputs[i] == value;
    return n;
}

static isg_status set_bias(isg_graph *g, int32_t conv, const float *a, const float *shift, int64_t co, isg_error *err)
{
    const isg_node *old = &g->nodes[conv];
    const int32_t before = old->input_count > 2 ? old->inputs[2] : ISG_NO_VALUE;
    int32_t value, *grown;
    float *b = NULL;
    isg_node *n;
    ISGI_TRY(vector_constant(g, isg_graph_layer_name(g, conv), ".bias", co, &value, &b, err));
    n = &g->nodes[conv];
    for (int64_t c = 0; c < co; c++) {
        b[c] = shift[c] + (before >= 0 ? a[c] * ((const float *)g->values[before].constant->data)[c] : 0.0f);
    }
    if (n->input_count < 3) {
        grown = isgi_realloc(n->inputs, (size_t)n->input_count * sizeof *grown, 3 * sizeof *grown);
        if (!grown) return isgi_nomem(err);
        n->inputs = grown;
        n->input_count = 3;
    }
    n->inputs[2] = value;
    return ISG_OK;
}

static void remove_node(isg_graph *g, int32_t index)
{
    isg_node *n = &g->nodes[index];
    isg_free(n->name);
    isg_free(n->inputs);
    isg_free(n->outputs);
    memmove(n, n + 1, (size_t)(g->node_count - index - 1) * sizeof *n);
    g->node_count--;
    for (int32_t v = 0; v < g->value_count; v++) {
        if (g->values[v].producer > index) g->values[v].producer--;
    }
}

static isg_status fold_one(isg_graph *g, int32_t bn, int *folded, isg_error *err)
{
    const isg_node *n = &g->nodes[bn];
    const int32_t x = n->inputs[0], out = n->outputs[0], conv = g->values[x].producer;
    const int32_t wv = conv >= 0 ? g->nodes[conv].inputs[1] : -1;
    const int64_t co = g->values[n->inputs[1]].constant->count;
    const float *p[5], eps = n->attr.scalar.alpha;
    isg_factors *f;
    isg_factor *last = NULL;
    float *a;
    isg_status status = ISG_OK;
    *folded = 0;
    if (conv < 0 || g->nodes[conv].op != ISG_OP_CONV || uses_of(g, x) != 1 || uses_of(g, wv) != 1) return ISG_OK;
    f = g->values[wv].factors;
    if (f && !(last = output_factor(f))) return ISG_OK;
    a = isgi_malloc((size_t)co * 2 * sizeof *a);
    if (!a) return isgi_nomem(err);
    for (int k = 1; k < 5; k++) p[k] = g->values[n->inputs[k]].constant->data;
    for (int64_t c = 0; c < co; c++) {
        a[c] = (float)((double)p[1][c] / sqrt((double)p[4][c] + (double)eps));
        a[co + c] = (float)((double)p[2][c] - (double)p[3][c] * (double)a[c]);
    }
    if (f) {
        status = scale_columns(last, (uint32_t)co, a, err);
    } else {
        isg_tensor *w = g->values[wv].constant;
        const int64_t per = w->count / co;
        for (int64_t i = 0; i < w->count; i++) ((float *)w->data)[i] *= a[i / per];
    }
    if (status == ISG_OK) status = set_bias(g, conv, a, a + co, co, err);
    isg_free(a);
    if (status != ISG_OK) return status;
    g->nodes[conv].outputs[0] = out;
    g->values[out].producer = conv;
    g->values[x].producer = -1;
    remove_node(g, bn);
    *folded = 1;
    return ISG_OK;
}

isg_status isgi_renorm_fold(isg_graph *g, isg_error *err)
{
    for (int32_t i = 0; i < g->node_count;) {
        const char *name = g->nodes[i].name;
        const size_t n = name ? strlen(name) : 0, s = sizeof SUFFIX - 1;
        int folded = 0;
        if (g->nodes[i].op == ISG_OP_BATCH_NORM && n >= s && strcmp(name + n - s, SUFFIX) == 0) {
            ISGI_TRY(fold_one(g, i, &folded, err));
        }
        i += !folded;
    }
    return ISG_OK;
}
