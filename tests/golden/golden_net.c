/* SPDX-License-Identifier: Apache-2.0 */
/* Groups grad and block: single convolutions and a residual block, forward and backward, through the training engine.
 */
#include "golden.h"

#include <insitu/graph.h>

#include "train/loss_kd.h"
#include "train/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A graph being built from the case's tensors; any failure is recorded in the set. */
typedef struct builder {
    gold_set *set;
    const cJSON *c;
    isg_graph *g;
    int64_t dims[4]; /* of the current value; dims[0] is the batch */
    int32_t at;
} builder;

static int32_t new_value(builder *b, const char *name, int32_t rank)
{
    const int64_t dims[4] = {ISG_DIM_BATCH, b->dims[1], b->dims[2], b->dims[3]};
    return isg_graph_add_value(b->g, name, ISG_DT_F32, rank, dims);
}

static isg_node *new_node(builder *b, isg_op op, const char *name, const int32_t *in, int32_t count, int32_t rank)
{
    const int32_t out = new_value(b, name, rank), n = isg_graph_add_node(b->g, op, name, in, count, &out, 1);
    gold_check(b->set, out >= 0 && n >= 0, "graph");
    b->at = out;
    return &b->g->nodes[n];
}

/* Takes the factors; returns the weight's value. */
static int32_t add_conv(builder *b, const char *name, isg_factors *f, int64_t k, int64_t stride, int64_t padding)
{
    const int64_t w[4] = {f->co, f->ci, k, k};
    const int32_t weight = isg_graph_add_value(b->g, name, ISG_DT_F32, 4, w), in[2] = {b->at, weight};
    isg_node *n;
    b->g->values[weight].factors = f;
    b->dims[1] = f->co;
    b->dims[2] = (b->dims[2] + 2 * padding - k) / stride + 1;
    b->dims[3] = (b->dims[3] + 2 * padding - k) / stride + 1;
    n = new_node(b, ISG_OP_CONV, name, in, 2, 4);
    n->attr.conv.n = 2;
    n->attr.conv.groups = 1;
    for (int i = 0; i < 2; i++) {
        n->attr.conv.kernel[i] = k;
        n->attr.conv.stride[i] = stride;
        n->attr.conv.dilation[i] = 1;
        n->attr.conv.pads[i] = n->attr.conv.pads[2 + i] = padding;
    }
    return weight;
}

static int start_graph(builder *b, const gold_tensor *x)
{
    if (x->rank != 4 || isg_graph_create(&b->g, NULL) != ISG_OK) return 0;
    for (int i = 0; i < 4; i++) b->dims[i] = (int64_t)x->dims[i];
    b->at = new_value(b, "x", 4);
    return isg_graph_add_input(b->g, b->at, NULL) == ISG_OK;
}

static isgi_net *compile(builder *b)
{
    /* the fixtures hold gradients of the generated weight, which only generation makes */
    const isgi_net_options o = {.batch = (uint32_t)b->dims[0],
                                .trainable = 1,
                                .paper_clamp = 1,
                                .input_gradient = 1,
                                .execution = ISG_EXECUTION_GENERATE};
    isgi_net *net = NULL;
    isg_error err = {0};
    if (isg_graph_add_output(b->g, b->at, &err) != ISG_OK || isgi_net_create(&net, b->g, &o, &err) != ISG_OK)
        gold_check(b->set, 0, err.message);
    return net;
}

static const isgi_netweight *weight_of(const isgi_net *net, int32_t value)
{
    for (int32_t i = 0; i < net->weight_count; i++) {
        if (net->weights[i].value == value) return &net->weights[i];
    }
    return NULL;
}

/* Gradient of an activation (or its data) of all samples in logical order. */
static void copy_act(const isgi_net *net, int32_t act, int gradient, float *out)
{
    const isgi_act *a = &net->acts[act];
    const size_t channels = a->rank > 2 ? (size_t)a->dims[1] : a->size, inner = a->size / channels;
    for (uint32_t i = 0; i < net->n; i++) {
        const uint32_t chunk = i / net->chunk_cap;
        const float *base = gradient ? isgi_act_grad(net, act, chunk) : isgi_act_data(net, act, chunk);
        const float *x = base + (size_t)(i % net->chunk_cap) * a->size;
        for (size_t c = 0; c < channels; c++) {
            for (size_t p = 0; p < inner; p++) out[i * a->size + c * inner + p] = x[p * channels + c];
        }
    }
}

/* Gradients of one layer's masters against the reference's basis (as a full weight), U and V gradients. */
static void check_masters(gold_set *g, const char *name, const isgi_net *net, const isgi_netweight *w,
                          const gold_tensor *full, const gold_tensor *u, const gold_tensor *v, double tolerance)
{
    const isg_factors *f = &w->f;
    const size_t nb = (size_t)f->basis.rows * f->basis.cols, nu = (size_t)f->u.rows * f->u.cols;
    const size_t nv = (size_t)f->v.rows * f->v.cols;
    float *stored = calloc(nb + nu + nv, sizeof *stored);
    char what[96];
    if (full) {
        snprintf(what, sizeof what, "%s dbasis", name);
        gold_basis_slice(f, stored, gold_f32(full));
        gold_close_to(g, what, net->param_list[w->master[0]].g, stored, nb, tolerance, 0);
    }
    if (nu && u) {
        snprintf(what, sizeof what, "%s dcoeff_in", name);
        gold_u_in(f, stored, gold_f32(u));
        gold_close_to(g, what, net->param_list[w->master[1]].g, stored, nu, tolerance, 0);
    }
    if (nv && v) {
        snprintf(what, sizeof what, "%s dcoeff_out", name);
        gold_v_in(f, stored, gold_f32(v));
        gold_close_to(g, what, net->param_list[w->master[2]].g, stored, nv, tolerance, 0);
    }
    gold_check(g, full && (!nu || u) && (!nv || v), "a gradient is missing");
    free(stored);
}

/* Sets d loss / d out for loss = scale mean((out - target)^2) and returns the loss. */
static double squared_loss(isgi_net *net, const float *out, const float *target, double scale)
{
    const isgi_act *a = &net->acts[net->logits];
    const size_t channels = (size_t)a->dims[1], inner = a->size / channels, n = a->size * net->n;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t s = i / a->size, c = i % a->size / inner, p = i % inner;
        const double d = (double)out[i] - (double)target[i];
        isgi_net_logits_grad(net, (uint32_t)s)[p * channels + c] = (float)(2 * scale * d / (double)n);
        sum += d * d;
    }
    return scale * sum / (double)n;
}

static void check_grad(gold_set *g, const cJSON *c, isgi_net *net, int32_t weight)
{
    const gold_tensor *x = gold_get(g, c, "x"), *target = gold_get(g, c, "target"), *out = gold_get(g, c, "out");
    const gold_tensor *w = gold_get(g, c, "weight"), *dw = gold_get(g, c, "dweight"), *dx = gold_get(g, c, "dx");
    const isgi_netweight *nw = weight_of(net, weight);
    const double expected = gold_number(c, "loss", -1);
    float *mine;
    size_t room;
    if (!x || !target || !out || !w || !dw || !dx || !nw || w->count != nw->count) return;
    room = x->count > out->count ? x->count : out->count;
    room = room > w->count ? room : w->count;
    mine = calloc(room, sizeof *mine);
    isgi_net_load(net, gold_f32(x), (uint32_t)x->dims[0]);
    gold_check(g, isgi_net_forward(net, 1, NULL) == ISG_OK, "forward");
    gold_check(g, net->acts[net->logits].size * net->n == out->count, "shape of the output");
    copy_act(net, net->logits, 0, mine);
    gold_close_to(g, "out", mine, gold_f32(out), out->count, 1e-4, 0);
    gold_number_close(g, "loss", squared_loss(net, mine, gold_f32(target), gold_number(c, "loss_scale", 1)), expected,
                      1e-4 * fabs(expected));
    gold_check(g, isgi_net_backward(net, NULL) == ISG_OK, "backward");
    isg_weight_hwio_to_oihw(mine, nw->w, nw->co, nw->ci, nw->taps);
    gold_close_to(g, "weight", mine, gold_f32(w), w->count, 1e-4, 0);
    isg_weight_hwio_to_oihw(mine, nw->dw, nw->co, nw->ci, nw->taps);
    gold_close_to(g, "dweight", mine, gold_f32(dw), dw->count, 1e-4, 0);
    copy_act(net, net->input, 1, mine);
    gold_close_to(g, "dx", mine, gold_f32(dx), dx->count, 1e-4, 0);
    check_masters(g, "conv", net, nw, gold_get(g, c, "dweight_full"), gold_find(g, c, "dcoeff_in"),
                  gold_find(g, c, "dcoeff_out"), 1e-4);
    free(mine);
}

static void fill_layer(gold_set *g, const cJSON *names, const char *prefix, isg_factors *f)
{
    const char *const suffix[2][3] = {{"weight_full", "coeff_in", "coeff_out"}, {"weight", "coeff_in", "coeff_out"}};
    const gold_tensor *t[3] = {0};
    char key[96];
    for (int k = 0; k < 3; k++) {
        snprintf(key, sizeof key, "%s%s", prefix, suffix[prefix[0] != '\0'][k]);
        if (k == 0 || (k == 1 && f->level1) || (k == 2 && f->level2)) t[k] = gold_get(g, names, key);
    }
    if (t[0] && t[0]->count == (size_t)f->taps * f->ci * f->co) gold_basis_slice(f, f->basis.master, gold_f32(t[0]));
    if (t[1]) gold_u_in(f, f->u.master, gold_f32(t[1]));
    if (t[2]) gold_v_in(f, f->v.master, gold_f32(t[2]));
}

void gold_group_grad(gold_set *g, const cJSON *cases)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        gold_layer l;
        builder b = {.set = g, .c = c};
        const gold_tensor *x;
        gold_begin(g, "grad", cJSON_GetStringValue(cJSON_GetObjectItem(c, "case")));
        x = gold_get(g, c, "x");
        if (gold_layer_make(g, c, &l) && x && start_graph(&b, x)) {
            isgi_net *net;
            int32_t weight;
            fill_layer(g, c, "", l.f);
            if (l.quantised) gold_layer_paper(&l, c);
            weight = add_conv(&b, "conv", l.f, (int64_t)gold_number(c, "k", 1), (int64_t)gold_number(c, "stride", 1),
                              (int64_t)gold_number(c, "padding", 0));
            l.f = NULL;
            net = compile(&b);
            if (net) check_grad(g, c, net, weight);
            isgi_net_destroy(net);
        }
        isg_graph_destroy(b.g);
        gold_layer_free(&l);
        gold_end(g);
    }
}

/* ---- the residual block ---- */

typedef struct block {
    builder b;
    const cJSON *params;
    int32_t weight[8]; /* values of convolution weights and, last, of the head */
    char name[8][32];  /* "m.0.conv1." */
    int32_t norm[8];   /* value of gamma */
    char norm_name[8][32];
    int convs, norms;
    int32_t pooled;
} block;

static isg_factors *block_factors(block *k, const char *prefix, const gold_tensor *w, int head)
{
    const cJSON *c = k->b.c;
    const int bits = (int)gold_number(c, "w_bit", 32);
    const uint32_t taps = head ? 1 : (uint32_t)(w->dims[2] * w->dims[3]);
    const isg_levels off = {0, 0, 0, 0};
    const isg_levels on =
        isg_factor_levels((uint32_t)w->dims[1], (uint32_t)w->dims[0], taps, (uint32_t)gold_number(c, "base_in", 0),
                          (uint32_t)gold_number(c, "base_out", 0), 0, ISG_LEVELS_RULE_09);
    gold_layer l = {.w_bit = bits};
    if (isg_factors_create(&l.f, taps, (uint32_t)w->dims[1], (uint32_t)w->dims[0], head ? off : on, 0, NULL) !=
        ISG_OK) {
        return NULL;
    }
    if (bits < 16) gold_layer_paper(&l, c);
    fill_layer(k->b.set, k->params, prefix, l.f);
    return l.f;
}

static void block_conv(block *k, const char *name, int64_t stride)
{
    char key[64], prefix[48];
    const gold_tensor *w;
    isg_factors *f;
    snprintf(prefix, sizeof prefix, "%s.", name);
    snprintf(key, sizeof key, "%sweight", prefix);
    w = gold_get(k->b.set, k->params, key);
    f = w ? block_factors(k, prefix, w, 0) : NULL;
    if (!f) return;
    snprintf(k->name[k->convs], sizeof k->name[0], "%.30s", prefix);
    k->weight[k->convs++] = add_conv(&k->b, name, f, (int64_t)w->dims[2], stride, (int64_t)w->dims[2] / 2);
}

static int32_t constant_of(block *k, const gold_tensor *t, int64_t n, float fill)
{
    isg_tensor *c = NULL;
    if (isg_tensor_create(&c, ISG_DT_F32, 1, &n, NULL) != ISG_OK) return -1;
    for (int64_t i = 0; i < n; i++) ((float *)c->data)[i] = t ? gold_f32(t)[i] : fill;
    return isg_graph_add_constant(k->b.g, "norm", c);
}

static void block_norm(block *k, const char *name)
{
    char key[64];
    const gold_tensor *gamma, *beta;
    const int64_t n = k->b.dims[1];
    int32_t in[5] = {k->b.at, -1, -1, -1, -1};
    snprintf(key, sizeof key, "%s.weight", name);
    gamma = gold_get(k->b.set, k->params, key);
    snprintf(key, sizeof key, "%s.bias", name);
    beta = gold_get(k->b.set, k->params, key);
    in[1] = constant_of(k, gamma, n, 1);
    in[2] = constant_of(k, beta, n, 0);
    in[3] = constant_of(k, NULL, n, 0);
    in[4] = constant_of(k, NULL, n, 1);
    snprintf(k->norm_name[k->norms], sizeof k->norm_name[0], "%.30s", name);
    k->norm[k->norms++] = in[1];
    new_node(&k->b, ISG_OP_BATCH_NORM, name, in, 5, 4)->attr.scalar.alpha = 1e-5f;
}

static int has_param(const block *k, const char *name)
{
    return cJSON_GetObjectItem(k->params, name) != NULL;
}

/* Bottlenecks stride at their second convolution, basic blocks at the first (SPEC section 8). */
static void block_body(block *k, int64_t stride)
{
    const int convs = has_param(k, "m.0.conv3.weight") ? 3 : 2, strided = convs == 3 ? 2 : 1;
    const int32_t input = k->b.at;
    int64_t dims[4];
    int32_t in[2];
    memcpy(dims, k->b.dims, sizeof dims);
    for (int i = 1; i <= convs; i++) {
        char name[32];
        snprintf(name, sizeof name, "m.0.conv%d", i);
        block_conv(k, name, i == strided ? stride : 1);
        snprintf(name, sizeof name, "m.0.bn%d", i);
        block_norm(k, name);
        if (i < convs) new_node(&k->b, ISG_OP_RELU, "relu", &k->b.at, 1, 4);
    }
    in[0] = k->b.at;
    in[1] = input;
    if (has_param(k, "m.0.shortcut.0.weight")) {
        memcpy(k->b.dims, dims, sizeof dims);
        k->b.at = input;
        block_conv(k, "m.0.shortcut.0", stride);
        block_norm(k, "m.0.shortcut.1");
        in[1] = k->b.at;
    }
    new_node(&k->b, ISG_OP_ADD, "add", in, 2, 4);
    new_node(&k->b, ISG_OP_RELU, "relu", &k->b.at, 1, 4);
}

static void block_head(block *k)
{
    const gold_tensor *w = gold_get(k->b.set, k->params, "m.1.weight");
    const int64_t shape[2] = {0, -1}, two = 2;
    isg_tensor *t = NULL;
    int32_t in[2];
    isg_factors *f;
    k->b.dims[2] = k->b.dims[3] = 1;
    new_node(&k->b, ISG_OP_GLOBAL_AVERAGE_POOL, "pool", &k->b.at, 1, 4);
    k->pooled = k->b.at;
    if (!w || isg_tensor_create(&t, ISG_DT_I64, 1, &two, NULL) != ISG_OK) return;
    memcpy(t->data, shape, sizeof shape);
    in[0] = k->b.at;
    in[1] = isg_graph_add_constant(k->b.g, "shape", t);
    new_node(&k->b, ISG_OP_RESHAPE, "flat", in, 2, 2);
    f = block_factors(k, "m.1.", w, 1);
    if (!f) return;
    snprintf(k->name[k->convs], sizeof k->name[0], "m.1.");
    in[0] = k->b.at;
    in[1] = k->weight[k->convs++] = isg_graph_add_value(k->b.g, "m.1", ISG_DT_F32, 2, (int64_t[2]){f->co, f->ci});
    k->b.g->values[in[1]].factors = f;
    k->b.dims[1] = f->co;
    new_node(&k->b, ISG_OP_GEMM, "head", in, 2, 2)->attr.gemm = (isg_gemm_attr){1, 1, 0, 1};
}

static const isgi_param *param_of(const isgi_net *net, const isg_graph *g, int32_t value)
{
    for (int32_t i = 0; i < net->param_count; i++) {
        if (net->param_list[i].origin == g->values[value].constant->data) return &net->param_list[i];
    }
    return NULL;
}

static void check_norms(block *k, const isgi_net *net)
{
    gold_set *g = k->b.set;
    const cJSON *grads = cJSON_GetObjectItem(k->b.c, "grads"), *after = cJSON_GetObjectItem(k->b.c, "bn_after");
    for (int i = 0; i < k->norms; i++) {
        static const char *const part[4] = {"weight", "bias", "running_mean", "running_var"};
        for (int p = 0; p < 4; p++) {
            const int32_t value = k->norm[i] + p;
            const isgi_param *param = p < 2 ? param_of(net, k->b.g, value) : NULL;
            const float *mine = param ? param->g : k->b.g->values[value].constant->data;
            const gold_tensor *t;
            char key[64];
            snprintf(key, sizeof key, "%s.%s", k->norm_name[i], part[p]);
            t = gold_get(g, p < 2 ? grads : after, key);
            gold_check(g, p >= 2 || param, "no such parameter");
            if (t) gold_close_to(g, key, mine, gold_f32(t), t->count, 1e-3, 0);
        }
    }
}

static void check_block_gradients(block *k, const isgi_net *net)
{
    gold_set *g = k->b.set;
    const cJSON *grads = cJSON_GetObjectItem(k->b.c, "grads");
    const gold_tensor *dx = gold_get(g, k->b.c, "dx");
    for (int i = 0; i < k->convs; i++) {
        const isgi_netweight *w = weight_of(net, k->weight[i]);
        char weight[64], u[64], v[64];
        snprintf(weight, sizeof weight, "%sweight", k->name[i]);
        snprintf(u, sizeof u, "%scoeff_in", k->name[i]);
        snprintf(v, sizeof v, "%scoeff_out", k->name[i]);
        if (w) {
            check_masters(g, k->name[i], net, w, gold_get(g, grads, weight), gold_find(g, grads, u),
                          gold_find(g, grads, v), 1e-3);
        }
    }
    if (dx) {
        float *mine = calloc(dx->count, sizeof *mine);
        copy_act(net, net->input, 1, mine);
        gold_close_to(g, "dx", mine, gold_f32(dx), dx->count, 1e-3, 0);
        free(mine);
    }
}

static void check_act(block *k, const isgi_net *net, int32_t act, const char *key)
{
    const gold_tensor *t = gold_get(k->b.set, k->b.c, key);
    float *mine;
    if (!t || net->acts[act].size * net->n != t->count) {
        gold_check(k->b.set, 0, key);
        return;
    }
    mine = calloc(t->count, sizeof *mine);
    copy_act(net, act, 0, mine);
    gold_close_to(k->b.set, key, mine, gold_f32(t), t->count, 1e-3, 0);
    free(mine);
}

static void check_block(block *k, isgi_net *net, const gold_tensor *x, const gold_tensor *labels)
{
    gold_set *g = k->b.set;
    const cJSON *c = k->b.c;
    const isgi_kd kd = {.temperature = 1.0f};
    const double weight = gold_number(c, "ortho_weight", 0.05), ortho = gold_number(c, "ortho", -1);
    float *logits = calloc((size_t)net->batch * net->classes, sizeof *logits);
    float *grad = calloc((size_t)net->batch * net->classes, sizeof *grad);
    double ce;
    isgi_net_load(net, gold_f32(x), (uint32_t)x->dims[0]);
    gold_check(g, isgi_net_forward(net, 1, NULL) == ISG_OK, "forward");
    check_act(k, net, net->act_of_value[k->pooled], "features");
    check_act(k, net, net->logits, "logits");
    copy_act(net, net->logits, 0, logits);
    ce = isgi_loss_kd(&kd, logits, NULL, labels->data, net->n, net->classes, grad, NULL, NULL);
    gold_number_close(g, "ce", ce, gold_number(c, "ce", -1), 1e-3 * ce);
    for (uint32_t i = 0; i < net->n; i++) {
        memcpy(isgi_net_logits_grad(net, i), grad + (size_t)i * net->classes, net->classes * sizeof *grad);
    }
    gold_check(g, isgi_net_backward(net, NULL) == ISG_OK, "backward");
    gold_number_close(g, "ortho", isgi_net_ortho(net, weight), weight * ortho, 1e-3 * weight * ortho);
    check_block_gradients(k, net);
    isgi_net_store(net);
    check_norms(k, net);
    gold_check(g, isgi_net_forward(net, 0, NULL) == ISG_OK, "forward in evaluation mode");
    check_act(k, net, net->logits, "logits_eval");
    free(logits);
    free(grad);
}

/* The manifest does not hold the block's stride: of the two there are, the one whose logits are nearer is meant. */
static double logits_distance(const cJSON *c, gold_set *g, int64_t stride, int check)
{
    const gold_tensor *x = gold_get(g, c, "x"), *labels = gold_get(g, c, "labels"), *logits = gold_get(g, c, "logits");
    block k = {.b = {.set = g, .c = c}, .params = cJSON_GetObjectItem(c, "params")};
    isgi_net *net = NULL;
    double distance = INFINITY;
    if (x && labels && logits && start_graph(&k.b, x)) {
        block_body(&k, stride);
        block_head(&k);
        net = compile(&k.b);
    }
    if (net && check) check_block(&k, net, x, labels);
    if (net && !check) {
        float *mine = calloc((size_t)net->batch * net->classes, sizeof *mine);
        isgi_net_load(net, gold_f32(x), (uint32_t)x->dims[0]);
        distance = isgi_net_forward(net, 1, NULL) == ISG_OK ? 0 : INFINITY;
        copy_act(net, net->logits, 0, mine);
        for (size_t i = 0; i < logits->count && i < (size_t)net->batch * net->classes; i++) {
            distance += fabs((double)mine[i] - (double)gold_f32(logits)[i]);
        }
        free(mine);
    }
    isgi_net_destroy(net);
    isg_graph_destroy(k.b.g);
    return distance;
}

void gold_group_block(gold_set *g, const cJSON *cases)
{
    const int list = cJSON_IsArray(cases), count = list ? cJSON_GetArraySize(cases) : 1;
    for (int i = 0; i < count; i++) {
        const cJSON *c = list ? cJSON_GetArrayItem(cases, i) : cases;
        int64_t stride;
        gold_begin(g, "block", cJSON_GetStringValue(cJSON_GetObjectItem(c, "block")));
        stride = (int64_t)gold_number(c, "stride", 0);
        if (stride < 1) stride = logits_distance(c, g, 1, 0) <= logits_distance(c, g, 2, 0) ? 1 : 2;
        (void)logits_distance(c, g, stride, 1);
        gold_end(g);
    }
}
