/* SPDX-License-Identifier: Apache-2.0 */
/* bsconv, penni and prune against plain loops over their papers' formulas: optimality, bytes and bits. */
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

#define TAPS_MOST 25u

/* About normal, with more of it in low taps, so that no direction is like another. */
static float *make_uneven(const isg_method_shape *s, uint32_t seed)
{
    const size_t count = count_of(s), taps = (size_t)s->kh * s->kw;
    float *w = malloc(count * sizeof *w);
    uint32_t state = seed * 2654435761u + 12345u;
    assert_non_null(w);
    for (size_t i = 0; i < count; i++) {
        float sum = 0.0f;
        for (int k = 0; k < 4; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (float)(state >> 8) / 16777216.0f - 0.5f;
        }
        w[i] = 0.1f * sum / (1.0f + 0.2f * (float)(i % taps));
    }
    return w;
}

static double squares(const float *w, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += (double)w[i] * (double)w[i];
    return sum;
}

static double lost_of(const float *a, const float *b, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* Eigenvalues, descending, of the Gram matrix of `rows` rows of n numbers: squared singular values, by Jacobi's
 * rotations. */
static void squared_singular_values(const float *w, size_t rows, size_t n, double *out)
{
    double g[TAPS_MOST][TAPS_MOST] = {{0.0}};
    assert_true(n <= TAPS_MOST);
    for (size_t r = 0; r < rows; r++) {
        for (size_t a = 0; a < n; a++) {
            for (size_t b = 0; b < n; b++) g[a][b] += (double)w[r * n + a] * (double)w[r * n + b];
        }
    }
    for (size_t turn = 0; turn < 60 * n * n; turn++) {
        const size_t p = turn / n % n, q = turn % n;
        double angle, c, s;
        if (p >= q || g[p][q] == 0.0) continue;
        angle = 0.5 * atan2(2.0 * g[p][q], g[q][q] - g[p][p]);
        c = cos(angle);
        s = sin(angle);
        for (size_t k = 0; k < n; k++) {
            const double x = g[k][p], y = g[k][q];
            g[k][p] = c * x - s * y;
            g[k][q] = s * x + c * y;
        }
        for (size_t k = 0; k < n; k++) {
            const double x = g[p][k], y = g[q][k];
            g[p][k] = c * x - s * y;
            g[q][k] = s * x + c * y;
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        for (size_t k = 0; k < n; k++) place += g[k][k] > g[i][i] || (g[k][k] == g[i][i] && k < i);
        out[place] = g[i][i];
    }
}

/* ---- the bytes ---- */

typedef struct reader {
    const uint8_t *bytes;
    uint64_t at;
} reader;

static uint32_t take(reader *r, uint32_t bits)
{
    uint32_t code = 0;
    for (uint32_t k = 0; k < bits; k++, r->at++) code |= (uint32_t)(r->bytes[r->at / 8] >> r->at % 8 & 1u) << k;
    return code;
}

static double take_half(reader *r)
{
    const uint32_t h = take(r, 16), exponent = h >> 10 & 31u, mantissa = h & 1023u;
    const double size = exponent ? ldexp(1024.0 + mantissa, (int)exponent - 25) : ldexp(mantissa, -24);
    return h >> 15 ? -size : size;
}

static const isg_method_shape shapes[] = {{8, 24, 3, 3}, {5, 16, 3, 3}, {6, 5, 5, 3}, {3, 70, 5, 5}, {4, 90, 1, 2}};
#define SHAPES (sizeof shapes / sizeof shapes[0])

/* ---- bsconv ---- */

/* arXiv 2003.13549, BSConv-U, with codes of the two factors: W[o][i][t] = scale pw[o][i] dw[o][t]. */
static void bsconv_bytes(const stored *r, const isg_method_shape *s, uint32_t bits)
{
    const uint32_t taps = s->kh * s->kw;
    const double most = (double)(1u << (bits - 1)) - 1.0;
    reader in = {r->bytes, 0};
    const float *w = r->made;
    for (uint32_t o = 0; o < s->co; o++) {
        const double top = take_half(&in);
        double dw[TAPS_MOST];
        for (uint32_t a = 0; a < taps; a++) dw[a] = (double)take(&in, bits) - most;
        for (uint32_t i = 0; i < s->ci; i++) {
            const double pw = (double)take(&in, bits) - most;
            for (uint32_t a = 0; a < taps; a++, w++)
                assert_true(fabs((double)*w - top * pw * dw[a] / (most * most)) <= 1e-6 * fabs(top));
        }
    }
    assert_true((in.at + 7) / 8 == r->size);
}

/* Nothing of rank 1 loses less than all but the first singular value; codes of 8 bits add little: a number is half a
 * step off at most, 1/254 of the factor's largest, and dw has `taps` of them, pw `ci`. */
static void bsconv_optimum(const float *w, const stored *r, const isg_method_shape *s)
{
    const size_t taps = (size_t)s->kh * s->kw, row = s->ci * taps;
    for (size_t o = 0; o < s->co; o++) {
        double values[TAPS_MOST], least = 0.0;
        const double lost = lost_of(w + o * row, r->made + o * row, row);
        squared_singular_values(w + o * row, s->ci, taps, values);
        for (size_t a = 1; a < taps; a++) least += values[a];
        assert_true(lost >= least * (1.0 - 1e-9));
        assert_true(lost <= least + values[0] * (double)(s->ci + taps) / (254.0 * 254.0));
    }
}

static void test_bsconv(void **state)
{
    (void)state;
    for (uint32_t bits = 2; bits <= 8; bits++) {
        char text[32];
        isg_method *m;
        snprintf(text, sizeof text, "bsconv:bits=%u", bits);
        m = create(text);
        for (size_t k = 0; k < SHAPES; k++) {
            const isg_method_shape *s = &shapes[k];
            float *w = make_uneven(s, (uint32_t)k);
            stored once = store_by(m, s, w), twice = store_by(m, s, once.made);
            bsconv_bytes(&once, s, bits);
            if (bits == 8) bsconv_optimum(w, &once, s);
            assert_true(once.cost.bits[ISG_SECTION_SCALES] == 16u * s->co);
            assert_true(once.cost.bits[ISG_SECTION_BASES] == (uint64_t)bits * s->co * s->kh * s->kw);
            assert_true(once.cost.bits[ISG_SECTION_CODES] == (uint64_t)bits * s->co * s->ci);
            assert_true(once.cost.multiply_adds == (double)count_of(s));
            /* the largest code of a factor is always the largest there is, so both come out as they are */
            assert_memory_equal(once.made, twice.made, count_of(s) * sizeof *w);
            assert_true(once.size == twice.size && !memcmp(once.bytes, twice.bytes, once.size));
            release(&once);
            release(&twice);
            free(w);
        }
        isg_method_destroy(m);
    }
}

static void test_fits(void **state)
{
    static const isg_method_shape pointwise = {64, 64, 1, 1}, depthwise = {64, 1, 3, 3}, few = {2, 3, 3, 3},
                                  wide = {4, 4, 1, 2000};
    isg_method *b = create("bsconv"), *five = create("penni"), *nine = create("penni:bases=9");
    (void)state;
    assert_false(isg_method_fits(b, &pointwise) || isg_method_fits(b, &depthwise) || isg_method_fits(b, &wide));
    assert_true(isg_method_fits(b, &few));
    assert_false(isg_method_fits(five, &pointwise) || isg_method_fits(five, &few) || isg_method_fits(five, &wide));
    assert_true(isg_method_fits(five, &depthwise) && isg_method_fits(nine, &depthwise));
    assert_false(isg_method_fits(nine, &few) || isg_method_fits(nine, &shapes[4]));
    isg_method_destroy(b);
    isg_method_destroy(five);
    isg_method_destroy(nine);
}

/* ---- penni ---- */

/* arXiv 2005.07133: each kernel is a sum of the layer's bases. Returns how many coefficients are there. */
static uint64_t penni_bytes(const stored *r, const isg_method_shape *s, uint32_t bases, int masked, uint32_t bits)
{
    const size_t taps = (size_t)s->kh * s->kw, kernels = (size_t)s->co * s->ci;
    const double most = (double)(1u << (bits - 1)) - 1.0;
    double *basis = malloc(bases * taps * sizeof *basis), *sum = calloc(kernels * taps, sizeof *sum), top = 0.0;
    uint8_t *there = malloc(kernels);
    reader in = {r->bytes, 0};
    uint64_t kept = 0;
    assert_true(basis && sum && there);
    for (size_t i = 0; i < bases * taps; i++) basis[i] = take_half(&in);
    for (size_t j = 0; j < bases; j++) {
        double scale;
        for (size_t k = 0; k < kernels; k++) kept += there[k] = masked ? (uint8_t)take(&in, 1) : 1;
        scale = take_half(&in);
        for (size_t k = 0; k < kernels; k++) {
            const double c = there[k] ? scale * ((double)take(&in, bits) - most) : 0.0;
            for (size_t a = 0; a < taps; a++) sum[k * taps + a] += c * basis[j * taps + a];
        }
    }
    assert_true((in.at + 7) / 8 == r->size);
    for (size_t i = 0; i < kernels * taps; i++) top = fmax(top, fabs(sum[i]));
    for (size_t i = 0; i < kernels * taps; i++) assert_true(fabs(sum[i] - (double)r->made[i]) <= 1e-6 * top);
    free(basis);
    free(sum);
    free(there);
    return kept;
}

/* Without sparsity and with 8 bits the error is that of the best space of `bases` directions for all kernels, and what
 * rounding adds: half a step, 1/254 of the largest coefficient, which is within the first singular value. */
static void penni_optimum(const float *w, const stored *r, const isg_method_shape *s, uint32_t bases)
{
    const size_t taps = (size_t)s->kh * s->kw, kernels = (size_t)s->co * s->ci;
    double values[TAPS_MOST], made[TAPS_MOST], least = 0.0, top = 0.0;
    const double lost = lost_of(w, r->made, count_of(s));
    squared_singular_values(w, kernels, taps, values);
    squared_singular_values(r->made, kernels, taps, made);
    for (size_t a = bases; a < taps; a++) {
        least += values[a];
        assert_true(made[a] < 1e-12 * made[0]);
    }
    for (size_t k = 0; k < kernels; k++) top = fmax(top, squares(w + k * taps, taps));
    assert_true(lost >= least * (1.0 - 1e-9));
    assert_true(lost <= least + 1e-6 * values[0] + (double)(kernels * bases) * top / (254.0 * 254.0));
}

static void check_penni(const isg_method_shape *s, uint32_t bases, double sparsity, uint32_t bits)
{
    const uint64_t all = (uint64_t)bases * s->co * s->ci, gone = (uint64_t)floor(sparsity * (double)all);
    const size_t count = count_of(s);
    char text[80];
    float *w = make_uneven(s, bases);
    isg_method *m;
    snprintf(text, sizeof text, "penni:bases=%u,sparsity=%g,bits=%u", bases, sparsity, bits);
    m = create(text);
    if (isg_method_fits(m, s)) {
        stored once = store_by(m, s, w), twice = store_by(m, s, once.made);
        assert_true(penni_bytes(&once, s, bases, sparsity > 0.0, bits) == all - gone);
        assert_true(once.cost.bits[ISG_SECTION_BASES] == 16u * (uint64_t)bases * s->kh * s->kw);
        assert_true(once.cost.bits[ISG_SECTION_SCALES] == 16u * bases);
        assert_true(once.cost.bits[ISG_SECTION_MASKS] == (sparsity > 0.0 ? all : 0));
        assert_true(once.cost.bits[ISG_SECTION_CODES] == (all - gone) * bits);
        assert_true(once.cost.multiply_adds == (double)((all - gone) * s->kh * s->kw));
        if (sparsity == 0.0 && bits == 8) penni_optimum(w, &once, s, bases);
        /* not bit by bit: bases in binary16 are not quite at right angles, and those found again are */
        if (!(lost_of(once.made, twice.made, count) < 1e-5 * squares(once.made, count)))
            fail_msg("%s: stored again it loses %g", text,
                     lost_of(once.made, twice.made, count) / squares(once.made, count));
        release(&once);
        release(&twice);
    }
    isg_method_destroy(m);
    free(w);
}

static void test_penni(void **state)
{
    static const double sparsities[] = {0.0, 0.3, 0.5, 0.9, 0.99};
    (void)state;
    for (size_t k = 0; k < SHAPES; k++) {
        for (uint32_t bases = 1; bases <= 10; bases++) {
            for (size_t i = 0; i < sizeof sparsities / sizeof sparsities[0]; i++) {
                check_penni(&shapes[k], bases, sparsities[i], 8);
                check_penni(&shapes[k], bases, sparsities[i], 2 + (bases + (uint32_t)i) % 6);
            }
        }
    }
}

/* As many bases as taps only turn the axes: dropping coefficients then loses what was dropped, since squares of
 * coefficients on right angles are those of the weights. */
static void test_penni_dropped(void **state)
{
    const isg_method_shape s = {8, 24, 3, 3};
    const size_t count = count_of(&s);
    float *w = make_uneven(&s, 5);
    isg_method *all = create("penni:bases=9"), *half = create("penni:bases=9,sparsity=0.5");
    stored a = store_by(all, &s, w), h = store_by(half, &s, w);
    (void)state;
    assert_true(lost_of(w, a.made, count) < 1e-3 * squares(w, count));
    assert_true(fabs(lost_of(w, h.made, count) - (squares(w, count) - squares(h.made, count))) <
                1e-3 * squares(w, count));
    assert_true(lost_of(w, h.made, count) < 0.2 * squares(w, count));
    release(&a);
    release(&h);
    isg_method_destroy(all);
    isg_method_destroy(half);
    free(w);
}

/* ---- prune ---- */

/* Han et al., arXiv 1506.02626: by the number of larger ones, of equal ones the first count as larger. */
static uint64_t kept_plainly(const float *w, size_t count, double sparsity, uint8_t *kept)
{
    const uint64_t keep = count - (uint64_t)floor(sparsity * (double)count);
    for (size_t i = 0; i < count; i++) {
        uint64_t larger = 0;
        for (size_t k = 0; k < count; k++) larger += fabsf(w[k]) > fabsf(w[i]) || (fabsf(w[k]) == fabsf(w[i]) && k < i);
        kept[i] = larger < keep;
    }
    return keep;
}

/* arXiv 1510.00149, figure 2: with runs of 4 bits a step of more than 16 places needs a zero at each 16th, which
 * becomes 2. Returns how many. */
static uint64_t fillers_plainly(uint8_t *kept, size_t count, uint32_t width)
{
    uint64_t fillers = 0, step = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t reach = UINT64_C(1) << width;
        step++;
        if (kept[i] != 1) continue;
        for (uint64_t k = reach; k < step; k += reach) kept[i - step + k] = 2;
        fillers += (step - 1) / reach;
        step = 0;
    }
    return fillers;
}

/* Scales: a row of which nothing is stored has none. */
static uint64_t rows_plainly(const uint8_t *kept, size_t rows, size_t row, int runs)
{
    uint64_t some = 0;
    for (size_t o = 0; o < rows; o++) {
        int any = 0;
        for (size_t i = 0; i < row; i++) any |= kept[o * row + i] == 1 || (runs && kept[o * row + i] == 2);
        some += (uint64_t)any;
    }
    return some;
}

/* How long places and codes are with the best width of runs, whose fillers are left in `kept`. */
static uint64_t runs_plainly(uint8_t *kept, size_t count, uint64_t keep, uint32_t bits, uint32_t *width,
                             uint64_t *fillers)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t k = 1; k <= 16; k++) {
        uint8_t *copy = malloc(count);
        uint64_t length;
        assert_non_null(copy);
        memcpy(copy, kept, count);
        length = 4 + 32 + (keep + fillers_plainly(copy, count, k)) * (k + bits);
        if (length < least) *width = k;
        least = length < least ? length : least;
        free(copy);
    }
    *fillers = fillers_plainly(kept, count, *width);
    return least;
}

/* Kept weights lose at most what codes lose whose scale clips nothing; the others all. */
static void prune_loss(const float *w, const stored *r, const uint8_t *kept, size_t rows, size_t row, uint32_t bits)
{
    const double most = (double)(1u << (bits - 1)) - 1.0;
    for (size_t o = 0; o < rows; o++, w += row, kept += row) {
        double top = 0.0, lost = 0.0, bound = 0.0;
        for (size_t i = 0; i < row; i++) top = fmax(top, kept[i] ? fabs((double)w[i]) : 0.0);
        for (size_t i = 0; i < row; i++) {
            const double made = (double)r->made[o * row + i], e = made - (double)w[i];
            const double plain = top > 0.0 ? nearbyint((double)w[i] / (top / most)) * top / most - (double)w[i] : 0.0;
            if (!kept[i]) assert_true(made == 0.0);
            lost += kept[i] ? e * e : 0.0;
            bound += kept[i] ? plain * plain : 0.0;
        }
        /* the scale in binary16 is off by 2^-11 of itself at most */
        assert_true(sqrt(lost) <= sqrt(bound) + ldexp(top, -11) * sqrt((double)row));
    }
}

static void check_prune(const isg_method_shape *s, double sparsity, uint32_t bits, uint32_t *widths)
{
    const size_t count = count_of(s), row = (size_t)s->ci * s->kh * s->kw;
    uint64_t keep, fillers, masked, runs, scales;
    uint32_t width = 0;
    uint8_t *kept = malloc(count);
    float *w = make_uneven(s, bits);
    char text[64];
    stored once, twice;
    isg_method *m;
    assert_non_null(kept);
    for (size_t i = 7; i < count; i += 3) w[i] = w[i - 7]; /* ties */
    snprintf(text, sizeof text, "prune:sparsity=%g,bits=%u", sparsity, bits);
    m = create(text);
    once = store_by(m, s, w);
    twice = store_by(m, s, once.made);
    keep = kept_plainly(w, count, sparsity, kept);
    prune_loss(w, &once, kept, s->co, row, bits);
    masked = count + keep * bits;
    runs = runs_plainly(kept, count, keep, bits, &width, &fillers);
    scales = 16 * rows_plainly(kept, s->co, row, runs < masked);
    assert_true(once.size == (1 + scales + (runs < masked ? runs : masked) + 7) / 8);
    assert_true(once.cost.bits[ISG_SECTION_SCALES] == scales);
    assert_true(once.cost.bits[ISG_SECTION_MASKS] == (runs < masked ? 0 : 1 + count));
    assert_true(once.cost.bits[ISG_SECTION_INDICES] == (runs < masked ? 37 + width * (keep + fillers) : 0));
    assert_true(once.cost.bits[ISG_SECTION_CODES] == bits * (runs < masked ? keep + fillers : keep));
    assert_memory_equal(once.made, twice.made, count * sizeof *w);
    *widths |= 1u << (runs < masked ? width : 0);
    release(&once);
    release(&twice);
    isg_method_destroy(m);
    free(kept);
    free(w);
}

static void test_prune(void **state)
{
    static const double sparsities[] = {0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99};
    static const isg_method_shape flat = {10, 64, 1, 1}, one = {1, 1, 1, 1};
    uint32_t widths = 0;
    (void)state;
    for (size_t i = 0; i < sizeof sparsities / sizeof sparsities[0]; i++) {
        for (uint32_t bits = 2; bits <= 8; bits += 3) {
            for (size_t k = 0; k < SHAPES; k++) check_prune(&shapes[k], sparsities[i], bits, &widths);
            check_prune(&flat, sparsities[i], bits, &widths);
            check_prune(&one, sparsities[i], bits, &widths);
        }
    }
    assert_true((widths & 1u) && ((widths >> 1) & ((widths >> 1) - 1u))); /* a mask, and runs of several widths */
}

/* ---- bits of a network ---- */

/* The convolutions of ResNet-18 for CIFAR: 3x3 ones of `co` filters on `ci` channels, `times`; 1x1 shortcuts. */
static const struct {
    isg_method_shape shape;
    uint32_t times;
} convs[] = {{{64, 3, 3, 3}, 1},    {{64, 64, 3, 3}, 4},   {{128, 64, 3, 3}, 1},  {{128, 128, 3, 3}, 3},
             {{256, 128, 3, 3}, 1}, {{256, 256, 3, 3}, 3}, {{512, 256, 3, 3}, 1}, {{512, 512, 3, 3}, 3},
             {{128, 64, 1, 1}, 1},  {{256, 128, 1, 1}, 1}, {{512, 256, 1, 1}, 1}};
#define CONVS (sizeof convs / sizeof convs[0])

/* Bits of all, those that do not fit (1x1) in uniform codes of 8 bits as in the published rows. */
static double network_kib(const char *text, double *bits_a_weight)
{
    isg_method *m = create(text), *other = create("uniform:bits=8");
    uint64_t bits = 0, weights = 0, fitting = 0, fitting_bits = 0;
    for (size_t k = 0; k < CONVS; k++) {
        const isg_method_shape *s = &convs[k].shape;
        const int fits = isg_method_fits(m, s);
        float *w = make_uneven(s, (uint32_t)k);
        isg_method_cost cost;
        isg_error err = {0};
        uint8_t *bytes;
        uint64_t sum = 0;
        size_t size;
        if (isg_method_encode(fits ? m : other, s, w, &bytes, &size, &cost, &err) != ISG_OK)
            fail_msg("%s: %s", text, err.message);
        for (int i = 0; i < ISG_SECTION_COUNT; i++) sum += cost.bits[i];
        assert_true((sum + 7) / 8 == size);
        bits += sum * convs[k].times;
        weights += cost.weights * convs[k].times;
        fitting += fits ? cost.weights * convs[k].times : 0;
        fitting_bits += fits ? sum * convs[k].times : 0;
        isg_free(bytes);
        free(w);
    }
    assert_true(weights == 11159232);
    *bits_a_weight = (double)bits / (double)weights;
    print_message("%s: %.1f KiB, %.4f bits a weight; without %u weights that do not fit %.1f KiB, %.4f\n", text,
                  (double)bits / 8192.0, *bits_a_weight, (unsigned)(weights - fitting), (double)fitting_bits / 8192.0,
                  (double)fitting_bits / (double)fitting);
    isg_method_destroy(m);
    isg_method_destroy(other);
    return (double)bits / 8192.0;
}

/* Counts of numbers in ResNet-18's 3x3 convolutions, and what the 1x1 ones take. */
#define KERNELS 1220800u
#define FILTERS 3904u
#define SHORTCUTS (172032u * 8u + 896u * 16u)

/* penni's coefficients are what stays of bases x kernels of each layer, each with a bit of the mask. */
static double penni_kib(uint32_t bases, double sparsity)
{
    double bits = SHORTCUTS;
    for (size_t k = 0; k < CONVS; k++) {
        const isg_method_shape *s = &convs[k].shape;
        const double all = (double)bases * s->co * s->ci;
        if (s->kh == 1) continue;
        bits += convs[k].times * ((all - floor(sparsity * all)) * 8.0 + all + bases * (9.0 * 16.0 + 16.0));
    }
    return bits / 8192.0;
}

/* The published counts are 1394, 1510 and 1658 KiB. They have neither scales nor bases of penni, which is what is above
 * them here. */
static void test_network(void **state)
{
    double bpw, kib;
    (void)state;
    kib = network_kib("bsconv", &bpw);
    assert_true(kib == (8.0 * (KERNELS + 9.0 * FILTERS) + 16.0 * FILTERS + SHORTCUTS) / 8192.0);
    assert_true(fabs(kib - (FILTERS + 896.0) * 16.0 / 8192.0 - 1394.0) < 1.0 && fabs(bpw - 1.02) < 0.015);
    kib = network_kib("penni:sparsity=0.9", &bpw);
    assert_true(kib == penni_kib(5, 0.9) && fabs(kib - 1510.0) < 4.0 && fabs(bpw - 1.11) < 0.005);
    kib = network_kib("penni:bases=2,sparsity=0.5", &bpw);
    assert_true(kib == penni_kib(2, 0.5) && fabs(kib - 1658.0) < 4.0 && fabs(bpw - 1.22) < 0.005);
    /* none published: a tenth of 8 bits and runs of 5, of which one in 28 is a filler; a hundredth takes runs of 8, the
     * width of theirs, and one in 12 */
    network_kib("prune", &bpw);
    assert_true(bpw > 1.3 && bpw < 1.38);
    network_kib("prune:sparsity=0.99", &bpw);
    assert_true(bpw > 0.16 && bpw < 0.185);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bsconv),        cmocka_unit_test(test_fits),  cmocka_unit_test(test_penni),
        cmocka_unit_test(test_penni_dropped), cmocka_unit_test(test_prune), cmocka_unit_test(test_network),
    };
    return cmocka_run_group_tests_name("methods_lowrank", tests, NULL, NULL);
}
