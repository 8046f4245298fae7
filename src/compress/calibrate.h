/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of the layers' real inputs, and outputs of a network over calibration items, by running it. */
#ifndef INSITU_COMPRESS_CALIBRATE_H
#define INSITU_COMPRESS_CALIBRATE_H

#include <insitu/data.h>
#include <insitu/graph.h>
#include <insitu/host.h>

#include "compress/layers.h"

/* The calibration items, loaded once: `count` inputs of `size` floats, layout of the network's input. */
typedef struct isgi_calibration {
    float *inputs;
    uint64_t count, size;
    uint64_t flat;  /* items of one number throughout */
    int alike;      /* all items are equal */
    uint32_t batch; /* items a run */
    const isg_parallel *parallel;
    const isg_progress *progress;
} isgi_calibration;

/* Items spread evenly over the dataset, in an order whose every beginning is spread too. Fewer items than asked for is
 * no error; a number that is not finite is (NUMERIC, naming data and item). */
ISG_NODISCARD isg_status isgi_calibration_load(isgi_calibration *c, const isg_graph *g, const isg_dataset *data,
                                               const isg_input_spec *input, uint32_t count, isg_error *err);
void isgi_calibration_clear(isgi_calibration *c);

/* Second moments of every layer's input columns (row order of the stored matrix, weight.h). Positions of
 * large maps are subsampled evenly. max_bytes bounds what the moments take; layers over it go without (data-free). */
ISG_NODISCARD isg_status isgi_calibrate_moments(isgi_layers *layers, const isg_graph *g, const isgi_calibration *c,
                                                uint64_t max_bytes, isg_error *err);
/* layer->mean of every layer from the first `count` items: what isgi_calibrate_mean() of the same items compares with.
 */
ISG_NODISCARD isg_status isgi_calibrate_means(isgi_layers *layers, const isg_graph *g, const isgi_calibration *c,
                                              uint64_t count, isg_error *err);
/* Mean input column of one layer when the (partly compressed) graph runs the first `count` items: mean[rows], for
 * depthwise [C][taps]. */
ISG_NODISCARD isg_status isgi_calibrate_mean(float *mean, const isgi_layer *layer, const isg_graph *g,
                                             const isgi_calibration *c, uint64_t count, isg_error *err);
/* First output of the graph for the first `count` items, [count][*width]; *outputs is freed with isg_free(). */
ISG_NODISCARD isg_status isgi_calibrate_outputs(float **outputs, uint64_t *width, const isg_graph *g,
                                                const isgi_calibration *c, uint64_t count, isg_error *err);

#endif
