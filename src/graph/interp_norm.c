/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that reduce along axes: Softmax, ReduceMean, BatchNormalization. */
#include "graph/interp_internal.h"

#include <math.h>

/* A tensor seen as [outer][length][inner]. */
typedef struct span {
    int64_t outer, length, inner;
} span;

static isg_status softmax_span(span *s, const isgi_call *c)
{
    const isg_tensor *x = c->in[0];
    int64_t axis;
    s->outer = s->length = s->inner = 1;
    if (x->rank == 0) return ISG_OK;
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], x->rank, c->err));
    for (int32_t i = 0; i < x->rank; i++) {
        if (i < axis)
            s->outer *= x->dims[i];
        else if (i == axis || c->opset < 13) /* before opset 13 everything from the axis on is one row */
            s->length *= x->dims[i];
        else
            s->inner *= x->dims[i];
    }
    return ISG_OK;
}

isg_status isgi_shape_softmax(isgi_call *c)
{
    span s;
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    ISGI_TRY(isgi_need_float(c->in[0], c->err));
    ISGI_TRY(softmax_span(&s, c));
    return isgi_shape_like(c, 0, c->in[0]);
}

isg_status isgi_eval_softmax(const isgi_call *c)
{
    span s;
    double *x;
    ISGI_TRY(softmax_span(&s, c));
    x = isgi_tensor_f64(c->in[0]);
    if (!x) return isgi_nomem(c->err);
    for (int64_t o = 0; s.length > 0 && o < s.outer; o++) {
        for (int64_t i = 0; i < s.inner; i++) {
            double *row = x + o * s.length * s.inner + i;
            double top = row[0], total = 0.0;
            for (int64_t k = 1; k < s.length; k++) top = row[k * s.inner] > top ? row[k * s.inner] : top;
            for (int64_t k = 0; k < s.length; k++) total += row[k * s.inner] = exp(row[k * s.inner] - top);
            for (int64_t k = 0; k < s.length; k++) row[k * s.inner] /= total;
        }
    }
    isgi_write_f64(&c->out[0], 0, x, c->in[0]->count);
    isg_free(x);
    return ISG_OK;
}

/* reduced[d] says whether axis d is averaged over. */
static isg_status mean_axes(int *reduced, const isgi_call *c)
{
    const isg_tensor *x = c->in[0];
    int64_t axes[ISG_MAX_RANK];
    int32_t count;
    ISGI_TRY(isgi_read_axes(axes, &count, c, x->rank));
    for (int32_t d = 0; d < x->rank; d++) reduced[d] = count == 0 && !c->node->attr.axes.noop_with_empty;
    for (int32_t i = 0; i < count; i++) reduced[axes[i]] = 1;
    return ISG_OK;
}

isg_status isgi_shape_reduce_mean(isgi_call *c)
{
    int64_t dims[ISG_MAX_RANK];
    int reduced[ISG_MAX_RANK];
    int32_t rank = 0;
    ISGI_TRY(isgi_arity(c, 1, 2, 1));
    ISGI_TRY(isgi_need_float(c->in[0], c->err));
    ISGI_TRY(mean_axes(reduced, c));
    for (int32_t d = 0; d < c->in[0]->rank; d++) {
        if (!reduced[d])
            dims[rank++] = c->in[0]->dims[d];
        else if (c->node->attr.axes.keepdims)
            dims[rank++] = 1;
    }
    return isgi_tensor_shape(&c->out[0], c->in[0]->dtype, rank, dims, c->err);
}

isg_status isgi_eval_reduce_mean(const isgi_call *c)
{
    const isg_tensor *x = c->in[0];
    int64_t stride[ISG_MAX_RANK], index[ISG_MAX_RANK] = {0}, step = 1, number = 1, to = 0;
    int reduced[ISG_MAX_RANK];
    double *data, *total;
    ISGI_TRY(mean_axes(reduced, c));
    for (int32_t d = x->rank - 1; d >= 0; d--) {
        stride[d] = reduced[d] ? 0 : step;
        if (reduced[d])
            number *= x->dims[d];
        else
            step *= x->dims[d];
    }
    data = isgi_tensor_f64(x);
    total = isgi_calloc((size_t)c->out[0].count, sizeof *total);
    if (!data || !total) {
        isg_free(data);
        isg_free(total);
        return isgi_nomem(c->err);
    }
    for (int64_t i = 0; i < x->count; i++) {
        total[to] += data[i];
        for (int32_t d = x->rank - 1; d >= 0; d--) {
            to += stride[d];
            if (++index[d] < x->dims[d]) break;
            to -= stride[d] * x->dims[d];
            index[d] = 0;
        }
    }
    for (int64_t i = 0; i < c->out[0].count; i++) total[i] /= (double)number;
    isgi_write_f64(&c->out[0], 0, total, c->out[0].count);
    isg_free(data);
    isg_free(total);
    return ISG_OK;
}

isg_status isgi_shape_batch_norm(isgi_call *c)
{
    const int training = c->node->attr.scalar.training != 0;
    int64_t channels;
    ISGI_TRY(isgi_arity(c, 5, 5, training ? 3 : 1));
    ISGI_TRY(isgi_need_float(c->in[0], c->err));
    if (c->in[0]->rank < 2) return isgi_fail(c->err, ISG_E_SHAPE, "input of rank %d", (int)c->in[0]->rank);
    channels = c->in[0]->dims[1];
    for (int32_t i = 1; i < 5; i++) {
        if (c->in[i]->rank != 1 || c->in[i]->dims[0] != channels)
            return isgi_fail(c->err, ISG_E_SHAPE, "input %d is not a vector of %lld channels", (int)i,
                             (long long)channels);
        ISGI_TRY(isgi_need_float(c->in[i], c->err));
    }
    for (int32_t i = 1; i < c->out_count; i++) ISGI_TRY(isgi_shape_like(c, i, c->in[2 + i]));
    return isgi_shape_like(c, 0, c->in[0]);
}

/* Mean and population variance of channel k over batch and space. */
static void channel_moments(const double *x, int64_t batch, int64_t channels, int64_t k, int64_t inner, double *mean,
                            double *variance)
{
    double sum = 0.0, square = 0.0;
    for (int64_t n = 0; n < batch; n++)
        for (int64_t i = 0; i < inner; i++) sum += x[(n * channels + k) * inner + i];
    *mean = sum / (double)(batch * inner);
    for (int64_t n = 0; n < batch; n++) {
        for (int64_t i = 0; i < inner; i++) {
            const double d = x[(n * channels + k) * inner + i] - *mean;
            square += d * d;
        }
    }
    *variance = square / (double)(batch * inner);
}

isg_status isgi_eval_batch_norm(const isgi_call *c)
{
    const isg_tensor *t = c->in[0];
    const isg_scalar_attr *a = &c->node->attr.scalar;
    const int64_t batch = t->dims[0], channels = t->dims[1];
    int64_t inner = 1;
    double *x;
    for (int32_t d = 2; d < t->rank; d++) inner *= t->dims[d];
    x = isgi_tensor_f64(t);
    if (!x) return isgi_nomem(c->err);
    for (int64_t k = 0; k < channels; k++) {
        double scale, bias, moment[2], factor;
        isgi_read_f64(&scale, c->in[1], k, 1);
        isgi_read_f64(&bias, c->in[2], k, 1);
        isgi_read_f64(&moment[0], c->in[3], k, 1);
        isgi_read_f64(&moment[1], c->in[4], k, 1);
        if (a->training) {
            double fresh[2];
            channel_moments(x, batch, channels, k, inner, &fresh[0], &fresh[1]);
            for (int32_t i = 0; i < 2; i++) {
                const double running = moment[i] * (double)a->beta + fresh[i] * (1.0 - (double)a->beta);
                if (i + 1 < c->out_count && c->out[i + 1].data) isgi_write_f64(&c->out[i + 1], k, &running, 1);
                moment[i] = fresh[i];
            }
        }
        factor = scale / sqrt(moment[1] + (double)a->alpha);
        for (int64_t n = 0; n < batch; n++) {
            double *row = x + (n * channels + k) * inner;
            for (int64_t i = 0; i < inner; i++) row[i] = (row[i] - moment[0]) * factor + bias;
        }
    }
    isgi_write_f64(&c->out[0], 0, x, t->count);
    isg_free(x);
    return ISG_OK;
}
