/* SPDX-License-Identifier: Apache-2.0 */
/* The committed images through the runtime alone, wherever it runs: the golden pair of each file holds, and the plain C
 * kernels give the bits that an x86 machine gave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/format.h>
#include <insitu/rt.h>

#include "cpu/cpu.h"
#include "isg_builder.h"

typedef struct image_case {
    const char *path;
    uint32_t digest; /* of the outputs of batches 1 and 3 in every way of execution */
} image_case;

static const image_case images[] = {
    {"models/fashion-2x4.isg", 0xcf6058dbu},   {"models/fashion-4x8.isg", 0x4e4fd2d0u},
    {"models/fashion-8x16.isg", 0x3aaf0947u},  {"models/fashion-search.isg", 0x52247cedu},
    {"fuzz/corpus/view/net.isg", 0x9b3426d9u},
};

static uint8_t *read_image(const char *name, size_t *size)
{
    char path[4096];
    FILE *f;
    uint8_t *data;
    long end;
    snprintf(path, sizeof path, "%s/%s", INSITU_SOURCE_DIR, name);
    f = fopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    end = ftell(f);
    assert_true(end > 0 && fseek(f, 0, SEEK_SET) == 0);
    *size = (size_t)end;
    data = aligned_alloc(ISG_RT_ALIGNMENT, (*size + 63) & ~(size_t)63);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

static size_t elements(const isg_rt_io *io, uint32_t batch)
{
    size_t n = 1;
    for (uint32_t d = 0; d < io->rank; d++) n *= io->dims[d] ? io->dims[d] : batch;
    return n;
}

/* One run on the numbers of isg_golden_next(); the single output is malloc'd, `count` numbers of it. */
static float *run_image(const isg_rt_model *model, uint32_t batch, uint32_t isa, uint32_t strategy, uint64_t seed,
                        size_t *count)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx;
    isg_rt_io in, out;
    isg_error err = {0};
    void *workspace;
    float *x, *y;
    const float *inputs[1];
    options.batch = batch;
    options.isa_mask = isa;
    options.strategy = strategy;
    assert_int_equal(isg_rt_input_count(model), 1);
    assert_int_equal(isg_rt_output_count(model), 1);
    assert_int_equal(isg_rt_input(model, 0, &in), ISG_OK);
    assert_int_equal(isg_rt_output(model, 0, &out), ISG_OK);
    x = malloc(elements(&in, batch) * sizeof *x);
    y = malloc(elements(&out, batch) * sizeof *y);
    assert_int_equal(isg_rt_plan(model, &options, &memory, &err), ISG_OK);
    workspace = aligned_alloc(ISG_RT_ALIGNMENT, (size_t)memory.workspace_bytes);
    assert_true(x && y && workspace);
    for (size_t i = 0; i < elements(&in, batch); i++) x[i] = isg_golden_next(&seed);
    inputs[0] = x;
    assert_int_equal(isg_rt_context_init(&ctx, workspace, (size_t)memory.workspace_bytes, model, &options, &err), 0);
    assert_int_equal(isg_rt_run(ctx, inputs, &y, &err), ISG_OK);
    *count = elements(&out, batch);
    free(workspace);
    free(x);
    return y;
}

/* What the file says of itself (docs/format.md, section 5), with the plain C kernels and with the best there are. */
static void check_golden(const char *name, const isg_rt_model *model)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_ALL};
    size_t length, count;
    const uint8_t *golden = isg_rt_section(model, ISG_SECTION_GOLDEN, &length);
    if (!golden) return;
    for (size_t k = 0; k < 2; k++) {
        const float tolerance = isgi_load_f32(golden + 8);
        float *y = run_image(model, 1, isas[k], ISG_STRATEGY_AUTO, isgi_load_u64(golden), &count), largest = 1.0f;
        assert_int_equal(isgi_load_u32(golden + 12), count);
        assert_int_equal(length, 16 + 4 * count);
        for (size_t i = 0; i < count; i++) {
            const float want = isgi_load_f32(golden + 16 + 4 * i);
            largest = want > largest ? want : -want > largest ? -want : largest;
        }
        for (size_t i = 0; i < count; i++) {
            const float difference = y[i] - isgi_load_f32(golden + 16 + 4 * i);
            if (!(difference <= tolerance * largest && -difference <= tolerance * largest))
                fail_msg("%s: golden output %zu differs by %g", name, i, (double)difference);
        }
        free(y);
    }
}

static void test_images(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof images / sizeof images[0]; k++) {
        size_t size, count;
        uint32_t digest = 0;
        isg_rt_model model;
        isg_error err = {0};
        uint8_t *image = read_image(images[k].path, &size);
        if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s: %s", images[k].path, err.message);
        check_golden(images[k].path, &model);
        for (uint32_t way = 0; way <= ISG_STRATEGY_FACTORED; way++) {
            for (uint32_t batch = 1; batch <= 3; batch += 2) {
                float *y = run_image(&model, batch, ISG_ISA_SCALAR, way, 1, &count);
                digest = digest_floats(digest, y, count);
                free(y);
            }
        }
        if (digest != images[k].digest) fail_msg("%s: digest of the outputs is 0x%08xu", images[k].path, digest);
        free(image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_images)};
    printf("isa=%s\n", isgi_cpu_isa_name(isgi_cpu_isa()));
    return cmocka_run_group_tests_name("rt images", tests, NULL, NULL);
}
