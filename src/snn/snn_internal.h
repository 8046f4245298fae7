/* SPDX-License-Identifier: Apache-2.0 */
/* The converted network and one execution of it, shared by conversion, calibration and running. */
#ifndef INSITU_SNN_SNN_INTERNAL_H
#define INSITU_SNN_SNN_INTERNAL_H

#include <insitu/snn.h>

#include "graph/interp_internal.h"

typedef enum isgi_snn_role {
    ISGI_SNN_LINEAR = 0, /* by the graph's own definition of the operator */
    ISGI_SNN_CONV,
    ISGI_SNN_GEMM,
    ISGI_SNN_ADD,  /* linear, but spikes that enter it are synaptic operations */
    ISGI_SNN_POOL, /* average over spikes, with neurons of its own */
    ISGI_SNN_NEURONS,
    ISGI_SNN_LAST /* a final softmax: left out */
} isgi_snn_role;

typedef struct isgi_snn_node {
    isgi_snn_role role;
    int fixed;               /* all of its inputs are the same in every step */
    int spikes;              /* CONV, GEMM, POOL: input 0 is spikes */
    float *weights;          /* owned; CONV [group][tap][ci][co of the group], GEMM [in][out] */
    isg_tensor weight_shape; /* of W; no data: factors have no dense tensor in the graph */
    const float *bias;
    float *thresholds; /* owned; POOL, NEURONS: one a channel */
    int64_t channels, spatial;
    uint64_t neurons, synapses;
} isgi_snn_node;

struct isg_snn {
    isg_graph *g; /* owned */
    isgi_snn_node *nodes;
    uint8_t *spiking; /* per value: a spike of one size or nothing */
    uint8_t *fixed;   /* per value: the same in every step */
    int32_t *layers;  /* node of each layer */
    uint32_t layer_count;
    int32_t output; /* the value that is averaged */
    uint64_t input_count, output_count;
    isg_tensor input; /* shape of one image; no data */
    double initial;
    int per_layer;
};

/* How neurons answer: as ReLU (calibration) or with spikes. */
typedef enum isgi_snn_mode { ISGI_SNN_ANALOG, ISGI_SNN_SPIKING } isgi_snn_mode;
/* Sees every activation of a layer of neurons in ANALOG mode. */
typedef void (*isgi_snn_visit)(void *user, int32_t node, const isg_tensor *activation);

typedef struct isgi_snn_node_state {
    const isg_tensor **in;
    isg_tensor *out;
    float *membrane; /* POOL, NEURONS */
    isg_snn_counts counts, run;
} isgi_snn_node_state;

struct isg_snn_state {
    const isg_snn *snn;
    isgi_snn_node_state *nodes;
    const isg_tensor **view; /* per value */
    isg_tensor input;        /* borrows the image during a run */
    float *current;          /* CONV: sums in [y][x][co] */
    size_t current_count;
    double *sum; /* of the outputs of one run */
    isgi_snn_visit visit;
    void *visit_user;
    isg_progress progress; /* its cancelled() is asked */
};

/* One image through all nodes for one time step (`first`: constants of the run are computed too). */
isg_status isgi_snn_step(isg_snn_state *s, isgi_snn_mode mode, int first, isg_error *err);
void isgi_snn_set_image(isg_snn_state *s, const float *image);
/* Sets shapes and counts of the network from the tensors that a first pass made. */
void isgi_snn_learn_shapes(isg_snn *snn, const isg_snn_state *s);
/* Thresholds from the calibration images. */
isg_status isgi_snn_calibrate(isg_snn *snn, const float *images, uint32_t count, double percentile, isg_error *err);

#endif
