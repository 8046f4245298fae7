/* SPDX-License-Identifier: Apache-2.0 */
/* A trainable network compiled from a graph for one batch size: activations, parameters, operations, schedule. */
#ifndef INSITU_TRAIN_NET_H
#define INSITU_TRAIN_NET_H

#include <insitu/comm.h>
#include <insitu/data.h>
#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/parallel.h>
#include <insitu/train.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* Plain loops compiled once an instruction set; strict floating point makes all versions agree bit for bit. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&                                 \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define ISGI_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define ISGI_CLONES
#endif

/* The batch is cut into a fixed number of chunks that depends on the batch size only. Each chunk is computed by one
 * thread with single-threaded primitives and partial sums are added in a fixed order: every number is the same for any
 * number of threads. */
#define ISGI_MAX_CHUNKS 8

typedef struct isgi_net isgi_net;
typedef struct isgi_device isgi_device; /* train/device.h */
typedef struct isgi_netop isgi_netop;

/* A value with a batch dimension. Rank 3 to 5 is stored channels-last, every other rank row-major. */
typedef struct isgi_act {
    int32_t value; /* in the graph */
    int32_t rank;
    int64_t dims[ISG_MAX_RANK]; /* logical order; dims[0] is the batch and not used */
    size_t size;                /* floats per sample */
    size_t data, grad;          /* offsets in a chunk's arena, in floats per sample */
    int32_t producer, first_use, last_use;
    uint8_t needs_grad;
} isgi_act;

/* One contiguous trainable array inside net->params; `origin` is where it came from and goes back to. */
typedef struct isgi_param {
    char name[96];
    float *w, *g, *origin;
    size_t count;
    float floor;    /* lowest value allowed (learned scales), or 0 */
    uint8_t decay;  /* takes part in weight decay */
    uint8_t scale;  /* a learned quantiser step */
    uint8_t summed; /* its gradient is the sum over all ranks as it is made */
} isgi_param;

/* The weight of a convolution or fully connected layer: dense in ONNX order, or generated from factors. */
typedef struct isgi_netweight {
    int32_t value;
    uint32_t taps, ci, co; /* ci per group */
    uint8_t factored;      /* generated: stored order [taps*ci][co]; else ONNX order */
    uint8_t direct;        /* factored and never generated: its one layer writes dq */
    uint8_t projected;     /* dense, and w is what net->project makes of the parameter */
    int32_t uses;
    float *w, *dw; /* dense: params; generated, and a projected w: owned buffers */
    size_t count;
    isg_factors f; /* masters and scales point into params */
    isg_weight geometry;
    float *q[3], *dq[3];         /* quantised basis, u, v and their gradients; owned */
    int32_t master[3], scale[3]; /* parameter index or -1 */
    float *scratch;
    isg_status status;
    isg_error error;
} isgi_netweight;

typedef void (*isgi_phase_fn)(isgi_net *net, isgi_netop *op, uint32_t chunk);
typedef void (*isgi_join_fn)(isgi_net *net, isgi_netop *op);

/* Up to three phases a direction; a phase starts when all chunks have finished the one before. A join runs alone
 * after its phase. */
#define ISGI_PHASES 3
typedef struct isgi_opvt {
    isgi_phase_fn forward[ISGI_PHASES], backward[ISGI_PHASES];
    isgi_join_fn forward_join[ISGI_PHASES], backward_join[ISGI_PHASES];
    isgi_phase_fn refresh; /* after parameters changed: reorders; `chunk` only says which stream is free */
    void (*destroy)(isgi_netop *op);
} isgi_opvt;

#define ISGI_OP_INPUTS 8
struct isgi_netop {
    const isgi_opvt *vt;
    const char *name; /* borrowed from the graph */
    isg_op op;
    int32_t in[ISGI_OP_INPUTS], in_count; /* activation indices; -1 where the operand is a constant */
    int32_t out;
    uint8_t accumulate[ISGI_OP_INPUTS]; /* another consumer wrote the gradient before */
    uint8_t relu;                       /* the Relu behind is part of this operation */
    int32_t weight, bias;               /* net weight index, parameter index, or -1 */
    isg_attr attr;
    void *impl; /* of the vt */
};

typedef struct isgi_step {
    isgi_phase_fn fn;
    isgi_join_fn join;
    isgi_netop *op;
    uint8_t barrier;
} isgi_step;

typedef struct isgi_array {
    float *data;
    size_t count;
} isgi_array;

/* Gradients to be summed over ranks in one go. */
typedef struct isgi_share {
    isgi_array *list;
    int32_t count;
    size_t floats;
} isgi_share;

struct isgi_net {
    const isg_graph *graph;
    uint32_t batch, chunks, chunk_cap, n; /* n: samples loaded now */
    uint8_t trainable, training;          /* gradients exist; batch statistics in use */
    uint8_t input_gradient;
    int paper_clamp;
    isg_project_fn *project; /* as isg_train_options */
    void *project_user;
    uint32_t execution, precision; /* isg_execution, isg_precision */
    isg_parallel parallel;
    isgk_table kernels;
    isgi_act *acts;
    int32_t act_count, *act_of_value, *act_readers;
    isgi_param *param_list;
    int32_t param_count;
    float *params, *grads; /* all parameters, contiguous */
    size_t param_floats;
    float *running; /* all BatchNorm running statistics, contiguous: saved in checkpoints */
    size_t running_floats;
    isgi_netweight *weights;
    int32_t weight_count;
    isgi_netop *ops;
    int32_t op_count;
    isgi_step *forward, *backward;
    int32_t forward_count, backward_count;
    float *arena;        /* chunks x arena_floats x chunk_cap */
    size_t arena_floats; /* per sample */
    float *partial;      /* chunks x partial_floats: weight gradients of one layer */
    size_t partial_floats;
    float *spare; /* chunks x spare_floats: input gradients that must be added; scratchpads of primitives */
    size_t spare_floats;
    float *common; /* of the whole batch, for the phases of one layer; who uses it ends in a join */
    size_t common_floats;
    int32_t input, logits; /* activations */
    uint32_t classes;
    dnnl_engine_t engine;
    dnnl_stream_t stream[ISGI_MAX_CHUNKS];
    atomic_int failed; /* a primitive reported an error */
    isg_comm *comm;    /* NULL: this process is alone */
    uint32_t total;    /* samples loaded now on all ranks together */
    isgi_share share[2];
    float *share_room;          /* the arrays of a share, one behind the other */
    struct isgi_devnet *device; /* NULL: this machine's processor; else train/net_device.h */
    isg_status comm_status;
    isg_error comm_error;
};

typedef struct isgi_net_options {
    uint32_t batch;
    int trainable, paper_clamp;
    int input_gradient;            /* also the gradient of the input: for tests */
    uint32_t execution, precision; /* isg_execution, isg_precision */
    isg_parallel parallel;
    isg_project_fn *project;
    void *project_user;
    isg_comm *comm;      /* ranks that share every batch, or NULL */
    isgi_device *device; /* borrowed; NULL: the processor */
} isgi_net_options;

/* Compiles g, which stays borrowed (its constants are the origins of the parameters: to train it, no two nodes share
 * one, isgi_graph_untie). Errors: UNSUPPORTED naming the node, SHAPE, NOMEM, INTERNAL (a primitive could not be made).
 */
ISG_NODISCARD isg_status isgi_net_create(isgi_net **out, const isg_graph *g, const isgi_net_options *o, isg_error *err);
void isgi_net_destroy(isgi_net *net);
/* channels, height, width of the input as the data layer counts them. Error: UNSUPPORTED (rank over 4). */
ISG_NODISCARD isg_status isgi_net_input_shape(const isgi_net *net, const isg_input_spec *input, uint32_t shape[3],
                                              isg_error *err);
/* Loads n samples (<= batch), each in the logical row-major order of the graph's input. With ranks, n may be 0 and
 * net->total is to be set behind it. */
void isgi_net_load(isgi_net *net, const float *samples, uint32_t n);
/* Call after parameters changed: quantises factors, generates weights, reorders. Errors: NUMERIC, INTERNAL. */
ISG_NODISCARD isg_status isgi_net_refresh(isgi_net *net, isg_error *err);
ISG_NODISCARD isg_status isgi_net_forward(isgi_net *net, int training, isg_error *err);
/* One operation on the processor, on what lies in the arena: of a network on a device. */
ISG_NODISCARD isg_status isgi_net_run_op(isgi_net *net, isgi_netop *op, int backward, isg_error *err);
/* Sample `i` of the logits, or of their gradient, of the loaded batch. */
const float *isgi_net_logits(const isgi_net *net, uint32_t i);
float *isgi_net_logits_grad(const isgi_net *net, uint32_t i);
/* From the logits' gradient to the gradient of every parameter (overwritten). */
ISG_NODISCARD isg_status isgi_net_backward(isgi_net *net, isg_error *err);
/* Orthonormality loss of all factored weights times `weight`; adds to the gradients. */
double isgi_net_ortho(isgi_net *net, double weight);
/* Copies parameters and running statistics back to their origins in g, which must be the graph compiled from. */
void isgi_net_store(const isgi_net *net);
int isgi_all_finite(const float *x, size_t n);
/* Name of the first operation whose output is not finite or, after backward, of the last parameter whose gradient is
 * not (the first one that backward reached); NULL if there is none. */
const char *isgi_net_find_nan(isgi_net *net, int backward);

/* ---- between the files of the engine ---- */
static inline uint32_t isgi_chunk_count(const isgi_net *net, uint32_t chunk)
{
    const uint32_t first = chunk * net->chunk_cap;
    if (first >= net->n) return 0;
    return net->n - first < net->chunk_cap ? net->n - first : net->chunk_cap;
}
static inline float *isgi_act_data(const isgi_net *net, int32_t act, uint32_t chunk)
{
    return net->arena + ((size_t)chunk * net->arena_floats + net->acts[act].data) * net->chunk_cap;
}
static inline float *isgi_act_grad(const isgi_net *net, int32_t act, uint32_t chunk)
{
    return net->arena + ((size_t)chunk * net->arena_floats + net->acts[act].grad) * net->chunk_cap;
}
static inline int isgi_op_needs(const isgi_net *net, const isgi_netop *op, int32_t k)
{
    return op->in[k] >= 0 && net->acts[op->in[k]].needs_grad;
}
/* Distance in floats between neighbours along each logical axis inside a sample (axis 0 unused). */
void isgi_act_strides(const isgi_act *a, int64_t strides[ISG_MAX_RANK]);
/* Wants at least `floats` of partial and spare room a chunk; before the arena is allocated. */
void isgi_net_want(isgi_net *net, size_t partial_floats, size_t spare_floats);
void isgi_net_want_common(isgi_net *net, size_t floats);
static inline float *isgi_net_partial(const isgi_net *net, uint32_t chunk)
{
    return net->partial + (size_t)chunk * net->partial_floats;
}
static inline float *isgi_net_spare(const isgi_net *net, uint32_t chunk)
{
    return net->spare + (size_t)chunk * net->spare_floats;
}
/* The slice of `total` that chunk number `chunk` reduces. */
static inline void isgi_slice(const isgi_net *net, size_t total, uint32_t chunk, size_t *begin, size_t *end)
{
    const size_t step = ((total + net->chunks - 1) / net->chunks + 15) / 16 * 16;
    *begin = step * chunk < total ? step * chunk : total;
    *end = *begin + step < total ? *begin + step : total;
}
/* dst[begin..end) = sum over chunks of the partials at `offset`: neighbours first, then pairs and so on. Ranks are
 * summed the same way (insitu/comm.h), so that chunks spread over ranks give the bits of the same chunks in one
 * process. */
void isgi_reduce_partials(const isgi_net *net, float *dst, size_t offset, size_t begin, size_t end);
int32_t isgi_net_add_param(isgi_net *net, const char *name, const char *suffix, float *origin, size_t count, int decay);

/* Builders: fill op->vt and op->impl. The node's constants are read from net->graph. */
isg_status isgi_build_conv(isgi_net *net, isgi_netop *op, isg_error *err);
isg_status isgi_bind_conv(isgi_net *net, isgi_netop *op, isg_error *err); /* after the arena exists */
/* Whether a convolution runs on its factors; decides isgi_netweight.direct before the weights are bound. */
int isgi_factored_fits(const isgi_net *net, const isgi_netop *op);
isg_status isgi_build_factored(isgi_net *net, isgi_netop *op, isg_error *err);
/* Whether a convolution can run by Winograd's algorithm: 3x3, stride 1, channels in whole vectors. */
int isgi_winograd_fits(const isgi_net *net, const isgi_netop *op);
isg_status isgi_build_winograd(isgi_net *net, isgi_netop *op, isg_error *err);
isg_status isgi_build_gemm(isgi_net *net, isgi_netop *op, isg_error *err);
isg_status isgi_build_batchnorm(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err);
/* Running statistics back to the constants of the node. */
void isgi_batchnorm_store(const isgi_net *net, const isgi_netop *op);
isg_status isgi_build_activation(isgi_net *net, isgi_netop *op, isg_error *err);
/* Whether a Relu behind this built ADD can become part of it. */
int isgi_add_takes_relu(const isgi_net *net, const isgi_netop *op);
void isgi_add_fuse_relu(isgi_netop *op);
isg_status isgi_build_binary(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err);
isg_status isgi_build_pool(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err);
isg_status isgi_build_softmax(isgi_net *net, isgi_netop *op, isg_error *err);
/* Elements of the integer constant at input k; *count is 0 where it is omitted; 0 if it is no such constant. */
int isgi_read_ints(const isgi_net *net, const isg_node *node, int32_t k, int64_t *out, int32_t limit, int32_t *count);
/* Moves: reshape, transpose, slice, pad, gather, concat; `which` is the output number (SPLIT). */
isg_status isgi_build_move(isgi_net *net, isgi_netop *op, const isg_node *node, int32_t which, isg_error *err);

/* Ranks (net_ranks.c). Which gradients are summed, and when: of layers that write the gradient of quantised factors,
 * that one and before it goes back through the quantisers (BEFORE), which keeps the bits of one process; of a weight
 * that is generated and larger than its factors, that of the masters, after (AFTER). */
enum { ISGI_SHARE_BEFORE = 0, ISGI_SHARE_AFTER = 1 };
isg_status isgi_net_plan_shares(isgi_net *net, isg_error *err);
void isgi_net_clear_shares(isgi_net *net);
isg_status isgi_net_sum_share(isgi_net *net, int which, isg_error *err);
/* x[0..n) summed over ranks; for joins, which cannot fail: the error comes back from the running call at its end. */
void isgi_net_sum(isgi_net *net, double *x, size_t n);

/* Weights. */
isg_status isgi_weight_plan(isgi_net *net, isgi_netweight *w, isg_error *err); /* declares the parameters */
isg_status isgi_weight_bind(isgi_net *net, isgi_netweight *w, isg_error *err); /* after params are allocated */
void isgi_weight_refresh(isgi_net *net, isgi_netweight *w);
void isgi_weight_backward(isgi_net *net, isgi_netweight *w);
void isgi_weight_clear(isgi_netweight *w);

/* oneDNN runs single-threaded inside a chunk whatever OpenMP was told. Returns what to restore. */
int isgi_omp_enter(void);
void isgi_omp_leave(int previous);

#endif
