/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of the layers' inputs and of the intermediates between factors, for the int8 mode. */
#include <cblas.h>
#include <insitu/compress.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "compress/calibrate.h"
#include "host/alloc.h"
#include "pack/model.h"

#define MAX_RANGE 1e30f /* what a file may hold: docs/format.md */
#define DEFAULT_ITEMS 64u

/* Factors of one conv or fc as numbers; empty where there is nothing between factors to measure. */
typedef struct measured_layer {
    uint32_t op;
    isg_weight geometry;
    const isg_conv_attr *window; /* NULL: fc, a plain 1x1 */
    float *basis, *u;            /* [taps][bi*bo] or [taps*ci][bo], [ci][bi*bo] */
    double lo, hi, mid, sum;
} measured_layer;

typedef struct observer {
    measured_layer *layers;
    uint32_t count;
    float *x, *mid, *total; /* input as read, behind U (or channels last), behind the basis */
    size_t x_room, mid_room, total_room;
    isg_status status;
    isg_error *err;
} observer;

static int grow(observer *o, float **p, size_t *room, size_t floats)
{
    if (floats <= *room) return 1;
    isg_free(*p);
    *p = isgi_malloc(floats * sizeof **p);
    *room = *p ? floats : 0;
    if (!*p) o->status = isgi_nomem(o->err);
    return *p != NULL;
}

static float largest_of(const float *x, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > most) most = fabsf(x[i]);
    return most;
}

/* total[pixel][o] += for one output pixel the taps of the basis over `src` [ih*iw][width]; FACTORED has width bi*bo and
 * a sum over bi, CHAIN multiplies columns with the basis as a matrix. */
static void pixel_taps(const measured_layer *l, const isg_rt_op *op, const float *src, int64_t oy, int64_t ox,
                       float *total)
{
    const isg_conv_attr *a = l->window;
    const isg_weight *w = &l->geometry;
    const int64_t ih = op->input_rank == 4 ? op->input_dims[2] : 1, iw = op->input_rank == 4 ? op->input_dims[3] : 1;
    const int64_t kh = a ? a->kernel[0] : 1, kw = a ? a->kernel[1] : 1;
    for (int64_t t = 0; t < kh * kw; t++) {
        const int64_t y = oy * (a ? a->stride[0] : 1) - (a ? a->pads[0] : 0) + t / kw * (a ? a->dilation[0] : 1);
        const int64_t x = ox * (a ? a->stride[1] : 1) - (a ? a->pads[1] : 0) + t % kw * (a ? a->dilation[1] : 1);
        if (y < 0 || y >= ih || x < 0 || x >= iw) continue;
        if (w->level1) {
            const float *m = src + (size_t)(y * iw + x) * w->bi * w->bo, *b = l->basis + (size_t)t * w->bi * w->bo;
            for (uint32_t i = 0; i < w->bi; i++)
                for (uint32_t c = 0; c < w->bo; c++) total[c] += b[i * w->bo + c] * m[i * w->bo + c];
        } else {
            cblas_sgemv(CblasRowMajor, CblasTrans, (int)w->ci, (int)w->bo, 1.0f, l->basis + (size_t)t * w->ci * w->bo,
                        (int)w->bo, src + (size_t)(y * iw + x) * w->ci, 1, 1.0f, total, 1);
        }
    }
}

/* The intermediates of one layer for the item whose input lies in o->x (ONNX order). */
static void measure_between(observer *o, measured_layer *l, const isg_rt_op *op)
{
    const isg_weight *w = &l->geometry;
    const size_t plane = op->input_rank == 4 ? (size_t)op->input_dims[2] * op->input_dims[3] : 1, ci = w->ci;
    const size_t out = op->output_rank == 4 ? (size_t)op->output_dims[2] * op->output_dims[3] : 1;
    const size_t bibo = w->level1 ? (size_t)w->bi * w->bo : ci;
    const int64_t ow = op->output_rank == 4 ? op->output_dims[3] : 1;
    if (!grow(o, &o->mid, &o->mid_room, plane * bibo) || !grow(o, &o->total, &o->total_room, out * w->bo)) return;
    if (w->level1) {
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)plane, (int)bibo, (int)ci, 1.0f, o->x, (int)plane,
                    l->u, (int)bibo, 0.0f, o->mid, (int)bibo);
        l->mid += (double)largest_of(o->mid, plane * bibo);
    } else {
        for (size_t p = 0; p < plane; p++)
            for (size_t c = 0; c < ci; c++) o->mid[p * ci + c] = o->x[c * plane + p];
    }
    if (!w->level2) return;
    memset(o->total, 0, out * w->bo * sizeof *o->total);
    for (size_t p = 0; p < out; p++) pixel_taps(l, op, o->mid, (int64_t)p / ow, (int64_t)p % ow, o->total + p * w->bo);
    l->sum += (double)largest_of(o->total, out * w->bo);
}

static void observe(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    observer *o = user;
    isg_rt_op info;
    measured_layer *l = NULL;
    size_t count = 1;
    float lo = 0.0f, hi = 0.0f;
    for (uint32_t i = 0; !done && i < o->count; i++)
        if (o->layers[i].op == op) l = &o->layers[i];
    if (!l || o->status != ISG_OK || isg_rt_op_info(ctx, op, &info) != ISG_OK) return;
    for (uint32_t d = 0; d < info.input_rank; d++) count *= info.input_dims[d];
    if (!grow(o, &o->x, &o->x_room, count)) return;
    o->status = isg_rt_read(ctx, op, 0, o->x, count, NULL, NULL);
    for (size_t i = 0; o->status == ISG_OK && i < count; i++) {
        if (o->x[i] < lo) lo = o->x[i];
        if (o->x[i] > hi) hi = o->x[i];
    }
    l->lo += (double)lo;
    l->hi += (double)hi;
    if (o->status == ISG_OK && (l->geometry.level1 || l->geometry.level2) && !l->geometry.depthwise)
        measure_between(o, l, &info);
}

static isg_status open_layer(measured_layer *l, const isg_graph *g, const isg_model *model, const isg_rt_op *op,
                             uint32_t index, isg_error *err)
{
    const isg_node *node = &g->nodes[isgi_model_node(model, index)];
    isg_factors *f = NULL;
    isg_status status;
    l->op = index;
    l->window = node->op == ISG_OP_CONV ? &node->attr.conv : NULL;
    ISGI_TRY(isg_rt_weight(isg_model_rt(model), (uint32_t)op->weight, &l->geometry));
    if (!l->geometry.level1 && !l->geometry.level2) return ISG_OK;
    ISGI_TRY(isg_factors_unpack(&f, &l->geometry, err));
    l->basis = isgi_malloc((size_t)f->basis.rows * f->basis.cols * sizeof *l->basis);
    l->u = isgi_malloc((size_t)f->u.rows * f->u.cols * sizeof *l->u + 4);
    status = l->basis && l->u ? isg_factor_quantise(l->basis, &f->basis, err) : isgi_nomem(err);
    if (status == ISG_OK && f->level1) status = isg_factor_quantise(l->u, &f->u, err);
    isg_factors_destroy(f);
    return status;
}

static isg_status open_layers(observer *o, const isg_graph *g, const isg_model *model, const isg_rt_context *ctx,
                              isg_error *err)
{
    const uint32_t ops = isg_rt_op_count(ctx);
    o->layers = isgi_calloc(ops ? ops : 1, sizeof *o->layers);
    if (!o->layers) return isgi_nomem(err);
    for (uint32_t i = 0; i < ops; i++) {
        isg_rt_op info;
        ISGI_TRY(isg_rt_op_info(ctx, i, &info));
        if (strcmp(info.kind, "conv") != 0 && strcmp(info.kind, "fc") != 0) continue;
        ISGI_TRY(open_layer(&o->layers[o->count++], g, model, &info, i, err));
    }
    return ISG_OK;
}

/* Calibration inputs are single items. */
static isg_status check_batch(const isg_rt_model *rt, const isgi_calibration *c, isg_error *err)
{
    isg_rt_io io;
    size_t n = 1;
    ISGI_TRY(isg_rt_input(rt, 0, &io));
    for (uint32_t d = 0; d < io.rank; d++) n *= io.dims[d] ? io.dims[d] : 1;
    if (n == c->size) return ISG_OK;
    return isgi_fail(err, ISG_E_UNSUPPORTED, "network has a fixed batch; ranges need 1 or a symbol");
}

static isg_status run_items(observer *o, isg_session *s, const isg_rt_model *rt, const isgi_calibration *c,
                            const isg_progress *progress, isg_error *err)
{
    float *outputs[16] = {NULL};
    isg_status status = ISG_OK;
    for (uint32_t i = 0; i < isg_rt_output_count(rt) && status == ISG_OK; i++) {
        isg_rt_io io;
        size_t n = 1;
        status = isg_rt_output(rt, i, &io);
        for (uint32_t d = 0; d < io.rank; d++) n *= io.dims[d] ? io.dims[d] : 1;
        outputs[i] = isgi_malloc(n * sizeof(float));
        if (!outputs[i]) status = isgi_nomem(err);
    }
    for (uint64_t i = 0; i < c->count && status == ISG_OK; i++) {
        const float *const input = c->inputs + i * c->size;
        if (progress && progress->cancelled && progress->cancelled(progress->user)) {
            status = isgi_fail(err, ISG_E_CANCELLED, "cancelled");
            break;
        }
        status = isg_session_run(s, &input, outputs, err);
        if (status == ISG_OK) status = o->status;
        if (progress && progress->report) progress->report(progress->user, "ranges", i + 1, c->count, "");
    }
    for (uint32_t i = 0; i < 16; i++) isg_free(outputs[i]);
    return status;
}

static isg_status make_ranges(const observer *o, uint64_t items, isg_activation_range **ranges, uint32_t *count,
                              isg_error *err)
{
    isg_activation_range *r = isgi_calloc(o->count ? o->count : 1, sizeof *r);
    if (!r) return isgi_nomem(err);
    for (uint32_t i = 0; i < o->count; i++) {
        const measured_layer *l = &o->layers[i];
        r[i].lo = (float)(l->lo / (double)items);
        r[i].hi = (float)(l->hi / (double)items);
        r[i].mid = (float)(l->mid / (double)items);
        r[i].sum = (float)(l->sum / (double)items);
        if (!(r[i].lo > -MAX_RANGE && r[i].hi < MAX_RANGE && r[i].mid < MAX_RANGE && r[i].sum < MAX_RANGE)) {
            isg_free(r);
            return isgi_fail(err, ISG_E_NUMERIC, "layer %u: its numbers are too large for int8", (unsigned)i);
        }
    }
    *ranges = r;
    *count = o->count;
    return ISG_OK;
}

isg_status isg_calibrate_activations(const isg_graph *g, const isg_dataset *data, const isg_input_spec *input,
                                     uint32_t count, const isg_progress *progress, isg_activation_range **ranges,
                                     uint32_t *range_count, isg_error *err)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isgi_calibration c = {0};
    observer o = {0};
    isg_model *model = NULL;
    isg_session *session = NULL;
    isg_status status = isgi_calibration_load(&c, g, data, input, count ? count : DEFAULT_ITEMS, err);
    o.err = err;
    options.hook = observe;
    options.hook_user = &o;
    if (status == ISG_OK) status = isg_model_from_graph(&model, g, err);
    if (status == ISG_OK) status = check_batch(isg_model_rt(model), &c, err);
    if (status == ISG_OK) status = isg_session_create(&session, model, &options, err);
    if (status == ISG_OK) status = open_layers(&o, g, model, isg_session_context(session), err);
    if (status == ISG_OK) status = run_items(&o, session, isg_model_rt(model), &c, progress, err);
    if (status == ISG_OK) status = make_ranges(&o, c.count, ranges, range_count, err);
    for (uint32_t i = 0; i < o.count; i++) {
        isg_free(o.layers[i].basis);
        isg_free(o.layers[i].u);
    }
    isg_free(o.layers);
    isg_free(o.x);
    isg_free(o.mid);
    isg_free(o.total);
    isg_session_destroy(session);
    isg_model_close(model);
    isgi_calibration_clear(&c);
    return status;
}
