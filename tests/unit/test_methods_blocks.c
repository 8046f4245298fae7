/* SPDX-License-Identifier: Apache-2.0 */
/* DSConv, CirCNN and AdaptivFloat against their published formulas, and the bits that ResNet-18 takes with them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "method_weights.h"

static float *allocate(const isg_method_shape *s)
{
    float *w = calloc(count_of(s), sizeof *w);
    assert_non_null(w);
    return w;
}

/* ---- DSConv ---- */

/* As binary16, from its definition: 11 significant bits, and none below 2^-24. */
static double half(double x)
{
    int exponent;
    frexp(x, &exponent);
    if (exponent < -13) exponent = -13;
    return ldexp(rint(ldexp(x, 11 - exponent)), exponent - 11);
}

/* What the numbers x[0], x[stride], ... become. */
static void dsconv_block(const float *x, float *made, size_t count, size_t stride, int bits)
{
    const double least = -ldexp(1.0, bits - 1), most = -least - 1.0;
    double top = 0.0, xq = 0.0, qq = 0.0, alpha;
    for (size_t k = 0; k < count; k++) {
        if (fabs((double)x[k * stride]) > fabs(top)) top = x[k * stride];
    }
    for (size_t k = 0; k < count; k++) {
        double q = top != 0.0 ? rint(least / top * x[k * stride]) : 0.0;
        q = q > most ? most : q < least ? least : q;
        xq += q * x[k * stride];
        qq += q * q;
        made[k * stride] = (float)q;
    }
    alpha = qq > 0.0 ? half((float)(xq / qq)) : 0.0;
    for (size_t k = 0; k < count; k++) made[k * stride] *= (float)alpha;
}

static void check_dsconv(const isg_method_shape *s, int bits, uint32_t block, const float *w)
{
    const size_t taps = (size_t)s->kh * s->kw;
    float *want = allocate(s);
    uint64_t blocks = 0;
    char text[64];
    stored got;
    for (size_t o = 0; o < s->co; o++) {
        for (size_t t = 0; t < taps; t++) {
            for (size_t i = 0; i < s->ci; i += block, blocks++) {
                const size_t at = (o * s->ci + i) * taps + t, left = s->ci - i;
                dsconv_block(w + at, want + at, left < block ? left : block, taps, bits);
            }
        }
    }
    snprintf(text, sizeof text, "dsconv:bits=%d,block=%u", bits, (unsigned)block);
    got = store(text, s, w);
    for (size_t i = 0; i < count_of(s); i++) assert_true(got.made[i] == want[i]);
    assert_int_equal(got.cost.bits[ISG_SECTION_CODES], count_of(s) * (size_t)bits);
    assert_int_equal(got.cost.bits[ISG_SECTION_SCALES], 16 * blocks);
    free(want);
    release(&got);
}

static void test_dsconv(void **state)
{
    static const isg_method_shape shapes[] = {{3, 10, 3, 3}, {5, 64, 1, 1}, {2, 7, 1, 5}, {4, 2, 3, 3}};
    static const uint32_t blocks[] = {1, 3, 5, 64, 4096};
    (void)state;
    for (size_t k = 0; k < 4; k++) {
        for (size_t b = 0; b < 5; b++) {
            float *w = make_weight(&shapes[k], (uint32_t)(10 * k + b));
            for (int bits = 2; bits <= 8; bits++) check_dsconv(&shapes[k], bits, blocks[b], w);
            free(w);
        }
    }
}

/* A depthwise layer would be a factor a number, and codes besides. */
static void test_dsconv_fits(void **state)
{
    const isg_method_shape depthwise = {8, 1, 3, 3}, two = {8, 2, 3, 3};
    isg_method *m;
    isg_error err;
    (void)state;
    assert_int_equal(isg_method_create(&m, "dsconv", &err), ISG_OK);
    assert_false(isg_method_fits(m, &depthwise));
    assert_true(isg_method_fits(m, &two));
    isg_method_destroy(m);
}

/* The largest magnitude has the code -2^(n-1) whatever its sign; an equal one of the other sign is cut. */
static void test_dsconv_range(void **state)
{
    const isg_method_shape s = {2, 4, 1, 1};
    const float w[8] = {-8.0f, 7.0f, 1.0f, 0.0f, 8.0f, -8.0f, 2.0f, 0.0f};
    /* q = -8, 7, -8 and 7 (cut), 2: alpha = -(64 + 56 + 4) / (64 + 49 + 4) */
    const double alpha = half((float)(124.0 / 117.0));
    stored got = store("dsconv:bits=4,block=4", &s, w);
    (void)state;
    for (int i = 0; i < 4; i++) assert_true(got.made[i] == w[i]);
    assert_true(got.made[4] == (float)(8 * alpha) && got.made[5] == (float)(-7 * alpha));
    assert_true(got.made[6] == (float)(2 * alpha) && got.made[7] == 0.0f && !signbit(got.made[7]));
    release(&got);
}

/* ---- CirCNN ---- */

/* Block, tap and diagonal of weight [o][i][t]. */
static int same_number(const isg_method_shape *s, size_t block, size_t a, size_t b)
{
    const size_t taps = (size_t)s->kh * s->kw, ta = a % taps, tb = b % taps;
    const size_t oa = a / taps / s->ci, ob = b / taps / s->ci, ia = a / taps % s->ci, ib = b / taps % s->ci;
    return ta == tb && oa / block == ob / block && ia / block == ib / block &&
           (oa + 4 * block * s->ci - ia) % block == (ob + 4 * block * s->ci - ib) % block;
}

/* Targets on a grid of 1/32 of which one in every row of blocks is 127/32, so that codes of 8 bits hold them exactly;
 * around them numbers whose mean is the target. What comes back is the target. */
static void check_circnn(const isg_method_shape *s, uint32_t block)
{
    const size_t count = count_of(s), row = block * s->ci * (size_t)s->kh * s->kw;
    float *w = allocate(s), *want = allocate(s);
    uint64_t numbers = 0;
    char text[64];
    stored got;
    for (size_t a = 0; a < count; a++) {
        size_t members = 0, before = 0, first = count;
        for (size_t b = 0; b < count; b++) {
            if (!same_number(s, block, a, b)) continue;
            if (first == count) first = b;
            members++;
            before += b < a;
        }
        numbers += first == a;
        want[a] = first % row == 0 ? 127.0f / 32.0f : (float)(int)((first * 2654435761u >> 7) % 255u - 127) / 32.0f;
        w[a] = want[a] + (before % 2 ? -0.125f : before + 1 < members ? 0.125f : 0.0f);
    }
    snprintf(text, sizeof text, "circnn:block=%u", (unsigned)block);
    got = store(text, s, w);
    for (size_t a = 0; a < count; a++) assert_true(got.made[a] == want[a]);
    assert_int_equal(got.cost.bits[ISG_SECTION_CODES], 8 * numbers);
    assert_int_equal(got.cost.bits[ISG_SECTION_SCALES], 16 * ((s->co + block - 1) / block));
    free(w);
    free(want);
    release(&got);
}

static void test_circnn(void **state)
{
    static const isg_method_shape shapes[] = {{8, 8, 1, 1}, {5, 3, 2, 1}, {16, 12, 1, 1}, {7, 11, 1, 2}, {2, 2, 3, 3}};
    static const uint32_t blocks[] = {2, 3, 4, 8, 256};
    (void)state;
    for (size_t k = 0; k < 5; k++) {
        for (size_t b = 0; b < 5; b++) check_circnn(&shapes[k], blocks[b]);
    }
}

/* Of any weight: every number is the mean over its diagonal, but for the rounding of codes of 8 bits. */
static void test_circnn_random(void **state)
{
    const isg_method_shape s = {6, 9, 2, 2};
    const size_t count = count_of(&s);
    float *w = make_weight(&s, 5);
    stored got = store("circnn:block=4,bits=8", &s, w);
    double lost = 0.0, whole = 0.0;
    (void)state;
    for (size_t a = 0; a < count; a++) {
        double sum = 0.0;
        size_t members = 0;
        for (size_t b = 0; b < count; b++) {
            if (!same_number(&s, 4, a, b)) continue;
            assert_true(got.made[a] == got.made[b]);
            sum += w[b];
            members++;
        }
        lost += pow(got.made[a] - sum / (double)members, 2.0);
        whole += pow(sum / (double)members, 2.0);
    }
    assert_true(lost < 1e-4 * whole);
    free(w);
    release(&got);
}

static void test_circnn_fits(void **state)
{
    const isg_method_shape one_in = {8, 1, 3, 3}, one_out = {1, 8, 3, 3}, two = {2, 2, 1, 1};
    isg_method *m;
    isg_error err;
    (void)state;
    assert_int_equal(isg_method_create(&m, "circnn", &err), ISG_OK);
    assert_false(isg_method_fits(m, &one_in));
    assert_false(isg_method_fits(m, &one_out));
    assert_true(isg_method_fits(m, &two));
    isg_method_destroy(m);
}

/* ---- AdaptivFloat ---- */

/* Nearest of all magnitudes of the format; from equally near ones, zero, or the even mantissa of 1 + mantissa bits. */
static double nearest(double size, int top, int exponent, int mantissa)
{
    const int steps = 1 << mantissa;
    double best = 0.0;
    for (int e = 0; e < 1 << exponent; e++) {
        for (int k = 0; k < steps; k++) {
            const double x = ldexp(1.0 + (double)k / steps, top - (1 << exponent) + 1 + e);
            if (e == 0 && k == 0) continue;
            if (fabs(x - size) < fabs(best - size)) best = x;
            /* powers of two are even but for mantissas of one bit, where 1 is odd and 2 is even: the upper */
            if (fabs(x - size) == fabs(best - size) && best > 0.0 && (mantissa ? k % 2 == 0 : 1)) best = x;
        }
    }
    return best;
}

static int top_of(const float *w, size_t count)
{
    double most = 0.0;
    int top = -100;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs((double)w[i]));
    while (ldexp(1.0, top + 1) <= most) top++;
    return top;
}

static void check_afloat(const isg_method_shape *s, const float *w, int exponent, int mantissa)
{
    const int top = top_of(w, count_of(s));
    char text[64];
    stored got;
    snprintf(text, sizeof text, "afloat:exponent=%d,mantissa=%d", exponent, mantissa);
    got = store(text, s, w);
    for (size_t i = 0; i < count_of(s); i++) {
        const double want = copysign(nearest(fabs((double)w[i]), top, exponent, mantissa), w[i]);
        if (got.made[i] != want) fail_msg("%s: %.9g became %.9g, not %.9g", text, w[i], got.made[i], want);
    }
    assert_int_equal(got.cost.bits[ISG_SECTION_CODES], count_of(s) * (size_t)(1 + exponent + mantissa));
    assert_int_equal(got.cost.bits[ISG_SECTION_SCALES], 8);
    assert_int_equal(got.cost.bits[ISG_SECTION_MASKS], 0);
    release(&got);
}

static void test_afloat(void **state)
{
    const isg_method_shape s = {4, 9, 3, 3};
    float *w = make_weight(&s, 6);
    (void)state;
    /* from beyond the largest magnitude of any format (rounded up it would be 2) down to zeros, and ties */
    w[0] = 1.999f;
    for (int i = 1; i < 60; i++) w[i] = ldexpf(i % 2 ? -1.0f : 1.0f, -i / 2);
    for (int i = 60; i < 120; i++) w[i] = ldexpf(1.0f + (float)(i % 16) / 16.0f, -(i % 5));
    for (int exponent = 2; exponent <= 5; exponent++) {
        for (int mantissa = 0; mantissa <= 6; mantissa++) check_afloat(&s, w, exponent, mantissa);
    }
    free(w);
}

/* EdgeBERT's eight bits: magnitudes 2^(top-7) (1 + k/16), of which the smallest means zero. */
static void test_afloat_ends(void **state)
{
    const isg_method_shape s = {1, 8, 1, 1};
    const float least = 0x1.1p-7f;
    const float w[8] = {1.0f, 1.99f, -1.99f, 0x1p-7f, 0.51f * 0x1.1p-7f, 0.5f * 0x1.1p-7f, -0.49f * 0x1.1p-7f, -0.0f};
    const float want[8] = {1.0f, 1.9375f, -1.9375f, least, least, 0.0f, 0.0f, 0.0f};
    stored got = store("afloat", &s, w);
    (void)state;
    assert_memory_equal(got.made, want, sizeof want);
    release(&got);
}

typedef struct place {
    double size;
    size_t at;
} place;

static int compare(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->at > y->at ? -1 : x->at < y->at;
}

/* Like the dense one, with the smallest dropped before, of equal ones the last; magnitudes on a coarse grid, so that
 * many are equal. */
static void test_afloat_sparse(void **state)
{
    const isg_method_shape s = {5, 5, 2, 2};
    const size_t count = count_of(&s);
    float *w = make_weight(&s, 7);
    (void)state;
    for (size_t i = 0; i < count; i++) w[i] = rintf(w[i] * 40.0f) / 8.0f;
    for (int percent = 1; percent < 100; percent++) {
        place places[100];
        uint64_t kept = 0;
        char text[64];
        stored got, dense = store("afloat:mantissa=3", &s, w);
        for (size_t i = 0; i < count; i++) places[i] = (place){fabs((double)w[i]), i};
        qsort(places, count, sizeof *places, compare);
        for (int i = 0; i < percent; i++) dense.made[places[i].at] = 0.0f;
        snprintf(text, sizeof text, "afloat:mantissa=3,sparsity=0.%02d", percent);
        got = store(text, &s, w);
        assert_memory_equal(got.made, dense.made, count * sizeof *w);
        for (size_t i = 0; i < count; i++) kept += dense.made[i] != 0.0f;
        assert_int_equal(got.cost.bits[ISG_SECTION_MASKS], count);
        assert_int_equal(got.cost.bits[ISG_SECTION_CODES], 7 * kept);
        assert_true(kept > 0 && kept <= count - (size_t)percent);
        release(&got);
        release(&dense);
    }
    free(w);
}

/* The largest magnitude's exponent has 240 values; bytes with others are not an encoder's. */
static void test_afloat_exponent(void **state)
{
    const isg_method_shape s = {1, 1, 1, 1};
    isg_method *m;
    isg_error err;
    float w = 0.0f;
    (void)state;
    assert_int_equal(isg_method_create(&m, "afloat", &err), ISG_OK);
    for (int top = 0; top < 256; top++) {
        const uint8_t bytes[2] = {(uint8_t)top, 0x7f};
        assert_int_equal(isg_method_decode(m, &s, bytes, 2, &w, &err), top < 240 ? ISG_OK : ISG_E_FORMAT);
        if (top < 240) assert_true(w == ldexpf(1.9375f, top - 112));
    }
    isg_method_destroy(m);
}

/* ---- all three ---- */

/* Numbers that a method has made are made again, to the last bit, from the same bytes. */
static void check_twice(const char *text, const isg_method_shape *s, const float *w)
{
    stored once = store(text, s, w), twice = store(text, s, once.made);
    if (once.size != twice.size || memcmp(once.bytes, twice.bytes, once.size) ||
        memcmp(once.made, twice.made, count_of(s) * sizeof *w))
        fail_msg("%s: %ux%ux%ux%u is not the same twice", text, s->co, s->ci, s->kh, s->kw);
    release(&once);
    release(&twice);
}

static void test_twice(void **state)
{
    static const char *const texts[] = {
        "dsconv",
        "dsconv:bits=2,block=5",
        "dsconv:bits=8,block=4096",
        "dsconv:bits=3,block=1",
        "circnn:block=2",
        "circnn:block=5,bits=3",
        "circnn:block=256,bits=8",
        "circnn:bits=4",
        "afloat",
        "afloat:exponent=2,mantissa=0",
        "afloat:exponent=5,mantissa=6",
        "afloat:sparsity=0.5",
        "afloat:exponent=2,mantissa=1,sparsity=0.9",
    };
    static const isg_method_shape shapes[] = {{8, 16, 3, 3}, {7, 5, 3, 1}, {33, 18, 1, 1}, {2, 130, 3, 3}};
    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof texts[0] * 4 * 3; k++) {
        const isg_method_shape *s = &shapes[k / 3 % 4];
        float *w = make_weight(s, (uint32_t)k);
        /* as they are; with channels of zeros and equal magnitudes; far too small for binary16, and some zeros */
        for (size_t i = 0; i < count_of(s); i++) {
            if (k % 3 == 1) w[i] = i / 30 % 3 == 0 ? 0.0f : copysignf(0.25f, w[i]);
            if (k % 3 == 2) w[i] *= i % 7 ? 1e-12f : -0.0f;
        }
        check_twice(texts[k / 12], s, w);
        free(w);
    }
}

/* ---- the bits of ResNet-18 for CIFAR ---- */

/* The 20 convolutions: of every shape, how many. */
static const struct {
    isg_method_shape shape;
    uint32_t times;
} convolutions[] = {
    {{64, 3, 3, 3}, 1},    {{64, 64, 3, 3}, 4},   {{128, 64, 3, 3}, 1},  {{128, 128, 3, 3}, 3},
    {{128, 64, 1, 1}, 1},  {{256, 128, 3, 3}, 1}, {{256, 256, 3, 3}, 3}, {{256, 128, 1, 1}, 1},
    {{512, 256, 3, 3}, 1}, {{512, 512, 3, 3}, 3}, {{512, 256, 1, 1}, 1},
};
#define CONVOLUTIONS (sizeof convolutions / sizeof convolutions[0])
#define WEIGHTS 11159232u

/* Sums over all of them, of bytes that were written. */
static isg_method_cost cost_of_resnet(const char *text)
{
    isg_method_cost sum = {0};
    uint64_t bits = 0;
    uint32_t layers = 0;
    for (size_t k = 0; k < CONVOLUTIONS; k++) {
        const isg_method_shape *s = &convolutions[k].shape;
        float *w = make_weight(s, (uint32_t)k);
        stored one = store(text, s, w);
        sum.weights += one.cost.weights * convolutions[k].times;
        for (int i = 0; i < ISG_SECTION_COUNT; i++) sum.bits[i] += one.cost.bits[i] * convolutions[k].times;
        layers += convolutions[k].times;
        free(w);
        release(&one);
    }
    for (int i = 0; i < ISG_SECTION_COUNT; i++) bits += sum.bits[i];
    assert_int_equal(layers, 20);
    assert_int_equal(sum.weights, WEIGHTS);
    print_message("%-32s %8.1f KiB, %.4f bits a weight\n", text, (double)bits / 8192.0, (double)bits / WEIGHTS);
    return sum;
}

static void test_dsconv_bits(void **state)
{
    /* with factors of binary32, in KiB */
    static const struct {
        const char *text;
        uint32_t bits, block, kib;
    } rows[] = {{"dsconv:bits=4,block=64", 4, 64, 6132},
                {"dsconv:bits=3,block=128", 3, 128, 4436},
                {"dsconv:bits=2,block=256", 2, 256, 2919}};
    (void)state;
    for (size_t r = 0; r < 3; r++) {
        const isg_method_cost cost = cost_of_resnet(rows[r].text);
        uint64_t blocks = 0;
        for (size_t k = 0; k < CONVOLUTIONS; k++) {
            const isg_method_shape *s = &convolutions[k].shape;
            blocks +=
                (uint64_t)convolutions[k].times * s->co * s->kh * s->kw * ((s->ci + rows[r].block - 1) / rows[r].block);
        }
        assert_int_equal(cost.bits[ISG_SECTION_CODES], (uint64_t)rows[r].bits * WEIGHTS);
        assert_int_equal(cost.bits[ISG_SECTION_SCALES], 16 * blocks);
        assert_int_equal(lrint((double)(cost.bits[ISG_SECTION_CODES] + 32 * blocks) / 8192.0), rows[r].kib);
    }
}

static void test_circnn_bits(void **state)
{
    /* without scales and with the three input channels of the first layer stored dense, in KiB */
    static const struct {
        const char *text;
        uint32_t block, kib;
    } rows[] = {{"circnn:block=8", 8, 1364}, {"circnn:block=16", 16, 683}, {"circnn:block=64", 64, 172}};
    (void)state;
    for (size_t r = 0; r < 3; r++) {
        const isg_method_cost cost = cost_of_resnet(rows[r].text);
        const uint64_t first = 64 * 3 * 9, first_stored = 64 / rows[r].block * 9 * rows[r].block;
        uint64_t scales = 0;
        for (size_t k = 0; k < CONVOLUTIONS; k++)
            scales += (uint64_t)convolutions[k].times * convolutions[k].shape.co / rows[r].block;
        assert_int_equal(cost.bits[ISG_SECTION_CODES], 8 * ((WEIGHTS - first) / rows[r].block + first_stored));
        assert_int_equal(cost.bits[ISG_SECTION_SCALES], 16 * scales);
        assert_int_equal(lrint((double)(cost.bits[ISG_SECTION_CODES] + 8 * (first - first_stored)) / 8192.0),
                         rows[r].kib);
    }
}

static void test_afloat_bits(void **state)
{
    isg_method_cost cost = cost_of_resnet("afloat");
    uint64_t kept = 0;
    (void)state;
    assert_int_equal(cost.bits[ISG_SECTION_CODES], 8u * (uint64_t)WEIGHTS);
    assert_int_equal(cost.bits[ISG_SECTION_SCALES], 8 * 20);
    cost = cost_of_resnet("afloat:sparsity=0.6");
    for (size_t k = 0; k < CONVOLUTIONS; k++) {
        const uint64_t count = count_of(&convolutions[k].shape);
        kept += convolutions[k].times * (count - 6 * count / 10);
    }
    assert_int_equal(cost.bits[ISG_SECTION_MASKS], WEIGHTS);
    assert_int_equal(cost.bits[ISG_SECTION_CODES], 8 * kept);
    assert_int_equal(cost.bits[ISG_SECTION_SCALES], 8 * 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dsconv),        cmocka_unit_test(test_dsconv_range),
        cmocka_unit_test(test_dsconv_fits),   cmocka_unit_test(test_circnn),
        cmocka_unit_test(test_circnn_random), cmocka_unit_test(test_circnn_fits),
        cmocka_unit_test(test_afloat),        cmocka_unit_test(test_afloat_ends),
        cmocka_unit_test(test_afloat_sparse), cmocka_unit_test(test_afloat_exponent),
        cmocka_unit_test(test_twice),         cmocka_unit_test(test_dsconv_bits),
        cmocka_unit_test(test_circnn_bits),   cmocka_unit_test(test_afloat_bits),
    };
    return cmocka_run_group_tests_name("methods_blocks", tests, NULL, NULL);
}
