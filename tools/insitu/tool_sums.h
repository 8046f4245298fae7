/* SPDX-License-Identifier: Apache-2.0 */
/* How far two tensors lie apart, summed over items, for the verbs that set one model beside another. */
#ifndef INSITU_TOOL_SUMS_H
#define INSITU_TOOL_SUMS_H

#include "tool.h"

/* Sums over all numbers of one tensor in all items. */
typedef struct tool_sums {
    double max_error, max_value, dot, aa, bb, ee;
    uint64_t count, same_argmax, items;
} tool_sums;

/* One item: `n` numbers of the reference a and of b. */
void tool_sums_add(tool_sums *s, const float *a, const float *b, uint64_t n);
double tool_sums_relative(const tool_sums *s); /* the largest error over the largest number of a */
double tool_sums_cosine(const tool_sums *s);
double tool_sums_snr(const tool_sums *s); /* dB; infinite where nothing differs */
/* Inside a hook: the output of operation `op`, in *values, which is allocated the first time; free() it. */
isg_status tool_sums_read(const isg_rt_context *ctx, uint32_t op, float **values, uint64_t *count);
/* Uniform in -1..1 by SplitMix64: made-up inputs are the same on every machine. */
float tool_sums_random(uint64_t *state);

#endif
