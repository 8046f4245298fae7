/* SPDX-License-Identifier: Apache-2.0 */
/* Bit errors: only the chosen streams change, the copy opens, counts are exact, larger rates flip a superset. */
#include <insitu/bit_errors.h>
#include <insitu/pack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#include "host/alloc.h"
#include "pack_graphs.h"

static void *image;
static size_t image_bytes;

static int make_image(void **unused)
{
    static const uint8_t bits[3] = {3, 6, 3};
    const int64_t dims[4] = {16, 8, 3, 3};
    const int64_t one[1] = {16};
    maker m;
    int32_t in[3], x, y;
    isg_node *n;
    (void)unused;
    if (isg_graph_create(&m.g, NULL) != ISG_OK) return -1;
    m.g->opset = 17;
    isgi_rng_seed(&m.rng, 5, 5);
    x = maker_value(&m, "x", 4, ISG_DIM_BATCH, 8, 6, 6, 0);
    in[0] = x;
    in[1] = maker_factors(&m, "w", 4, dims, 2, 4, 0, ISG_QUANT_MIDTREAD, bits);
    in[2] = maker_constant(&m, "b", 1, one, 1.0f);
    y = maker_value(&m, "y", 4, ISG_DIM_BATCH, 16, 6, 6, 0);
    n = maker_node(&m, ISG_OP_CONV, "conv", in, 3, y);
    n->attr.conv.n = 2;
    n->attr.conv.groups = 1;
    for (int d = 0; d < 2; d++) {
        n->attr.conv.kernel[d] = 3;
        n->attr.conv.stride[d] = n->attr.conv.dilation[d] = 1;
        n->attr.conv.pads[d] = n->attr.conv.pads[2 + d] = 1;
    }
    if (isg_graph_add_input(m.g, x, NULL) != ISG_OK || isg_graph_add_output(m.g, y, NULL) != ISG_OK) return -1;
    if (isg_pack_image(m.g, NULL, &image, &image_bytes, NULL) != ISG_OK) return -1;
    isg_graph_destroy(m.g);
    return 0;
}

static int free_image(void **unused)
{
    (void)unused;
    isg_free(image);
    return 0;
}

static uint64_t differing_bits(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (unsigned x = a[i] ^ b[i]; x; x &= x - 1) count++;
    return count;
}

static uint8_t *inject(const isg_bit_errors *e, isg_bit_error_report *r)
{
    isg_error err = {0};
    void *out = NULL;
    if (isg_bit_errors_inject(&out, r, image, image_bytes, e, &err) != ISG_OK) fail_msg("%s", err.message);
    return out;
}

/* Basis 9 x 8 of 3 bits, U 8 x 8 of 6, V 4 x 16 of 3. */
static void test_counts(void **unused)
{
    (void)unused;
    isg_bit_errors e = {.struct_size = sizeof e, .seed = 3};
    isg_bit_error_report r;
    isg_rt_model before, after;
    isg_weight w, v;
    uint8_t *out;
    e.rate[ISG_ERROR_BASIS] = 1.0;
    out = inject(&e, &r);
    assert_int_equal(r.bits[ISG_ERROR_BASIS], 9 * 8 * 3);
    assert_int_equal(r.flipped[ISG_ERROR_BASIS], 9 * 8 * 3);
    assert_int_equal(r.bits[ISG_ERROR_U], 8 * 8 * 6);
    assert_int_equal(r.flipped[ISG_ERROR_U], 0);
    assert_int_equal(r.bits[ISG_ERROR_V], 4 * 16 * 3);
    assert_int_equal(r.bits[ISG_ERROR_WEIGHT], 0);
    assert_int_equal(r.bits[ISG_ERROR_BIAS], 16 * 32);
    assert_int_equal(isg_rt_open(&before, image, image_bytes, NULL), ISG_OK);
    assert_int_equal(isg_rt_open(&after, out, image_bytes, NULL), ISG_OK);
    assert_int_equal(isg_rt_weight(&before, 0, &w), ISG_OK);
    assert_int_equal(isg_rt_weight(&after, 0, &v), ISG_OK);
    assert_int_equal(differing_bits(w.basis.data, v.basis.data, (size_t)w.basis.data_bytes), 9 * 8 * 3);
    assert_memory_equal(w.u.data, v.u.data, (size_t)w.u.data_bytes);
    assert_memory_equal(w.v.data, v.v.data, (size_t)w.v.data_bytes);
    assert_int_equal(differing_bits(w.basis.scales, v.basis.scales, w.basis.scale_count * 4u), 0);
    isg_free(out);
}

static void test_no_errors_is_a_copy(void **unused)
{
    (void)unused;
    const isg_bit_errors e = {.struct_size = sizeof e, .seed = 9};
    isg_bit_error_report r;
    uint8_t *out = inject(&e, &r);
    assert_memory_equal(out, image, image_bytes);
    isg_free(out);
}

static void test_scales_stay_finite(void **unused)
{
    (void)unused;
    isg_bit_errors e = {.struct_size = sizeof e};
    isg_bit_error_report r;
    isg_rt_model rt;
    e.rate[ISG_ERROR_SCALE] = e.rate[ISG_ERROR_BIAS] = 0.5;
    for (e.seed = 1; e.seed <= 40; e.seed++) {
        uint8_t *out = inject(&e, &r);
        assert_int_equal(isg_rt_open(&rt, out, image_bytes, NULL), ISG_OK);
        assert_true(r.flipped[ISG_ERROR_SCALE] + r.spared[ISG_ERROR_SCALE] <= r.bits[ISG_ERROR_SCALE]);
        assert_true(r.flipped[ISG_ERROR_BIAS] > 0);
        isg_free(out);
    }
}

/* Of 384 bits of U a rate of 0.25 flips 96 +- 8.5; five deviations either way. */
static void test_rate_and_seed(void **unused)
{
    (void)unused;
    isg_bit_errors e = {.struct_size = sizeof e, .seed = 77};
    isg_bit_error_report small, large;
    isg_rt_model rt;
    isg_weight clean, few, many;
    uint8_t *a, *b, *c;
    e.rate[ISG_ERROR_U] = 0.25;
    a = inject(&e, &small);
    assert_in_range(small.flipped[ISG_ERROR_U], 54, 138);
    b = inject(&e, &small);
    assert_memory_equal(a, b, image_bytes);
    isg_free(b);
    e.rate[ISG_ERROR_U] = 0.5;
    b = inject(&e, &large);
    assert_int_equal(isg_rt_open(&rt, image, image_bytes, NULL), ISG_OK);
    assert_int_equal(isg_rt_weight(&rt, 0, &clean), ISG_OK);
    assert_int_equal(isg_rt_open(&rt, a, image_bytes, NULL), ISG_OK);
    assert_int_equal(isg_rt_weight(&rt, 0, &few), ISG_OK);
    assert_int_equal(isg_rt_open(&rt, b, image_bytes, NULL), ISG_OK);
    assert_int_equal(isg_rt_weight(&rt, 0, &many), ISG_OK);
    for (uint64_t i = 0; i < clean.u.data_bytes; i++) {
        const uint8_t x = few.u.data[i] ^ clean.u.data[i], y = many.u.data[i] ^ clean.u.data[i];
        assert_int_equal(x & ~y, 0);
    }
    e.seed = 78;
    c = inject(&e, &large);
    assert_memory_not_equal(b, c, image_bytes);
    isg_free(a);
    isg_free(b);
    isg_free(c);
}

static void test_refusals(void **unused)
{
    (void)unused;
    isg_bit_errors e = {.struct_size = sizeof e};
    isg_bit_error_report r;
    void *out = NULL;
    e.rate[ISG_ERROR_V] = 1.5;
    assert_int_equal(isg_bit_errors_inject(&out, &r, image, image_bytes, &e, NULL), ISG_E_ARG);
    e.rate[ISG_ERROR_V] = 0.5;
    assert_int_not_equal(isg_bit_errors_inject(&out, &r, image, image_bytes - 1, &e, NULL), ISG_OK);
    for (uint64_t n = 1; n <= 2; n++) {
        (void)isgi_alloc_fail_at(n);
        assert_int_equal(isg_bit_errors_inject(&out, &r, image, image_bytes, &e, NULL), ISG_E_NOMEM);
        (void)isgi_alloc_fail_at(0);
    }
    assert_null(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_no_errors_is_a_copy),
        cmocka_unit_test(test_scales_stay_finite),
        cmocka_unit_test(test_rate_and_seed),
        cmocka_unit_test(test_refusals),
    };
    (void)everything_graph; /* of the shared helpers */
    return cmocka_run_group_tests_name("bit_errors", tests, make_image, free_image);
}
