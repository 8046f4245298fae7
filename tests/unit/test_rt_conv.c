/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution in every way of execution against a naive one in double, over odd shapes; workers change no bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>

#include "cpu/cpu.h"
#include "rt/exec.h"
#include "rt/gen.h"
#include "rt_layer.h"

typedef struct conv_case {
    uint32_t batch, ic, ih, iw, oc, groups;
    uint32_t window[10]; /* kh kw sh sw dh dw top left bottom right */
    uint32_t flags, bi, bo, family, bits, mode;
    uint32_t act, bias;
} conv_case;

static const conv_case cases[] = {
    {1, 3, 7, 9, 5, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 1, 1},
    {2, 4, 8, 8, 6, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 0, 0},
    {2, 6, 9, 5, 8, 2, {3, 2, 2, 1, 1, 2, 1, 0, 2, 1}, 0, 0, 0, ISG_QUANT_RAW, 16, 0, 1, 1},
    {1, 6, 9, 5, 9, 3, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDRISE, 4, 3, 0, 1},
    {3, 5, 6, 7, 5, 5, {3, 3, 2, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 1, 1},
    {2, 7, 6, 7, 7, 7, {5, 3, 1, 2, 1, 1, 2, 1, 2, 1}, 5, 2, 0, ISG_QUANT_MIDTREAD, 5, 1, 6, 1},
    {1, 8, 11, 11, 12, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 4, ISG_QUANT_PAPER, 3, 1, 1, 1},
    {3, 8, 11, 6, 13, 1, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, 3, 2, 5, ISG_QUANT_MIDTREAD, 3, 3, 1, 1},
    {2, 9, 6, 6, 10, 1, {3, 3, 1, 2, 2, 1, 2, 1, 2, 0}, 3, 3, 7, ISG_QUANT_MIDRISE, 2, 4, 7, 1},
    {2, 6, 8, 8, 11, 1, {3, 3, 1, 1, 1, 1, 0, 0, 0, 0}, 1, 2, 0, ISG_QUANT_MIDTREAD, 4, 2, 1, 0},
    {2, 16, 5, 7, 20, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 2, 0, 6, ISG_QUANT_MIDRISE, 3, 3, 2, 1},
    {2, 16, 5, 7, 20, 1, {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, 2, 0, 6, ISG_QUANT_PAPER, 1, 2, 0, 1},
    {1, 4, 9, 9, 300, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 2, 0, 8, ISG_QUANT_MIDRISE, 8, 1, 1, 1},
    {1, 64, 20, 20, 48, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 16, ISG_QUANT_MIDTREAD, 6, 1, 1, 1},
    {1, 80, 40, 41, 24, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 3, 24, ISG_QUANT_MIDTREAD, 6, 1, 1, 1},
    {5, 96, 6, 6, 300, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 12, ISG_QUANT_MIDTREAD, 4, 1, 0, 1},
    {1, 20, 8, 8, 36, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 44, ISG_QUANT_MIDTREAD, 3, 3, 1, 1},
    {1, 37, 4, 4, 40, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 20, ISG_QUANT_MIDRISE, 6, 4, 1, 1},
    {2, 24, 16, 15, 40, 1, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, 3, 2, 44, ISG_QUANT_MIDTREAD, 3, 4, 1, 0},
    {1, 12, 30, 70, 20, 1, {5, 5, 2, 1, 2, 3, 4, 6, 4, 6}, 3, 3, 16, ISG_QUANT_MIDTREAD, 6, 2, 6, 1},
    {1, 12, 31, 13, 20, 1, {1, 1, 2, 3, 1, 1, 0, 0, 0, 0}, 3, 2, 17, ISG_QUANT_MIDTREAD, 7, 4, 1, 1},
    {1, 40, 13, 14, 21, 1, {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, 2, 0, 44, ISG_QUANT_MIDTREAD, 3, 4, 7, 1},
    {1, 9, 5, 6, 12, 1, {2, 7, 3, 1, 1, 1, 1, 5, 2, 5}, 1, 3, 0, ISG_QUANT_MIDTREAD, 5, 4, 1, 1},
    {1, 6, 3, 3, 33, 1, {7, 7, 1, 1, 1, 1, 3, 3, 3, 3}, 3, 1, 30, ISG_QUANT_PAPER, 5, 1, 1, 1},
    {4, 700, 1, 1, 33, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, 3, 0, 1},
    {1, 170, 4, 5, 140, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 44, ISG_QUANT_MIDTREAD, 3, 4, 1, 1},
    {2, 150, 3, 2, 101, 1, {3, 3, 2, 1, 1, 2, 1, 2, 1, 2}, 3, 3, 29, ISG_QUANT_MIDRISE, 6, 3, 7, 1},
    {1, 200, 5, 7, 97, 1, {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, 2, 0, 61, ISG_QUANT_MIDTREAD, 4, 1, 7, 0},
    {4, 160, 1, 1, 129, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 3, 2, 40, ISG_QUANT_PAPER, 5, 2, 1, 1},
    {2, 48, 9, 11, 310, 1, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 1, 1},
    {1, 420, 5, 7, 320, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 6, 0},
    {2, 150, 4, 5, 905, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 7, 1},
    {1, 32, 20, 19, 64, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 1, 1},
    {2, 36, 13, 9, 32, 1, {3, 3, 1, 1, 1, 1, 0, 2, 1, 0}, 0, 0, 0, ISG_QUANT_RAW, 16, 0, 6, 1},
    {3, 64, 9, 12, 32, 1, {3, 3, 1, 1, 1, 1, 2, 1, 2, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 6, 3, 0, 0},
    {5, 64, 7, 6, 64, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 1, 1},
    {1, 48, 12, 14, 80, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 9, 48, ISG_QUANT_MIDTREAD, 6, 4, 0, 1},
    {1, 16, 36, 34, 48, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 1, 1},
    {1, 128, 24, 21, 128, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 4, 3, 1, 1},
    {1, 132, 21, 25, 112, 1, {3, 3, 1, 1, 1, 1, 2, 1, 0, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0, 7, 1},
    {3, 36, 20, 19, 16, 1, {3, 3, 1, 1, 1, 1, 1, 0, 1, 2}, 0, 0, 0, ISG_QUANT_PAPER, 5, 1, 7, 0},
};

/* From this one on workers share the columns of factored layers, not their pixels. */
#define FIRST_COLUMNS 25
/* From this one on few pixels meet a large matrix, which AUTO reads in parts or by columns (src/rt/ops_stream.c). */
#define FIRST_STREAM 29
/* From this one on AUTO runs them by Winograd's algorithm, the last two in strips of tiles. */
#define FIRST_WINOGRAD 32

static builder shared;

/* The bits of everything that the plain C kernels made, in every way of execution: docs/numerics.md promises them to
 * every machine. They change only with the definition of a kernel, on purpose. */
static const uint32_t scalar_digests[sizeof cases / sizeof cases[0]] = {
    0x727c630cu, 0x0c61336cu, 0x2c65dfb3u, 0xbfc8c0f9u, 0xddea553eu, 0x1f96b62du, 0x68db9e21u, 0x598d44beu, 0x487fc539u,
    0x01bc6157u, 0x82f96aebu, 0x81f5ebdfu, 0x849a45a7u, 0x874f5175u, 0xad6b7432u, 0xdc8ea85bu, 0x92ffd5adu, 0xb932f53fu,
    0x5d88be42u, 0x138f3d09u, 0x0156367cu, 0xedd54527u, 0xd388337du, 0x60d5b3dfu, 0xe446d883u, 0xb26873eeu, 0xa35714e0u,
    0x3891dc4au, 0xe243f4cbu, 0x5ab622a3u, 0x2aedfcedu, 0x8b79cb31u, 0x8659f430u, 0x7b463183u, 0xddea9f65u, 0xc615691au,
    0xdda4fbefu, 0xb5674a6au, 0x457bea58u, 0x9ef1ef80u, 0x1c8aa65eu,
};

/* Multiply-adds of a dense layer above which a case is left out with INSITU_TEST_QUICK, for emulators. */
#define QUICK_MACS 1000000u

static void put_act(builder *b, uint32_t act)
{
    put_uv(&b->ops, act);
    if (act == ISG_ACTIVATION_CLIP) {
        put_f32(&b->ops, -0.5f);
        put_f32(&b->ops, 0.75f);
    }
}

/* A one-layer image of the case; as a fully connected layer if `fc`; if `sum`, the layer has no activation of its own
 * and the second input is added to what it makes, which takes the activation. */
static uint8_t *build_case(const conv_case *c, int fc, int sum, size_t *size, uint32_t *oh, uint32_t *ow)
{
    const uint32_t in[4] = {0, c->ic, c->ih, c->iw};
    const int depthwise = (c->flags & ISG_WEIGHT_DEPTHWISE) != 0;
    uint32_t out[4] = {0, c->oc, 0, 0}, weight, bias = 0;
    builder *b = &shared;
    reset_builder(b, 7 + c->ic * 31u + c->oc);
    out[2] = *oh = out_size(c->ih, c->window, 0);
    out[3] = *ow = out_size(c->iw, c->window, 1);
    add_input(b, fc ? 2 : 4, in);
    if (sum) add_input(b, fc ? 2 : 4, out);
    weight = add_weight(b, c->flags, c->window[0] * c->window[1], depthwise ? c->ic : c->ic / c->groups,
                        depthwise ? 1 : c->oc, c->bi, c->bo, c->family, c->bits, c->mode);
    if (c->bias) bias = add_vector(b, c->oc) + 1;
    add_op(b, fc ? ISG_KIND_FC : ISG_KIND_CONV, fc ? 2 : 4, out);
    put_act(b, sum ? ISG_ACTIVATION_NONE : c->act);
    put_uv(&b->ops, sum ? 2 : 1);
    put_uv(&b->ops, weight);
    put_uv(&b->ops, bias);
    if (!fc) {
        for (int i = 0; i < 10; i++) put_uv(&b->ops, c->window[i]);
        put_uv(&b->ops, c->groups);
    }
    if (sum) {
        add_op(b, ISG_KIND_BINARY, fc ? 2 : 4, out);
        put_act(b, c->act);
        put_uv(&b->ops, c->oc & 1u ? 1 : 2); /* the convolution is the first or the second operand */
        put_uv(&b->ops, c->oc & 1u ? 2 : 1);
        put_uv(&b->ops, ISG_BINARY_ADD);
    }
    add_output(b, sum ? 3 : 1);
    return finish_image(b, size);
}

static double activate(double x, uint32_t act)
{
    const double t = x / 6 + 0.5;
    if (act == ISG_ACTIVATION_RELU) return x > 0 ? x : 0;
    if (act == ISG_ACTIVATION_CLIP) return x < -0.5 ? -0.5 : x > 0.75 ? 0.75 : x;
    if (act == ISG_ACTIVATION_HARD_SWISH) return x * (t < 0 ? 0 : t > 1 ? 1 : t);
    if (act == ISG_ACTIVATION_SILU) {
        double e = 1, term = 1; /* exp(-|x|) by its series: the arguments are small */
        const double a = x < 0 ? -x : x;
        for (int i = 1; i < 400; i++) {
            term *= a / i;
            e += term;
        }
        return x < 0 ? x / (1 + e) : x / (1 + 1 / e);
    }
    return x;
}

static double naive_pixel(const conv_case *c, const float *w, const float *x, uint32_t n, uint32_t o, uint32_t oy,
                          uint32_t ox)
{
    const uint32_t cg = c->ic / c->groups, og = c->oc / c->groups, group = o / og, *k = c->window;
    const int depthwise = (c->flags & ISG_WEIGHT_DEPTHWISE) != 0;
    double sum = 0;
    for (uint32_t ky = 0; ky < k[0]; ky++) {
        for (uint32_t kx = 0; kx < k[1]; kx++) {
            const int64_t iy = (int64_t)oy * k[2] + ky * k[4] - k[6], ix = (int64_t)ox * k[3] + kx * k[5] - k[7];
            if (iy < 0 || ix < 0 || iy >= c->ih || ix >= c->iw) continue;
            for (uint32_t i = 0; i < cg; i++) {
                const size_t row = (size_t)(ky * k[1] + kx) * (depthwise ? c->ic : cg) + (depthwise ? o : i);
                const double weight = w[depthwise ? row : row * c->oc + o];
                sum += weight * x[((size_t)(n * c->ic + group * cg + i) * c->ih + (size_t)iy) * c->iw + (size_t)ix];
            }
        }
    }
    return sum;
}

/* `r`: the second input or NULL. A `hook` keeps every tensor, so that nothing is fused. */
static float *run_sum(const isg_rt_model *model, const conv_case *c, const float *x, const float *r, size_t outputs,
                      uint32_t isa, uint32_t strategy, uint32_t workers, isg_rt_hook hook, uint32_t *used)
{
    const float *inputs[2] = {x, r};
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    isg_rt_op info;
    isg_error err = {0};
    uint8_t *workspace;
    float *y = (float *)malloc(outputs * sizeof *y);
    options.batch = c->batch;
    options.isa_mask = isa;
    options.strategy = strategy;
    options.hook = hook;
    if (workers > 1) {
        options.parallel.run = run_backwards;
        options.parallel.workers = workers;
    }
    assert_int_equal(isg_rt_plan(model, &options, &memory, &err), ISG_OK);
    workspace = (uint8_t *)aligned_alloc(64, memory.workspace_bytes + 64);
    memset(workspace, 0xff, memory.workspace_bytes + 64); /* NaN everywhere */
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes - 1, model, &options, &err),
                     ISG_E_WORKSPACE);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, memory.workspace_bytes, model, &options, &err), ISG_OK);
    assert_int_equal(isg_rt_run(ctx, inputs, &y, &err), ISG_OK);
    for (int i = 0; i < 64; i++) assert_int_equal(workspace[memory.workspace_bytes + i], 0xff);
    assert_int_equal(isg_rt_op_info(ctx, 0, &info), ISG_OK);
    *used = info.strategy;
    assert_int_equal(ctx->steps[0].conv.parts > 0, isgi_host_is_little() && strategy == ISG_STRATEGY_AUTO &&
                                                       c >= cases + FIRST_STREAM && c < cases + FIRST_WINOGRAD);
    if (strategy == ISG_STRATEGY_FACTORED && c->flags == 3)
        assert_int_equal(ctx->steps[0].conv.fused.u_columns > 0,
                         workers == 3 && c >= cases + FIRST_COLUMNS && c < cases + FIRST_STREAM);
    if (c >= cases + FIRST_WINOGRAD) {
        if (strategy == ISG_STRATEGY_AUTO)
            assert_true(info.macs < info.dense_macs);
        else if (!c->bi)
            assert_int_equal(info.macs, info.dense_macs);
    }
    if (r) {
        assert_int_equal(isg_rt_op_info(ctx, 1, &info), ISG_OK);
        assert_int_equal(info.fused, hook == NULL);
    }
    free(workspace);
    return y;
}

static float *run_case(const isg_rt_model *model, const conv_case *c, const float *x, size_t outputs, uint32_t isa,
                       uint32_t strategy, uint32_t workers, uint32_t *used)
{
    return run_sum(model, c, x, NULL, outputs, isa, strategy, workers, NULL, used);
}

static void compare_case(const conv_case *c, const float *y, const double *want, size_t n, uint32_t strategy)
{
    double top = 1;
    for (size_t i = 0; i < n; i++) top = want[i] > top ? want[i] : -want[i] > top ? -want[i] : top;
    for (size_t i = 0; i < n; i++) {
        if (!(y[i] - want[i] < 2e-5 * top && want[i] - y[i] < 2e-5 * top)) {
            fail_msg("case %d strategy %u element %zu: %g, not %g", (int)(c - cases), strategy, i, (double)y[i],
                     want[i]);
        }
    }
}

/* Whether mask `at` means no other instruction sets on this CPU than one before it. */
static int is_repeated(const uint32_t *masks, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (isgi_cpu_effective_isa(masks[i]) == isgi_cpu_effective_isa(masks[at])) return 1;
    return 0;
}

static int is_left_out(const conv_case *c)
{
    const uint32_t taps = c->window[0] * c->window[1];
    const uint64_t pixels = (uint64_t)c->batch * out_size(c->ih, c->window, 0) * out_size(c->iw, c->window, 1);
    return getenv("INSITU_TEST_QUICK") && pixels * c->oc * (c->ic / c->groups) * taps > QUICK_MACS;
}

static void check_case(const conv_case *c, int fc)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_ALL};
    size_t size;
    uint32_t oh, ow;
    uint8_t *image = build_case(c, fc, 0, &size, &oh, &ow);
    isg_rt_model model;
    isg_error err = {0};
    isg_weight w, bias = {0};
    isgk_table k;
    const size_t inputs = (size_t)c->batch * c->ic * c->ih * c->iw, plane = (size_t)oh * ow;
    const size_t outputs = (size_t)c->batch * c->oc * plane;
    float *x = (float *)malloc(inputs * sizeof *x), *matrix, *scratch;
    double *want = (double *)malloc(outputs * sizeof *want);
    uint32_t digest = 0;
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("case %d: %s", (int)(c - cases), err.message);
    assert_int_equal(isg_rt_weight(&model, 0, &w), ISG_OK);
    if (c->bias) assert_int_equal(isg_rt_weight(&model, 1, &bias), ISG_OK);
    isgk_table_init(&k, 0);
    matrix = (float *)malloc((size_t)w.taps * w.ci * w.co * sizeof *matrix);
    scratch = (float *)malloc((isgi_gen_scratch_floats(&w, w.taps * w.ci) + 1) * sizeof *scratch);
    isgi_gen_rows(&k, matrix, &w, 0, w.taps * w.ci, scratch);
    for (size_t i = 0; i < inputs; i++) x[i] = next_float(&shared);
    for (size_t i = 0; i < outputs; i++) {
        const uint32_t o = (uint32_t)(i / plane % c->oc), p = (uint32_t)(i % plane);
        const double b = c->bias ? isgi_load_f32(bias.basis.data + o * 4u) : 0;
        want[i] = activate(naive_pixel(c, matrix, x, (uint32_t)(i / plane / c->oc), o, p / ow, p % ow) + b, c->act);
    }
    for (size_t a = 0; a < sizeof isas / sizeof *isas; a++) {
        if (is_repeated(isas, a)) continue;
        for (uint32_t strategy = 0; strategy < 5; strategy++) {
            uint32_t used, used3;
            float *one = run_case(&model, c, x, outputs, isas[a], strategy, 1, &used);
            float *three = run_case(&model, c, x, outputs, isas[a], strategy, 3, &used3);
            if (strategy >= 1 && strategy <= 3 && c->flags == 3) assert_int_equal(used, strategy);
            if (c->family == ISG_QUANT_RAW) assert_int_equal(used, ISG_STRATEGY_DENSE);
            compare_case(c, one, want, outputs, used);
            if (isas[a] == ISG_ISA_SCALAR) digest = digest_floats(digest, one, outputs);
            assert_int_equal(used, used3); /* the way does not depend on the workers, so neither do the bits */
            assert_memory_equal(one, three, outputs * sizeof *one);
            free(one);
            free(three);
        }
    }
    if (digest != scalar_digests[c - cases])
        fail_msg("case %d: digest of the scalar results is 0x%08x", (int)(c - cases), digest);
    free(x);
    free(want);
    free(matrix);
    free(scratch);
    free(image);
}

/* The addition done inside the layer gives the bits of the two operations one after the other. */
static void check_sum(const conv_case *c, int fc)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2, ISG_ISA_ALL};
    size_t size;
    uint32_t oh, ow, used;
    uint8_t *image = build_case(c, fc, 1, &size, &oh, &ow);
    const size_t inputs = (size_t)c->batch * c->ic * c->ih * c->iw, outputs = (size_t)c->batch * c->oc * oh * ow;
    float *x = (float *)malloc(inputs * sizeof *x), *r = (float *)malloc(outputs * sizeof *r);
    isg_rt_model model;
    isg_error err = {0};
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("case %d: %s", (int)(c - cases), err.message);
    for (size_t i = 0; i < inputs; i++) x[i] = next_float(&shared);
    for (size_t i = 0; i < outputs; i++) r[i] = next_float(&shared);
    for (size_t a = 0; a < sizeof isas / sizeof *isas; a++) {
        if (is_repeated(isas, a)) continue;
        for (uint32_t strategy = 0; strategy < 5; strategy++) {
            float *apart = run_sum(&model, c, x, r, outputs, isas[a], strategy, 1, no_hook, &used);
            for (uint32_t workers = 1; workers <= 5; workers += 2) {
                float *fused = run_sum(&model, c, x, r, outputs, isas[a], strategy, workers, NULL, &used);
                for (size_t i = 0; i < outputs; i++) {
                    if (memcmp(apart + i, fused + i, sizeof *fused) != 0)
                        fail_msg("case %d strategy %u isa %u workers %u element %zu: %.9g apart, %.9g fused",
                                 (int)(c - cases), strategy, isas[a], workers, i, (double)apart[i], (double)fused[i]);
                }
                free(fused);
            }
            free(apart);
        }
    }
    free(x);
    free(r);
    free(image);
}

static void test_sums(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_left_out(&cases[i])) continue;
        check_sum(&cases[i], 0);
        if (cases[i].ih == 1) check_sum(&cases[i], 1);
    }
}

static void test_all_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (!is_left_out(&cases[i])) check_case(&cases[i], 0);
}

/* A layer of few bits is never unpacked as a whole: not its numbers, nor what Winograd's algorithm makes of them. */
static void test_stays_packed(void **state)
{
    static const uint32_t sides[] = {4, 7, 14, 28, 56};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof sides / sizeof *sides; i++) {
        const uint32_t side = sides[i / 2], levels = i % 2 ? 3 : 0;
        const rt_layer l = {
            512, side, side, 512, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, levels, 3, levels ? 100 : 0, ISG_QUANT_MIDTREAD,
            4,   1};
        const uint64_t map = 4ull * 512 * side * side, whole = 4ull * 9 * 512 * 512;
        isg_rt_options options = ISG_RT_OPTIONS_INIT;
        isg_rt_memory memory;
        isg_rt_model model;
        isg_error err = {0};
        size_t size, outputs;
        uint8_t *image = build_layer(&shared, &l, &size, &outputs);
        if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
        for (uint32_t workers = 1; workers <= 2; workers++) {
            options.parallel = (isg_parallel){run_backwards, NULL, workers};
            assert_int_equal(isg_rt_plan(&model, &options, &memory, &err), ISG_OK);
            if (memory.workspace_bytes > whole / 4 + 5 * map)
                fail_msg("%ux%u pixels, levels %u: %llu bytes", side, side, levels,
                         (unsigned long long)memory.workspace_bytes);
        }
        free(image);
    }
}

static void test_fc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (cases[i].ih == 1) check_case(&cases[i], 1);
}

#define MANY 16u

/* Item 0 of a batch of `batch`. */
static void run_first(const isg_rt_model *model, const float *x, float *y, uint32_t batch, uint32_t strategy)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    framed f;
    options.batch = batch;
    options.strategy = strategy;
    f = open_framed(model, &options);
    assert_int_equal(isg_rt_run(f.ctx, &x, &y, NULL), ISG_OK);
    close_framed(&f);
}

/* A way that is asked for, and what runs where a layer does not have it, give an item the bits it has alone. */
static void test_forced(void **state)
{
    (void)state;
    for (size_t i = 0; i < 18; i++) {
        const rt_layer l = {
            32, 9, 9, 48, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, i % 3 + 1u, 3, i % 3 ? 24 : 0, ISG_QUANT_MIDTREAD, 4, 1};
        const rt_layer point = {
            32, 9, 9, 48, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, i % 3 + 1u, 1, i % 3 ? 24 : 0, ISG_QUANT_MIDTREAD, 4, 1};
        const uint32_t strategy = ISG_STRATEGY_HALF + (uint32_t)i / 3 % 3;
        size_t size, outputs;
        uint8_t *image = build_layer(&shared, i < 9 ? &l : &point, &size, &outputs);
        isg_rt_model model;
        isg_error err = {0};
        float *x = malloc(MANY * 32 * 81 * sizeof *x), *one = malloc(outputs * sizeof *x);
        float *many = malloc(MANY * outputs * sizeof *x);
        assert_true(x && one && many);
        for (size_t k = 0; k < MANY * 32 * 81; k++) x[k] = next_float(&shared);
        if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
        run_first(&model, x, one, 1, strategy);
        run_first(&model, x, many, MANY, strategy);
        if (memcmp(one, many, outputs * sizeof *x) != 0) fail_msg("case %zu: the batch changes bits", i);
        free(x);
        free(one);
        free(many);
        free(image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_cases), cmocka_unit_test(test_fc),
                                       cmocka_unit_test(test_sums), cmocka_unit_test(test_forced),
                                       cmocka_unit_test(test_stays_packed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
