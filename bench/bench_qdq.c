/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrites a float ONNX model as the int8 (QDQ) form that ONNX Runtime runs fastest: a QuantizeLinear and
 * DequantizeLinear pair on every activation, weights as int8 with a scale a channel, biases as int32.
 *
 * usage: bench_qdq IN.onnx OUT.onnx   Ranges come from seeded normal inputs through our interpreter: good for time, not
 * for accuracy. */
#include <insitu/insitu.h>

#include "onnx.pb-c.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 2

typedef struct range {
    float lo, hi;
    int seen;
} range;

/* Memory is given back when the process ends. */
typedef struct rewriter {
    isg_graph *graph; /* the same model: weights and ranges by name */
    range *ranges;
    IsgiOnnx__GraphProto *proto;
    IsgiOnnx__NodeProto **nodes;
    IsgiOnnx__TensorProto **initializers;
    size_t node_count, initializer_count;
} rewriter;

static isg_error error;

static int complain(const char *what)
{
    fprintf(stderr, "bench_qdq: error: %s: %s\n", what, error.message);
    return 1;
}

static void *take(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) {
        fprintf(stderr, "bench_qdq: error: out of memory\n");
        exit(1);
    }
    return p;
}

static char *joined(const char *a, const char *b)
{
    const size_t n = strlen(a) + strlen(b) + 1;
    char *s = take(n);
    snprintf(s, n, "%s%s", a, b);
    return s;
}

static void visit(void *user, int32_t value, const isg_tensor *t)
{
    range *r = (range *)user + value;
    const float *x = t->data;
    if (t->dtype != ISG_DT_F32) return;
    for (int64_t i = 0; i < t->count; i++) {
        if (x[i] < r->lo) r->lo = x[i];
        if (x[i] > r->hi) r->hi = x[i];
    }
    r->seen = 1;
}

static int calibrate(rewriter *w)
{
    const isg_value *v = &w->graph->values[w->graph->inputs[0]];
    int64_t dims[ISG_MAX_RANK];
    uint64_t state = 7;
    isg_tensor *x = NULL, *y[16] = {NULL};
    const isg_tensor *inputs[1];
    for (int32_t i = 0; i < v->rank; i++) dims[i] = v->dims[i] > 0 ? v->dims[i] : 1;
    if (isg_tensor_create(&x, ISG_DT_F32, v->rank, dims, &error) != ISG_OK) return 0;
    inputs[0] = x;
    for (int image = 0; image < IMAGES; image++) {
        for (int64_t i = 0; i < x->count; i++) {
            double sum = 0.0;
            for (int k = 0; k < 4; k++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                sum += (double)(state >> 40) / (double)(1 << 24) - 0.5;
            }
            ((float *)x->data)[i] = (float)(sum * sqrt(3.0));
        }
        visit(w->ranges, w->graph->inputs[0], x);
        if (isg_interp_run_visit(w->graph, inputs, y, visit, w->ranges, &error) != ISG_OK) return 0;
        for (int i = 0; i < 16; i++) {
            isg_tensor_destroy(y[i]);
            y[i] = NULL;
        }
    }
    isg_tensor_destroy(x);
    return 1;
}

static char *add_tensor(rewriter *w, char *name, int type, const int64_t *dims, size_t rank, const void *data,
                        size_t bytes)
{
    IsgiOnnx__TensorProto *t = take(sizeof *t);
    isgi_onnx__tensor_proto__init(t);
    t->name = name;
    t->has_data_type = 1;
    t->data_type = type;
    t->n_dims = rank;
    t->dims = take(rank * sizeof *t->dims);
    if (rank) memcpy(t->dims, dims, rank * sizeof *t->dims);
    t->has_raw_data = 1;
    t->raw_data.len = bytes;
    t->raw_data.data = take(bytes);
    memcpy(t->raw_data.data, data, bytes);
    w->initializers[w->initializer_count++] = t;
    return name;
}

static char *add_node(rewriter *w, char *op, char *input, char *scale, char *zero, char *output, int axis)
{
    IsgiOnnx__NodeProto *n = take(sizeof *n);
    isgi_onnx__node_proto__init(n);
    n->op_type = op;
    n->name = joined(output, "_node");
    n->n_input = zero ? 3 : 2;
    n->input = take(3 * sizeof *n->input);
    n->input[0] = input;
    n->input[1] = scale;
    n->input[2] = zero;
    n->n_output = 1;
    n->output = take(sizeof *n->output);
    n->output[0] = output;
    if (axis >= 0) {
        IsgiOnnx__AttributeProto *a = take(sizeof *a);
        isgi_onnx__attribute_proto__init(a);
        a->name = joined("axis", "");
        a->has_type = 1;
        a->type = ISGI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        a->has_i = 1;
        a->i = axis;
        n->n_attribute = 1;
        n->attribute = take(sizeof *n->attribute);
        n->attribute[0] = a;
    }
    w->nodes[w->node_count++] = n;
    return output;
}

static float range_scale(const range *r)
{
    const float s = (r->hi - r->lo) / 255.0f;
    return s > 0.0f ? s : 1.0f;
}

/* The pair behind activation `name`; consumers read what this returns. */
static char *quantise_activation(rewriter *w, char *name)
{
    const range *r = &w->ranges[isg_graph_find_value(w->graph, name)];
    const float scale = range_scale(r);
    const uint8_t zero = (uint8_t)lrintf(-r->lo / scale);
    char *s = add_tensor(w, joined(name, "_scale"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, NULL, 0, &scale, 4);
    char *z = add_tensor(w, joined(name, "_zero"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, NULL, 0, &zero, 1);
    char *q = add_node(w, "QuantizeLinear", name, s, z, joined(name, "_q"), -1);
    return add_node(w, "DequantizeLinear", q, s, z, joined(name, "_dq"), -1);
}

/* Weight of a Conv or of a Gemm with transB: int8 with a scale an output channel. Returns the scales. */
static float *quantise_weight(rewriter *w, IsgiOnnx__NodeProto *n)
{
    const isg_tensor *t = w->graph->values[isg_graph_find_value(w->graph, n->input[1])].constant;
    const int64_t co = t->dims[0], each = t->count / co;
    float *scales = take((size_t)co * sizeof *scales);
    int8_t *codes = take((size_t)t->count), *zeros = take((size_t)co);
    char *base = joined(n->input[1], n->output[0]), *q, *s, *z;
    for (int64_t o = 0; o < co; o++) {
        const float *x = (const float *)t->data + o * each;
        float largest = 0.0f;
        for (int64_t i = 0; i < each; i++) largest = fmaxf(largest, fabsf(x[i]));
        scales[o] = largest > 0.0f ? largest / 127.0f : 1.0f;
        for (int64_t i = 0; i < each; i++) codes[o * each + i] = (int8_t)lrintf(x[i] / scales[o]);
    }
    q = add_tensor(w, joined(base, "_q"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8, t->dims, (size_t)t->rank, codes,
                   (size_t)t->count);
    s = add_tensor(w, joined(base, "_scale"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, &co, 1, scales,
                   (size_t)co * 4);
    z = add_tensor(w, joined(base, "_zero"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__INT8, &co, 1, zeros, (size_t)co);
    n->input[1] = add_node(w, "DequantizeLinear", q, s, z, joined(base, "_dq"), 0);
    return scales;
}

static void quantise_bias(rewriter *w, IsgiOnnx__NodeProto *n, const float *weight_scales, float input_scale)
{
    const isg_tensor *t = w->graph->values[isg_graph_find_value(w->graph, n->input[2])].constant;
    const int64_t co = t->count;
    float *scales = take((size_t)co * sizeof *scales);
    int32_t *codes = take((size_t)co * sizeof *codes), *zeros = take((size_t)co * sizeof *zeros);
    char *base = joined(n->input[2], n->output[0]), *q, *s, *z;
    for (int64_t o = 0; o < co; o++) {
        scales[o] = weight_scales[o] * input_scale;
        codes[o] = (int32_t)lrint((double)((const float *)t->data)[o] / scales[o]);
    }
    q = add_tensor(w, joined(base, "_q"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32, &co, 1, codes, (size_t)co * 4);
    s = add_tensor(w, joined(base, "_scale"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, &co, 1, scales,
                   (size_t)co * 4);
    z = add_tensor(w, joined(base, "_zero"), ISGI_ONNX__TENSOR_PROTO__DATA_TYPE__INT32, &co, 1, zeros, (size_t)co * 4);
    n->input[2] = add_node(w, "DequantizeLinear", q, s, z, joined(base, "_dq"), 0);
}

static int is_op(const IsgiOnnx__NodeProto *n, const char *op)
{
    return strcmp(n->op_type, op) == 0;
}

/* An activation that only a Relu or Clip reads is fused with its producer and stays float between the two. */
static int worth_a_pair(const rewriter *w, const char *name)
{
    const int32_t value = isg_graph_find_value(w->graph, name);
    size_t readers = 0, fused = 0;
    if (value < 0 || !w->ranges[value].seen) return 0;
    for (size_t i = 0; i < w->proto->n_node; i++) {
        const IsgiOnnx__NodeProto *n = w->proto->node[i];
        for (size_t k = 0; k < n->n_input; k++)
            if (strcmp(n->input[k], name) == 0) {
                readers++;
                fused += is_op(n, "Relu") || is_op(n, "Clip");
            }
    }
    return readers > fused;
}

/* The float weights that nobody reads any more. */
static void drop_unread(IsgiOnnx__GraphProto *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->n_initializer; i++) {
        int read = 0;
        for (size_t n = 0; n < g->n_node && !read; n++)
            for (size_t k = 0; k < g->node[n]->n_input; k++)
                read |= strcmp(g->node[n]->input[k], g->initializer[i]->name) == 0;
        if (read) g->initializer[kept++] = g->initializer[i];
    }
    g->n_initializer = kept;
}

static void rewrite(rewriter *w)
{
    IsgiOnnx__GraphProto *g = w->proto;
    const size_t room = 4 * (g->n_node + g->n_input) + 3 * g->n_initializer + 16;
    struct renamed {
        const char *from;
        char *to;
    } *map = take((g->n_node + 1) * 4 * sizeof *map);
    size_t mapped = 0;
    w->nodes = take(4 * room * sizeof *w->nodes);
    w->initializers = take(8 * room * sizeof *w->initializers);
    for (size_t i = 0; i < g->n_initializer; i++) w->initializers[w->initializer_count++] = g->initializer[i];
    map[mapped].from = g->input[0]->name;
    map[mapped++].to = quantise_activation(w, g->input[0]->name);
    for (size_t i = 0; i < g->n_node; i++) {
        IsgiOnnx__NodeProto *n = g->node[i];
        const char *source = n->n_input ? n->input[0] : "";
        const int linear = is_op(n, "Conv") || is_op(n, "Gemm");
        for (size_t k = 0; k < n->n_input; k++)
            for (size_t m = 0; m < mapped; m++)
                if (strcmp(map[m].from, n->input[k]) == 0) n->input[k] = map[m].to;
        if (linear) {
            const float *scales = quantise_weight(w, n);
            const float input_scale = range_scale(&w->ranges[isg_graph_find_value(w->graph, source)]);
            if (n->n_input > 2 && n->input[2][0]) quantise_bias(w, n, scales, input_scale);
        }
        if (is_op(n, "Sum") && n->n_input == 2) n->op_type = "Add"; /* which has an integer kernel */
        w->nodes[w->node_count++] = n;
        for (size_t k = 0; k < n->n_output; k++) {
            if (!worth_a_pair(w, n->output[k])) continue;
            map[mapped].from = n->output[k];
            map[mapped++].to = quantise_activation(w, n->output[k]);
        }
    }
    g->node = w->nodes;
    g->n_node = w->node_count;
    g->initializer = w->initializers;
    g->n_initializer = w->initializer_count;
    drop_unread(g);
}

int main(int argc, char **argv)
{
    rewriter w;
    isg_file file;
    IsgiOnnx__ModelProto *model;
    uint8_t *bytes;
    size_t size;
    if (argc != 3) {
        fprintf(stderr, "usage: bench_qdq IN.onnx OUT.onnx\n");
        return 2;
    }
    memset(&w, 0, sizeof w);
    if (isg_file_open(&file, argv[1], &error) != ISG_OK) return complain(argv[1]);
    if (isg_onnx_import_file(&w.graph, argv[1], NULL, NULL, &error) != ISG_OK) return complain(argv[1]);
    w.ranges = take((size_t)w.graph->value_count * sizeof *w.ranges);
    if (!calibrate(&w)) return complain(argv[1]);
    model = isgi_onnx__model_proto__unpack(NULL, file.size, file.data);
    if (!model || !model->graph) return complain(argv[1]);
    w.proto = model->graph;
    rewrite(&w);
    size = isgi_onnx__model_proto__get_packed_size(model);
    bytes = take(size);
    isgi_onnx__model_proto__pack(model, bytes);
    return isg_write_file(argv[2], bytes, size, &error) == ISG_OK ? 0 : complain(argv[2]);
}
