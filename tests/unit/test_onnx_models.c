/* SPDX-License-Identifier: Apache-2.0 */
/* The real networks of ../shared/models import without a problem. */
#include <dirent.h>
#include <insitu/onnx.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODELS INSITU_SOURCE_DIR "/../shared/models"

static void test_models_import(void **state)
{
    DIR *dir = opendir(MODELS);
    struct dirent *entry;
    int count = 0;
    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[1024];
        isg_graph *g = NULL;
        isg_onnx_problems problems = {0};
        isg_error err = {0};
        if (!strstr(entry->d_name, ".onnx")) continue;
        snprintf(path, sizeof path, "%s/%s", MODELS, entry->d_name);
        if (isg_onnx_import_file(&g, path, NULL, &problems, &err) != ISG_OK) fail_msg("%s: %s", path, err.message);
        assert_int_equal(problems.count, 0);
        assert_int_equal(g->input_count, 1);
        assert_int_equal(g->output_count, 1);
        assert_true(g->node_count > 10);
        isg_onnx_problems_clear(&problems);
        isg_graph_destroy(g);
        count++;
    }
    closedir(dir);
    assert_true(count >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models_import)};
    const char *ci = getenv("CI");
    DIR *dir = opendir(MODELS);
    if (dir)
        closedir(dir);
    else if (!ci || strcmp(ci, "true") != 0)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
