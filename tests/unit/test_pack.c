/* SPDX-License-Identifier: Apache-2.0 */
/* From graph to image and back: same bytes, same numbers, same names; damaged files and failing allocations. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <insitu/format.h>
#include <insitu/pack.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "host/alloc.h"
#include "pack_graphs.h"
#include "temp_folder.h"

static isg_pack_options full_options(void)
{
    static const char *const names[3] = {"cat", "dog", "bird with a \"name\""};
    static isg_input_spec input;
    isg_pack_options o = {.struct_size = sizeof o, .raw_bits = 32, .bias_bits = 32, .golden = 1, .golden_seed = 77};
    input.given = 1;
    input.channels = 3;
    input.height = input.width = 8;
    input.scale = 1.0f / 255.0f;
    for (int i = 0; i < 4; i++) {
        input.mean[i] = 0.25f * (float)i;
        input.std[i] = 0.5f;
    }
    input.crop = 8;
    o.input = &input;
    o.label_offset = -1;
    o.class_names = names;
    o.class_count = 3;
    o.recipe = "{\"layers\":[]}";
    o.license = "Apache-2.0";
    return o;
}

static void *pack(const isg_graph *g, const isg_pack_options *o, size_t *bytes)
{
    isg_error err = {0};
    void *image;
    if (isg_pack_image(g, o, &image, bytes, &err) != ISG_OK) fail_msg("%s", err.message);
    return image;
}

static void test_same_bytes(void **state)
{
    const isg_pack_options o = full_options();
    isg_graph *g = everything_graph(1), *again;
    isg_error err = {0};
    size_t bytes, other;
    void *a = pack(g, &o, &bytes), *b = pack(g, &o, &other);
    (void)state;
    assert_int_equal(bytes, other);
    assert_memory_equal(a, b, bytes);
    isg_free(b);
    if (isg_unpack_image(&again, a, bytes, &err) != ISG_OK) fail_msg("%s", err.message);
    b = pack(again, &o, &other);
    assert_int_equal(bytes, other);
    assert_memory_equal(a, b, bytes);
    assert_true(isg_graph_find_value(again, "image") == again->inputs[0]);
    assert_string_equal(again->values[again->outputs[1]].name, "probabilities");
    isg_graph_destroy(again);
    isg_graph_destroy(g);
    isg_free(a);
    isg_free(b);
}

/* The runtime on the image against the interpreter on the graph. */
static void compare_with_interpreter(const isg_graph *g, uint32_t strategy, uint64_t seed)
{
    const int64_t dims[4] = {2, 3, 8, 8};
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    isg_tensor *x, *want[2];
    float mean[2 * 12], probabilities[2 * 10], *outputs[2] = {mean, probabilities};
    const float *inputs[1];
    isg_model *m;
    isg_session *s;
    isg_error err = {0};
    o.batch = 2;
    o.strategy = strategy;
    assert_int_equal(isg_tensor_create(&x, ISG_DT_F32, 4, dims, NULL), ISG_OK);
    for (int64_t i = 0; i < x->count; i++) ((float *)x->data)[i] = isg_golden_next(&seed);
    inputs[0] = x->data;
    if (isg_interp_run(g, (const isg_tensor *const *)&x, want, &err) != ISG_OK) fail_msg("%s", err.message);
    if (isg_model_from_graph(&m, g, &err) != ISG_OK) fail_msg("%s", err.message);
    if (isg_session_create(&s, m, &o, &err) != ISG_OK) fail_msg("%s", err.message);
    if (isg_session_run(s, inputs, outputs, &err) != ISG_OK) fail_msg("%s", err.message);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < want[k]->count; i++) {
            const float w = ((float *)want[k]->data)[i];
            if (!(fabsf(outputs[k][i] - w) <= 2e-5f * fmaxf(1.0f, fabsf(w)))) {
                fail_msg("strategy %u output %d[%d]: %g, want %g", strategy, k, (int)i, (double)outputs[k][i],
                         (double)w);
            }
        }
        isg_tensor_destroy(want[k]);
    }
    isg_tensor_destroy(x);
    isg_session_destroy(s);
    isg_model_close(m);
}

static void test_same_numbers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        isg_graph *g = everything_graph(seed);
        for (uint32_t strategy = ISG_STRATEGY_AUTO; strategy <= ISG_STRATEGY_FACTORED; strategy++) {
            compare_with_interpreter(g, strategy, seed);
        }
        isg_graph_destroy(g);
    }
}

static void test_fusion(void **state)
{
    static const char *const expected[] = {"stem",    "both", "sum",  "bn",       "dw",    "dwgen", "one",
                                           "grouped", "swap", "swap", "shuffled", "split", "split", "joined"};
    isg_graph *g = everything_graph(4);
    isg_rt_op info;
    isg_session *s;
    isg_model *m;
    (void)state;
    assert_int_equal(isg_model_from_graph(&m, g, NULL), ISG_OK);
    assert_int_equal(isg_session_create(&s, m, NULL, NULL), ISG_OK);
    for (uint32_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(isg_rt_op_info(isg_session_context(s), i, &info), ISG_OK);
        if (info.name_bytes != strlen(expected[i]) || memcmp(info.name, expected[i], info.name_bytes) != 0) {
            fail_msg("op %u is %.*s, want %s", i, (int)info.name_bytes, info.name, expected[i]);
        }
    }
    isg_session_destroy(s);
    isg_model_close(m);
    isg_graph_destroy(g);
}

/* x -> conv a -> conv b with equal weights; the value between is also an output. */
static isg_graph *twins_graph(int between)
{
    const int64_t d[4] = {4, 4, 3, 3};
    int32_t x, y;
    isg_graph *g;
    maker m;
    isgi_rng_seed(&m.rng, 9, 0);
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    g = m.g;
    x = maker_value(&m, "x", 4, ISG_DIM_BATCH, 4, 6, 6, 0);
    assert_int_equal(isg_graph_add_input(g, x, NULL), ISG_OK);
    y = maker_conv(&m, "a", x, maker_constant(&m, "a.w", 4, d, 0.2f), 0, 1, 1);
    if (between) assert_int_equal(isg_graph_add_output(g, y, NULL), ISG_OK);
    y = maker_unary(&m, ISG_OP_RELU, "a.relu", y);
    isgi_rng_seed(&m.rng, 9, 0);
    y = maker_conv(&m, "b", y, maker_constant(&m, "b.w", 4, d, 0.2f), 0, 1, 1);
    assert_int_equal(isg_graph_add_output(g, y, NULL), ISG_OK);
    return g;
}

/* Relu then Clip is one range; a Sigmoid after them is another operation. */
static void test_ranges(void **state)
{
    const int64_t d[4] = {2, 3, 1, 1}, dims[4] = {1, 3, 2, 2};
    const float *in[1];
    float out[8], *outs[1] = {out};
    isg_tensor *x, *want;
    int32_t a;
    isg_session *s;
    isg_model *m;
    isg_graph *g;
    maker k;
    (void)state;
    isgi_rng_seed(&k.rng, 21, 0);
    assert_int_equal(isg_graph_create(&k.g, NULL), ISG_OK);
    g = k.g;
    a = maker_value(&k, "x", 4, ISG_DIM_BATCH, 3, 2, 2, 0);
    assert_int_equal(isg_graph_add_input(g, a, NULL), ISG_OK);
    a = maker_conv(&k, "c", a, maker_constant(&k, "w", 4, d, 3.0f), 0, 1, 1);
    a = maker_unary(&k, ISG_OP_CLIP, "clip", maker_unary(&k, ISG_OP_RELU, "relu", a));
    g->nodes[g->node_count - 1].attr.scalar.lo = -1.0f;
    g->nodes[g->node_count - 1].attr.scalar.hi = 0.75f;
    a = maker_unary(&k, ISG_OP_SIGMOID, "sigmoid", a);
    assert_int_equal(isg_graph_add_output(g, a, NULL), ISG_OK);
    assert_int_equal(isg_tensor_create(&x, ISG_DT_F32, 4, dims, NULL), ISG_OK);
    maker_fill(&k, x->data, 12, 1.0f);
    assert_int_equal(isg_interp_run(g, (const isg_tensor *const *)&x, &want, NULL), ISG_OK);
    assert_int_equal(isg_model_from_graph(&m, g, NULL), ISG_OK);
    assert_int_equal(isg_session_create(&s, m, NULL, NULL), ISG_OK);
    assert_int_equal(isg_rt_op_count(isg_session_context(s)), 2);
    in[0] = x->data;
    assert_int_equal(isg_session_run(s, in, outs, NULL), ISG_OK);
    for (int i = 0; i < 8; i++) assert_true(fabsf(out[i] - ((float *)want->data)[i]) < 1e-6f);
    isg_session_destroy(s);
    isg_model_close(m);
    isg_tensor_destroy(x);
    isg_tensor_destroy(want);
    isg_graph_destroy(g);
}

static void test_equal_weights(void **state)
{
    isg_graph *g = twins_graph(0), *observed = twins_graph(1);
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    isg_session *s;
    isg_model *m;
    size_t bytes;
    (void)state;
    assert_int_equal(isg_model_from_graph(&m, g, NULL), ISG_OK);
    assert_int_equal(isg_rt_weight_count(isg_model_rt(m)), 1);
    assert_non_null(isg_rt_section(isg_model_rt(m), ISG_SECTION_WEIGHTS, &bytes));
    assert_int_equal(bytes, 4 * 4 * 9 * 4);
    assert_int_equal(isg_session_create(&s, m, &o, NULL), ISG_OK);
    assert_int_equal(isg_rt_op_count(isg_session_context(s)), 2);
    isg_session_destroy(s);
    isg_model_close(m);
    /* What is observed before its activation keeps it apart. */
    assert_int_equal(isg_model_from_graph(&m, observed, NULL), ISG_OK);
    assert_int_equal(isg_session_create(&s, m, &o, NULL), ISG_OK);
    assert_int_equal(isg_rt_op_count(isg_session_context(s)), 3);
    isg_session_destroy(s);
    isg_model_close(m);
    isg_graph_destroy(g);
    isg_graph_destroy(observed);
}

static void test_refusals(void **state)
{
    isg_graph *g = twins_graph(0);
    isg_pack_options o = full_options();
    isg_input_spec input;
    isg_error err = {0};
    size_t bytes;
    void *image = NULL;
    (void)state;
    g->nodes[1].op = ISG_OP_GATHER;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "a.relu"));
    assert_int_equal(err.node, 1);
    g->nodes[1].op = ISG_OP_RELU;
    ((float *)g->values[isg_graph_find_value(g, "b.w")].constant->data)[5] = NAN;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_NUMERIC);
    assert_non_null(strstr(err.message, "'b'"));
    o.raw_bits = 8;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_ARG);
    o = full_options();
    o.class_names = NULL;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_ARG);
    o = full_options();
    o.struct_size--;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_ARG);
    o = full_options();
    input = *o.input;
    o.input = &input;
    input.scale = NAN;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_ARG);
    input.scale = 1;
    input.resize = UINT32_MAX;
    assert_int_equal(isg_pack_image(g, &o, &image, &bytes, &err), ISG_E_ARG);
    assert_null(image);
    isg_graph_destroy(g);
}

static void test_half(void **state)
{
    isg_graph *g = twins_graph(0), *again;
    isg_pack_options o = full_options();
    size_t small, large;
    void *a = pack(g, &o, &large), *b;
    (void)state;
    isg_free(a);
    o.raw_bits = o.bias_bits = 16;
    a = pack(g, &o, &small);
    assert_true(small + 256 <= large); /* 576 bytes became 288, sections are multiples of 64 */
    assert_int_equal(isg_unpack_image(&again, a, small, NULL), ISG_OK);
    b = pack(again, &o, &large);
    assert_int_equal(small, large);
    assert_memory_equal(a, b, small);
    isg_graph_destroy(again);
    isg_free(a);
    isg_free(b);
    ((float *)g->values[isg_graph_find_value(g, "b.w")].constant->data)[5] = 1e6f; /* no binary16 number */
    a = pack(g, &o, &large);
    assert_true(large > small + 256);
    isg_free(a);
    isg_graph_destroy(g);
}

static void test_model_file(void **state)
{
    const isg_pack_options o = full_options();
    const char *path = in_folder("everything.isg");
    isg_graph *g = everything_graph(5);
    isg_error err = {0};
    isg_rt_options run = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    double error, tolerance;
    isg_session *s;
    isg_model *m;
    isg_file f;
    uint8_t *copy, *golden;
    size_t bytes;
    (void)state;
    memset(g->source_hash, 0xab, sizeof g->source_hash);
    g->producer = isgi_strdup("hand");
    if (isg_pack_file(g, &o, path, &err) != ISG_OK) fail_msg("%s", err.message);
    if (isg_model_open(&m, path, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_true(isg_model_is_isg(m));
    assert_memory_equal(&isg_model_get_meta(m)->input, o.input, sizeof *o.input);
    assert_int_equal(isg_model_get_meta(m)->label_offset, -1);
    assert_string_equal(isg_model_get_meta(m)->producer, "hand");
    assert_string_equal(isg_model_get_meta(m)->recipe, o.recipe);
    assert_string_equal(isg_model_get_meta(m)->license, "Apache-2.0");
    assert_memory_equal(isg_model_get_meta(m)->source_hash, g->source_hash, 32);
    assert_string_equal(isg_model_class_name(m, 2), "bird with a \"name\"");
    assert_null(isg_model_class_name(m, 3));
    for (uint32_t strategy = ISG_STRATEGY_AUTO; strategy <= ISG_STRATEGY_FACTORED; strategy++) {
        run.strategy = strategy;
        if (isg_model_selftest(m, &run, &error, &tolerance, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_true(error <= tolerance && tolerance > 0);
    }
    setenv("INSITU_ISA", "scalar", 1);
    assert_int_equal(isg_session_create(&s, m, NULL, NULL), ISG_OK);
    assert_string_equal(isg_rt_isa_name(isg_session_context(s)), "scalar");
    isg_session_destroy(s);
    setenv("INSITU_ISA", "sse9", 1);
    assert_int_equal(isg_session_create(&s, m, NULL, &err), ISG_E_ARG);
    assert_int_equal(isg_model_selftest(m, NULL, NULL, NULL, &err), ISG_E_ARG);
    assert_int_equal(isg_model_plan(m, NULL, &memory, &err), ISG_E_ARG);
    setenv("INSITU_ISA", isg_rt_isa() & ISG_ISA_NEON ? "avx2" : "neon", 1); /* no CPU has both */
    assert_int_equal(isg_session_create(&s, m, NULL, &err), ISG_E_ARG);
    assert_non_null(strstr(err.message, "does not have"));
    assert_int_equal(isg_model_selftest(m, NULL, NULL, NULL, &err), ISG_E_ARG);
    unsetenv("INSITU_ISA");
    isg_model_close(m);
    /* The last number of the golden pair changed, under a right checksum. */
    assert_int_equal(isg_file_open(&f, path, NULL), ISG_OK);
    bytes = f.size;
    copy = isgi_malloc(bytes);
    memcpy(copy, f.data, bytes);
    isg_file_close(&f);
    isgi_store_f32(copy + bytes - 4, isgi_load_f32(copy + bytes - 4) + 0.5f);
    assert_int_equal(isg_write_file(path, copy, bytes, NULL), ISG_OK);
    assert_int_equal(isg_model_open(&m, path, &err), ISG_E_CHECKSUM);
    golden = copy + 64 + 32 * (isgi_load_u32(copy + 24) - 1);
    isgi_store_u32(golden + 4, isgi_crc32c(0, copy + isgi_load_u64(golden + 8), isgi_load_u64(golden + 16)));
    isgi_store_u32(copy + 28, 0);
    isgi_store_u32(copy + 28, isgi_crc32c(0, copy, 64 + 32 * isgi_load_u32(copy + 24)));
    assert_int_equal(isg_write_file(path, copy, bytes, NULL), ISG_OK);
    assert_int_equal(isg_model_open(&m, path, &err), ISG_OK);
    assert_int_equal(isg_model_selftest(m, NULL, &error, &tolerance, &err), ISG_E_NUMERIC);
    assert_true(error > 0.4);
    isg_model_close(m);
    isg_free(copy);
    isg_graph_destroy(g);
}

static void test_old_file_survives(void **state)
{
    const isg_pack_options o = full_options();
    const char *path = in_folder("old.isg");
    isg_graph *small = twins_graph(0), *large = everything_graph(6);
    struct rlimit limit, tight;
    isg_model *m;
    isg_error err = {0};
    (void)state;
    assert_int_equal(isg_pack_file(small, &o, path, NULL), ISG_OK);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    tight = limit;
    tight.rlim_cur = 2000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(isg_pack_file(large, &o, path, &err), ISG_E_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(isg_model_open(&m, path, NULL), ISG_OK);
    assert_int_equal(isg_rt_weight_count(isg_model_rt(m)), 1);
    isg_model_close(m);
    assert_int_equal(isg_pack_file(large, &o, in_folder("no/folder.isg"), &err), ISG_E_IO);
    for (unsigned round = 0; round < 10; round++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (;;)
                if (isg_pack_file(round & 1 ? small : large, &o, path, NULL) != ISG_OK) _exit(1);
        }
        usleep(1500u * round);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (isg_model_open(&m, path, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_int_equal(isg_model_selftest(m, NULL, NULL, NULL, NULL), ISG_OK);
        isg_model_close(m);
    }
    isg_graph_destroy(small);
    isg_graph_destroy(large);
}

/* Every allocation of packing, opening, unpacking and running fails once. */
static void test_no_memory(void **state)
{
    const isg_pack_options o = full_options();
    const char *path = in_folder("memory.isg");
    isg_graph *g = everything_graph(7), *again;
    isg_status status = ISG_E_NOMEM;
    isg_session *s;
    isg_model *m;
    isg_file f;
    uint64_t n;
    (void)state;
    for (n = 1; status != ISG_OK; n++) {
        isg_error err = {0};
        isgi_alloc_fail_at(n);
        status = isg_pack_file(g, &o, path, &err);
        isgi_alloc_fail_at(0);
        if (status != ISG_OK && status != ISG_E_NOMEM) fail_msg("allocation %d: %s", (int)n, err.message);
    }
    assert_true(n > 50);
    for (n = 1, status = ISG_E_NOMEM; status != ISG_OK; n++) {
        isgi_alloc_fail_at(n);
        status = isg_model_open(&m, path, NULL);
        if (status == ISG_OK) {
            status = isg_session_create(&s, m, NULL, NULL);
            if (status == ISG_OK) isg_session_destroy(s);
            isg_model_close(m);
        }
        assert_true(status == ISG_OK || status == ISG_E_NOMEM);
    }
    assert_true(n > 5);
    isgi_alloc_fail_at(0);
    assert_int_equal(isg_file_open(&f, path, NULL), ISG_OK);
    for (n = 1, status = ISG_E_NOMEM; status != ISG_OK; n++) {
        isgi_alloc_fail_at(n);
        status = isg_unpack_image(&again, f.data, f.size, NULL);
        assert_true(status == ISG_OK || status == ISG_E_NOMEM);
    }
    isgi_alloc_fail_at(0);
    assert_true(n > 50);
    isg_graph_destroy(again);
    isg_file_close(&f);
    isg_graph_destroy(g);
}

static int32_t resnet_conv(maker *m, const char *name, int32_t x, int64_t co, int64_t k, int64_t stride,
                           const uint8_t bits[3])
{
    const int64_t dims[4] = {co, m->g->values[x].dims[1], k, k};
    const uint8_t family = bits[0] == 32 ? ISG_QUANT_RAW : ISG_QUANT_PAPER;
    return maker_conv(m, name, x, maker_factors(m, "w", 4, dims, 2, 44, 0, family, bits), 1, stride, 1);
}

/* ResNet-18 for CIFAR-10 with BatchNorm folded into biases, at (2, 44) and the given bits. */
static isg_graph *resnet_graph(const uint8_t bits[3])
{
    const int64_t fc[2] = {10, 512}, flat[2] = {0, 512};
    int32_t x, a, b, in[2];
    maker m;
    isgi_rng_seed(&m.rng, 3, 0);
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    x = maker_value(&m, "x", 4, ISG_DIM_BATCH, 3, 32, 32, 0);
    assert_int_equal(isg_graph_add_input(m.g, x, NULL), ISG_OK);
    x = maker_unary(&m, ISG_OP_RELU, "r", resnet_conv(&m, "stem", x, 64, 3, 1, bits));
    for (int block = 0; block < 8; block++) {
        const int64_t co = 64 << block / 2, stride = block >= 2 && block % 2 == 0 ? 2 : 1;
        a = maker_unary(&m, ISG_OP_RELU, "r", resnet_conv(&m, "conv1", x, co, 3, stride, bits));
        a = resnet_conv(&m, "conv2", a, co, 3, 1, bits);
        b = stride == 2 ? resnet_conv(&m, "shortcut", x, co, 1, 2, bits) : x;
        in[0] = a;
        in[1] = b;
        x = maker_value(&m, "sum", 4, ISG_DIM_BATCH, co, m.g->values[a].dims[2], m.g->values[a].dims[3], 0);
        maker_node(&m, ISG_OP_ADD, "sum", in, 2, x);
        x = maker_unary(&m, ISG_OP_RELU, "r", x);
    }
    a = maker_value(&m, "pool", 4, ISG_DIM_BATCH, 512, 1, 1, 0);
    maker_node(&m, ISG_OP_GLOBAL_AVERAGE_POOL, "pool", &x, 1, a);
    in[0] = a;
    in[1] = maker_integers(&m, "shape", 2, flat);
    a = maker_value(&m, "flat", 2, ISG_DIM_BATCH, 512, 0, 0, 0);
    maker_node(&m, ISG_OP_RESHAPE, "flat", in, 2, a);
    in[0] = a;
    in[1] = maker_constant(&m, "fc.w", 2, fc, 0.1f);
    a = maker_value(&m, "logits", 2, ISG_DIM_BATCH, 10, 0, 0, 0);
    maker_node(&m, ISG_OP_GEMM, "fc", in, 2, a)->attr.gemm.trans_b = 1;
    assert_int_equal(isg_graph_add_output(m.g, a, NULL), ISG_OK);
    return m.g;
}

/* SPEC section 9: the counts of the paper's Table 2, confirmed by running the reference. */
static void test_accounting(void **state)
{
    static const struct {
        uint8_t bits[3];
        uint32_t fc_bits;
        double bytes;
    } cases[3] = {{{32, 32, 32}, 32, 2222080.0}, {{8, 8, 8}, 8, 584320.0}, {{3, 6, 3}, 8, 358400.0}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        isg_graph *g = resnet_graph(cases[i].bits);
        isg_accounting a;
        isg_error err = {0};
        isg_model *m;
        if (isg_model_from_graph(&m, g, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_int_equal(isg_model_accounting(m, UINT64_MAX, cases[i].fc_bits, &a, NULL), ISG_OK);
        assert_int_equal(a.params, 555520);
        assert_int_equal(a.params_full, 11173952);
        assert_true(a.bytes == cases[i].bytes && a.bytes_full == 44695808.0);
        assert_true(fabs(a.param_ratio - 0.0497) < 5e-5);
        assert_int_equal(isg_model_accounting(m, 0, cases[i].fc_bits, &a, NULL), ISG_OK);
        assert_true(a.bytes == cases[i].bytes - 38400.0);
        assert_true(a.file_ratio > 0 && a.file_ratio < 0.06);
        isg_model_close(m);
        isg_graph_destroy(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_same_numbers),
        cmocka_unit_test(test_fusion),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_equal_weights),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_model_file),
        cmocka_unit_test(test_old_file_survives),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_accounting),
    };
    return cmocka_run_group_tests(tests, make_folder, clean_folder);
}
