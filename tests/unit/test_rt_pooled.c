/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution and the max pool behind it run together: the bits of both one after the other, in floats and in int8,
 * on every instruction set and with any workers, and less memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>

#include "rt_layer.h"

typedef struct pooled_case {
    uint32_t ic, ih, iw, oc, window[10], pool[10]; /* of the convolution, of the pool */
    uint32_t act, bits, flags;                     /* 32 bits: plain numbers; flags of the weight, at (2,44) */
    uint32_t read_twice;                           /* the map between is an output too */
    uint32_t pooled, int8;                         /* whether it is done together; int8 pays */
} pooled_case;

#define BOTH (ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_LEVEL2)

enum { NONE = ISG_ACTIVATION_NONE, RELU = ISG_ACTIVATION_RELU, SILU = ISG_ACTIVATION_SILU };

static const pooled_case cases[] = {
    {3, 96, 88, 64, {7, 7, 2, 2, 1, 1, 3, 3, 3, 3}, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, RELU, 5, BOTH, 0, 1, 1},
    {3, 96, 88, 64, {7, 7, 2, 2, 1, 1, 3, 3, 3, 3}, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, SILU, 32, 0, 0, 1, 0},
    {3, 96, 88, 64, {7, 7, 2, 2, 1, 1, 3, 3, 3, 3}, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, RELU, 6, 0, 0, 1, 1},
    {5, 70, 61, 48, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 1, 1, 0, 0, 0, 0}, RELU, 32, 0, 0, 1, 0},
    {7, 83, 40, 52, {3, 5, 1, 2, 1, 1, 0, 2, 3, 1}, {5, 3, 3, 1, 2, 2, 2, 1, 0, 2}, NONE, 4, 0, 0, 1, 1},
    {4, 64, 50, 60, {5, 5, 1, 1, 1, 1, 2, 2, 2, 2}, {1, 1, 3, 4, 1, 1, 0, 0, 0, 0}, RELU, 32, 0, 0, 1, 0},
    {4, 64, 50, 60, {5, 5, 1, 1, 1, 1, 2, 2, 2, 2}, {3, 2, 5, 2, 1, 1, 0, 0, 0, 0}, RELU, 32, 0, 0, 1, 0},
    /* A small map; one that is an output as well; one that a window has most of. */
    {5, 20, 20, 48, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 1, 1, 0, 0, 0, 0}, RELU, 32, 0, 0, 0, 0},
    {5, 70, 61, 48, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 1, 1, 0, 0, 0, 0}, RELU, 32, 0, 1, 0, 0},
    {5, 70, 61, 48, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {60, 3, 2, 2, 1, 1, 0, 0, 0, 0}, RELU, 32, 0, 0, 0, 0},
};

static builder shared;

static uint8_t *build_pooled(const pooled_case *c, size_t *size, size_t *outputs)
{
    const uint32_t in[4] = {0, c->ic, c->ih, c->iw};
    const uint32_t mid[4] = {0, c->oc, out_size(c->ih, c->window, 0), out_size(c->iw, c->window, 1)};
    const uint32_t out[4] = {0, c->oc, out_size(mid[2], c->pool, 0), out_size(mid[3], c->pool, 1)};
    builder *b = &shared;
    uint32_t weight, bias;
    reset_builder(b, 3 + c->ic * 31u + c->oc);
    add_input(b, 4, in);
    weight = add_weight(b, c->flags, c->window[0] * c->window[1], c->ic, c->oc, c->flags ? 2 : 0, c->flags ? 44 : 0,
                        c->bits == 32 ? ISG_QUANT_RAW : ISG_QUANT_MIDTREAD, c->bits, c->bits == 32 ? 0 : 3);
    bias = add_vector(b, c->oc) + 1;
    add_op(b, ISG_KIND_CONV, 4, mid);
    put_uv(&b->ops, c->act);
    put_uv(&b->ops, 1);
    put_uv(&b->ops, weight);
    put_uv(&b->ops, bias);
    for (int i = 0; i < 10; i++) put_uv(&b->ops, c->window[i]);
    put_uv(&b->ops, 1);
    add_op(b, ISG_KIND_MAX_POOL, 4, out);
    put_uv(&b->ops, 1);
    for (int i = 0; i < 10; i++) put_uv(&b->ops, c->pool[i]);
    add_output(b, 2);
    if (c->read_twice) add_output(b, 1);
    *outputs = (size_t)out[1] * out[2] * out[3];
    return finish_image(b, size);
}

static void look(const isg_rt_context *ctx, const together *t, uint32_t workers, int hook)
{
    const pooled_case *c = (const pooled_case *)t->one;
    isg_rt_op first, second;
    assert_int_equal(isg_rt_op_info(ctx, 0, &first), ISG_OK);
    assert_int_equal(isg_rt_op_info(ctx, 1, &second), ISG_OK);
    assert_int_equal(first.mode, t->mode == ISG_MODE_INT8 && c->int8 ? ISG_MODE_INT8 : ISG_MODE_F32);
    if (workers == 1) assert_int_equal(second.fused, !hook && c->pooled);
    if (second.fused) assert_in_range(first.tasks, 2, 2 * workers); /* strips of two images */
}

static void check_case(const pooled_case *c, uint32_t mode)
{
    static const float ranges[] = {-1, 1, 20, 20};
    char name[32];
    together t = {.name = name, .mode = mode, .saves = (int)c->pooled, .check = look, .one = c};
    size_t size;
    uint8_t *image = build_pooled(c, &size, &t.outputs);
    (void)snprintf(name, sizeof name, "case %d", (int)(c - cases));
    t.inputs = 2 * (size_t)c->ic * c->ih * c->iw;
    t.outputs *= 2;
    t.others = 2 * (size_t)c->oc * out_size(c->ih, c->window, 0) * out_size(c->iw, c->window, 1);
    if (mode == ISG_MODE_INT8) image = with_ranges(image, &size, ranges, sizeof ranges / sizeof *ranges);
    check_together(&shared, image, size, &t);
}

static void test_floats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i], ISG_MODE_F32);
}

static void test_int8(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i], ISG_MODE_INT8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_floats), cmocka_unit_test(test_int8)};
    return cmocka_run_group_tests_name("rt pooled", tests, NULL, NULL);
}
