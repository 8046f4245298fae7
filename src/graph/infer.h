/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes and small contents of every value at two batch sizes; the base of inference and of shape-chain folding. */
#ifndef INSITU_GRAPH_INFER_H
#define INSITU_GRAPH_INFER_H

#include "graph/interp_internal.h"

/* run[r][v]: shape of value v, and its content where that is known; owned[r][v] says that the data is ours. */
typedef struct isgi_shapes {
    isg_tensor *run[2];
    uint8_t *owned[2];
    int32_t count;
} isgi_shapes;
void isgi_shapes_clear(isgi_shapes *s);
/* Creates and fills; on failure nothing is left to clear. The graph must be valid and sorted. Where faults are
 * collected, values behind one stay unknown. */
isg_status isgi_shapes_infer(isgi_shapes *s, const isg_graph *g, const isgi_faults *faults, isg_error *err);
/* Whether inference came as far as this value. */
int isgi_shapes_known(const isgi_shapes *s, int32_t value);
/* A known dimension, ISG_DIM_BATCH or ISG_DIM_UNKNOWN. */
int64_t isgi_shapes_dim(const isgi_shapes *s, int32_t value, int32_t axis);
/* Whether the content is known and does not depend on the batch. */
int isgi_shapes_same_data(const isgi_shapes *s, int32_t value);

#endif
