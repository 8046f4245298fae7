/* SPDX-License-Identifier: Apache-2.0 */
/* IDX files, plain and gzip, from arbitrary bytes. */
#include <stdlib.h>

#include "data/dataset_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    isgi_idx_view view;
    uint8_t *owned = NULL;
    uint64_t i, sum = 0;
    isg_error err;
    if (isgi_idx_parse(&view, &owned, data, size, "fuzz", &err) != ISG_OK) {
        if (owned) abort();
        return 0;
    }
    for (i = 0; i < view.count; i++) sum += view.data[i];
    if (sum > view.count * 255) abort();
    isg_free(owned);
    return 0;
}
