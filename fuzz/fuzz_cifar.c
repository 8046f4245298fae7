/* SPDX-License-Identifier: Apache-2.0 */
/* CIFAR records from arbitrary bytes; the first byte chooses CIFAR-10 or CIFAR-100. */
#include <stdlib.h>

#include "data/dataset_impl.h"

#define FUZZ_RECORDS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pixels[FUZZ_RECORDS * 3072];
    int32_t labels[FUZZ_RECORDS];
    uint32_t label_bytes, classes;
    uint64_t records = 0, i;
    isg_error err;
    if (size == 0) return 0;
    label_bytes = data[0] & 1 ? 2 : 1;
    classes = data[0] & 1 ? 100 : 10;
    if (isgi_cifar_check(&records, data + 1, size - 1, label_bytes, classes, "fuzz", &err) != ISG_OK) return 0;
    if (records > FUZZ_RECORDS) return 0;
    isgi_cifar_convert(pixels, labels, data + 1, records, label_bytes);
    for (i = 0; i < records; i++)
        if (labels[i] < 0 || (uint32_t)labels[i] >= classes) abort();
    return 0;
}
