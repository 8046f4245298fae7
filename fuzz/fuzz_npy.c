/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays from arbitrary bytes: what parses must read fully and label by label. */
#include <stdlib.h>

#include "data/dataset_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    isgi_npy_view view;
    isg_error err;
    uint64_t i;
    float value;
    int32_t label;
    if (isgi_npy_parse(&view, data, size, "fuzz", &err) != ISG_OK) return 0;
    for (i = 0; i < view.count; i++) {
        isgi_npy_floats(&value, &view, i, 1);
        if (isgi_npy_label(&label, &view, i, "fuzz", &err) == ISG_OK && (label < 0 || label > ISGI_DATA_MAX_LABEL))
            abort();
    }
    return 0;
}
