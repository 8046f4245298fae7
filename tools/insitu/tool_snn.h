/* SPDX-License-Identifier: Apache-2.0 */
/* Spiking execution for the verbs that take --snn: options, conversion, printing of counts. */
#ifndef INSITU_TOOL_SNN_H
#define INSITU_TOOL_SNN_H

#include "tool.h"

#define SNN_STEPS_MAX 32

typedef struct snn_options {
    const char *steps, *calibration; /* --snn; --calibration-data: NULL for the default of the verb */
    uint32_t images;                 /* --calibration */
    double percentile, initial;
    int per_layer;
} snn_options;
#define SNN_OPTIONS_INIT                                                                                               \
    {                                                                                                                  \
        NULL, NULL, 128, 99.9, 0.5, 0                                                                                  \
    }
/* Rows of a tool_option table for a variable `o` of type snn_options. */
#define SNN_OPTION_ROWS(o)                                                                                             \
    {"snn",      0,          OPTION_TEXT,                                                                              \
     &(o).steps, "T[,T...]", "run as a spiking network for T time steps (eval: several, rising, by one run)"},         \
        {"calibration", 0, OPTION_U32, &(o).images, "N", "--snn: images that set the thresholds (default 128)"},       \
        {"calibration-data", 0, OPTION_TEXT, &(o).calibration, "KIND:PATH", "--snn: where they come from"},            \
        {"percentile",                                                                                                 \
         0,                                                                                                            \
         OPTION_REAL,                                                                                                  \
         &(o).percentile,                                                                                              \
         "P",                                                                                                          \
         "--snn: threshold at this percentile of a channel's activations, 100: the maximum (default 99.9)"},           \
        {"initial", 0, OPTION_REAL, &(o).initial, "X", "--snn: membrane at the start, in thresholds (default 0.5)"},   \
    {                                                                                                                  \
        "per-layer", 0, OPTION_FLAG, &(o).per_layer, NULL, "--snn: one threshold a layer instead of one a channel"     \
    }

/* EXIT_USAGE with "option --NAME RULE" where an option of conversion is given that would change nothing. */
int tool_snn_refuse(tool *t, const char *rule);
/* EXIT_USAGE where an option of spiking execution is given without --snn, or --mode with it (neurons add floats). */
int tool_snn_check(tool *t, const snn_options *o);
/* "16" or "4,16,64": rising from 1, at most SNN_STEPS_MAX. EXIT_USAGE with a message otherwise. */
int tool_snn_steps(tool *t, const char *text, uint32_t steps[SNN_STEPS_MAX], uint32_t *count);
/* Converts `m`, or a graph of it that the caller has (else NULL), with the first o->images of `ds`. */
int tool_snn_create(tool *t, isg_snn **snn, const snn_options *o, const tool_model *m, const isg_graph *graph,
                    const isg_dataset *ds);
/* The same with images in memory. */
int tool_snn_create_from(tool *t, isg_snn **snn, const snn_options *o, const tool_model *m, const isg_graph *graph,
                         const float *images, uint32_t count);
/* Counts per layer, means over `images` runs of `steps` steps: a table on stdout, or "layers" of `json`. */
void tool_snn_layers(const isg_snn *snn, const isg_snn_counts *counts, double images, uint32_t steps, cJSON *json);
void tool_snn_json_counts(cJSON *object, const isg_snn_counts *counts, double images);

/* insitu eval --snn: accuracy against the number of steps. calibration NULL: the set itself. */
int tool_snn_eval(tool *t, const snn_options *o, const tool_model *m, const isg_dataset *ds,
                  const isg_dataset *calibration, const char *data, uint64_t images);

#endif
