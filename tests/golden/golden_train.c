/* SPDX-License-Identifier: Apache-2.0 */
/* Groups kd, radam, input_quantizer and projection. */
#include "golden.h"

#include "factor/l2.h"
#include "factor/radam.h"
#include "quant/input_quantiser.h"
#include "train/loss_kd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gold_group_kd(gold_set *g, const cJSON *cases)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        const double alpha = gold_number(c, "alpha", 0), t = gold_number(c, "T", 1);
        const isgi_kd kd = {.beta = (float)alpha, .temperature = (float)t};
        const gold_tensor *student, *teacher, *labels, *grad;
        char name[64];
        snprintf(name, sizeof name, "%s.T%g.a%g", cJSON_GetStringValue(cJSON_GetObjectItem(c, "case")), t, alpha);
        gold_begin(g, "kd", name);
        student = gold_get(g, c, "student");
        teacher = gold_get(g, c, "teacher");
        labels = gold_get(g, c, "labels");
        grad = gold_get(g, c, "grad");
        if (student && teacher && labels && grad && labels->count) {
            const size_t batch = labels->count, classes = student->count / batch;
            float *mine = calloc(student->count, sizeof *mine);
            const double expected = gold_number(c, "loss", -1);
            double ce = 0;
            const double loss =
                isgi_loss_kd(&kd, gold_f32(student), gold_f32(teacher), labels->data, batch, classes, mine, &ce, NULL);
            gold_number_close(g, "loss", loss, expected, 1e-5 * fmax(1.0, fabs(expected)));
            gold_number_close(g, "ce", ce, gold_number(c, "ce", -1), 1e-5 * fmax(1.0, gold_number(c, "ce", 0)));
            gold_close_to(g, "grad", mine, gold_f32(grad), grad->count, 1e-5, 0);
            free(mine);
        }
        gold_end(g);
    }
}

void gold_group_radam(gold_set *g, const cJSON *c)
{
    const cJSON *betas = cJSON_GetObjectItem(c, "betas");
    const gold_tensor *p0, *grads, *trajectory;
    gold_begin(g, "radam", "trajectory");
    p0 = gold_get(g, c, "p0");
    grads = gold_get(g, c, "grads");
    trajectory = gold_get(g, c, "trajectory");
    if (p0 && grads && trajectory) {
        const isgi_radam o = {(float)gold_number(c, "lr", 0), (float)cJSON_GetNumberValue(cJSON_GetArrayItem(betas, 0)),
                              (float)cJSON_GetNumberValue(cJSON_GetArrayItem(betas, 1)),
                              (float)gold_number(c, "eps", 0), (float)gold_number(c, "weight_decay", 0)};
        const size_t n = p0->count, steps = grads->count / n;
        float *p = calloc(3 * n, sizeof *p);
        memcpy(p, p0->data, n * sizeof *p);
        gold_check(g, trajectory->count == steps * n, "length of the trajectory");
        for (size_t s = 0; s < steps && s * n < trajectory->count; s++) {
            isgi_radam_step(&o, p, gold_f32(grads) + s * n, p + n, p + 2 * n, n, s + 1);
            gold_close_to(g, "parameters", p, gold_f32(trajectory) + s * n, n, 1e-5, 0);
        }
        free(p);
    }
    gold_end(g);
}

static void input_step(gold_set *g, const cJSON *step, isgi_input_quantiser *q)
{
    const gold_tensor *x = gold_get(g, step, "x"), *y = gold_get(g, step, "y");
    float scale, *mine;
    int32_t zero;
    double top = 0;
    if (!x || !y || x->count != y->count) return;
    if (gold_number(step, "training", 0) != 0) isgi_input_quantiser_observe(q, gold_f32(x), x->count);
    isgi_input_quantiser_params(q, &scale, &zero);
    gold_number_close(g, "scale", (double)scale, gold_number(step, "scale", -1), 1e-6 * gold_number(step, "scale", 0));
    gold_number_close(g, "zero point", zero, gold_number(step, "zero_point", -1), 0);
    gold_number_close(g, "minimum", (double)q->lo, gold_number(step, "ema_min", 0), 1e-5 * fabs((double)q->lo));
    gold_number_close(g, "maximum", (double)q->hi, gold_number(step, "ema_max", 0), 1e-5 * fabs((double)q->hi));
    mine = calloc(x->count, sizeof *mine);
    isgi_input_quantiser_apply(q, mine, gold_f32(x), x->count);
    for (size_t i = 0; i < y->count; i++) top = fmax(top, fabs((double)gold_f32(y)[i]));
    for (size_t i = 0; i < y->count; i++) {
        const double before = (double)gold_f32(x)[i] / (double)scale, margin = fabs(before - floor(before) - 0.5);
        const double d = fabs((double)mine[i] - (double)gold_f32(y)[i]), step_size = (double)scale;
        if (d > 3e-6 * top + (margin < 1e-3 ? step_size : 0)) gold_check(g, 0, "y differs");
    }
    free(mine);
}

void gold_group_input_quantizer(gold_set *g, const cJSON *cases)
{
    const cJSON *c, *step;
    cJSON_ArrayForEach(c, cases)
    {
        isgi_input_quantiser q = {(uint32_t)gold_number(c, "in_bit", 8),
                                  (float)gold_number(c, "averaging_constant", 0.01), 0, 0, 0};
        char name[32];
        snprintf(name, sizeof name, "%u bits", q.bits);
        gold_begin(g, "input_quantizer", name);
        cJSON_ArrayForEach(step, cJSON_GetObjectItem(c, "steps")) input_step(g, step, &q);
        gold_end(g);
    }
}

typedef struct loss_log {
    double *loss;
    uint32_t steps;
} loss_log;

static void log_loss(void *user, uint32_t step, double loss)
{
    loss_log *log = user;
    if (step <= log->steps) log->loss[step] = loss;
}

static void check_projection(gold_set *g, const cJSON *c, gold_layer *l)
{
    const cJSON *at = cJSON_GetObjectItem(c, "loss_at_step"), *item;
    const gold_tensor *target = gold_get(g, c, "target"), *w = gold_get(g, c, "weight_full0");
    const gold_tensor *u = l->f->level1 ? gold_get(g, c, "coeff_in0") : NULL;
    const gold_tensor *v = l->f->level2 ? gold_get(g, c, "coeff_out0") : NULL;
    isgi_l2_options o = {0};
    loss_log log = {NULL, 0};
    float *hwio;
    cJSON_ArrayForEach(item, at)
    {
        const uint32_t step = (uint32_t)strtoul(item->string, NULL, 10);
        if (step > log.steps) log.steps = step;
    }
    if (!target || !w || log.steps > 100000) return;
    hwio = calloc(target->count, sizeof *hwio);
    log.loss = calloc((size_t)log.steps + 1, sizeof *log.loss);
    isg_weight_oihw_to_hwio(hwio, gold_f32(target), l->co, l->ci, l->taps);
    gold_basis_slice(l->f, l->f->basis.master, gold_f32(w));
    if (u) gold_u_in(l->f, l->f->u.master, gold_f32(u));
    if (v) gold_v_in(l->f, l->f->v.master, gold_f32(v));
    if (l->quantised) {
        gold_layer_paper(l, c);
    } else {
        gold_layer_raw(l);
    }
    o.steps = log.steps;
    o.learning_rate = (float)gold_number(c, "lr", 2e-2);
    o.clamp = 1;
    o.visit = log_loss;
    o.user = &log;
    gold_check(g, isgi_l2_fit(l->f, hwio, &o, NULL) == ISG_OK, "fit");
    cJSON_ArrayForEach(item, at)
    {
        const double expected = item->valuedouble;
        char what[48];
        snprintf(what, sizeof what, "loss at step %s", item->string);
        gold_number_close(g, what, log.loss[strtoul(item->string, NULL, 10)], expected, 1e-3 * expected);
    }
    free(hwio);
    free(log.loss);
}

void gold_group_projection(gold_set *g, const cJSON *cases)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, cases)
    {
        gold_layer l;
        gold_begin(g, "projection", cJSON_GetStringValue(cJSON_GetObjectItem(c, "case")));
        if (gold_layer_make(g, c, &l)) check_projection(g, c, &l);
        gold_layer_free(&l);
        gold_end(g);
    }
}
