/* SPDX-License-Identifier: Apache-2.0 */
/* The list of weights that can be compressed, with what the pipeline learns about each of them. */
#ifndef INSITU_COMPRESS_LAYERS_H
#define INSITU_COMPRESS_LAYERS_H

#include <insitu/compress.h>
#include <insitu/graph.h>

#define ISGI_LAYER_TEXT 160

typedef struct isgi_layer {
    int32_t node, value; /* in the graph: the CONV or GEMM node and its weight value */
    const char *name;    /* borrowed from the graph */
    uint32_t co, ci, kh, kw, groups;
    uint8_t fc, depthwise, has_bias;
    uint8_t scale_bits;  /* of its factors' scales: 32 where binary16 has no room for them */
    uint32_t rows, cols; /* of the stored matrix with both levels off: taps*ci x co (depthwise: taps x C) */
    float *hwio;         /* the dense weight in that order; owned */
    float *moment;       /* mean of x x^T, [rows][rows] (depthwise: [C][taps][taps]); owned or NULL */
    float *mean;         /* mean of x, [rows] (depthwise: [C][taps]); owned or NULL */
    uint64_t samples;    /* columns that went into the last statistics */
    double sensitivity;  /* divergence of the net's output per unit of relative output error of this layer */
    int keep;            /* stays as it is */
    isg_layer_choice choice;
    isg_factor_report fit; /* of the factors finally made */
} isgi_layer;

typedef struct isgi_layers {
    isgi_layer *items;
    uint32_t count;
} isgi_layers;

/* Every CONV and GEMM of a prepared graph whose weight is a float32 constant; a shared weight once. */
ISG_NODISCARD isg_status isgi_layers_collect(isgi_layers *layers, const isg_graph *g, isg_error *err);
void isgi_layers_clear(isgi_layers *layers);
/* Index of the layer of a node of the graph, or -1. */
int32_t isgi_layers_find(const isgi_layers *layers, int32_t node);

/* One layer's turn of isgi_layers_each(). */
typedef struct isgi_layer_turn {
    uint32_t index; /* of the layer */
    uint32_t worker;
    uint64_t told; /* units of work that were told */
    struct isgi_layers_run *run;
    char text[ISGI_LAYER_TEXT]; /* to be shown beside the progress; empty: the layer's name */
} isgi_layer_turn;
typedef isg_status isgi_layer_fn(void *user, isgi_layer_turn *turn, isg_error *err);
/* Calls fn for every layer that is not kept, several at a time, those that take longest first, so that no thread is
 * left alone with one at the end. Progress is told in hundredths of the work. The error is that of the first layer of
 * the network that has one; `parallel` may be NULL. */
ISG_NODISCARD isg_status isgi_layers_each(const isgi_layers *layers, isgi_layer_fn *fn, void *user, const char *stage,
                                          const isg_parallel *parallel, const isg_progress *progress, isg_error *err);
/* For fn: `share` (0..1) of the layer's work is done. */
void isgi_layer_advance(isgi_layer_turn *turn, double share);

/* Empty factors of the geometry and bits of a choice. */
ISG_NODISCARD isg_status isgi_layer_factors(isg_factors **out, const isgi_layer *layer, const isg_layer_choice *choice,
                                            isg_error *err);
/* Bits that a choice stores for a layer, scales included. */
ISG_NODISCARD isg_status isgi_layer_bits(uint64_t *bits, const isgi_layer *layer, const isg_layer_choice *choice,
                                         isg_error *err);
/* Fills f by `method`, or by second-order rounding where both levels are off; progress (NULL: none) as in
 * isg_factor_options. */
ISG_NODISCARD isg_status isgi_layer_fit(isg_factors *f, const isgi_layer *layer, uint32_t method, uint64_t seed,
                                        const isg_progress *progress, isg_factor_report *report, isg_error *err);

#endif
