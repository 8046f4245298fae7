/* SPDX-License-Identifier: Apache-2.0 */
/* One model over many inputs, spread over threads: labels hit, outputs kept; the same for any number of threads. */
#ifndef INSITU_TOOL_EVAL_H
#define INSITU_TOOL_EVAL_H

#include "tool.h"

typedef struct tool_eval {
    const tool_model *m;
    const isg_dataset *ds; /* the first `images` of it; NULL: those of `items` */
    const float *items;    /* [images][m->in_count] */
    uint64_t images;
    uint32_t batch, strategy; /* batch: at most `images` after the run */
    int judge;                /* count the labels of `ds` that are hit */
    float *outputs;           /* [images][m->out_count], where the first output is kept; NULL: nowhere */
    const char *stage, *text; /* of the progress, which goes on from `done` of `total` images */
    uint64_t done, total;
    uint64_t top1, top5; /* results */
    uint32_t threads;
    const char *isa;
} tool_eval;

/* The --batch of a verb: EXIT_USAGE unless it is possible and does something; *batch is the network's where that is
 * fixed. */
int tool_eval_batch(tool *t, const tool_model *m, uint32_t *batch);
/* EXIT_USAGE unless the first `images` of `ds` have labels that are classes of the network. */
int tool_eval_labels(tool *t, const tool_model *m, const isg_dataset *ds, uint64_t images, const char *data);
/* Runs; an error is printed. Outputs that are judged must be finite. */
int tool_eval_run(tool *t, tool_eval *e);

#endif
