/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a compiled network: loading a batch, forward, backward, storing parameters back, looking for NaN. */
#include "train/net_device.h"

#include "base/error.h"
#include "host/alloc.h"

#include <math.h>
#include <string.h>

isg_status isgi_net_input_shape(const isgi_net *net, const isg_input_spec *input, uint32_t shape[3], isg_error *err)
{
    const isgi_act *a = &net->acts[net->input];
    const int nhwc = input && input->nhwc && a->rank == 4;
    if (a->rank > 4) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: an input of rank %d", (int)a->rank);
    shape[0] = (uint32_t)(nhwc ? a->dims[3] : a->dims[1]);
    shape[1] = (uint32_t)(nhwc ? a->dims[1] : a->rank > 2 ? a->dims[2] : 1);
    shape[2] = (uint32_t)(nhwc ? a->dims[2] : a->rank > 3 ? a->dims[3] : 1);
    return ISG_OK;
}

void isgi_net_load(isgi_net *net, const float *samples, uint32_t n)
{
    const isgi_act *a = &net->acts[net->input];
    const size_t channels = a->rank >= 3 && a->rank <= 5 ? (size_t)a->dims[1] : 1, inner = a->size / channels;
    net->n = net->total = n;
    for (uint32_t i = 0; i < n; i++) {
        const float *src = samples + (size_t)i * a->size;
        float *dst = net->device
                         ? net->device->host_input + (size_t)i * a->size
                         : isgi_act_data(net, net->input, i / net->chunk_cap) + (size_t)(i % net->chunk_cap) * a->size;
        for (size_t c = 0; c < channels; c++) {
            for (size_t p = 0; p < inner; p++) dst[p * channels + c] = src[c * inner + p];
        }
    }
}

const float *isgi_net_logits(const isgi_net *net, uint32_t i)
{
    return isgi_act_data(net, net->logits, i / net->chunk_cap) + (size_t)(i % net->chunk_cap) * net->classes;
}

float *isgi_net_logits_grad(const isgi_net *net, uint32_t i)
{
    return isgi_act_grad(net, net->logits, i / net->chunk_cap) + (size_t)(i % net->chunk_cap) * net->classes;
}

/* ---- threads ---- */

static void run_tasks(const isg_parallel *p, isg_task_fn task, void *arg, uint32_t count)
{
    if (p->run) {
        p->run(p->user, task, arg, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) task(arg, i, 0);
}

typedef struct segment {
    isgi_net *net;
    const isgi_step *steps;
    int32_t count;
} segment;

static void segment_task(void *arg, uint32_t chunk, uint32_t worker)
{
    const segment *s = arg;
    const int omp = isgi_omp_enter();
    (void)worker;
    for (int32_t i = 0; i < s->count; i++) {
        if (s->steps[i].fn) s->steps[i].fn(s->net, s->steps[i].op, chunk);
    }
    isgi_omp_leave(omp);
}

/* Steps without a barrier between them run back to back inside a chunk. */
static isg_status run_steps(isgi_net *net, const isgi_step *steps, int32_t count, isg_error *err)
{
    int32_t begin = 0;
    while (begin < count) {
        segment s = {net, steps + begin, 0};
        while (begin + s.count < count && !steps[begin + s.count].barrier) s.count++;
        if (begin + s.count < count) s.count++;
        run_tasks(&net->parallel, segment_task, &s, net->chunks);
        begin += s.count;
        if (steps[begin - 1].join) {
            const int omp = isgi_omp_enter();
            steps[begin - 1].join(net, steps[begin - 1].op);
            isgi_omp_leave(omp);
        }
    }
    if (net->comm_status != ISG_OK) {
        if (err) *err = net->comm_error;
        return net->comm_status;
    }
    if (atomic_load(&net->failed)) return isgi_fail(err, ISG_E_INTERNAL, "training: a oneDNN primitive failed");
    return ISG_OK;
}

static void refresh_task(void *arg, uint32_t index, uint32_t worker)
{
    isgi_net *net = arg;
    (void)worker;
    isgi_weight_refresh(net, &net->weights[index]);
}

/* Every chunks-th operation, so that no two threads use one stream. */
static void refresh_op_task(void *arg, uint32_t index, uint32_t worker)
{
    isgi_net *net = arg;
    const int omp = isgi_omp_enter();
    (void)worker;
    for (uint32_t i = index; i < (uint32_t)net->op_count; i += net->chunks) {
        isgi_netop *op = &net->ops[i];
        if (op->vt && op->vt->refresh) op->vt->refresh(net, op, index);
    }
    isgi_omp_leave(omp);
}

static void weight_backward_task(void *arg, uint32_t index, uint32_t worker)
{
    isgi_net *net = arg;
    (void)worker;
    isgi_weight_backward(net, &net->weights[index]);
}

static isg_status weight_status(const isgi_net *net, isg_error *err)
{
    for (int32_t i = 0; i < net->weight_count; i++) {
        if (net->weights[i].status == ISG_OK) continue;
        if (err) *err = net->weights[i].error;
        return net->weights[i].status;
    }
    return ISG_OK;
}

isg_status isgi_net_refresh(isgi_net *net, isg_error *err)
{
    run_tasks(&net->parallel, refresh_task, net, (uint32_t)net->weight_count);
    ISGI_TRY(weight_status(net, err));
    run_tasks(&net->parallel, refresh_op_task, net, net->chunks);
    if (atomic_load(&net->failed)) return isgi_fail(err, ISG_E_INTERNAL, "training: a oneDNN reorder failed");
    return net->device ? isgi_devnet_refresh(net, err) : ISG_OK;
}

isg_status isgi_net_run_op(isgi_net *net, isgi_netop *op, int backward, isg_error *err)
{
    const isgi_step *steps = backward ? net->backward : net->forward;
    const int32_t count = backward ? net->backward_count : net->forward_count;
    int32_t first = 0, n = 0;
    while (first < count && steps[first].op != op) first++;
    while (first + n < count && steps[first + n].op == op) n++;
    return run_steps(net, steps + first, n, err);
}

isg_status isgi_net_forward(isgi_net *net, int training, isg_error *err)
{
    net->training = training != 0;
    if (net->device) return isgi_devnet_forward(net, err);
    return run_steps(net, net->forward, net->forward_count, err);
}

isg_status isgi_net_backward(isgi_net *net, isg_error *err)
{
    isg_status status;
    for (int32_t i = 0; i < net->weight_count; i++) {
        if (net->weights[i].uses > 1) memset(net->weights[i].dw, 0, net->weights[i].count * sizeof(float));
    }
    status = net->device ? isgi_devnet_backward(net, err) : run_steps(net, net->backward, net->backward_count, err);
    /* a rank whose primitive failed still owes the others its sums */
    if (status == ISG_OK || (net->comm && !net->comm->broken))
        ISGI_TRY(isgi_net_sum_share(net, ISGI_SHARE_BEFORE, err));
    if (status == ISG_OK) {
        run_tasks(&net->parallel, weight_backward_task, net, (uint32_t)net->weight_count);
        status = weight_status(net, err);
    }
    if (status == ISG_OK || (net->comm && !net->comm->broken)) ISGI_TRY(isgi_net_sum_share(net, ISGI_SHARE_AFTER, err));
    return status;
}

double isgi_net_ortho(isgi_net *net, double weight)
{
    double sum = 0;
    for (int32_t i = 0; i < net->weight_count; i++) {
        isgi_netweight *w = &net->weights[i];
        float *g[3];
        if (!w->factored) continue;
        for (int k = 0; k < 3; k++) g[k] = w->master[k] < 0 ? NULL : net->param_list[w->master[k]].g;
        sum += isg_factors_ortho(&w->f, weight, g[0], g[1], g[2]);
    }
    return sum;
}

void isgi_net_store(const isgi_net *net)
{
    for (int32_t i = 0; i < net->param_count; i++) {
        const isgi_param *p = &net->param_list[i];
        memcpy(p->origin, p->w, p->count * sizeof *p->w);
    }
    for (int32_t i = 0; i < net->op_count; i++) {
        if (net->ops[i].op == ISG_OP_BATCH_NORM) isgi_batchnorm_store(net, &net->ops[i]);
    }
}

int isgi_all_finite(const float *x, size_t n)
{
    /* x - x is 0 for every finite number and NaN otherwise */
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] - x[i];
    return sum == 0;
}

const char *isgi_net_find_nan(isgi_net *net, int backward)
{
    if (net->device && !backward && isgi_devnet_fetch(net, NULL) != ISG_OK) return "the device, which failed";
    for (int32_t i = net->param_count - 1; backward && i >= 0; i--) {
        if (!isgi_all_finite(net->param_list[i].g, net->param_list[i].count)) return net->param_list[i].name;
    }
    for (uint32_t c = 0; !backward && c < net->chunks && isgi_chunk_count(net, c) > 0; c++) {
        if (!isgi_all_finite(isgi_act_data(net, net->input, c),
                             net->acts[net->input].size * isgi_chunk_count(net, c))) {
            return "the input";
        }
    }
    for (int32_t i = 0; !backward && i < net->op_count; i++) {
        const isgi_netop *op = &net->ops[i];
        for (uint32_t c = 0; c < net->chunks && isgi_chunk_count(net, c) > 0; c++) {
            const size_t n = net->acts[op->out].size * isgi_chunk_count(net, c);
            if (!isgi_all_finite(isgi_act_data(net, op->out, c), n)) return op->name;
        }
    }
    return NULL;
}
