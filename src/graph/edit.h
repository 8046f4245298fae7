/* SPDX-License-Identifier: Apache-2.0 */
/* Editing steps that the passes share. */
#ifndef INSITU_GRAPH_EDIT_H
#define INSITU_GRAPH_EDIT_H

#include "graph/interp_internal.h"

/* Reads of a value by nodes, plus its appearances among the graph's outputs. */
int32_t isgi_use_count(const isg_graph *g, int32_t value);
int isgi_is_output(const isg_graph *g, int32_t value);
/* Every reader of `from` reads `to` instead. When `from` is a graph output, `to` takes its place and its name; returns
 * 0 and changes nothing when `to` cannot (it is an input, a constant or an output itself). */
int isgi_replace_value(isg_graph *g, int32_t from, int32_t to);
/* Makes a value a constant and detaches it from its producer. Takes t on success. */
void isgi_make_constant(isg_graph *g, int32_t value, isg_tensor *t);
/* The node's inputs become these `count` values. */
isg_status isgi_set_inputs(isg_node *n, const int32_t *inputs, int32_t count, isg_error *err);
/* New constants; the value's index comes in *value. */
isg_status isgi_add_list(isg_graph *g, const char *name, const int64_t *list, int32_t count, int32_t *value,
                         isg_error *err);
isg_status isgi_add_tensor(isg_graph *g, const char *name, isg_tensor *take, int32_t *value, isg_error *err);
/* Inserts a node (default attributes, one output) before node `at`; its output has the type and shape of `like`. */
isg_status isgi_insert_node(isg_graph *g, int32_t at, isg_op op, const int32_t *inputs, int32_t count, int32_t like,
                            int32_t *output, isg_error *err);
/* Removes nodes without a live output and values that nothing names. Indices change. */
isg_status isgi_remove_dead(isg_graph *g, isg_error *err);

#endif
