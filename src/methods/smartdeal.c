/* SPDX-License-Identifier: Apache-2.0 */
/* SmartDeal: weights three a row, a row made of signed powers of two times a 3 x 3 basis that a block of rows shares.
 *
 * After Zhao et al., "SmartExchange" (ISCA 2020, arXiv 2005.03403), as the code of its successor SmartDeal alternates,
 * but for these. Exponents range freely there; here coefficients are what four bits hold, and the basis what its codes
 * hold, while they are fitted and not afterwards. Columns are scaled by least squares at first, and the best step is
 * kept, not the last. What came out is fitted again until it comes out as it went in, so that a network that is trained
 * to weights of this form keeps them. The threshold is relative to the largest coefficient of a column. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "host/alloc.h"
#include "methods/largest.h"
#include "methods/method.h"

enum { THRESHOLD, ROWS };

#define SIDE 3u
#define BLOCK 192u /* rows; 64 SIDE, as theirs */
#define ROUNDS 50u /* theirs; most blocks settle sooner */
#define PASSES 8u  /* fits of what a fit made */
#define SCALES 16u /* of a column, tried in an octave */
#define BASIS_BITS 8u
#define LEVEL_BITS 3u
#define SIGN (1u << LEVEL_BITS)

/* Magnitudes of a coefficient. Columns are scaled so that the largest is 1: b takes up the rest, and the scale of its
 * codes says where the window of exponents lies. */
static const double levels[SIGN] = {0.0, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0};

typedef struct block {
    size_t rows;
    double a[BLOCK][SIDE], c[BLOCK][SIDE], b[SIDE][SIDE]; /* a ~= c b */
    int8_t code[BLOCK][SIDE];                             /* of c: an index of levels, negative where c is */
} block;

/* A filter's numbers in their order, three a row and padded with zeros: kernels of width 3 give their lines, all others
 * what theirs gives for 1 x 1 and fully connected layers. */
static size_t rows_of(const isg_method_shape *shape)
{
    return (isgi_method_row(shape) + SIDE - 1u) / SIDE;
}

/* A filter of so few rows has as many in its basis: depthwise layers of 3 x 3 would take 14 bits a weight. */
static int fits(const double *values, const isg_method_shape *shape)
{
    (void)values;
    return rows_of(shape) > SIDE;
}

static size_t blocks_of(size_t rows)
{
    return (rows + BLOCK - 1u) / BLOCK;
}

/* ---- coefficients ---- */

static double value_of(int code)
{
    return code < 0 ? -levels[-code] : levels[code];
}

/* The nearest level, the midpoint in linear scale. */
static int code_of(double x)
{
    const double magnitude = fabs(x);
    int code = 0;
    for (size_t i = 1; i < SIGN; i++) code += magnitude > 0.5 * (levels[i - 1] + levels[i]);
    return x < 0.0 ? -code : code;
}

/* `scale` times the power of two that makes 1 of `top`. */
static double to_window(double scale, double top)
{
    int exponent;
    const double part = frexp(scale * top, &exponent);
    return ldexp(scale, part > 0.75 ? -exponent : 1 - exponent);
}

/* Theirs: 2^mean(round(log2 |c|) - log2 |c|). */
static double mean_scale(const block *k, size_t column)
{
    double sum = 0.0;
    size_t count = 0;
    for (size_t r = 0; r < k->rows; r++) {
        const double x = k->c[r][column] != 0.0 ? log2(fabs(k->c[r][column])) : 0.0;
        sum += round(x) - x;
        count += k->c[r][column] != 0.0;
    }
    return exp2(sum / (double)count);
}

/* The scale with the least squared error when b is refitted: the mean of logarithms depends on where they are rounded,
 * which is poor a start. */
static double best_scale(const block *k, size_t column, double top)
{
    double best = 1.0, most = -1.0;
    for (size_t i = 0; i < SCALES; i++) {
        const double scale = to_window(exp2((double)i / SCALES), top);
        double cq = 0.0, qq = 0.0;
        for (size_t r = 0; r < k->rows; r++) {
            const double q = value_of(code_of(scale * k->c[r][column]));
            cq += k->c[r][column] * q;
            qq += q * q;
        }
        if (cq * cq / qq <= most) continue;
        most = cq * cq / qq;
        best = scale;
    }
    return best;
}

/* Codes of c, small ones zero; returns whether any is another than before. */
static int round_coefficients(block *k, double threshold, int first)
{
    int changed = 0;
    for (size_t j = 0; j < SIDE; j++) {
        double top = 0.0, scale = 0.0;
        for (size_t r = 0; r < k->rows; r++) top = fmax(top, fabs(k->c[r][j]));
        for (size_t r = 0; r < k->rows; r++) {
            if (fabs(k->c[r][j]) < threshold * top) k->c[r][j] = 0.0;
        }
        if (top > 0.0) scale = first ? best_scale(k, j, top) : to_window(mean_scale(k, j), top);
        for (size_t r = 0; r < k->rows; r++) {
            const int8_t code = (int8_t)code_of(scale * k->c[r][j]);
            changed |= code != k->code[r][j];
            k->code[r][j] = code;
        }
    }
    return changed;
}

/* ---- least squares ---- */

/* x becomes the solution y of g y = x, g positive semidefinite (destroyed); zeros where g depends on rows before. */
static void solve(double g[SIDE][SIDE], double x[SIDE][SIDE])
{
    const double diagonal[SIDE] = {g[0][0], g[1][1], g[2][2]};
    for (size_t k = 0; k < SIDE; k++) {
        if (!(g[k][k] > 1e-12 * diagonal[k])) {
            memset(g[k], 0, sizeof g[k]);
            memset(x[k], 0, sizeof x[k]);
            continue;
        }
        for (size_t i = 0; i < SIDE; i++) {
            const double f = i == k ? 0.0 : g[i][k] / g[k][k];
            for (size_t j = 0; j < SIDE; j++) {
                g[i][j] -= f * g[k][j];
                x[i][j] -= f * x[k][j];
            }
        }
    }
    for (size_t k = 0; k < SIDE; k++) {
        for (size_t j = 0; j < SIDE; j++) x[k][j] = g[k][k] > 0.0 ? x[k][j] / g[k][k] : 0.0;
    }
}

/* As isgi_coder_uniform() writes it when it clips nothing: c is fitted to the basis that there will be. */
static void round_basis(block *k)
{
    const double most = (double)((1u << (BASIS_BITS - 1u)) - 1u);
    double top = 0.0, scale;
    for (size_t i = 0; i < SIDE * SIDE; i++) top = fmax(top, fabs(k->b[i / SIDE][i % SIDE]));
    scale = (double)isgi_half_to_float(isgi_half_from_float((float)(top / most)));
    for (size_t i = 0; i < SIDE * SIDE && isfinite(scale); i++) {
        double *b = &k->b[i / SIDE][i % SIDE];
        *b = scale > 0.0 ? scale * fmin(fmax(nearbyint(*b / scale), -most), most) : 0.0;
    }
}

/* b = lstsq(codes, a) */
static void fit_basis(block *k)
{
    double g[SIDE][SIDE] = {{0.0}};
    memset(k->b, 0, sizeof k->b);
    for (size_t r = 0; r < k->rows; r++) {
        for (size_t i = 0; i < SIDE; i++) {
            const double c = value_of(k->code[r][i]);
            for (size_t j = 0; j < SIDE; j++) {
                g[i][j] += c * value_of(k->code[r][j]);
                k->b[i][j] += c * k->a[r][j];
            }
        }
    }
    solve(g, k->b);
    round_basis(k);
}

/* c = lstsq(b, a): with p = (b b^T)^-1 b, c = a p^T */
static void fit_coefficients(block *k)
{
    double g[SIDE][SIDE], p[SIDE][SIDE];
    memcpy(p, k->b, sizeof p);
    for (size_t i = 0; i < SIDE; i++) {
        for (size_t j = 0; j < SIDE; j++)
            g[i][j] = k->b[i][0] * k->b[j][0] + k->b[i][1] * k->b[j][1] + k->b[i][2] * k->b[j][2];
    }
    solve(g, p);
    for (size_t r = 0; r < k->rows; r++) {
        const double *a = k->a[r];
        for (size_t j = 0; j < SIDE; j++) k->c[r][j] = a[0] * p[j][0] + a[1] * p[j][1] + a[2] * p[j][2];
    }
}

/* Number `column` of a row as it is decoded. */
static double made(const block *k, size_t row, size_t column)
{
    double sum = 0.0;
    for (size_t i = 0; i < SIDE; i++) sum += value_of(k->code[row][i]) * k->b[i][column];
    return sum;
}

static double error_of(const block *k)
{
    double sum = 0.0;
    for (size_t r = 0; r < k->rows; r++) {
        for (size_t j = 0; j < SIDE; j++) sum += (k->a[r][j] - made(k, r, j)) * (k->a[r][j] - made(k, r, j));
    }
    return sum;
}

/* The alternation, from b = 1. It need not descend: the best of its steps is kept. */
static void alternate(block *k, double threshold)
{
    double best[SIDE][SIDE] = {{0.0}}, least = INFINITY;
    int8_t code[BLOCK][SIDE] = {{0}};
    memcpy(k->c, k->a, sizeof k->c);
    memset(k->code, 0, sizeof k->code);
    for (size_t i = 0; i < ROUNDS && round_coefficients(k, threshold, i == 0); i++) {
        double error;
        fit_basis(k);
        error = error_of(k);
        if (error < least) {
            least = error;
            memcpy(best, k->b, sizeof best);
            memcpy(code, k->code, sizeof code);
        }
        fit_coefficients(k);
    }
    memcpy(k->b, best, sizeof best);
    memcpy(k->code, code, sizeof code);
}

/* Also replaces a. */
static void fit(block *k, double threshold)
{
    for (size_t i = 0; i < PASSES; i++) {
        double whole = 0.0;
        alternate(k, threshold);
        for (size_t r = 0; r < k->rows; r++) {
            for (size_t j = 0; j < SIDE; j++) whole += k->a[r][j] * k->a[r][j];
        }
        if (error_of(k) <= 1e-4 * whole) return;
        for (size_t r = 0; r < k->rows; r++) {
            for (size_t j = 0; j < SIDE; j++) k->a[r][j] = made(k, r, j);
        }
    }
}

/* ---- rows ---- */

/* The length of a row: `w` at its first number, of which the filter has `left`. */
static float norm_of(const float *w, size_t left)
{
    double sum = 0.0;
    for (size_t i = 0; i < SIDE && i < left; i++) sum += (double)w[i] * (double)w[i];
    return (float)fmin(sqrt(sum), FLT_MAX);
}

/* The share of the tensor's rows is dropped beforehand: columns are scaled anew in every round, so that coefficients
 * of two blocks do not compare, but the length of what they stand for does. Marks the rows that stay. */
static isg_status mark_rows(uint8_t **kept, double share, const isg_method_shape *shape, const float *w, isg_error *err)
{
    const size_t n = isgi_method_row(shape), rows = rows_of(shape), total = shape->co * rows;
    float *norms = isgi_calloc(total, sizeof *norms);
    *kept = isgi_malloc(total);
    if (!norms || !*kept) {
        isg_free(norms);
        isg_free(*kept);
        return isgi_nomem(err);
    }
    for (size_t i = 0; i < total; i++) norms[i] = norm_of(w + i / rows * n + i % rows * SIDE, n - i % rows * SIDE);
    isgi_largest_mark(norms, total, isgi_largest_count(total, share), *kept);
    isg_free(norms);
    return ISG_OK;
}

/* A dropped row is zeros, and those get zero coefficients. `w` as for norm_of(). */
static void load(block *k, const float *w, size_t left, const uint8_t *kept)
{
    for (size_t r = 0; r < k->rows; r++, w += SIDE, left -= left < SIDE ? left : SIDE) {
        for (size_t j = 0; j < SIDE; j++) k->a[r][j] = j < left && kept[r] ? (double)w[j] : 0.0;
    }
}

/* ---- bits ---- */

static void put_block(isgi_coder *c, const block *k)
{
    float b[SIDE * SIDE];
    for (size_t i = 0; i < SIDE * SIDE; i++) b[i] = (float)fmin(fmax(k->b[i / SIDE][i % SIDE], -FLT_MAX), FLT_MAX);
    isgi_coder_uniform(c, ISG_SECTION_BASES, b, SIDE * SIDE, 1, BASIS_BITS);
    for (size_t r = 0; r < k->rows; r++) {
        const int8_t *code = k->code[r];
        const int kept = code[0] || code[1] || code[2];
        isgi_coder_put(c, ISG_SECTION_MASKS, (uint32_t)kept, 1);
        for (size_t j = 0; j < SIDE && kept; j++)
            isgi_coder_put(c, ISG_SECTION_CODES, (uint32_t)abs(code[j]) | (code[j] < 0 ? SIGN : 0u), LEVEL_BITS + 1u);
    }
}

static isg_status encode(const double *values, const isg_method_shape *shape, const float *w, isgi_coder *c,
                         isg_error *err)
{
    const size_t n = isgi_method_row(shape), rows = rows_of(shape), blocks = blocks_of(rows);
    uint8_t *kept;
    block *k;
    ISGI_TRY(mark_rows(&kept, values[ROWS], shape, w, err));
    k = isgi_calloc(1, sizeof *k);
    if (!k) {
        isg_free(kept);
        return isgi_nomem(err);
    }
    for (size_t o = 0; o < shape->co && c->status == ISG_OK; o++, w += n) {
        for (size_t i = 0; i < blocks; i++) {
            const size_t from = i * rows / blocks;
            k->rows = (i + 1u) * rows / blocks - from;
            load(k, w + from * SIDE, n - from * SIDE, kept + o * rows + from);
            fit(k, values[THRESHOLD]);
            put_block(c, k);
        }
    }
    isg_free(k);
    isg_free(kept);
    return ISG_OK;
}

/* A row that is kept; no encoder writes the negative zero, nor keeps nothing but zeros. */
static void take_row(isgi_decoder *d, float c[SIDE])
{
    for (size_t j = 0; j < SIDE; j++) {
        const uint32_t code = isgi_decoder_take(d, LEVEL_BITS + 1u);
        c[j] = (float)levels[code & (SIGN - 1u)];
        if (code == SIGN) d->bad = 1;
        if (code & SIGN) c[j] = -c[j];
    }
    if (c[0] == 0.0f && c[1] == 0.0f && c[2] == 0.0f) d->bad = 1;
}

static isg_status decode(const double *values, const isg_method_shape *shape, isgi_decoder *d, float *w, isg_error *err)
{
    const size_t n = isgi_method_row(shape), rows = rows_of(shape), blocks = blocks_of(rows);
    (void)values;
    (void)err;
    for (size_t o = 0; o < shape->co; o++, w += n) {
        for (size_t i = 0; i < blocks; i++) {
            const size_t end = (i + 1u) * rows / blocks;
            float b[SIDE][SIDE];
            isgi_decoder_uniform(d, b[0], SIDE * SIDE, 1, BASIS_BITS);
            for (size_t r = i * rows / blocks; r < end; r++) {
                float c[SIDE] = {0.0f};
                if (isgi_decoder_take(d, 1)) take_row(d, c);
                for (size_t j = 0; j < SIDE && r * SIDE + j < n; j++)
                    w[r * SIDE + j] = c[0] * b[0][j] + c[1] * b[1][j] + c[2] * b[2][j];
            }
        }
    }
    return ISG_OK;
}

/* Every coefficient that there is is shifted into the three numbers of its row. */
static void work(const double *values, const isg_method_shape *shape, isg_method_cost *cost)
{
    (void)values;
    (void)shape;
    cost->shift_adds = SIDE * (double)(cost->bits[ISG_SECTION_CODES] / (LEVEL_BITS + 1u));
}

const isgi_method_kind isgi_method_smartdeal = {
    .name = "smartdeal",
    .summary = "SmartDeal: rows of three powers of two, 4 bits each, times an 8-bit 3 x 3 basis a block of 192 rows",
    .params = {{"threshold", 0, 0.5, 0.01, 0}, {"rows", 0, 0.95, 0, 0}},
    .fits = fits,
    .encode = encode,
    .decode = decode,
    .work = work,
};
