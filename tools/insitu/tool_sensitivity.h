/* SPDX-License-Identifier: Apache-2.0 */
/* What insitu sensitivity measured, and how it is told: a table, JSON, CSV. */
#ifndef INSITU_TOOL_SENSITIVITY_H
#define INSITU_TOOL_SENSITIVITY_H

#include "tool_sums.h"

typedef struct sensitivity_row {
    const isg_layer_report *layer; /* borrowed; NULL: the whole file */
    double output_error;           /* of the layer's own output: ||y - y^||^2 / ||y||^2 */
    tool_sums sums;                /* of the network's output, against the original's */
    uint64_t correct;              /* labels hit */
} sensitivity_row;

typedef struct sensitivity_result {
    const tool_model *original, *compressed;
    const char *data; /* NULL: random numbers */
    int train_split, labelled, subset, by_worst;
    uint64_t images, seed;
    uint64_t correct;      /* labels that the original hits */
    double max_drop;       /* negative: none */
    sensitivity_row *rows; /* in the order of the network */
    uint32_t count;
    sensitivity_row whole;
} sensitivity_result;

/* Loss of accuracy against the original, a fraction; 0 without labels. */
double sensitivity_drop(const sensitivity_result *r, const sensitivity_row *row);
/* The row that costs most: by loss of accuracy, then by SNR. There is at least one. */
const sensitivity_row *sensitivity_worst(const sensitivity_result *r);
/* A table on stdout, or JSON; `missed`: --max-drop is. Returns an exit code. */
int sensitivity_print(tool *t, const sensitivity_result *r, int missed);
/* To a file, or to stdout where `path` is "-". Returns an exit code. */
int sensitivity_csv(tool *t, const sensitivity_result *r, const char *path);

#endif
