/* SPDX-License-Identifier: Apache-2.0 */
/* Every rival method: what is decoded comes from the counted bytes, twice the same, and no bytes are unsafe. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/alloc.h"
#include "method_weights.h"

/* Settings besides the defaults, so that every parameter is moved once. */
static const char *const settings[] = {
    "uniform:bits=2",
    "uniform:bits=5",
    "dsconv:bits=2",
    "dsconv:bits=8,block=3",
    "circnn:block=2",
    "circnn:block=16,bits=5",
    "afloat:exponent=5,mantissa=6",
    "afloat:exponent=2,mantissa=0",
    "afloat:sparsity=0.6",
    "bsconv:bits=3",
    "penni:bases=3,bits=3",
    "penni:bases=9,sparsity=0.7",
    "prune:bits=3",
    "prune:sparsity=0.98",
    "smartdeal:threshold=0.1,rows=0.5",
    "patdnn:patterns=4,keep=2.5,bits=4",
};

static const isg_method_shape shapes[] = {{8, 4, 3, 3}, {5, 3, 3, 3}, {16, 24, 1, 1}, {7, 1, 3, 3},
                                          {6, 5, 5, 3}, {1, 1, 1, 1}, {33, 70, 3, 3}, {10, 64, 1, 1}};
#define SHAPES (sizeof shapes / sizeof shapes[0])

typedef void check_fn(const isg_method *m, const isg_method_shape *s);

static void for_each(check_fn *check)
{
    const size_t extra = sizeof settings / sizeof settings[0];
    for (size_t i = 0; i < isg_method_count() + extra; i++) {
        isg_method *m = create(i < extra ? settings[i] : isg_method_name((uint32_t)(i - extra)));
        for (size_t k = 0; k < SHAPES; k++) {
            if (isg_method_fits(m, &shapes[k])) check(m, &shapes[k]);
        }
        isg_method_destroy(m);
    }
}

static uint8_t *encode(const isg_method *m, const isg_method_shape *s, const float *w, size_t *size,
                       isg_method_cost *cost)
{
    isg_error err = {0};
    uint8_t *bytes;
    if (isg_method_encode(m, s, w, &bytes, size, cost, &err) != ISG_OK)
        fail_msg("%s: %s", isg_method_text(m), err.message);
    return bytes;
}

static float *decode(const isg_method *m, const isg_method_shape *s, const uint8_t *bytes, size_t size)
{
    isg_error err = {0};
    float *w = malloc(count_of(s) * sizeof *w);
    assert_non_null(w);
    if (isg_method_decode(m, s, bytes, size, w, &err) != ISG_OK) fail_msg("%s: %s", isg_method_text(m), err.message);
    return w;
}

static void check_round_trip(const isg_method *m, const isg_method_shape *s)
{
    float *w = make_weight(s, 1), *made;
    isg_method_cost cost;
    size_t size, again;
    uint8_t *bytes = encode(m, s, w, &size, &cost), *same = encode(m, s, w, &again, NULL);
    uint64_t bits = 0;
    for (int i = 0; i < ISG_SECTION_COUNT; i++) bits += cost.bits[i];
    assert_int_equal(size, (bits + 7) / 8);
    assert_int_equal(cost.weights, count_of(s));
    assert_true(size == again && !memcmp(bytes, same, size));
    made = decode(m, s, bytes, size);
    /* none is worse than zeros */
    if (!(error_of(w, made, count_of(s)) < 1.0)) fail_msg("%s: no weight is left", isg_method_text(m));
    isg_free(bytes);
    isg_free(same);
    free(w);
    free(made);
}

static void test_round_trip(void **state)
{
    (void)state;
    for_each(check_round_trip);
}

/* What was made once is stored again without much loss: weights that have the form of the method stay. */
static void check_projection(const isg_method *m, const isg_method_shape *s)
{
    float *w = make_weight(s, 2), *once, *twice;
    size_t size;
    uint8_t *bytes = encode(m, s, w, &size, NULL);
    once = decode(m, s, bytes, size);
    isg_free(bytes);
    bytes = encode(m, s, once, &size, NULL);
    twice = decode(m, s, bytes, size);
    if (!(error_of(once, twice, count_of(s)) < 1e-3))
        fail_msg("%s: %ux%ux%ux%u projected twice differs by %g", isg_method_text(m), s->co, s->ci, s->kh, s->kw,
                 error_of(once, twice, count_of(s)));
    isg_free(bytes);
    free(w);
    free(once);
    free(twice);
}

static void test_projection(void **state)
{
    (void)state;
    for_each(check_projection);
}

static void check_zeros(const isg_method *m, const isg_method_shape *s)
{
    float *w = calloc(count_of(s), sizeof *w), *made;
    size_t size;
    uint8_t *bytes;
    assert_non_null(w);
    bytes = encode(m, s, w, &size, NULL);
    made = decode(m, s, bytes, size);
    for (size_t i = 0; i < count_of(s); i++) assert_true(made[i] == 0.0f);
    isg_free(bytes);
    free(w);
    free(made);
}

static void test_zeros(void **state)
{
    (void)state;
    for_each(check_zeros);
}

/* Streams cut short or with a byte more are refused, and damaged ones harm nobody (the sanitizers watch). */
static void check_bad_bytes(const isg_method *m, const isg_method_shape *s)
{
    const size_t count = count_of(s);
    float *w = make_weight(s, 3);
    size_t size, step;
    uint8_t *bytes = encode(m, s, w, &size, NULL), *copy = malloc(size + 1);
    uint32_t state = 7;
    isg_error err;
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    copy[size] = 0;
    step = size / 40 + 1;
    for (size_t cut = 0; cut < size; cut += step)
        assert_int_equal(isg_method_decode(m, s, bytes, cut, w, &err), ISG_E_FORMAT);
    assert_int_equal(isg_method_decode(m, s, copy, size + 1, w, &err), ISG_E_FORMAT);
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 4; k++) {
            state = state * 1664525u + 1013904223u;
            copy[(state >> 4) % size] ^= (uint8_t)(1u << (state >> 29));
        }
        if (isg_method_decode(m, s, copy, size, w, &err) != ISG_OK) continue;
        for (size_t k = 0; k < count; k++) assert_true(isfinite(w[k]));
    }
    isg_free(bytes);
    free(copy);
    free(w);
}

static void test_bad_bytes(void **state)
{
    (void)state;
    for_each(check_bad_bytes);
}

static void check_memory(const isg_method *m, const isg_method_shape *s)
{
    float *w = make_weight(s, 4);
    uint8_t *bytes = NULL;
    size_t size;
    isg_error err;
    isg_status status;
    if (count_of(s) > 1000) {
        free(w);
        return;
    }
    for (uint64_t n = 1;; n++) {
        isgi_alloc_fail_at(n);
        status = isg_method_encode(m, s, w, &bytes, &size, NULL, &err);
        if (status == ISG_OK) status = isg_method_decode(m, s, bytes, size, w, &err);
        isgi_alloc_fail_at(0);
        isg_free(bytes);
        if (status == ISG_OK) break;
        assert_int_equal(status, ISG_E_NOMEM);
        assert_true(n < 10000);
    }
    free(w);
}

static void test_memory(void **state)
{
    (void)state;
    for_each(check_memory);
}

static void test_refusals(void **state)
{
    static const char *const wrong[] = {"",
                                        "no",
                                        "uniform:",
                                        "uniform:bits",
                                        "uniform:bits=1",
                                        "uniform:bits=9",
                                        "uniform:bits=2.5",
                                        "uniform:bits=nan",
                                        "uniform:x=1",
                                        "uniform:bits=4,"};
    const isg_method_shape one = {1, 1, 1, 2}, none = {0, 1, 1, 1}, huge = {65536, 65536, 1, 1};
    const float nan[2] = {1.0f, NAN}, wide[2] = {1e30f, 1.0f};
    isg_method *m;
    isg_error err;
    uint8_t *bytes;
    size_t size;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        err.message[0] = 0;
        assert_int_equal(isg_method_create(&m, wrong[i], &err), ISG_E_ARG);
        assert_null(m);
        assert_true(err.message[0] != 0);
    }
    m = create("uniform:bits=4");
    assert_string_equal(isg_method_text(m), "uniform:bits=4");
    assert_int_equal(isg_method_encode(m, &one, nan, &bytes, &size, NULL, &err), ISG_E_NUMERIC);
    assert_int_equal(isg_method_encode(m, &one, wide, &bytes, &size, NULL, &err), ISG_E_NUMERIC);
    assert_int_equal(isg_method_encode(m, &none, nan, &bytes, &size, NULL, &err), ISG_E_ARG);
    assert_int_equal(isg_method_encode(m, &huge, nan, &bytes, &size, NULL, &err), ISG_E_ARG);
    isg_method_destroy(m);
    isg_method_destroy(NULL);
}

/* A text makes the same method again, to the last bit and wherever the point of numbers is a comma. */
static void test_text(void **state)
{
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "fr_FR"};
    const char *found = NULL;
    isg_method *m;
    isg_error err;
    (void)state;
    for (size_t i = 0; i < sizeof commas / sizeof commas[0] && !found; i++) found = setlocale(LC_NUMERIC, commas[i]);
    if (!found) print_message("no locale with a comma here\n");
    m = create("prune:sparsity=0.90");
    assert_string_equal(isg_method_text(m), "prune:sparsity=0.9,bits=8");
    isg_method_destroy(m);
    m = create("dsconv:block=200");
    assert_string_equal(isg_method_text(m), "dsconv:bits=4,block=200");
    isg_method_destroy(m);
    m = create("prune:sparsity=0.123456789,bits=3");
    assert_string_equal(isg_method_text(m), "prune:sparsity=0.123456789,bits=3");
    isg_method_destroy(m);
    setlocale(LC_NUMERIC, "C");
    m = NULL;
    assert_int_equal(isg_method_create(&m, "nope:bits=3", &err), ISG_E_ARG);
    assert_non_null(strstr(err.message, "no method 'nope';"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_projection), cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_bad_bytes),  cmocka_unit_test(test_memory),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
