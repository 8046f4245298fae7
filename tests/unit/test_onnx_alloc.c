/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of an import, a check and an export fails once: an error value each time, nothing leaked or written.
 */
#include <insitu/pack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/alloc.h"
#include "onnx_maker.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static maker parts[9], model;

/* Conv, Pad of opset 10 and Softmax with its old meaning: nodes whose import adds constants and nodes. `wrong` 1 adds
 * an unknown operator, 2 also a name that is there already and a cycle. */
static void make_model(int wrong)
{
    static const float weights[2 * 2 * 9] = {1.0f};
    const int64_t dims[4] = {2, 2, 3, 3}, x[4] = {-1, 2, 5, 5}, pads[8] = {0, 0, 1, 1, 0, 0, 1, 1};
    maker *graph = &parts[4];
    memset(parts, 0, sizeof parts);
    memset(&model, 0, sizeof model);
    mk_node(&parts[0], "Pad", LIST("x"), LIST("p"));
    mk_attr_ints(&parts[0], "pads", pads, 8);
    mk_node(&parts[1], "Conv", LIST("p", "w"), LIST("c"));
    mk_node(&parts[2], "Softmax", LIST("c"), LIST("y"));
    mk_tensor(&parts[3], "w", 1, dims, 4, weights, sizeof weights);
    for (int i = 0; i < 3; i++) mk_sub(graph, 1, &parts[i]);
    mk_node(&parts[5], "Foo", LIST("y"), LIST("z"));
    if (wrong) mk_sub(graph, 1, &parts[5]);
    mk_node(&parts[6], "Relu", LIST("x"), LIST("c"));
    mk_node(&parts[7], "Relu", LIST("u"), LIST("v"));
    mk_node(&parts[8], "Relu", LIST("v"), LIST("u"));
    for (int i = 6; i < 9 && wrong > 1; i++) mk_sub(graph, 1, &parts[i]);
    mk_sub(graph, 5, &parts[3]);
    mk_info(graph, 11, "x", x, 4);
    mk_info(graph, 12, "y", x, 4);
    mk_model(&model, graph, 10);
}

static void test_import_survives(void **state)
{
    uint64_t n = 0;
    isg_status status;
    (void)state;
    make_model(0);
    do {
        isg_graph *g = NULL;
        isg_onnx_problems problems = {0};
        isg_error err = {0};
        isgi_alloc_fail_at(++n);
        status = isg_onnx_import_memory(&g, model.bytes, model.size, NULL, NULL, &problems, &err);
        isgi_alloc_fail_at(0);
        if (status != ISG_OK) {
            if (status != ISG_E_NOMEM) fail_msg("allocation %d: status %d: %s", (int)n, (int)status, err.message);
            assert_null(g);
        }
        isg_graph_destroy(g);
        isg_onnx_problems_clear(&problems);
    } while (status != ISG_OK && n < 1000);
    assert_int_equal(status, ISG_OK);
    assert_true(n > 20);
}

static void test_export_survives(void **state)
{
    char path[] = "/tmp/isg-alloc-XXXXXX";
    const int fd = mkstemp(path);
    isg_graph *g = NULL;
    uint64_t n = 0;
    isg_status status;
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    make_model(0);
    assert_int_equal(isg_onnx_import_memory(&g, model.bytes, model.size, NULL, NULL, NULL, NULL), ISG_OK);
    do {
        isg_error err = {0};
        isgi_alloc_fail_at(++n);
        status = isg_onnx_export_file(g, path, ISG_ONNX_DENSE, &err);
        isgi_alloc_fail_at(0);
        if (status == ISG_OK) break;
        assert_int_equal(status, ISG_E_NOMEM);
        assert_int_not_equal(access(path, F_OK), 0);
    } while (n < 1000);
    assert_int_equal(status, ISG_OK);
    isg_graph_destroy(g);
    unlink(path);
}

static void test_check_survives(void **state)
{
    char path[] = "/tmp/isg-alloc-XXXXXX";
    const int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (int wrong = 0; wrong < 3; wrong++) {
        uint64_t n = 0;
        isg_status status;
        int32_t found;
        make_model(wrong);
        assert_int_equal(isg_write_file(path, model.bytes, model.size, NULL), ISG_OK);
        do {
            isg_onnx_problems problems = {0};
            isg_file file;
            isg_error err = {0};
            assert_int_equal(isg_file_open(&file, path, NULL), ISG_OK);
            isgi_alloc_fail_at(++n);
            status = isg_model_check(&file, path, NULL, &problems, &err);
            isgi_alloc_fail_at(0);
            found = problems.count;
            isg_onnx_problems_clear(&problems);
        } while (status == ISG_E_NOMEM && n < 2000);
        assert_int_equal(status, ((const isg_status[]){ISG_OK, ISG_E_UNSUPPORTED, ISG_E_FORMAT})[wrong]);
        assert_int_equal(found, wrong + wrong / 2);
        assert_true(n > 40);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_import_survives), cmocka_unit_test(test_check_survives),
                                       cmocka_unit_test(test_export_survives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
