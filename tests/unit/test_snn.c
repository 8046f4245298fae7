/* SPDX-License-Identifier: Apache-2.0 */
/* Spiking execution: counts that can be worked out by hand, the limit of many steps, refusals, failing memory. */
#include <insitu/snn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#include "host/alloc.h"
#include "pack_graphs.h"

static maker m;

static int32_t begin(int64_t c, int64_t h, int64_t w)
{
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    m.g->opset = 17;
    isgi_rng_seed(&m.rng, 20261123, 1);
    const int32_t x = maker_value(&m, "x", 4, ISG_DIM_BATCH, c, h, w, 0);
    assert_int_equal(isg_graph_add_input(m.g, x, NULL), ISG_OK);
    return x;
}

static int32_t constant(const char *name, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d, float value)
{
    const int64_t dims[4] = {a, b, c, d};
    const int32_t v = maker_constant(&m, name, rank, dims, 1.0f);
    for (int64_t i = 0; value != 0.0f && i < m.g->values[v].constant->count; i++)
        ((float *)m.g->values[v].constant->data)[i] = value;
    return v;
}

/* Weights of `value`, or random ones where it is 0. */
static int32_t conv(const char *name, int32_t x, int64_t ci, int64_t co, int64_t k, int64_t stride, int64_t out,
                    float value)
{
    char weight[64];
    int32_t in[2], y;
    isg_node *n;
    snprintf(weight, sizeof weight, "%s.w", name);
    in[0] = x;
    in[1] = constant(weight, 4, co, ci, k, k, value);
    y = maker_value(&m, name, 4, ISG_DIM_BATCH, co, out, out, 0);
    n = maker_node(&m, ISG_OP_CONV, name, in, 2, y);
    n->attr.conv.n = 2;
    n->attr.conv.groups = 1;
    for (int d = 0; d < 2; d++) {
        n->attr.conv.kernel[d] = k;
        n->attr.conv.stride[d] = stride;
        n->attr.conv.dilation[d] = 1;
        n->attr.conv.pads[d] = n->attr.conv.pads[2 + d] = k / 2;
    }
    return y;
}

static void finish(int32_t y)
{
    assert_int_equal(isg_graph_add_output(m.g, y, NULL), ISG_OK);
}

static isg_snn *convert(const float *images, uint32_t count, double percentile, double initial, int per_layer)
{
    const isg_snn_options o = {sizeof o, percentile, initial, per_layer};
    isg_error err = {0};
    isg_snn *snn = NULL;
    if (isg_snn_create(&snn, m.g, images, count, &o, &err) != ISG_OK) fail_msg("%s", err.message);
    return snn;
}

static uint32_t layer_named(const isg_snn *snn, const char *name)
{
    isg_snn_layer info;
    for (uint32_t l = 0; l < isg_snn_layer_count(snn); l++) {
        assert_int_equal(isg_snn_layer_info(snn, l, &info, NULL), ISG_OK);
        if (!strcmp(info.name, name)) return l;
    }
    fail_msg("no layer %s", name);
    return 0;
}

/* One pixel in the corner of a 3 x 3 picture: neurons, then a 3 x 3 convolution to 2 channels. The corner reaches 4
 * outputs of 2 channels each; a current of 0.3 of the threshold from half a threshold fires 3 times in 10 steps. */
static int ask_until_zero(void *user)
{
    int *left = user;
    return (*left)-- == 0;
}

static void test_counts_by_hand(void **unused)
{
    (void)unused;
    const float full[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    float image[9] = {0.3f}, out[18];
    const uint32_t steps[3] = {1, 2, 10};
    float outputs[3 * 18];
    isg_snn_counts totals[3], one;
    isg_snn_layer info;
    isg_snn_state *s;
    int32_t x = begin(1, 3, 3);
    x = maker_unary(&m, ISG_OP_RELU, "fire", x);
    finish(conv("c", x, 1, 2, 3, 1, 3, 2.0f));
    isg_snn *snn = convert(full, 1, 100.0, 0.5, 0);
    assert_int_equal(isg_snn_input_count(snn), 9);
    assert_int_equal(isg_snn_output_count(snn), 18);
    assert_int_equal(isg_snn_layer_count(snn), 2);
    assert_int_equal(isg_snn_layer_info(snn, 0, &info, NULL), ISG_OK);
    assert_string_equal(info.kind, "neurons");
    assert_int_equal(info.neurons, 9);
    assert_float_equal(info.threshold, 1.0, 1e-6);
    assert_int_equal(isg_snn_layer_info(snn, 1, &info, NULL), ISG_OK);
    assert_string_equal(info.kind, "conv");
    assert_false(info.graded);
    assert_int_equal(info.synapses, (4 * 4 + 4 * 6 + 9) * 2);
    assert_int_equal(isg_snn_layer_info(snn, 2, &info, NULL), ISG_E_ARG);
    assert_int_equal(isg_snn_state_create(&s, snn, NULL), ISG_OK);
    assert_int_equal(isg_snn_run(s, image, steps, 3, outputs, totals, NULL), ISG_OK);
    /* 0.5 + 0.3 t passes 1 at t = 2, 2 at t = 5, 3 at t = 9 */
    assert_int_equal(totals[0].spikes, 0);
    assert_int_equal(totals[1].spikes, 1);
    assert_int_equal(totals[2].spikes, 3);
    assert_int_equal(totals[2].synaptic_ops, 3 * 4 * 2);
    assert_int_equal(totals[2].macs, 0);
    assert_int_equal(totals[2].updates, 10 * 9);
    memcpy(out, outputs + 2 * 18, sizeof out);
    assert_float_equal(out[0], 3.0f / 10.0f * 2.0f, 1e-6);
    assert_float_equal(out[4], 3.0f / 10.0f * 2.0f, 1e-6);
    assert_float_equal(out[8], 0.0f, 1e-6);
    one = isg_snn_state_counts(s, 1);
    assert_int_equal(one.inputs, 3);
    assert_int_equal(one.synaptic_ops, 24);
    /* a run that is stopped before its fourth step leaves the counts alone */
    {
        int left = 3;
        const isg_progress progress = {NULL, ask_until_zero, &left};
        isg_snn_state_set_progress(s, &progress);
        assert_int_equal(isg_snn_run(s, image, steps, 3, outputs, totals, NULL), ISG_E_CANCELLED);
        assert_int_equal(left, -1);
        isg_snn_state_set_progress(s, NULL);
        one = isg_snn_state_counts(s, 1);
        assert_int_equal(one.inputs, 3);
    }
    /* a second run adds to the counts of the state and starts from rest */
    assert_int_equal(isg_snn_run(s, image, steps, 3, outputs, totals, NULL), ISG_OK);
    assert_int_equal(totals[2].spikes, 3);
    assert_int_equal(isg_snn_state_counts(s, 1).inputs, 6);
    isg_snn_state_destroy(s);
    isg_snn_destroy(snn);
    isg_graph_destroy(m.g);
}

/* Picture -> conv (graded, once) -> ReLU -> conv stride 2 -> + shortcut -> ReLU -> average pool -> 1x1 conv. */
static void residual_net(void)
{
    int32_t x = begin(3, 8, 8), add[2], y, pool;
    isg_node *n;
    const int64_t dims[4] = {ISG_DIM_BATCH, 4, 2, 2};
    x = maker_unary(&m, ISG_OP_RELU, "r1", conv("c1", x, 3, 4, 3, 1, 8, 0.0f));
    add[0] = conv("c2", x, 4, 4, 3, 1, 8, 0.0f);
    add[1] = x;
    y = maker_value(&m, "sum", 4, ISG_DIM_BATCH, 4, 8, 8, 0);
    maker_node(&m, ISG_OP_ADD, "sum", add, 2, y);
    y = maker_unary(&m, ISG_OP_RELU, "r2", y);
    pool = isg_graph_add_value(m.g, "pool", ISG_DT_F32, 4, dims);
    n = maker_node(&m, ISG_OP_AVERAGE_POOL, "pool", &y, 1, pool);
    n->attr.conv.n = 2;
    for (int d = 0; d < 2; d++) {
        n->attr.conv.kernel[d] = n->attr.conv.stride[d] = 4;
        n->attr.conv.dilation[d] = 1;
    }
    finish(conv("c3", pool, 4, 5, 1, 1, 2, 0.0f));
}

static void test_many_steps_reach_relu(void **unused)
{
    (void)unused;
    const int64_t dims[4] = {1, 3, 8, 8};
    const uint32_t steps[2] = {64, 8192};
    float outputs[2 * 20];
    double error[2] = {0, 0}, size = 0;
    isg_snn_counts totals[2];
    isg_snn_state *s;
    isg_tensor *x, *want;
    residual_net();
    assert_int_equal(isg_tensor_create(&x, ISG_DT_F32, 4, dims, NULL), ISG_OK);
    maker_fill(&m, x->data, (size_t)x->count, 1.0f);
    isg_snn *snn = convert(x->data, 1, 100.0, 0.5, 0);
    assert_int_equal(isg_snn_state_create(&s, snn, NULL), ISG_OK);
    assert_int_equal(isg_snn_run(s, x->data, steps, 2, outputs, totals, NULL), ISG_OK);
    assert_int_equal(isg_interp_run(m.g, (const isg_tensor *const *)&x, &want, NULL), ISG_OK);
    assert_int_equal(want->count, 20);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < 20; i++)
            error[k] = fmax(error[k], fabs((double)(outputs[k * 20 + i] - ((float *)want->data)[i])));
    for (int64_t i = 0; i < 20; i++) size = fmax(size, fabs((double)((float *)want->data)[i]));
    if (error[1] > 0.01 * size || error[1] > error[0])
        fail_msg("outputs of size %g differ by %g after 64 and %g after 8192 steps", size, error[0], error[1]);
    /* the picture is multiplied once however long the run is; taps that fall into the padding cost nothing */
    assert_int_equal(totals[0].macs, totals[1].macs);
    assert_int_equal(totals[1].macs, (uint64_t)22 * 22 * 3 * 4);
    assert_int_equal(isg_snn_state_counts(s, layer_named(snn, "sum")).synaptic_ops,
                     isg_snn_state_counts(s, layer_named(snn, "r1")).spikes);
    assert_int_equal(isg_snn_state_counts(s, layer_named(snn, "pool")).synaptic_ops,
                     isg_snn_state_counts(s, layer_named(snn, "r2")).spikes);
    assert_int_equal(isg_snn_state_counts(s, layer_named(snn, "c3")).synaptic_ops,
                     isg_snn_state_counts(s, layer_named(snn, "pool")).spikes * 5);
    isg_tensor_destroy(x);
    isg_tensor_destroy(want);
    isg_snn_state_destroy(s);
    isg_snn_destroy(snn);
    isg_graph_destroy(m.g);
}

/* Weights that exist only as factors are generated, and give what the interpreter gives with them. */
static void test_factors(void **unused)
{
    (void)unused;
    static const uint8_t bits[3] = {4, 6, 4};
    const int64_t dims[4] = {1, 6, 5, 5}, shape[4] = {8, 6, 3, 3};
    const uint32_t steps = 4096;
    float output[200];
    double error = 0, size = 0;
    isg_snn_state *s;
    isg_tensor *x, *want;
    int32_t in[2], y;
    isg_node *n;
    in[0] = maker_unary(&m, ISG_OP_RELU, "fire", begin(6, 5, 5));
    in[1] = maker_factors(&m, "w", 4, shape, 2, 4, 0, ISG_QUANT_MIDTREAD, bits);
    y = maker_value(&m, "y", 4, ISG_DIM_BATCH, 8, 5, 5, 0);
    n = maker_node(&m, ISG_OP_CONV, "conv", in, 2, y);
    n->attr.conv.n = 2;
    n->attr.conv.groups = 1;
    for (int d = 0; d < 2; d++) {
        n->attr.conv.kernel[d] = 3;
        n->attr.conv.stride[d] = n->attr.conv.dilation[d] = 1;
        n->attr.conv.pads[d] = n->attr.conv.pads[2 + d] = 1;
    }
    finish(y);
    assert_int_equal(isg_tensor_create(&x, ISG_DT_F32, 4, dims, NULL), ISG_OK);
    maker_fill(&m, x->data, (size_t)x->count, 1.0f);
    isg_snn *snn = convert(x->data, 1, 100.0, 0.5, 0);
    assert_int_equal(isg_snn_state_create(&s, snn, NULL), ISG_OK);
    assert_int_equal(isg_snn_run(s, x->data, &steps, 1, output, NULL, NULL), ISG_OK);
    assert_int_equal(isg_interp_run(m.g, (const isg_tensor *const *)&x, &want, NULL), ISG_OK);
    assert_int_equal(want->count, 200);
    for (int64_t i = 0; i < want->count; i++) {
        error = fmax(error, fabs((double)(output[i] - ((float *)want->data)[i])));
        size = fmax(size, fabs((double)((float *)want->data)[i]));
    }
    if (!(size > 0.0) || error > 0.01 * size) fail_msg("outputs of size %g differ by %g", size, error);
    isg_tensor_destroy(x);
    isg_tensor_destroy(want);
    isg_snn_state_destroy(s);
    isg_snn_destroy(snn);
    isg_graph_destroy(m.g);
}

static void test_prefixes_are_runs(void **unused)
{
    (void)unused;
    const uint32_t both[2] = {5, 12}, bad[2] = {5, 5};
    float image[192], together[40], alone[20];
    isg_snn_state *s;
    residual_net();
    maker_fill(&m, image, 192, 1.0f);
    isg_snn *snn = convert(image, 1, 0.0, 0.0, 1);
    assert_int_equal(isg_snn_state_create(&s, snn, NULL), ISG_OK);
    assert_int_equal(isg_snn_run(s, image, both, 2, together, NULL, NULL), ISG_OK);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(isg_snn_run(s, image, &both[k], 1, alone, NULL, NULL), ISG_OK);
        assert_memory_equal(alone, together + k * 20, sizeof alone);
    }
    assert_int_equal(isg_snn_run(s, image, bad, 2, together, NULL, NULL), ISG_E_ARG);
    assert_int_equal(isg_snn_run(s, image, bad, 0, together, NULL, NULL), ISG_E_ARG);
    image[7] = NAN;
    assert_int_equal(isg_snn_run(s, image, both, 2, together, NULL, NULL), ISG_E_NUMERIC);
    isg_snn_state_destroy(s);
    isg_snn_destroy(snn);
    isg_graph_destroy(m.g);
}

static void test_saturates_at_the_limit_of_a_clip(void **unused)
{
    (void)unused;
    const float image[4] = {10, 3, -1, 6};
    const uint32_t steps = 1000;
    const float want[4] = {6, 3, 0, 6};
    float out[4];
    isg_snn_state *s;
    int32_t x = begin(1, 2, 2);
    x = maker_unary(&m, ISG_OP_CLIP, "relu6", x);
    m.g->nodes[0].attr.scalar.lo = 0.0f;
    m.g->nodes[0].attr.scalar.hi = 6.0f;
    finish(x);
    isg_snn *snn = convert(image, 1, 100.0, 0.5, 0);
    assert_int_equal(isg_snn_state_create(&s, snn, NULL), ISG_OK);
    assert_int_equal(isg_snn_run(s, image, &steps, 1, out, NULL, NULL), ISG_OK);
    for (int i = 0; i < 4; i++) assert_float_equal(out[i], want[i], 0.01);
    isg_snn_state_destroy(s);
    isg_snn_destroy(snn);
    isg_graph_destroy(m.g);
}

static int32_t reshape(const char *name, int32_t x, int32_t rank, const int64_t *dims)
{
    const int32_t in[2] = {x, maker_integers(&m, name, rank, dims)};
    const int32_t y = maker_value(&m, name, rank, dims[0], dims[1], dims[2], dims[3], 0);
    maker_node(&m, ISG_OP_RESHAPE, name, in, 2, y);
    return y;
}

/* A picture that a Reshape makes several rows of: the Gemm takes each. One that becomes several pictures is refused. */
static void test_rows(void **unused)
{
    static const int64_t four[4] = {4, 2}, one[4] = {1, 12}, two[4] = {2, 4, 1, 1};
    const float image[8] = {1, -2, 0, 3, 0, 0, -1, 2};
    const isg_snn_options o = ISG_SNN_OPTIONS_INIT;
    const uint32_t step = 1;
    float out[12];
    isg_snn_counts total;
    isg_snn_state *s;
    isg_tensor x = {0}, *y = NULL;
    const isg_tensor *inputs = &x;
    isg_snn *snn = NULL;
    int32_t in[3];
    (void)unused;
    in[0] = reshape("rows", begin(2, 2, 2), 2, four);
    in[1] = constant("w", 2, 3, 2, 0, 0, 0.0f);
    in[2] = constant("b", 1, 3, 0, 0, 0, 0.0f);
    in[0] = maker_node(&m, ISG_OP_GEMM, "gemm", in, 3, maker_value(&m, "gemm", 2, 4, 3, 0, 0, 0))->outputs[0];
    m.g->nodes[m.g->node_count - 1].attr.gemm.trans_b = 1;
    finish(reshape("row", in[0], 2, one));
    snn = convert(image, 1, 100.0, 0.5, 0);
    assert_int_equal(isg_snn_state_create(&s, snn, NULL), ISG_OK);
    assert_int_equal(isg_snn_run(s, image, &step, 1, out, &total, NULL), ISG_OK);
    x.dtype = ISG_DT_F32;
    x.rank = 4;
    x.dims[0] = 1;
    x.dims[1] = x.dims[2] = x.dims[3] = 2;
    x.count = 8;
    x.data = (void *)(uintptr_t)image;
    assert_int_equal(isg_interp_run(m.g, &inputs, &y, NULL), ISG_OK);
    for (int i = 0; i < 12; i++) assert_float_equal(out[i], ((const float *)y->data)[i], 1e-6);
    assert_int_equal(total.macs, 5 * 3);
    isg_tensor_destroy(y);
    isg_snn_state_destroy(s);
    isg_snn_destroy(snn);
    isg_graph_destroy(m.g);
    finish(conv("c", reshape("two", begin(2, 2, 2), 4, two), 4, 2, 1, 1, 1, 0.0f));
    assert_int_equal(isg_snn_create(&snn, m.g, image, 1, &o, NULL), ISG_E_UNSUPPORTED);
    isg_graph_destroy(m.g);
}

static void refuse(isg_op op, const char *word)
{
    const float image[4] = {1, 2, 3, 4};
    isg_error err = {0};
    isg_snn *snn = NULL;
    int32_t x = begin(1, 2, 2);
    finish(maker_unary(&m, op, "layer7", x));
    m.g->nodes[0].attr.scalar.lo = -1.0f;
    assert_int_equal(isg_snn_create(&snn, m.g, image, 1, NULL, &err), ISG_E_UNSUPPORTED);
    assert_null(snn);
    if (!strstr(err.message, "layer7") || !strstr(err.message, word)) fail_msg("message: %s", err.message);
    isg_graph_destroy(m.g);
}

static void test_refuses_by_name(void **unused)
{
    (void)unused;
    const float image[4] = {1, 2, 3, NAN};
    isg_snn_options o = ISG_SNN_OPTIONS_INIT;
    isg_snn *snn = NULL;
    refuse(ISG_OP_SIGMOID, "ReLU");
    refuse(ISG_OP_GLOBAL_MAX_POOL, "max pooling");
    refuse(ISG_OP_CLIP, "begin at 0");
    finish(maker_unary(&m, ISG_OP_RELU, "r", begin(1, 2, 2)));
    assert_int_equal(isg_snn_create(&snn, m.g, image, 1, NULL, NULL), ISG_E_NUMERIC);
    assert_int_equal(isg_snn_create(&snn, m.g, image, 0, NULL, NULL), ISG_E_ARG);
    o.percentile = 101.0;
    assert_int_equal(isg_snn_create(&snn, m.g, image, 1, &o, NULL), ISG_E_ARG);
    o.percentile = 50.0;
    o.initial = -0.1;
    assert_int_equal(isg_snn_create(&snn, m.g, image, 1, &o, NULL), ISG_E_ARG);
    assert_null(snn);
    isg_graph_destroy(m.g);
}

static void test_every_allocation_may_fail(void **unused)
{
    (void)unused;
    float image[192], out[20];
    const uint32_t steps = 2;
    int worked = 0;
    residual_net();
    maker_fill(&m, image, 192, 1.0f);
    for (uint64_t n = 1; !worked && n < 2000; n++) {
        isg_snn *snn = NULL;
        isg_snn_state *s = NULL;
        isg_status status;
        (void)isgi_alloc_fail_at(n);
        status = isg_snn_create(&snn, m.g, image, 1, NULL, NULL);
        if (status == ISG_OK) status = isg_snn_state_create(&s, snn, NULL);
        if (status == ISG_OK) status = isg_snn_run(s, image, &steps, 1, out, NULL, NULL);
        if (status != ISG_OK) assert_int_equal(status, ISG_E_NOMEM);
        worked = isgi_alloc_fail_at(0) < n && status == ISG_OK;
        isg_snn_state_destroy(s);
        isg_snn_destroy(snn);
    }
    assert_true(worked);
    isg_graph_destroy(m.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_by_hand),
        cmocka_unit_test(test_many_steps_reach_relu),
        cmocka_unit_test(test_prefixes_are_runs),
        cmocka_unit_test(test_saturates_at_the_limit_of_a_clip),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refuses_by_name),
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    (void)everything_graph; /* of the shared helpers */
    return cmocka_run_group_tests_name("snn", tests, NULL, NULL);
}
