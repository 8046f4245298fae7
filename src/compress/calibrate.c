/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of the layers' real inputs, and outputs of a network over calibration items, by running it. */
#include "compress/calibrate.h"

#include <cblas.h>
#include <insitu/pack.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/cancel.h"
#include "pack/model.h"

#define MAX_POSITIONS 256u /* columns taken from one image of one layer: neighbours say little new */
#define COLUMN_BLOCK 512u  /* columns multiplied at a time */

/* A step coprime to `count` near its golden section: items taken with it are spread over the whole set at any length,
 * also where the set is sorted by class. */
static uint64_t spread_step(uint64_t count)
{
    uint64_t step = (uint64_t)((double)count * 0.618034);
    for (;; step++) {
        uint64_t a = count, b = step;
        while (b) {
            const uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) return step;
    }
}

/* What item `index` of the data, loaded as number i, is like. */
static isg_status look_at(isgi_calibration *c, uint64_t i, const isg_dataset *data, uint64_t index, isg_error *err)
{
    const float *x = c->inputs + i * c->size;
    int flat = c->size > 1;
    for (uint64_t k = 0; k < c->size; k++) {
        if (!isfinite(x[k])) {
            char name[100];
            return isgi_fail(err, ISG_E_NUMERIC, "%s: calibration image %llu holds a number that is not finite",
                             isgi_escape(name, sizeof name, isg_dataset_name(data)), (unsigned long long)index);
        }
        flat = flat && x[k] == x[0];
    }
    c->flat += (uint64_t)flat;
    c->alike = (i == 0 || c->alike) && memcmp(x, c->inputs, c->size * sizeof *x) == 0;
    return ISG_OK;
}

isg_status isgi_calibration_load(isgi_calibration *c, const isg_graph *g, const isg_dataset *data,
                                 const isg_input_spec *input, uint32_t count, isg_error *err)
{
    const isg_value *in;
    const uint64_t total = isg_dataset_count(data);
    uint64_t size = 1, step;
    if (g->input_count != 1) return isgi_fail(err, ISG_E_UNSUPPORTED, "calibration needs a network with one input");
    in = &g->values[g->inputs[0]];
    for (int32_t d = 1; d < in->rank; d++) {
        if (in->dims[d] <= 0) return isgi_fail(err, ISG_E_SHAPE, "input %s has no fixed size", in->name);
        size *= (uint64_t)in->dims[d];
    }
    if (!total) return isgi_fail(err, ISG_E_ARG, "the calibration set is empty");
    c->count = count < total ? count : total;
    c->size = size;
    c->inputs = isgi_malloc(c->count * size * sizeof(float));
    if (!c->inputs) return isgi_nomem(err);
    step = spread_step(c->count);
    for (uint64_t i = 0; i < c->count; i++) {
        const uint64_t item = i * step % c->count * total / c->count;
        ISGI_TRY(isg_dataset_load(data, item, input, c->inputs + i * size, err));
        ISGI_TRY(look_at(c, i, data, item, err));
    }
    return ISG_OK;
}

void isgi_calibration_clear(isgi_calibration *c)
{
    isg_free(c->inputs);
    c->inputs = NULL;
}

/* ---- running ---- */

typedef struct run {
    isg_model *model;
    isg_session *session;
    float **outputs; /* of one run */
    uint64_t *widths;
    uint32_t output_count, batch;
} run;

static void run_close(run *r)
{
    for (uint32_t i = 0; r->outputs && i < r->output_count; i++) isg_free(r->outputs[i]);
    isg_free(r->outputs);
    isg_free(r->widths);
    isg_session_destroy(r->session);
    isg_model_close(r->model);
    memset(r, 0, sizeof *r);
}

static isg_status run_open(run *r, const isg_graph *g, const isgi_calibration *c, isg_rt_hook hook, void *user,
                           isg_error *err)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    memset(r, 0, sizeof *r);
    r->batch = c->batch;
    options.batch = c->batch;
    options.hook = hook;
    options.hook_user = user;
    if (c->parallel) options.parallel = *c->parallel;
    ISGI_TRY(isg_model_from_graph(&r->model, g, err));
    ISGI_TRY(isg_session_create(&r->session, r->model, &options, err));
    r->output_count = isg_rt_output_count(isg_model_rt(r->model));
    r->outputs = isgi_calloc(r->output_count, sizeof *r->outputs);
    r->widths = isgi_calloc(r->output_count, sizeof *r->widths);
    if (!r->outputs || !r->widths) return isgi_nomem(err);
    for (uint32_t i = 0; i < r->output_count; i++) {
        isg_rt_io io;
        ISGI_TRY(isg_rt_output(isg_model_rt(r->model), i, &io));
        r->widths[i] = 1;
        for (uint32_t d = 0; d < io.rank; d++) r->widths[i] *= io.dims[d] ? io.dims[d] : 1;
        r->outputs[i] = isgi_malloc(r->widths[i] * c->batch * sizeof(float));
        if (!r->outputs[i]) return isgi_nomem(err);
    }
    return ISG_OK;
}

/* Items first .. first+batch-1; short batches are filled up with the last item, the caller ignores the surplus. */
static isg_status run_batch(run *r, const isgi_calibration *c, uint64_t first, float *staging, isg_error *err)
{
    const float *in = c->inputs + first * c->size;
    if (first + c->batch > c->count) {
        for (uint64_t i = 0; i < c->batch; i++) {
            const uint64_t item = first + i < c->count ? first + i : c->count - 1;
            memcpy(staging + i * c->size, c->inputs + item * c->size, c->size * sizeof(float));
        }
        in = staging;
    }
    ISGI_TRY(isgi_cancelled(c->progress, err));
    return isg_session_run(r->session, &in, r->outputs, err);
}

static isg_status run_all(run *r, const isgi_calibration *c, uint64_t count, float *collect, isg_error *err)
{
    float *staging = isgi_malloc((size_t)c->batch * c->size * sizeof(float));
    isg_status status = ISG_OK;
    if (!staging) return isgi_nomem(err);
    for (uint64_t first = 0; first < count && status == ISG_OK; first += c->batch) {
        status = run_batch(r, c, first, staging, err);
        if (status == ISG_OK && collect) {
            const uint64_t n = count - first < c->batch ? count - first : c->batch;
            memcpy(collect + first * r->widths[0], r->outputs[0], n * r->widths[0] * sizeof(float));
        }
    }
    isg_free(staging);
    return status;
}

/* ---- columns ---- */

typedef struct tap_state {
    isgi_layers *layers;
    const isg_graph *graph;
    const isgi_calibration *calibration;
    double **sums; /* per layer, of the columns */
    float *input;  /* a layer's input, logical order */
    size_t input_floats;
    float *columns;     /* COLUMN_BLOCK columns of the widest layer */
    uint64_t run_first; /* item number of the batch's first image */
    uint64_t run_limit; /* items beyond are padding */
    int want_moments;
    const isg_model *model; /* the one that runs */
    isg_status status;
} tap_state;

/* Column of output position (y, x) of one image and one group into dst[taps*ci] (depthwise: dst[C][taps]). */
static void gather_column(float *dst, const float *image, const isgi_layer *layer, const isg_conv_attr *a,
                          const uint32_t *dims, uint32_t group, uint32_t y, uint32_t x)
{
    const uint32_t channels = layer->depthwise ? layer->co : layer->ci, taps = layer->kh * layer->kw;
    const uint32_t h = dims[2], w = dims[3];
    for (uint32_t i = 0; i < layer->kh; i++) {
        const int64_t row = (int64_t)y * a->stride[0] - a->pads[0] + (int64_t)i * a->dilation[0];
        for (uint32_t j = 0; j < layer->kw; j++) {
            const int64_t col = (int64_t)x * a->stride[1] - a->pads[1] + (int64_t)j * a->dilation[1];
            const int inside = row >= 0 && row < (int64_t)h && col >= 0 && col < (int64_t)w;
            const uint32_t tap = i * layer->kw + j;
            for (uint32_t ch = 0; ch < channels; ch++) {
                const size_t plane = (size_t)(group * layer->ci + ch) * h * w;
                const float value = inside ? image[plane + (size_t)row * w + (size_t)col] : 0.0f;
                dst[layer->depthwise ? ch * taps + tap : tap * channels + ch] = value;
            }
        }
    }
}

static void add_columns(isgi_layer *layer, double *sum, const float *columns, size_t count, int want_moments)
{
    const uint32_t taps = layer->rows; /* depthwise: rows is the number of taps */
    const size_t width = layer->depthwise ? (size_t)layer->co * taps : layer->rows;
    for (size_t p = 0; p < count; p++) {
        for (size_t k = 0; k < width; k++) sum[k] += columns[p * width + k];
    }
    layer->samples += count;
    if (!want_moments || !layer->moment) return;
    if (layer->depthwise) {
        for (size_t p = 0; p < count; p++) {
            for (uint32_t c = 0; c < layer->co; c++) {
                const float *x = columns + p * width + (size_t)c * taps;
                float *m = layer->moment + (size_t)c * taps * taps;
                for (uint32_t i = 0; i < taps; i++) {
                    for (uint32_t j = 0; j < taps; j++) m[i * taps + j] += x[i] * x[j];
                }
            }
        }
        return;
    }
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)width, (int)count, 1.0f, columns, (int)width, 1.0f,
                layer->moment, (int)width);
}

static void tap_image(tap_state *t, isgi_layer *layer, double *sum, const float *image, const uint32_t *dims,
                      const uint32_t *out_dims)
{
    const isg_conv_attr *a = &t->graph->nodes[layer->node].attr.conv;
    const uint64_t positions = (uint64_t)out_dims[2] * out_dims[3];
    const uint64_t taken = positions < MAX_POSITIONS ? positions : MAX_POSITIONS;
    const uint32_t groups = layer->depthwise ? 1 : layer->groups;
    const size_t width = layer->depthwise ? (size_t)layer->co * layer->rows : layer->rows;
    for (uint32_t group = 0; group < groups; group++) {
        size_t filled = 0;
        for (uint64_t k = 0; k < taken; k++) {
            const uint64_t position = k * positions / taken;
            gather_column(t->columns + filled * width, image, layer, a, dims, group, (uint32_t)(position / out_dims[3]),
                          (uint32_t)(position % out_dims[3]));
            if (++filled == COLUMN_BLOCK || k + 1 == taken) {
                add_columns(layer, sum, t->columns, filled, t->want_moments);
                filled = 0;
            }
        }
    }
}

static void tap_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    tap_state *t = user;
    isg_rt_op info;
    uint32_t rank, dims[ISG_RT_MAX_RANK];
    int32_t index;
    isgi_layer *layer;
    size_t image;
    if (done || t->status != ISG_OK || isg_rt_op_info(ctx, op, &info) != ISG_OK || info.weight < 0) return;
    index = isgi_layers_find(t->layers, isgi_model_node(t->model, op));
    if (index < 0) return;
    layer = &t->layers->items[index];
    t->status = isg_rt_read(ctx, op, 0, t->input, t->input_floats, &rank, dims);
    if (t->status != ISG_OK) return;
    image = 1;
    for (uint32_t d = 1; d < rank; d++) image *= dims[d];
    for (uint32_t n = 0; n < dims[0] && t->run_first + n < t->run_limit; n++) {
        if (layer->fc) {
            add_columns(layer, t->sums[index], t->input + n * image, 1, t->want_moments);
        } else {
            tap_image(t, layer, t->sums[index], t->input + n * image, dims, info.output_dims);
        }
    }
}

/* Buffers for the largest input and the widest block of columns among the layers. */
static isg_status tap_buffers(tap_state *t, const isg_graph *g, isg_error *err)
{
    size_t widest = 0;
    for (uint32_t i = 0; i < t->layers->count; i++) {
        const isgi_layer *layer = &t->layers->items[i];
        const isg_value *in = &g->values[g->nodes[layer->node].inputs[0]];
        const size_t width = layer->depthwise ? (size_t)layer->co * layer->rows : layer->rows;
        size_t floats = t->calibration->batch;
        for (int32_t d = 1; d < in->rank; d++) floats *= (size_t)in->dims[d];
        if (floats > t->input_floats) t->input_floats = floats;
        if (width > widest) widest = width;
        t->sums[i] = isgi_calloc(width, sizeof(double));
        if (!t->sums[i]) return isgi_nomem(err);
    }
    t->input = isgi_malloc(t->input_floats * sizeof(float));
    t->columns = isgi_malloc(COLUMN_BLOCK * widest * sizeof(float));
    return t->input && t->columns ? ISG_OK : isgi_nomem(err);
}

static isg_status tap_run(tap_state *t, const isg_graph *g, uint64_t count, const char *stage, isg_error *err)
{
    const isgi_calibration *c = t->calibration;
    float *staging = NULL;
    isg_status status;
    run r;
    t->sums = isgi_calloc(t->layers->count, sizeof *t->sums);
    if (!t->sums) return isgi_nomem(err);
    status = tap_buffers(t, g, err);
    if (status == ISG_OK)
        status = run_open(&r, g, c, tap_hook, t, err);
    else
        memset(&r, 0, sizeof r);
    staging = isgi_malloc((size_t)c->batch * c->size * sizeof(float));
    if (status == ISG_OK && !staging) status = isgi_nomem(err);
    t->run_limit = count;
    t->model = r.model;
    for (uint64_t first = 0; first < count && status == ISG_OK; first += c->batch) {
        t->run_first = first;
        status = run_batch(&r, c, first, staging, err);
        if (status == ISG_OK && t->status != ISG_OK) {
            status = isgi_fail(err, t->status, "reading a layer's input failed: %s", isg_status_text(t->status));
        }
        if (stage && c->progress && c->progress->report) {
            c->progress->report(c->progress->user, stage, first + c->batch < count ? first + c->batch : count, count,
                                "");
        }
    }
    isg_free(staging);
    run_close(&r);
    return status;
}

static void tap_clear(tap_state *t)
{
    for (uint32_t i = 0; t->sums && i < t->layers->count; i++) isg_free(t->sums[i]);
    isg_free(t->sums);
    isg_free(t->input);
    isg_free(t->columns);
}

/* Sums become averages; the upper triangle that ssyrk wrote is mirrored. */
static void finish_moment(isgi_layer *layer)
{
    const size_t width = layer->depthwise ? (size_t)layer->co * layer->rows : layer->rows;
    const float scale = layer->samples ? 1.0f / (float)layer->samples : 0.0f;
    if (!layer->moment) return;
    if (layer->depthwise) {
        for (size_t i = 0; i < width * layer->rows; i++) layer->moment[i] *= scale;
        return;
    }
    for (size_t i = 0; i < width; i++) {
        for (size_t j = i; j < width; j++) {
            layer->moment[i * width + j] *= scale;
            layer->moment[j * width + i] = layer->moment[i * width + j];
        }
    }
}

isg_status isgi_calibrate_moments(isgi_layers *layers, const isg_graph *g, const isgi_calibration *c,
                                  uint64_t max_bytes, isg_error *err)
{
    tap_state t = {0};
    uint64_t used = 0;
    isg_status status = ISG_OK;
    t.layers = layers;
    t.graph = g;
    t.calibration = c;
    t.want_moments = 1;
    for (uint32_t i = 0; i < layers->count; i++) {
        isgi_layer *layer = &layers->items[i];
        const uint64_t floats = (uint64_t)layer->rows * layer->rows * (layer->depthwise ? layer->co : 1);
        layer->samples = 0;
        if (floats * sizeof(float) > max_bytes - used) continue;
        used += floats * sizeof(float);
        layer->moment = isgi_calloc(floats, sizeof(float));
        if (!layer->moment) return isgi_nomem(err);
    }
    status = tap_run(&t, g, c->count, "calibrating", err);
    for (uint32_t i = 0; i < layers->count && status == ISG_OK; i++) finish_moment(&layers->items[i]);
    tap_clear(&t);
    return status;
}

/* Sums become means in mean[i]; the layers' samples counted them. */
static isg_status run_means(isgi_layers *layers, float **means, const isg_graph *g, const isgi_calibration *c,
                            uint64_t count, isg_error *err)
{
    tap_state t = {0};
    isg_status status;
    t.layers = layers;
    t.graph = g;
    t.calibration = c;
    for (uint32_t i = 0; i < layers->count; i++) layers->items[i].samples = 0;
    status = tap_run(&t, g, count < c->count ? count : c->count, NULL, err);
    for (uint32_t i = 0; i < layers->count && status == ISG_OK; i++) {
        const isgi_layer *layer = &layers->items[i];
        const size_t width = layer->depthwise ? (size_t)layer->co * layer->rows : layer->rows;
        for (size_t k = 0; k < width; k++) {
            means[i][k] = layer->samples ? (float)(t.sums[i][k] / (double)layer->samples) : 0.0f;
        }
    }
    tap_clear(&t);
    return status;
}

isg_status isgi_calibrate_means(isgi_layers *layers, const isg_graph *g, const isgi_calibration *c, uint64_t count,
                                isg_error *err)
{
    float **means = isgi_calloc(layers->count, sizeof *means);
    isg_status status = means ? ISG_OK : isgi_nomem(err);
    for (uint32_t i = 0; i < layers->count && status == ISG_OK; i++) {
        isgi_layer *layer = &layers->items[i];
        layer->mean = isgi_malloc((layer->depthwise ? (size_t)layer->co * layer->rows : layer->rows) * sizeof(float));
        means[i] = layer->mean;
        if (!layer->mean) status = isgi_nomem(err);
    }
    if (status == ISG_OK) status = run_means(layers, means, g, c, count, err);
    isg_free(means);
    return status;
}

isg_status isgi_calibrate_mean(float *mean, const isgi_layer *layer, const isg_graph *g, const isgi_calibration *c,
                               uint64_t count, isg_error *err)
{
    isgi_layer copy = *layer;
    isgi_layers one = {&copy, 1};
    return run_means(&one, &mean, g, c, count, err);
}

isg_status isgi_calibrate_outputs(float **outputs, uint64_t *width, const isg_graph *g, const isgi_calibration *c,
                                  uint64_t count, isg_error *err)
{
    run r;
    float *all = NULL;
    isg_status status = run_open(&r, g, c, NULL, NULL, err);
    if (count > c->count) count = c->count;
    if (status == ISG_OK) {
        all = isgi_malloc(count * r.widths[0] * sizeof(float));
        status = all ? run_all(&r, c, count, all, err) : isgi_nomem(err);
    }
    if (status == ISG_OK) {
        *outputs = all;
        *width = r.widths[0];
        all = NULL;
    }
    isg_free(all);
    run_close(&r);
    return status;
}
