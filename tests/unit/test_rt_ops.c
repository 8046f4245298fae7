/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation but convolution as a one-operation image, against naive formulas in logical order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>

#include "isg_builder.h"

static builder shared;

/* The bits of all results of the plain C kernels, the same on every machine (docs/numerics.md). */
#define SCALAR_DIGEST 0x3c43a111u
static uint32_t scalar_digest;

typedef struct tensor {
    uint32_t rank, dims[4];
    size_t count;
    float *data;
} tensor;

static tensor make_tensor(uint32_t rank, const uint32_t *dims)
{
    tensor t = {rank, {1, 1, 1, 1}, 1, NULL};
    for (uint32_t i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        t.count *= dims[i];
    }
    t.data = (float *)malloc(t.count * sizeof *t.data);
    for (size_t i = 0; i < t.count; i++) t.data[i] = next_float(&shared) * 4;
    return t;
}

/* Multi-index of element i, and back. */
static void split(const tensor *t, size_t i, uint32_t at[4])
{
    for (uint32_t d = t->rank; d-- > 0;) {
        at[d] = (uint32_t)(i % t->dims[d]);
        i /= t->dims[d];
    }
}

static float element(const tensor *t, const uint32_t at[4])
{
    size_t i = 0;
    for (uint32_t d = 0; d < t->rank; d++) i = i * t->dims[d] + at[d];
    return t->data[i];
}

static void run_backwards(void *user, isg_task_fn task, void *arg, uint32_t count)
{
    (void)user;
    for (uint32_t i = count; i-- > 0;) task(arg, i, i % 2);
}

/* Runs what the builder holds and compares. The first dim of inputs and output is stored as batch if `batch`. */
static void expect(const tensor *inputs, uint32_t count, const tensor *want, uint32_t batch, const char *what)
{
    size_t size;
    uint8_t *image;
    isg_rt_model model;
    isg_error err = {0};
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    uint8_t *workspace;
    const float *in[4];
    float *out = (float *)malloc(want->count * sizeof *out);
    add_output(&shared, shared.input_count + shared.constant_count);
    image = finish_image(&shared, &size);
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s: %s", what, err.message);
    for (uint32_t k = 0; k < count; k++) in[k] = inputs[k].data;
    for (int pass = 0; pass < 4; pass++) {
        options.batch = batch ? want->dims[0] : 1;
        options.isa_mask = pass & 1 ? ISG_ISA_ALL : ISG_ISA_SCALAR;
        options.parallel.run = pass & 2 ? run_backwards : NULL;
        options.parallel.workers = 2;
        assert_int_equal(isg_rt_plan(&model, &options, &memory, &err), ISG_OK);
        workspace = (uint8_t *)aligned_alloc(64, memory.workspace_bytes);
        memset(workspace, 0xff, memory.workspace_bytes);
        assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, &err), ISG_OK);
        assert_int_equal(isg_rt_run(ctx, in, &out, &err), ISG_OK);
        if (pass == 0) scalar_digest = digest_floats(scalar_digest, out, want->count);
        for (size_t i = 0; i < want->count; i++) {
            if (!(fabsf(out[i] - want->data[i]) <= 2e-6f * (1 + fabsf(want->data[i]))))
                fail_msg("%s: element %zu is %g, not %g", what, i, (double)out[i], (double)want->data[i]);
        }
        free(workspace);
    }
    free(out);
    free(image);
}

/* Resets the builder and declares inputs; then the caller adds the operation. */
static void begin(const tensor *inputs, uint32_t count, int batch)
{
    reset_builder(&shared, shared.random);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t dims[4];
        memcpy(dims, inputs[k].dims, sizeof dims);
        if (batch) dims[0] = 0;
        add_input(&shared, inputs[k].rank, dims);
    }
}

static void op_begin(uint32_t kind, const tensor *out, int batch)
{
    uint32_t dims[4];
    memcpy(dims, out->dims, sizeof dims);
    if (batch) dims[0] = 0;
    add_op(&shared, kind, out->rank, dims);
}

static const uint32_t image_dims[4] = {2, 5, 7, 6};

static void pool_case(uint32_t kind, const uint32_t w[10], uint32_t flags, uint32_t extra_h, uint32_t extra_w)
{
    tensor x = make_tensor(4, image_dims), y;
    uint32_t dims[4] = {x.dims[0], x.dims[1], 0, 0};
    dims[2] = (x.dims[2] + w[6] + w[8] + extra_h - (w[0] - 1) * w[4] - 1) / w[2] + 1;
    dims[3] = (x.dims[3] + w[7] + w[9] + extra_w - (w[1] - 1) * w[5] - 1) / w[3] + 1;
    y = make_tensor(4, dims);
    for (size_t i = 0; i < y.count; i++) {
        uint32_t at[4], from[4];
        double sum = 0, top = -INFINITY;
        int n = 0;
        split(&y, i, at);
        for (uint32_t ky = 0; ky < w[0]; ky++) {
            for (uint32_t kx = 0; kx < w[1]; kx++) {
                const int iy = (int)(at[2] * w[2] + ky * w[4]) - (int)w[6];
                const int ix = (int)(at[3] * w[3] + kx * w[5]) - (int)w[7];
                const int inside = iy >= 0 && ix >= 0 && iy < (int)x.dims[2] && ix < (int)x.dims[3];
                const int padded = iy < (int)(x.dims[2] + w[8]) && ix < (int)(x.dims[3] + w[9]);
                from[0] = at[0];
                from[1] = at[1];
                from[2] = (uint32_t)iy;
                from[3] = (uint32_t)ix;
                if (inside) sum += element(&x, from);
                if (inside) top = fmax(top, element(&x, from));
                n += flags ? padded : inside;
            }
        }
        y.data[i] = (float)(kind == ISG_KIND_MAX_POOL ? top : sum / n);
    }
    begin(&x, 1, 1);
    op_begin(kind, &y, 1);
    put_uv(&shared.ops, 1);
    for (int i = 0; i < 10; i++) put_uv(&shared.ops, w[i]);
    if (kind == ISG_KIND_AVERAGE_POOL) {
        put_uv(&shared.ops, flags);
        put_uv(&shared.ops, extra_h);
        put_uv(&shared.ops, extra_w);
    }
    expect(&x, 1, &y, 1, "pool");
    free(x.data);
    free(y.data);
}

static void test_pools(void **state)
{
    static const uint32_t windows[][10] = {{3, 3, 2, 2, 1, 1, 1, 1, 1, 1},
                                           {2, 2, 2, 2, 1, 1, 0, 0, 0, 0},
                                           {3, 2, 1, 2, 2, 1, 2, 0, 1, 1},
                                           {7, 6, 1, 1, 1, 1, 0, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        pool_case(ISG_KIND_MAX_POOL, windows[i], 0, 0, 0);
        pool_case(ISG_KIND_AVERAGE_POOL, windows[i], 0, 0, 0);
        pool_case(ISG_KIND_AVERAGE_POOL, windows[i], ISG_POOL_COUNT_INCLUDE_PAD, 0, 0);
    }
    pool_case(ISG_KIND_AVERAGE_POOL, windows[1], ISG_POOL_COUNT_INCLUDE_PAD, 1, 0);
    pool_case(ISG_KIND_AVERAGE_POOL, windows[1], 0, 1, 0);
}

static void test_reductions(void **state)
{
    (void)state;
    for (uint32_t mask = 2; mask < 18; mask += 2) {
        for (uint32_t keep = mask == 16; keep < 2; keep++) {
            const uint32_t m = mask < 16 ? mask : 12, global = mask == 16 && keep;
            tensor x = make_tensor(4, image_dims), y;
            uint32_t dims[4], rank = 0;
            float size = 1;
            for (uint32_t d = 0; d < 4; d++) {
                if (m >> d & 1u) size *= (float)x.dims[d];
                if (!(m >> d & 1u))
                    dims[rank++] = x.dims[d];
                else if (keep)
                    dims[rank++] = 1;
            }
            y = make_tensor(rank, dims);
            for (size_t i = 0; i < y.count; i++) y.data[i] = 0;
            for (size_t i = 0; i < x.count; i++) {
                uint32_t at[4], n = 0;
                size_t place = 0;
                split(&x, i, at);
                for (uint32_t d = 0; d < 4; d++) {
                    if (!(m >> d & 1u))
                        place = place * y.dims[n++] + at[d];
                    else if (keep)
                        n++;
                }
                y.data[place] += x.data[i];
            }
            for (size_t i = 0; i < y.count; i++) y.data[i] /= size;
            begin(&x, 1, 1);
            op_begin(global ? ISG_KIND_GLOBAL_AVERAGE_POOL : ISG_KIND_REDUCE_MEAN, &y, 1);
            put_uv(&shared.ops, 1);
            if (!global) put_uv(&shared.ops, m);
            if (!global) put_uv(&shared.ops, keep);
            expect(&x, 1, &y, 1, "mean");
            if (global) {
                for (size_t i = 0; i < y.count; i++) {
                    y.data[i] = -INFINITY;
                    for (size_t k = 0; k < 42; k++) y.data[i] = fmaxf(y.data[i], x.data[i * 42 + k]);
                }
                begin(&x, 1, 1);
                op_begin(ISG_KIND_GLOBAL_MAX_POOL, &y, 1);
                put_uv(&shared.ops, 1);
                expect(&x, 1, &y, 1, "global max");
            }
            free(x.data);
            free(y.data);
        }
    }
}

static void test_binary(void **state)
{
    static const uint32_t shapes[][5] = {{4, 2, 5, 7, 6}, {4, 1, 5, 1, 1}, {3, 5, 1, 1, 0}, {4, 2, 1, 7, 6},
                                         {4, 2, 5, 1, 1}, {1, 6, 0, 0, 0}, {2, 7, 1, 0, 0}, {4, 1, 1, 1, 1},
                                         {3, 5, 7, 6, 0}, {4, 2, 5, 1, 6}};
    (void)state;
    for (uint32_t a = 0; a < 10; a++) {
        for (uint32_t b = 0; b < 10; b++) {
            tensor in[2] = {make_tensor(shapes[a][0], shapes[a] + 1), make_tensor(shapes[b][0], shapes[b] + 1)}, y;
            const uint32_t rank = in[0].rank > in[1].rank ? in[0].rank : in[1].rank, op = (a + b) % 4;
            uint32_t dims[4];
            for (uint32_t d = 0; d < rank; d++) {
                dims[d] = 1;
                for (int k = 0; k < 2; k++) {
                    const uint32_t skip = rank - in[k].rank;
                    if (d >= skip && in[k].dims[d - skip] > 1) dims[d] = in[k].dims[d - skip];
                }
            }
            y = make_tensor(rank, dims);
            for (size_t i = 0; i < y.count; i++) {
                float v[2];
                uint32_t at[4];
                split(&y, i, at);
                for (int k = 0; k < 2; k++) {
                    uint32_t from[4] = {0};
                    for (uint32_t d = 0; d < in[k].rank; d++)
                        from[d] = in[k].dims[d] > 1 ? at[d + rank - in[k].rank] : 0;
                    v[k] = element(&in[k], from);
                }
                y.data[i] = op == 0 ? v[0] + v[1] : op == 1 ? v[0] - v[1] : op == 2 ? v[0] * v[1] : v[0] / v[1];
                if (y.data[i] < 0) y.data[i] = 0;
            }
            begin(in, 2, 0);
            op_begin(ISG_KIND_BINARY, &y, 0);
            put_uv(&shared.ops, ISG_ACTIVATION_RELU);
            put_uv(&shared.ops, 2);
            put_uv(&shared.ops, 1);
            put_uv(&shared.ops, op);
            expect(in, 2, &y, 0, "binary");
            free(in[0].data);
            free(in[1].data);
            free(y.data);
        }
    }
}

static void test_moves(void **state)
{
    static const uint32_t shapes[][5] = {
        {4, 2, 5, 7, 6}, {3, 4, 3, 5, 0}, {2, 3, 4, 0, 0}, {4, 2, 8, 1, 1}, {4, 2, 1, 3, 5}};
    (void)state;
    for (size_t s = 0; s < 5; s++) {
        const uint32_t rank = shapes[s][0];
        for (uint32_t code = 0; code < 256; code++) { /* transposes: every permutation */
            const uint32_t perm[4] = {code & 3u, code >> 2 & 3u, code >> 4 & 3u, code >> 6};
            uint32_t seen = 0, dims[4];
            tensor x, y;
            for (uint32_t d = 0; d < rank; d++) seen |= 1u << perm[d];
            if (seen != (1u << rank) - 1u || (rank < 4 && code >> (2 * rank))) continue;
            x = make_tensor(rank, shapes[s] + 1);
            for (uint32_t d = 0; d < rank; d++) dims[d] = x.dims[perm[d]];
            y = make_tensor(rank, dims);
            for (size_t i = 0; i < y.count; i++) {
                uint32_t at[4], from[4];
                split(&y, i, at);
                for (uint32_t d = 0; d < rank; d++) from[perm[d]] = at[d];
                y.data[i] = element(&x, from);
            }
            begin(&x, 1, 0);
            op_begin(ISG_KIND_TRANSPOSE, &y, 0);
            put_uv(&shared.ops, 1);
            for (uint32_t d = 0; d < rank; d++) put_uv(&shared.ops, perm[d]);
            expect(&x, 1, &y, 0, "transpose");
            free(x.data);
            free(y.data);
        }
    }
}

static void test_reshape(void **state)
{
    static const uint32_t shapes[][5] = {
        {4, 2, 6, 4, 5}, {4, 2, 2, 12, 5}, {2, 2, 120, 0, 0}, {4, 2, 120, 1, 1}, {3, 2, 6, 20, 0}};
    (void)state;
    for (size_t a = 0; a < 5; a++) {
        for (size_t b = 0; b < 5; b++) {
            tensor x = make_tensor(shapes[a][0], shapes[a] + 1), y = make_tensor(shapes[b][0], shapes[b] + 1);
            memcpy(y.data, x.data, x.count * sizeof(float));
            begin(&x, 1, 1);
            op_begin(ISG_KIND_RESHAPE, &y, 1);
            put_uv(&shared.ops, 1);
            expect(&x, 1, &y, 1, "reshape");
            free(x.data);
            free(y.data);
        }
    }
}

static void test_slice_and_pad(void **state)
{
    static const uint32_t start[4] = {0, 4, 1, 5}, out[4] = {2, 2, 3, 6};
    static const int32_t step[4] = {1, -2, 2, -1};
    static const uint32_t before[4] = {0, 1, 2, 0}, after[4] = {0, 0, 1, 3};
    tensor x = make_tensor(4, image_dims), y = make_tensor(4, out), p;
    uint32_t dims[4];
    (void)state;
    for (size_t i = 0; i < y.count; i++) {
        uint32_t at[4], from[4];
        split(&y, i, at);
        for (int d = 0; d < 4; d++) from[d] = (uint32_t)((int32_t)start[d] + step[d] * (int32_t)at[d]);
        y.data[i] = element(&x, from);
    }
    begin(&x, 1, 1);
    op_begin(ISG_KIND_SLICE, &y, 1);
    put_uv(&shared.ops, 1);
    for (int d = 0; d < 4; d++) {
        put_uv(&shared.ops, start[d]);
        put_sv(&shared.ops, step[d]);
    }
    expect(&x, 1, &y, 1, "slice");
    for (int d = 0; d < 4; d++) dims[d] = x.dims[d] + before[d] + after[d];
    p = make_tensor(4, dims);
    for (uint32_t mode = 0; mode < 3; mode++) {
        for (size_t i = 0; i < p.count; i++) {
            uint32_t at[4], from[4];
            int inside = 1;
            split(&p, i, at);
            for (int d = 0; d < 4; d++) {
                int s = (int)at[d] - (int)before[d], n = (int)x.dims[d];
                if (s < 0 || s >= n) inside = 0;
                if (mode == ISG_FILL_EDGE) s = s < 0 ? 0 : s >= n ? n - 1 : s;
                if (mode == ISG_FILL_REFLECT) s = s < 0 ? -s : s >= n ? 2 * n - 2 - s : s;
                from[d] = (uint32_t)s;
            }
            p.data[i] = inside || mode ? element(&x, from) : 1.5f;
        }
        begin(&x, 1, 1);
        op_begin(ISG_KIND_PAD, &p, 1);
        put_uv(&shared.ops, 1);
        put_uv(&shared.ops, mode);
        put_f32(&shared.ops, 1.5f);
        for (int d = 0; d < 4; d++) {
            put_uv(&shared.ops, before[d]);
            put_uv(&shared.ops, after[d]);
        }
        expect(&x, 1, &p, 1, "pad");
    }
    free(x.data);
    free(y.data);
    free(p.data);
}

static void test_concat(void **state)
{
    (void)state;
    for (uint32_t rank = 2; rank <= 4; rank++) {
        for (uint32_t axis = 1; axis < rank; axis++) {
            tensor in[3], y;
            uint32_t dims[4];
            memcpy(dims, image_dims, sizeof dims);
            dims[axis] = 0;
            for (uint32_t k = 0; k < 3; k++) {
                uint32_t part[4];
                memcpy(part, image_dims, sizeof part);
                part[axis] = 2 + k;
                dims[axis] += 2 + k;
                in[k] = make_tensor(rank, part);
            }
            y = make_tensor(rank, dims);
            for (size_t i = 0; i < y.count; i++) {
                uint32_t at[4], k = 0;
                split(&y, i, at);
                while (at[axis] >= in[k].dims[axis]) at[axis] -= in[k++].dims[axis];
                y.data[i] = element(&in[k], at);
            }
            begin(in, 3, 1);
            op_begin(ISG_KIND_CONCAT, &y, 1);
            put_uv(&shared.ops, 3);
            for (uint32_t k = 0; k < 3; k++) put_uv(&shared.ops, 3 - k);
            put_uv(&shared.ops, axis);
            expect(in, 3, &y, 1, "concat");
            for (uint32_t k = 0; k < 3; k++) free(in[k].data);
            free(y.data);
        }
    }
}

static void test_softmax(void **state)
{
    (void)state;
    for (uint32_t rank = 2; rank <= 4; rank++) {
        for (uint32_t axis = 1; axis < rank; axis++) {
            tensor x = make_tensor(rank, image_dims), y = make_tensor(rank, image_dims);
            for (size_t i = 0; i < y.count; i++) {
                uint32_t at[4];
                double sum = 0, own = x.data[i];
                split(&y, i, at);
                for (at[axis] = 0; at[axis] < x.dims[axis]; at[axis]++) sum += exp(element(&x, at) - own);
                y.data[i] = (float)(1 / sum);
            }
            begin(&x, 1, 1);
            op_begin(ISG_KIND_SOFTMAX, &y, 1);
            put_uv(&shared.ops, 1);
            put_uv(&shared.ops, axis);
            expect(&x, 1, &y, 1, "softmax");
            free(x.data);
            free(y.data);
        }
    }
}

static void test_affine_and_activations(void **state)
{
    (void)state;
    for (uint32_t rank = 2; rank <= 4; rank += 2) {
        tensor x = make_tensor(rank, image_dims), y = make_tensor(rank, image_dims);
        uint32_t scale, shift;
        begin(&x, 1, 1);
        scale = add_vector(&shared, x.dims[1]);
        shift = add_vector(&shared, x.dims[1]);
        for (size_t i = 0; i < y.count; i++) {
            uint32_t at[4];
            const uint8_t *d = shared.blobs.data;
            split(&x, i, at);
            y.data[i] = x.data[i] * isgi_load_f32(d + at[1] * 4u) + isgi_load_f32(d + (x.dims[1] + at[1]) * 4u);
        }
        op_begin(ISG_KIND_AFFINE, &y, 1);
        put_uv(&shared.ops, 0);
        put_uv(&shared.ops, 1);
        put_uv(&shared.ops, scale);
        put_uv(&shared.ops, shift);
        expect(&x, 1, &y, 1, "affine");
        for (uint32_t act = 1; act <= ISG_ACTIVATION_SILU; act++) {
            for (size_t i = 0; i < y.count; i++) {
                const float v = x.data[i], s = 1 / (1 + expf(-v));
                const float all[] = {v,
                                     fmaxf(v, 0),
                                     fminf(fmaxf(v, -1), 2),
                                     v < 0 ? 0.1f * v : v,
                                     s,
                                     fminf(fmaxf(0.2f * v + 0.5f, 0), 1),
                                     v * fminf(fmaxf(v / 6 + 0.5f, 0), 1),
                                     v * s};
                y.data[i] = all[act];
            }
            begin(&x, 1, 1);
            op_begin(ISG_KIND_ACTIVATION, &y, 1);
            put_uv(&shared.ops, act);
            if (act == ISG_ACTIVATION_CLIP) put_f32(&shared.ops, -1);
            if (act == ISG_ACTIVATION_CLIP) put_f32(&shared.ops, 2);
            if (act == ISG_ACTIVATION_LEAKY_RELU) put_f32(&shared.ops, 0.1f);
            if (act == ISG_ACTIVATION_HARD_SIGMOID) put_f32(&shared.ops, 0.2f);
            if (act == ISG_ACTIVATION_HARD_SIGMOID) put_f32(&shared.ops, 0.5f);
            put_uv(&shared.ops, 1);
            expect(&x, 1, &y, 1, "activation");
        }
        free(x.data);
        free(y.data);
    }
}

/* After the others, which it sums up. */
static void test_same_bits_everywhere(void **state)
{
    (void)state;
    if (scalar_digest != SCALAR_DIGEST) fail_msg("digest of scalar results is 0x%08x", scalar_digest);
}

/* Two parts of 8192 items: what is told of the operation is about all of them, and a constant has no batch. */
static void test_batch_in_parts(void **state)
{
    const uint32_t dims[2] = {16384, 64}, one[2] = {1, 64};
    tensor x = make_tensor(2, dims), y = make_tensor(2, dims);
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    isg_rt_model model;
    isg_rt_op info;
    isg_error err = {0};
    isg_weight w;
    const float *in[1] = {x.data}, *constant;
    void *workspace;
    size_t size;
    uint8_t *image;
    (void)state;
    begin(&x, 1, 1);
    put_shape(&shared.constants, 2, one);
    put_uv(&shared.constants, add_vector(&shared, one[1]));
    shared.constant_count++;
    op_begin(ISG_KIND_BINARY, &y, 1);
    put_uv(&shared.ops, ISG_ACTIVATION_NONE);
    put_uv(&shared.ops, 1); /* the constant, then the input */
    put_uv(&shared.ops, 2);
    put_uv(&shared.ops, ISG_BINARY_ADD);
    add_output(&shared, 2);
    image = finish_image(&shared, &size);
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(isg_rt_weight(&model, 0, &w), ISG_OK);
    constant = (const float *)(const void *)w.basis.data;
    options.batch = dims[0];
    assert_int_equal(isg_rt_plan(&model, &options, &memory, &err), ISG_OK);
    assert_true(memory.activation_bytes < 2 * x.count * sizeof *x.data);
    workspace = aligned_alloc(64, memory.workspace_bytes);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, &model, &options, &err), ISG_OK);
    assert_int_equal(isg_rt_op_info(ctx, 0, &info), ISG_OK);
    assert_int_equal(info.input_dims[0], 1);
    assert_int_equal(info.output_dims[0], dims[0]);
    assert_int_equal(isg_rt_run(ctx, in, &y.data, &err), ISG_OK);
    for (size_t i = 0; i < x.count; i++)
        assert_true(y.data[i] == isgi_load_f32((const uint8_t *)(constant + i % 64)) + x.data[i]);
    free(workspace);
    free(image);
    free(x.data);
    free(y.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_slice_and_pad),
        cmocka_unit_test(test_concat),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_affine_and_activations),
        cmocka_unit_test(test_same_bits_everywhere),
        cmocka_unit_test(test_batch_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
