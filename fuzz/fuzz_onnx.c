/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of the ONNX importer, of what `check` does behind its problems, and of the TensorProto reader: no crash,
 * no hang, bounded memory, valid graphs. */
#include <insitu/onnx.h>
#include <insitu/pack.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_warning(void *user, const char *message)
{
    (void)user;
    if (!message[0] || strchr(message, '\n')) abort();
}

/* Nothing is right that the importer refuses, and what is wrong is said. */
static void check(const uint8_t *data, size_t size, const isg_onnx_options *options, int imported)
{
    isg_file file = {data, size, NULL};
    isg_onnx_problems problems = {0};
    isg_error err = {0};
    const isg_status status = isg_model_check(&file, "/nowhere/model.onnx", options, &problems, &err);
    if (status == ISG_OK ? !imported || problems.count : err.message[0] == 0) abort();
    isg_onnx_problems_clear(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int imported;
    const isg_onnx_options options = {
        .struct_size = sizeof options, .max_bytes = UINT64_C(1) << 28, .warning = take_warning};
    isg_onnx_problems problems = {0};
    isg_error err = {0};
    isg_graph *g = NULL;
    isg_tensor *t = NULL;
    imported = isg_onnx_import_memory(&g, data, size, NULL, &options, &problems, &err) == ISG_OK;
    if (imported) {
        if (isg_graph_validate(g, &err) != ISG_OK) abort();
        isg_graph_destroy(g);
    } else if (g || err.message[0] == 0) {
        abort();
    }
    isg_onnx_problems_clear(&problems);
    check(data, size, &options, imported);
    if (isg_onnx_tensor_from_memory(&t, data, size, &err) == ISG_OK) isg_tensor_destroy(t);
    return 0;
}
