/* SPDX-License-Identifier: Apache-2.0 */
/* Threshold balancing: percentiles of every layer's activations over the calibration images. */
#include <math.h>
#include <string.h>

#include "snn/snn_internal.h"

/* Activations from 0 to the layer's maximum in equal bins; a threshold is off by at most one bin. */
#define BINS 16384

typedef struct histogram {
    uint64_t count, zeros, *bins; /* bins are NULL in nodes without neurons */
    double largest;
} histogram;

typedef struct calibration {
    histogram *nodes;
    int fill; /* second pass: the maxima are known */
    int broken;
} calibration;

static void watch(void *user, int32_t node, const float *activation, int64_t count)
{
    calibration *c = user;
    histogram *h = &c->nodes[node];
    for (int64_t i = 0; i < count; i++) {
        const double a = (double)activation[i];
        if (!isfinite(a)) c->broken = 1;
        if (!c->fill) {
            if (a > h->largest) h->largest = a;
        } else if (a <= 0.0 || h->largest <= 0.0) {
            h->zeros++;
        } else {
            const double place = a / h->largest * BINS;
            const int bin = place < BINS ? (int)place : BINS - 1;
            h->bins[bin]++;
        }
    }
    if (c->fill) h->count += (uint64_t)count;
}

static isg_status pass(isg_snn_state *s, calibration *c, const float *images, uint32_t count, isg_error *err)
{
    s->visit = watch;
    s->visit_user = c;
    for (uint32_t i = 0; i < count; i++) {
        isgi_snn_set_image(s, images + (size_t)i * s->snn->input_count);
        ISGI_TRY(isgi_snn_step(s, ISGI_SNN_ANALOG, 1, err));
        if (c->broken) return isgi_fail(err, ISG_E_NUMERIC, "an activation of calibration image %u is not finite", i);
    }
    return ISG_OK;
}

/* Upper edge of the bin that holds the percentile; the maximum itself at 100. A layer that is never active would need
 * no threshold; any positive one keeps it silent. */
static double percentile_of(const histogram *h, double percentile)
{
    const double target = percentile / 100.0 * (double)h->count;
    double below = (double)h->zeros;
    if (h->largest <= 0.0) return 1.0;
    if (percentile >= 100.0) return h->largest;
    for (int b = 0; b < BINS; b++) {
        below += (double)h->bins[b];
        if (below >= target && h->bins[b]) return h->largest * (b + 1) / BINS;
    }
    return h->largest;
}

static isg_status make_bins(const isg_snn *snn, calibration *c, isg_error *err)
{
    c->nodes = isgi_calloc((size_t)snn->g->node_count, sizeof *c->nodes);
    if (!c->nodes) return isgi_nomem(err);
    for (int32_t i = 0; i < snn->g->node_count; i++) {
        const isgi_snn_role role = snn->nodes[i].role;
        if (role != ISGI_SNN_POOL && role != ISGI_SNN_NEURONS) continue;
        c->nodes[i].bins = isgi_calloc(BINS, sizeof *c->nodes[i].bins);
        if (!c->nodes[i].bins) return isgi_nomem(err);
    }
    return ISG_OK;
}

static void set_thresholds(isg_snn *snn, const calibration *c, double percentile)
{
    for (int32_t i = 0; i < snn->g->node_count; i++) {
        const isg_node *n = &snn->g->nodes[i];
        double threshold;
        if (!c->nodes[i].bins) continue;
        threshold = percentile_of(&c->nodes[i], percentile);
        if (n->op == ISG_OP_CLIP && threshold > (double)n->attr.scalar.hi) threshold = (double)n->attr.scalar.hi;
        snn->nodes[i].threshold = (double)(float)threshold; /* as large as the spikes that are made of it */
    }
}

isg_status isgi_snn_calibrate(isg_snn *snn, const float *images, uint32_t count, double percentile, isg_error *err)
{
    calibration c = {0};
    isg_snn_state *s = NULL;
    isg_status status = make_bins(snn, &c, err);
    if (status == ISG_OK) status = isg_snn_state_create(&s, snn, err);
    if (status == ISG_OK) status = pass(s, &c, images, count, err);
    c.fill = 1;
    if (status == ISG_OK) status = pass(s, &c, images, count, err);
    if (status == ISG_OK) {
        set_thresholds(snn, &c, percentile);
        isgi_snn_learn_shapes(snn, s);
    }
    for (int32_t i = 0; c.nodes && i < snn->g->node_count; i++) isg_free(c.nodes[i].bins);
    isg_free(c.nodes);
    isg_snn_state_destroy(s);
    return status;
}
