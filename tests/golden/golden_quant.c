/* SPDX-License-Identifier: Apache-2.0 */
/* Groups quantizer, weightgen, ortho and svd. */
#include "golden.h"

#include "factor/linalg.h"
#include "quant/factors_weight.h"
#include "quant/ortho.h"
#include "quant/quantiser.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const cJSON *c, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(c, key);
    return cJSON_IsString(item) ? item->valuestring : "?";
}

static void check_codes(gold_set *g, const cJSON *c, const isg_factor *f, size_t n)
{
    const gold_tensor *code = gold_find(g, c, "code"), *margin = gold_find(g, c, "margin");
    int32_t *mine = calloc(n, sizeof *mine);
    if (code && isg_factor_codes(mine, f, NULL) == ISG_OK) {
        const int32_t *theirs = code->data;
        int ok = 1;
        for (size_t i = 0; i < n; i++) {
            const int firm =
                !margin || (double)gold_f32(margin)[i] > (f->quant.bits < 12 ? 1e-4 : 0.05) || f->master[i] == 0.0f;
            ok &= abs(mine[i] - theirs[i]) <= !firm;
        }
        gold_check(g, ok, "codes differ");
    } else if (code) {
        gold_check(g, 0, "no codes");
    }
    free(mine);
}

void gold_group_quantizer(gold_set *g, const cJSON *cases)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        const gold_tensor *x, *upstream, *y, *dx, *margin = gold_find(g, c, "margin");
        const int q = (int)gold_number(c, "q", 0);
        char name[64];
        snprintf(name, sizeof name, "%s.q%d", text_of(c, "tensor"), q);
        gold_begin(g, "quantizer", name);
        x = gold_get(g, c, "x");
        upstream = gold_get(g, c, "upstream");
        y = gold_get(g, c, "y");
        dx = gold_get(g, c, "dx");
        if (x && upstream && y && dx) {
            isg_factor f = {1, (uint32_t)x->count, {(uint8_t)q, ISG_QUANT_PAPER, 0, 32}, NULL, NULL};
            const int one = x->count == 1 && q == 32;
            float *out = calloc(x->count, sizeof *out);
            f.master = malloc(x->count * sizeof *f.master);
            memcpy(f.master, x->data, x->count * sizeof *f.master);
            gold_check(g, isg_factor_quantise(out, &f, NULL) == ISG_OK, "quantise");
            (void)gold_quantised_close(g, "y", &f, out, gold_f32(y), margin ? gold_f32(margin) : NULL);
            check_codes(g, c, &f, x->count);
            if (cJSON_GetObjectItem(c, "range")) {
                const double r = gold_number(c, "range", 0);
                gold_number_close(g, "range", (double)isgi_paper_range(&f), r, 3e-6 * fabs(r));
            }
            isg_factor_backward(out, NULL, gold_f32(upstream), &f, 1);
            gold_close_to(g, "dx", out, gold_f32(dx), x->count, one ? 1e-6 : 2e-5, one ? 1.0 : 0.0);
            if (one) gold_check(g, fabs((double)out[0]) <= 1e-6, "dx of one element at 32 bits is not 0");
            free(f.master);
            free(out);
        }
        gold_end(g);
    }
}

/* Parameters and bytes, SPEC section 9; a layer that is off keeps 4 bytes a weight (linear: its bits). */
static void check_counts(gold_set *g, const cJSON *c, gold_layer *l)
{
    const double full = (double)l->taps * l->ci * l->co;
    const int off = !l->f->level1 && !l->f->level2;
    gold_layer_paper(l, c);
    gold_number_close(g, "num_params", (double)isg_factors_params(l->f), gold_number(c, "num_params", -1), 0);
    gold_number_close(g, "num_params_full", full, gold_number(c, "num_params_full", -1), 0);
    gold_number_close(g, "bytes", off && !l->linear ? full * 4 : (double)isg_factors_code_bits(l->f) / 8,
                      gold_number(c, "bytes", -1), 0);
}

/* Quantises `f` and compares with the stored numbers (already in the stored order). Leaves those in the master. */
static void check_factor(gold_set *g, const char *what, isg_factor *f, const float *expected)
{
    const size_t n = (size_t)f->rows * f->cols;
    float *y = calloc(n, sizeof *y);
    gold_check(g, isg_factor_quantise(y, f, NULL) == ISG_OK, "quantise");
    (void)gold_quantised_close(g, what, f, y, expected, NULL);
    memcpy(f->master, expected, n * sizeof *y);
    free(y);
}

static void level2_inputs(gold_set *g, const cJSON *c, gold_layer *l)
{
    const gold_tensor *v = gold_get(g, c, "coeff_out"), *vq = l->quantised ? gold_get(g, c, "coeff_out_q") : NULL;
    float *stored = calloc((size_t)l->f->v.rows * l->f->v.cols, sizeof *stored);
    if (v) gold_v_in(l->f, l->f->v.master, gold_f32(v));
    if (vq) {
        gold_v_in(l->f, stored, gold_f32(vq));
        check_factor(g, "coeff_out_q", &l->f->v, stored);
    }
    free(stored);
}

static void conv_inputs(gold_set *g, const cJSON *c, gold_layer *l)
{
    isg_factors *f = l->f;
    const int off = !f->level1 && !f->level2;
    const gold_tensor *b = gold_get(g, c, off ? "weight_full" : "basis");
    const gold_tensor *bq = !l->quantised ? NULL : off ? gold_find(g, c, "weight_full_q") : gold_get(g, c, "basis_q");
    const gold_tensor *u = f->level1 ? gold_get(g, c, "coeff_in") : NULL;
    const gold_tensor *uq = f->level1 && l->quantised ? gold_get(g, c, "coeff_in_q") : NULL;
    float *stored = calloc((size_t)f->basis.rows * f->basis.cols + (size_t)f->u.rows * f->u.cols, sizeof *stored);
    if (b) gold_basis_in(f, f->basis.master, gold_f32(b));
    if (bq) {
        gold_basis_in(f, stored, gold_f32(bq));
        check_factor(g, "basis_q", &f->basis, stored);
    } else if (b && l->quantised) {
        gold_check(g, isg_factor_quantise(stored, &f->basis, NULL) == ISG_OK, "quantise");
        memcpy(f->basis.master, stored, (size_t)f->basis.rows * f->basis.cols * sizeof *stored);
    }
    if (u) gold_u_in(f, f->u.master, gold_f32(u));
    if (uq) {
        gold_u_in(f, stored, gold_f32(uq));
        check_factor(g, "coeff_in_q", &f->u, stored);
    }
    if (f->level2) level2_inputs(g, c, l);
    free(stored);
}

/* The released linear layer quantises the whole weight, then takes the first rows as its basis. */
static void linear_inputs(gold_set *g, const cJSON *c, gold_layer *l)
{
    const gold_tensor *full = gold_get(g, c, "weight_full"), *used = gold_find(g, c, "basis_used");
    const gold_tensor *fq = l->quantised ? gold_get(g, c, "weight_full_q") : NULL;
    const size_t n = (size_t)l->ci * l->co;
    float *whole = calloc(n, sizeof *whole);
    if (full && full->count == n) {
        isg_factor f = {l->co, l->ci, {(uint8_t)l->w_bit, ISG_QUANT_PAPER, 0, 32}, NULL, NULL};
        f.master = malloc(n * sizeof *f.master);
        memcpy(f.master, full->data, n * sizeof *whole);
        memcpy(whole, full->data, n * sizeof *whole);
        if (fq) {
            check_factor(g, "weight_full_q", &f, gold_f32(fq));
            memcpy(whole, fq->data, n * sizeof *whole);
        }
        free(f.master);
        gold_basis_slice(l->f, l->f->basis.master, whole);
        if (used) {
            gold_basis_in(l->f, whole, gold_f32(used));
            gold_close_to(g, "basis_used", l->f->basis.master, whole, used->count, 1e-6, 0);
        }
    }
    if (l->f->level2) level2_inputs(g, c, l);
    free(whole);
}

static void check_weight(gold_set *g, const cJSON *c, gold_layer *l)
{
    const size_t n = (size_t)l->taps * l->ci * l->co;
    const gold_tensor *w = gold_get(g, c, "weight"), *c1 = gold_find(g, c, "weight_level1");
    float *hwio = calloc(n, sizeof *hwio), *oihw = calloc(n, sizeof *oihw);
    gold_layer_raw(l);
    gold_check(g, isg_factors_weight(hwio, l->f, NULL) == ISG_OK, "weight generation");
    isg_weight_hwio_to_oihw(oihw, hwio, l->co, l->ci, l->taps);
    if (w && w->count == n) gold_close_to(g, "weight", oihw, gold_f32(w), n, 1e-5, 0);
    if (c1 && l->f->level1) {
        float *level1 = calloc(c1->count, sizeof *level1), *paper = calloc(c1->count, sizeof *paper);
        isgi_level1_forward(level1, l->f, l->f->basis.master, l->f->u.master);
        isg_weight_hwio_to_oihw(paper, level1, l->f->bo, l->ci, l->taps);
        gold_close_to(g, "weight_level1", paper, gold_f32(c1), c1->count, 1e-5, 0);
        free(level1);
        free(paper);
    }
    free(hwio);
    free(oihw);
}

void gold_group_weightgen(gold_set *g, const cJSON *cases)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        gold_layer l;
        gold_begin(g, "weightgen", text_of(c, "case"));
        if (gold_layer_make(g, c, &l)) {
            gold_check(g, l.quantised == (gold_number(c, "quantised", 0) != 0), "quantised or not");
            check_counts(g, c, &l);
            if (l.linear) {
                linear_inputs(g, c, &l);
            } else {
                conv_inputs(g, c, &l);
            }
            check_weight(g, c, &l);
        }
        gold_layer_free(&l);
        gold_end(g);
    }
}

static const cJSON *case_named(const cJSON *cases, const char *name)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        if (!strcmp(text_of(c, "case"), name)) return c;
    }
    return NULL;
}

static void check_ortho(gold_set *g, const cJSON *c, const cJSON *layer, gold_layer *l)
{
    isg_factors *f = l->f;
    const size_t nb = (size_t)f->basis.rows * f->basis.cols, nu = (size_t)f->u.rows * f->u.cols;
    const size_t nv = (size_t)f->v.rows * f->v.cols, full = (size_t)l->taps * l->ci * l->co;
    const gold_tensor *w = gold_get(g, layer, "weight_full"), *u = gold_find(g, layer, "coeff_in");
    const gold_tensor *v = gold_find(g, layer, "coeff_out"), *dw = gold_find(g, c, "dweight_full");
    const gold_tensor *du = gold_find(g, c, "dcoeff_in"), *dv = gold_find(g, c, "dcoeff_out");
    float *mine = calloc(nb + nu + nv, sizeof *mine), *theirs = calloc(nb + nu + nv, sizeof *theirs);
    double loss;
    if (w && w->count == full) gold_basis_slice(f, f->basis.master, gold_f32(w));
    if (u && nu) gold_u_in(f, f->u.master, gold_f32(u));
    if (v && nv) gold_v_in(f, f->v.master, gold_f32(v));
    if (l->linear) {
        loss = isgi_ortho_terms(f, ISGI_ORTHO_V, 1.0, mine, mine + nb, mine + nb + nu);
    } else {
        loss = isg_factors_ortho(f, 1.0, mine, mine + nb, mine + nb + nu);
    }
    gold_number_close(g, "loss", loss, gold_number(c, "loss", -1), 2e-5 * fmax(gold_number(c, "loss", 0), 1e-3));
    if (dw && dw->count == full) gold_basis_slice(f, theirs, gold_f32(dw));
    if (du && nu) gold_u_in(f, theirs + nb, gold_f32(du));
    if (dv && nv) gold_v_in(f, theirs + nb + nu, gold_f32(dv));
    if (dw) gold_close_to(g, "dbasis", mine, theirs, nb, 2e-4, 1e-9);
    if (du) gold_close_to(g, "dcoeff_in", mine + nb, theirs + nb, nu, 2e-4, 1e-9);
    if (dv) gold_close_to(g, "dcoeff_out", mine + nb + nu, theirs + nb + nu, nv, 2e-4, 1e-9);
    free(mine);
    free(theirs);
}

void gold_group_ortho(gold_set *g, const cJSON *cases)
{
    const cJSON *layers = cJSON_GetObjectItem(cJSON_GetObjectItem(g->manifest, "cases"), "weightgen"), *c;
    cJSON_ArrayForEach(c, cases)
    {
        const cJSON *layer = case_named(layers, text_of(c, "case"));
        gold_layer l = {0};
        gold_begin(g, "ortho", text_of(c, "case"));
        gold_check(g, layer != NULL, "no weightgen case of this name");
        if (layer && gold_layer_make(g, layer, &l)) check_ortho(g, c, layer, &l);
        gold_layer_free(&l);
        gold_end(g);
    }
}

static void check_singular_values(gold_set *g, const cJSON *c, const float *oihw, size_t rows, size_t cols)
{
    const gold_tensor *sv = gold_find(g, c, "singular_values_level2");
    const size_t r = rows < cols ? rows : cols;
    double *a = malloc((rows * cols + rows * r + r + r * cols) * sizeof *a);
    float *s = calloc(r, sizeof *s);
    for (size_t i = 0; i < rows * cols; i++) a[i] = (double)oihw[i];
    if (sv && sv->count == r) {
        double *values = a + rows * cols + rows * r;
        gold_check(g, isgi_svd(a, rows, cols, a + rows * cols, values, values + r, NULL) == ISG_OK, "svd");
        for (size_t i = 0; i < r; i++) s[i] = (float)values[i];
        gold_close_to(g, "singular values", s, gold_f32(sv), r, 1e-5, 0);
    }
    free(a);
    free(s);
}

/* Error of the same weight with the second level alone. */
static void check_level2_alone(gold_set *g, const cJSON *c, const gold_layer *l, const float *hwio, double energy)
{
    const isg_levels levels = {0, l->f->bo, 0, 1};
    const isg_factor_options o = {.struct_size = sizeof o, .method = ISG_FACTOR_SVD};
    isg_factors *f = NULL;
    isg_factor_report r = {0};
    if (!cJSON_GetObjectItem(c, "sq_error_level2_only") || !l->f->level2) return;
    gold_check(g, isg_factors_create(&f, l->taps, l->ci, l->co, levels, 0, NULL) == ISG_OK, "create");
    gold_check(g, isg_factorise(f, hwio, &o, &r, NULL) == ISG_OK, "factorise level 2");
    gold_number_close(g, "sq_error_level2_only", r.weight_error * energy, gold_number(c, "sq_error_level2_only", -1),
                      1e-5 * energy);
    isg_factors_destroy(f);
}

static void check_svd(gold_set *g, const cJSON *c, gold_layer *l)
{
    const size_t n = (size_t)l->taps * l->ci * l->co;
    const gold_tensor *w = gold_get(g, c, "W"), *product = gold_get(g, c, "product");
    const isg_factor_options o = {.struct_size = sizeof o, .method = ISG_FACTOR_SVD};
    float *hwio = calloc(n, sizeof *hwio), *mine = calloc(n, sizeof *mine);
    isg_factor_report r = {0};
    double energy = 0;
    if (w && product && w->count == n && product->count == n) {
        isg_weight_oihw_to_hwio(hwio, gold_f32(w), l->co, l->ci, l->taps);
        for (size_t i = 0; i < n; i++) energy += (double)hwio[i] * (double)hwio[i];
        gold_check(g, isg_factorise(l->f, hwio, &o, &r, NULL) == ISG_OK, "factorise");
        gold_check(g, isg_factors_weight(mine, l->f, NULL) == ISG_OK, "weight generation");
        isg_weight_oihw_to_hwio(hwio, gold_f32(product), l->co, l->ci, l->taps);
        gold_close_to(g, "product", mine, hwio, n, 1e-4, 0);
        isg_weight_oihw_to_hwio(hwio, gold_f32(w), l->co, l->ci, l->taps);
        gold_number_close(g, "rel_error", sqrt(r.weight_error), gold_number(c, "rel_error", -1), 1e-5);
        gold_number_close(g, "sq_error", r.weight_error * energy, gold_number(c, "sq_error", -1), 2e-5 * energy);
        gold_number_close(g, "mse", r.weight_error * energy / (double)n, gold_number(c, "mse", -1),
                          2e-5 * energy / (double)n);
        check_level2_alone(g, c, l, hwio, energy);
        check_singular_values(g, c, gold_f32(w), l->co, (size_t)l->ci * l->taps);
        if (cJSON_GetObjectItem(c, "rel_error_after_quant_3_6_3")) {
            const double expected = gold_number(c, "rel_error_after_quant_3_6_3", -1);
            double e = 0;
            l->f->basis.quant = (isg_quant_spec){3, ISG_QUANT_PAPER, 0, 32};
            l->f->u.quant = (isg_quant_spec){6, ISG_QUANT_PAPER, 0, 32};
            l->f->v.quant = (isg_quant_spec){3, ISG_QUANT_PAPER, 0, 32};
            gold_check(g, isg_factors_weight(mine, l->f, NULL) == ISG_OK, "weight generation");
            for (size_t i = 0; i < n; i++)
                e += ((double)mine[i] - (double)hwio[i]) * ((double)mine[i] - (double)hwio[i]);
            gold_number_close(g, "rel_error_after_quant_3_6_3", sqrt(e / energy), expected, 0.02 * expected);
        }
    }
    free(hwio);
    free(mine);
}

void gold_group_svd(gold_set *g, const cJSON *cases)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        gold_layer l;
        gold_begin(g, "svd", text_of(c, "case"));
        if (gold_layer_make(g, c, &l)) check_svd(g, c, &l);
        gold_layer_free(&l);
        gold_end(g);
    }
}
