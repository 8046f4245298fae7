/* SPDX-License-Identifier: Apache-2.0 */
/* Threshold balancing: percentiles of every channel's activations over the calibration images. */
#include <math.h>
#include <string.h>

#include "snn/snn_internal.h"

/* Activations from 0 to the channel's maximum in equal bins; a threshold is off by at most one bin. */
#define BINS 2048

typedef struct histogram {
    float *largest;  /* per channel */
    uint64_t *bins;  /* [channel][BINS] */
    uint64_t *count; /* per channel; what is in no bin is zero */
} histogram;

typedef struct calibration {
    isg_snn *snn;
    histogram *nodes;
    int fill; /* second pass: the maxima are known */
    isg_status status;
} calibration;

/* Channels are the second dimension of images; other layers have one threshold. */
static isg_status open_histogram(calibration *c, int32_t node, const isg_tensor *t)
{
    isgi_snn_node *n = &c->snn->nodes[node];
    histogram *h = &c->nodes[node];
    n->channels = t->rank == 4 && !c->snn->per_layer ? t->dims[1] : 1;
    n->spatial = t->count / n->channels;
    n->thresholds = isgi_calloc((size_t)n->channels, sizeof *n->thresholds);
    h->largest = isgi_calloc((size_t)n->channels, sizeof *h->largest);
    h->count = isgi_calloc((size_t)n->channels, sizeof *h->count);
    h->bins = isgi_calloc((size_t)n->channels, BINS * sizeof *h->bins);
    return n->thresholds && h->largest && h->count && h->bins ? ISG_OK : ISG_E_NOMEM;
}

static void put(histogram *h, int64_t channel, float a)
{
    const float place = a / h->largest[channel] * BINS;
    const int bin = place < BINS ? (int)place : BINS - 1;
    h->bins[channel * BINS + bin]++;
}

static void watch(void *user, int32_t node, const isg_tensor *t)
{
    calibration *c = user;
    histogram *h = &c->nodes[node];
    const isgi_snn_node *n = &c->snn->nodes[node];
    const float *a = t->data;
    if (c->status == ISG_OK && !h->largest) c->status = open_histogram(c, node, t);
    for (int64_t channel = 0; channel < n->channels && c->status == ISG_OK; channel++, a += n->spatial) {
        for (int64_t k = 0; k < n->spatial; k++) {
            if (!isfinite(a[k])) c->status = ISG_E_NUMERIC;
            if (!c->fill && a[k] > h->largest[channel]) h->largest[channel] = a[k];
            if (c->fill && a[k] > 0.0f) put(h, channel, a[k]);
        }
        if (c->fill) h->count[channel] += (uint64_t)n->spatial;
    }
}

static isg_status pass(isg_snn_state *s, calibration *c, const float *images, uint32_t count, isg_error *err)
{
    s->visit = watch;
    s->visit_user = c;
    for (uint32_t i = 0; i < count; i++) {
        isgi_snn_set_image(s, images + (size_t)i * s->snn->input_count);
        ISGI_TRY(isgi_snn_step(s, ISGI_SNN_ANALOG, 1, err));
        if (c->status == ISG_E_NOMEM) return isgi_nomem(err);
        if (c->status != ISG_OK)
            return isgi_fail(err, c->status, "an activation of calibration image %u is not finite", i);
    }
    return ISG_OK;
}

/* Upper edge of the bin that holds the percentile; the maximum itself at 100. */
static float percentile_of(const histogram *h, int64_t channel, double percentile)
{
    const uint64_t *bins = h->bins + channel * BINS;
    const double above = (1.0 - percentile / 100.0) * (double)h->count[channel];
    double seen = 0.0;
    if (percentile >= 100.0) return h->largest[channel];
    for (int b = BINS - 1; b >= 0; b--) {
        seen += (double)bins[b];
        if (seen > above) return h->largest[channel] * (float)(b + 1) / BINS;
    }
    return 0.0f;
}

/* A channel that is never active needs no threshold: any positive one keeps it silent. */
static void set_thresholds(isg_snn *snn, const calibration *c, double percentile)
{
    for (int32_t i = 0; i < snn->g->node_count; i++) {
        const isg_node *n = &snn->g->nodes[i];
        isgi_snn_node *s = &snn->nodes[i];
        for (int64_t channel = 0; channel < s->channels; channel++) {
            float threshold = percentile_of(&c->nodes[i], channel, percentile);
            if (!(threshold > 0.0f)) threshold = c->nodes[i].largest[channel] > 0.0f ? c->nodes[i].largest[channel] : 1;
            if (n->op == ISG_OP_CLIP && threshold > n->attr.scalar.hi) threshold = n->attr.scalar.hi;
            s->thresholds[channel] = threshold;
        }
    }
}

isg_status isgi_snn_calibrate(isg_snn *snn, const float *images, uint32_t count, double percentile, isg_error *err)
{
    calibration c = {.snn = snn};
    isg_snn_state *s = NULL;
    isg_status status = ISG_OK;
    c.nodes = isgi_calloc((size_t)snn->g->node_count, sizeof *c.nodes);
    if (!c.nodes) status = isgi_nomem(err);
    if (status == ISG_OK) status = isg_snn_state_create(&s, snn, err);
    if (status == ISG_OK) status = pass(s, &c, images, count, err);
    c.fill = 1;
    if (status == ISG_OK) status = pass(s, &c, images, count, err);
    if (status == ISG_OK) {
        set_thresholds(snn, &c, percentile);
        isgi_snn_learn_shapes(snn, s);
    }
    for (int32_t i = 0; c.nodes && i < snn->g->node_count; i++) {
        isg_free(c.nodes[i].largest);
        isg_free(c.nodes[i].bins);
        isg_free(c.nodes[i].count);
    }
    isg_free(c.nodes);
    isg_snn_state_destroy(s);
    return status;
}
