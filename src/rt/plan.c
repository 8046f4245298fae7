/* SPDX-License-Identifier: Apache-2.0 */
/* Planning: one walk over the operations gives every tensor a place, every layer a way, and the exact workspace. */
#include "base/error.h"
#include "cpu/cpu.h"
#include "rt/exec.h"
#include "rt/gen.h"
#include "rt/int8_ops.h"
#include "rt/plan_memory.h"

#include <string.h>

#define PART_FLOATS 1048576u /* of what a layer reads and writes: 4 MB, what may be expected of a shared cache */
#define MAX_BATCH 65536u
#define MAX_WORKERS 1024u
#define MAX_FLOATS UINT32_MAX /* of one tensor, so that no number of tasks overflows */
#define MAX_TENSORS (ISG_FORMAT_MAX_IO + 2u * ISG_FORMAT_MAX_COUNT) /* inputs, constants, what operations make */

/* Where things lie in the workspace, in bytes. */
typedef struct workspace_layout {
    uint64_t steps, tensors, weights, constants, arena, scratch, total;
    uint64_t arena_bytes, scratch_bytes, weight_bytes;
} workspace_layout;

/* What the walk needs to remember, 28 kB on the stack. */
typedef struct plan_walk {
    const isgi_model *m;
    const isg_rt_options *options;
    uint32_t batch, workers, isa; /* batch: images at a time, */
    uint32_t parts;               /* and how many times */
    uint32_t images;              /* see isgi_plan_for */
    uint32_t layer;               /* number of conv and fc operations so far */
    uint8_t handed;               /* the step before hands over codes */
    int keep;                     /* a hook may read every tensor: nothing is fused or overwritten */
    int streams, dense_streams;   /* see isgi_plan_for */
    isg_rt_costs costs;
    isgi_arena arena;
    uint64_t scratch;               /* floats */
    uint64_t constants;             /* bytes of constant tensors that are not used where they lie in the image */
    uint16_t last_use[MAX_TENSORS]; /* index of the last operation that reads a tensor */
    isg_rt_context *ctx;            /* NULL when only planning */
    uint8_t *arena_data, *constant_data;
} plan_walk;

static isg_status too_large(isg_error *err, const char *message)
{
    return isgi_error(err, ISG_E_LIMIT, message, ISG_ERROR_NONE, -1);
}

static uint64_t align_up(uint64_t n)
{
    return (n + ISG_RT_ALIGNMENT - 1) & ~(uint64_t)(ISG_RT_ALIGNMENT - 1);
}

static void next_op(const isgi_model *m, isgi_cursor *c, uint32_t index, isgi_op *op)
{
    isgi_shape s;
    const uint32_t own = m->inputs + m->constants + index;
    isgi_view_tensor(m, own, &s, NULL);
    /* isg_rt_open() has read it already: it cannot fail. */
    if (isgi_view_read_op(c, own, s.rank, op, NULL) != ISG_OK) memset(op, 0, sizeof *op);
}

/* Graph outputs live to the end. */
static void find_last_uses(plan_walk *p)
{
    isgi_cursor c = isgi_view_ops(p->m), outputs = {p->m->graph, p->m->outputs_at, p->m->graph_bytes, 0};
    memset(p->last_use, 0, sizeof p->last_use);
    for (uint32_t i = 0; i < p->m->ops; i++) {
        isgi_cursor operands;
        isgi_op op;
        next_op(p->m, &c, i, &op);
        operands = isgi_op_operands(p->m, &op);
        for (uint32_t k = 0; k < op.input_count; k++) p->last_use[isgi_next_operand(&operands, &op)] = (uint16_t)i;
    }
    for (uint32_t i = 0; i < p->m->outputs; i++) {
        uint32_t bytes;
        p->last_use[isgi_cursor_uv(&outputs)] = (uint16_t)p->m->ops;
        (void)isgi_cursor_name(&outputs, &bytes);
    }
}

/* Constants are only ever read: operations write their own output. A big-endian machine needs its own copy of them. */
static void place_constant(plan_walk *p, isgi_tensor *t, uint32_t weight, uint64_t bytes)
{
    const uint64_t offset = p->constants;
    const int ready = isgi_host_is_little();
    if (!ready) p->constants += align_up(bytes);
    if (!t) return;
    t->data = (float *)(uintptr_t)p->ctx->weights[weight].basis.data;
    if (ready) return;
    t->data = (float *)(void *)(p->constant_data + offset);
    isgi_gen_dequant(&p->ctx->kernels, t->data, &p->ctx->weights[weight].basis, 0, 1);
}

/* Gives tensor `index` of numbers of `size` bytes, made by operation `now`, its place: that of tensor `over` if it has
 * just as many numbers. */
static isg_status place_tensor(plan_walk *p, uint32_t index, uint32_t size, uint32_t now, int32_t over, isg_error *err)
{
    isgi_shape s;
    uint32_t weight = 0, last;
    uint64_t offset = 0, count;
    isgi_view_tensor(p->m, index, &s, &weight);
    count = isgi_shape_count(&s, p->batch);
    if (count > MAX_FLOATS) return too_large(err, "tensor is too large for this batch");
    if (!isgi_view_is_constant(p->m, index)) {
        const uint64_t bytes = align_up(count * size);
        last = p->last_use[index];
        if (last < now) last = now;
        if ((over < 0 || !isgi_arena_hand_over(&p->arena, (uint32_t)over, bytes, last, index, &offset)) &&
            isgi_arena_take(&p->arena, bytes, last, index, &offset) != ISG_OK)
            return too_large(err, "too many tensors are alive at once");
    }
    if (p->ctx) {
        isgi_tensor *t = &p->ctx->tensors[index];
        isgi_shape_bind(&s, p->batch);
        t->shape = s;
        t->count = count;
        t->data = (float *)(void *)(p->arena_data + offset);
    }
    if (isgi_view_is_constant(p->m, index))
        place_constant(p, p->ctx ? &p->ctx->tensors[index] : NULL, weight, count * sizeof(float));
    return ISG_OK;
}

/* Floats for an operation that is no layer. */
static uint64_t unweighted_scratch(const isgi_op *op, const isgi_shape *x, uint32_t workers)
{
    switch (op->kind) {
    case ISG_KIND_MAX_POOL:
    case ISG_KIND_AVERAGE_POOL: return (uint64_t)isgi_pool_scratch(&op->window) * workers;
    case ISG_KIND_AFFINE: return 2 * (uint64_t)isgi_round_floats(x->dims[1]); /* scale and shift of each channel */
    case ISG_KIND_SOFTMAX: return x->dims[op->mode];
    default: return 0;
    }
}

static void plan_int8(const plan_walk *p, isgi_step *s, const isg_weight *w)
{
    const isgi_ranges ranges = isgi_int8_ranges(p->m, p->layer);
    isg_weight made;
    isgi_int8_plan(&s->int8, &s->conv, w, &ranges, p->options->strategy, p->isa, p->workers);
    if (!s->int8.on) return;
    w = isgi_int8_weight(&s->int8, w, &made);
    s->over_residual = 1; /* all forms finish each sum once (finish_sums) */
    s->scratch = s->int8.scratch;
    s->macs = isgi_int8_macs(&s->int8, &s->conv, w);
    s->cost = isgi_int8_cost(&s->int8, &s->conv, w, &p->costs);
    s->strategy = s->int8.form == ISGI_INT8_FACTORED ? ISG_STRATEGY_FACTORED
                  : s->int8.form == ISGI_INT8_CHAIN  ? ISG_STRATEGY_HALF
                  : s->int8.made                     ? ISG_STRATEGY_GENERATE
                                                     : ISG_STRATEGY_DENSE;
}

static void plan_weighted(plan_walk *p, isgi_step *s, const isgi_shape *x, const isgi_shape *out)
{
    const isgi_op *op = &s->op;
    const isgi_plan_for f = {.workers = p->workers,
                             .images = p->images,
                             .forced = p->options->strategy,
                             .costs = &p->costs,
                             .mode = p->options->mode,
                             .lanes = p->isa & ISG_ISA_AVX512 ? 16
                                      : p->isa & ISG_ISA_AVX2 ? 8
                                                              : 4,
                             .streams = p->streams,
                             .dense_streams = p->dense_streams};
    isg_weight w, vector;
    isgi_view_weight(p->m, (uint32_t)op->weight, &w);
    s->weight_bytes = isgi_weight_bytes(&w);
    if (op->vector >= 0) {
        isgi_view_weight(p->m, (uint32_t)op->vector, &vector);
        s->weight_bytes += isgi_weight_bytes(&vector);
    }
    if (op->kind == ISG_KIND_AFFINE) return;
    isgi_conv_plan(&s->conv, op, &w, x, out, op->vector >= 0 ? &vector : NULL, &f);
    s->over_residual = (uint8_t)isgi_conv_in_place(&s->conv, &w);
    s->cost = s->conv.cost;
    s->dense_cost = s->conv.dense_cost;
    s->scratch = s->conv.scratch;
    s->macs = s->conv.macs;
    s->dense_macs = s->conv.dense_macs;
    s->strategy = s->conv.strategy;
    if (p->options->mode == ISG_MODE_INT8) plan_int8(p, s, &w);
    p->layer++;
}

/* A tensor that is never stored has a shape, and no data. */
static void note_fused(plan_walk *p, uint32_t tensor)
{
    isgi_tensor *t = &p->ctx->tensors[tensor];
    isgi_view_tensor(p->m, tensor, &t->shape, NULL);
    t->count = isgi_shape_count(&t->shape, p->batch);
    isgi_shape_bind(&t->shape, p->batch);
    t->data = NULL;
}

/* A convolution whose only reader is the max pool right after it does that too. `ops` stands behind operation `index`.
 * Returns what both make. */
static uint32_t fuse_pool(const plan_walk *p, isgi_cursor ops, uint32_t index, isgi_step *s, const isgi_shape *map)
{
    isgi_op next;
    isgi_shape out;
    if (p->keep || index + 1 == p->m->ops || s->residual >= 0 || p->last_use[s->op.output] != index + 1 ||
        isgi_shape_count(map, p->batch) > MAX_FLOATS) /* too large for any plan */
        return s->op.output;
    next_op(p->m, &ops, index + 1, &next);
    isgi_view_tensor(p->m, next.output, &out, NULL);
    isgi_shape_bind(&out, p->batch);
    return isgi_pooled_plan(s, &next, &out, p->workers) ? next.output : s->op.output;
}

static int same_shape(const isgi_model *m, uint32_t a, uint32_t b)
{
    isgi_shape x, y;
    isgi_view_tensor(m, a, &x, NULL);
    isgi_view_tensor(m, b, &y, NULL);
    return isgi_shape_equal(&x, &y);
}

/* A convolution without activation whose only reader is the addition right after it does that addition too. `ops`
 * stands behind operation `index`. */
static void fuse_addition(plan_walk *p, isgi_cursor ops, uint32_t index, isgi_step *s)
{
    const uint32_t made = s->op.output;
    uint32_t other;
    isgi_op next;
    if (p->keep || index + 1 == p->m->ops || s->op.act.kind != ISGK_ACT_NONE || p->last_use[made] != index + 1) return;
    next_op(p->m, &ops, index + 1, &next);
    if (next.kind != ISG_KIND_BINARY || next.mode != ISG_BINARY_ADD) return;
    other = next.inputs[0] == made ? next.inputs[1] : next.inputs[0];
    if (other == made || (next.inputs[0] != made && next.inputs[1] != made)) return;
    if (!same_shape(p->m, other, made) || !same_shape(p->m, next.output, made)) return;
    s->residual = (int32_t)other;
    s->op.act = next.act;
    s->op.output = next.output;
}

/* A 1x1 whose only reader is the depthwise convolution right after it runs that one too, if both are computed in
 * floats. `ops` stands behind operation `index`; x is the map between them. Returns what the pair makes. */
static uint32_t pair_depthwise(plan_walk *p, isgi_cursor ops, uint32_t index, isgi_step *s, const isgi_shape *x)
{
    const uint32_t layer = p->layer;
    isgi_step other, *next = p->ctx ? &p->ctx->steps[index + 1] : &other;
    isgi_shape out;
    if (p->keep || index + 1 == p->m->ops || s->int8.on || s->residual >= 0 || !s->conv.panels || !s->conv.direct ||
        p->last_use[s->op.output] != index + 1)
        return s->op.output;
    memset(next, 0, sizeof *next);
    next->residual = -1;
    next_op(p->m, &ops, index + 1, &next->op);
    if (next->op.kind != ISG_KIND_CONV || next->op.inputs[0] != s->op.output) return s->op.output;
    isgi_view_tensor(p->m, next->op.output, &out, NULL);
    isgi_shape_bind(&out, p->batch);
    plan_weighted(p, next, x, &out);
    if (next->int8.on || !isgi_can_pair(&s->conv, &next->conv, p->workers)) {
        p->layer = layer;
        return s->op.output;
    }
    isgi_pair_plan(&s->conv, &next->conv, p->workers);
    next->done = 1;
    s->pair = 1;
    s->scratch = next->conv.scratch;
    return next->op.output;
}

/* A layer in int8 whose only reader is the one right after it, in int8 too, hands it codes: the same bits without a
 * map of floats between them. `ops` stands behind operation `index`; x is that map. */
static void hand_codes(plan_walk *p, isgi_cursor ops, uint32_t index, isgi_step *s, const isgi_shape *x)
{
    const uint32_t layer = p->layer, act = s->op.act.kind;
    const int clamps = act == ISGK_ACT_NONE || act == ISGK_ACT_RELU || act == ISGK_ACT_CLIP;
    isgi_step next;
    isgi_shape out;
    if (p->keep || index + 1 == p->m->ops || !s->int8.on || s->residual >= 0 || !clamps || s->conv.oc % 4 ||
        p->last_use[s->op.output] != index + 1)
        return;
    memset(&next, 0, sizeof next);
    next_op(p->m, &ops, index + 1, &next.op);
    if (next.op.kind != ISG_KIND_CONV || next.op.inputs[0] != s->op.output) return;
    isgi_view_tensor(p->m, next.op.output, &out, NULL);
    isgi_shape_bind(&out, p->batch);
    plan_weighted(p, &next, x, &out);
    p->layer = layer;
    s->int8.gives = next.int8.on;
}

/* The input that the output may overwrite, or -1: its last reader is this operation, which reads each element just
 * before it writes it. */
static int32_t overwritten(plan_walk *p, const isgi_step *s, uint32_t index)
{
    const isgi_op *op = &s->op;
    const uint32_t last = index + (s->residual >= 0);
    uint32_t n = 0, candidates[2];
    if (p->keep) return -1;
    if (s->residual >= 0 && s->over_residual && (uint32_t)s->residual != op->inputs[0])
        candidates[n++] = (uint32_t)s->residual;
    if (op->kind == ISG_KIND_ACTIVATION || op->kind == ISG_KIND_AFFINE || op->kind == ISG_KIND_BINARY)
        candidates[n++] = op->inputs[0];
    if (op->kind == ISG_KIND_BINARY) candidates[n++] = op->inputs[1];
    for (uint32_t i = 0; i < n; i++) {
        if (!isgi_view_is_constant(p->m, candidates[i]) && p->last_use[candidates[i]] <= last &&
            same_shape(p->m, candidates[i], op->output))
            return (int32_t)candidates[i];
    }
    return -1;
}

enum { BY_ANOTHER = 1, BY_PAIR = 2 };

/* `done`: how the step before has done this one, or 0; set for the step after. */
static isg_status plan_step(plan_walk *p, isgi_cursor *c, uint32_t index, int *done, isg_error *err)
{
    isgi_step step, *s = p->ctx ? &p->ctx->steps[index] : &step;
    isgi_shape x, out;
    uint32_t made;
    if (*done != BY_PAIR) memset(s, 0, sizeof *s); /* that of a pair is planned */
    s->residual = -1;
    next_op(p->m, c, index, &s->op);
    isgi_arena_release(&p->arena, index);
    if (*done) {
        s->done = 1;
        *done = 0;
        return ISG_OK;
    }
    if (s->op.kind == ISG_KIND_CONV || s->op.kind == ISG_KIND_FC) fuse_addition(p, *c, index, s);
    isgi_view_tensor(p->m, s->op.inputs[0], &x, NULL);
    isgi_view_tensor(p->m, s->op.output, &out, NULL);
    isgi_shape_bind(&x, p->batch);
    isgi_shape_bind(&out, p->batch);
    s->scratch = unweighted_scratch(&s->op, &x, p->workers);
    if (s->op.weight >= 0) plan_weighted(p, s, &x, &out);
    s->int8.takes = p->handed;
    if (s->op.kind == ISG_KIND_CONV) hand_codes(p, *c, index, s, &out);
    p->handed = s->int8.gives;
    made = s->op.kind == ISG_KIND_CONV ? pair_depthwise(p, *c, index, s, &out) : s->op.output;
    if (s->op.kind == ISG_KIND_CONV && !s->pair) made = fuse_pool(p, *c, index, s, &out);
    if (s->scratch > (uint64_t)MAX_FLOATS * 16) return too_large(err, "operation needs too much scratch");
    if (s->scratch > p->scratch) p->scratch = s->scratch;
    *done = s->pair ? BY_PAIR : s->residual >= 0 || s->pooled.rows ? BY_ANOTHER : 0;
    if (*done && p->ctx) note_fused(p, p->m->inputs + p->m->constants + index);
    return place_tensor(p, made, s->int8.gives ? 1 : sizeof(float), index, overwritten(p, s, index), err);
}

static isg_status walk(plan_walk *p, isg_error *err)
{
    isgi_cursor c = isgi_view_ops(p->m);
    int done = 0;
    isgi_arena_init(&p->arena);
    find_last_uses(p);
    p->scratch = 0;
    p->constants = 0;
    p->layer = 0;
    p->handed = 0;
    for (uint32_t i = 0; i < p->m->inputs + p->m->constants; i++)
        ISGI_TRY(place_tensor(p, i, sizeof(float), 0, -1, err));
    for (uint32_t i = 0; i < p->m->ops; i++) ISGI_TRY(plan_step(p, &c, i, &done, err));
    return ISG_OK;
}

/* Unit costs, and whether the weights of this network and of its dense form come from memory in every run. */
static isg_status set_costs(plan_walk *p, isg_error *err)
{
    uint64_t dense = 0, cache;
    if (p->options->costs && p->options->costs->struct_size != sizeof p->costs)
        return isgi_error(err, ISG_E_ARG, "costs have another struct_size", ISG_ERROR_NONE, -1);
    if (p->options->costs)
        p->costs = *p->options->costs;
    else
        isgi_costs_of(&p->costs, p->isa);
    for (uint32_t i = 0; i < p->m->weight_count; i++) {
        isg_weight w;
        isgi_view_weight(p->m, i, &w);
        dense += (uint64_t)w.taps * w.ci * w.co * sizeof(float);
    }
    cache = (uint64_t)p->costs.cache * 1024;
    p->streams = p->m->weights_bytes > cache;
    p->dense_streams = dense > cache;
    return ISG_OK;
}

/* ---- parts of the batch ---- */

static int has_batch(const plan_walk *p, uint32_t tensor)
{
    isgi_shape s;
    isgi_view_tensor(p->m, tensor, &s, NULL);
    return s.rank > 0 && s.dims[0] == 0;
}

/* Whether every image goes its own way: dimension 0 of every tensor is the batch, which no operation that
 * isg_rt_open() lets through mixes. */
static int images_are_apart(const plan_walk *p)
{
    isgi_cursor c = {p->m->graph, p->m->outputs_at, p->m->graph_bytes, 0};
    const uint32_t made = p->m->inputs + p->m->constants;
    int all = 1;
    for (uint32_t i = 0; i < p->m->inputs; i++) all &= has_batch(p, i);
    for (uint32_t i = 0; i < p->m->ops; i++) all &= has_batch(p, made + i);
    for (uint32_t i = 0; i < p->m->outputs; i++) {
        uint32_t bytes;
        all &= has_batch(p, isgi_cursor_uv(&c));
        (void)isgi_cursor_name(&c, &bytes);
    }
    return all;
}

/* The least divisor of `all` that is at least `least`, or `all`. */
static uint32_t divide(uint32_t all, uint64_t least)
{
    uint64_t n = least > 1 ? least : 1;
    while (n < all && all % n != 0) n++;
    return n < all ? (uint32_t)n : all;
}

/* Images at a time: as many as keep what a layer reads and writes in the cache, unless the weights, read anew for each
 * part, are more than that; all of them where they do not go their own ways. */
static uint32_t images_of_a_part(const plan_walk *p)
{
    uint64_t all = 0, largest = 1, for_weights;
    isgi_cursor c = isgi_view_ops(p->m);
    if (p->batch == 1 || !images_are_apart(p)) return p->batch;
    for (uint32_t i = 0; i < p->m->ops; i++) {
        isgi_op op;
        isgi_shape x, y;
        uint64_t in, out;
        next_op(p->m, &c, i, &op);
        isgi_view_tensor(p->m, op.inputs[0], &x, NULL);
        isgi_view_tensor(p->m, op.output, &y, NULL);
        in = isgi_shape_count(&x, 1);
        out = isgi_shape_count(&y, 1);
        all += out;
        if (in + out > largest) largest = in + out;
    }
    for_weights = p->m->weights_bytes / (sizeof(float) * all + 1);
    return divide(p->batch, PART_FLOATS / largest > for_weights ? PART_FLOATS / largest : for_weights);
}

/* One image at least for each worker goes at a time; all of them where a hook looks on. */
static void split_batch(plan_walk *p)
{
    const uint32_t all = p->batch;
    p->images = images_of_a_part(p);
    if (!p->keep) p->batch = divide(all, p->images > p->workers ? p->images : p->workers);
    p->parts = all / p->batch;
}

static isg_status begin_walk(plan_walk *p, const isg_rt_model *model, const isg_rt_options *options, isg_error *err)
{
    const isgi_model *m = isgi_model_of_const(model);
    uint64_t section;
    if (!m || !options || m->magic != ISGI_MODEL_MAGIC)
        return isgi_error(err, ISG_E_ARG, "model is not open or options are null", ISG_ERROR_NONE, -1);
    if (options->struct_size != sizeof *options)
        return isgi_error(err, ISG_E_ARG, "options have another struct_size", ISG_ERROR_NONE, -1);
    if (options->strategy > ISG_STRATEGY_DENSE)
        return isgi_error(err, ISG_E_ARG, "unknown strategy", ISG_ERROR_NONE, -1);
    if (options->mode > ISG_MODE_BF16) return isgi_error(err, ISG_E_ARG, "unknown mode", ISG_ERROR_NONE, -1);
    if (options->mode == ISG_MODE_INT8 && !isgi_view_section(m, ISG_SECTION_ACTIVATIONS, &section))
        return isgi_error(err, ISG_E_UNSUPPORTED, "file holds no activation ranges for int8", ISG_ERROR_NONE, -1);
    p->m = m;
    p->options = options;
    p->batch = options->batch ? options->batch : 1;
    p->workers = options->parallel.run && options->parallel.workers ? options->parallel.workers : 1;
    p->isa = isgi_cpu_effective_isa(options->isa_mask);
    p->keep = options->hook != NULL && !options->hook_timing;
    if (p->batch > MAX_BATCH) return too_large(err, "batch is above 65536");
    if (p->workers > MAX_WORKERS) return too_large(err, "more than 1024 workers");
    split_batch(p);
    p->ctx = NULL;
    p->arena_data = p->constant_data = NULL;
    return set_costs(p, err);
}

static isg_status lay_out(const plan_walk *p, workspace_layout *l, isg_error *err)
{
    const isgi_model *m = p->m;
    l->steps = align_up(sizeof(isg_rt_context));
    l->tensors = align_up(l->steps + (uint64_t)m->ops * sizeof(isgi_step));
    l->weights = align_up(l->tensors + (uint64_t)m->tensors * sizeof(isgi_tensor));
    l->constants = align_up(l->weights + (uint64_t)m->weight_count * sizeof(isg_weight));
    l->arena = l->constants + p->constants;
    l->arena_bytes = p->arena.peak;
    l->scratch = l->arena + l->arena_bytes;
    l->scratch_bytes = align_up(p->scratch * sizeof(float));
    l->total = l->scratch + l->scratch_bytes;
    if (l->total > SIZE_MAX) return too_large(err, "workspace does not fit into the address space");
    if (p->options->max_memory && l->total > p->options->max_memory)
        return too_large(err, "workspace is larger than max_memory");
    return ISG_OK;
}

isg_status isg_rt_plan(const isg_rt_model *model, const isg_rt_options *options, isg_rt_memory *memory, isg_error *err)
{
    plan_walk p;
    workspace_layout l;
    if (!memory) return isgi_error(err, ISG_E_ARG, "memory must not be null", ISG_ERROR_NONE, -1);
    ISGI_TRY(begin_walk(&p, model, options, err));
    ISGI_TRY(walk(&p, err));
    ISGI_TRY(lay_out(&p, &l, err));
    memory->workspace_bytes = l.total;
    memory->activation_bytes = l.arena_bytes;
    memory->scratch_bytes = l.scratch_bytes;
    memory->weight_bytes = p.m->weights_bytes;
    memory->image_bytes = p.m->image_bytes;
    return ISG_OK;
}

isg_status isg_rt_context_init(isg_rt_context **ctx, void *workspace, size_t bytes, const isg_rt_model *model,
                               const isg_rt_options *options, isg_error *err)
{
    uint8_t *base = (uint8_t *)workspace;
    isg_rt_context *made = (isg_rt_context *)workspace;
    plan_walk p;
    workspace_layout l;
    if (ctx) *ctx = NULL;
    if (!ctx || !workspace) return isgi_error(err, ISG_E_ARG, "ctx and workspace must not be null", ISG_ERROR_NONE, -1);
    if ((uintptr_t)workspace % ISG_RT_ALIGNMENT)
        return isgi_error(err, ISG_E_WORKSPACE, "workspace is not aligned to 64 bytes", ISG_ERROR_NONE, -1);
    ISGI_TRY(begin_walk(&p, model, options, err));
    ISGI_TRY(walk(&p, err));
    ISGI_TRY(lay_out(&p, &l, err));
    if (bytes < l.total)
        return isgi_error(err, ISG_E_WORKSPACE, "workspace is smaller than isg_rt_plan() says", ISG_ERROR_NONE, -1);
    memset(made, 0, sizeof *made);
    made->model_copy = *p.m;
    made->model = &made->model_copy;
    made->parallel = options->parallel;
    made->parallel.workers = p.workers;
    made->hook = options->hook;
    made->hook_user = options->hook_user;
    made->parts = p.parts;
    made->ops = p.m->ops;
    made->tensor_count = p.m->tensors;
    made->isa = p.isa;
    isgk_table_init(&made->kernels, made->isa);
    made->steps = (isgi_step *)(void *)(base + l.steps);
    made->tensors = (isgi_tensor *)(void *)(base + l.tensors);
    made->weights = (isg_weight *)(void *)(base + l.weights);
    made->scratch = (float *)(void *)(base + l.scratch);
    for (uint32_t i = 0; i < p.m->weight_count; i++) isgi_view_weight(p.m, i, &made->weights[i]);
    p.ctx = made;
    p.arena_data = base + l.arena;
    p.constant_data = base + l.constants;
    ISGI_TRY(walk(&p, err));
    *ctx = made;
    return ISG_OK;
}
