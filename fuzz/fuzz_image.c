/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG and PNG from arbitrary bytes, decoded under a cap and put through a contract with resize and crop. */
#include <stdlib.h>

#include "data/dataset_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float out[3 * 7 * 7];
    isg_input_spec spec = {.resize = 9, .crop = 7, .channels = 3};
    uint8_t *pixels = NULL;
    uint32_t width = 0, height = 0, w, h;
    uint64_t sum = 0, i;
    isg_error err;
    if (size) isgi_image_probe(data, size, &w, &h);
    if (isg_image_decode(data, size, 1u << 16, &pixels, &width, &height, &err) != ISG_OK) return 0;
    if ((uint64_t)width * height > 1u << 16) abort();
    for (i = 0; i < (uint64_t)width * height * 3; i++) sum += pixels[i];
    if (sum > (uint64_t)width * height * 3 * 255) abort();
    /* Very long strips would make the resized image large, not wrong. */
    if (width < 64 * height && height < 64 * width &&
        isgi_contract_pixels(out, pixels, 3, height, width, &spec, "fuzz", &err) == ISG_OK && !(out[0] >= 0.0f))
        abort();
    isg_free(pixels);
    return 0;
}
