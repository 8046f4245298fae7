/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX's own node tests, imported, exported and imported again, still give the same bits. */
#include <dirent.h>
#include <insitu/host.h>
#include <insitu/onnx.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NODES "/usr/share/libonnx-testdata/data/node"
#define MAX_IO 16

static char exported[] = "/tmp/isg-roundtrip-XXXXXX";

/* Number of inputs read, or -1 when one is not a tensor we know. */
static int read_inputs(const char *name, isg_tensor **inputs, int count)
{
    for (int i = 0; i < count; i++) {
        char path[1024];
        isg_file file = {0};
        isg_status status;
        snprintf(path, sizeof path, "%s/%s/test_data_set_0/input_%d.pb", NODES, name, i);
        if (isg_file_open(&file, path, NULL) != ISG_OK) return -1;
        status = isg_onnx_tensor_from_memory(&inputs[i], file.data, file.size, NULL);
        isg_file_close(&file);
        if (status != ISG_OK) return -1;
    }
    return count;
}

static void compare_outputs(const char *name, isg_tensor **a, isg_tensor **b, int count)
{
    for (int i = 0; i < count; i++) {
        const size_t bytes = (size_t)a[i]->count * isg_dtype_size(a[i]->dtype);
        if (a[i]->dtype != b[i]->dtype || a[i]->rank != b[i]->rank || a[i]->count != b[i]->count ||
            memcmp(a[i]->dims, b[i]->dims, (size_t)a[i]->rank * sizeof *a[i]->dims) != 0)
            fail_msg("%s: output %d has another type or shape", name, i);
        /* HardSwish is two operators in opset 13, so its last bit may differ */
        if (bytes && memcmp(a[i]->data, b[i]->data, bytes) != 0 && strncmp(name, "test_hardswish", 14) != 0)
            fail_msg("%s: output %d has other numbers", name, i);
    }
}

/* 1 when the case could be taken all the way. */
static int round_trip(const char *name)
{
    char path[1024];
    isg_graph *g = NULL, *again = NULL;
    isg_tensor *inputs[MAX_IO] = {0}, *before[MAX_IO] = {0}, *after[MAX_IO] = {0};
    isg_error err = {0};
    isg_status status;
    int done = 0;
    snprintf(path, sizeof path, "%s/%s/model.onnx", NODES, name);
    if (isg_onnx_import_file(&g, path, NULL, NULL, &err) != ISG_OK) return 0;
    if (g->input_count > MAX_IO || g->output_count > MAX_IO || read_inputs(name, inputs, g->input_count) < 0) goto done;
    if (isg_interp_run(g, (const isg_tensor *const *)inputs, before, &err) != ISG_OK) goto done;
    status = isg_onnx_export_file(g, exported, ISG_ONNX_DENSE, &err);
    if (status == ISG_E_UNSUPPORTED) goto done; /* newer than opset 13 */
    if (status != ISG_OK) fail_msg("%s: export: %s", name, err.message);
    if (isg_onnx_import_file(&again, exported, NULL, NULL, &err) != ISG_OK)
        fail_msg("%s: import: %s", name, err.message);
    if (isg_interp_run(again, (const isg_tensor *const *)inputs, after, &err) != ISG_OK)
        fail_msg("%s: run: %s", name, err.message);
    compare_outputs(name, before, after, g->output_count);
    done = 1;
done:
    for (int i = 0; i < MAX_IO; i++) {
        isg_tensor_destroy(inputs[i]);
        isg_tensor_destroy(before[i]);
        isg_tensor_destroy(after[i]);
    }
    isg_graph_destroy(g);
    isg_graph_destroy(again);
    return done;
}

static void test_node_tests(void **state)
{
    DIR *dir = opendir(NODES);
    struct dirent *entry;
    int count = 0;
    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (!strncmp(entry->d_name, "test_", 5)) count += round_trip(entry->d_name);
    closedir(dir);
    unlink(exported);
    printf("%d node tests exported and read back\n", count);
    assert_true(count >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_node_tests)};
    DIR *dir = opendir(NODES);
    int fd;
    if (!dir) {
        printf("libonnx-testdata is not installed\n");
        return 77;
    }
    closedir(dir);
    fd = mkstemp(exported);
    if (fd < 0) return 1;
    close(fd);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
