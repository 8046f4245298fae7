/* SPDX-License-Identifier: Apache-2.0 */
/* Dense and factored exports compute what the graph computes, and are the same bytes every time. */
#include <insitu/host.h>
#include <insitu/onnx.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t seed_state = 20260101;

static float noise(void)
{
    seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed_state >> 40) / (double)(1 << 24)) * 2.0f - 1.0f;
}

static isg_tensor *random_tensor(int32_t rank, const int64_t *dims)
{
    isg_tensor *t = NULL;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_F32, rank, dims, NULL), ISG_OK);
    for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = noise();
    return t;
}

static int32_t constant(isg_graph *g, const char *name, int32_t rank, const int64_t *dims)
{
    return isg_graph_add_constant(g, name, random_tensor(rank, dims));
}

/* A weight value with random factors. bits 3 in every one. */
static int32_t factored(isg_graph *g, const char *name, int32_t rank, const int64_t *dims, isg_levels levels,
                        int depthwise)
{
    const int32_t index = isg_graph_add_value(g, name, ISG_DT_F32, rank, dims);
    uint32_t taps = 1;
    isg_factors *f = NULL;
    isg_factor *parts[3];
    for (int32_t i = 2; i < rank; i++) taps *= (uint32_t)dims[i];
    assert_int_equal(isg_factors_create(&f, taps, depthwise ? (uint32_t)dims[0] : (uint32_t)dims[1],
                                        depthwise ? 1 : (uint32_t)dims[0], levels, depthwise, NULL),
                     ISG_OK);
    parts[0] = &f->basis;
    parts[1] = &f->u;
    parts[2] = &f->v;
    for (int p = 0; p < 3; p++) {
        for (size_t i = 0; i < (size_t)parts[p]->rows * parts[p]->cols; i++) parts[p]->master[i] = noise();
        if (!parts[p]->rows) continue;
        parts[p]->quant = (isg_quant_spec){4, ISG_QUANT_PAPER, 0, 32};
    }
    g->values[index].factors = f;
    return index;
}

static int32_t chain_node(isg_graph *g, isg_op op, const char *name, int32_t x, int32_t w, int32_t b)
{
    const int32_t inputs[3] = {x, w, b};
    char output[64];
    int32_t y;
    snprintf(output, sizeof output, "%s_y", name);
    y = isg_graph_add_value(g, output, ISG_DT_F32, -1, NULL);
    assert_true(isg_graph_add_node(g, op, name, inputs, b >= 0 ? 3 : 2, &y, 1) >= 0);
    return y;
}

static int32_t conv(isg_graph *g, const char *name, int32_t x, int32_t w, int32_t b, int64_t groups, int64_t stride)
{
    const int32_t y = chain_node(g, ISG_OP_CONV, name, x, w, b);
    isg_conv_attr *c = &g->nodes[g->node_count - 1].attr.conv;
    c->n = 2;
    c->groups = groups;
    for (int i = 0; i < 2; i++) {
        c->kernel[i] = g->values[w].dims[2 + i];
        c->stride[i] = stride;
        c->pads[i] = c->pads[2 + i] = c->kernel[i] / 2;
    }
    return y;
}

/* Every kind of factored layer, one after another. */
static isg_graph *every_kind(void)
{
    const int64_t x_dims[4] = {2, 6, 9, 7}, pool[4] = {0};
    isg_graph *g = NULL;
    int32_t x, y;
    (void)pool;
    assert_int_equal(isg_graph_create(&g, NULL), ISG_OK);
    x = isg_graph_add_value(g, "x", ISG_DT_F32, 4, x_dims);
    assert_int_equal(isg_graph_add_input(g, x, NULL), ISG_OK);
    y = conv(g, "both", x, factored(g, "w1", 4, (int64_t[]){8, 6, 3, 3}, (isg_levels){2, 4, 1, 1}, 0),
             constant(g, "b1", 1, (int64_t[]){8}), 1, 2);
    y = conv(g, "first", y, factored(g, "w2", 4, (int64_t[]){6, 8, 3, 3}, (isg_levels){2, 6, 1, 0}, 0),
             constant(g, "b2", 1, (int64_t[]){6}), 1, 1);
    y = conv(g, "first1", y, factored(g, "w3", 4, (int64_t[]){5, 6, 3, 1}, (isg_levels){1, 5, 1, 0}, 0), -1, 1, 1);
    y = conv(g, "second", y, factored(g, "w4", 4, (int64_t[]){8, 5, 3, 3}, (isg_levels){0, 3, 0, 1}, 0), -1, 1, 1);
    y = conv(g, "point", y, factored(g, "w5", 4, (int64_t[]){8, 8, 1, 1}, (isg_levels){2, 3, 1, 1}, 0),
             constant(g, "b5", 1, (int64_t[]){8}), 1, 1);
    y = conv(g, "depthwise", y, factored(g, "w6", 4, (int64_t[]){8, 1, 3, 3}, (isg_levels){2, 1, 1, 0}, 1),
             constant(g, "b6", 1, (int64_t[]){8}), 8, 1);
    y = conv(g, "grouped", y, factored(g, "w7", 4, (int64_t[]){8, 4, 3, 3}, (isg_levels){0, 3, 0, 1}, 0), -1, 2, 1);
    y = conv(g, "quantised", y, factored(g, "w8", 4, (int64_t[]){6, 8, 3, 3}, (isg_levels){0, 0, 0, 0}, 0), -1, 1, 1);
    x = isg_graph_add_value(g, "flat", ISG_DT_F32, -1, NULL);
    assert_true(isg_graph_add_node(g, ISG_OP_FLATTEN, "flatten", &y, 1, &x, 1) >= 0);
    y = chain_node(g, ISG_OP_GEMM, "fc", x,
                   factored(g, "w9", 2, (int64_t[]){10, 6 * 5 * 4}, (isg_levels){0, 4, 0, 1}, 0),
                   constant(g, "b9", 1, (int64_t[]){10}));
    g->nodes[g->node_count - 1].attr.gemm.trans_b = 1;
    assert_int_equal(isg_graph_add_output(g, y, NULL), ISG_OK);
    return g;
}

static void run(const isg_graph *g, const isg_tensor *x, isg_tensor **y)
{
    isg_error err = {0};
    if (isg_interp_run(g, &x, y, &err) != ISG_OK) fail_msg("%s", err.message);
}

static void compare(const isg_tensor *a, const isg_tensor *b, double tolerance)
{
    double largest = 0.0, worst = 0.0;
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        const double p = ((const float *)a->data)[i], q = ((const float *)b->data)[i];
        if (fabs(p) > largest) largest = fabs(p);
        if (!(fabs(p - q) <= worst)) worst = fabs(p - q);
    }
    if (!(worst <= tolerance * largest)) fail_msg("off by %g of %g", worst, largest);
}

static isg_graph *reimport(const isg_graph *g, isg_onnx_form form, char *path)
{
    isg_graph *again = NULL;
    isg_error err = {0};
    if (isg_onnx_export_file(g, path, form, &err) != ISG_OK) fail_msg("export: %s", err.message);
    if (isg_onnx_import_file(&again, path, NULL, NULL, &err) != ISG_OK) fail_msg("import: %s", err.message);
    return again;
}

static void temporary(char path[64])
{
    int fd;
    snprintf(path, 64, "/tmp/isg-onnx-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void test_forms_agree(void **state)
{
    isg_graph *g = every_kind(), *dense, *chains;
    isg_tensor *x = random_tensor(4, (int64_t[]){2, 6, 9, 7}), *y[3] = {0};
    char path[64];
    (void)state;
    temporary(path);
    dense = reimport(g, ISG_ONNX_DENSE, path);
    assert_int_equal(dense->node_count, g->node_count);
    chains = reimport(g, ISG_ONNX_FACTORED, path);
    assert_true(chains->node_count > g->node_count);
    run(g, x, &y[0]);
    run(dense, x, &y[1]);
    run(chains, x, &y[2]);
    compare(y[0], y[1], 1e-6);
    compare(y[0], y[2], 1e-5);
    for (int i = 0; i < 3; i++) isg_tensor_destroy(y[i]);
    isg_tensor_destroy(x);
    isg_graph_destroy(dense);
    isg_graph_destroy(chains);
    isg_graph_destroy(g);
    unlink(path);
}

static void test_bytes_are_deterministic(void **state)
{
    isg_graph *g = every_kind();
    isg_file a = {0}, b = {0};
    char first[64], second[64];
    (void)state;
    temporary(first);
    temporary(second);
    for (int form = 0; form < 2; form++) {
        assert_int_equal(isg_onnx_export_file(g, first, (isg_onnx_form)form, NULL), ISG_OK);
        assert_int_equal(isg_onnx_export_file(g, second, (isg_onnx_form)form, NULL), ISG_OK);
        assert_int_equal(isg_file_open(&a, first, NULL), ISG_OK);
        assert_int_equal(isg_file_open(&b, second, NULL), ISG_OK);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        isg_file_close(&a);
        isg_file_close(&b);
    }
    isg_graph_destroy(g);
    unlink(first);
    unlink(second);
}

static void test_refusals(void **state)
{
    const int64_t dims[2] = {2, 3};
    isg_graph *g = NULL;
    isg_error err = {0};
    int32_t x, y;
    char path[64];
    (void)state;
    temporary(path);
    unlink(path);
    assert_int_equal(isg_graph_create(&g, NULL), ISG_OK);
    x = isg_graph_add_value(g, "x", ISG_DT_F32, 2, dims);
    y = isg_graph_add_value(g, "y", ISG_DT_I64, -1, NULL);
    assert_int_equal(isg_graph_add_input(g, x, NULL), ISG_OK);
    assert_true(isg_graph_add_node(g, ISG_OP_SHAPE, "part", &x, 1, &y, 1) >= 0);
    g->nodes[0].attr.axes.start = 1;
    assert_int_equal(isg_graph_add_output(g, y, NULL), ISG_OK);
    assert_int_equal(isg_onnx_export_file(g, path, ISG_ONNX_DENSE, &err), ISG_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "part"));
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(isg_onnx_export_file(g, path, (isg_onnx_form)7, &err), ISG_E_ARG);
    isg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms_agree),
                                       cmocka_unit_test(test_bytes_are_deterministic), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
