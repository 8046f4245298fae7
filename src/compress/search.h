/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks and bits per layer under a byte budget: candidates with their measured errors, sensitivities, selection. */
#ifndef INSITU_COMPRESS_SEARCH_H
#define INSITU_COMPRESS_SEARCH_H

#include "compress/calibrate.h"
#include "compress/layers.h"

typedef struct isgi_candidate {
    isg_layer_choice choice;
    uint64_t bits; /* stored, scales included */
    double error;  /* relative output error (in the norm of the layer's moment) once factorised and quantised */
} isgi_candidate;

typedef struct isgi_candidates {
    isgi_candidate *items;
    uint32_t count;
} isgi_candidates;

/* Candidates of every layer, [layers->count], by factorising each. `rate` is the wanted bits per weight of the whole
 * net: points far from it are not tried on large layers. Layers in parallel; the result does not depend on the threads.
 */
ISG_NODISCARD isg_status isgi_search_candidates(isgi_candidates *sets, const isgi_layers *layers, double rate,
                                                uint64_t seed, const isg_parallel *parallel,
                                                const isg_progress *progress, isg_error *err);
void isgi_search_clear(isgi_candidates *sets, uint32_t count);

/* layer->sensitivity of every layer: divergence of the network's output (Kullback-Leibler of the class probabilities,
 * or relative squared error when `classifier` is 0) when that layer alone is rounded to 3 bits, over its output error.
 */
ISG_NODISCARD isg_status isgi_search_sensitivity(isgi_layers *layers, isg_graph *g, const isgi_calibration *c,
                                                 uint64_t items, int classifier, isg_error *err);

/* Chooses for every layer that is not kept the candidate that minimises sum sensitivity*error with sum bits <= budget:
 * Lagrange multiplier by bisection over the convex hulls, then the best upgrades that still fit. TARGET if even the
 * smallest candidates do not fit. */
ISG_NODISCARD isg_status isgi_search_select(isgi_layers *layers, const isgi_candidates *sets, uint64_t budget_bits,
                                            isg_error *err);

#endif
