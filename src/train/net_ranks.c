/* SPDX-License-Identifier: Apache-2.0 */
/* What the ranks of one run exchange inside a step: sums of batch statistics and of gradients. */
#include "train/net.h"

#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

void isgi_net_sum(isgi_net *net, double *x, size_t n)
{
    if (!net->comm || net->comm_status != ISG_OK) return;
    net->comm_status = net->comm->sum_f64(net->comm, x, n, &net->comm_error);
}

static void add_array(isgi_share *s, float *data, size_t count)
{
    s->list[s->count].data = data;
    s->list[s->count++].count = count;
    s->floats += count;
}

static void list_weight(isgi_net *net, const isgi_netweight *w, uint8_t *listed)
{
    const isg_factor *all[3] = {&w->f.basis, &w->f.u, &w->f.v};
    isgi_share *before = &net->share[ISGI_SHARE_BEFORE], *after = &net->share[ISGI_SHARE_AFTER];
    size_t masters = 0;
    int whole;
    if (!w->factored) return;
    for (int k = 0; k < 3; k++) masters += w->master[k] < 0 ? 0 : (size_t)all[k]->rows * all[k]->cols;
    whole = !w->direct && w->count <= masters;
    if (whole) add_array(before, w->dw, w->count);
    for (int k = 0; k < 3; k++) {
        const int32_t of[2] = {w->master[k], w->scale[k]};
        if (of[0] < 0) continue;
        if (w->direct) add_array(before, w->dq[k], (size_t)all[k]->rows * all[k]->cols);
        for (int i = 0; i < 2 && of[i] >= 0; i++) {
            listed[of[i]] = 1;
            if (w->direct || whole) continue;
            add_array(after, net->param_list[of[i]].g, net->param_list[of[i]].count);
        }
    }
}

isg_status isgi_net_plan_shares(isgi_net *net, isg_error *err)
{
    const size_t most = (size_t)net->param_count + (size_t)net->weight_count * 3 + 1;
    isgi_share *before = &net->share[ISGI_SHARE_BEFORE], *after = &net->share[ISGI_SHARE_AFTER];
    uint8_t *listed;
    if (!net->comm || !net->trainable) return ISG_OK;
    before->list = isgi_calloc(most, sizeof *before->list);
    after->list = isgi_calloc(most, sizeof *after->list);
    listed = isgi_calloc(most, 1);
    if (before->list && after->list && listed) {
        for (int32_t i = 0; i < net->weight_count; i++) list_weight(net, &net->weights[i], listed);
        for (int32_t i = 0; i < net->param_count; i++) {
            const isgi_param *p = &net->param_list[i];
            if (!listed[i] && !p->summed) add_array(before, p->g, p->count);
        }
        net->share_room =
            isgi_malloc(((before->floats > after->floats ? before->floats : after->floats) + 1) * sizeof(float));
    }
    isg_free(listed);
    return net->share_room ? ISG_OK : isgi_nomem(err);
}

void isgi_net_clear_shares(isgi_net *net)
{
    for (int k = 0; k < 2; k++) isg_free(net->share[k].list);
    isg_free(net->share_room);
}

isg_status isgi_net_sum_share(isgi_net *net, int which, isg_error *err)
{
    const isgi_share *s = &net->share[which];
    float *at = net->share_room;
    if (!net->comm || s->count == 0) return ISG_OK;
    for (int32_t i = 0; i < s->count; at += s->list[i++].count) {
        memcpy(at, s->list[i].data, s->list[i].count * sizeof *at);
    }
    ISGI_TRY(net->comm->sum_f32(net->comm, net->share_room, s->floats, err));
    at = net->share_room;
    for (int32_t i = 0; i < s->count; at += s->list[i++].count) {
        memcpy(s->list[i].data, at, s->list[i].count * sizeof *at);
    }
    return ISG_OK;
}
