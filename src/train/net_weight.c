/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of the trainable network: dense ones, and those generated from quantised factors through rt/gen. */
#include "train/net.h"

#include "base/error.h"
#include "host/alloc.h"
#include "rt/gen.h"

#include <string.h>

static isg_factor *factor_of(isg_factors *f, int k)
{
    return k == 0 ? &f->basis : k == 1 ? &f->u : &f->v;
}

static int has_step(const isg_factor *x)
{
    return x->scale && x->quant.bits <= 8 &&
           (x->quant.family == ISG_QUANT_MIDTREAD || x->quant.family == ISG_QUANT_MIDRISE);
}

static isg_status plan_factored(isgi_net *net, isgi_netweight *w, const isg_factors *f, const char *name)
{
    static const char *const suffix[3] = {".basis", ".u", ".v"};
    static const char *const scale_suffix[3] = {".basis.scale", ".u.scale", ".v.scale"};
    w->factored = 1;
    w->f = *f;
    w->taps = f->taps;
    w->ci = f->ci;
    w->co = f->co;
    for (int k = 0; k < 3; k++) {
        isg_factor *x = factor_of(&w->f, k);
        const size_t n = (size_t)x->rows * x->cols;
        if (n == 0) continue;
        w->master[k] = isgi_net_add_param(net, name, suffix[k], x->master, n, 1);
        if (!has_step(x)) continue;
        w->scale[k] = isgi_net_add_param(net, name, scale_suffix[k], x->scale, x->quant.per_column ? x->cols : 1, 0);
        net->param_list[w->scale[k]].scale = 1;
    }
    w->geometry = (isg_weight){.taps = f->taps,
                               .ci = f->ci,
                               .co = f->co,
                               .bi = f->bi,
                               .bo = f->bo,
                               .level1 = f->level1,
                               .level2 = f->level2,
                               .depthwise = f->depthwise};
    return ISG_OK;
}

isg_status isgi_weight_plan(isgi_net *net, isgi_netweight *w, isg_error *err)
{
    const isg_value *v = &net->graph->values[w->value];
    const char *name = v->name ? v->name : "";
    for (int k = 0; k < 3; k++) w->master[k] = w->scale[k] = -1;
    w->count = 1;
    for (int32_t k = 0; k < v->rank; k++) w->count *= (size_t)v->dims[k];
    if (v->factors) return plan_factored(net, w, v->factors, name);
    if (v->constant->dtype != ISG_DT_F32 || v->rank < 2) {
        char safe[100];
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: weight %s is not float32",
                         isgi_escape(safe, sizeof safe, name));
    }
    w->co = (uint32_t)v->dims[0];
    w->ci = (uint32_t)v->dims[1];
    w->taps = (uint32_t)(w->count / ((size_t)w->co * w->ci));
    w->master[0] = isgi_net_add_param(net, name, "", v->constant->data, w->count, 1);
    return ISG_OK;
}

isg_status isgi_weight_bind(isgi_net *net, isgi_netweight *w, isg_error *err)
{
    if (!w->factored) {
        w->w = net->param_list[w->master[0]].w;
        w->dw = net->param_list[w->master[0]].g;
        if (!net->project) return ISG_OK;
        w->w = isgi_malloc(w->count * sizeof(float));
        w->projected = 1;
        return w->w ? ISG_OK : isgi_nomem(err);
    }
    if (!w->direct) {
        w->w = isgi_malloc(w->count * sizeof(float));
        w->scratch = isgi_malloc(((size_t)w->taps * w->ci * (w->f.bo + 1)) * sizeof(float));
        if (net->trainable) w->dw = isgi_calloc(w->count, sizeof(float));
        if (!w->w || !w->scratch || (net->trainable && !w->dw)) return isgi_nomem(err);
    }
    for (int k = 0; k < 3; k++) {
        isg_factor *x = factor_of(&w->f, k);
        const size_t n = (size_t)x->rows * x->cols;
        if (w->master[k] < 0) continue;
        x->master = net->param_list[w->master[k]].w;
        if (w->scale[k] >= 0) x->scale = net->param_list[w->scale[k]].w;
        w->q[k] = isgi_malloc(n * sizeof(float));
        if (net->trainable) w->dq[k] = isgi_malloc(n * sizeof(float));
        if (!w->q[k] || (net->trainable && !w->dq[k])) return isgi_nomem(err);
    }
    return ISG_OK;
}

void isgi_weight_refresh(isgi_net *net, isgi_netweight *w)
{
    w->status = ISG_OK;
    if (w->projected)
        w->status = net->project(net->project_user, net->graph->values[w->value].name, net->param_list[w->master[0]].w,
                                 w->w, w->count, &w->error);
    if (!w->factored) return;
    for (int k = 0; k < 3; k++) {
        if (w->master[k] < 0) continue;
        w->status = isg_factor_quantise(w->q[k], factor_of(&w->f, k), &w->error);
        if (w->status != ISG_OK) return;
    }
    if (w->direct) return;
    isgi_gen_compose(&net->kernels, w->w, &w->geometry, w->q[0], w->q[1], w->q[2], 0, w->taps * w->ci, w->scratch);
}

void isgi_weight_backward(isgi_net *net, isgi_netweight *w)
{
    if (!w->factored) return;
    if (!w->direct) {
        w->status = isg_factors_weight_backward(&w->f, w->dw, w->q[0], w->q[1], w->q[2], w->dq[0], w->dq[1], w->dq[2],
                                                &w->error);
        if (w->status != ISG_OK) return;
    }
    for (int k = 0; k < 3; k++) {
        if (w->master[k] < 0) continue;
        isg_factor_backward(net->param_list[w->master[k]].g, w->scale[k] >= 0 ? net->param_list[w->scale[k]].g : NULL,
                            w->dq[k], factor_of(&w->f, k), net->paper_clamp);
    }
}

void isgi_weight_clear(isgi_netweight *w)
{
    if (w->projected) isg_free(w->w);
    if (!w->factored) return;
    isg_free(w->w);
    isg_free(w->dw);
    isg_free(w->scratch);
    for (int k = 0; k < 3; k++) {
        isg_free(w->q[k]);
        isg_free(w->dq[k]);
    }
}
