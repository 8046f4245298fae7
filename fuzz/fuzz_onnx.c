/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of the ONNX importer and of the TensorProto reader: no crash, no hang, bounded memory, valid graphs. */
#include <insitu/onnx.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const isg_onnx_options options = {.struct_size = sizeof options, .max_bytes = UINT64_C(1) << 28};
    isg_onnx_problems problems = {0};
    isg_error err = {0};
    isg_graph *g = NULL;
    isg_tensor *t = NULL;
    if (isg_onnx_import_memory(&g, data, size, NULL, &options, &problems, &err) == ISG_OK) {
        if (isg_graph_validate(g, &err) != ISG_OK) abort();
        isg_graph_destroy(g);
    } else if (g || err.message[0] == 0) {
        abort();
    }
    isg_onnx_problems_clear(&problems);
    if (isg_onnx_tensor_from_memory(&t, data, size, &err) == ISG_OK) isg_tensor_destroy(t);
    return 0;
}
