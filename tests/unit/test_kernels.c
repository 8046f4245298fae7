/* SPDX-License-Identifier: Apache-2.0 */
/* Checks every kernel variant of kernels.def against the reference and against double precision.
 *
 * Operands end (inputs sometimes begin) at an inaccessible page and outputs sit in a painted frame, so that reading or
 * writing one element too many fails. Sizes are odd on purpose; alignment follows from the sizes. INSITU_TEST_SEED
 * repeats a run. INSITU_TEST_QUICK thins out the ranges of exp. With INSITU_TEST_SLACK operands end so many bytes
 * before the page, and these keep their paint: QEMU 7.2 reads the lanes that a masked AVX2 load leaves out. */
#include <insitu/rt.h>

#include "cpu/cpu.h"
#include "kernels/kernels.h"
#include "kernels/scalar.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Instruction sets whose kernels are linked in plain C (tests/emulated). */
#ifndef EMULATED_ISA
#define EMULATED_ISA 0u
#endif

#define REGIONS 10
#define REGION_BYTES ((size_t)1 << 21)
#define PAINT 0xa5
#define FRAME 256                     /* painted bytes before an output */
#define EPSILON 5.9604644775390625e-8 /* half a unit in the last place of 1.0f */

static unsigned char *regions[REGIONS];
static size_t slack; /* bytes between operands and the inaccessible page */
static uint64_t random_state;

static uint64_t random_u64(void)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t z = random_state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t random_below(size_t n)
{
    return (size_t)(random_u64() % n);
}

/* Mostly in -2..2, with zeros of both signs and large numbers between. */
static float random_float(void)
{
    static const float special[] = {0.0f, -0.0f, 100.0f, -100.0f, 1.0f, -1.0f, 3.0f, -3.0f};
    if (random_below(16) == 0) return special[random_below(8)];
    return (float)((double)(random_u64() >> 40) / (double)(1 << 22) - 2.0);
}

/* `bytes` bytes ending at the inaccessible page of a region, all painted, with the frame before them. */
static void *take_bytes(int region, size_t bytes)
{
    unsigned char *end = regions[region] + REGION_BYTES - slack;
    assert_true(bytes + FRAME + slack <= REGION_BYTES);
    memset(end - bytes - FRAME, PAINT, bytes + FRAME + slack);
    return end - bytes;
}

static float *take(int region, size_t count)
{
    return take_bytes(region, count * sizeof(float));
}

/* An input. Now and then it begins behind an inaccessible page (and on a page) instead of ending before one. */
static float *take_random(int region, size_t count)
{
    float *p = random_below(4) ? take(region, count) : (float *)(void *)regions[region];
    for (size_t i = 0; i < count; i++) p[i] = random_float();
    return p;
}

static size_t extent(size_t rows, size_t ld, size_t cols)
{
    return rows && cols ? (rows - 1) * ld + cols : 0;
}

static void assert_frame(const void *p)
{
    const unsigned char *frame = (const unsigned char *)p - FRAME;
    for (size_t i = 0; i < FRAME; i++) assert_int_equal(frame[i], PAINT);
    for (int r = 0; r < REGIONS; r++) {
        const unsigned char *end = regions[r] + REGION_BYTES;
        for (size_t i = 1; i <= slack && frame >= regions[r] && frame < end; i++)
            assert_int_equal(end[-(ptrdiff_t)i], PAINT);
    }
}

/* What lies between the rows of an output still has its paint (or what was there before). */
static void assert_gaps(const float *p, const float *before, size_t rows, size_t ld, size_t cols)
{
    assert_frame(p);
    for (size_t r = 0; r + 1 < rows && cols; r++) {
        assert_memory_equal(p + r * ld + cols, before + r * ld + cols, (ld - cols) * sizeof *p);
    }
}

static void assert_same(const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(got + i, want + i, sizeof *got) != 0) {
            fail_msg("element %zu of %zu: %.9g, expected %.9g", i, count, (double)got[i], (double)want[i]);
        }
    }
}

static void assert_near(float got, double want, double bound)
{
    if (!(fabs((double)got - want) <= bound)) fail_msg("%.9g, expected %.9g +- %.3g", (double)got, want, bound);
}

/* A copy of `count` floats in another region. */
static float *copy_of(int region, const float *p, size_t count)
{
    float *q = take(region, count);
    memcpy(q, p, count * sizeof *p);
    return q;
}

static void check_gemm_values(const float *c, const float *before, size_t ldc, const float *a, size_t lda,
                              const float *b, size_t ldb, size_t m, size_t n, size_t k, int accumulate)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = accumulate ? (double)before[i * ldc + j] : 0.0, size = fabs(sum);
            for (size_t p = 0; p < k; p++) {
                const double term = (double)a[i * lda + p] * (double)b[p * ldb + j];
                sum += term;
                size += fabs(term);
            }
            assert_near(c[i * ldc + j], sum, (double)(k + 1) * 1.01 * EPSILON * size * 2.0);
        }
    }
}

static void check_gemm_once(isgk_gemm_f32_fn *fn, size_t m, size_t n, size_t k)
{
    const size_t lda = k + random_below(5), ldb = n + random_below(5), ldc = n + random_below(20);
    const size_t count = extent(m, ldc, n);
    const int accumulate = (int)random_below(2);
    const float *a = take_random(0, extent(m, lda, k)), *b = take_random(1, extent(k, ldb, n));
    float *before = take_random(2, count), *c = copy_of(3, before, count), *parts = copy_of(4, before, count);
    const size_t cut_n = random_below(n + 1), cut_m = random_below(m + 1), cut_k = random_below(k + 1);

    fn(c, ldc, a, lda, b, ldb, m, n, k, accumulate);
    assert_gaps(c, before, m, ldc, n);
    check_gemm_values(c, before, ldc, a, lda, b, ldb, m, n, k, accumulate);
    /* The same bits from four quarters, and from two accumulating halves of k. */
    fn(parts, ldc, a, lda, b, ldb, cut_m, cut_n, k, accumulate);
    if (cut_n < n) fn(parts + cut_n, ldc, a, lda, b + cut_n, ldb, cut_m, n - cut_n, k, accumulate);
    if (cut_m < m) {
        float *low = parts + cut_m * ldc;
        const float *rest = a + cut_m * lda;
        fn(low, ldc, rest, lda, b, ldb, m - cut_m, cut_n, k, accumulate);
        if (cut_n < n) fn(low + cut_n, ldc, rest, lda, b + cut_n, ldb, m - cut_m, n - cut_n, k, accumulate);
    }
    assert_same(parts, c, count);
    parts = copy_of(4, before, count);
    fn(parts, ldc, a, lda, b, ldb, m, n, cut_k, accumulate);
    if (cut_k < k) fn(parts, ldc, a + cut_k, lda, b + cut_k * ldb, ldb, m, n, k - cut_k, 1);
    assert_same(parts, c, count);
}

static void check_gemm_f32(isgk_gemm_f32_fn *fn)
{
    static const size_t ms[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25, 49}, ks[] = {0, 1, 2, 7, 16, 64, 127, 129, 300};
    static const size_t ns[] = {0, 1, 3, 8, 10, 15, 16, 17, 31, 32, 33, 44, 63, 64, 67, 130};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++) {
            check_gemm_once(fn, ms[i], ns[j], ks[random_below(sizeof ks / sizeof *ks)]);
        }
    }
    for (int i = 0; i < 60; i++) check_gemm_once(fn, random_below(60), random_below(140), random_below(270));
    check_gemm_once(fn, 245, 35, 131);
    check_gemm_once(fn, 3, 0, 5);
}

static void check_unpack_affine(isgk_unpack_affine_fn *fn)
{
    for (uint32_t bits = 1; bits <= 8; bits++) {
        for (size_t n = 0; n < 200; n += 1 + random_below(3)) {
            const uint64_t offset = random_below(40);
            const size_t bytes = (size_t)((offset + n * bits + 7) / 8) + (random_below(4) ? 0 : random_below(40));
            uint8_t *src = take_bytes(0, bytes);
            float *got = take(1, n), *want = take(2, n);
            const float mul = random_float(), add = random_float();
            for (size_t i = 0; i < bytes; i++) src[i] = (uint8_t)random_u64();
            fn(got, src, bytes, offset, n, bits, mul, add);
            for (size_t i = 0; i < n; i++) {
                uint32_t code = 0;
                for (uint32_t b = 0; b < bits; b++) {
                    const uint64_t bit = offset + i * bits + b;
                    code |= (uint32_t)(src[bit >> 3] >> (bit & 7u) & 1u) << b;
                }
                want[i] = (float)code * mul;
                want[i] += add;
            }
            assert_frame(got);
            assert_same(got, want, n);
        }
    }
}

static void check_panels_once(isgk_gemm_panels_f32_fn *fn, size_t m, size_t n, size_t k)
{
    const size_t lda = k + random_below(5), ldc = n + random_below(20), ldr = n + random_below(9);
    const size_t panels = (n + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL, count = extent(m, ldc, n);
    const float *a = take_random(0, extent(m, lda, k)), *bias = take_random(3, n);
    const float *residual = take_random(5, extent(m, ldr, n));
    float *b = take(1, panels * k), *c = take(2, count), *before = copy_of(4, c, count), *plain = take(6, m * n + 1);
    isgk_finish finish = {random_below(3) ? bias : NULL, random_below(2) ? residual : NULL, ldr,
                          random_below(2) ? 0.0f : ISGI_MINUS_INFINITY, random_below(2) ? 6.0f : -ISGI_MINUS_INFINITY};
    for (size_t i = 0; i < panels * k; i++) {
        const size_t column = i / (ISGK_PANEL * k) * ISGK_PANEL + i % ISGK_PANEL;
        b[i] = column < n ? random_float() : 0.0f;
    }
    fn(plain, n, a, lda, b, m, n, k, NULL, NULL, 0);
    fn(c, ldc, a, lda, b, m, n, k, &finish, NULL, 0);
    assert_gaps(c, before, m, ldc, n);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float x = plain[i * n + j];
            double sum = 0.0, size = 0.0;
            for (size_t p = 0; p < k; p++) {
                const double term =
                    (double)a[i * lda + p] * (double)b[(j / ISGK_PANEL * k + p) * ISGK_PANEL + j % ISGK_PANEL];
                sum += term;
                size += fabs(term);
            }
            assert_near(x, sum, (double)(k + 1) * 1.01 * EPSILON * size * 2.0);
            if (finish.bias) x += bias[j];
            if (finish.residual) x += residual[i * ldr + j];
            x = finish.lo > x ? finish.lo : x;
            x = finish.hi < x ? finish.hi : x;
            assert_true(c[i * ldc + j] == x);
        }
    }
}

/* The residual may be C itself, however the kernel cuts k and rows; the bits are those of another residual. */
static void check_panels_in_place(isgk_gemm_panels_f32_fn *fn)
{
    for (int i = 0; i < 12; i++) {
        const size_t m = 1 + random_below(70), n = 1 + random_below(50), k = 1 + random_below(600);
        const size_t panels = (n + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL, ldc = n + random_below(9);
        const float *a = take_random(0, m * k), *b = take_random(1, panels * k);
        float *residual = take_random(2, extent(m, ldc, n)), *c = copy_of(3, residual, extent(m, ldc, n));
        float *want = copy_of(4, residual, extent(m, ldc, n));
        isgk_finish finish = {NULL, residual, ldc, 0.0f, -ISGI_MINUS_INFINITY};
        fn(want, ldc, a, k, b, m, n, k, &finish, NULL, 0);
        finish.residual = c;
        fn(c, ldc, a, k, b, m, n, k, &finish, NULL, 0);
        assert_same(c, want, extent(m, ldc, n));
    }
}

/* Rows in runs, which may overlap, give the bits of the same rows in one piece. */
static void check_panels_runs(isgk_gemm_panels_f32_fn *fn)
{
    for (int i = 0; i < 60; i++) {
        const size_t m = random_below(40), n = 1 + random_below(100), count = 1 + random_below(7);
        const isgk_runs runs = {1 + random_below(i % 4 ? 30 : 150), random_below(200)};
        const size_t k = count * runs.run, lda = random_below(40), last = m ? (m - 1) * lda : 0;
        const size_t panels = (n + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL;
        const float *a = take_random(0, last + (count - 1) * runs.step + runs.run), *b = take_random(1, panels * k);
        float *flat = take(2, m * k), *want = take(3, m * n), *got = take(4, m * n);
        for (size_t p = 0; p < m * k; p++) flat[p] = a[p / k * lda + p % k / runs.run * runs.step + p % k % runs.run];
        fn(want, n, flat, k, b, m, n, k, NULL, NULL, 0);
        fn(got, n, a, lda, b, m, n, k, NULL, &runs, 0);
        assert_same(got, want, m * n);
    }
}

/* Rows of B in two parts give the bits of all of them at once. */
static void check_panels_parts(isgk_gemm_panels_f32_fn *fn)
{
    for (int i = 0; i < 60; i++) {
        const size_t m = random_below(70), n = 1 + random_below(100), k = 2 + random_below(150),
                     first = random_below(k);
        const size_t panels = (n + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL, ldc = n + random_below(9);
        const float *a = take_random(0, m * k), *b = take_random(1, panels * k), *bias = take_random(2, n);
        float *want = take_random(3, extent(m, ldc, n)), *got = copy_of(4, want, extent(m, ldc, n));
        float *part = take(5, panels * k);
        const isgk_finish finish = {bias, NULL, 0, 0.0f, 6.0f};
        fn(want, ldc, a, k, b, m, n, k, &finish, NULL, 0);
        for (size_t rows = first, row = 0; row < k; row = first, rows = k - first) {
            for (size_t p = 0; p < panels * rows; p++) {
                const size_t panel = p / (ISGK_PANEL * rows), inside = p % (ISGK_PANEL * rows);
                part[p] = b[panel * ISGK_PANEL * k + row * ISGK_PANEL + inside];
            }
            fn(got, ldc, a + row, k, part, m, n, rows, row || rows == k ? &finish : NULL, NULL, row > 0);
            if (row + rows == k) break;
        }
        assert_same(got, want, extent(m, ldc, n));
        assert_frame(got);
    }
}

static void check_gemm_panels_f32(isgk_gemm_panels_f32_fn *fn)
{
    check_panels_once(fn, 0, 5, 3);
    check_panels_once(fn, 3, 40, 0);
    for (int i = 0; i < 120; i++) check_panels_once(fn, random_below(40), random_below(130), random_below(180));
    for (int i = 0; i < 12; i++)
        check_panels_once(fn, 40 + random_below(70), random_below(50), 200 + random_below(400));
    check_panels_in_place(fn);
    check_panels_runs(fn);
    check_panels_parts(fn);
}

/* The rule of kernels.h, written again: the nearest number of 8 bits, of two the even one. */
static float to_bf16(float x)
{
    const float unit = ldexpf(1.0f, ilogbf(x) - 7);
    return x == 0.0f || fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : rintf(x / unit) * unit;
}

static uint32_t word_of(float even, float odd)
{
    uint32_t e, o;
    memcpy(&e, &even, sizeof e);
    memcpy(&o, &odd, sizeof o);
    return e >> 16 | (o & 0xffff0000u);
}

static void check_panel_bf16(isgk_panel_bf16_fn *fn)
{
    for (size_t rows = 0; rows < 40; rows++) {
        const size_t words = (rows + 1) / 2 * ISGK_PANEL;
        float *src = take_random(0, rows * ISGK_PANEL);
        uint32_t *got = (uint32_t *)(void *)take(1, words);
        for (size_t i = 0; i < rows * ISGK_PANEL; i++) {
            if (i % 7 == 3) src[i] = ldexpf(src[i], (int)random_below(250) - 150);
            if (i % 31 == 5) src[i] = ldexpf(1.0f + (float)random_below(256) / 256.0f, 3); /* halves */
            if (i % 97 == 9) src[i] = i & 1 ? 1e-41f : -0.0f;
        }
        fn(got, src, rows);
        for (size_t i = 0; i < words; i++) {
            const size_t r = i / ISGK_PANEL * 2, c = i % ISGK_PANEL;
            const float odd = r + 1 < rows ? to_bf16(src[(r + 1) * ISGK_PANEL + c]) : 0.0f;
            assert_int_equal(got[i], word_of(to_bf16(src[r * ISGK_PANEL + c]), odd));
        }
    }
}

static void check_bf16_once(isgk_gemm_panels_bf16_fn *fn, size_t m, size_t n, size_t k)
{
    const size_t lda = k + random_below(5), ldc = n + random_below(20), ldr = n + random_below(9), pairs = (k + 1) / 2;
    const size_t panels = (n + ISGK_PANEL - 1) / ISGK_PANEL, count = extent(m, ldc, n);
    const float *a = take_random(0, extent(m, lda, k)), *bias = take_random(3, n);
    const float *residual = take_random(5, extent(m, ldr, n)), *b = take_random(7, panels * ISGK_PANEL * pairs * 2);
    uint32_t *words = (uint32_t *)(void *)take(1, panels * ISGK_PANEL * pairs);
    float *c = take(2, count), *before = copy_of(4, c, count);
    const isgk_finish finish = {random_below(3) ? bias : NULL, random_below(2) ? residual : NULL, ldr,
                                random_below(2) ? 0.0f : ISGI_MINUS_INFINITY,
                                random_below(2) ? 6.0f : -ISGI_MINUS_INFINITY};
    const isgk_finish *used = random_below(4) ? &finish : NULL;
    for (size_t i = 0; i < panels * ISGK_PANEL * pairs; i++)
        words[i] = word_of(to_bf16(b[2 * i]), i / ISGK_PANEL % pairs * 2 + 1 < k ? to_bf16(b[2 * i + 1]) : 0.0f);
    fn(c, ldc, a, lda, words, m, n, k, used);
    assert_gaps(c, before, m, ldc, n);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            float x = 0.0f;
            for (size_t p = 0; p < pairs; p++) {
                const float *w = b + 2 * ((j / ISGK_PANEL * pairs + p) * ISGK_PANEL + j % ISGK_PANEL);
                const float *row = a + i * lda + 2 * p;
                if (2 * p + 1 < k) x = fmaf(to_bf16(row[1]), to_bf16(w[1]), x);
                x = fmaf(to_bf16(row[0]), to_bf16(w[0]), x);
            }
            if (used && finish.bias) x += bias[j];
            if (used && finish.residual) x += residual[i * ldr + j];
            if (used) x = finish.lo > x ? finish.lo : x;
            if (used) x = finish.hi < x ? finish.hi : x;
            assert_true(c[i * ldc + j] == x);
        }
    }
}

static void check_gemm_panels_bf16(isgk_gemm_panels_bf16_fn *fn)
{
    check_bf16_once(fn, 0, 5, 3);
    check_bf16_once(fn, 3, 40, 0);
    check_bf16_once(fn, 9, 33, ISGK_BF16_DEPTH);
    for (int i = 0; i < 120; i++) check_bf16_once(fn, random_below(40), random_below(130), random_below(180));
}

static void check_unpack_columns(isgk_unpack_columns_fn *fn)
{
    for (uint32_t bits = 1; bits <= 8; bits++) {
        for (int i = 0; i < 25; i++) {
            const size_t rows = random_below(9), columns = 1 + random_below(50), width = columns + random_below(20);
            const size_t ldd = width + random_below(20), all = columns + random_below(30);
            const size_t skip = random_below(all - columns + 1);
            const uint64_t first = skip * bits, row_bits = all * bits;
            const size_t bytes = (size_t)((rows * row_bits + 7) / 8);
            const float mul = random_below(2) ? 1.0f : 2.0f, add = -(float)random_below(200);
            const float *scales = take_random(3, columns);
            uint8_t *src = take_bytes(0, bytes);
            float *got = take(1, extent(rows, ldd, width)), *before = copy_of(2, got, extent(rows, ldd, width));
            for (size_t k = 0; k < bytes; k++) src[k] = (uint8_t)random_u64();
            fn(got, ldd, src, bytes, first, row_bits, rows, columns, width, bits, mul, add, scales);
            assert_gaps(got, before, rows, ldd, width);
            for (size_t r = 0; r < rows; r++) {
                for (size_t c = 0; c < width; c++) {
                    uint32_t code = 0;
                    for (uint32_t b = 0; b < bits && c < columns; b++) {
                        const uint64_t bit = first + r * row_bits + c * bits + b;
                        code |= (uint32_t)(src[bit >> 3] >> (bit & 7u) & 1u) << b;
                    }
                    assert_true(got[r * ldd + c] == (c < columns ? ((float)code * mul + add) * scales[c] : 0.0f));
                }
            }
        }
    }
}

static isgk_act random_act(uint32_t kind)
{
    const isgk_act act = {kind, 0.2f + 0.1f * random_float(), 0.5f + 0.1f * random_float(), -0.5f, 1.5f};
    return act;
}

/* What the activation means, in double precision. */
static double act_exact(double x, const isgk_act *act)
{
    switch (act->kind) {
    case ISGK_ACT_RELU: return x > 0 ? x : 0;
    case ISGK_ACT_CLIP: return fmin((double)act->hi, fmax((double)act->lo, x));
    case ISGK_ACT_LEAKY_RELU: return x < 0 ? (double)act->alpha * x : x;
    case ISGK_ACT_SIGMOID: return x < -87.0 ? 0.0 : 1.0 / (1.0 + exp(-x));
    case ISGK_ACT_HARD_SIGMOID: return fmin(1, fmax(0, (double)act->alpha * x + (double)act->beta));
    case ISGK_ACT_HARD_SWISH: return x * fmin(1, fmax(0, x / 6 + 0.5));
    case ISGK_ACT_SILU: return x < -87.0 ? 0.0 : x / (1.0 + exp(-x));
    default: return x;
    }
}

/* What the rounding of a sum's terms leaves where the sum cancels. */
static double act_cancelled(double x, const isgk_act *act)
{
    switch (act->kind) {
    case ISGK_ACT_HARD_SIGMOID: return 1.2e-7 * (fabs((double)act->alpha * x) + fabs((double)act->beta));
    case ISGK_ACT_HARD_SWISH: return 1.2e-7 * (fabs(x / 6) + 0.5) * fabs(x);
    default: return 0.0;
    }
}

static void check_act_f32(isgk_act_f32_fn *fn)
{
    for (uint32_t kind = 0; kind <= ISGK_ACT_COUNT; kind++) {
        for (size_t n = 0; n < 100; n++) {
            const isgk_act act = random_act(kind);
            float *src = take_random(0, n), *got = take(1, n), *want = take(2, n);
            for (size_t i = 0; i < n; i++) src[i] *= 3.0f;
            fn(got, src, n, &act);
            isgk_act_f32__ref(want, src, n, &act);
            assert_frame(got);
            assert_same(got, want, n);
            for (size_t i = 0; i < n; i++) {
                const double exact = act_exact((double)src[i], &act);
                assert_near(got[i], exact, 4e-7 * fabs(exact) + act_cancelled((double)src[i], &act));
            }
            fn(src, src, n, &act);
            assert_same(src, want, n);
        }
    }
}

/* The stated bound of sigmoid, and that infinities and NaN come through, over the range of floats. */
static void check_sigmoid_range(isgk_act_f32_fn *fn)
{
    const isgk_act act = {ISGK_ACT_SIGMOID, 0.0f, 0.0f, 0.0f, 0.0f};
    float x[16], y[16];
    double worst = 0.0;
    for (double at = -87.0; at < 100.0; at += getenv("INSITU_TEST_QUICK") ? 0.11 : 0.01) {
        for (int i = 0; i < 16; i++) x[i] = (float)(at + 0.000625 * i);
        fn(y, x, 16, &act);
        for (int i = 0; i < 16; i++) {
            const double exact = 1.0 / (1.0 + exp(-(double)x[i]));
            worst = fmax(worst, fabs((double)y[i] - exact) / exact);
        }
    }
    assert_true(worst < 4e-7);
    x[0] = INFINITY;
    x[1] = -INFINITY;
    x[2] = NAN;
    x[3] = -88.0f;
    fn(y, x, 4, &act);
    assert_true(y[0] == 1.0f && y[1] == 0.0f && isnan(y[2]) && y[3] == 0.0f);
}

static void check_epilogue_f32(isgk_epilogue_f32_fn *fn)
{
    for (int i = 0; i < 600; i++) {
        const size_t m = random_below(6), n = random_below(70), ldd = n + random_below(20), count = extent(m, ldd, n);
        const isgk_act act = random_act((uint32_t)(i % ISGK_ACT_COUNT));
        const isgk_act *used = i % 11 ? &act : NULL;
        float *bias = i % 3 ? take_random(0, n) : NULL;
        float *before = take_random(1, count), *got = copy_of(2, before, count), *want = copy_of(3, before, count);
        fn(got, ldd, m, n, bias, used);
        isgk_epilogue_f32__ref(want, ldd, m, n, bias, used);
        assert_gaps(got, before, m, ldd, n);
        assert_same(got, want, count);
    }
}

/* Rows for indirection in region 0 (each ends where the next begins, the last at the guard) and pointers in region 1.
 */
static const float **take_taps(size_t pixels, size_t tap_count, size_t channels, int with_null)
{
    const size_t rows = 1 + random_below(9);
    float *data = take_random(0, rows * channels);
    const float **taps = take_bytes(1, pixels * tap_count * sizeof *taps);
    for (size_t i = 0; i < pixels * tap_count; i++) {
        taps[i] = with_null && random_below(5) == 0 ? NULL : data + random_below(rows) * channels;
    }
    return taps;
}

static size_t random_channels(void)
{
    return random_below(8) ? random_below(80) : 120 + random_below(20);
}

static void check_dwconv_f32(isgk_dwconv_f32_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const size_t pixels = random_below(10), tap_count = random_below(20), channels = random_channels();
        const size_t ldd = channels + random_below(20), ldw = channels + random_below(20);
        const size_t count = extent(pixels, ldd, channels);
        const float **taps = take_taps(pixels, tap_count, channels, 0);
        const float *weights = take_random(2, extent(tap_count, ldw, channels));
        float *before = take_random(3, count), *got = copy_of(4, before, count), *single = copy_of(5, before, count);
        fn(got, ldd, taps, pixels, tap_count, weights, ldw, channels);
        assert_gaps(got, before, pixels, ldd, channels);
        for (size_t p = 0; p < pixels; p++) {
            for (size_t c = 0; c < channels; c++) {
                double sum = 0.0, size = 0.0;
                for (size_t t = 0; t < tap_count; t++) {
                    const double term = (double)taps[p * tap_count + t][c] * (double)weights[t * ldw + c];
                    sum += term;
                    size += fabs(term);
                }
                assert_near(got[p * ldd + c], sum, (double)(tap_count + 1) * 2.02 * EPSILON * size);
            }
            if (channels) fn(single + p * ldd, ldd, taps + p * tap_count, 1, tap_count, weights, ldw, channels);
        }
        assert_same(single, got, count);
    }
}

/* The same bits when the channels come in two parts, wherever they are cut. */
static void assert_dwrow_parts(isgk_dwrow_f32_fn *fn, const float *whole, size_t ldd, const isgk_dwrow *g,
                               size_t pixels, size_t channels, const isgk_finish *finish)
{
    const size_t cut = channels ? random_below(channels) : 0;
    float *parts = take(3, extent(pixels, ldd, channels));
    const float *rows[4];
    isgk_dwrow rest = *g;
    isgk_finish second = finish ? *finish : (isgk_finish){0};
    if (second.bias) second.bias += cut;
    if (second.residual) second.residual += cut;
    for (size_t ky = 0; ky < g->kh; ky++) rows[ky] = g->rows[ky] ? g->rows[ky] + cut : NULL;
    rest.rows = rows;
    rest.weights = g->weights + cut;
    fn(parts, ldd, g, pixels, cut, finish);
    fn(parts + cut, ldd, &rest, pixels, channels - cut, finish ? &second : NULL);
    for (size_t p = 0; p < pixels; p++) assert_same(parts + p * ldd, whole + p * ldd, channels);
}

static void check_dwrow_once(isgk_dwrow_f32_fn *fn, size_t pixels, size_t channels)
{
    isgk_dwrow g = {0};
    isgk_finish clamp = {0}, *finish = random_below(2) ? &clamp : NULL;
    const float *rows[4];
    const size_t ldd = channels + random_below(20);
    float *got, *before;
    size_t reach;
    g.kh = 1 + random_below(4);
    g.kw = random_below(2) ? 3 : 1 + random_below(5);
    g.lists = 1 + random_below(3);
    g.stride = 1 + random_below(3);
    g.dilation = random_below(2) ? 1 : 1 + random_below(3);
    g.left = random_below(4);
    reach = (pixels ? pixels - 1 : 0) * g.stride + (g.kw - 1) * g.dilation + 1;
    g.width = reach > g.left + 3 ? reach - g.left - random_below(3) : 1 + random_below(4);
    g.list_step = channels + random_below(5);
    g.pixel_step = g.lists * g.list_step;
    g.ldw = channels + random_below(5);
    g.rows = rows;
    g.weights = take_random(0, extent(g.kh * g.kw * g.lists, g.ldw, channels));
    for (size_t ky = 0; ky < g.kh; ky++)
        rows[ky] =
            random_below(5) ? take_random((int)(4 + ky), extent(g.width * g.lists, g.list_step, channels)) : NULL;
    clamp.bias = random_below(2) ? take_random(8, channels) : NULL;
    clamp.ldr = channels + random_below(5);
    clamp.residual = random_below(2) ? take_random(9, extent(pixels, clamp.ldr, channels)) : NULL;
    clamp.lo = random_below(2) ? -INFINITY : -0.5f;
    clamp.hi = random_below(2) ? INFINITY : 0.75f;
    got = take(1, extent(pixels, ldd, channels));
    before = copy_of(2, got, extent(pixels, ldd, channels));
    fn(got, ldd, &g, pixels, channels, finish);
    assert_gaps(got, before, pixels, ldd, channels);
    assert_dwrow_parts(fn, got, ldd, &g, pixels, channels, finish);
    for (size_t i = 0; i < pixels * channels; i++) {
        const size_t x = i / channels, c = i % channels;
        double sum = 0.0, size = 0.0;
        for (size_t t = 0; t < g.kh * g.kw * g.lists; t++) {
            const size_t ky = t / (g.kw * g.lists), kx = t / g.lists % g.kw;
            const size_t column = x * g.stride + kx * g.dilation - g.left;
            if (!rows[ky] || column >= g.width) continue;
            const double term = (double)rows[ky][column * g.pixel_step + t % g.lists * g.list_step + c] *
                                (double)g.weights[t * g.ldw + c];
            sum += term;
            size += fabs(term);
        }
        if (finish && clamp.bias) {
            sum += (double)clamp.bias[c];
            size += fabs((double)clamp.bias[c]);
        }
        if (finish && clamp.residual) {
            sum += (double)clamp.residual[x * clamp.ldr + c];
            size += fabs((double)clamp.residual[x * clamp.ldr + c]);
        }
        if (finish) sum = fmin((double)clamp.hi, fmax((double)clamp.lo, sum));
        assert_near(got[x * ldd + c], sum, (double)(g.kh * g.kw * g.lists + 3) * 2.02 * EPSILON * size);
    }
}

static void check_dwrow_f32(isgk_dwrow_f32_fn *fn)
{
    check_dwrow_once(fn, 0, 5);
    for (int i = 0; i < 300; i++) check_dwrow_once(fn, 1 + random_below(40), random_below(110));
}

/* The matrices of the three transforms (Lavin and Gray, arXiv 1509.09308, section 4.3); A and G for 3 outputs of 4
 * taps, then 4 of 3. */
static const double winograd_bt[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                         {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const double winograd_at[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
static const double winograd_g[6][3] = {{1. / 4, 0, 0},
                                        {-1. / 6, -1. / 6, -1. / 6},
                                        {-1. / 6, 1. / 6, -1. / 6},
                                        {1. / 24, 1. / 12, 1. / 6},
                                        {1. / 24, -1. / 12, 1. / 6},
                                        {0, 0, 1}};

/* M x Mt at (row, column), x [inner][inner]; and the same of magnitudes. */
static double sandwich(const double *m, size_t width, size_t inner, size_t row, size_t column, const double *x,
                       double *size)
{
    double sum = 0.0;
    *size = 0.0;
    for (size_t y = 0; y < inner; y++) {
        for (size_t z = 0; z < inner; z++) {
            const double term = m[row * width + y] * x[y * inner + z] * m[column * width + z];
            sum += term;
            *size += fabs(term);
        }
    }
    return sum;
}

/* The points of a kernel that reads side x side numbers at `from`, by its definition. */
static void assert_points(const float *got, size_t step, const double *m, size_t side, const float *const *from,
                          size_t channels)
{
    for (size_t c = 0; c < channels; c++) {
        double x[36], size;
        for (size_t i = 0; i < side * side; i++) x[i] = from[i] ? (double)from[i][c] : 0.0;
        for (size_t p = 0; p < 36; p++) {
            const double want = sandwich(m, side, side, p / 6, p % 6, x, &size);
            assert_near(got[p * step + c], want, 20 * EPSILON * size);
        }
    }
}

static void check_winograd_input_f32(isgk_winograd_input_f32_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t channels = 8 + 4 * random_below(20), step = channels + random_below(20);
        const size_t count = extent(36, step, channels);
        const float **pixels = take_taps(36, 1, channels, i % 3 > 0);
        float *before = take_random(2, count), *got = copy_of(3, before, count), *want = copy_of(4, before, count);
        fn(got, step, pixels, channels);
        isgk_winograd_input_f32__ref(want, step, pixels, channels);
        assert_gaps(got, before, 36, step, channels);
        assert_same(got, want, count);
        assert_points(got, step, &winograd_bt[0][0], 6, pixels, channels);
    }
}

static void check_winograd_weights_f32(isgk_winograd_weights_f32_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t channels = 16 + 16 * random_below(5), step = channels + random_below(20);
        const size_t count = extent(36, step, channels), tap_step = channels + random_below(20);
        const float *data = take_random(0, extent(9, tap_step, channels)), *taps[9];
        float *before = take_random(2, count), *got = copy_of(3, before, count), *want = copy_of(4, before, count);
        for (size_t t = 0; t < 9; t++) taps[t] = data + t * tap_step;
        fn(got, step, data, tap_step, channels);
        isgk_winograd_weights_f32__ref(want, step, data, tap_step, channels);
        assert_gaps(got, before, 36, step, channels);
        assert_same(got, want, count);
        assert_points(got, step, &winograd_g[0][0], 3, taps, channels);
    }
}

/* Of a tile that lies in an image of `line` numbers a row. */
static void assert_outputs(const float *got, size_t line, size_t ldd, const float *points, size_t step, size_t rows,
                           size_t columns, size_t channels, const isgk_finish *finish)
{
    for (size_t i = 0; i < rows * columns * channels; i++) {
        const size_t c = i % channels, x = i / channels % columns, y = i / channels / columns;
        const size_t at = y * line + x * ldd + c;
        double m[36], size, want;
        for (size_t p = 0; p < 36; p++) m[p] = (double)points[p * step + c];
        want = sandwich(&winograd_at[0][0], 6, 6, y, x, m, &size);
        if (finish->bias) want += (double)finish->bias[c];
        if (finish->residual) want += (double)finish->residual[at];
        want = fmin((double)finish->hi, fmax((double)finish->lo, want));
        assert_near(got[at], want, 20 * EPSILON * (size + 2));
    }
}

static void check_winograd_output_f32(isgk_winograd_output_f32_fn *fn)
{
    for (int i = 0; i < 300; i++) {
        const size_t rows = 1 + random_below(4), columns = 1 + random_below(4);
        const size_t channels = 16 + 16 * random_below(4), step = channels + random_below(20);
        const size_t ldd = channels + random_below(2) * random_below(20), wide = (columns - 1) * ldd + channels;
        const size_t line = wide + random_below(40), count = extent(rows, line, wide);
        const float *points = take_random(0, extent(36, step, channels));
        float *before = take_random(1, count), *got = copy_of(2, before, count), *want = copy_of(3, before, count);
        isgk_finish finish = {0};
        finish.bias = i % 3 ? take_random(4, channels) : NULL;
        finish.residual = i % 5 > 1 ? take_random(5, count) : NULL;
        finish.lo = random_below(2) ? -INFINITY : -0.5f;
        finish.hi = random_below(2) ? INFINITY : 0.75f;
        fn(got, line, ldd, points, step, rows, columns, channels, &finish);
        isgk_winograd_output_f32__ref(want, line, ldd, points, step, rows, columns, channels, &finish);
        assert_gaps(got, before, rows, line, wide);
        for (size_t y = 0; y < rows; y++)
            for (size_t at = y * line + channels; at < y * line + wide; at += ldd)
                assert_memory_equal(got + at, before + at, (ldd - channels) * sizeof *got);
        assert_same(got, want, count);
        assert_outputs(got, line, ldd, points, step, rows, columns, channels, &finish);
        if (!finish.residual) continue;
        got = copy_of(2, finish.residual, count); /* the residual where the outputs go */
        finish.residual = got;
        fn(got, line, ldd, points, step, rows, columns, channels, &finish);
        for (size_t y = 0; y < rows; y++)
            for (size_t x = 0; x < columns; x++)
                assert_same(got + y * line + x * ldd, want + y * line + x * ldd, channels);
    }
}

static void check_maxpool_f32(isgk_maxpool_f32_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const size_t pixels = random_below(10), tap_count = random_below(12), channels = random_channels();
        const size_t ldd = channels + random_below(20), count = extent(pixels, ldd, channels);
        const float **taps = take_taps(pixels, tap_count, channels, 1);
        float *before = take_random(3, count), *got = copy_of(4, before, count), *want = copy_of(5, before, count);
        fn(got, ldd, taps, pixels, tap_count, channels);
        isgk_maxpool_f32__ref(want, ldd, taps, pixels, tap_count, channels);
        assert_gaps(got, before, pixels, ldd, channels);
        assert_same(got, want, count);
    }
}

static void check_avgpool_f32(isgk_avgpool_f32_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const size_t pixels = random_below(10), tap_count = random_below(12), channels = random_channels();
        const size_t ldd = channels + random_below(20), count = extent(pixels, ldd, channels);
        const float **taps = take_taps(pixels, tap_count, channels, 1);
        const float *scale = take_random(2, pixels);
        float *before = take_random(3, count), *got = copy_of(4, before, count), *want = copy_of(5, before, count);
        fn(got, ldd, taps, pixels, tap_count, channels, scale);
        isgk_avgpool_f32__ref(want, ldd, taps, pixels, tap_count, channels, scale);
        assert_gaps(got, before, pixels, ldd, channels);
        assert_same(got, want, count);
    }
}

static void check_rows(isgk_rowsum_f32_fn *fn, isgk_rowsum_f32_fn *ref)
{
    for (int i = 0; i < 400; i++) {
        const size_t rows = random_below(12), channels = random_channels(), lds = channels + random_below(20);
        const float *src = take_random(0, extent(rows, lds, channels));
        float *got = take(1, channels), *want = take(2, channels);
        fn(got, src, lds, rows, channels);
        ref(want, src, lds, rows, channels);
        assert_frame(got);
        assert_same(got, want, channels);
    }
}

static void check_rowsum_f32(isgk_rowsum_f32_fn *fn)
{
    check_rows(fn, isgk_rowsum_f32__ref);
}

static void check_rowmax_f32(isgk_rowmax_f32_fn *fn)
{
    check_rows(fn, isgk_rowmax_f32__ref);
}

static float binary_exact(float a, float b, int op)
{
    switch (op) {
    case ISGK_BINARY_ADD: return a + b;
    case ISGK_BINARY_SUB: return a - b;
    case ISGK_BINARY_MUL: return a * b;
    default: return a / b;
    }
}

static void check_binary_f32(isgk_binary_f32_fn *fn)
{
    for (int i = 0; i < 1600; i++) {
        const size_t n = random_below(100), a_step = i >> 2 & 1, b_step = i >> 3 & 1;
        const int op = i & 3;
        float *a = take_random(0, a_step ? n : 1), *b = take_random(1, b_step ? n : 1);
        float *got = take(2, n), *want = take(3, n);
        for (size_t j = 0; j < (b_step ? n : 1); j++) {
            if (op == ISGK_BINARY_DIV && b[j] == 0.0f) b[j] = 0.75f; /* the sign of a NaN is nobody's promise */
        }
        for (size_t j = 0; j < n; j++) want[j] = binary_exact(a[j * a_step], b[j * b_step], op);
        fn(got, a, a_step, b, b_step, n, (isgk_binary_op)op);
        assert_frame(got);
        assert_same(got, want, n);
        if (a_step || b_step) {
            float *in_place = a_step ? a : b;
            fn(in_place, a, a_step, b, b_step, n, (isgk_binary_op)op);
            assert_same(in_place, want, n);
        }
    }
}

static void check_affine_f32(isgk_affine_f32_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const size_t rows = random_below(6), channels = random_channels();
        const size_t ldd = channels + random_below(20), lds = channels + random_below(20);
        const size_t count = extent(rows, ldd, channels);
        const float *src = take_random(0, extent(rows, lds, channels));
        const float *scale = take_random(1, channels), *shift = take_random(2, channels);
        float *before = take_random(3, count), *got = copy_of(4, before, count), *want = copy_of(5, before, count);
        fn(got, ldd, src, lds, scale, shift, rows, channels);
        isgk_affine_f32__ref(want, ldd, src, lds, scale, shift, rows, channels);
        assert_gaps(got, before, rows, ldd, channels);
        assert_same(got, want, count);
    }
}

static void check_softmax_f32(isgk_softmax_f32_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const size_t rows = random_below(5), n = random_below(150), ldd = n + random_below(9),
                     lds = n + random_below(9);
        const size_t count = extent(rows, ldd, n);
        float *src = take_random(0, extent(rows, lds, n));
        float *before = take_random(1, count), *got = copy_of(2, before, count), *want = copy_of(3, before, count);
        fn(got, ldd, src, lds, rows, n);
        isgk_softmax_f32__ref(want, ldd, src, lds, rows, n);
        assert_gaps(got, before, rows, ldd, n);
        assert_same(got, want, count);
        for (size_t r = 0; r < rows; r++) {
            double top = -INFINITY, sum = 0.0;
            /* Not fmax: GCC 12 for AArch64 ends in an internal error where it makes vectors of that. */
            for (size_t j = 0; j < n; j++) top = (double)src[r * lds + j] > top ? (double)src[r * lds + j] : top;
            for (size_t j = 0; j < n; j++) sum += exp((double)src[r * lds + j] - top);
            for (size_t j = 0; j < n; j++) {
                const double exact = exp((double)src[r * lds + j] - top) / sum;
                /* exp to 1.5e-7 above and below, one rounding of the difference (its size times 2^-24), the sum. */
                assert_near(got[r * ldd + j], exact,
                            exact * (7e-7 + EPSILON * (top - (double)src[r * lds + j])) + 2e-38);
            }
        }
        fn(src, lds, src, lds, rows, n);
        for (size_t r = 0; r < rows; r++) assert_same(src + r * lds, want + r * ldd, n);
    }
}

static void check_transpose_f32(isgk_transpose_f32_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const size_t rows = random_below(40), cols = random_below(40);
        const size_t lds = cols + random_below(9), ldd = rows + random_below(9), count = extent(cols, ldd, rows);
        const float *src = take_random(0, extent(rows, lds, cols));
        float *before = take_random(1, count), *got = copy_of(2, before, count);
        fn(got, ldd, src, lds, rows, cols);
        assert_gaps(got, before, cols, ldd, rows);
        for (size_t r = 0; r < rows; r++) {
            for (size_t c = 0; c < cols; c++) assert_same(got + c * ldd + r, src + r * lds + c, 1);
        }
    }
}

/* ---- integers: every variant equals the reference ---- */

static uint8_t *take_random_bytes(int region, size_t bytes)
{
    uint8_t *p = random_below(4) ? take_bytes(region, bytes) : regions[region];
    for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)random_u64();
    return p;
}

static int32_t *take_random_s32(int region, size_t count)
{
    int32_t *p = take_bytes(region, count * sizeof *p);
    for (size_t i = 0; i < count; i++) p[i] = (int32_t)(random_u64() >> 40) - (1 << 23);
    return p;
}

static void *copy_of_bytes(int region, const void *p, size_t bytes)
{
    void *q = take_bytes(region, bytes);
    memcpy(q, p, bytes);
    return q;
}

static void check_unpack_s8(isgk_unpack_s8_fn *fn)
{
    for (int i = 0; i < 400; i++) {
        const uint32_t bits = 1 + (uint32_t)random_below(8);
        const int32_t add = -(1 << (bits - 1));
        const size_t n = 1 + random_below(300), bytes = (n * bits + 7) / 8;
        const uint8_t *src = take_random_bytes(0, bytes);
        int8_t *got = take_bytes(1, n), *want = take_bytes(2, n);
        fn(got, src, bytes, n, bits, add);
        isgk_unpack_s8__ref(want, src, bytes, n, bits, add);
        assert_memory_equal(got, want, n);
        assert_frame(got);
        assert_int_equal(want[0], (int32_t)(src[0] & ((1u << bits) - 1u)) + add);
    }
}

static void check_interleave_pairs_s8(isgk_interleave_pairs_s8_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t rows = 1 + random_below(4), cols = 1 + random_below(60), lds = 2 * cols + random_below(9);
        const int8_t *src = (const int8_t *)take_random_bytes(0, extent(rows, lds, 2 * cols));
        int8_t *got = take_bytes(1, 8 * cols);
        fn(got, src, lds, rows, cols);
        for (size_t c = 0; c < 2 * cols; c++) {
            for (size_t r = 0; r < 4; r++)
                assert_int_equal(got[4 * c + r], r < rows ? src[r * lds + c % 2 * cols + c / 2] : 0);
        }
        assert_frame(got);
    }
}
static void check_interleave_s8(isgk_interleave_s8_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t rows = 1 + random_below(4), cols = 1 + random_below(90), lds = cols + random_below(9);
        const int8_t *src = (const int8_t *)take_random_bytes(0, extent(rows, lds, cols));
        int8_t *got = take_bytes(1, 4 * cols);
        fn(got, src, lds, rows, cols);
        for (size_t c = 0; c < cols; c++)
            for (size_t r = 0; r < 4; r++) assert_int_equal(got[4 * c + r], r < rows ? src[r * lds + c] : 0);
        assert_frame(got);
    }
}

static void check_quantise_u8(isgk_quantise_u8_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t n = random_below(200);
        const int32_t zero = (int32_t)random_below(256);
        const float inverse = (float)(1 + random_below(90));
        float *src = take_random(0, n);
        uint8_t *got = take_bytes(1, n), *want = take_bytes(2, n);
        if (n) src[random_below(n)] = random_below(2) ? NAN : INFINITY;
        fn(got, src, n, inverse, zero);
        isgk_quantise_u8__ref(want, src, n, inverse, zero);
        assert_memory_equal(got, want, n);
        assert_frame(got);
        for (size_t k = 0; k < n; k++) {
            const double x = isnan(src[k]) ? -300.0 : (double)(src[k] * inverse);
            assert_int_equal(want[k], lrint(fmin(255.0 - zero, fmax(-zero, x))) + zero);
        }
    }
}

static void check_requantise_u8(isgk_requantise_u8_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t rows = random_below(6), cols = random_below(140), lds = cols + random_below(5);
        const size_t ldd = cols + random_below(9), bytes = extent(rows, ldd, cols);
        const int32_t *src = take_random_s32(0, extent(rows, lds, cols));
        float *mul = take_random(1, cols);
        uint8_t *got = take_bytes(2, bytes), *want = copy_of_bytes(3, got, bytes);
        const float add = random_below(4) ? 128.0f : 1e9f;
        static const float sizes[] = {1e-5f, 0.4f, 1e6f, 1e30f}; /* the last ones leave the range of integers */
        const float size = sizes[random_below(4)];
        for (size_t c = 0; c < cols; c++) mul[c] *= size;
        if (cols && random_below(4) == 0) mul[random_below((uint32_t)cols)] = random_below(2) ? 0.5f : -0.5f;
        if (cols && random_below(4) == 0) mul[random_below((uint32_t)cols)] = random_below(2) ? NAN : -INFINITY;
        fn(got, ldd, src, lds, rows, cols, mul, add);
        isgk_requantise_u8__ref(want, ldd, src, lds, rows, cols, mul, add);
        assert_memory_equal(got, want, bytes);
        assert_frame(got);
    }
}

static void check_dequantise_f32(isgk_dequantise_f32_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t rows = random_below(6), cols = random_below(80), lds = cols + random_below(5);
        const size_t ldd = cols + random_below(9), count = extent(rows, ldd, cols);
        const int32_t *src = take_random_s32(0, extent(rows, lds, cols));
        const float *mul = take_random(1, cols), *add = take_random(2, cols);
        float *got = take(3, count), *want = copy_of(4, got, count);
        isgk_finish finish = {NULL, NULL, ldd, -1e6f * (float)random_below(3), 1e6f};
        for (size_t k = 0; k < count; k++) got[k] = want[k] = random_float();
        if (i % 4 == 1) finish.residual = got;
        fn(got, ldd, src, lds, rows, cols, mul, add, i % 4 ? &finish : NULL);
        if (i % 4 == 1) finish.residual = want;
        isgk_dequantise_f32__ref(want, ldd, src, lds, rows, cols, mul, add, i % 4 ? &finish : NULL);
        assert_same(got, want, count);
        assert_frame(got);
    }
}

static void check_recode_u8(isgk_recode_u8_fn *fn)
{
    for (int i = 0; i < 200; i++) {
        const size_t rows = random_below(6), cols = random_below(140), lds = cols + random_below(5);
        const size_t ldd = cols + random_below(9), bytes = extent(rows, ldd, cols);
        const int32_t *src = take_random_s32(0, extent(rows, lds, cols));
        float *mul = take_random(1, cols), *add = take_random(2, cols);
        uint8_t *got = take_bytes(3, bytes), *want = copy_of_bytes(4, got, bytes);
        static const float sizes[] = {1e-9f, 1e-5f, 1.0f, 1e30f}; /* the last ones leave the range of integers */
        const float size = sizes[random_below(4)];
        static const float lows[] = {0.0f, -1.0f, 0.5f, -INFINITY};
        isgk_recode to = {mul, add, lows[random_below(4)], INFINITY, 1.0f, (int32_t)random_below(256)};
        if (random_below(2)) to.zero = 0;
        if (random_below(2)) to.hi = 6.0f;
        to.inverse = random_below(2) ? 20.0f : 255.0f / 6.0f;
        for (size_t c = 0; c < cols; c++) mul[c] *= size;
        if (cols && random_below(4) == 0) mul[random_below((uint32_t)cols)] = random_below(2) ? NAN : -INFINITY;
        fn(got, ldd, src, lds, rows, cols, &to);
        isgk_recode_u8__ref(want, ldd, src, lds, rows, cols, &to);
        assert_memory_equal(got, want, bytes);
        assert_frame(got);
    }
}

/* n numbers -most..most, or of one size only: where 16 bits would be too few, those show it. */
static int8_t *take_codes(int region, size_t n, int32_t most, int extreme)
{
    int8_t *p = (int8_t *)take_random_bytes(region, n);
    const int32_t top = most < 127 ? most : 127;
    for (size_t i = 0; i < n; i++) {
        const int32_t x = (int32_t)random_below((uint32_t)(most + top + 1)) - most;
        p[i] = (int8_t)(!extreme ? x : x < 0 ? -most : top);
    }
    return p;
}

static void check_gemm_u8s8(isgk_gemm_u8s8_fn *fn)
{
    static const int32_t bounds[] = {0, 1, 3, 7, 15, 31, 32, 63, 64, 127, 128};
    for (int i = 0; i < 440; i++) {
        const size_t m = random_below(40), n = random_below(110), lda_more = random_below(9);
        const size_t k4 = i % 8 ? random_below(30) : 60 + random_below(80), lda = 4 * k4 + lda_more;
        const size_t ldb = n + random_below(5), ldc = n + random_below(7), count = extent(m, ldc, n);
        const int32_t most = bounds[i % 11];
        const isgk_codes codes = {most, i / 11 % 2};
        uint8_t *a = take_random_bytes(0, extent(m, lda, 4 * k4));
        const int8_t *b = take_codes(1, 4 * extent(k4, ldb, n), most, i % 3 == 0);
        const int32_t *init = take_random_s32(2, n);
        int32_t *got = take_bytes(3, count * 4), *want = copy_of_bytes(4, got, count * 4);
        if (i % 3 < 2) memset(a, 255, extent(m, lda, 4 * k4));
        if (i % 6 == 0) memset(regions[1], most < 127 ? most : 127, 4 * extent(k4, ldb, n));
        if (i % 6 == 0) b = (const int8_t *)regions[1];
        fn(got, ldc, a, lda, b, ldb, m, n, k4, init, &codes);
        isgk_gemm_u8s8__ref(want, ldc, a, lda, b, ldb, m, n, k4, init, &codes);
        assert_memory_equal(got, want, count * 4);
        assert_frame(got);
        if (!m || !n) continue;
        for (size_t k = 0, sum = 0; k <= 4 * k4; k++) {
            if (k == 4 * k4)
                assert_int_equal((int32_t)sum + init[n - 1], want[n - 1]);
            else
                sum += (size_t)(a[k] * (b[(k / 4 * ldb + n - 1) * 4 + k % 4] * (1 + codes.odd) + codes.odd));
        }
    }
}

static void check_dwconv_u8s8(isgk_dwconv_u8s8_fn *fn)
{
    static const int32_t bounds[] = {1, 7, 15, 31, 63, 127, 128};
    static const uint8_t *taps[4 * 40];
    for (int i = 0; i < 420; i++) {
        const size_t pixels = random_below(7), groups = i % 9 ? random_below(6) : 30 + random_below(10);
        const size_t channels = random_below(150), ldd = channels + random_below(7);
        const size_t count = extent(pixels, ldd, channels), step = (channels + 63) / 64 * 256;
        const size_t pixel_step = random_below(70), bytes = (channels + 31) / 32 * 32 + 40 + 6 * pixel_step;
        uint8_t *src = take_random_bytes(0, bytes);
        const isgk_codes codes = {bounds[i % 7], i / 7 % 2};
        const int8_t *w = take_codes(1, groups * step, codes.most, i % 3 == 0);
        const int32_t *init = take_random_s32(2, channels);
        int32_t *got = take_bytes(3, count * 4), *want = copy_of_bytes(4, got, count * 4);
        if (i % 3 < 2) memset(src, 255, bytes);
        for (size_t t = 0; t < 4 * groups; t++) taps[t] = src + random_below(41);
        fn(got, ldd, taps, pixel_step, pixels, groups, w, channels, init, &codes);
        isgk_dwconv_u8s8__ref(want, ldd, taps, pixel_step, pixels, groups, w, channels, init, &codes);
        assert_memory_equal(got, want, count * 4);
        assert_frame(got);
    }
}

static void check_dwpairs_u8s8(isgk_dwpairs_u8s8_fn *fn)
{
    static const int32_t bounds[] = {1, 4, 7, 15, 31, 63, 64, 127, 128};
    static const uint8_t *taps[40];
    for (int i = 0; i < 540; i++) {
        const size_t pixels = random_below(11), count = i % 10 ? random_below(12) : 30 + random_below(10);
        const size_t channels = i % 5 ? random_below(120) : 44, ldd = channels + random_below(7);
        const size_t sums = extent(pixels, ldd, channels), ldw = (2 * channels + 31) / 32 * 32;
        const size_t pixel_step = random_below(100), bytes = ldw + 40 + (pixels ? pixels - 1 : 0) * pixel_step;
        uint8_t *src = take_random_bytes(0, bytes);
        const isgk_codes codes = {bounds[i % 9], i / 9 % 3 == 2};
        const int8_t *w = take_codes(1, count * ldw, codes.most, i % 4 == 0);
        const int32_t *init = take_random_s32(2, channels);
        int32_t *got = take_bytes(3, sums * 4), *want = copy_of_bytes(4, got, sums * 4);
        if (i % 3 < 2) memset(src, 255, bytes);
        for (size_t t = 0; t < count; t++) taps[t] = src + (random_below(2) ? 40 : random_below(41));
        fn(got, ldd, taps, pixel_step, pixels, count, w, ldw, channels, init, &codes);
        isgk_dwpairs_u8s8__ref(want, ldd, taps, pixel_step, pixels, count, w, ldw, channels, init, &codes);
        assert_memory_equal(got, want, sums * 4);
        assert_frame(got);
    }
}

static void skip_without(uint32_t bit)
{
    if (((isgi_cpu_isa() | EMULATED_ISA) & bit) != bit) skip();
}

#define ISGK(op, isa, bit)                                                                                             \
    static void test_##op##__##isa(void **state)                                                                       \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        skip_without((uint32_t)(bit));                                                                                 \
        check_##op(isgk_##op##__##isa);                                                                                \
    }
#include "kernels/kernels.def"

/* The bound of exp that kernels.h states, over its whole range. */
static void test_exp_range(void **state)
{
    double worst = 0.0;
    (void)state;
    for (int i = 0; i <= 870000; i += getenv("INSITU_TEST_QUICK") ? 29 : 1) { /* emulated, exp() is slow */
        const float x = -(float)i * 1e-4f;
        const double exact = exp((double)x);
        worst = fmax(worst, fabs((double)isgi_exp_negative(x) - exact) / exact);
    }
    assert_true(worst < 1.5e-7);
    assert_true(isgi_exp_negative(0.0f) == 1.0f && isgi_exp_negative(-87.01f) == 0.0f);
    assert_true(isgi_exp_negative(-INFINITY) == 0.0f && isnan(isgi_exp_negative(NAN)));
}

static void test_sigmoid_range(void **state)
{
    isgk_table table;
    (void)state;
    check_sigmoid_range(isgk_act_f32__ref);
    isgk_table_init(&table, isgi_cpu_isa());
    check_sigmoid_range(table.act_f32);
}

/* Every slot is filled for every mask, and a mask of 0 gives the reference. */
static void test_table(void **state)
{
    (void)state;
    for (uint32_t isa = 0; isa < 16; isa++) {
        isgk_table table;
        memset(&table, 0, sizeof table);
        isgk_table_init(&table, isa);
#define ISGK_OP(op) assert_true(table.op != NULL);
#include "kernels/kernels.def"
        if (isa == 0) {
#define ISGK_OP(op) assert_true(table.op == isgk_##op##__ref);
#include "kernels/kernels.def"
        }
    }
}

static void test_cpu(void **state)
{
    (void)state;
    assert_int_equal(isgi_cpu_effective_isa(0), ISG_ISA_SCALAR);
    assert_int_equal(isgi_cpu_effective_isa(ISG_ISA_ALL) & ~isgi_cpu_isa(), 0);
    assert_int_equal(isgi_cpu_effective_isa(ISG_ISA_AVX512), ISG_ISA_SCALAR);
    assert_string_equal(isgi_cpu_isa_name(ISG_ISA_SCALAR), "scalar");
    assert_string_equal(isgi_cpu_isa_name(ISG_ISA_AVX2), "avx2");
    assert_string_equal(isgi_cpu_isa_name(ISG_ISA_AVX2 | ISG_ISA_AVX512), "avx512");
    assert_string_equal(isgi_cpu_isa_name(ISG_ISA_NEON), "neon");
    assert_string_equal(isgi_cpu_isa_name(ISG_ISA_NEON | ISG_ISA_NEONDOT), "neondot");
    assert_int_equal(isgi_cpu_effective_isa(ISG_ISA_NEONDOT), ISG_ISA_SCALAR);
}

/* What the instruction sets of the X-list came to on this CPU, so that nobody takes a skip for a pass. */
static void print_coverage(void)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } variants[] = {
#define ISGK(op, isa, bit) {#isa, (uint32_t)(bit)},
#include "kernels/kernels.def"
    };
    const size_t count = sizeof variants / sizeof variants[0];
    for (size_t i = 0, end; i < count; i = end) {
        const int emulated = (EMULATED_ISA & variants[i].bit) != 0;
        const int runs = (isgi_cpu_isa() & variants[i].bit) == variants[i].bit;
        for (end = i; end < count && strcmp(variants[end].name, variants[i].name) == 0;) end++;
        printf("kernels: %2zu variants %-10s %s\n", end - i, variants[i].name,
               emulated ? "checked, in plain C"
               : runs   ? "checked"
                        : "NOT CHECKED: this CPU lacks the instruction set");
    }
#if !defined(__x86_64__)
    printf("kernels: those of x86-64 are not in this build\n");
#endif
#if !defined(__aarch64__)
    printf("kernels: those of AArch64 are not in this build\n");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_exp_range),
        cmocka_unit_test(test_sigmoid_range),
#define ISGK(op, isa, bit) cmocka_unit_test(test_##op##__##isa),
#include "kernels/kernels.def"
    };
    const char *seed = getenv("INSITU_TEST_SEED");
    const char *room = getenv("INSITU_TEST_SLACK");
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int failed;
    slack = room ? (size_t)strtoull(room, NULL, 10) : 0;
    random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("INSITU_TEST_SEED=%llu isa=%s\n", (unsigned long long)random_state, isgi_cpu_isa_name(isgi_cpu_isa()));
    for (int i = 0; i < REGIONS; i++) {
        unsigned char *p = mmap(NULL, REGION_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if ((void *)p == MAP_FAILED || mprotect(p + page, REGION_BYTES, PROT_READ | PROT_WRITE) != 0) return 1;
        regions[i] = p + page;
    }
    failed = cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
    print_coverage();
    return failed;
}
