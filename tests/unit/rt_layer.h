/* SPDX-License-Identifier: Apache-2.0 */
/* One convolution as a whole model, built and run: for the tests of the runtime's modes. */
#ifndef INSITU_TEST_RT_LAYER_H
#define INSITU_TEST_RT_LAYER_H

#include <insitu/rt.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "isg_builder.h"

typedef struct rt_layer {
    uint32_t ic, ih, iw, oc, groups, window[10]; /* kh kw sh sw dh dw top left bottom right */
    uint32_t flags, bi, bo, family, bits, mode;
} rt_layer;

static inline uint32_t out_size(uint32_t in, const uint32_t *w, int axis)
{
    return (in + w[6 + axis] + w[8 + axis] - (w[axis] - 1) * w[4 + axis] - 1) / w[2 + axis] + 1;
}

/* Its image, with a bias and no activation; *outputs: numbers of one item. */
static inline uint8_t *build_layer(builder *b, const rt_layer *c, size_t *size, size_t *outputs)
{
    const uint32_t in[4] = {0, c->ic, c->ih, c->iw};
    const uint32_t out[4] = {0, c->oc, out_size(c->ih, c->window, 0), out_size(c->iw, c->window, 1)};
    uint32_t weight, bias;
    reset_builder(b, 11 + c->ic * 31u + c->oc);
    add_input(b, 4, in);
    weight = add_weight(b, c->flags, c->window[0] * c->window[1], c->ic / c->groups, c->oc, c->bi, c->bo, c->family,
                        c->bits, c->mode);
    bias = add_vector(b, c->oc) + 1;
    add_op(b, ISG_KIND_CONV, 4, out);
    put_uv(&b->ops, ISG_ACTIVATION_NONE);
    put_uv(&b->ops, 1);
    put_uv(&b->ops, weight);
    put_uv(&b->ops, bias);
    for (int i = 0; i < 10; i++) put_uv(&b->ops, c->window[i]);
    put_uv(&b->ops, c->groups);
    add_output(b, 1);
    *outputs = (size_t)out[1] * out[2] * out[3];
    return finish_image(b, size);
}

/* The image with an ACTIVATIONS section of `count` numbers appended; frees the old one. */
static inline uint8_t *with_ranges(uint8_t *old, size_t *size, const float *numbers, size_t count)
{
    const uint32_t sections = isgi_load_u32(old + ISG_FORMAT_AT_SECTIONS);
    const size_t head = ISG_FORMAT_HEADER_BYTES + (size_t)sections * ISG_FORMAT_SECTION_BYTES;
    const size_t moved = ((head + ISG_FORMAT_SECTION_BYTES + 63) & ~(size_t)63) - ((head + 63) & ~(size_t)63);
    const size_t body = (head + 63) & ~(size_t)63, at = (*size + moved + 63) & ~(size_t)63, total = at + 4 * count;
    uint8_t *image = aligned_alloc(64, (total + 63) & ~(size_t)63), *e = image + head;
    assert_non_null(image);
    memset(image, 0, total);
    memcpy(image, old, head);
    memcpy(image + body + moved, old + body, *size - body);
    for (uint32_t i = 0; i < sections; i++) {
        uint8_t *entry = image + ISG_FORMAT_HEADER_BYTES + (size_t)i * ISG_FORMAT_SECTION_BYTES;
        isgi_store_u64(entry + 8, isgi_load_u64(entry + 8) + moved);
    }
    for (size_t i = 0; i < count; i++) isgi_store_f32(image + at + 4 * i, numbers[i]);
    isgi_store_u32(e, ISG_SECTION_ACTIVATIONS);
    isgi_store_u32(e + 4, isgi_crc32c(0, image + at, 4 * count));
    isgi_store_u64(e + 8, at);
    isgi_store_u64(e + 16, 4 * count);
    isgi_store_u32(image + ISG_FORMAT_AT_SECTIONS, sections + 1);
    isgi_store_u64(image + ISG_FORMAT_AT_FILE_BYTES, total);
    seal_image(image);
    free(old);
    *size = total;
    return image;
}

/* A hook that only keeps every tensor: nothing is fused or overwritten. */
static inline void no_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    (void)user;
    (void)ctx;
    (void)op;
    (void)done;
}

/* Runs tasks backwards with alternating worker numbers: whatever depends on order or worker shows. */
static inline void run_backwards(void *user, isg_task_fn task, void *arg, uint32_t count)
{
    (void)user;
    for (uint32_t i = count; i-- > 0;) task(arg, i, i % 3);
}

/* A context in a workspace of its own that was full of NaN, with a frame of as many bytes behind it. */
#define FRAME 64
typedef struct framed {
    uint8_t *workspace;
    isg_rt_memory memory;
    isg_rt_context *ctx;
} framed;

static inline framed open_framed(const isg_rt_model *model, const isg_rt_options *options)
{
    framed f = {NULL, {0}, NULL};
    isg_error err = {0};
    if (isg_rt_plan(model, options, &f.memory, &err) != ISG_OK) fail_msg("%s", err.message);
    f.workspace = (uint8_t *)aligned_alloc(64, (size_t)f.memory.workspace_bytes + FRAME);
    assert_non_null(f.workspace);
    memset(f.workspace, 0xff, (size_t)f.memory.workspace_bytes + FRAME);
    assert_int_equal(isg_rt_context_init(&f.ctx, f.workspace, (size_t)f.memory.workspace_bytes, model, options, &err),
                     ISG_OK);
    return f;
}

/* Frees it; the frame must be as it was. */
static inline void close_framed(framed *f)
{
    for (int i = 0; i < FRAME; i++) assert_int_equal(f->workspace[f->memory.workspace_bytes + i], 0xff);
    free(f->workspace);
}

/* Operations that the plan may do together. Counts are of numbers in two items; a second output is thrown away. */
typedef struct together {
    const char *name;
    size_t inputs, outputs, others;
    uint32_t mode;
    int saves; /* done together they need less memory */
    /* Looks at a context that has run; `hook` kept every tensor, or there was none. */
    void (*check)(const isg_rt_context *ctx, const struct together *t, uint32_t workers, int hook);
    const void *one; /* the case */
} together;

/* Runs them; returns the bytes of the workspace. */
static inline uint64_t run_together(const isg_rt_model *model, const together *t, const float *x, float *const *outputs,
                                    uint32_t isa, uint32_t workers, isg_rt_hook hook)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_error err = {0};
    framed f;
    options.batch = 2;
    options.isa_mask = isa;
    options.mode = t->mode;
    options.hook = hook;
    if (workers > 1) options.parallel = (isg_parallel){run_backwards, NULL, workers};
    f = open_framed(model, &options);
    assert_int_equal(isg_rt_run(f.ctx, &x, outputs, &err), ISG_OK);
    t->check(f.ctx, t, workers, hook != NULL);
    close_framed(&f);
    return f.memory.workspace_bytes;
}

/* The first output has the bits of the operations one after the other, on every instruction set and with any workers.
 * Frees the image. */
static inline void check_together(builder *b, uint8_t *image, size_t size, const together *t)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2, ISG_ISA_ALL};
    float *x = malloc(t->inputs * sizeof *x), *want = malloc(t->outputs * sizeof *want);
    float *got = malloc(t->outputs * sizeof *got), *other = malloc(t->others * sizeof *other);
    isg_rt_model model;
    isg_error err = {0};
    assert_true(x && want && got && other);
    for (size_t i = 0; i < t->inputs; i++) x[i] = next_float(b);
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
    for (size_t a = 0; a < sizeof isas / sizeof *isas; a++) {
        float *const kept[2] = {want, other}, *const passing[2] = {got, other};
        const uint64_t apart = run_together(&model, t, x, kept, isas[a], 1, no_hook);
        for (uint32_t workers = 1; workers <= 5; workers += 2) {
            const uint64_t fused = run_together(&model, t, x, passing, isas[a], workers, NULL);
            if (workers == 1 && t->saves) assert_true(fused < apart);
            for (size_t i = 0; i < t->outputs; i++) {
                if (memcmp(want + i, got + i, sizeof *got) != 0)
                    fail_msg("%s mode %u isa %u workers %u element %zu: %.9g apart, %.9g together", t->name, t->mode,
                             isas[a], workers, i, (double)want[i], (double)got[i]);
            }
        }
    }
    free(image);
    free(x);
    free(want);
    free(got);
    free(other);
}

/* Two items; returns the isg_mode that the layer ran in. */
static inline uint32_t run_layer(const isg_rt_model *model, const float *x, float *y, uint32_t mode, uint32_t strategy,
                                 uint32_t isa, uint32_t workers)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    isg_rt_op info;
    isg_error err = {0};
    uint8_t *workspace;
    options.batch = 2;
    options.isa_mask = isa;
    options.mode = mode;
    options.strategy = strategy;
    if (workers > 1) options.parallel = (isg_parallel){run_backwards, NULL, workers};
    if (isg_rt_plan(model, &options, &memory, &err) != ISG_OK) fail_msg("%s", err.message);
    workspace = aligned_alloc(64, (size_t)memory.workspace_bytes);
    assert_non_null(workspace);
    memset(workspace, 0xa5, (size_t)memory.workspace_bytes); /* nothing may rest on what was there */
    assert_int_equal(isg_rt_context_init(&ctx, workspace, (size_t)memory.workspace_bytes, model, &options, &err), 0);
    assert_int_equal(isg_rt_run(ctx, &x, &y, &err), ISG_OK);
    assert_int_equal(isg_rt_op_info(ctx, 0, &info), ISG_OK);
    free(workspace);
    return info.mode;
}

#endif
