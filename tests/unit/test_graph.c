/* SPDX-License-Identifier: Apache-2.0 */
/* The graph: containers, sort, validation, inference with a symbolic batch, folding and the canonical form. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/graph.h>

#include "host/alloc.h"

static isg_graph *new_graph(void)
{
    isg_graph *g;
    assert_int_equal(isg_graph_create(&g, NULL), ISG_OK);
    return g;
}

static int32_t value(isg_graph *g, const char *name)
{
    const int32_t v = isg_graph_add_value(g, name, ISG_DT_NONE, -1, NULL);
    assert_true(v >= 0);
    return v;
}

static int32_t input(isg_graph *g, const char *name, int32_t rank, const int64_t *dims)
{
    const int32_t v = isg_graph_add_value(g, name, ISG_DT_F32, rank, dims);
    assert_true(v >= 0);
    assert_int_equal(isg_graph_add_input(g, v, NULL), ISG_OK);
    return v;
}

static uint32_t state = 1;

static float next_number(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static int32_t weights(isg_graph *g, const char *name, int32_t rank, const int64_t *dims)
{
    isg_tensor *t;
    int32_t v;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_F32, rank, dims, NULL), ISG_OK);
    for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = next_number();
    v = isg_graph_add_constant(g, name, t);
    assert_true(v >= 0);
    return v;
}

static int32_t list(isg_graph *g, const char *name, const int64_t *numbers, int64_t count)
{
    isg_tensor *t;
    int32_t v;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_I64, 1, &count, NULL), ISG_OK);
    memcpy(t->data, numbers, (size_t)count * sizeof *numbers);
    v = isg_graph_add_constant(g, name, t);
    assert_true(v >= 0);
    return v;
}

/* Adds a node with one new output named after the operator. */
static int32_t node(isg_graph *g, isg_op op, const int32_t *inputs, int32_t count)
{
    const int32_t y = value(g, isg_op_name(op));
    assert_true(isg_graph_add_node(g, op, "", inputs, count, &y, 1) >= 0);
    return y;
}

static int32_t node1(isg_graph *g, isg_op op, int32_t x)
{
    return node(g, op, &x, 1);
}

static isg_attr *last_attr(isg_graph *g)
{
    return &g->nodes[g->node_count - 1].attr;
}

static void finish(isg_graph *g, int32_t y)
{
    isg_error err;
    assert_int_equal(isg_graph_add_output(g, y, NULL), ISG_OK);
    assert_int_equal(isg_graph_validate(g, &err), ISG_OK);
}

static int count_op(const isg_graph *g, isg_op op)
{
    int n = 0;
    for (int32_t i = 0; i < g->node_count; i++) n += g->nodes[i].op == op;
    return n;
}

static isg_tensor *run(const isg_graph *g, const isg_tensor *x)
{
    isg_tensor *y;
    isg_error err = {ISG_OK, -1, 0, ""};
    if (isg_interp_run(g, &x, &y, &err) != ISG_OK) fail_msg("%s", err.message);
    return y;
}

/* Prepares a copy; both must compute the same. Returns the prepared graph. */
static isg_graph *prepare_and_compare(const isg_graph *g, int64_t batch)
{
    isg_graph *p;
    isg_error err = {ISG_OK, -1, 0, ""};
    const isg_value *v = &g->values[g->inputs[0]];
    isg_tensor *x, *before, *after;
    int64_t dims[ISG_MAX_RANK];
    for (int32_t d = 0; d < v->rank; d++) dims[d] = v->dims[d] == ISG_DIM_BATCH ? batch : v->dims[d];
    assert_int_equal(isg_tensor_create(&x, ISG_DT_F32, v->rank, dims, NULL), ISG_OK);
    for (int64_t i = 0; i < x->count; i++) ((float *)x->data)[i] = next_number();
    assert_int_equal(isg_graph_clone(&p, g, NULL), ISG_OK);
    if (isg_graph_prepare(p, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(isg_graph_validate(p, &err), ISG_OK);
    before = run(g, x);
    after = run(p, x);
    assert_int_equal(before->rank, after->rank);
    assert_memory_equal(before->dims, after->dims, sizeof before->dims);
    for (int64_t i = 0; i < before->count; i++) {
        const float a = ((float *)before->data)[i], b = ((float *)after->data)[i];
        if (!(fabsf(a - b) <= 1e-5f + 1e-5f * fabsf(a))) fail_msg("element %d: %g against %g", (int)i, a, b);
    }
    isg_tensor_destroy(x);
    isg_tensor_destroy(before);
    isg_tensor_destroy(after);
    return p;
}

static const int64_t image[4] = {ISG_DIM_BATCH, 3, 7, 6};

/* The dims may be those of a value that moves while the list grows. */
static void a_value_shaped_like_another(void **unused)
{
    static const int64_t dims[2] = {3, 7};
    isg_graph *g = new_graph();
    const int32_t first = isg_graph_add_value(g, "v", ISG_DT_F32, 2, dims);
    (void)unused;
    for (int i = 0; i < 200; i++) {
        const int32_t v = isg_graph_add_value(g, "v", ISG_DT_F32, g->values[first].rank, g->values[first].dims);
        assert_true(v > first);
        assert_true(g->values[v].dims[0] == 3 && g->values[v].dims[1] == 7);
    }
    isg_graph_destroy(g);
}

static void names_are_made_unique(void **unused)
{
    isg_graph *g = new_graph();
    (void)unused;
    assert_int_equal(value(g, "x"), 0);
    assert_int_equal(value(g, "x"), 1);
    assert_string_not_equal(g->values[1].name, "x");
    assert_int_equal(isg_graph_find_value(g, "x"), 0);
    assert_int_equal(isg_graph_find_value(g, "y"), -1);
    assert_true(isg_graph_add_node(g, ISG_OP_RELU, "", &(int32_t){5}, 1, &(int32_t){1}, 1) < 0);
    isg_graph_destroy(g);
}

static void sort_orders_and_finds_cycles(void **unused)
{
    isg_graph *g = new_graph();
    isg_error err;
    const int32_t x = input(g, "x", 4, image), a = value(g, "a"), b = value(g, "b");
    (void)unused;
    assert_int_equal(isg_graph_add_node(g, ISG_OP_RELU, "second", &a, 1, &b, 1), 0);
    assert_int_equal(isg_graph_add_node(g, ISG_OP_RELU, "first", &x, 1, &a, 1), 1);
    assert_int_equal(isg_graph_add_output(g, b, NULL), ISG_OK);
    assert_int_equal(isg_graph_validate(g, &err), ISG_E_FORMAT);
    assert_int_equal(isg_graph_sort(g, &err), ISG_OK);
    assert_string_equal(g->nodes[0].name, "first");
    assert_int_equal(isg_graph_validate(g, &err), ISG_OK);
    g->nodes[0].inputs[0] = b;
    assert_int_equal(isg_graph_sort(g, &err), ISG_E_FORMAT);
    isg_graph_destroy(g);
}

static void inference_keeps_the_batch(void **unused)
{
    isg_graph *g = new_graph();
    isg_error err;
    const int32_t x = input(g, "x", 4, image), w = weights(g, "w", 4, (int64_t[]){5, 3, 3, 3});
    const int32_t y = node(g, ISG_OP_CONV, (int32_t[]){x, w}, 2);
    const int32_t flat = node1(g, ISG_OP_FLATTEN, y);
    (void)unused;
    finish(g, flat);
    assert_int_equal(isg_graph_infer(g, &err), ISG_OK);
    assert_int_equal(g->values[y].dims[0], ISG_DIM_BATCH);
    assert_int_equal(g->values[y].dims[2], 5);
    assert_int_equal(g->values[y].dims[3], 4);
    assert_int_equal(g->values[flat].dims[0], ISG_DIM_BATCH);
    assert_int_equal(g->values[flat].dims[1], 100);
    g->values[w].dims[1] = g->values[w].constant->dims[1] = 4;
    assert_int_equal(isg_graph_infer(g, &err), ISG_E_SHAPE);
    g->values[w].dims[1] = g->values[w].constant->dims[1] = 3;
    g->values[x].dims[2] = ISG_DIM_UNKNOWN;
    assert_int_equal(isg_graph_infer(g, &err), ISG_E_UNSUPPORTED);
    isg_graph_destroy(g);
}

/* view(x.size(0), -1) as exporters write it: Shape, Gather, Unsqueeze, Concat, Reshape. */
static void flatten_chain_becomes_reshape(void **unused)
{
    isg_graph *g = new_graph(), *p;
    isg_error err;
    isg_tensor *zero;
    const int32_t x = input(g, "x", 4, image), shape = node1(g, ISG_OP_SHAPE, x);
    int32_t index, batch, wide, target, y, minus = list(g, "minus", (int64_t[]){-1}, 1);
    (void)unused;
    assert_int_equal(isg_tensor_create(&zero, ISG_DT_I64, 0, NULL, NULL), ISG_OK);
    index = isg_graph_add_constant(g, "zero", zero);
    batch = node(g, ISG_OP_GATHER, (int32_t[]){shape, index}, 2);
    wide = node1(g, ISG_OP_UNSQUEEZE, batch);
    last_attr(g)->axes.n = 1;
    target = node(g, ISG_OP_CONCAT, (int32_t[]){wide, minus}, 2);
    y = node(g, ISG_OP_RESHAPE, (int32_t[]){x, target}, 2);
    finish(g, y);
    p = prepare_and_compare(g, 3);
    assert_int_equal(p->node_count, 1);
    assert_int_equal(p->nodes[0].op, ISG_OP_RESHAPE);
    assert_int_equal(((int64_t *)p->values[p->nodes[0].inputs[1]].constant->data)[0], 0);
    assert_int_equal(((int64_t *)p->values[p->nodes[0].inputs[1]].constant->data)[1], 126);
    assert_int_equal(isg_graph_infer(p, &err), ISG_OK);
    isg_graph_destroy(p);
    isg_graph_destroy(g);
}

/* A dimension that is a multiple or a fraction of the batch is neither known nor the batch. */
static void batch_arithmetic_is_refused(void **unused)
{
    isg_graph *g = new_graph();
    isg_error err;
    const int32_t x = input(g, "x", 4, image), target = list(g, "t", (int64_t[]){-1, 6}, 2);
    const int32_t y = node(g, ISG_OP_RESHAPE, (int32_t[]){x, target}, 2);
    (void)unused;
    finish(g, y);
    assert_int_equal(isg_graph_infer(g, &err), ISG_OK);
    assert_int_equal(g->values[y].dims[0], ISG_DIM_UNKNOWN);
    assert_int_equal(isg_graph_prepare(g, &err), ISG_E_UNSUPPORTED);
    isg_graph_destroy(g);
}

/* Whatever batches inference tries: what it says of the batch is N, other numbers stay, also those of names. */
static void messages_speak_of_the_batch(void **unused)
{
    static const struct {
        int64_t shape[2]; /* of a Reshape */
        const char *message;
    } cases[] = {{{5, -1}, "node '' (Reshape): 24N elements do not divide into 5"},
                 {{7, 24}, "node '' (Reshape): 24N elements cannot take a shape of 168"},
                 {{997, -1}, "node '' (Reshape): 24216 elements do not divide into 997 (with a batch of 1009)"},
                 {{1009, -1}, "node '' (Reshape): 23928 elements do not divide into 1009 (with a batch of 997)"}};
    const int64_t dims[3] = {ISG_DIM_BATCH, 4, 6}, three[3] = {3, 4, 6}, starts = 3, ends = INT64_MAX;
    isg_error err;
    isg_graph *g;
    int32_t x, in[3], y;
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        g = new_graph();
        in[0] = input(g, "x", 3, dims);
        in[1] = list(g, "s", cases[i].shape, 2);
        finish(g, node(g, ISG_OP_RESHAPE, in, 2));
        assert_int_equal(isg_graph_infer(g, &err), ISG_E_SHAPE);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(isg_graph_infer(g, NULL), ISG_E_SHAPE);
        isg_graph_destroy(g);
    }
    g = new_graph();
    x = in[0] = input(g, "x", 3, dims);
    in[1] = list(g, "starts", &starts, 1);
    in[2] = list(g, "ends", &ends, 1);
    in[0] = node(g, ISG_OP_SLICE, in, 3);
    in[1] = x;
    y = value(g, "y");
    assert_true(isg_graph_add_node(g, ISG_OP_ADD, "layer997", in, 2, &y, 1) >= 0);
    finish(g, y);
    assert_int_equal(isg_graph_infer(g, &err), ISG_E_SHAPE);
    assert_string_equal(err.message, "node 'layer997' (Add): dimensions N-3 and N cannot be broadcast");
    assert_int_equal(err.node, 1);
    isg_graph_destroy(g);
    g = new_graph();
    in[0] = input(g, "x", 3, dims);
    in[1] = weights(g, "w", 3, three);
    finish(g, node(g, ISG_OP_ADD, in, 2));
    assert_int_equal(isg_graph_infer(g, &err), ISG_E_SHAPE);
    assert_string_equal(err.message, "node '' (Add): dimensions N and 3 cannot be broadcast");
    isg_graph_destroy(g);
}

static void pad_conv_bias_batchnorm_become_one(void **unused)
{
    isg_graph *g = new_graph(), *p;
    const int32_t x = input(g, "x", 4, image), pads = list(g, "p", (int64_t[]){0, 0, 1, 2, 0, 0, 0, 1}, 8);
    const int32_t w0 = weights(g, "w", 4, (int64_t[]){4, 3, 3, 3}), w = node1(g, ISG_OP_IDENTITY, w0);
    const int32_t bias = weights(g, "b", 3, (int64_t[]){4, 1, 1});
    const int64_t four = 4;
    int32_t in[5], y = node(g, ISG_OP_PAD, (int32_t[]){x, pads}, 2);
    (void)unused;
    y = node(g, ISG_OP_CONV, (int32_t[]){y, w}, 2);
    y = node(g, ISG_OP_ADD, (int32_t[]){bias, y}, 2);
    in[0] = y;
    for (int k = 1; k < 5; k++) in[k] = weights(g, "bn", 1, &four);
    for (int k = 0; k < 4; k++) ((float *)g->values[in[4]].constant->data)[k] = 0.5f + (float)k;
    y = node(g, ISG_OP_BATCH_NORM, in, 5);
    y = node1(g, ISG_OP_DROPOUT, y);
    finish(g, y);
    p = prepare_and_compare(g, 2);
    assert_int_equal(p->node_count, 1);
    assert_int_equal(p->nodes[0].op, ISG_OP_CONV);
    assert_int_equal(p->nodes[0].input_count, 3);
    assert_int_equal(p->nodes[0].attr.conv.pads[0], 1);
    assert_int_equal(p->nodes[0].attr.conv.pads[3], 1);
    assert_string_equal(p->values[p->outputs[0]].name, g->values[g->outputs[0]].name);
    isg_graph_destroy(p);
    isg_graph_destroy(g);
}

static void a_pad_that_others_read_stays(void **unused)
{
    isg_graph *g = new_graph(), *p;
    const int32_t x = input(g, "x", 4, image), pads = list(g, "p", (int64_t[]){0, 0, 1, 1, 0, 0, 1, 1}, 8);
    const int32_t w = weights(g, "w", 4, (int64_t[]){3, 3, 1, 1}), y = node(g, ISG_OP_PAD, (int32_t[]){x, pads}, 2);
    const int32_t z = node(g, ISG_OP_CONV, (int32_t[]){y, w}, 2);
    (void)unused;
    finish(g, node(g, ISG_OP_ADD, (int32_t[]){z, y}, 2));
    p = prepare_and_compare(g, 1);
    assert_int_equal(count_op(p, ISG_OP_PAD), 1);
    isg_graph_destroy(p);
    isg_graph_destroy(g);
}

static void gemm_forms_become_one(void **unused)
{
    const int64_t flat[2] = {ISG_DIM_BATCH, 6};
    (void)unused;
    for (int form = 0; form < 8; form++) {
        isg_graph *g = new_graph(), *p;
        const int32_t x = input(g, "x", 2, flat);
        const int32_t w = weights(g, "w", 2, form & 1 ? (int64_t[]){5, 6} : (int64_t[]){6, 5});
        const int32_t b = weights(g, "b", 2, form & 2 ? (int64_t[]){1, 5} : (int64_t[]){1, 1});
        int32_t y;
        if (form & 4) {
            y = node(g, ISG_OP_GEMM, (int32_t[]){x, w, b}, 3);
            last_attr(g)->gemm = (isg_gemm_attr){0.5f, 2.0f, 0, form & 1};
        } else {
            if (form & 1) {
                const int32_t t = node1(g, ISG_OP_TRANSPOSE, w);
                y = node(g, ISG_OP_MATMUL, (int32_t[]){x, t}, 2);
            } else {
                y = node(g, ISG_OP_MATMUL, (int32_t[]){x, w}, 2);
            }
            y = node(g, ISG_OP_ADD, (int32_t[]){y, b}, 2);
        }
        finish(g, y);
        p = prepare_and_compare(g, 4);
        assert_int_equal(p->node_count, 1);
        assert_int_equal(p->nodes[0].op, ISG_OP_GEMM);
        assert_int_equal(p->values[p->nodes[0].inputs[1]].dims[0], 5);
        assert_int_equal(p->values[p->nodes[0].inputs[2]].rank, 1);
        isg_graph_destroy(p);
        isg_graph_destroy(g);
    }
}

static void windows_become_explicit(void **unused)
{
    (void)unused;
    for (int form = 0; form < 32; form++) {
        isg_graph *g = new_graph(), *p;
        const int32_t x = input(g, "x", 4, image);
        const int32_t y = node1(g, form & 1 ? ISG_OP_MAX_POOL : ISG_OP_AVERAGE_POOL, x);
        isg_conv_attr *a = &last_attr(g)->conv;
        a->n = 2;
        for (int k = 0; k < 2; k++) {
            a->kernel[k] = 3 - k;
            a->stride[k] = 2 + k;
        }
        a->ceil_mode = form >> 1 & 1;
        a->count_include_pad = form >> 2 & 1;
        if (form & 8)
            a->auto_pad = form & 16 ? ISG_PAD_SAME_UPPER : ISG_PAD_SAME_LOWER;
        else if (form & 16)
            a->pads[0] = a->pads[3] = 1;
        finish(g, y);
        p = prepare_and_compare(g, 2);
        for (int32_t i = 0; i < p->node_count; i++) {
            if (p->nodes[i].op == ISG_OP_PAD) continue;
            assert_int_equal(p->nodes[i].attr.conv.auto_pad, ISG_PAD_NOTSET);
            assert_int_equal(p->nodes[i].attr.conv.ceil_mode, 0);
        }
        isg_graph_destroy(p);
        isg_graph_destroy(g);
    }
}

static void mean_over_space_becomes_a_pool(void **unused)
{
    (void)unused;
    for (int keep = 0; keep < 2; keep++) {
        isg_graph *g = new_graph(), *p;
        const int32_t x = input(g, "x", 4, image), axes = list(g, "axes", (int64_t[]){-1, -2}, 2);
        const int32_t y = node(g, ISG_OP_REDUCE_MEAN, (int32_t[]){x, axes}, 2);
        last_attr(g)->axes.keepdims = keep;
        finish(g, y);
        p = prepare_and_compare(g, 2);
        assert_int_equal(count_op(p, ISG_OP_GLOBAL_AVERAGE_POOL), 1);
        assert_int_equal(p->node_count, 2 - keep);
        isg_graph_destroy(p);
        isg_graph_destroy(g);
    }
}

static void a_computed_weight_is_refused(void **unused)
{
    isg_graph *g = new_graph();
    isg_error err;
    const int32_t x = input(g, "x", 4, image), w = input(g, "w", 4, (int64_t[]){2, 3, 1, 1});
    (void)unused;
    finish(g, node(g, ISG_OP_CONV, (int32_t[]){x, w}, 2));
    assert_int_equal(isg_graph_prepare(g, &err), ISG_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "weight"));
    isg_graph_destroy(g);
}

/* A factored weight: isg_graph_weight and the interpreter see the same dense numbers. */
static void factored_weight_is_generated(void **unused)
{
    isg_graph *g = new_graph(), *dense;
    const int32_t x = input(g, "x", 4, image);
    const int32_t w = isg_graph_add_value(g, "w", ISG_DT_F32, 4, (int64_t[]){6, 3, 3, 3});
    isg_factors *f;
    isg_tensor *t, *data, *a, *b;
    (void)unused;
    assert_int_equal(isg_factors_create(&f, 9, 3, 6, isg_factor_levels(3, 6, 9, 2, 4, 0, 0), 0, NULL), ISG_OK);
    for (uint32_t i = 0; i < f->basis.rows * f->basis.cols; i++) f->basis.master[i] = next_number();
    for (uint32_t i = 0; i < f->u.rows * f->u.cols; i++) f->u.master[i] = next_number();
    for (uint32_t i = 0; i < f->v.rows * f->v.cols; i++) f->v.master[i] = next_number();
    g->values[w].factors = f;
    finish(g, node(g, ISG_OP_CONV, (int32_t[]){x, w}, 2));
    assert_int_equal(isg_graph_weight(g, w, &t, NULL), ISG_OK);
    for (uint32_t o = 0; o < 6; o++) { /* SPEC section 2 by hand */
        for (uint32_t c = 0; c < 3; c++) {
            for (uint32_t k = 0; k < 9; k++) {
                double sum = 0.0;
                for (uint32_t m = 0; m < f->bo; m++)
                    for (uint32_t i = 0; i < f->bi; i++)
                        sum += (double)f->basis.master[k * f->basis.cols + i * f->bo + m] *
                               (double)f->u.master[c * f->u.cols + i * f->bo + m] *
                               (double)f->v.master[m * f->v.cols + o];
                assert_true(fabs(sum - (double)((float *)t->data)[(o * 3 + c) * 9 + k]) < 1e-5);
            }
        }
    }
    assert_int_equal(isg_graph_clone(&dense, g, NULL), ISG_OK);
    isg_factors_destroy(dense->values[w].factors);
    dense->values[w].factors = NULL;
    dense->values[w].constant = t;
    assert_int_equal(isg_tensor_create(&data, ISG_DT_F32, 4, (int64_t[]){2, 3, 7, 6}, NULL), ISG_OK);
    for (int64_t i = 0; i < data->count; i++) ((float *)data->data)[i] = next_number();
    a = run(g, data);
    b = run(dense, data);
    assert_memory_equal(a->data, b->data, (size_t)a->count * sizeof(float));
    isg_tensor_destroy(data);
    isg_tensor_destroy(a);
    isg_tensor_destroy(b);
    isg_graph_destroy(dense);
    isg_graph_destroy(g);
}

/* Every allocation of clone and prepare fails once: an error comes back, nothing crashes. */
static void out_of_memory_is_an_error(void **unused)
{
    isg_graph *g = new_graph();
    const int32_t x = input(g, "x", 4, image), w = weights(g, "w", 4, (int64_t[]){4, 3, 3, 3});
    int32_t y = node(g, ISG_OP_CONV, (int32_t[]){x, w}, 2);
    int failures = 0;
    (void)unused;
    y = node1(g, ISG_OP_FLATTEN, node1(g, ISG_OP_GLOBAL_AVERAGE_POOL, y));
    y = node(g, ISG_OP_MATMUL, (int32_t[]){y, weights(g, "v", 2, (int64_t[]){4, 2})}, 2);
    finish(g, y);
    for (uint64_t n = 1;; n++) {
        isg_graph *p = NULL;
        isg_status status;
        (void)isgi_alloc_fail_at(n);
        status = isg_graph_clone(&p, g, NULL);
        if (status == ISG_OK) status = isg_graph_prepare(p, NULL);
        (void)isgi_alloc_fail_at(0);
        isg_graph_destroy(p);
        if (status == ISG_OK) break;
        assert_int_equal(status, ISG_E_NOMEM);
        failures++;
        assert_true(n < 10000);
    }
    assert_true(failures > 20);
    isg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_shaped_like_another),   cmocka_unit_test(names_are_made_unique),
        cmocka_unit_test(sort_orders_and_finds_cycles),  cmocka_unit_test(inference_keeps_the_batch),
        cmocka_unit_test(flatten_chain_becomes_reshape), cmocka_unit_test(batch_arithmetic_is_refused),
        cmocka_unit_test(messages_speak_of_the_batch),   cmocka_unit_test(pad_conv_bias_batchnorm_become_one),
        cmocka_unit_test(a_pad_that_others_read_stays),  cmocka_unit_test(gemm_forms_become_one),
        cmocka_unit_test(windows_become_explicit),       cmocka_unit_test(mean_over_space_becomes_a_pool),
        cmocka_unit_test(a_computed_weight_is_refused),  cmocka_unit_test(factored_weight_is_generated),
        cmocka_unit_test(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
