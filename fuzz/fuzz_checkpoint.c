/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints from arbitrary bytes, of a made-up run with 7 parameters; the seal is made right, so that fields are met.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "seal.h"
#include "train/trainer.h"

#define FUZZ_PARAMS 7u
#define FUZZ_RUNNING 3u
#define FUZZ_HEADER 176u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_untouched(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0.0f) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    float params[FUZZ_PARAMS] = {0}, running[FUZZ_RUNNING] = {0}, m[FUZZ_PARAMS] = {0}, v[FUZZ_PARAMS] = {0};
    float best[FUZZ_PARAMS + FUZZ_RUNNING] = {0};
    isgi_net net;
    isgi_optim optim;
    isgi_trainer t;
    isg_error err = {0};
    uint8_t *copy;
    memset(&net, 0, sizeof net);
    memset(&optim, 0, sizeof optim);
    memset(&t, 0, sizeof t);
    net.params = params;
    net.param_floats = FUZZ_PARAMS;
    net.running = running;
    net.running_floats = FUZZ_RUNNING;
    optim.m = m;
    optim.v = v;
    t.net = &net;
    t.optim = &optim;
    t.best = best;
    t.o.checkpoint = "fuzz";
    copy = fuzz_sealed(data, size, "ISGCKPT\1", t.config, FUZZ_HEADER);
    if (!copy) return 0;
    if (isgi_checkpoint_read(&t, copy, size, &err) != ISG_OK) {
        if (err.message[0] == 0 || t.at.step || optim.step) abort();
        must_be_untouched(params, FUZZ_PARAMS);
        must_be_untouched(best, FUZZ_PARAMS + FUZZ_RUNNING);
    } else if (!isfinite(t.at.seconds) || t.at.epoch > UINT32_MAX) {
        abort();
    }
    free(copy);
    return 0;
}
