/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime: open a .isg image in place, plan one workspace, run it. No heap, no stdio, no globals. */
#ifndef INSITU_RT_H
#define INSITU_RT_H

#include <insitu/parallel.h>
#include <insitu/status.h>
#include <insitu/weight.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ISG_RT_ALIGNMENT 64u /* of the file image and of the workspace, in bytes */
#define ISG_RT_MAX_RANK 4u

/* How a layer with factors is executed. AUTO lets the planner choose per layer. */
typedef enum isg_strategy {
    ISG_STRATEGY_AUTO = 0,
    ISG_STRATEGY_GENERATE = 1, /* tiles of W are made, used and thrown away */
    ISG_STRATEGY_HALF = 2,     /* level 1 is made, then k x k convolution to bo channels, then 1x1 with V */
    ISG_STRATEGY_FACTORED = 3, /* 1x1 with U, depthwise with the basis, 1x1 with V */
    ISG_STRATEGY_DENSE = 4     /* reported for layers stored raw */
} isg_strategy;

/* ISA levels, cumulative bits; the effective set is what the CPU has AND the mask. */
typedef enum isg_isa {
    ISG_ISA_SCALAR = 0,
    ISG_ISA_AVX2 = 1u << 0,   /* AVX2 + FMA */
    ISG_ISA_AVX512 = 1u << 1, /* F, BW, DQ, VL */
    ISG_ISA_NEON = 1u << 2,
    ISG_ISA_AVX512VNNI = 1u << 3, /* VNNI and VBMI besides AVX512: the integer kernels */
    ISG_ISA_NEONDOT = 1u << 4,    /* the dot products of ARMv8.2 besides NEON: the integer product */
    ISG_ISA_AVX512BF16 = 1u << 5, /* BF16 besides AVX512: the bfloat16 product */
    ISG_ISA_ALL = 0x7fffffff
} isg_isa;

/* Numbers that layers are computed in. A layer that a mode does not cover runs in f32 (isg_rt_op.mode says so). */
typedef enum isg_mode {
    ISG_MODE_F32 = 0,
    ISG_MODE_INT8 = 1, /* u8 inputs and intermediates, the codes of the factors as integers; needs calibrated ranges in
                          the file, else UNSUPPORTED */
    ISG_MODE_BF16 = 2  /* what enters a product of matrices is rounded to bfloat16, sums are binary32; of factors, of
                          dense layers with one weight for many pixels. As fast as f32 at best without AVX512_BF16 */
} isg_mode;

/* A validated view of a file image. Fill with isg_rt_open(); plain storage, no clean-up; borrows the image. */
typedef struct isg_rt_model {
    uint64_t opaque[48];
} isg_rt_model;

typedef struct isg_rt_context isg_rt_context; /* lives inside the caller's workspace */

/* Called before (done == 0) and after (done == 1) each operation, from the thread that called isg_rt_run().
 * `op` indexes isg_rt_op_info(). For profiling and for reading intermediate tensors. */
typedef void (*isg_rt_hook)(void *user, const isg_rt_context *ctx, uint32_t op, int done);

/* What a unit of each kind of work costs on one core, in femtoseconds (1e-15 s): the planner's cost model
 * (docs/numerics.md). isg_costs_measure() of the hosted library fills it in; a product may hold its own constants. */
typedef struct isg_rt_costs {
    uint32_t struct_size; /* sizeof(isg_rt_costs) */
    uint32_t panel;       /* a multiply-add of a product with a factor in panels (FACTORED, HALF of 1x1) */
    uint32_t gemm;        /* a multiply-add of a product with a plain matrix (DENSE, GENERATE, HALF), if it is large */
    uint32_t weight;      /* a number of such a matrix brought to the product */
    uint32_t taps;        /* a multiply-add of a sum over taps that share loads: 3 side by side, stride 1 */
    uint32_t compose;     /* a multiply-add of level 1 when rows of W are made */
    uint32_t gather;      /* a number of the input gathered for a product */
    uint32_t unpack;      /* a code unpacked */
    uint32_t stream;      /* a byte of weights read from memory, in networks that the cache does not hold */
    uint32_t cache;       /* that cache in kB (1024) */
    uint32_t gemm_int8;   /* int8: a multiply-add of a product, of a sum over taps, and a number quantised, */
    uint32_t taps_int8;   /* requantised or dequantised */
    uint32_t pass_int8;
} isg_rt_costs;

typedef struct isg_rt_options {
    uint32_t struct_size; /* sizeof(isg_rt_options) */
    uint32_t batch;       /* images per run; 0 means 1. Where images go their own ways, they may run in parts */
    uint32_t isa_mask;    /* isg_isa bits allowed; 0 means scalar; ISG_ISA_ALL the best there is */
    uint32_t strategy;    /* isg_strategy to force where possible, or AUTO */
    uint64_t max_memory;  /* workspace limit in bytes; 0 means none */
    isg_parallel parallel;
    isg_rt_hook hook;
    void *hook_user;
    /* With a hook every operation stores its output and overwrites no input, so that isg_rt_read() works inside it. 1:
     * the hook only takes the time, and operations are fused and tensors overwritten as without one; a batch in parts
     * calls it for each of them. */
    uint32_t hook_timing;
    uint32_t mode; /* isg_mode */
    /* NULL: the table built in for the instruction set in effect, so that every machine plans alike. Read while
     * planning only. With costs of one machine the plan, and so the last bits of a result, may differ from another
     * machine's. */
    const isg_rt_costs *costs;
} isg_rt_options;

#define ISG_RT_OPTIONS_INIT                                                                                            \
    {                                                                                                                  \
        sizeof(isg_rt_options), 1, ISG_ISA_ALL, ISG_STRATEGY_AUTO, 0, {0, 0, 1}, 0, 0, 0, ISG_MODE_F32, 0              \
    }

typedef struct isg_rt_io {
    const char *name; /* inside the image; not NUL-terminated: see name_bytes */
    uint32_t name_bytes;
    uint32_t rank;
    uint32_t dims[ISG_RT_MAX_RANK]; /* logical (ONNX) order; a dimension of 0 is the batch */
} isg_rt_io;

typedef struct isg_rt_op {
    const char *name; /* of the layer, inside the image; may be empty */
    uint32_t name_bytes;
    const char *kind;      /* static string: "conv", "maxpool", ... */
    uint32_t strategy;     /* isg_strategy chosen; DENSE for raw weights; AUTO (0) where there is no weight */
    uint64_t macs;         /* multiply-adds for the planned batch with that strategy */
    uint64_t dense_macs;   /* the same for the uncompressed layer */
    uint64_t weight_bytes; /* packed codes, scales and bias resident in the image */
    uint32_t input_rank, output_rank;
    uint32_t input_dims[ISG_RT_MAX_RANK], output_dims[ISG_RT_MAX_RANK]; /* logical order, with the planned batch */
    int32_t weight;                                                     /* index for isg_rt_weight(), or -1 */
    uint32_t fused; /* 1: the operation before does this one, an addition or a depthwise convolution, in its time */
    uint32_t mode;  /* isg_mode the layer runs in */
    /* As the planner's cost model predicts for one core, in nanoseconds: as planned, and for weights stored as plain
     * float32 run DENSE. A layer whose predicted_ns is above its dense_ns is slower compressed. 0: no weight. */
    uint64_t predicted_ns, dense_ns;
    uint32_t tile_pixels; /* output pixels that a task computes at once */
    uint32_t tile_rows;   /* rows of the matrix made at once; FACTORED: input rows whose products with U are kept */
    uint32_t tasks;       /* pieces of the layer's main part: more threads than these find no work */
} isg_rt_op;

typedef struct isg_rt_memory {
    uint64_t workspace_bytes;  /* exact size isg_rt_context_init() needs */
    uint64_t activation_bytes; /* share of it for activations (by liveness) */
    uint64_t scratch_bytes;    /* share of it for tiles of weights and columns */
    uint64_t weight_bytes;     /* resident in the image */
    uint64_t image_bytes;
} isg_rt_memory;

/* Validates a whole image in place: structure, ranges, checksums. `image` must be aligned to ISG_RT_ALIGNMENT (else
 * ISG_E_ARG), is borrowed and must outlive the model. A big-endian machine takes the
 * same images; it converts raw numbers in the workspace. Errors: ARG, FORMAT, VERSION, CHECKSUM, UNSUPPORTED, LIMIT,
 * SHAPE. */
ISG_NODISCARD isg_status isg_rt_open(isg_rt_model *model, const void *image, size_t bytes, isg_error *err);

uint32_t isg_rt_input_count(const isg_rt_model *model);
uint32_t isg_rt_output_count(const isg_rt_model *model);
ISG_NODISCARD isg_status isg_rt_input(const isg_rt_model *model, uint32_t index, isg_rt_io *io);
ISG_NODISCARD isg_status isg_rt_output(const isg_rt_model *model, uint32_t index, isg_rt_io *io);
uint32_t isg_rt_weight_count(const isg_rt_model *model);
/* The packed factors of weight `index`; pointers into the image. */
ISG_NODISCARD isg_status isg_rt_weight(const isg_rt_model *model, uint32_t index, isg_weight *weight);
/* Raw bytes of an optional section (see docs/format.md): NULL and 0 if absent. */
const void *isg_rt_section(const isg_rt_model *model, uint32_t kind, size_t *bytes);

/* Exact memory need for these options, before anything is run. Errors: ARG, LIMIT (max_memory), UNSUPPORTED. */
ISG_NODISCARD isg_status isg_rt_plan(const isg_rt_model *model, const isg_rt_options *options, isg_rt_memory *memory,
                                     isg_error *err);
/* Builds a context in `workspace` (aligned to ISG_RT_ALIGNMENT). Needs no clean-up. It borrows the image and the
 * workspace, not the model. Errors: as isg_rt_plan, WORKSPACE. */
ISG_NODISCARD isg_status isg_rt_context_init(isg_rt_context **ctx, void *workspace, size_t bytes,
                                             const isg_rt_model *model, const isg_rt_options *options, isg_error *err);
/* inputs[i]: float32 in the logical (ONNX, e.g. [N,C,H,W]) order, row-major, whole planned batch; outputs[i] likewise.
 * Bit-identical for any number of workers on one ISA. Not reentrant for one context; contexts share a model freely. */
ISG_NODISCARD isg_status isg_rt_run(isg_rt_context *ctx, const float *const *inputs, float *const *outputs,
                                    isg_error *err);

/* isg_isa bits that this CPU and its system offer. */
uint32_t isg_rt_isa(void);
uint32_t isg_rt_op_count(const isg_rt_context *ctx);
ISG_NODISCARD isg_status isg_rt_op_info(const isg_rt_context *ctx, uint32_t op, isg_rt_op *info);
/* Inside the hook of operation `op`: copies its input `k` (k == -1: its output, once done) as float32 in logical order
 * to dst, which must hold `capacity` floats, the product of the dims; writes rank and dims if not NULL. dst NULL: only
 * those, of any operation at any time. Errors: ARG, UNSUPPORTED (another operation, whose tensors' memory may be in use
 * for others; with hook_timing: a tensor that is never stored, or as codes only, or an input once it is overwritten).
 */
ISG_NODISCARD isg_status isg_rt_read(const isg_rt_context *ctx, uint32_t op, int32_t k, float *dst, size_t capacity,
                                     uint32_t *rank, uint32_t dims[ISG_RT_MAX_RANK]);
/* ISA level in effect ("scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", "neon", "neondot"). */
const char *isg_rt_isa_name(const isg_rt_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
