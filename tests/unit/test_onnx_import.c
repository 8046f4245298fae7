/* SPDX-License-Identifier: Apache-2.0 */
/* The importer on handcrafted models: every form an attribute can take, every problem listed, hostile bytes refused. */
#include <insitu/onnx.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "onnx_maker.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define INTS(...) ((const int64_t[]){__VA_ARGS__}), sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)

static maker *fresh(void)
{
    maker *m = calloc(1, sizeof *m);
    assert_non_null(m);
    return m;
}

/* x [N,4,6,6] -> the node -> y, with whatever else `graph` already holds. */
static maker *one_node_model(const maker *node, maker *graph, int64_t opset)
{
    maker *model = fresh();
    mk_sub(graph, 1, node);
    mk_info(graph, 11, "x", INTS(-1, 4, 6, 6));
    mk_info(graph, 12, "y", INTS(-2));
    mk_model(model, graph, opset);
    return model;
}

static isg_status import(isg_graph **g, const maker *m, isg_onnx_problems *problems, isg_error *err)
{
    /* an exact-size copy, so that sanitizers see one byte too many */
    uint8_t *copy = malloc(m->size ? m->size : 1);
    isg_status status;
    memcpy(copy, m->bytes, m->size);
    status = isg_onnx_import_memory(g, copy, m->size, NULL, NULL, problems, err);
    free(copy);
    return status;
}

static isg_graph *must_import(maker *model)
{
    isg_graph *g = NULL;
    isg_error err = {0};
    isg_onnx_problems problems = {0};
    if (import(&g, model, &problems, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(problems.count, 0);
    free(model);
    return g;
}

static isg_graph *must_import_node(const maker *node, int64_t opset)
{
    maker *graph = fresh();
    isg_graph *g = must_import(one_node_model(node, graph, opset));
    free(graph);
    return g;
}

static void must_refuse(maker *model, isg_status expected, const char *word)
{
    isg_graph *g = NULL;
    isg_error err = {0};
    isg_onnx_problems problems = {0};
    const isg_status status = import(&g, model, &problems, &err);
    if (status != expected) fail_msg("status %d, not %d: %s", (int)status, (int)expected, err.message);
    assert_null(g);
    if (!strstr(err.message, word)) fail_msg("'%s' is not in '%s'", word, err.message);
    isg_onnx_problems_clear(&problems);
    free(model);
}

static void must_refuse_node(const maker *node, int64_t opset, isg_status expected, const char *word)
{
    maker *graph = fresh();
    must_refuse(one_node_model(node, graph, opset), expected, word);
    free(graph);
}

static maker *node_of(const char *op, const char *const *inputs)
{
    maker *n = fresh();
    mk_node(n, op, inputs, LIST("y"));
    return n;
}

static void test_clip_forms(void **state)
{
    maker *n = node_of("Clip", LIST("x"));
    isg_graph *g;
    (void)state;
    mk_attr_float(n, "min", 0.0f);
    mk_attr_float(n, "max", 6.0f);
    g = must_import_node(n, 7);
    assert_int_equal(g->node_count, 1);
    assert_true(g->nodes[0].attr.scalar.lo == 0.0f && g->nodes[0].attr.scalar.hi == 6.0f);
    assert_int_equal(g->values[g->inputs[0]].dims[0], ISG_DIM_BATCH);
    isg_graph_destroy(g);
    must_refuse_node(n, 11, ISG_E_FORMAT, "does not exist in opset");
    must_refuse_node(n, 5, ISG_E_UNSUPPORTED, "opset 5 (7 to 27 are read)");
    free(n);
    n = node_of("Clip", LIST("x"));
    g = must_import_node(n, 13);
    assert_true(isinf(g->nodes[0].attr.scalar.lo) && isinf(g->nodes[0].attr.scalar.hi));
    isg_graph_destroy(g);
    free(n);
}

static void test_attributes_become_inputs(void **state)
{
    maker *n = node_of("Slice", LIST("x"));
    isg_graph *g;
    const isg_tensor *t;
    (void)state;
    mk_attr_ints(n, "starts", INTS(1));
    mk_attr_ints(n, "ends", INTS(-1));
    mk_attr_ints(n, "axes", INTS(2));
    g = must_import_node(n, 9);
    assert_int_equal(g->nodes[0].input_count, 4);
    t = g->values[g->nodes[0].inputs[2]].constant;
    assert_non_null(t);
    assert_int_equal(((const int64_t *)t->data)[0], -1);
    isg_graph_destroy(g);
    must_refuse_node(n, 10, ISG_E_FORMAT, "opset 10");
    free(n);

    n = node_of("Pad", LIST("x"));
    mk_attr_ints(n, "pads", INTS(0, 0, 1, 1, 0, 0, 2, 2));
    mk_attr_float(n, "value", 3.0f);
    mk_attr_string(n, "mode", "constant");
    g = must_import_node(n, 10);
    assert_int_equal(g->nodes[0].input_count, 3);
    assert_true(*(const float *)g->values[g->nodes[0].inputs[2]].constant->data == 3.0f);
    isg_graph_destroy(g);
    free(n);

    n = node_of("ReduceMean", LIST("x"));
    mk_attr_ints(n, "axes", INTS(2, -1));
    mk_attr_int(n, "keepdims", 0);
    g = must_import_node(n, 13);
    assert_int_equal(g->nodes[0].attr.axes.n, 2);
    assert_int_equal(g->nodes[0].attr.axes.axes[1], -1);
    assert_int_equal(g->nodes[0].attr.axes.keepdims, 0);
    isg_graph_destroy(g);
    must_refuse_node(n, 18, ISG_E_FORMAT, "opset 18");
    free(n);
}

static void test_softmax_by_opset(void **state)
{
    maker *n = node_of("Softmax", LIST("x")), *graph;
    isg_graph *g = must_import_node(n, 13);
    (void)state;
    assert_int_equal(g->node_count, 1);
    assert_int_equal(g->nodes[0].attr.axes.axes[0], -1);
    isg_graph_destroy(g);
    /* opset 11: flattened at axis 1, so four nodes */
    g = must_import_node(n, 11);
    assert_int_equal(g->node_count, 4);
    isg_graph_destroy(g);
    mk_attr_int(n, "axis", 3);
    g = must_import_node(n, 11);
    assert_int_equal(g->node_count, 1);
    assert_int_equal(g->nodes[0].attr.axes.axes[0], -1);
    isg_graph_destroy(g);
    free(n);
    /* behind an operator whose rank follows from two inputs */
    graph = fresh();
    n = fresh();
    mk_node(n, "Mul", LIST("x", "x"), LIST("m"));
    mk_sub(graph, 1, n);
    free(n);
    n = node_of("Softmax", LIST("m"));
    mk_attr_int(n, "axis", 3);
    g = must_import(one_node_model(n, graph, 11));
    assert_int_equal(g->node_count, 2);
    assert_int_equal(g->nodes[1].attr.axes.axes[0], -1);
    isg_graph_destroy(g);
    free(n);
    free(graph);
}

static void test_constant_forms(void **state)
{
    maker *n = node_of("Constant", (const char *const[]){NULL}), *graph;
    isg_graph *g;
    (void)state;
    mk_attr_int(n, "value_int", 42);
    g = must_import_node(n, 13);
    assert_int_equal(g->node_count, 0);
    assert_int_equal(*(const int64_t *)g->values[g->outputs[0]].constant->data, 42);
    assert_int_equal(g->values[g->outputs[0]].rank, 0);
    isg_graph_destroy(g);
    must_refuse_node(n, 11, ISG_E_FORMAT, "opset 11");
    free(n);
    /* an initialiser that is also listed as an input is not one (IR 3) */
    n = node_of("Add", LIST("x", "b"));
    graph = fresh();
    {
        maker *t = fresh();
        const float one = 1.0f;
        mk_tensor(t, "b", 1, INTS(1), &one, 4);
        mk_sub(graph, 5, t);
        mk_info(graph, 11, "b", INTS(1));
        free(t);
    }
    g = must_import(one_node_model(n, graph, 8));
    assert_int_equal(g->input_count, 1);
    isg_graph_destroy(g);
    free(n);
    free(graph);
}

static void test_conv_problems(void **state)
{
    static const float zeros[4 * 4 * 9];
    const struct {
        int64_t w[4];
        const char *attr;
        int64_t values[4];
        size_t count;
        const char *word;
    } cases[] = {{{4, 4, 3, 3}, "kernel_shape", {3, 2}, 2, "kernel_shape"},
                 {{4, 3, 3, 3}, NULL, {0}, 0, "input channels"},
                 {{4, 4, 3, 3}, "pads", {1, 1, 1}, 3, "odd"},
                 {{4, 4, 3, 3}, "pads", {1, 1}, 2, "do not agree"},
                 {{4, 4, 3, 3}, "strides", {0, 1}, 2, "strides"},
                 {{4, 4, 3, 3}, "dilations", {1, 1, 1}, 3, "do not agree"},
                 {{0, 4, 3, 3}, NULL, {0}, 0, "zero"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        maker *n = node_of("Conv", LIST("x", "w")), *graph = fresh(), *t = fresh();
        const size_t count = (size_t)(cases[i].w[0] * cases[i].w[1] * 9);
        mk_tensor(t, "w", 1, cases[i].w, 4, zeros, count * 4);
        mk_sub(graph, 5, t);
        if (cases[i].attr) mk_attr_ints(n, cases[i].attr, cases[i].values, cases[i].count);
        must_refuse(one_node_model(n, graph, 13), !strcmp(cases[i].word, "strides") ? ISG_E_UNSUPPORTED : ISG_E_FORMAT,
                    cases[i].word);
        free(n);
        free(graph);
        free(t);
    }
}

static void test_all_problems_are_listed(void **state)
{
    maker *graph = fresh(), *model = fresh(), *n;
    isg_onnx_problems problems = {0};
    isg_error err = {0};
    isg_graph *g = NULL;
    (void)state;
    n = fresh();
    mk_node(n, "Erf", LIST("x"), LIST("a"));
    mk_string(n, 3, "first\n");
    mk_sub(graph, 1, n);
    free(n);
    n = fresh();
    mk_node(n, "If", LIST("a"), LIST("b"));
    mk_sub(graph, 1, n);
    free(n);
    n = fresh();
    mk_node(n, "Relu", LIST("b"), LIST("y"));
    mk_string(n, 7, "com.example");
    mk_sub(graph, 1, n);
    free(n);
    mk_info(graph, 11, "x", INTS(1, 4));
    mk_info(graph, 12, "y", INTS(1, 4));
    mk_model(model, graph, 6);
    assert_int_equal(import(&g, model, &problems, &err), ISG_E_UNSUPPORTED);
    assert_int_equal(problems.count, 4);
    assert_string_equal(problems.items[0].reason, "opset 6 (7 to 27 are read)");
    assert_int_equal(problems.items[1].node_index, 0);
    assert_string_equal(problems.items[1].op, "Erf");
    assert_string_equal(problems.items[1].node, "first\\x0a");
    assert_string_equal(problems.items[2].op, "If");
    assert_true(problems.items[2].hint[0] != 0);
    assert_non_null(strstr(problems.items[3].reason, "com.example"));
    assert_non_null(strstr(err.message, "4 problems"));
    isg_onnx_problems_clear(&problems);
    free(graph);
    free(model);
}

/* ---- opsets and IR versions ---- */

static void take_warning(void *user, const char *message)
{
    char *all = user;
    snprintf(all + strlen(all), 512 - strlen(all), "%s;", message);
}

/* Imports Relu of that opset and IR version; `all` gets the warnings. */
static void import_versions(int64_t opset, int64_t ir, char all[512])
{
    maker *n = node_of("Relu", LIST("x")), *graph = fresh(), *model = fresh();
    const isg_onnx_options options = {.struct_size = sizeof options, .warning = take_warning, .user = all};
    isg_graph *g = NULL;
    isg_error err = {0};
    mk_sub(graph, 1, n);
    mk_info(graph, 11, "x", INTS(-1, 4));
    mk_info(graph, 12, "y", INTS(-1, 4));
    mk_model_of(model, graph, opset, ir);
    all[0] = 0;
    if (isg_onnx_import_memory(&g, model->bytes, model->size, NULL, &options, NULL, &err) != ISG_OK)
        fail_msg("opset %d: %s", (int)opset, err.message);
    assert_int_equal(g->opset, opset);
    isg_graph_destroy(g);
    free(n);
    free(graph);
    free(model);
}

static void test_versions(void **state)
{
    char all[512];
    (void)state;
    for (int64_t opset = 7; opset <= 27; opset++) {
        import_versions(opset, 13, all);
        assert_string_equal(all, "");
    }
    import_versions(28, 13, all);
    assert_non_null(strstr(all, "opset 28 is newer than 27, "));
    assert_null(strstr(all, "IR version"));
    import_versions(INT64_MAX, 14, all);
    assert_non_null(strstr(all, "opset 9223372036854775807 is newer than 27, "));
    assert_non_null(strstr(all, "IR version 14 is newer than 13, "));
}

/* What exists from some opset on is refused before; what a newer opset may have changed is not called wrong. */
static void test_what_opsets_added(void **state)
{
    maker *n = node_of("Cast", LIST("x"));
    (void)state;
    mk_attr_int(n, "to", 10);
    mk_attr_string(n, "round_mode", "nearest");
    must_refuse_node(n, 23, ISG_E_FORMAT, "'round_mode' does not exist in opset 23");
    isg_graph_destroy(must_import_node(n, 24));
    isg_graph_destroy(must_import_node(n, 28));
    isg_graph_destroy(must_import_node(n, 1000));
    free(n);
    n = node_of("Cast", LIST("x"));
    mk_attr_int(n, "to", 10);
    mk_attr_string(n, "round_mode", "sideways");
    must_refuse_node(n, 27, ISG_E_FORMAT, "'round_mode' has an unknown value");
    must_refuse_node(n, 28, ISG_E_UNSUPPORTED, "'round_mode' has an unknown value");
    free(n);
    for (int64_t to = 17; to <= 27; to++) {
        const char *const names[] = {"float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",  "int4",
                                     "float4e2m1",   "float8e8m0",     "uint2",      "int2",           "unknown"};
        n = node_of("Cast", LIST("x"));
        mk_attr_int(n, "to", to);
        must_refuse_node(n, 25, ISG_E_UNSUPPORTED, names[to - 17]);
        free(n);
    }
    n = node_of("Clip", LIST("x"));
    mk_attr_float(n, "min", 0.0f);
    must_refuse_node(n, 27, ISG_E_FORMAT, "'min' does not exist in opset 27");
    must_refuse_node(n, 28, ISG_E_UNSUPPORTED, "'min' does not exist in opset 28");
    free(n);
    n = node_of("Pad", LIST("x", "x"));
    mk_attr_string(n, "mode", "wrap");
    must_refuse_node(n, 19, ISG_E_UNSUPPORTED, "padding mode wrap");
    free(n);
    n = node_of("Pad", LIST("x", "x", "", "x"));
    must_refuse_node(n, 17, ISG_E_FORMAT, "before opset 18");
    isg_graph_destroy(must_import_node(n, 18));
    free(n);
    n = node_of("Dropout", LIST("x", "x"));
    must_refuse_node(n, 11, ISG_E_FORMAT, "before opset 12");
    isg_graph_destroy(must_import_node(n, 12));
    free(n);
}

/* ---- names and cycles ---- */

static void put_node(maker *graph, const char *op, const char *name, const char *const *inputs,
                     const char *const *outputs)
{
    maker *n = fresh();
    mk_node(n, op, inputs, outputs);
    mk_string(n, 3, name);
    mk_sub(graph, 1, n);
    free(n);
}

/* Imports x -> whatever the graph holds -> y and compares the reasons of all problems, which are none of a node's. */
static void must_list(maker *graph, const char *const *reasons)
{
    maker *model = fresh();
    isg_onnx_problems problems = {0};
    isg_error err = {0};
    isg_graph *g = NULL;
    int32_t i;
    mk_info(graph, 11, "x", INTS(1, 4));
    mk_info(graph, 12, "y", INTS(1, 4));
    mk_model(model, graph, 17);
    assert_int_equal(import(&g, model, &problems, &err), ISG_E_FORMAT);
    assert_null(g);
    for (i = 0; i < problems.count && reasons[i]; i++) {
        assert_string_equal(problems.items[i].reason, reasons[i]);
        assert_int_equal(problems.items[i].node_index, -1);
    }
    assert_null(reasons[i]);
    assert_int_equal(problems.count, i);
    isg_onnx_problems_clear(&problems);
    free(model);
    free(graph);
}

static void put_scalar(maker *graph, const char *name)
{
    const float one = 1.0f;
    maker *t = fresh();
    mk_tensor(t, name, 1, INTS(1), &one, 4);
    mk_sub(graph, 5, t);
    free(t);
}

static void test_repeated_names(void **state)
{
    maker *graph = fresh();
    (void)state;
    put_scalar(graph, "w");
    put_scalar(graph, "w");
    put_scalar(graph, "i");
    put_scalar(graph, "");
    mk_info(graph, 11, "i", INTS(1));
    mk_info(graph, 11, "i", INTS(1));
    put_node(graph, "Add", "n0", LIST("x", "w"), LIST("a"));
    put_node(graph, "Add", "n1", LIST("x", "i"), LIST("a"));
    put_node(graph, "Relu", "n2", LIST("a"), LIST("a"));
    put_node(graph, "Relu", "n3", LIST("a"), LIST("x"));
    put_node(graph, "Split", "n4", LIST("a"), LIST("s", "s"));
    put_node(graph, "Relu", "n5", LIST("s"), LIST("y"));
    must_list(graph, LIST("initialiser 3 has no name", "name 'a' is declared 3 times, first by node 0 and node 1",
                          "name 'i' is declared 3 times, first by a graph input and a graph input",
                          "name 's' is declared twice, by node 4 and node 4",
                          "name 'w' is declared twice, by an initialiser and an initialiser",
                          "name 'x' is declared twice, by a graph input and node 3"));
}

static void test_cycles(void **state)
{
    maker *graph = fresh();
    (void)state;
    put_node(graph, "Add", "one", LIST("x", "b"), LIST("a"));
    put_node(graph, "Relu", "", LIST("a"), LIST("b"));
    put_node(graph, "Sum", "self", LIST("c", "b", "c"), LIST("c"));
    put_node(graph, "Add", "n3", LIST("c", "n6"), LIST("n3"));
    put_node(graph, "Relu", "n4", LIST("n3"), LIST("n4"));
    put_node(graph, "Relu", "n5", LIST("n4"), LIST("n5"));
    put_node(graph, "Add", "n6", LIST("n5", "n4"), LIST("n6"));
    put_node(graph, "Relu", "n7", LIST("n6"), LIST("y"));
    must_list(graph, LIST("cycle of 2 nodes: 'one' -> 'b' -> 'one'", "cycle: node 'self' takes its own result",
                          "cycle of 4 nodes: 'n3' -> 'n4' -> 'n5' -> 1 more -> 'n3'"));
    /* one that closes through two values is one */
    graph = fresh();
    put_node(graph, "Split", "parts", LIST("s"), LIST("p", "q"));
    put_node(graph, "Add", "sum", LIST("p", "q"), LIST("s"));
    put_node(graph, "Relu", "z", LIST("s"), LIST("y"));
    must_list(graph, LIST("cycle of 2 nodes: 'parts' -> 'sum' -> 'parts'"));
    /* all that one node closes, and no more than fit into a line */
    graph = fresh();
    put_node(graph, "Sum", "first", LIST("x", "e", "f", "x"), LIST("a"));
    put_node(graph, "Relu", "b", LIST("a"), LIST("b"));
    put_node(graph, "Relu", "c", LIST("b"), LIST("c"));
    put_node(graph, "Relu", "d", LIST("c"), LIST("d"));
    put_node(graph, "Relu", "e", LIST("d"), LIST("e"));
    put_node(graph, "Relu", "f", LIST("a"), LIST("f"));
    put_node(graph, "Relu", "z", LIST("e"), LIST("y"));
    must_list(graph, LIST("cycle of 5 nodes: 'first' -> 'b' -> 'c' -> 2 more -> 'first'",
                          "cycle of 2 nodes: 'first' -> 'f' -> 'first'"));
}

static void test_wrong_graphs(void **state)
{
    maker *n = node_of("Relu", LIST("nowhere")), *graph = fresh(), *other;
    (void)state;
    must_refuse_node(n, 13, ISG_E_FORMAT, "'nowhere' is not defined");
    free(n);
    n = node_of("Relu", LIST("y"));
    must_refuse_node(n, 13, ISG_E_FORMAT, "cycle");
    free(n);
    n = node_of("Relu", LIST("x"));
    mk_sub(graph, 1, n);
    must_refuse(one_node_model(n, graph, 13), ISG_E_FORMAT, "declared twice");
    mk_attr_int(n, "colour", 1);
    must_refuse_node(n, 13, ISG_E_UNSUPPORTED, "colour");
    free(n);
    free(graph);
    /* a subgraph nested deeper than the limit, in an attribute of an attribute of ... */
    graph = fresh();
    mk_string(graph, 2, "leaf");
    for (int depth = 0; depth < 40; depth++) {
        maker *a = fresh();
        other = fresh();
        n = fresh();
        mk_string(a, 1, "body");
        mk_sub(a, 6, graph);
        mk_sub(n, 5, a);
        mk_sub(other, 1, n);
        free(graph);
        free(a);
        free(n);
        graph = other;
    }
    other = fresh();
    mk_model(other, graph, 13);
    free(graph);
    must_refuse(other, ISG_E_LIMIT, "nested deeper");
}

static void test_tensor_lengths(void **state)
{
    const float four[4] = {1, 2, 3, 4};
    const struct {
        int64_t dims[2];
        size_t bytes;
        isg_status status;
    } cases[] = {{{2, 2}, 16, ISG_OK},
                 {{2, 2}, 15, ISG_E_FORMAT},
                 {{2, 3}, 16, ISG_E_FORMAT},
                 {{-1, 2}, 16, ISG_E_FORMAT},
                 {{INT64_C(1) << 33, INT64_C(1) << 33}, 16, ISG_E_FORMAT},
                 {{INT64_C(1) << 61, 2}, 0, ISG_E_FORMAT},
                 {{0, INT64_MAX}, 0, ISG_OK}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        maker *t = fresh();
        isg_tensor *out = NULL;
        mk_tensor(t, "t", 1, cases[i].dims, 2, four, cases[i].bytes);
        assert_int_equal(isg_onnx_tensor_from_memory(&out, t->bytes, t->size, NULL), cases[i].status);
        isg_tensor_destroy(out);
        free(t);
    }
}

/* ---- external data ---- */

static char folder[64];

static maker *external_model(const char *location, const char *offset, const char *length)
{
    maker *n = node_of("Add", LIST("x", "w")), *graph = fresh(), *t = fresh(), *model;
    mk_tensor(t, "w", 1, INTS(4), NULL, 0);
    mk_external(t, "location", location);
    if (offset) mk_external(t, "offset", offset);
    if (length) mk_external(t, "length", length);
    mk_int(t, 14, 1);
    mk_sub(graph, 5, t);
    model = one_node_model(n, graph, 13);
    free(n);
    free(graph);
    free(t);
    return model;
}

static isg_status import_external(const char *location, const char *offset, const char *length)
{
    maker *model = external_model(location, offset, length);
    isg_graph *g = NULL;
    isg_error err = {0};
    const isg_status status = isg_onnx_import_memory(&g, model->bytes, model->size, folder, NULL, NULL, &err);
    if (status == ISG_OK) {
        const isg_tensor *w = g->values[isg_graph_find_value(g, "w")].constant;
        assert_non_null(w);
        assert_true(((const float *)w->data)[3] == 7.0f);
    }
    isg_graph_destroy(g);
    free(model);
    return status;
}

static void put(const char *name, const void *data, size_t bytes)
{
    char path[256];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

static void test_external_data(void **state)
{
    const float data[6] = {1, 2, 4, 5, 6, 7};
    char from[256], to[256];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/isg-external-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(to, sizeof to, "%s/sub", folder);
    assert_int_equal(mkdir(to, 0700), 0);
    put("w.data", data, sizeof data);
    put("sub/w.data", data, sizeof data);
    put("two.data", data, sizeof data);
    snprintf(from, sizeof from, "%s/two.data", folder);
    snprintf(to, sizeof to, "%s/hard.data", folder);
    assert_int_equal(link(from, to), 0);
    snprintf(to, sizeof to, "%s/soft.data", folder);
    assert_int_equal(symlink("w.data", to), 0);
    snprintf(to, sizeof to, "%s/softdir", folder);
    assert_int_equal(symlink("sub", to), 0);
    snprintf(to, sizeof to, "%s/pipe", folder);
    assert_int_equal(mkfifo(to, 0600), 0);

    assert_int_equal(import_external("w.data", "8", "16"), ISG_OK);
    assert_int_equal(import_external("sub/w.data", "8", NULL), ISG_OK);
    assert_int_equal(import_external("./w.data", "8", NULL), ISG_OK);
    assert_int_equal(import_external("w.data", "12", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("w.data", "8", "12"), ISG_E_FORMAT);
    assert_int_equal(import_external("w.data", "8", "1000000000000"), ISG_E_FORMAT);
    assert_int_equal(import_external("w.data", "18446744073709551608", "16"), ISG_E_FORMAT);
    assert_int_equal(import_external("w.data", "-8", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("w.data", "8x", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("missing.data", "0", NULL), ISG_E_IO);
    assert_int_equal(import_external("/etc/passwd", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("../w.data", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("sub/../w.data", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("sub//w.data", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("sub\\w.data", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("soft.data", "8", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("softdir/w.data", "8", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("hard.data", "8", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("sub", "0", NULL), ISG_E_FORMAT);
    assert_int_equal(import_external("pipe", "0", NULL), ISG_E_FORMAT);
    must_refuse(external_model("w.data", "8", NULL), ISG_E_UNSUPPORTED, "external data");
    snprintf(from, sizeof from, "rm -r %s", folder);
    assert_int_equal(system(from), 0);
}

/* ---- damage ---- */

static maker *small_model(void)
{
    static const float weights[4 * 4 * 9 + 4] = {0.5f, -1.0f};
    maker *graph = fresh(), *conv = fresh(), *clip = fresh(), *w = fresh(), *b = fresh(), *model;
    mk_node(conv, "Conv", LIST("x", "w", "b"), LIST("c"));
    mk_attr_ints(conv, "pads", INTS(1, 1, 1, 1));
    mk_attr_int(conv, "group", 1);
    mk_sub(graph, 1, conv);
    mk_tensor(w, "w", 1, INTS(4, 4, 3, 3), weights, 4 * 4 * 9 * 4);
    mk_tensor(b, "b", 1, INTS(4), weights, 16);
    mk_sub(graph, 5, w);
    mk_sub(graph, 5, b);
    mk_node(clip, "Clip", LIST("c"), LIST("y"));
    model = one_node_model(clip, graph, 13);
    free(graph);
    free(conv);
    free(clip);
    free(w);
    free(b);
    return model;
}

static void test_truncation_and_flips(void **state)
{
    maker *model = small_model();
    const size_t whole = model->size;
    isg_graph *g = NULL;
    size_t accepted = 0;
    (void)state;
    assert_int_equal(import(&g, model, NULL, NULL), ISG_OK);
    isg_graph_destroy(g);
    for (size_t n = 0; n < whole; n++) {
        g = NULL;
        model->size = n;
        assert_int_not_equal(import(&g, model, NULL, NULL), ISG_OK);
        assert_null(g);
    }
    model->size = whole;
    for (size_t i = 0; i < whole; i++) {
        for (int bit = 0; bit < 8; bit++) {
            isg_onnx_problems problems = {0};
            isg_error err = {0};
            isg_status status;
            g = NULL;
            model->bytes[i] ^= (uint8_t)(1u << bit);
            status = import(&g, model, &problems, &err);
            model->bytes[i] ^= (uint8_t)(1u << bit);
            if (status == ISG_OK)
                accepted++;
            else
                assert_true(err.message[0] != 0 && err.status == status);
            if (status == ISG_OK) assert_int_equal(isg_graph_validate(g, NULL), ISG_OK);
            isg_graph_destroy(g);
            isg_onnx_problems_clear(&problems);
        }
    }
    assert_true(accepted > 0 && accepted < whole * 8);
    free(model);
}

static void test_shape_and_memory_options(void **state)
{
    maker *model = small_model();
    isg_onnx_options options = {.struct_size = sizeof options, .shape = "x=2x4x6x6"};
    isg_graph *g = NULL;
    (void)state;
    assert_int_equal(isg_onnx_import_memory(&g, model->bytes, model->size, NULL, &options, NULL, NULL), ISG_OK);
    assert_int_equal(g->values[g->inputs[0]].dims[0], 2);
    isg_graph_destroy(g);
    g = NULL;
    for (int i = 0; i < 5; i++) {
        options.shape = ((const char *const[]){"x=2x4x6", "x=2x5x6x6", "q=1", "x=", "x=1x4x6x99999999999999999999"})[i];
        assert_int_equal(isg_onnx_import_memory(&g, model->bytes, model->size, NULL, &options, NULL, NULL), ISG_E_ARG);
    }
    options.shape = NULL;
    options.max_bytes = 100;
    assert_int_equal(isg_onnx_import_memory(&g, model->bytes, model->size, NULL, &options, NULL, NULL), ISG_E_LIMIT);
    options.max_bytes = 64 * 1024 + 100;
    assert_int_equal(isg_onnx_import_memory(&g, model->bytes, model->size, NULL, &options, NULL, NULL), ISG_E_LIMIT);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip_forms),
        cmocka_unit_test(test_attributes_become_inputs),
        cmocka_unit_test(test_softmax_by_opset),
        cmocka_unit_test(test_constant_forms),
        cmocka_unit_test(test_conv_problems),
        cmocka_unit_test(test_all_problems_are_listed),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_what_opsets_added),
        cmocka_unit_test(test_repeated_names),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_wrong_graphs),
        cmocka_unit_test(test_tensor_lengths),
        cmocka_unit_test(test_external_data),
        cmocka_unit_test(test_truncation_and_flips),
        cmocka_unit_test(test_shape_and_memory_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
