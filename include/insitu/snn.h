/* SPDX-License-Identifier: Apache-2.0 */
/* Spiking execution: a prepared ReLU network as integrate-and-fire neurons, with exact counts of spikes and operations.
 */
#ifndef INSITU_SNN_H
#define INSITU_SNN_H

#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/status.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A converted network: immutable, shared by any number of states. Every RELU and every CLIP from 0 becomes a layer of
 * integrate-and-fire neurons, and so does every average pool that is fed with spikes. In each time step a neuron adds
 * its input current to its membrane; where that reaches the threshold it fires once and the threshold is subtracted
 * (soft reset). A spike counts as large as the threshold, so that weights stay as they are and threshold x rate stands
 * for the activation. The input is applied unchanged in each step (direct coding); a final SOFTMAX is left out.
 * What lies between neurons must be linear: anything else is UNSUPPORTED and named. */
typedef struct isg_snn isg_snn;

typedef struct isg_snn_options {
    uint32_t struct_size;
    double percentile; /* a threshold is this percentile of its neurons' activations, 100: their maximum; 0: 99.9 */
    double initial;    /* membrane before the first step, in thresholds, 0..1 */
    int per_layer;     /* one threshold a layer, not one a channel */
} isg_snn_options;
#define ISG_SNN_OPTIONS_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(isg_snn_options), 99.9, 0.5, 0                                                                          \
    }

/* Converts `prepared` (isg_graph_prepare or isg_unpack_image; factors are generated into dense weights) with thresholds
 * from `count` >= 1 images, each as many float32 numbers as the input holds, in its order. Deterministic. options NULL:
 * as ISG_SNN_OPTIONS_INIT. Errors: ARG, UNSUPPORTED naming the node, NUMERIC, LIMIT, NOMEM. */
ISG_NODISCARD isg_status isg_snn_create(isg_snn **out, const isg_graph *prepared, const float *images, uint32_t count,
                                        const isg_snn_options *options, isg_error *err);
void isg_snn_destroy(isg_snn *snn);
uint64_t isg_snn_input_count(const isg_snn *snn);  /* numbers of one image */
uint64_t isg_snn_output_count(const isg_snn *snn); /* numbers of the first output */

/* What is known of a layer without running it. Layers are the nodes that have neurons or synapses, in graph order. */
typedef struct isg_snn_layer {
    const char *name;  /* the graph's, valid as long as the network */
    int32_t node;      /* in the graph */
    const char *kind;  /* "conv", "gemm", "pool", "add" or "neurons" */
    double threshold;  /* the largest of the layer; 0 where there are no neurons */
    uint64_t neurons;  /* 0 where the layer only adds currents */
    uint64_t synapses; /* operations of one step if everything that comes in fired */
    int graded;        /* its input is numbers, not spikes: counted as multiply-accumulates */
    int constant;      /* its input never changes (the picture): done once, not in every step */
} isg_snn_layer;
uint32_t isg_snn_layer_count(const isg_snn *snn);
ISG_NODISCARD isg_status isg_snn_layer_info(const isg_snn *snn, uint32_t layer, isg_snn_layer *info, isg_error *err);

/* Exact counts. A spike that reaches n neurons is n synaptic operations (an addition each); a number that is no spike
 * and not zero is n multiply-accumulates. `inputs`: spikes or such numbers that came in; `spikes`: those that went out.
 * An update is one neuron in one step. */
typedef struct isg_snn_counts {
    uint64_t inputs, spikes, synaptic_ops, macs, updates;
} isg_snn_counts;

/* Membranes and counters of one execution; one a thread. */
typedef struct isg_snn_state isg_snn_state;
ISG_NODISCARD isg_status isg_snn_state_create(isg_snn_state **out, const isg_snn *snn, isg_error *err);
void isg_snn_state_destroy(isg_snn_state *state);
/* progress->cancelled() is asked before every time step of every run to come; nothing is reported. NULL: none. */
void isg_snn_state_set_progress(isg_snn_state *state, const isg_progress *progress);
/* Runs one image from rest. steps[0..step_count-1] rises; the last is the length of the run, and after each of them
 * outputs[k * output_count ..] gets the mean output so far, so that one run gives every shorter one. totals (NULL or
 * step_count entries) gets what this image cost up to there. Errors: ARG, NUMERIC, NOMEM, CANCELLED. */
ISG_NODISCARD isg_status isg_snn_run(isg_snn_state *state, const float *image, const uint32_t *steps,
                                     uint32_t step_count, float *outputs, isg_snn_counts *totals, isg_error *err);
/* The counts of one layer, summed over all runs of this state. */
isg_snn_counts isg_snn_state_counts(const isg_snn_state *state, uint32_t layer);

#ifdef __cplusplus
}
#endif
#endif
