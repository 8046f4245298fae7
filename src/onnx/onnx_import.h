/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the importer share: the state of one import and the list of problems. */
#ifndef INSITU_ONNX_IMPORT_H
#define INSITU_ONNX_IMPORT_H

#include <insitu/onnx.h>

#include "onnx.pb-c.h"
#include "onnx/onnx_tensor.h"

#define ISGI_ONNX_MIN_OPSET 7
#define ISGI_ONNX_MAX_OPSET 27 /* the newest that onnx_ops.def was compared with, as it says there */
#define ISGI_ONNX_OPSET_HINT "export with an opset from 7 to 27"
#define ISGI_ONNX_MIN_IR 3
#define ISGI_ONNX_MAX_IR 13
#define ISGI_ONNX_MAX_PROBLEMS 4096 /* listed; the others are counted */

#define ISGI_ONNX_MAX_VALUES ((size_t)1 << 18)
#define ISGI_ONNX_MAX_OPERANDS ((size_t)1 << 12)

typedef struct isgi_onnx_name {
    const char *name;
    int32_t value; /* -1 until it exists */
    int32_t kind;  /* where it is declared */
    int32_t node;  /* the one whose output it is; -1: none */
    int32_t taken; /* the value has been made: another declaration of the name is a wrong one */
} isgi_onnx_name;
enum { ISGI_ONNX_INPUT = 0, ISGI_ONNX_INITIALIZER = 1, ISGI_ONNX_OUTPUT = 2 };

typedef struct isgi_onnx_import {
    const IsgiOnnx__ModelProto *model;
    isg_graph *graph;
    isg_onnx_problems *problems;
    isg_status worst;      /* status of the most serious problem so far */
    isg_error first;       /* the problem that `worst` came from, as one line */
    int32_t found;         /* problems in all, listed or not */
    int partial;           /* the graph is wanted also where there are problems, with stand-ins for what they concern */
    isgi_onnx_name *names; /* sorted by name */
    size_t name_count;
    int32_t repeated; /* outputs whose name was taken */
    isgi_onnx_source source;
    int64_t opset;
    const isg_onnx_options *options;
    isg_error *err;
} isgi_onnx_import;

/* Adds a problem; the import goes on so that all are found, and fails at its end. `index` -1: the model. Returns OK, or
 * NOMEM or LIMIT when the list cannot grow. `node` may be NULL. */
isg_status isgi_onnx_problem(isgi_onnx_import *in, int32_t index, const IsgiOnnx__NodeProto *node, isg_status status,
                             const char *hint, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* A record at the end of a list, for what is found behind the import. NULL: the list is full or memory short. */
isg_onnx_problem *isgi_onnx_problems_add(isg_onnx_problems *p);
/* A wrong file outranks a missing one, which outranks what we merely do not do. */
int isgi_onnx_problem_rank(isg_status status);
/* One line for `found` problems of which `worst` is the worst; `status` belongs to that. */
void isgi_onnx_problems_say(isg_error *err, isg_status status, const isg_error *worst, int32_t found);
/* isg_onnx_import_opened() that gives a graph also where there are problems, if what is left is one: a CONSTANT without
 * a value stands for each node and initialiser that has a problem. All is in the list but NOMEM and ARG; *err: the
 * worst problem, as if it were the only one. */
ISG_NODISCARD isg_status isgi_onnx_import_partial(isg_graph **out, const isg_file *file, const char *path,
                                                  const isg_onnx_options *options, isg_onnx_problems *problems,
                                                  isg_error *err);
/* Reads the names of the graph, leaving one entry a name; repetitions and missing names are problems. */
ISG_NODISCARD isg_status isgi_onnx_collect_names(isgi_onnx_import *in);
isgi_onnx_name *isgi_onnx_find_name(const isgi_onnx_import *in, const char *name); /* NULL for NULL and the unknown */
/* Makes problems of the graph's cycles and cuts each in one place. */
ISG_NODISCARD isg_status isgi_onnx_cut_cycles(isgi_onnx_import *in);
/* A CONSTANT without a value in a partial import, in place of what cannot be imported, so that the rest can be looked
 * at. `node` may be NULL. */
ISG_NODISCARD isg_status isgi_onnx_stand_in(isgi_onnx_import *in, const IsgiOnnx__NodeProto *node,
                                            const int32_t *inputs, int32_t input_count, const int32_t *outputs,
                                            int32_t output_count);
/* Index of the value of that name, or -1. */
int32_t isgi_onnx_lookup(const isgi_onnx_import *in, const char *name);

/* Adds values without the graph's search for a free name: all names of the file are known to differ, and derived ones,
 * "base/suffix", are looked up. Hostile files would make that search quadratic. */
ISG_NODISCARD isg_status isgi_onnx_add_value(isgi_onnx_import *in, const char *name, int32_t *value);
/* "base/suffix"; one base gives a suffix once. */
ISG_NODISCARD isg_status isgi_onnx_add_derived(isgi_onnx_import *in, const char *base, const char *suffix,
                                               int32_t *value);
/* The same with a constant; takes the tensor in any case. */
ISG_NODISCARD isg_status isgi_onnx_add_constant(isgi_onnx_import *in, const char *base, const char *suffix,
                                                isg_tensor *take, int32_t *value);

/* The node's attributes in the graph's one form. inputs[0..*input_count-1] may change: attributes that are inputs
 * nowadays become constants, and the reverse; it has room for ISGI_ONNX_EXTRA_INPUTS more. */
#define ISGI_ONNX_EXTRA_INPUTS 4
ISG_NODISCARD isg_status isgi_onnx_attributes(isgi_onnx_import *in, int32_t index, isg_op op, isg_attr *attr,
                                              int32_t *inputs, int32_t *input_count, int32_t output_count);
/* Constant nodes become constants. *out stays NULL when the node was refused (a problem was added). */
ISG_NODISCARD isg_status isgi_onnx_constant(isgi_onnx_import *in, int32_t index, isg_tensor **out);

/* Shapes of constant weights and biases of Conv, Gemm and BatchNormalization against the node. */
ISG_NODISCARD isg_status isgi_onnx_check_weights(isgi_onnx_import *in, int32_t index, const isg_node *node);
/* The Softmax of opset 12 and before, which flattens to two dimensions first, in terms of today's. */
ISG_NODISCARD isg_status isgi_onnx_lower_softmax(isgi_onnx_import *in);
/* Dimensions of the graph's inputs from options->shape. Errors: ARG. */
ISG_NODISCARD isg_status isgi_onnx_apply_shape(isg_graph *g, const char *shape, isg_error *err);

#endif
