/* SPDX-License-Identifier: Apache-2.0 */
/* The fit of factors to a weight by gradient descent through the quantisers (SPEC section 7 'train'). */
#include "factor/l2.h"

#include <insitu/rt.h>

#include "factor/als.h"
#include "factor/radam.h"
#include "host/alloc.h"
#include "host/cancel.h"
#include "quant/factors_weight.h"

#include <math.h>
#include <string.h>

typedef struct l2_state {
    isg_factor *part[3];
    size_t count[3], params, weights;
    float *numbers, *gradient, *dmaster, *m, *v; /* [params], basis, u, v one after the other */
    float *w, *difference;                       /* [weights] */
    void *buffer;
} l2_state;

static isg_status l2_init(l2_state *s, isg_factors *f, isg_error *err)
{
    float *at;
    s->part[0] = &f->basis;
    s->part[1] = &f->u;
    s->part[2] = &f->v;
    s->params = 0;
    for (int k = 0; k < 3; k++) {
        s->count[k] = (size_t)s->part[k]->rows * s->part[k]->cols;
        s->params += s->count[k];
    }
    s->weights = (size_t)f->taps * f->ci * f->co;
    s->buffer = isgi_calloc(5 * s->params + 2 * s->weights, sizeof(float));
    if (!s->buffer) return isgi_nomem(err);
    at = s->buffer;
    s->numbers = at;
    s->gradient = at + s->params;
    s->dmaster = at + 2 * s->params;
    s->m = at + 3 * s->params;
    s->v = at + 4 * s->params;
    s->w = at + 5 * s->params;
    s->difference = s->w + s->weights;
    return ISG_OK;
}

static isg_status quantise_all(l2_state *s, isg_error *err)
{
    float *at = s->numbers;
    for (int k = 0; k < 3; k++) {
        isg_status status = s->count[k] ? isg_factor_quantise(at, s->part[k], err) : ISG_OK;
        if (status != ISG_OK) return status;
        at += s->count[k];
    }
    return ISG_OK;
}

/* Loss, with s->w := d loss / d W^. */
static isg_status evaluate(l2_state *s, const isg_factors *f, const float *hwio, const isgi_als *norm, double *loss,
                           isg_error *err)
{
    const float *b = s->numbers, *u = b + s->count[0], *v = u + s->count[1];
    double sum = 0;
    isg_status status = quantise_all(s, err);
    if (status == ISG_OK) status = isgi_factors_compose(s->difference, f, b, u, v, ISG_ISA_ALL, err);
    if (status != ISG_OK) return status;
    for (size_t i = 0; i < s->weights; i++) s->difference[i] -= hwio[i];
    isgi_als_apply(norm, s->w, s->difference, f->co);
    for (size_t i = 0; i < s->weights; i++) {
        sum += (double)s->w[i] * (double)s->difference[i];
        s->w[i] *= 2.0f / (float)s->weights;
    }
    *loss = sum / (double)s->weights;
    return isfinite(*loss) ? ISG_OK : isgi_fail(err, ISG_E_NUMERIC, "the fit of factors diverged");
}

static isg_status update(l2_state *s, const isg_factors *f, const isgi_l2_options *o, uint64_t step, isg_error *err)
{
    isgi_radam radam = ISGI_RADAM_INIT;
    float *db = s->gradient, *du = db + s->count[0], *dv = du + s->count[1];
    const float *b = s->numbers, *u = b + s->count[0], *v = u + s->count[1];
    size_t at = 0;
    isg_status status = isg_factors_weight_backward(f, s->w, b, u, v, db, du, dv, err);
    if (status != ISG_OK) return status;
    radam.learning_rate = o->learning_rate;
    for (int k = 0; k < 3; k++) {
        if (!s->count[k]) continue;
        isg_factor_backward(s->dmaster + at, NULL, s->gradient + at, s->part[k], o->clamp);
        isgi_radam_step(&radam, s->part[k]->master, s->dmaster + at, s->m + at, s->v + at, s->count[k], step);
        if (o->scale_every && step % o->scale_every == 0) {
            status = isg_factor_fit_scale(s->part[k], err);
            if (status != ISG_OK) return status;
        }
        at += s->count[k];
    }
    return ISG_OK;
}

isg_status isgi_l2_fit(isg_factors *f, const float *hwio, const isgi_l2_options *o, isg_error *err)
{
    double loss = 0, least = INFINITY;
    isg_factors *best = NULL;
    l2_state s = {0};
    isgi_als norm;
    isg_status status = l2_init(&s, f, err);
    if (status != ISG_OK) return status;
    status = isgi_als_init(&norm, f, hwio, o->moment, err);
    if (status != ISG_OK) {
        isg_free(s.buffer);
        return status;
    }
    for (uint32_t step = 0; step <= o->steps; step++) {
        status = isgi_cancelled(o->progress, err);
        if (status == ISG_OK) status = evaluate(&s, f, hwio, &norm, &loss, err);
        if (status != ISG_OK) break;
        if (o->visit) o->visit(o->user, step, loss);
        if (loss < least) {
            least = loss;
            isg_factors_destroy(best);
            best = NULL;
            status = isg_factors_clone(&best, f, err);
        }
        if (status == ISG_OK && step < o->steps) status = update(&s, f, o, (uint64_t)step + 1, err);
        if (status != ISG_OK) break;
    }
    if (status == ISG_OK) {
        const isg_factors keep = *f;
        *f = *best;
        *best = keep;
    }
    isg_factors_destroy(best);
    isgi_als_clear(&norm);
    isg_free(s.buffer);
    return status;
}
