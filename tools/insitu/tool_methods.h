/* SPDX-License-Identifier: Apache-2.0 */
/* What insitu methods measured, and how it is told. */
#ifndef INSITU_TOOL_METHODS_H
#define INSITU_TOOL_METHODS_H

#include "tool.h"

/* A method, or a compressed file of ours beside them (then `method` is NULL). */
typedef struct methods_row {
    const isg_method *method;
    const char *path;
    isg_method_report report;
    uint64_t file_bytes;
    uint64_t bytes;         /* weights, biases and other constants, all layers */
    double bits_per_weight; /* of the layers that it stores in its own form */
    double final_loss;      /* of the training; NaN: none */
    int diverged;           /* it was given up, and the weights are the original's */
    int too_large;          /* a scale is beyond binary16: the row is to be left out */
    uint64_t correct;
} methods_row;

typedef struct methods_left_out {
    const isg_method *method;
    int too_large;
} methods_left_out;

typedef struct methods_result {
    const tool_model *original;
    const char *data, *keep;
    int labelled, subset, train_split;
    uint32_t rest_bits;
    uint64_t tune_steps; /* 0: none */
    uint32_t tune_batch;
    double learning_rate;
    uint64_t seed;
    uint64_t images, weights, bytes, correct; /* of the original */
    methods_row *rows;
    uint32_t count;
    methods_left_out *left_out; /* of all methods, those that have no form for any layer or for their numbers */
    uint32_t left_out_count;
} methods_result;

/* Table or JSON on stdout. */
int methods_print(tool *t, const methods_result *r);
/* One line a row; path "-": on stdout. */
int methods_csv(tool *t, const methods_result *r, const char *path);
/* Names, parameters and what they mean. */
int methods_list(tool *t);

#endif
