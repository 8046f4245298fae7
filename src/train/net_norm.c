/* SPDX-License-Identifier: Apache-2.0 */
/* Batch normalisation of the trainable network: batch statistics over all chunks, running statistics, gradients. */
#include "train/net_impl.h"

#include "base/error.h"
#include "host/alloc.h"

#include <math.h>
#include <string.h>

#define BLOCK_ROWS 64

typedef isgi_norm bn_impl;

static float *chunk_sums(const isgi_net *net, uint32_t chunk, double **sums)
{
    *sums = (double *)(void *)isgi_net_partial(net, chunk);
    return isgi_net_partial(net, chunk);
}

/* s[c] += sum (x - pivot), q[c] += sum (x - pivot) * (dy or x - pivot) over a block of rows. With a Relu behind, dy
 * counts where the output, computed again by the same expression, is positive. */
ISGI_CLONES
static void block_sums(float *restrict s, float *restrict q, const float *restrict x, const float *restrict dy,
                       const float *restrict pivot, const bn_impl *b, int relu, size_t rows)
{
    const size_t channels = b->channels;
    const float *restrict mul = b->mul, *restrict add = b->add;
    for (size_t r = 0; r < rows; r++) {
        const float *xr = x + r * channels, *gr = dy ? dy + r * channels : NULL;
        if (gr && relu) {
            for (size_t c = 0; c < channels; c++) {
                const float g = xr[c] * mul[c] + add[c] > 0 ? gr[c] : 0.0f;
                s[c] += g;
                q[c] += g * (xr[c] - pivot[c]);
            }
        } else if (gr) {
            for (size_t c = 0; c < channels; c++) {
                s[c] += gr[c];
                q[c] += gr[c] * (xr[c] - pivot[c]);
            }
        } else {
            for (size_t c = 0; c < channels; c++) {
                const float d = xr[c] - pivot[c];
                s[c] += d;
                q[c] += d * d;
            }
        }
    }
}

static void sum_chunk(isgi_net *net, const bn_impl *b, uint32_t chunk, const float *x, const float *dy,
                      const float *pivot, int relu)
{
    const size_t ch = b->channels, rows = isgi_chunk_count(net, chunk) * b->rows;
    double *sums;
    float *s = chunk_sums(net, chunk, &sums) + 4 * ch, *q = s + ch;
    memset(sums, 0, 2 * ch * sizeof *sums);
    for (size_t r = 0; r < rows; r += BLOCK_ROWS) {
        const size_t n = rows - r < BLOCK_ROWS ? rows - r : BLOCK_ROWS;
        memset(s, 0, 2 * ch * sizeof *s);
        block_sums(s, q, x + r * ch, dy ? dy + r * ch : NULL, pivot, b, relu, n);
        for (size_t c = 0; c < 2 * ch; c++) sums[c] += (double)s[c];
    }
}

/* Sums over all chunks and ranks, s then q: added in pairs, as isgi_reduce_partials() does. They replace those of the
 * first chunk. */
static const double *total_sums(isgi_net *net, size_t channels)
{
    double *total;
    for (uint32_t step = 1; step < net->chunks; step *= 2) {
        for (uint32_t k = 0; k + step < net->chunks; k += 2 * step) {
            double *a, *b;
            chunk_sums(net, k, &a);
            chunk_sums(net, k + step, &b);
            for (size_t c = 0; c < 2 * channels; c++) a[c] += b[c];
        }
    }
    chunk_sums(net, 0, &total);
    isgi_net_sum(net, total, 2 * channels);
    return total;
}

static void bn_statistics(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const bn_impl *b = op->impl;
    if (net->training)
        sum_chunk(net, b, chunk, isgi_act_data(net, op->in[0], chunk), NULL, net->running + b->running, 0);
}

static void bn_combine(isgi_net *net, isgi_netop *op)
{
    bn_impl *b = op->impl;
    float *running_mean = net->running + b->running, *running_var = running_mean + b->channels;
    const float *gamma = net->param_list[b->gamma].w, *beta = net->param_list[b->beta].w;
    const double m = (double)b->rows * net->total;
    const double *sums = net->training ? total_sums(net, b->channels) : NULL;
    for (size_t c = 0; c < b->channels; c++) {
        double mean = (double)running_mean[c], var = (double)running_var[c];
        if (net->training) {
            const double s = sums[c], q = sums[b->channels + c];
            var = q / m - (s / m) * (s / m);
            if (var < 0) var = 0;
            mean += s / m;
            running_mean[c] += ISGI_NORM_MOMENTUM * ((float)mean - running_mean[c]);
            running_var[c] += ISGI_NORM_MOMENTUM * ((float)(m > 1 ? var * m / (m - 1) : var) - running_var[c]);
        }
        b->mean[c] = (float)mean;
        b->istd[c] = (float)(1.0 / sqrt(var + (double)b->eps));
        b->mul[c] = gamma[c] * b->istd[c];
        b->add[c] = beta[c] - b->mean[c] * b->mul[c];
    }
}

ISGI_CLONES
static void affine_rows(float *restrict y, const float *restrict x, const float *restrict mul,
                        const float *restrict add, int relu, size_t rows, size_t channels)
{
    for (size_t r = 0; r < rows; r++) {
        if (relu) {
            for (size_t c = 0; c < channels; c++) {
                const float v = x[r * channels + c] * mul[c] + add[c];
                y[r * channels + c] = v < 0 ? 0 : v;
            }
            continue;
        }
        for (size_t c = 0; c < channels; c++) y[r * channels + c] = x[r * channels + c] * mul[c] + add[c];
    }
}

static void bn_apply(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const bn_impl *b = op->impl;
    affine_rows(isgi_act_data(net, op->out, chunk), isgi_act_data(net, op->in[0], chunk), b->mul, b->add, op->relu,
                isgi_chunk_count(net, chunk) * b->rows, b->channels);
}

static void bn_backward_sums(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const bn_impl *b = op->impl;
    sum_chunk(net, b, chunk, isgi_act_data(net, op->in[0], chunk), isgi_act_grad(net, op->out, chunk), b->mean,
              op->relu);
}

/* dx = mul (dy - mean(dy) - xhat mean(dy xhat)) = mul dy + k1 (x - mean) + k0 */
static void bn_backward_combine(isgi_net *net, isgi_netop *op)
{
    bn_impl *b = op->impl;
    const double m = (double)b->rows * net->total;
    const double *sums = total_sums(net, b->channels);
    for (size_t c = 0; c < b->channels; c++) {
        const double s = sums[c], q = sums[b->channels + c];
        net->param_list[b->beta].g[c] = (float)s;
        net->param_list[b->gamma].g[c] = (float)(q * (double)b->istd[c]);
        b->k0[c] = (float)(-(double)b->mul[c] * s / m);
        b->k1[c] = (float)(-(double)b->mul[c] * q * (double)b->istd[c] * (double)b->istd[c] / m);
    }
}

ISGI_CLONES
static void bn_rows_backward(float *restrict dx, const float *restrict dy, const float *restrict x, const bn_impl *b,
                             size_t rows, int accumulate, int relu)
{
    const size_t channels = b->channels;
    const float *restrict mul = b->mul, *restrict add = b->add, *restrict mean = b->mean, *restrict k0 = b->k0,
                          *restrict k1 = b->k1;
    for (size_t r = 0; r < rows; r++, dx += channels, dy += channels, x += channels) {
        if (relu) {
            for (size_t c = 0; c < channels; c++) {
                const float g = x[c] * mul[c] + add[c] > 0 ? dy[c] : 0.0f;
                const float v = mul[c] * g + (k1[c] * (x[c] - mean[c]) + k0[c]);
                dx[c] = accumulate ? dx[c] + v : v;
            }
        } else if (accumulate) {
            for (size_t c = 0; c < channels; c++) dx[c] += mul[c] * dy[c] + (k1[c] * (x[c] - mean[c]) + k0[c]);
        } else {
            for (size_t c = 0; c < channels; c++) dx[c] = mul[c] * dy[c] + (k1[c] * (x[c] - mean[c]) + k0[c]);
        }
    }
}

static void bn_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const bn_impl *b = op->impl;
    if (!isgi_op_needs(net, op, 0)) return;
    bn_rows_backward(isgi_act_grad(net, op->in[0], chunk), isgi_act_grad(net, op->out, chunk),
                     isgi_act_data(net, op->in[0], chunk), b, isgi_chunk_count(net, chunk) * b->rows, op->accumulate[0],
                     op->relu);
}

static void bn_destroy(isgi_netop *op)
{
    bn_impl *b = op->impl;
    if (b) isg_free(b->mean);
    isg_free(b);
    op->impl = NULL;
}

static const isgi_opvt bn_vt = {.forward = {bn_statistics, bn_apply},
                                .forward_join = {bn_combine, NULL},
                                .backward = {bn_backward_sums, bn_backward},
                                .backward_join = {bn_backward_combine, NULL},
                                .destroy = bn_destroy};

void isgi_batchnorm_store(const isgi_net *net, const isgi_netop *op)
{
    const bn_impl *b = op->impl;
    memcpy(b->mean_origin, net->running + b->running, b->channels * sizeof(float));
    memcpy(b->var_origin, net->running + b->running + b->channels, b->channels * sizeof(float));
}

isg_status isgi_build_batchnorm(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err)
{
    const isgi_act *x = op->in[0] >= 0 ? &net->acts[op->in[0]] : NULL;
    const isg_tensor *t[5] = {0};
    bn_impl *b;
    size_t ch;
    float *grown;
    if (!x || node->input_count < 5 || x->rank > 5) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: BatchNormalization input");
    }
    ch = (size_t)x->dims[1];
    for (int k = 1; k < 5; k++) {
        t[k] = node->inputs[k] >= 0 ? net->graph->values[node->inputs[k]].constant : NULL;
        if (!t[k] || t[k]->dtype != ISG_DT_F32 || (size_t)t[k]->count != ch) {
            return isgi_fail(err, ISG_E_UNSUPPORTED, "training: BatchNormalization parameters must be float constants");
        }
    }
    b = isgi_calloc(1, sizeof *b);
    if (!b) return isgi_nomem(err);
    op->impl = b;
    op->vt = &bn_vt;
    op->in_count = 1;
    b->channels = ch;
    b->rows = x->size / ch;
    b->eps = node->attr.scalar.alpha;
    b->mean_origin = t[3]->data;
    b->var_origin = t[4]->data;
    b->mean = isgi_calloc(ch * 6, sizeof(float));
    grown =
        isgi_realloc(net->running, net->running_floats * sizeof(float), (net->running_floats + 2 * ch) * sizeof(float));
    if (grown) net->running = grown;
    if (!b->mean || !grown) return isgi_nomem(err);
    b->istd = b->mean + ch;
    b->mul = b->istd + ch;
    b->add = b->mul + ch;
    b->k0 = b->add + ch;
    b->k1 = b->k0 + ch;
    b->running = net->running_floats;
    net->running_floats += 2 * ch;
    memcpy(grown + b->running, t[3]->data, ch * sizeof(float));
    memcpy(grown + b->running + ch, t[4]->data, ch * sizeof(float));
    b->gamma = isgi_net_add_param(net, op->name, ".gamma", t[1]->data, ch, 0);
    b->beta = isgi_net_add_param(net, op->name, ".beta", t[2]->data, ch, 0);
    net->param_list[b->gamma].summed = net->param_list[b->beta].summed = 1;
    isgi_net_want(net, 6 * ch, 0);
    return ISG_OK;
}
