/* SPDX-License-Identifier: Apache-2.0 */
/* A teacher's outputs from arbitrary bytes, for 2 views of 3 images in 2 classes; the seal is made right, so that
 * fields are met. */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "train/trainer.h"

#define FUZZ_FLOATS 12u
#define FUZZ_HEADER 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The last bit of the size chooses whether the checksum and the key are mended. */
static void seal(uint8_t *bytes, size_t size, const uint8_t key[32])
{
    if (size < FUZZ_HEADER + 4 || (size & 1u)) return;
    memcpy(bytes, "ISGVIEW\1\4\3\2\1\0\0\0\0", 16);
    memcpy(bytes + 16, key, 32);
    isgi_store_u32(bytes + size - 4, isgi_crc32c(0, bytes, size - 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[32] = {1, 2, 3};
    float views[FUZZ_FLOATS] = {0};
    isgi_net net;
    isgi_trainer t;
    isg_error err = {0};
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    memset(&net, 0, sizeof net);
    memset(&t, 0, sizeof t);
    net.classes = 2;
    t.net = &net;
    t.items = 3;
    t.views = views;
    t.view_count = 2;
    t.o.teacher_cache = "fuzz";
    seal(copy, size, key);
    if (isgi_views_read(&t, key, copy, size, &err) != ISG_OK) {
        if (err.message[0] == 0) abort();
        for (size_t i = 0; i < FUZZ_FLOATS; i++)
            if (views[i] != 0.0f) abort();
    } else if (memcmp(views, copy + FUZZ_HEADER, sizeof views) != 0) {
        abort();
    }
    free(copy);
    return 0;
}
