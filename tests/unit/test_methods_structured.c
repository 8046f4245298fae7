/* SPDX-License-Identifier: Apache-2.0 */
/* SmartDeal and PatDNN against their formulas in plain loops, and what they take of ResNet-18. */
#include <float.h>
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

static uint32_t bits_at(const uint8_t *bytes, size_t at, uint32_t count)
{
    uint32_t x = 0;
    for (uint32_t i = 0; i < count; i++) x |= (uint32_t)(bytes[(at + i) / 8] >> (at + i) % 8 & 1) << i;
    return x;
}

static void set_bits(uint8_t *bytes, size_t at, uint32_t count, uint32_t x)
{
    for (uint32_t i = 0; i < count; i++) {
        bytes[(at + i) / 8] &= (uint8_t) ~(1u << (at + i) % 8);
        bytes[(at + i) / 8] |= (uint8_t)((x >> i & 1u) << (at + i) % 8);
    }
}

static void assert_refused(const char *text, const isg_method_shape *s, const uint8_t *bytes, size_t size)
{
    isg_method *m = create(text);
    isg_error err = {0};
    float *w = malloc(count_of(s) * sizeof *w);
    assert_non_null(w);
    assert_int_equal(isg_method_decode(m, s, bytes, size, w, &err), ISG_E_FORMAT);
    free(w);
    isg_method_destroy(m);
}

/* ---- SmartDeal ---- */

/* The stream by hand: a scale in binary16, nine bytes, then a mask bit and three codes a row. */
static void read_smartdeal(const uint8_t *bytes, size_t rows, float *w)
{
    const uint32_t half = bits_at(bytes, 0, 16);
    const double scale = ldexp((half & 1023u) + 1024.0, (int)(half >> 10) - 25);
    double b[3][3];
    size_t at = 16;
    for (int i = 0; i < 9; i++, at += 8) b[i / 3][i % 3] = scale * ((double)bits_at(bytes, at, 8) - 127.0);
    for (size_t r = 0; r < rows; r++) {
        double c[3] = {0.0, 0.0, 0.0};
        if (bits_at(bytes, at++, 1)) {
            for (int i = 0; i < 3; i++, at += 4) {
                const uint32_t code = bits_at(bytes, at, 4);
                c[i] = code & 7u ? (code & 8u ? -1.0 : 1.0) * pow(2.0, (double)(code & 7u) - 7.0) : 0.0;
            }
        }
        for (int j = 0; j < 3; j++) w[3 * r + j] = (float)(c[0] * b[0][j] + c[1] * b[1][j] + c[2] * b[2][j]);
    }
}

/* What has the form with a basis that is about diagonal, as where the fit starts, comes out as it is; and it is read
 * from the bytes by their description. */
static void test_smartdeal_form(void **state)
{
    static const double b[3][3] = {{127, 9, -5}, {-6, 103, 11}, {4, -8, 90}};
    const isg_method_shape s = {1, 40, 3, 3};
    float w[360], by_hand[360];
    uint32_t seed = 9;
    stored t;
    (void)state;
    for (int r = 0; r < 120; r++) {
        double c[3];
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525u + 1013904223u;
            c[i] = pow(2.0, -(double)((seed >> 20) % 7u)) * (seed >> 31 ? -1.0 : 1.0);
            if (r < 3) c[i] = r == i;
        }
        for (int j = 0; j < 3; j++) w[3 * r + j] = (float)((c[0] * b[0][j] + c[1] * b[1][j] + c[2] * b[2][j]) / 512.0);
    }
    t = store("smartdeal", &s, w);
    read_smartdeal(t.bytes, 120, by_hand);
    for (int i = 0; i < 360; i++) {
        assert_true(fabsf(w[i] - t.made[i]) < 1e-6f);
        assert_true(fabsf(by_hand[i] - t.made[i]) < 1e-6f);
    }
    assert_int_equal(t.bits, 16 + 72 + 120 * 13);
    assert_true(t.cost.shift_adds == 3.0 * 360.0 && t.cost.multiply_adds == 0.0);
    release(&t);
}

/* One column, scaled by its many ones: powers of two nearest in linear scale, of seven exponents, then lstsq. */
static void test_smartdeal_powers(void **state)
{
    static const struct {
        float from;
        double to, to_sparse; /* with the threshold 0.3, which 1/4 is below */
    } cases[] = {{0.72f, 0.5, 0.5},   {0.78f, 1.0, 1.0},   {-0.36f, -0.25, 0.0}, {-0.4f, -0.5, -0.5}, {0.2f, 0.25, 0.0},
                 {0.013f, 0x1p-6, 0}, {0.009f, 0x1p-6, 0}, {0.006f, 0.0, 0.0},   {-0.0009f, 0.0, 0.0}};
    enum { CASES = sizeof cases / sizeof cases[0] };
    const isg_method_shape s = {1, 60, 3, 3};
    (void)state;
    for (int sparse = 0; sparse < 2; sparse++) {
        float w[540] = {0};
        double q[180], qa = 0.0, qq = 0.0;
        stored t;
        for (int r = 0; r < 180; r++) {
            w[3 * r] = r < CASES ? cases[r].from : 1.0f;
            q[r] = r < CASES ? (sparse ? cases[r].to_sparse : cases[r].to) : 1.0;
            qa += q[r] * w[3 * r];
            qq += q[r] * q[r];
        }
        t = store(sparse ? "smartdeal:threshold=0.3" : "smartdeal:threshold=0", &s, w);
        for (int r = 0; r < 180; r++) {
            assert_true(fabs(t.made[3 * r] - q[r] * qa / qq) < 1e-3 * fabs(q[r]) + 1e-9);
            assert_true(t.made[3 * r + 1] == 0.0f && t.made[3 * r + 2] == 0.0f);
        }
        release(&t);
    }
}

/* Better than the powers of two nearest to weights scaled a column, worse than nothing at all. */
static void test_smartdeal_basis(void **state)
{
    const isg_method_shape s = {4, 64, 3, 3};
    float *w = make_weight(&s, 5);
    stored t = store("smartdeal", &s, w);
    const double error = error_of(w, t.made, count_of(&s));
    double least = INFINITY;
    (void)state;
    for (int k = 0; k < 64; k++) {
        double cq = 0.0, qq = 0.0, cc = 0.0;
        for (size_t i = 0; i < count_of(&s); i++) {
            const double x = fabs(w[i]) * exp2(k / 64.0), low = exp2(floor(log2(x))), q = x < 1.5 * low ? low : 2 * low;
            cq += x * q;
            qq += q * q;
            cc += x * x;
        }
        least = fmin(least, 1.0 - cq * cq / qq / cc);
    }
    printf("smartdeal: 64 x 3 x 3 normal weights, squared error %.4f, without a basis %.4f\n", error, least);
    assert_true(error < least && error > 0.5 * least);
    release(&t);
    free(w);
}

static void test_smartdeal_rows(void **state)
{
    const isg_method_shape s = {6, 5, 3, 3};
    float *w = make_weight(&s, 6);
    stored t = store("smartdeal:rows=0.4", &s, w);
    uint64_t kept = 0;
    (void)state;
    for (int r = 0; r < 90; r++) {
        double mine = 0.0;
        int smaller = 0;
        for (int j = 0; j < 3; j++) mine += (double)w[3 * r + j] * w[3 * r + j];
        for (int o = 0; o < 90; o++) {
            double other = 0.0;
            for (int j = 0; j < 3; j++) other += (double)w[3 * o + j] * w[3 * o + j];
            smaller += other < mine;
        }
        for (int j = 0; j < 3 && smaller < 36; j++) assert_true(t.made[3 * r + j] == 0.0f);
        if (smaller < 36) continue;
        assert_true(t.made[3 * r] != 0.0f || t.made[3 * r + 1] != 0.0f || t.made[3 * r + 2] != 0.0f);
        kept++;
    }
    assert_int_equal(kept, 54);
    assert_int_equal(t.cost.bits[ISG_SECTION_CODES], 12 * kept);
    assert_int_equal(t.cost.bits[ISG_SECTION_MASKS], 90);
    assert_int_equal(t.cost.bits[ISG_SECTION_BASES], 6 * 72);
    assert_int_equal(t.cost.bits[ISG_SECTION_SCALES], 6 * 16);
    release(&t);
    free(w);
}

/* Where a filter has no more rows than its basis there is nothing to share. */
static void test_smartdeal_fits(void **state)
{
    const isg_method_shape depthwise = {8, 1, 3, 3}, nine = {8, 9, 1, 1}, ten = {8, 10, 1, 1}, wide = {8, 1, 5, 5};
    isg_method *m;
    isg_error err;
    (void)state;
    assert_int_equal(isg_method_create(&m, "smartdeal", &err), ISG_OK);
    assert_false(isg_method_fits(m, &depthwise));
    assert_false(isg_method_fits(m, &nine));
    assert_true(isg_method_fits(m, &ten));
    assert_true(isg_method_fits(m, &wide));
    isg_method_destroy(m);
}

static void test_smartdeal_bad(void **state)
{
    const isg_method_shape s = {1, 4, 3, 3};
    float *w = make_weight(&s, 7);
    stored t = store("smartdeal", &s, w);
    (void)state;
    assert_int_equal(bits_at(t.bytes, 16 + 72, 1), 1);
    set_bits(t.bytes, 16 + 72 + 1, 12, 0x111);
    assert_refused("smartdeal", &s, t.bytes, t.size - 1);
    set_bits(t.bytes, 16 + 72 + 1, 12, 0x181);
    assert_refused("smartdeal", &s, t.bytes, t.size);
    set_bits(t.bytes, 16 + 72 + 1, 12, 0x000);
    assert_refused("smartdeal", &s, t.bytes, t.size);
    release(&t);
    free(w);
}

/* ---- PatDNN ---- */

static double energy_in(const float *w, uint32_t mask)
{
    double sum = 0.0;
    for (int t = 0; t < 9; t++) sum += mask >> t & 1u ? (double)w[t] * w[t] : 0.0;
    return sum;
}

/* The tap sets of `kernels` kernels, 0 where connectivity pruning takes one: straight from the paper. */
static void patdnn_by_hand(const float *w, int kernels, int patterns, int kept, uint32_t *masks)
{
    static const int ring[8] = {0, 1, 2, 3, 5, 6, 7, 8};
    uint32_t all[56], chosen[56];
    int votes[56] = {0}, count = 0;
    for (int a = 0; a < 8; a++)
        for (int b = a + 1; b < 8; b++)
            for (int c = b + 1; c < 8; c++) all[count++] = 1u << ring[a] | 1u << ring[b] | 1u << ring[c] | 1u << 4;
    assert_int_equal(count, 56);
    for (int k = 0; k < kernels; k++) {
        int best = 0;
        for (int i = 1; i < 56; i++)
            if (energy_in(w + 9 * k, all[i]) > energy_in(w + 9 * k, all[best])) best = i;
        votes[best]++;
    }
    for (int p = 0; p < patterns; p++) {
        int best = -1;
        for (int i = 0; i < 56; i++) /* of as many votes the smallest set */
            if (best < 0 || votes[i] > votes[best] || (votes[i] == votes[best] && all[i] < all[best])) best = i;
        chosen[p] = all[best];
        votes[best] = -1;
    }
    for (int k = 0; k < kernels; k++) {
        masks[k] = chosen[0];
        for (int p = 1; p < patterns; p++)
            if (energy_in(w + 9 * k, chosen[p]) > energy_in(w + 9 * k, masks[k])) masks[k] = chosen[p];
    }
    for (int left = kernels; left > kept; left--) {
        int worst = -1;
        for (int k = 0; k < kernels; k++)
            if (masks[k] && (worst < 0 || energy_in(w + 9 * k, masks[k]) < energy_in(w + 9 * worst, masks[worst])))
                worst = k;
        masks[worst] = 0;
    }
}

static void check_patdnn(const char *text, int patterns, int kept, int most)
{
    const isg_method_shape s = {8, 10, 3, 3};
    float *w = make_weight(&s, 8);
    uint32_t masks[80];
    stored t = store(text, &s, w);
    patdnn_by_hand(w, 80, patterns, kept, masks);
    for (int o = 0; o < 8; o++) {
        float top = 0.0f;
        for (int i = 0; i < 90; i++)
            if (masks[10 * o + i / 9] >> i % 9 & 1u) top = fmaxf(top, fabsf(w[90 * o + i]));
        for (int i = 0; i < 90; i++) {
            const int there = masks[10 * o + i / 9] >> i % 9 & 1u;
            /* half a step, or what the scale with the least error clips */
            if (there) assert_true(fabsf(w[90 * o + i] - t.made[90 * o + i]) <= 2.0f * top / (float)most);
            if (!there) assert_true(t.made[90 * o + i] == 0.0f);
        }
    }
    release(&t);
    free(w);
}

static void test_patdnn_patterns(void **state)
{
    (void)state;
    check_patdnn("patdnn", 8, 80, 127);
    check_patdnn("patdnn:patterns=56", 56, 80, 127);
    check_patdnn("patdnn:patterns=1,bits=6", 1, 80, 31);
    check_patdnn("patdnn:patterns=3,keep=2.5", 3, 32, 127);
    check_patdnn("patdnn:patterns=6,keep=16,bits=5", 6, 5, 15);
}

static void test_patdnn_bits(void **state)
{
    const isg_method_shape s = {8, 10, 3, 3}, one = {6, 1, 3, 3}, other = {8, 10, 3, 5};
    float *w = make_weight(&s, 9);
    isg_method *m = create("patdnn");
    stored t = store("patdnn:patterns=6,bits=5", &s, w);
    (void)state;
    assert_int_equal(t.cost.bits[ISG_SECTION_INDICES], 6 * 6 + 80 * 3);
    assert_int_equal(t.cost.bits[ISG_SECTION_CODES], 80 * 4 * 5);
    assert_int_equal(t.cost.bits[ISG_SECTION_SCALES], 8 * 16);
    assert_true(t.cost.shift_adds == 0.0 && t.cost.multiply_adds == 0.0);
    release(&t);
    t = store("patdnn:patterns=9,keep=2", &s, w);
    assert_int_equal(t.cost.bits[ISG_SECTION_INDICES], 9 * 6 + 8 * 4 + 40 * (4 + 4));
    assert_int_equal(t.cost.bits[ISG_SECTION_CODES], 40 * 4 * 8);
    release(&t);
    t = store("patdnn:patterns=1,keep=3", &one, w); /* one input channel, one pattern: neither has a number */
    assert_int_equal(t.cost.bits[ISG_SECTION_INDICES], 6 + 6 * 1);
    assert_int_equal(t.cost.bits[ISG_SECTION_SCALES], 2 * 16);
    release(&t);
    assert_false(isg_method_fits(m, &other));
    isg_method_destroy(m);
    free(w);
}

static void test_patdnn_bad(void **state)
{
    const char *text = "patdnn:patterns=5,keep=2";
    const isg_method_shape s = {1, 10, 3, 3};
    const size_t kernels = 5 * 6 + 4;
    float *w = make_weight(&s, 10);
    stored t = store(text, &s, w);
    uint8_t *copy = malloc(t.size);
    const struct {
        size_t at;
        uint32_t bits, code;
    } wrong[] = {
        {0, 6, 56},                     /* no such pattern */
        {6, 6, bits_at(t.bytes, 0, 6)}, /* twice the same */
        {5 * 6, 4, 11},                 /* more kernels than there are */
        {kernels, 4, 10},               /* no such input channel */
        {kernels + 7, 4, 0},            /* they do not ascend */
        {kernels + 4, 3, 5},            /* no such pattern of the layer */
    };
    (void)state;
    assert_int_equal(bits_at(t.bytes, 5 * 6, 4), 5);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memcpy(copy, t.bytes, t.size);
        set_bits(copy, wrong[i].at, wrong[i].bits, wrong[i].code);
        assert_refused(text, &s, copy, t.size);
    }
    free(copy);
    release(&t);
    free(w);
}

/* Scales that binary16 does not hold are an error, whatever becomes of sums on the way. */
static void test_wide(void **state)
{
    static const char *const texts[] = {"smartdeal", "smartdeal:rows=0.5", "patdnn", "patdnn:keep=2"};
    static const float scales[] = {1e10f, 1e30f, 3e38f};
    const isg_method_shape s = {2, 3, 3, 3};
    (void)state;
    for (size_t k = 0; k < 12; k++) {
        isg_method *m = create(texts[k / 3]);
        isg_error err = {0};
        float *w = make_weight(&s, 11);
        uint8_t *bytes;
        size_t size;
        for (size_t i = 0; i < count_of(&s); i++) w[i] = fminf(fmaxf(w[i] * scales[k % 3], -FLT_MAX), FLT_MAX);
        assert_int_equal(isg_method_encode(m, &s, w, &bytes, &size, NULL, &err), ISG_E_NUMERIC);
        assert_null(bytes);
        free(w);
        isg_method_destroy(m);
    }
}

/* ---- ResNet-18 ---- */

static const isg_method_shape convs[] = {{64, 3, 3, 3},    {64, 64, 3, 3},   {64, 64, 3, 3},   {64, 64, 3, 3},
                                         {64, 64, 3, 3},   {128, 64, 3, 3},  {128, 128, 3, 3}, {128, 64, 1, 1},
                                         {128, 128, 3, 3}, {128, 128, 3, 3}, {256, 128, 3, 3}, {256, 256, 3, 3},
                                         {256, 128, 1, 1}, {256, 256, 3, 3}, {256, 256, 3, 3}, {512, 256, 3, 3},
                                         {512, 512, 3, 3}, {512, 256, 1, 1}, {512, 512, 3, 3}, {512, 512, 3, 3}};

/* Bits of the 20 convolutions for CIFAR-10, of which 8 filters are coded: filters take bits alike. Those without a form
 * are not counted. */
static double resnet18_bits(const char *text, double table, uint64_t *weights)
{
    isg_method *m = create(text);
    double bits = 0.0;
    *weights = 0;
    for (size_t i = 0; i < sizeof convs / sizeof convs[0]; i++) {
        isg_method_shape s = convs[i];
        float *w;
        stored t;
        if (!isg_method_fits(m, &s)) continue;
        *weights += count_of(&s);
        s.co = 8;
        w = make_weight(&s, (uint32_t)i);
        t = store(text, &s, w);
        bits += table + ((double)t.bits - table) * convs[i].co / 8.0;
        release(&t);
        free(w);
    }
    isg_method_destroy(m);
    return bits;
}

static void test_resnet18(void **state)
{
    /* The formula of the survey counts no scale of the basis, here 16 bits a block; its PatDNN prunes 1 x 1
     * convolutions as well, stores input channels where all kernels are kept, and 32 bits a filter. */
    static const struct {
        const char *text;
        double table, kib, published;
    } rows[] = {{"smartdeal", 0, 6119, 6080},
                {"smartdeal:rows=0.6", 0, 2849, 2810},
                {"smartdeal:rows=0.8", 0, 1759, 1720},
                {"patdnn", 48, 5224, 6838},
                {"patdnn:keep=3.6", 48, 1814, 1913}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t weights;
        const double bits = resnet18_bits(rows[i].text, rows[i].table, &weights);
        printf("%s: %.0f KiB, %.3f bits a weight of %lu; published %.0f KiB\n", rows[i].text, bits / 8192.0,
               bits / (double)weights, (unsigned long)weights, rows[i].published);
        assert_true(fabs(bits / 8192.0 - rows[i].kib) < 0.003 * rows[i].kib);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smartdeal_form),  cmocka_unit_test(test_smartdeal_powers),
        cmocka_unit_test(test_smartdeal_basis), cmocka_unit_test(test_smartdeal_rows),
        cmocka_unit_test(test_smartdeal_fits),  cmocka_unit_test(test_smartdeal_bad),
        cmocka_unit_test(test_patdnn_patterns), cmocka_unit_test(test_patdnn_bits),
        cmocka_unit_test(test_patdnn_bad),      cmocka_unit_test(test_wide),
        cmocka_unit_test(test_resnet18),
    };
    return cmocka_run_group_tests_name("methods_structured", tests, NULL, NULL);
}
