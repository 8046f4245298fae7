/* SPDX-License-Identifier: Apache-2.0 */
/* Factors of a case: sizes, paper layouts, tolerance of quantised numbers. */
#include "golden.h"

#include "quant/quantiser.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int gold_layer_make(gold_set *g, const cJSON *c, gold_layer *l)
{
    const cJSON *kind = cJSON_GetObjectItem(c, "kind");
    const double bi = fmax(gold_number(c, "base_in", 0), 0), bo = fmax(gold_number(c, "base_out", 0), 0);
    isg_levels levels;
    memset(l, 0, sizeof *l);
    l->linear = cJSON_IsString(kind) && !strcmp(kind->valuestring, "linear");
    l->ci = (uint32_t)gold_number(c, l->linear ? "in_features" : "ci", 0);
    l->co = (uint32_t)gold_number(c, l->linear ? "out_features" : "co", 0);
    l->taps = (uint32_t)gold_number(c, "k", 1);
    l->taps *= l->taps;
    l->w_bit = (int)gold_number(c, "w_bit", 32);
    l->quantised = l->w_bit < 16;
    levels =
        isg_factor_levels(l->ci, l->co, l->taps, (uint32_t)bi, (uint32_t)bo, 0, l->linear ? 0 : ISG_LEVELS_RULE_09);
    gold_check(g, levels.level1 == (gold_number(c, "level1", 0) != 0), "level 1 on or off");
    gold_check(g, levels.level2 == (gold_number(c, "level2", 0) != 0), "level 2 on or off");
    gold_number_close(g, "effective cardinality", levels.level2 ? levels.bo : l->co,
                      gold_number(c, "base_out_effective", 0), 0);
    if (isg_factors_create(&l->f, l->taps, l->ci, l->co, levels, 0, NULL) == ISG_OK) return 1;
    gold_check(g, 0, "factors cannot be created");
    return 0;
}

void gold_layer_free(gold_layer *l)
{
    isg_factors_destroy(l->f);
    l->f = NULL;
}

static void set_paper(isg_factor *f, int bits)
{
    f->quant = (isg_quant_spec){(uint8_t)bits, ISG_QUANT_PAPER, 0, 32};
}

void gold_layer_paper(gold_layer *l, const cJSON *c)
{
    const int dynamic = l->f->level1 || l->f->level2;
    set_paper(&l->f->basis, dynamic ? (int)gold_number(c, "qb", l->w_bit) : l->w_bit);
    set_paper(&l->f->u, (int)gold_number(c, "qu", l->w_bit));
    set_paper(&l->f->v, (int)gold_number(c, "qv", l->w_bit));
}

void gold_layer_raw(gold_layer *l)
{
    const isg_quant_spec raw = {32, ISG_QUANT_RAW, 0, 32};
    l->f->basis.quant = l->f->u.quant = l->f->v.quant = raw;
}

/* Position in the paper's basis of element (row, column) of the stored one. */
static size_t basis_index(const isg_factors *f, size_t row, size_t col)
{
    if (f->level1) return (col % f->bo * f->bi + col / f->bo) * f->taps + row;
    return (col * f->ci + row % f->ci) * f->taps + row / f->ci;
}

void gold_basis_in(const isg_factors *f, float *stored, const float *paper)
{
    for (size_t r = 0; r < f->basis.rows; r++) {
        for (size_t c = 0; c < f->basis.cols; c++) stored[r * f->basis.cols + c] = paper[basis_index(f, r, c)];
    }
}

void gold_basis_out(const isg_factors *f, float *paper, const float *stored)
{
    for (size_t r = 0; r < f->basis.rows; r++) {
        for (size_t c = 0; c < f->basis.cols; c++) paper[basis_index(f, r, c)] = stored[r * f->basis.cols + c];
    }
}

void gold_basis_slice(const isg_factors *f, float *stored, const float *full)
{
    for (size_t r = 0; r < f->basis.rows; r++) {
        for (size_t c = 0; c < f->basis.cols; c++) {
            const size_t kernel = f->level1 ? c % f->bo : c, channel = f->level1 ? c / f->bo : r % f->ci;
            const size_t tap = f->level1 ? r : r / f->ci;
            stored[r * f->basis.cols + c] = full[(kernel * f->ci + channel) * f->taps + tap];
        }
    }
}

void gold_u_in(const isg_factors *f, float *stored, const float *paper)
{
    for (size_t c = 0; c < f->u.rows; c++) {
        for (size_t i = 0; i < f->u.cols; i++) {
            stored[c * f->u.cols + i] = paper[(i % f->bo * f->ci + c) * f->bi + i / f->bo];
        }
    }
}

void gold_v_in(const isg_factors *f, float *stored, const float *paper)
{
    for (size_t o = 0; o < f->v.rows; o++) {
        for (size_t n = 0; n < f->co; n++) stored[o * f->co + n] = paper[n * f->bo + o];
    }
}

/* Distance of the number before rounding from a tie, in steps. */
static double margin_of(const isg_factor *f, size_t i, double r)
{
    const double top = ldexp(1.0, f->quant.bits) - 1, x = (tanh((double)f->master[i]) / (2 * r) + 0.5) * top;
    return fabs(x - floor(x) - 0.5);
}

size_t gold_quantised_close(gold_set *g, const char *what, const isg_factor *f, const float *y, const float *expected,
                            const float *margin)
{
    const size_t n = (size_t)f->rows * f->cols;
    const int bits = f->quant.bits, coded = bits >= 2 && bits <= 16;
    const double r = (double)isgi_paper_range(f), step = coded ? 2 * r / (ldexp(1.0, bits) - 1) : 0;
    double top = 0;
    size_t flips = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)expected[i]));
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)y[i] - (double)expected[i]), tolerance = 3e-6 * top;
        const double m = !coded ? 1 : margin ? (double)margin[i] : margin_of(f, i, r);
        const int firm = !coded || m > (bits < 12 ? 1e-4 : 0.05) || f->master[i] == 0.0f;
        flips += d > tolerance;
        if (d <= tolerance || (!firm && d <= step + tolerance)) continue;
        g->case_checks++;
        printf("FAIL %s: %s[%zu] is %.9g, expected %.9g (margin %.3g)\n", g->label, what, i, (double)y[i],
               (double)expected[i], m);
        break;
    }
    return flips;
}
