/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: convolution and pooling against a naive form, semantics by opset, and hostile shapes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/graph.h>

static uint64_t state;

static void seed(uint64_t fallback)
{
    const char *text = getenv("INSITU_TEST_SEED");
    state = text ? strtoull(text, NULL, 10) : fallback;
    printf("seed %llu\n", (unsigned long long)state);
}

static uint32_t next(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static isg_tensor *tensor(isg_dtype dtype, int32_t rank, const int64_t *dims)
{
    isg_tensor *t;
    assert_int_equal(isg_tensor_create(&t, dtype, rank, dims, NULL), ISG_OK);
    if (dtype == ISG_DT_F32)
        for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = (float)next(2001) / 1000.0f - 1.0f;
    return t;
}

/* A graph of one node whose inputs are all run-time inputs. */
static isg_graph *single(isg_op op, isg_tensor *const *inputs, int32_t input_count, int32_t output_count)
{
    isg_graph *g;
    int32_t in[8], out[8];
    assert_int_equal(isg_graph_create(&g, NULL), ISG_OK);
    for (int32_t i = 0; i < input_count; i++) {
        in[i] = ISG_NO_VALUE;
        if (!inputs[i]) continue;
        in[i] = isg_graph_add_value(g, "x", inputs[i]->dtype, inputs[i]->rank, inputs[i]->dims);
        assert_int_equal(isg_graph_add_input(g, in[i], NULL), ISG_OK);
    }
    for (int32_t i = 0; i < output_count; i++) {
        out[i] = isg_graph_add_value(g, "y", ISG_DT_NONE, -1, NULL);
        assert_int_equal(isg_graph_add_output(g, out[i], NULL), ISG_OK);
    }
    assert_int_equal(isg_graph_add_node(g, op, "n", in, input_count, out, output_count), 0);
    return g;
}

static isg_status run(const isg_graph *g, isg_tensor *const *inputs, int32_t count, isg_tensor **outputs)
{
    const isg_tensor *given[8];
    isg_error err = {ISG_OK, -1, 0, ""};
    isg_status status;
    int32_t n = 0;
    for (int32_t i = 0; i < count; i++)
        if (inputs[i]) given[n++] = inputs[i];
    status = isg_interp_run(g, given, outputs, &err);
    if (status != ISG_OK && !err.message[0]) fail_msg("an error without a message");
    return status;
}

/* One output element straight from the definition. */
static double naive_conv(const isg_tensor *x, const isg_tensor *w, const float *bias, const isg_conv_attr *a, int64_t n,
                         int64_t o, int64_t oy, int64_t ox)
{
    const int64_t per = w->dims[1], group = o / (w->dims[0] / a->groups);
    double sum = bias ? (double)bias[o] : 0.0;
    for (int64_t c = 0; c < per; c++) {
        for (int64_t ky = 0; ky < w->dims[2]; ky++) {
            for (int64_t kx = 0; kx < w->dims[3]; kx++) {
                const int64_t y = oy * a->stride[0] + ky * a->dilation[0] - a->pads[0];
                const int64_t z = ox * a->stride[1] + kx * a->dilation[1] - a->pads[1];
                if (y < 0 || z < 0 || y >= x->dims[2] || z >= x->dims[3]) continue;
                sum +=
                    (double)((float *)x->data)[((n * x->dims[1] + group * per + c) * x->dims[2] + y) * x->dims[3] + z] *
                    (double)((float *)w->data)[((o * per + c) * w->dims[2] + ky) * w->dims[3] + kx];
            }
        }
    }
    return sum;
}

static void conv_matches_the_definition(void **unused)
{
    (void)unused;
    seed(7);
    for (int round = 0; round < 200; round++) {
        const int64_t groups = 1 + next(3), ci = 1 + next(3), co = groups * (1 + next(3));
        isg_tensor *in[3], *y;
        isg_conv_attr a;
        isg_graph *g;
        in[0] = tensor(ISG_DT_F32, 4, (int64_t[]){1 + next(2), groups * ci, 5 + next(6), 5 + next(6)});
        in[1] = tensor(ISG_DT_F32, 4, (int64_t[]){co, ci, 1 + next(3), 1 + next(3)});
        in[2] = next(2) ? tensor(ISG_DT_F32, 1, &co) : NULL;
        g = single(ISG_OP_CONV, in, 3, 1);
        a = g->nodes[0].attr.conv;
        a.n = 2;
        a.groups = groups;
        for (int k = 0; k < 2; k++) {
            a.stride[k] = 1 + next(3);
            a.dilation[k] = 1 + next(2);
            a.pads[k] = next(4);
            a.pads[2 + k] = next(4);
        }
        g->nodes[0].attr.conv = a;
        assert_int_equal(run(g, in, 3, &y), ISG_OK);
        for (int64_t i = 0; i < y->count; i++) {
            const int64_t ox = i % y->dims[3], oy = i / y->dims[3] % y->dims[2];
            const int64_t o = i / (y->dims[3] * y->dims[2]) % co, n = i / (y->dims[3] * y->dims[2] * co);
            const double wanted = naive_conv(in[0], in[1], in[2] ? in[2]->data : NULL, &a, n, o, oy, ox);
            assert_true(fabs(wanted - (double)((float *)y->data)[i]) <= 1e-6);
        }
        for (int k = 0; k < 3; k++) isg_tensor_destroy(in[k]);
        isg_tensor_destroy(y);
        isg_graph_destroy(g);
    }
}

/* ceil_mode: a last window that would start in the end padding is left out; a hanging one counts only what exists. */
static void ceil_mode_follows_the_rule(void **unused)
{
    isg_tensor *x = tensor(ISG_DT_F32, 3, (int64_t[]){1, 1, 5}), *y;
    isg_graph *g = single(ISG_OP_AVERAGE_POOL, &x, 1, 1);
    isg_conv_attr *a = &g->nodes[0].attr.conv;
    (void)unused;
    for (int i = 0; i < 5; i++) ((float *)x->data)[i] = (float)(i + 1);
    a->n = 1;
    a->kernel[0] = 2;
    a->stride[0] = 2;
    a->ceil_mode = 1;
    assert_int_equal(run(g, &x, 1, &y), ISG_OK);
    assert_int_equal(y->count, 3);
    assert_true(((float *)y->data)[2] == 5.0f);
    isg_tensor_destroy(y);
    a->count_include_pad = 1;
    assert_int_equal(run(g, &x, 1, &y), ISG_OK);
    assert_true(((float *)y->data)[2] == 5.0f);
    isg_tensor_destroy(y);
    a->pads[1] = 2;
    a->kernel[0] = 3;
    a->stride[0] = 3;
    assert_int_equal(run(g, &x, 1, &y), ISG_OK);
    assert_int_equal(y->count, 2);
    assert_true(((float *)y->data)[1] == 3.0f); /* (4 + 5 + 0) / 3 */
    isg_tensor_destroy(y);
    isg_tensor_destroy(x);
    isg_graph_destroy(g);
}

static void column_major_indices(void **unused)
{
    isg_tensor *x = tensor(ISG_DT_F32, 4, (int64_t[]){1, 2, 2, 3}), *y[2];
    isg_graph *g = single(ISG_OP_MAX_POOL, &x, 1, 2);
    isg_conv_attr *a = &g->nodes[0].attr.conv;
    (void)unused;
    for (int i = 0; i < 12; i++) ((float *)x->data)[i] = i == 5 || i == 7 ? 9.0f : 0.0f;
    a->n = 2;
    a->kernel[0] = 2;
    a->kernel[1] = 3;
    a->storage_order = 1;
    assert_int_equal(run(g, &x, 1, y), ISG_OK);
    assert_int_equal(((int64_t *)y[1]->data)[0], 5);     /* row 1, column 2 */
    assert_int_equal(((int64_t *)y[1]->data)[1], 6 + 2); /* row 0, column 1 */
    isg_tensor_destroy(y[0]);
    isg_tensor_destroy(y[1]);
    isg_tensor_destroy(x);
    isg_graph_destroy(g);
}

static void softmax_changes_with_opset_13(void **unused)
{
    isg_tensor *x = tensor(ISG_DT_F32, 3, (int64_t[]){2, 3, 4}), *y;
    isg_graph *g = single(ISG_OP_SOFTMAX, &x, 1, 1);
    (void)unused;
    g->nodes[0].attr.axes.axes[0] = 1;
    for (int old = 0; old < 2; old++) {
        double sum = 0.0;
        g->opset = old ? 11 : 13;
        assert_int_equal(run(g, &x, 1, &y), ISG_OK);
        for (int i = 0; i < 12; i += old ? 1 : 4) sum += (double)((float *)y->data)[i];
        assert_true(fabs(sum - 1.0) < 1e-6);
        isg_tensor_destroy(y);
    }
    isg_tensor_destroy(x);
    isg_graph_destroy(g);
}

static void integers_wrap_and_refuse_zero(void **unused)
{
    isg_tensor *in[2] = {tensor(ISG_DT_I64, 0, NULL), tensor(ISG_DT_I64, 0, NULL)}, *y;
    isg_graph *g = single(ISG_OP_DIV, in, 2, 1);
    (void)unused;
    *(int64_t *)in[0]->data = INT64_MIN;
    assert_int_equal(run(g, in, 2, &y), ISG_E_NUMERIC);
    *(int64_t *)in[1]->data = -1;
    assert_int_equal(run(g, in, 2, &y), ISG_OK);
    assert_true(*(int64_t *)y->data == INT64_MIN);
    isg_tensor_destroy(y);
    isg_tensor_destroy(in[0]);
    isg_tensor_destroy(in[1]);
    isg_graph_destroy(g);
}

static void binary16_rounds_once(void **unused)
{
    const int64_t two = 2;
    isg_tensor *in[2] = {tensor(ISG_DT_F16, 1, &two), tensor(ISG_DT_F16, 1, &two)}, *y;
    isg_graph *g = single(ISG_OP_ADD, in, 2, 1);
    (void)unused;
    memcpy(in[0]->data, (uint16_t[]){0x3c00, 0x7bff}, 4); /* 1, 65504 */
    memcpy(in[1]->data, (uint16_t[]){0x1000, 0x7bff}, 4); /* 2^-11: a tie, to even */
    assert_int_equal(run(g, in, 2, &y), ISG_OK);
    assert_int_equal(((uint16_t *)y->data)[0], 0x3c00);
    assert_int_equal(((uint16_t *)y->data)[1], 0x7c00);
    isg_tensor_destroy(y);
    isg_tensor_destroy(in[0]);
    isg_tensor_destroy(in[1]);
    isg_graph_destroy(g);
}

/* Numbers that shapes, axes and pads should never hold, mixed with ones that they do. */
static int64_t odd_number(void)
{
    static const int64_t odd[] = {0, 1, 2, 3, -1, -2, -3, 4, 5, INT64_MAX, INT64_MIN, -9, 9};
    return next(3) ? (int64_t)next(4) : odd[next(sizeof odd / sizeof *odd)];
}

static void odd_attributes(isg_node *n)
{
    isg_attr *a = &n->attr;
    switch (n->op) {
    case ISG_OP_CONV:
    case ISG_OP_MAX_POOL:
    case ISG_OP_AVERAGE_POOL:
        a->conv.n = (int32_t)next(4);
        a->conv.groups = next(2) ? 1 : odd_number();
        a->conv.auto_pad = (isg_auto_pad)next(4);
        a->conv.ceil_mode = (int32_t)next(2);
        for (int k = 0; k < 3; k++) {
            a->conv.kernel[k] = odd_number();
            a->conv.stride[k] = next(2) ? 1 : odd_number();
            a->conv.dilation[k] = next(2) ? 1 : odd_number();
            a->conv.pads[k] = a->conv.pads[3 + k] = next(3) ? 0 : odd_number();
        }
        break;
    case ISG_OP_GEMM: a->gemm.trans_b = (int32_t)next(2); break;
    case ISG_OP_CAST: a->cast.to = (isg_dtype)next(18); break;
    case ISG_OP_PAD: a->pad.mode = (isg_pad_mode)next(3); break;
    case ISG_OP_SOFTMAX:
    case ISG_OP_CONCAT:
    case ISG_OP_FLATTEN:
    case ISG_OP_GATHER:
    case ISG_OP_SPLIT:
    case ISG_OP_REDUCE_MEAN:
    case ISG_OP_SQUEEZE:
    case ISG_OP_UNSQUEEZE:
    case ISG_OP_TRANSPOSE:
    case ISG_OP_SHAPE:
        a->axes.n = (int32_t)next(ISG_MAX_RANK + 1);
        for (int k = 0; k < ISG_MAX_RANK; k++) a->axes.axes[k] = odd_number();
        a->axes.start = odd_number();
        a->axes.end = odd_number();
        a->axes.has_end = (int32_t)next(2);
        break;
    default: break;
    }
}

static isg_tensor *odd_tensor(int first)
{
    int64_t dims[ISG_MAX_RANK];
    const int32_t rank = (int32_t)(first ? next(6) : next(3));
    const isg_dtype dtype = first ? (next(4) ? ISG_DT_F32 : ISG_DT_I64) : next(2) ? ISG_DT_I64 : ISG_DT_F32;
    isg_tensor *t;
    for (int32_t d = 0; d < rank; d++) dims[d] = next(5);
    t = tensor(dtype, rank, dims);
    if (dtype == ISG_DT_I64)
        for (int64_t i = 0; i < t->count; i++) ((int64_t *)t->data)[i] = odd_number();
    return t;
}

/* Whatever the shapes, attributes and lists: a status, never a crash; where a run succeeds, inference with the lists as
 * constants agrees on the shape. */
static void hostile_nodes_return_a_status(void **unused)
{
    int succeeded = 0;
    (void)unused;
    seed(11);
    for (int round = 0; round < 40000; round++) {
        const isg_op op = (isg_op)next(ISG_OP_COUNT);
        const int32_t count = 1 + (int32_t)next(op == ISG_OP_SLICE || op == ISG_OP_BATCH_NORM ? 5 : 3);
        const int32_t outputs = 1 + (int32_t)(next(4) == 0);
        isg_tensor *in[5] = {NULL}, *out[2] = {NULL};
        isg_graph *g;
        for (int32_t i = 0; i < count; i++) in[i] = i && next(8) == 0 ? NULL : odd_tensor(i == 0 || next(3) == 0);
        g = single(op, in, count, outputs);
        g->opset = 7 + (int64_t)next(16);
        odd_attributes(&g->nodes[0]);
        if (run(g, in, count, out) == ISG_OK && op != ISG_OP_CONSTANT_OF_SHAPE) { /* whose input 0 is its shape */
            isg_error err;
            succeeded++;
            for (int32_t i = 1; i < count; i++) { /* now everything but the first as a constant */
                const int32_t v = g->nodes[0].inputs[i];
                if (v >= 0) assert_int_equal(isg_tensor_clone(&g->values[v].constant, in[i], NULL), ISG_OK);
            }
            g->input_count = 1;
            assert_int_equal(isg_graph_infer(g, &err), ISG_OK);
            for (int32_t i = 0; i < outputs; i++) {
                const isg_value *y = &g->values[g->outputs[i]];
                assert_int_equal(y->rank, out[i]->rank);
                assert_int_equal(y->dtype, out[i]->dtype);
                assert_memory_equal(y->dims, out[i]->dims, (size_t)y->rank * sizeof *y->dims);
            }
            err.message[0] = 1;
            if (isg_graph_prepare(g, &err) != ISG_OK) assert_int_not_equal(err.message[0], 1);
        }
        for (int32_t i = 0; i < 5; i++) isg_tensor_destroy(in[i]);
        isg_tensor_destroy(out[0]);
        isg_tensor_destroy(out[1]);
        isg_graph_destroy(g);
    }
    printf("%d of 40000 succeeded\n", succeeded);
    assert_true(succeeded > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_matches_the_definition),   cmocka_unit_test(ceil_mode_follows_the_rule),
        cmocka_unit_test(column_major_indices),          cmocka_unit_test(softmax_changes_with_opset_13),
        cmocka_unit_test(integers_wrap_and_refuse_zero), cmocka_unit_test(binary16_rounds_once),
        cmocka_unit_test(hostile_nodes_return_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
