/* SPDX-License-Identifier: Apache-2.0 */
/* A teacher's outputs from arbitrary bytes, for 2 views of 3 images in 2 classes; the seal is made right, so that
 * fields are met. */
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "train/trainer.h"

#define FUZZ_FLOATS 12u
#define FUZZ_HEADER 56u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[32] = {1, 2, 3};
    float views[FUZZ_FLOATS] = {0};
    isgi_net net;
    isgi_trainer t;
    isg_error err = {0};
    uint8_t *copy = fuzz_sealed(data, size, "ISGVIEW\1", key, FUZZ_HEADER);
    if (!copy) return 0;
    memset(&net, 0, sizeof net);
    memset(&t, 0, sizeof t);
    net.classes = 2;
    t.net = &net;
    t.items = 3;
    t.views = views;
    t.view_count = 2;
    t.o.teacher_cache = "fuzz";
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
