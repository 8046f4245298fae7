/* SPDX-License-Identifier: Apache-2.0 */
/* A network on a device: its memory, what travels each step, and the order of operations. */
#include "train/net_device.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/device_kernels.h"

#include <string.h>

/* ---- memory ---- */

isg_status isgi_devnet_allocate(isgi_devnet *d, void **out, size_t bytes, isg_error *err)
{
    if (d->owned_count == d->owned_room) {
        const size_t room = d->owned_room ? d->owned_room * 2 : 64;
        void **grown = isgi_realloc(d->owned, d->owned_room * sizeof *grown, room * sizeof *grown);
        if (!grown) return isgi_nomem(err);
        d->owned = grown;
        d->owned_room = room;
    }
    ISGI_TRY(d->device->allocate(d->device, out, bytes, err));
    d->owned[d->owned_count++] = *out;
    return ISG_OK;
}

static isg_status allocate_floats(isgi_devnet *d, float **out, size_t floats, isg_error *err)
{
    void *memory = NULL;
    ISGI_TRY(isgi_devnet_allocate(d, &memory, (floats + 1) * sizeof(float), err));
    *out = memory;
    return ISG_OK;
}

static size_t factor_count(const isgi_netweight *w, int k)
{
    const isg_factor *all[3] = {&w->f.basis, &w->f.u, &w->f.v};
    return w->master[k] < 0 ? 0 : (size_t)all[k]->rows * all[k]->cols;
}

/* Factors and generated weights first: they are staged; then dense weights. */
static void plan_block(isgi_net *net, isgi_devnet *d)
{
    size_t at = 0;
    for (int dense = 0; dense < 2; dense++) {
        for (int32_t i = 0; i < net->weight_count; i++) {
            const isgi_netweight *w = &net->weights[i];
            if (w->factored == dense) continue;
            for (int k = 0; k < 3; k++) {
                const size_t n = w->direct ? factor_count(w, k) : k == 0 ? w->count : 0;
                d->weight_at[i][k] = at;
                at += (n + 15) / 16 * 16;
            }
        }
        if (!dense) d->staged = at;
    }
    d->block_floats = at;
}

static isg_status make_memory(isgi_net *net, isgi_devnet *d, isg_error *err)
{
    const size_t input = net->acts[net->input].size;
    plan_block(net, d);
    d->host_input = isgi_calloc(input * net->batch, sizeof *d->host_input);
    d->host_block = isgi_calloc(d->staged + 1, sizeof *d->host_block);
    if (!d->host_input || !d->host_block) return isgi_nomem(err);
    ISGI_TRY(allocate_floats(d, &d->arena, net->arena_floats * net->batch, err));
    ISGI_TRY(allocate_floats(d, &d->params, net->param_floats, err));
    ISGI_TRY(allocate_floats(d, &d->running, net->running_floats, err));
    ISGI_TRY(allocate_floats(d, &d->block, d->block_floats, err));
    if (net->trainable) ISGI_TRY(allocate_floats(d, &d->grads, net->param_floats, err));
    if (net->trainable) ISGI_TRY(allocate_floats(d, &d->dblock, d->block_floats, err));
    for (int r = 0; r < ISGI_ROOMS; r++) ISGI_TRY(allocate_floats(d, &d->room[r], d->room_floats[r], err));
    d->device->pin(d->device, net->params, (net->param_floats + 1) * sizeof(float));
    d->device->pin(d->device, net->grads, ((net->trainable ? net->param_floats : 0) + 1) * sizeof(float));
    d->device->pin(d->device, d->host_input, input * net->batch * sizeof(float));
    d->device->pin(d->device, d->host_block, (d->staged + 1) * sizeof(float));
    return ISG_OK;
}

static void keep_on_host(isgi_net *net, const isgi_netop *op)
{
    isgi_devnet *d = net->device;
    if (op->bias >= 0) d->param_on_host[op->bias] = 1;
    if (op->weight < 0) return;
    d->weight_on_host[op->weight] = 1;
    if (!net->weights[op->weight].factored) d->param_on_host[net->weights[op->weight].master[0]] = 1;
}

isg_status isgi_devnet_create(isgi_net *net, isgi_device *device, isg_error *err)
{
    isgi_devnet *d = isgi_calloc(1, sizeof *d);
    if (!d) return isgi_nomem(err);
    net->device = d;
    d->device = device;
    d->tf32 = net->precision == ISG_PRECISION_TF32;
    d->ops = isgi_calloc((size_t)net->op_count + 1, sizeof *d->ops);
    d->weight_at = isgi_calloc((size_t)net->weight_count + 1, sizeof *d->weight_at);
    if (!d->ops || !d->weight_at) return isgi_nomem(err);
    for (int32_t i = 0; i < net->act_count; i++) {
        if (net->acts[i].size > INT32_MAX / net->batch) {
            return isgi_fail(err, ISG_E_LIMIT, "training: a tensor of more than 2^31 numbers on a device");
        }
    }
    d->param_on_host = isgi_calloc((size_t)net->param_count + 1, 1);
    d->weight_on_host = isgi_calloc((size_t)net->weight_count + 1, 1);
    if (!d->param_on_host || !d->weight_on_host) return isgi_nomem(err);
    for (int32_t i = 0; i < net->op_count; i++) {
        isgi_devop *o = &d->ops[i];
        o->vt = isgi_devop_code(net, &net->ops[i]);
        if (!o->vt) keep_on_host(net, &net->ops[i]);
        if (o->vt && o->vt->create) ISGI_TRY(o->vt->create(net, &net->ops[i], o, err));
    }
    return make_memory(net, d, err);
}

void isgi_devnet_destroy(isgi_net *net)
{
    isgi_devnet *d = net->device;
    if (!d) return;
    d->device->unpin(d->device, net->params);
    d->device->unpin(d->device, net->grads);
    d->device->unpin(d->device, d->host_input);
    d->device->unpin(d->device, d->host_block);
    for (size_t i = 0; i < d->owned_count; i++) d->device->release(d->device, d->owned[i]);
    isg_free(d->owned);
    isg_free(d->ops);
    isg_free(d->weight_at);
    isg_free(d->host_input);
    isg_free(d->host_block);
    isg_free(d->param_on_host);
    isg_free(d->weight_on_host);
    isg_free(d);
    net->device = NULL;
}

/* ---- what travels ---- */

/* Of a dense weight, between the parameters' order and the block's. */
static void reorder_weight(const isgi_net *net, int32_t index, int back)
{
    const isgi_devnet *d = net->device;
    const isgi_netweight *w = &net->weights[index];
    const size_t at = (size_t)(net->param_list[w->master[0]].w - net->params);
    isgi_reorder_weight r = {.taps = w->taps, .ci = w->ci, .co = w->co, .back = (uint32_t)back};
    r.from = back ? d->dblock + d->weight_at[index][0] : d->params + at;
    r.to = back ? d->grads + at : d->block + d->weight_at[index][0];
    d->device->launch(d->device, ISGI_KERNEL_reorder_weight, w->count, &r);
}

isg_status isgi_devnet_refresh(isgi_net *net, isg_error *err)
{
    isgi_devnet *d = net->device;
    for (int32_t i = 0; i < net->weight_count; i++) {
        const isgi_netweight *w = &net->weights[i];
        if (!w->factored || d->weight_on_host[i]) continue;
        for (int k = 0; k < 3; k++) {
            const float *from = w->direct ? w->q[k] : w->w;
            const size_t n = w->direct ? factor_count(w, k) : k == 0 ? w->count : 0;
            if (n) memcpy(d->host_block + d->weight_at[i][k], from, n * sizeof *from);
        }
    }
    ISGI_TRY(d->device->upload(d->device, d->params, net->params, net->param_floats * sizeof(float), err));
    ISGI_TRY(d->device->upload(d->device, d->block, d->host_block, d->staged * sizeof(float), err));
    if (net->running) {
        ISGI_TRY(d->device->upload(d->device, d->running, net->running, net->running_floats * sizeof(float), err));
    }
    for (int32_t i = 0; i < net->weight_count; i++) {
        if (!net->weights[i].factored && !d->weight_on_host[i]) reorder_weight(net, i, 0);
    }
    return ISG_OK;
}

/* The loaded samples of an activation or its gradient, between the device and the chunks of the host's arena. */
static isg_status copy_chunks(isgi_net *net, int32_t act, int gradient, int up, isg_error *err)
{
    isgi_devnet *d = net->device;
    const size_t size = net->acts[act].size;
    float *there = gradient ? isgi_devnet_grad(net, act) : isgi_devnet_data(net, act);
    for (uint32_t c = 0; c < net->chunks; c++) {
        float *here = gradient ? isgi_act_grad(net, act, c) : isgi_act_data(net, act, c);
        float *at = there + (size_t)c * net->chunk_cap * size;
        const size_t bytes = isgi_chunk_count(net, c) * size * sizeof(float);
        if (bytes == 0) continue;
        if (up) {
            ISGI_TRY(d->device->upload(d->device, at, here, bytes, err));
        } else {
            ISGI_TRY(d->device->download(d->device, here, at, bytes, err));
        }
    }
    return ISG_OK;
}

/* ---- operations that the device has no code for ---- */

static isg_status host_forward(isgi_net *net, isgi_netop *op, isg_error *err)
{
    for (int32_t k = 0; k < op->in_count; k++) {
        if (op->in[k] >= 0) ISGI_TRY(copy_chunks(net, op->in[k], 0, 0, err));
    }
    ISGI_TRY(isgi_net_run_op(net, op, 0, err));
    return copy_chunks(net, op->out, 0, 1, err);
}

/* What it read and wrote in forward still lies in the host's arena. */
static isg_status host_backward(isgi_net *net, isgi_netop *op, isg_error *err)
{
    ISGI_TRY(copy_chunks(net, op->out, 1, 0, err));
    for (int32_t k = 0; k < op->in_count; k++) {
        if (isgi_op_needs(net, op, k) && op->accumulate[k]) ISGI_TRY(copy_chunks(net, op->in[k], 1, 0, err));
    }
    ISGI_TRY(isgi_net_run_op(net, op, 1, err));
    for (int32_t k = 0; k < op->in_count; k++) {
        if (isgi_op_needs(net, op, k)) ISGI_TRY(copy_chunks(net, op->in[k], 1, 1, err));
    }
    return ISG_OK;
}

/* All but those that the host has written itself, in as few copies as there are runs of them. */
static isg_status download_gradients(isgi_net *net, isg_error *err)
{
    isgi_devnet *d = net->device;
    size_t begin = 0;
    for (int32_t i = 0; i <= net->param_count; i++) {
        const isgi_param *p = &net->param_list[i];
        const size_t at = i < net->param_count ? (size_t)(p->g - net->grads) : net->param_floats;
        if (i < net->param_count && !d->param_on_host[i]) continue;
        ISGI_TRY(
            d->device->download(d->device, net->grads + begin, d->grads + begin, (at - begin) * sizeof(float), err));
        begin = i < net->param_count ? at + (p->count + 15) / 16 * 16 : at;
    }
    return ISG_OK;
}

isg_status isgi_devnet_forward(isgi_net *net, isg_error *err)
{
    isgi_devnet *d = net->device;
    ISGI_TRY(d->device->upload(d->device, isgi_devnet_data(net, net->input), d->host_input,
                               net->n * net->acts[net->input].size * sizeof(float), err));
    for (int32_t i = 0; net->n && i < net->op_count; i++) {
        if (d->ops[i].vt) {
            d->ops[i].vt->forward(net, &net->ops[i], &d->ops[i]);
        } else {
            ISGI_TRY(host_forward(net, &net->ops[i], err));
        }
    }
    ISGI_TRY(copy_chunks(net, net->logits, 0, 0, err));
    if (!net->training || !net->running) return ISG_OK;
    return d->device->download(d->device, net->running, d->running, net->running_floats * sizeof(float), err);
}

isg_status isgi_devnet_backward(isgi_net *net, isg_error *err)
{
    isgi_devnet *d = net->device;
    ISGI_TRY(copy_chunks(net, net->logits, 1, 1, err));
    for (int32_t i = net->op_count - 1; net->n && i >= 0; i--) {
        if (!net->acts[net->ops[i].out].needs_grad) continue;
        if (d->ops[i].vt) {
            d->ops[i].vt->backward(net, &net->ops[i], &d->ops[i]);
        } else {
            ISGI_TRY(host_backward(net, &net->ops[i], err));
        }
    }
    for (int32_t i = 0; i < net->weight_count; i++) {
        if (!net->weights[i].factored && !d->weight_on_host[i]) reorder_weight(net, i, 1);
    }
    ISGI_TRY(download_gradients(net, err));
    ISGI_TRY(d->device->download(d->device, d->host_block, d->dblock, d->staged * sizeof(float), err));
    for (int32_t i = 0; i < net->weight_count; i++) {
        isgi_netweight *w = &net->weights[i];
        for (int k = 0; w->factored && !d->weight_on_host[i] && k < 3; k++) {
            float *to = w->direct ? w->dq[k] : w->dw;
            const size_t n = w->direct ? factor_count(w, k) : k == 0 ? w->count : 0;
            if (n) memcpy(to, d->host_block + d->weight_at[i][k], n * sizeof *to);
        }
    }
    return ISG_OK;
}

isg_status isgi_devnet_fetch(isgi_net *net, isg_error *err)
{
    for (int32_t i = 0; i < net->act_count; i++) {
        if (net->acts[i].size) ISGI_TRY(copy_chunks(net, i, 0, 0, err));
    }
    return ISG_OK;
}
