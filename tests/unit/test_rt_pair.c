/* SPDX-License-Identifier: Apache-2.0 */
/* A 1x1 convolution and the depthwise one behind it run together: the bits of both one after the other, on every
 * instruction set and with any workers, and less memory. */
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

typedef struct pair_case {
    uint32_t ic, ih, iw, wide, window[10]; /* of the depthwise one */
    uint32_t act, bits;                    /* between them; of its weights, 32: plain numbers */
    uint32_t bi;                           /* of the depthwise one, or 0 */
    uint32_t read_twice;                   /* the map between is an output too */
    uint32_t paired;
} pair_case;

static const pair_case cases[] = {
    {8, 40, 30, 64, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, ISG_ACTIVATION_RELU, 32, 0, 0, 1},
    {5, 28, 29, 96, {3, 3, 2, 2, 1, 1, 0, 1, 1, 0}, ISG_ACTIVATION_NONE, 8, 0, 0, 1},
    {3, 50, 41, 40, {5, 5, 1, 2, 1, 1, 2, 2, 2, 2}, ISG_ACTIVATION_SILU, 4, 3, 0, 1},
    {9, 37, 33, 70, {3, 3, 1, 1, 2, 3, 2, 3, 2, 3}, ISG_ACTIVATION_RELU, 32, 0, 0, 1},
    {16, 36, 60, 45, {3, 3, 3, 1, 1, 1, 0, 0, 0, 0}, ISG_ACTIVATION_RELU, 6, 5, 0, 1},
    {4, 6, 300, 80, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, ISG_ACTIVATION_RELU, 32, 0, 0, 1},
    {8, 20, 20, 64, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, ISG_ACTIVATION_RELU, 32, 0, 0, 0}, /* a small map */
    {8, 40, 30, 64, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, ISG_ACTIVATION_RELU, 32, 0, 1, 0},
};

#define LAST 120 /* channels of a third layer, which int8 pays for where the map is not wide */

static builder shared;

/* Of the tensor before its own. */
static void put_conv(builder *b, uint32_t weight, uint32_t bias, const uint32_t *window, uint32_t groups)
{
    put_uv(&b->ops, 1);
    put_uv(&b->ops, weight);
    put_uv(&b->ops, bias);
    for (int i = 0; i < 10; i++) put_uv(&b->ops, window[i]);
    put_uv(&b->ops, groups);
}

static uint8_t *build_pair(const pair_case *c, int third, size_t *size, size_t *outputs)
{
    static const uint32_t point[10] = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    const uint32_t in[4] = {0, c->ic, c->ih, c->iw}, mid[4] = {0, c->wide, c->ih, c->iw};
    const uint32_t out[4] = {0, c->wide, out_size(c->ih, c->window, 0), out_size(c->iw, c->window, 1)};
    const uint32_t family = c->bits == 32 ? ISG_QUANT_RAW : ISG_QUANT_MIDTREAD, mode = c->bits == 32 ? 0 : 1;
    const uint32_t last[4] = {0, LAST, out[2], out[3]};
    builder *b = &shared;
    uint32_t weight, bias;
    reset_builder(b, 5 + c->ic * 31u + c->wide);
    add_input(b, 4, in);
    weight = add_weight(b, 0, 1, c->ic, c->wide, 0, 0, family, c->bits, mode);
    bias = add_vector(b, c->wide) + 1;
    add_op(b, ISG_KIND_CONV, 4, mid);
    put_uv(&b->ops, c->act);
    put_conv(b, weight, bias, point, 1);
    if (c->bi)
        weight = add_weight(b, ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_DEPTHWISE, c->window[0] * c->window[1], c->wide, 1, c->bi,
                            0, family, c->bits, mode);
    else
        weight = add_weight(b, 0, c->window[0] * c->window[1], 1, c->wide, 0, 0, family, c->bits, mode);
    bias = add_vector(b, c->wide) + 1;
    add_op(b, ISG_KIND_CONV, 4, out);
    put_uv(&b->ops, ISG_ACTIVATION_RELU);
    put_conv(b, weight, bias, c->window, c->wide);
    if (third) {
        weight = add_weight(b, 0, 1, c->wide, LAST, 0, 0, ISG_QUANT_MIDTREAD, 5, 1);
        bias = add_vector(b, LAST) + 1;
        add_op(b, ISG_KIND_CONV, 4, last);
        put_uv(&b->ops, ISG_ACTIVATION_NONE);
        put_conv(b, weight, bias, point, 1);
    }
    add_output(b, third ? 3 : 2);
    if (c->read_twice) add_output(b, 1);
    *outputs = (size_t)(third ? LAST : c->wide) * out[2] * out[3];
    return finish_image(b, size);
}

static void look(const isg_rt_context *ctx, const together *t, uint32_t workers, int hook)
{
    const pair_case *c = (const pair_case *)t->one;
    isg_rt_op first, second, third;
    assert_int_equal(isg_rt_op_info(ctx, 0, &first), ISG_OK);
    assert_int_equal(isg_rt_op_info(ctx, 1, &second), ISG_OK);
    if (t->mode == ISG_MODE_INT8) {
        assert_int_equal(isg_rt_op_info(ctx, 2, &third), ISG_OK);
        assert_int_equal(third.mode, ISG_MODE_INT8);
    }
    if (workers == 1) assert_int_equal(second.fused, !hook && c->paired);
    /* Each tells of itself. */
    assert_int_equal(first.dense_macs, 2 * (uint64_t)c->ic * c->wide * c->ih * c->iw);
    assert_int_equal(first.output_dims[2], c->ih);
    assert_int_equal(second.input_dims[3], c->iw);
    assert_int_equal(second.dense_macs, 2 * (uint64_t)c->window[0] * c->window[1] * c->wide * second.output_dims[2] *
                                            second.output_dims[3]);
}

static void check_case(const pair_case *c, uint32_t mode)
{
    /* Of three layers, each unlike the others. */
    static const float ranges[] = {-1, 1, 0, 0, -3, 3, 4, 0, -5, 6, 0, 0};
    char name[32];
    together t = {.name = name, .mode = mode, .check = look, .one = c};
    size_t size;
    uint8_t *image = build_pair(c, mode == ISG_MODE_INT8, &size, &t.outputs);
    (void)snprintf(name, sizeof name, "case %d", (int)(c - cases));
    t.inputs = 2 * (size_t)c->ic * c->ih * c->iw;
    t.outputs *= 2;
    t.others = 2 * (size_t)c->wide * c->ih * c->iw;
    t.saves = c->paired && c->ih > 20 && mode == ISG_MODE_F32;
    if (mode == ISG_MODE_INT8) image = with_ranges(image, &size, ranges, sizeof ranges / sizeof *ranges);
    check_together(&shared, image, size, &t);
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i], ISG_MODE_F32);
}

/* The pair in floats, whose layers are counted nevertheless: the third has its own ranges. */
static void test_int8(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cases[i].bi) check_case(&cases[i], ISG_MODE_INT8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_int8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
