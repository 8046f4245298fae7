/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: cut at every byte and with every bit flipped they are refused and change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "train/trainer.h"

#define PARAMS 7u
#define SEED_FILE INSITU_SOURCE_DIR "/fuzz/corpus/checkpoint/run"

typedef struct run {
    isgi_net net;
    isgi_optim optim;
    isgi_trainer t;
    float params[PARAMS], m[PARAMS], v[PARAMS], running[3], best[PARAMS + 3];
} run;

static void run_init(run *r)
{
    memset(r, 0, sizeof *r);
    r->net.params = r->params;
    r->net.param_floats = PARAMS;
    r->net.running = r->running;
    r->net.running_floats = 3;
    r->optim.m = r->m;
    r->optim.v = r->v;
    r->t.net = &r->net;
    r->t.optim = &r->optim;
    r->t.best = r->best;
    r->t.o.checkpoint = "test.ckpt";
}

static size_t read_seed(uint8_t bytes[1024])
{
    FILE *f = fopen(SEED_FILE, "rb");
    size_t n;
    assert_non_null(f);
    n = fread(bytes, 1, 1024, f);
    fclose(f);
    return n;
}

static void refused(const uint8_t *bytes, size_t n, const char *what, size_t at)
{
    uint8_t *exact = malloc(n ? n : 1);
    isg_error err = {0};
    run r;
    run_init(&r);
    assert_non_null(exact);
    if (n) memcpy(exact, bytes, n);
    if (isgi_checkpoint_read(&r.t, exact, n, &err) == ISG_OK) fail_msg("%s at %zu was accepted", what, at);
    if (err.message[0] == 0 || r.t.at.step || r.params[1] != 0.0f) fail_msg("%s at %zu left a trace", what, at);
    free(exact);
}

static void test_whole(void **state)
{
    uint8_t bytes[1024];
    const size_t n = read_seed(bytes);
    isg_error err = {0};
    run r;
    (void)state;
    run_init(&r);
    if (isgi_checkpoint_read(&r.t, bytes, n, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(r.t.at.step, 12);
    assert_true(r.params[1] == 0.125f);
}

static void test_damage(void **state)
{
    uint8_t bytes[1024];
    const size_t n = read_seed(bytes);
    (void)state;
    for (size_t i = 0; i < n; i++) refused(bytes, i, "a cut", i);
    for (size_t i = 0; i < n * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << (i & 7u));
        refused(bytes, n, "a flip", i);
        bytes[i / 8] ^= (uint8_t)(1u << (i & 7u));
    }
}

/* Positions that no run can reach, behind a right checksum. */
static void test_positions(void **state)
{
    static const struct {
        size_t field;
        uint64_t value;
    } wrong[] = {{1, UINT64_C(1) << 32},   {2, 13}, {4, 0x7ff8000000000000u},  {4, 0xbff0000000000000u},
                 {5, 0x7ff0000000000000u}, {7, 31}, {10, 0x4000000000000000u}, {11, 13}};
    uint8_t bytes[1024];
    const size_t n = read_seed(bytes);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t *field = bytes + 48 + 8 * wrong[i].field;
        const uint64_t keep = isgi_load_u64(field);
        isgi_store_u64(field, wrong[i].value);
        isgi_store_u32(bytes + n - 4, isgi_crc32c(0, bytes, n - 4));
        refused(bytes, n, "a position", i);
        isgi_store_u64(field, keep);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
