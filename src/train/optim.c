/* SPDX-License-Identifier: Apache-2.0 */
/* Optimisers, learning rate schedules, gradient norm and clipping, moving average of the weights. */
#include "train/optim.h"

#include "base/error.h"
#include "factor/radam.h"
#include "host/alloc.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

isg_status isgi_optim_create(isgi_optim **out, const isgi_net *net, const isg_train_options *options, isg_error *err)
{
    isgi_optim *o = isgi_calloc(1, sizeof *o);
    const size_t n = net->param_floats + 1;
    if (!o) return isgi_nomem(err);
    o->kind = options->optimizer;
    o->weight_decay = options->weight_decay;
    o->momentum = options->momentum;
    o->ema_decay = options->ema_decay;
    o->m = isgi_calloc(n, sizeof(float));
    if (o->kind != ISG_OPT_SGD) o->v = isgi_calloc(n, sizeof(float));
    if (o->ema_decay > 0) o->ema = isgi_malloc(n * sizeof(float));
    o->norms = isgi_calloc((size_t)net->param_count + 1, sizeof *o->norms);
    if (!o->m || !o->norms || (o->kind != ISG_OPT_SGD && !o->v) || (o->ema_decay > 0 && !o->ema)) {
        isgi_optim_destroy(o);
        return isgi_nomem(err);
    }
    if (o->ema) memcpy(o->ema, net->params, net->param_floats * sizeof(float));
    *out = o;
    return ISG_OK;
}

void isgi_optim_destroy(isgi_optim *o)
{
    if (!o) return;
    isg_free(o->m);
    isg_free(o->v);
    isg_free(o->ema);
    isg_free(o->norms);
    isg_free(o);
}

typedef struct work {
    isgi_optim *o;
    isgi_net *net;
} work;

static void run_params(work *w, isg_task_fn task)
{
    const isg_parallel *p = &w->net->parallel;
    if (p->run) {
        p->run(p->user, task, w, (uint32_t)w->net->param_count);
        return;
    }
    for (int32_t i = 0; i < w->net->param_count; i++) task(w, (uint32_t)i, 0);
}

static void norm_task(void *arg, uint32_t index, uint32_t worker)
{
    work *w = arg;
    const isgi_param *p = &w->net->param_list[index];
    double sum = 0;
    (void)worker;
    for (size_t i = 0; i < p->count; i++) sum += (double)p->g[i] * (double)p->g[i];
    w->o->norms[index] = sum;
}

double isgi_optim_norm(isgi_optim *o, isgi_net *net)
{
    work w = {o, net};
    double sum = 0;
    run_params(&w, norm_task);
    for (int32_t i = 0; i < net->param_count; i++) sum += o->norms[i];
    return sqrt(sum);
}

ISGI_CLONES
static void sgd_step(float *restrict p, const float *restrict g, float *restrict m, size_t n, float lr, float decay,
                     float momentum)
{
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] + decay * p[i];
        m[i] = momentum * m[i] + d;
        p[i] -= lr * (d + momentum * m[i]);
    }
}

static void adamw_step(const isgi_optim *o, float *restrict p, const float *restrict g, float *restrict m,
                       float *restrict v, size_t n, float decay)
{
    const double t = (double)(o->step + 1);
    const float b1 = 0.9f, b2 = 0.999f;
    const float c1 = (float)(1.0 / (1.0 - pow(0.9, t))), c2 = (float)(1.0 / (1.0 - pow(0.999, t)));
    for (size_t i = 0; i < n; i++) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        p[i] -= o->lr * decay * p[i];
        p[i] -= o->lr * (m[i] * c1) / (sqrtf(v[i] * c2) + 1e-8f);
    }
}

static void step_task(void *arg, uint32_t index, uint32_t worker)
{
    work *w = arg;
    isgi_optim *o = w->o;
    const isgi_param *p = &w->net->param_list[index];
    const size_t at = (size_t)(p->w - w->net->params);
    const float decay = p->decay ? o->weight_decay : 0.0f;
    (void)worker;
    if (o->factor != 1.0f) {
        for (size_t i = 0; i < p->count; i++) p->g[i] *= o->factor;
    }
    if (o->kind == ISG_OPT_SGD) {
        sgd_step(p->w, p->g, o->m + at, p->count, o->lr, decay, o->momentum);
    } else if (o->kind == ISG_OPT_ADAMW) {
        adamw_step(o, p->w, p->g, o->m + at, o->v + at, p->count, decay);
    } else {
        isgi_radam r = ISGI_RADAM_INIT;
        r.learning_rate = o->lr;
        r.weight_decay = decay;
        isgi_radam_step(&r, p->w, p->g, o->m + at, o->v + at, p->count, o->step + 1);
    }
    if (p->floor > 0) {
        for (size_t i = 0; i < p->count; i++) {
            if (p->w[i] < p->floor) p->w[i] = p->floor;
        }
    }
    if (o->ema) {
        /* early on the average follows closely: the start must not be remembered for ever */
        const float t = (float)(o->step + 1), early = (1.0f + t) / (10.0f + t);
        const float d = o->ema_decay < early ? o->ema_decay : early;
        for (size_t i = 0; i < p->count; i++) o->ema[at + i] += (1.0f - d) * (p->w[i] - o->ema[at + i]);
    }
}

void isgi_optim_step(isgi_optim *o, isgi_net *net, float lr, float factor)
{
    work w = {o, net};
    o->lr = lr;
    o->factor = factor;
    run_params(&w, step_task);
    o->step++;
}

float isgi_schedule(const isg_train_options *o, double progress, double epochs, uint64_t step)
{
    const double p = progress < 0 ? 0 : progress > 1 ? 1 : progress;
    double f = 1;
    switch (o->schedule) {
    case ISG_SCHEDULE_COSINE: f = 0.5 * (1 + cos(PI * p)); break;
    case ISG_SCHEDULE_EXPONENTIAL: f = pow(0.98, floor(p * epochs + 1e-9)); break;
    case ISG_SCHEDULE_ONECYCLE:
        f = p < 0.3 ? 1.0 / 25 + (1 - 1.0 / 25) * 0.5 * (1 - cos(PI * p / 0.3))
                    : 1e-4 + (1 - 1e-4) * 0.5 * (1 + cos(PI * (p - 0.3) / 0.7));
        break;
    default: break;
    }
    if (o->warmup_steps && step < o->warmup_steps) f *= (double)(step + 1) / o->warmup_steps;
    return (float)((double)o->learning_rate * f);
}
