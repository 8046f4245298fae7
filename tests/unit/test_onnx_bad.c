/* SPDX-License-Identifier: Apache-2.0 */
/* The golden bad files of tests/bad/onnx: exitN-STATUS-what.onnx must be refused with exactly that status. Run with
 * INSITU_WRITE_GOLDEN=1 this program writes them (and the seeds of fuzz/corpus/onnx) anew. */
#include <dirent.h>
#include <insitu/host.h>
#include <insitu/onnx.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onnx_maker.h"

#define BAD INSITU_SOURCE_DIR "/tests/bad/onnx"
#define SEEDS INSITU_SOURCE_DIR "/fuzz/corpus/onnx"
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static maker scratch[8];

static maker *cleared(int i)
{
    scratch[i].size = 0;
    return &scratch[i];
}

static void save(const char *folder, const char *name, const maker *m, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
    assert_int_equal(isg_write_file(path, m->bytes, size, NULL), ISG_OK);
}

/* x -> op -> y with one optional initialiser, as a whole model in scratch[7]. */
static maker *around(maker *node, const maker *initializer)
{
    maker *graph = cleared(6), *model = cleared(7);
    const int64_t dims[4] = {-1, 2, 4, 4};
    mk_sub(graph, 1, node);
    if (initializer) mk_sub(graph, 5, initializer);
    mk_info(graph, 11, "x", dims, 4);
    mk_info(graph, 12, "y", dims, 4);
    mk_model(model, graph, 13);
    return model;
}

static maker *conv_model(int64_t group, size_t raw_bytes, int64_t kernel)
{
    static const float weights[2 * 2 * 9] = {1.0f, 2.0f};
    const int64_t dims[4] = {2, 2, 3, 3}, kernels[2] = {kernel, kernel}, pads[4] = {1, 1, 1, 1};
    maker *node = cleared(0), *w = cleared(1);
    mk_node(node, "Conv", LIST("x", "w"), LIST("y"));
    mk_attr_ints(node, "kernel_shape", kernels, 2);
    mk_attr_ints(node, "pads", pads, 4);
    mk_attr_int(node, "group", group);
    mk_tensor(w, "w", 1, dims, 4, weights, raw_bytes);
    return around(node, w);
}

static maker *external_model(const char *location)
{
    const int64_t dims[1] = {4};
    maker *node = cleared(0), *w = cleared(1);
    mk_node(node, "Add", LIST("x", "w"), LIST("y"));
    mk_tensor(w, "w", 1, dims, 1, NULL, 0);
    mk_external(w, "location", location);
    mk_int(w, 14, 1);
    return around(node, w);
}

static maker *plain(const char *op, const char *input, const char *output)
{
    maker *node = cleared(0);
    mk_node(node, op, (const char *const[]){input, NULL}, (const char *const[]){output, NULL});
    return around(node, NULL);
}

static void write_nested(void)
{
    maker *inner = cleared(2);
    mk_string(inner, 2, "leaf");
    for (int depth = 0; depth < 40; depth++) {
        maker *a = cleared(3), *n = cleared(4), *outer = cleared(5);
        mk_string(a, 1, "body");
        mk_sub(a, 6, inner);
        mk_sub(n, 5, a);
        mk_sub(outer, 1, n);
        inner->size = 0;
        mk_raw(inner, outer->bytes, outer->size);
    }
    mk_model(cleared(7), inner, 13);
    save(BAD, "exit1-limit-nesting", &scratch[7], scratch[7].size);
}

/* Two names with two producers each, two cycles, an operator that is unknown. */
static void write_many(void)
{
    const char *const nodes[][4] = {{"Add", "x", "b", "a"},  {"Add", "a", "b", "b"},   {"Relu", "x", "c", NULL},
                                    {"Foo", "a", "c", NULL}, {"Relu", "c", "y", NULL}, {"Relu", "d", "d", NULL},
                                    {"Relu", "c", "y", NULL}};
    const int64_t dims[4] = {-1, 2, 4, 4};
    maker *graph = cleared(6), *model = cleared(7);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        const char *const *n = nodes[i], *second = n[3] ? n[2] : NULL, *output = n[3] ? n[3] : n[2];
        mk_node(cleared(0), n[0], (const char *const[]){n[1], second, NULL}, (const char *const[]){output, NULL});
        mk_sub(graph, 1, &scratch[0]);
    }
    mk_info(graph, 11, "x", dims, 4);
    mk_info(graph, 12, "y", dims, 4);
    mk_model(model, graph, 17);
    save(BAD, "exit4-format-names-and-cycles", model, model->size);
}

static void write_newer(void)
{
    const int64_t dims[4] = {-1, 2, 4, 4};
    maker *node = cleared(0), *graph = cleared(6), *model = cleared(7);
    mk_node(node, "Cast", LIST("x"), LIST("y"));
    mk_attr_int(node, "to", 1);
    mk_attr_string(node, "round_mode", "down");
    mk_sub(graph, 1, node);
    mk_info(graph, 11, "x", dims, 4);
    mk_info(graph, 12, "y", dims, 4);
    mk_model_of(model, graph, 28, 14);
    save(SEEDS, "newer", model, model->size);
    mk_attr_int(node, "colour", 1);
    graph->size = model->size = 0;
    mk_sub(graph, 1, node);
    mk_info(graph, 11, "x", dims, 4);
    mk_info(graph, 12, "y", dims, 4);
    mk_model_of(model, graph, 28, 14);
    save(SEEDS, "newer-attribute", model, model->size);
}

/* One seed for each group of operators with attributes of their own. */
static void write_seeds(void)
{
    const int64_t ones[2] = {1, 1}, pads[8] = {0, 0, 1, 1, 0, 0, 1, 1}, perm[4] = {0, 2, 3, 1}, axes[2] = {2, 3};
    const char *const pools[2] = {"MaxPool", "AveragePool"};
    maker *n, *m;
    for (int i = 0; i < 2; i++) {
        n = cleared(0);
        mk_node(n, pools[i], LIST("x"), LIST("y"));
        mk_attr_ints(n, "kernel_shape", ones, 2);
        mk_attr_ints(n, "strides", ones, 2);
        mk_attr_string(n, "auto_pad", "SAME_UPPER");
        mk_attr_int(n, "ceil_mode", 1);
        m = around(n, NULL);
        save(SEEDS, pools[i], m, m->size);
    }
    n = cleared(0);
    mk_node(n, "Transpose", LIST("x"), LIST("y"));
    mk_attr_ints(n, "perm", perm, 4);
    m = around(n, NULL);
    save(SEEDS, "transpose", m, m->size);
    n = cleared(0);
    mk_node(n, "ReduceMean", LIST("x"), LIST("y"));
    mk_attr_ints(n, "axes", axes, 2);
    mk_attr_int(n, "keepdims", 0);
    m = around(n, NULL);
    save(SEEDS, "reduce-mean", m, m->size);
    n = cleared(0);
    mk_node(n, "Pad", LIST("x", "w"), LIST("y"));
    mk_attr_string(n, "mode", "edge");
    mk_tensor(cleared(1), "w", 7, (const int64_t[]){8}, 1, pads, sizeof pads);
    m = around(n, &scratch[1]);
    save(SEEDS, "pad", m, m->size);
    n = cleared(0);
    mk_node(n, "Gemm", LIST("x", "w"), LIST("y"));
    mk_attr_float(n, "alpha", 0.5f);
    mk_attr_int(n, "transB", 1);
    mk_tensor(cleared(1), "w", 1, (const int64_t[]){4, 4}, 2, pads, sizeof pads);
    m = around(n, &scratch[1]);
    save(SEEDS, "gemm", m, m->size);
    save(SEEDS, "tensor", &scratch[1], scratch[1].size);
    m = external_model("w.data");
    save(SEEDS, "external", m, m->size);
}

static void write_golden(void)
{
    const int64_t huge[3] = {INT64_C(1) << 31, INT64_C(1) << 31, 16}, minus[1] = {-4};
    maker *m = conv_model(1, 144, 3), *t;
    save(SEEDS, "conv", m, m->size);
    save(BAD, "exit4-format-truncated", m, m->size / 2);
    save(BAD, "exit4-format-empty", m, 0);
    m->bytes[0] = 0;
    save(BAD, "exit4-format-field-zero", m, m->size);
    m = conv_model(0, 144, 3);
    save(BAD, "exit4-format-group-zero", m, m->size);
    m = conv_model(3, 144, 3);
    save(BAD, "exit4-format-group-not-divisor", m, m->size);
    m = conv_model(1, 140, 3);
    save(BAD, "exit4-format-raw-data-short", m, m->size);
    m = conv_model(1, 144, 5);
    save(BAD, "exit4-format-kernel-not-weight", m, m->size);
    m = external_model("../../../../etc/passwd");
    save(BAD, "exit4-format-external-dotdot", m, m->size);
    m = external_model("/etc/passwd");
    save(BAD, "exit4-format-external-absolute", m, m->size);
    m = external_model("missing.data");
    save(BAD, "exit1-io-external-missing", m, m->size);
    m = plain("Relu", "x", "x");
    save(BAD, "exit4-format-name-twice", m, m->size);
    m = plain("Relu", "y", "y");
    save(BAD, "exit4-format-cycle", m, m->size);
    m = plain("Relu", "nowhere", "y");
    save(BAD, "exit4-format-undefined-input", m, m->size);
    m = plain("If", "x", "y");
    save(BAD, "exit3-unsupported-if", m, m->size);
    m = plain("Erf", "x", "y");
    save(BAD, "exit3-unsupported-operator", m, m->size);
    m = plain("Softmax", "x", "y");
    save(SEEDS, "softmax", m, m->size);
    t = cleared(1);
    mk_tensor(t, "w", 1, huge, 3, "", 0);
    mk_node(cleared(0), "Add", LIST("x", "w"), LIST("y"));
    m = around(&scratch[0], t);
    save(BAD, "exit4-format-dims-overflow", m, m->size);
    t = cleared(1);
    mk_tensor(t, "w", 1, minus, 1, "", 0);
    m = around(&scratch[0], t);
    save(BAD, "exit4-format-dims-negative", m, m->size);
    write_nested();
    write_many();
    write_newer();
    write_seeds();
}

static isg_status expected_status(const char *file)
{
    const char *name = file + strlen("exitN-");
    assert_int_equal(strncmp(file, "exit", 4), 0);
    if (!strncmp(name, "format-", 7)) return ISG_E_FORMAT;
    if (!strncmp(name, "unsupported-", 12)) return ISG_E_UNSUPPORTED;
    if (!strncmp(name, "limit-", 6)) return ISG_E_LIMIT;
    if (!strncmp(name, "io-", 3)) return ISG_E_IO;
    fail_msg("%s: the name does not say a status", file);
    return ISG_OK;
}

static void test_bad_files(void **state)
{
    DIR *dir = opendir(BAD);
    struct dirent *entry;
    int count = 0;
    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[1024];
        isg_graph *g = NULL;
        isg_error err = {0};
        isg_status status;
        if (!strstr(entry->d_name, ".onnx")) continue;
        snprintf(path, sizeof path, "%s/%s", BAD, entry->d_name);
        status = isg_onnx_import_file(&g, path, NULL, NULL, &err);
        if (status != expected_status(entry->d_name))
            fail_msg("%s: status %d: %s", entry->d_name, (int)status, err.message);
        assert_true(err.message[0] != 0);
        assert_null(g);
        count++;
    }
    closedir(dir);
    assert_true(count >= 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_files)};
    if (getenv("INSITU_WRITE_GOLDEN")) write_golden();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
