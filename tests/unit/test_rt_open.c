/* SPDX-License-Identifier: Apache-2.0 */
/* Opening images: every truncation and every flip is refused, wrong structure behind right checksums is refused, and
 * the memory planner keeps live blocks apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>

#include "isg_builder.h"
#include "rt/exec.h"
#include "rt/plan_memory.h"
#include "rt_layer.h"

static builder shared;

/* conv (factored) -> relu max pool -> reshape -> fc -> softmax, a constant added on the way. */
static uint8_t *build_net(size_t *size)
{
    builder *b = &shared;
    const uint32_t x[4] = {0, 3, 8, 8}, y[4] = {0, 6, 8, 8}, p[4] = {0, 6, 4, 4}, r[2] = {0, 96}, f[2] = {0, 5};
    const uint32_t c[4] = {1, 6, 1, 1};
    uint32_t conv, fc, bias, constant;
    reset_builder(b, 3);
    add_input(b, 4, x);
    conv = add_weight(b, 3, 9, 3, 6, 2, 4, ISG_QUANT_MIDTREAD, 3, ISG_SCALE_COLUMN_F16);
    fc = add_weight(b, 2, 1, 96, 5, 0, 3, ISG_QUANT_PAPER, 5, ISG_SCALE_ONE_F32);
    bias = add_weight(b, 0, 1, 1, 5, 0, 0, ISG_QUANT_MIDRISE, 7, ISG_SCALE_ONE_F32);
    constant = add_vector(b, 6);
    put_shape(&b->constants, 4, c);
    put_uv(&b->constants, constant);
    b->constant_count = 1;
    add_op(b, ISG_KIND_CONV, 4, y); /* makes tensor 2 */
    put_uv(&b->ops, ISG_ACTIVATION_RELU);
    put_uv(&b->ops, 2);
    put_uv(&b->ops, conv);
    put_uv(&b->ops, 0);
    for (int i = 0; i < 2; i++) put_uv(&b->ops, 3);
    for (int i = 0; i < 8; i++) put_uv(&b->ops, 1);
    put_uv(&b->ops, 1);
    add_op(b, ISG_KIND_BINARY, 4, y);
    put_uv(&b->ops, 0);
    put_uv(&b->ops, 1);
    put_uv(&b->ops, 2);
    put_uv(&b->ops, ISG_BINARY_MUL);
    add_op(b, ISG_KIND_MAX_POOL, 4, p);
    put_uv(&b->ops, 1);
    for (int i = 0; i < 4; i++) put_uv(&b->ops, 2);
    for (int i = 0; i < 2; i++) put_uv(&b->ops, 1);
    for (int i = 0; i < 4; i++) put_uv(&b->ops, 0);
    add_op(b, ISG_KIND_RESHAPE, 2, r);
    put_uv(&b->ops, 1);
    add_op(b, ISG_KIND_FC, 2, f);
    put_uv(&b->ops, 0);
    put_uv(&b->ops, 1);
    put_uv(&b->ops, fc);
    put_uv(&b->ops, bias + 1);
    add_op(b, ISG_KIND_SOFTMAX, 2, f);
    put_uv(&b->ops, 1);
    put_uv(&b->ops, 1);
    add_output(b, 7);
    return finish_image(b, size);
}

static isg_status open_copy(const uint8_t *image, size_t size)
{
    isg_rt_model model;
    isg_error err = {0};
    return isg_rt_open(&model, image, size, &err);
}

static void test_opens_and_runs(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size);
    isg_rt_model model;
    isg_error err = {0};
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory, again;
    isg_rt_context *ctx = NULL;
    isg_rt_io io;
    float x[3 * 64], y[5], sum = 0, mid[6 * 64], *out = y;
    const float *in = x;
    uint32_t rank, dims[4];
    uint8_t *workspace;
    (void)state;
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s at %u", err.message, (unsigned)err.offset);
    assert_int_equal(isg_rt_input(&model, 0, &io), ISG_OK);
    assert_int_equal(io.rank, 4);
    assert_int_equal(io.dims[1], 3);
    assert_int_equal(isg_rt_output(&model, 0, &io), ISG_OK);
    assert_memory_equal(io.name, "y", 1);
    assert_int_equal(isg_rt_input(&model, 1, &io), ISG_E_ARG);
    assert_int_equal(isg_rt_plan(&model, &options, &memory, &err), ISG_OK);
    options.max_memory = memory.workspace_bytes - 1;
    assert_int_equal(isg_rt_plan(&model, &options, &again, &err), ISG_E_LIMIT);
    options.max_memory = memory.workspace_bytes;
    workspace = (uint8_t *)aligned_alloc(64, memory.workspace_bytes);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, &err), ISG_OK);
    for (int i = 0; i < 3 * 64; i++) x[i] = next_float(&shared);
    assert_int_equal(isg_rt_run(ctx, &in, &out, &err), ISG_OK);
    for (int i = 0; i < 5; i++) sum += y[i];
    assert_true(sum > 0.99999f && sum < 1.00001f);
    assert_int_equal(isg_rt_read(ctx, 5, -1, mid, 5, &rank, dims), ISG_OK);
    assert_memory_equal(mid, y, sizeof y);
    assert_int_equal(isg_rt_read(ctx, 5, -1, mid, 4, &rank, dims), ISG_E_ARG);
    free(workspace);
    free(image);
}

typedef struct hook_log {
    uint32_t calls;
    float last[96];
} hook_log;

/* Calls come in order; what an operation reads is what the one before made. */
static void log_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    hook_log *log = (hook_log *)user;
    float now[96];
    uint32_t rank, dims[4];
    assert_int_equal(log->calls, op * 2 + (uint32_t)done);
    log->calls++;
    if (op == 3 && done) assert_int_equal(isg_rt_read(ctx, 3, -1, log->last, 96, &rank, dims), ISG_OK);
    if (op == 4 && done) {
        assert_int_equal(isg_rt_read(ctx, 4, 0, now, 96, &rank, dims), ISG_OK);
        assert_int_equal(rank, 2);
        assert_int_equal(dims[0], 1);
        assert_int_equal(dims[1], 96);
        assert_memory_equal(now, log->last, sizeof now);
        assert_int_equal(isg_rt_read(ctx, 4, 1, now, 96, &rank, dims), ISG_E_ARG);
        assert_int_equal(isg_rt_read(ctx, 3, -1, NULL, 0, &rank, dims), ISG_OK);
        assert_int_equal(isg_rt_read(ctx, 3, -1, now, 96, &rank, dims), ISG_E_UNSUPPORTED);
    }
}

static void test_hooks_and_sections(void **state)
{
    size_t size, section;
    uint8_t *image = build_net(&size), *workspace;
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    isg_rt_op info;
    hook_log log = {0, {0}};
    float x[3 * 64] = {0.5f}, y[5], *out = y;
    const float *in = x;
    (void)state;
    assert_int_equal(isg_rt_open(&model, image, size, NULL), ISG_OK);
    assert_null(isg_rt_section(&model, ISG_SECTION_META, &section));
    assert_int_equal(section, 0);
    assert_non_null(isg_rt_section(&model, ISG_SECTION_WEIGHTS, &section));
    assert_int_equal(section, shared.blobs.size);
    options.hook = log_hook;
    options.hook_user = &log;
    assert_int_equal(isg_rt_plan(&model, &options, &memory, NULL), ISG_OK);
    assert_int_equal(memory.image_bytes, size);
    assert_int_equal(memory.weight_bytes, section);
    workspace = (uint8_t *)aligned_alloc(64, memory.workspace_bytes);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, NULL), ISG_OK);
    memset(&model, 0, sizeof model);
    assert_int_equal(isg_rt_run(ctx, &in, &out, NULL), ISG_OK);
    assert_int_equal(log.calls, 12);
    assert_int_equal(isg_rt_op_count(ctx), 6);
    assert_int_equal(isg_rt_op_info(ctx, 0, &info), ISG_OK);
    assert_string_equal(info.kind, "conv");
    assert_int_equal(info.dense_macs, 64 * 27 * 6);
    assert_int_equal(info.weight, 0);
    assert_int_equal(isg_rt_op_info(ctx, 6, &info), ISG_E_ARG);
    free(workspace);
    free(image);
}

/* x -> relu -> two 1x1 convolutions -> the sum with the relu's output: done over x, and over that output. */
static uint8_t *build_in_place(size_t *size)
{
    static const uint32_t dims[4] = {0, 16, 4, 4}, window[10] = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    builder *b = &shared;
    uint32_t weight;
    reset_builder(b, 3);
    add_input(b, 4, dims);
    add_op(b, ISG_KIND_ACTIVATION, 4, dims);
    put_uv(&b->ops, ISG_ACTIVATION_RELU);
    put_uv(&b->ops, 1);
    weight = add_weight(b, 2, 1, 16, 16, 0, 8, ISG_QUANT_MIDTREAD, 4, ISG_SCALE_COLUMN_F16);
    for (int layer = 0; layer < 2; layer++) {
        add_op(b, ISG_KIND_CONV, 4, dims);
        put_uv(&b->ops, ISG_ACTIVATION_NONE);
        put_uv(&b->ops, 1);
        put_uv(&b->ops, weight);
        put_uv(&b->ops, 0);
        for (int i = 0; i < 10; i++) put_uv(&b->ops, window[i]);
        put_uv(&b->ops, 1);
    }
    add_op(b, ISG_KIND_BINARY, 4, dims);
    put_uv(&b->ops, ISG_ACTIVATION_NONE);
    put_uv(&b->ops, 3);
    put_uv(&b->ops, 1);
    put_uv(&b->ops, ISG_BINARY_ADD);
    add_output(b, 4);
    return finish_image(b, size);
}

typedef struct in_place_log {
    const float *x;
    float sum[256];
    int calls;
} in_place_log;

/* A hook that takes the time: an input is readable until it is overwritten. */
static void read_in_place(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    in_place_log *log = (in_place_log *)user;
    float now[256];
    log->calls++;
    if (op == 0) {
        assert_int_equal(isg_rt_read(ctx, 0, 0, now, 256, NULL, NULL), done ? ISG_E_UNSUPPORTED : ISG_OK);
        if (!done) assert_memory_equal(now, log->x, sizeof now);
        if (done) assert_int_equal(isg_rt_read(ctx, 0, -1, now, 256, NULL, NULL), ISG_OK);
    }
    if (op == 1 || op == 2) assert_int_equal(isg_rt_read(ctx, op, 0, now, 256, NULL, NULL), ISG_OK);
    if (op == 3) { /* the convolution has done it */
        assert_int_equal(isg_rt_read(ctx, 3, 0, now, 256, NULL, NULL), ISG_E_UNSUPPORTED);
        assert_int_equal(isg_rt_read(ctx, 3, 1, now, 256, NULL, NULL), ISG_E_UNSUPPORTED);
        assert_int_equal(isg_rt_read(ctx, 3, -1, log->sum, 256, NULL, NULL), ISG_OK);
    }
}

static void test_reading_what_is_overwritten(void **state)
{
    size_t size;
    uint8_t *image = build_in_place(&size);
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_op info;
    float x[256], y[256], *out = y;
    const float *in = x;
    in_place_log log = {.x = x};
    framed f;
    (void)state;
    for (int i = 0; i < 256; i++) x[i] = next_float(&shared);
    assert_int_equal(isg_rt_open(&model, image, size, NULL), ISG_OK);
    options.hook = read_in_place;
    options.hook_user = &log;
    options.hook_timing = 1;
    options.strategy = ISG_STRATEGY_FACTORED;
    f = open_framed(&model, &options);
    assert_int_equal(isg_rt_op_info(f.ctx, 3, &info), ISG_OK);
    assert_true(info.fused);
    assert_int_equal(isg_rt_run(f.ctx, &in, &out, NULL), ISG_OK);
    assert_int_equal(log.calls, 8);
    assert_memory_equal(log.sum, y, sizeof y);
    close_framed(&f);
    free(image);
}

/* No number of workers means one, for the plan and for what follows it. */
static void test_no_workers(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size);
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    framed f;
    (void)state;
    assert_int_equal(isg_rt_open(&model, image, size, NULL), ISG_OK);
    for (int with = 0; with < 2; with++) {
        options.parallel = (isg_parallel){with ? run_backwards : NULL, NULL, 0};
        f = open_framed(&model, &options);
        assert_int_equal(f.ctx->parallel.workers, 1);
        close_framed(&f);
    }
    free(image);
}

static void test_misaligned(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size), *moved = (uint8_t *)aligned_alloc(64, (size + 191) / 64 * 64);
    (void)state;
    memcpy(moved + 4, image, size);
    assert_int_equal(open_copy(moved + 4, size), ISG_E_ARG);
    free(moved);
    free(image);
}

/* Windows of two taps four apart over two rows with padding 4 and 3: the one in the middle reads padding only. */
static void test_empty_windows(void **state)
{
    static const uint32_t window[10] = {2, 1, 1, 1, 4, 1, 4, 0, 3, 0};
    const uint32_t x[4] = {0, 1, 2, 1}, y[4] = {0, 1, 5, 1};
    (void)state;
    for (uint32_t kind = ISG_KIND_MAX_POOL; kind <= ISG_KIND_AVERAGE_POOL; kind++) {
        size_t size;
        uint8_t *image;
        isg_rt_model model;
        isg_error err = {0};
        reset_builder(&shared, 5);
        add_input(&shared, 4, x);
        add_op(&shared, kind, 4, y);
        put_uv(&shared.ops, 1);
        for (int i = 0; i < 10; i++) put_uv(&shared.ops, window[i]);
        for (int i = 0; kind == ISG_KIND_AVERAGE_POOL && i < 3; i++) put_uv(&shared.ops, 0);
        add_output(&shared, 1);
        image = finish_image(&shared, &size);
        assert_int_equal(isg_rt_open(&model, image, size, &err), ISG_E_SHAPE);
        assert_non_null(strstr(err.message, "nothing but padding"));
        free(image);
    }
}

/* A workspace one byte too small, or off by less than a cache line, is an error value, and stays as it was. */
static void test_bad_workspace(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size), *workspace;
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    isg_error err = {0};
    (void)state;
    assert_int_equal(isg_rt_open(&model, image, size, NULL), ISG_OK);
    assert_int_equal(isg_rt_plan(&model, &options, &memory, NULL), ISG_OK);
    workspace = (uint8_t *)aligned_alloc(64, (memory.workspace_bytes + 127) / 64 * 64);
    memset(workspace, 0x5a, memory.workspace_bytes + 64);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes - 1, &model, &options, &err),
                     ISG_E_WORKSPACE);
    assert_non_null(strstr(err.message, "smaller"));
    for (size_t off = 1; off < 64; off++)
        assert_int_equal(isg_rt_context_init(&ctx, workspace + off, memory.workspace_bytes, &model, &options, &err),
                         ISG_E_WORKSPACE);
    assert_non_null(strstr(err.message, "aligned"));
    assert_int_equal(isg_rt_context_init(&ctx, workspace, 0, &model, &options, &err), ISG_E_WORKSPACE);
    assert_null(ctx);
    ctx = (isg_rt_context *)(void *)workspace;
    assert_int_equal(isg_rt_context_init(&ctx, workspace, 0, &model, &options, &err), ISG_E_WORKSPACE);
    assert_null(ctx);
    ctx = (isg_rt_context *)(void *)workspace;
    options.batch = UINT32_MAX;
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, &err), ISG_E_LIMIT);
    assert_null(ctx);
    options.batch = 1;
    for (size_t i = 0; i < memory.workspace_bytes + 64; i++) assert_int_equal(workspace[i], 0x5a);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, &err), ISG_OK);
    free(workspace);
    free(image);
}

/* Instructions that the CPU lacks are never used, whatever the mask asks for. */
static void test_isa_masks(void **state)
{
    static const uint32_t masks[] = {ISG_ISA_SCALAR,     ISG_ISA_AVX2,
                                     ISG_ISA_AVX512,     ISG_ISA_NEON,
                                     ISG_ISA_AVX512VNNI, ISG_ISA_AVX2 | ISG_ISA_AVX512,
                                     ISG_ISA_NEONDOT,    ISG_ISA_NEON | ISG_ISA_NEONDOT,
                                     ISG_ISA_ALL};
    size_t size;
    uint8_t *image = build_net(&size), *workspace;
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    float x[3 * 64] = {0.5f}, y[5], *out = y;
    const float *in = x;
    (void)state;
    assert_int_equal(isg_rt_open(&model, image, size, NULL), ISG_OK);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        const char *name;
        options.isa_mask = masks[i];
        assert_int_equal(isg_rt_plan(&model, &options, &memory, NULL), ISG_OK);
        workspace = (uint8_t *)aligned_alloc(64, memory.workspace_bytes);
        assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, NULL), ISG_OK);
        name = isg_rt_isa_name(ctx);
        if (!(masks[i] & isg_rt_isa())) assert_string_equal(name, "scalar");
        if (!(masks[i] & ISG_ISA_AVX2)) assert_null(strstr(name, "avx"));
        assert_int_equal(isg_rt_run(ctx, &in, &out, NULL), ISG_OK);
        free(workspace);
    }
    free(image);
}

static void test_every_truncation(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size);
    (void)state;
    assert_int_equal(open_copy(image, size), ISG_OK);
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = (uint8_t *)aligned_alloc(64, (n + 64) / 64 * 64);
        memcpy(cut, image, n);
        assert_int_not_equal(open_copy(cut, n), ISG_OK);
        if (n >= ISG_FORMAT_HEADER_BYTES) { /* the same with a header that admits it */
            isgi_store_u64(cut + ISG_FORMAT_AT_FILE_BYTES, n);
            if (n >= 128) seal_image(cut);
            assert_int_not_equal(open_copy(cut, n), ISG_OK);
        }
        free(cut);
    }
    free(image);
}

static void test_every_flip(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size);
    (void)state;
    for (size_t i = 0; i < size * 8; i++) {
        image[i / 8] ^= (uint8_t)(1u << (i & 7u));
        if (open_copy(image, size) == ISG_OK) fail_msg("flip of bit %zu was not seen", i);
        image[i / 8] ^= (uint8_t)(1u << (i & 7u));
    }
    assert_int_equal(open_copy(image, size), ISG_OK);
    free(image);
}

/* Whatever opens must also plan and run without touching anything outside. */
static void run_harmlessly(const uint8_t *image, size_t size)
{
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx;
    uint64_t floats[2] = {0, 0};
    float *x, *y;
    const float *in[ISG_FORMAT_MAX_IO];
    float *out[ISG_FORMAT_MAX_IO];
    uint8_t *workspace;
    options.max_memory = 4u << 20;
    if (isg_rt_open(&model, image, size, NULL) != ISG_OK) return;
    if (isg_rt_plan(&model, &options, &memory, NULL) != ISG_OK) return;
    for (int side = 0; side < 2; side++) {
        const uint32_t count = side ? isg_rt_output_count(&model) : isg_rt_input_count(&model);
        for (uint32_t i = 0; i < count; i++) {
            isg_rt_io io;
            uint64_t n = 1;
            assert_int_equal(side ? isg_rt_output(&model, i, &io) : isg_rt_input(&model, i, &io), ISG_OK);
            for (uint32_t d = 0; d < io.rank; d++) n *= io.dims[d] ? io.dims[d] : 1;
            if (n > floats[side]) floats[side] = n;
        }
    }
    x = (float *)calloc(floats[0], sizeof *x);
    y = (float *)calloc(floats[1], sizeof *y);
    for (int i = 0; i < (int)ISG_FORMAT_MAX_IO; i++) {
        in[i] = x;
        out[i] = y;
    }
    workspace = (uint8_t *)aligned_alloc(64, memory.workspace_bytes);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, NULL), ISG_OK);
    assert_int_equal(isg_rt_run(ctx, in, out, NULL), ISG_OK);
    free(workspace);
    free(x);
    free(y);
}

/* Flips in the graph behind correct checksums. */
static void test_sealed_flips(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size), *entry = image + ISG_FORMAT_HEADER_BYTES;
    const size_t at = isgi_load_u64(entry + 8), length = isgi_load_u64(entry + 16);
    (void)state;
    for (size_t i = 0; i < length * 8; i++) {
        image[at + i / 8] ^= (uint8_t)(1u << (i & 7u));
        isgi_store_u32(entry + 4, isgi_crc32c(0, image + at, length));
        seal_image(image);
        run_harmlessly(image, size);
        image[at + i / 8] ^= (uint8_t)(1u << (i & 7u));
    }
    for (size_t i = 0; i < length; i++) {
        const uint8_t keep = image[at + i];
        for (uint32_t v = 0; v < 256; v += 15) {
            image[at + i] = (uint8_t)v;
            isgi_store_u32(entry + 4, isgi_crc32c(0, image + at, length));
            seal_image(image);
            run_harmlessly(image, size);
        }
        image[at + i] = keep;
    }
    free(image);
}

static void test_versions_and_sections(void **state)
{
    size_t size;
    uint8_t *image = build_net(&size);
    uint8_t *second = image + ISG_FORMAT_HEADER_BYTES + ISG_FORMAT_SECTION_BYTES;
    (void)state;
    isgi_store_u16(image + ISG_FORMAT_AT_MAJOR, 2);
    seal_image(image);
    assert_int_equal(open_copy(image, size), ISG_E_VERSION);
    isgi_store_u16(image + ISG_FORMAT_AT_MAJOR, 1);
    isgi_store_u16(image + ISG_FORMAT_AT_MINOR, 9);
    seal_image(image);
    assert_int_equal(open_copy(image, size), ISG_OK);
    isgi_store_u32(image + ISG_FORMAT_AT_FLAGS, 1);
    seal_image(image);
    assert_int_equal(open_copy(image, size), ISG_E_UNSUPPORTED);
    isgi_store_u32(image + ISG_FORMAT_AT_FLAGS, 0);
    isgi_store_u32(second, 0x80000077u);
    seal_image(image);
    assert_int_equal(open_copy(image, size), ISG_E_UNSUPPORTED);
    isgi_store_u32(second, ISG_SECTION_GRAPH);
    seal_image(image);
    assert_int_equal(open_copy(image, size), ISG_E_FORMAT);
    isgi_store_u32(second, 0x77u); /* unknown and optional: the weights are missing then */
    seal_image(image);
    assert_int_equal(open_copy(image, size), ISG_E_FORMAT);
    free(image);
}

static void test_arena(void **state)
{
    static isgi_arena a;
    uint64_t random = 11;
    struct {
        uint64_t offset, size;
        uint32_t last;
    } all[200];
    uint64_t offset;
    (void)state;
    isgi_arena_init(&a);
    assert_int_equal(isgi_arena_take(&a, 100, 1, 7, &offset), ISG_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(isgi_arena_take(&a, 50, 2, 8, &offset), ISG_OK);
    assert_int_equal(offset, 100);
    isgi_arena_release(&a, 2);
    assert_int_equal(isgi_arena_take(&a, 80, 2, 9, &offset), ISG_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(a.peak, 150);
    isgi_arena_init(&a);
    for (uint32_t i = 0; i < 200; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        all[i].size = (random >> 40) % 1000 + 1;
        all[i].last = i + (uint32_t)(random >> 33) % 20;
        isgi_arena_release(&a, i);
        assert_int_equal(isgi_arena_take(&a, all[i].size, all[i].last, 0, &all[i].offset), ISG_OK);
        assert_true(all[i].offset + all[i].size <= a.peak);
        for (uint32_t k = 0; k < i; k++) {
            if (all[k].last < i) continue;
            assert_true(all[k].offset + all[k].size <= all[i].offset || all[i].offset + all[i].size <= all[k].offset);
        }
    }
    assert_int_equal(isgi_arena_take(&a, UINT64_MAX - 10, 300, 0, &offset), ISG_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_and_runs),
        cmocka_unit_test(test_misaligned),
        cmocka_unit_test(test_empty_windows),
        cmocka_unit_test(test_bad_workspace),
        cmocka_unit_test(test_isa_masks),
        cmocka_unit_test(test_hooks_and_sections),
        cmocka_unit_test(test_reading_what_is_overwritten),
        cmocka_unit_test(test_no_workers),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_flip),
        cmocka_unit_test(test_versions_and_sections),
        cmocka_unit_test(test_sealed_flips),
        cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
