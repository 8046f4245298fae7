/* SPDX-License-Identifier: Apache-2.0 */
/* C source of a model: what it says, how it escapes, what it refuses; tests/cli/test_export_c.sh compiles and runs it.
 */
#define _XOPEN_SOURCE 700
#include <insitu/pack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#include "host/alloc.h"
#include "pack/c_text.h"
#include "pack_graphs.h"
#include "temp_folder.h"

static const isg_c_options usual = {sizeof usual, ISG_MODE_F32, ISG_ISA_ALL, "my_Net", "my-net.h"};

static isg_model *everything(void)
{
    static const char *const names[3] = {"cat", "\"dog\" \\ ?\?/", "\xc3\xa9t\xc3\xa9"};
    static isg_input_spec input = {
        .channels = 3, .height = 8, .width = 8, .given = 1, .bgr = 1, .resize = 9, .crop = 8};
    const isg_pack_options o = {.struct_size = sizeof o,
                                .raw_bits = 32,
                                .bias_bits = 32,
                                .golden = 1,
                                .golden_seed = 0x123456789abcdef0u,
                                .input = &input,
                                .label_offset = -1,
                                .class_names = names,
                                .class_count = 3,
                                .license = "mine */ int x; /* \n\\ @$"};
    isg_graph *g = everything_graph(3);
    isg_error err = {0};
    isg_model *m;
    const char *path = in_folder("everything.isg");
    if (isg_pack_file(g, &o, path, &err) != ISG_OK || isg_model_open(&m, path, &err) != ISG_OK)
        fail_msg("%s", err.message);
    isg_graph_destroy(g);
    return m;
}

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' is missing", part);
}

static void test_texts(void **state)
{
    isg_model *m = everything();
    isg_c_source s, again;
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_error err = {0};
    char line[80];
    (void)state;
    if (isg_model_c_source(&s, m, &usual, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(strlen(s.source), s.source_bytes);
    assert_int_equal(strlen(s.header), s.header_bytes);
    assert_int_equal(s.image_bytes, isg_model_file_bytes(m));
    o.isa_mask = ISG_ISA_SCALAR;
    assert_int_equal(isg_rt_plan(isg_model_rt(m), &o, &memory, NULL), ISG_OK);
    assert_true(s.workspace_bytes >= memory.workspace_bytes + 64);
    snprintf(line, sizeof line, "#else\n#define MY_NET_WORKSPACE_BYTES %lluu\n#endif\n",
             (unsigned long long)memory.workspace_bytes + 64);
    assert_says(s.header, line);
    assert_says(s.header, "Licence of the model: mine ./ int x; /. .. @$. The code");
    assert_says(s.header, "#define MY_NET_INPUT_NAME \"image\"\n");
    assert_says(s.header, "#define MY_NET_OUTPUT1_NAME \"probabilities\"\n");
    assert_says(s.header, "#define MY_NET_INPUT_SHAPE {1, 3, 8, 8}\n");
    assert_says(s.header,
                "#define MY_NET_INPUT_MEAN {0.0f, 0.0f, 0.0f}\n#define MY_NET_INPUT_STD {1.0f, 1.0f, 1.0f}\n");
    assert_says(s.header, "#define MY_NET_INPUT_SCALE 1.0f\n");
    assert_says(s.header, "Channels: blue, green, red");
    assert_says(s.header, "#define MY_NET_LABEL_OFFSET -1\n");
    assert_says(s.header, "isg_status my_Net_init(void *workspace, size_t bytes);\n");
    assert_says(s.source, "#include \"my-net.h\"\n");
    assert_says(s.source, "    \"\\\"dog\\\" \\\\ \\?\\?/\",\n    \"\\303\\251t\\303\\251\",\n");
    assert_says(s.source, "    137,73,83,71,13,10,26,10,");
    assert_null(strstr(s.source, "@_"));
    assert_null(strstr(s.source, "$_"));
    assert_int_equal(isg_model_c_source(&again, m, &usual, &err), ISG_OK);
    assert_string_equal(s.source, again.source);
    assert_string_equal(s.header, again.header);
    isg_c_source_free(&again);
    isg_c_source_free(&s);
    isg_c_source_free(&s);
    isg_model_close(m);
}

/* The digits behind `before`. */
static unsigned long pair_of(const char *text, const char *before)
{
    const char *at = strstr(text, before);
    if (!at) fail_msg("'%s' is missing", before);
    return strtoul(at + strlen(before), NULL, 16);
}

/* float32 is compared with the model's own golden pair, other modes with what they give. */
static void test_selftest_numbers(void **state)
{
    isg_model *m = everything();
    isg_c_options o = usual;
    isg_c_source s;
    (void)state;
    assert_int_equal(isg_model_c_source(&s, m, &o, NULL), ISG_OK);
    assert_says(s.source, "    uint64_t seed = (uint64_t)0x12345678u << 32 | 0x9abcdef0u;\n");
    assert_says(s.source, "#define MY_NET_WANTED(i) my_Net_u32(my_Net_image + ");
    assert_says(s.header, "what its maker got, which the model carries.\n");
    isg_c_source_free(&s);
    o.mode = ISG_MODE_BF16;
    assert_int_equal(isg_model_c_source(&s, m, &o, NULL), ISG_OK);
    assert_says(s.source, "    uint64_t seed = (uint64_t)0x12345678u << 32 | 0x9abcdef0u;\n");
    assert_says(s.source, "#define MY_NET_WANTED(i) my_Net_wanted[i]\n");
    assert_says(s.source, " <= largest * 0.0299999993f ? ISG_OK : ISG_E_NUMERIC;\n");
    isg_c_source_free(&s);
    isg_model_close(m);
}

/* Header and source know each other by a number, which another mode changes though the sizes are the same. */
static void test_pair(void **state)
{
    isg_model *m = everything();
    unsigned long pairs[2];
    isg_c_options o = usual;
    isg_c_source s;
    (void)state;
    for (int i = 0; i < 2; i++) {
        o.mode = i ? ISG_MODE_BF16 : ISG_MODE_F32;
        assert_int_equal(isg_model_c_source(&s, m, &o, NULL), ISG_OK);
        assert_says(s.header, i ? "#define MY_NET_MODE ISG_MODE_BF16\n" : "#define MY_NET_MODE ISG_MODE_F32\n");
        pairs[i] = pair_of(s.header, "#define MY_NET_PAIR 0x");
        assert_int_equal(pair_of(s.source, "\n#if MY_NET_PAIR != 0x"), pairs[i]);
        isg_c_source_free(&s);
    }
    assert_int_not_equal(pairs[0], pairs[1]);
    isg_model_close(m);
}

static void test_refusals(void **state)
{
    static const char *const prefixes[] = {
        "",    "9a",    "_a",   "a-b",      "a b",
        "isg", "ISG_x", "isgi", "\xc3\xa9", "a234567890123456789012345678901234567890123456789012345678901234"};
    static const char *const headers[] = {"", "a\"b.h", "a\\b.h", "a/b.h", "a\n.h", "a b.h"};
    isg_model *m = everything();
    isg_error err;
    isg_c_options o;
    isg_c_source s;
    (void)state;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        o = usual;
        o.prefix = prefixes[i];
        assert_int_equal(isg_model_c_source(&s, m, &o, &err), ISG_E_ARG);
        assert_null(s.source);
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        o = usual;
        o.header = headers[i];
        assert_int_equal(isg_model_c_source(&s, m, &o, &err), ISG_E_ARG);
    }
    o = usual;
    o.struct_size--;
    assert_int_equal(isg_model_c_source(&s, m, &o, &err), ISG_E_ARG);
    assert_int_equal(isg_model_c_source(&s, m, NULL, &err), ISG_E_ARG);
    o = usual;
    o.mode = 3;
    assert_int_equal(isg_model_c_source(&s, m, &o, &err), ISG_E_ARG);
    o.mode = ISG_MODE_INT8; /* no ranges */
    assert_int_equal(isg_model_c_source(&s, m, &o, &err), ISG_E_UNSUPPORTED);
    o = usual;
    o.isa_mask = ISG_ISA_AVX2 | ISG_ISA_AVX512;
    assert_int_equal(isg_model_c_source(&s, m, &o, &err), (isg_rt_isa() & ISG_ISA_AVX512) ? ISG_OK : ISG_E_ARG);
    isg_c_source_free(&s);
    isg_model_close(m);
}

static void test_no_memory(void **state)
{
    isg_model *m = everything();
    isg_c_options o = usual;
    isg_c_source s;
    isg_error err;
    isg_status status = ISG_E_NOMEM;
    uint64_t n;
    (void)state;
    o.mode = ISG_MODE_BF16; /* its self-test runs the network */
    for (n = 1; status == ISG_E_NOMEM; n++) {
        (void)isgi_alloc_fail_at(n);
        status = isg_model_c_source(&s, m, &o, &err);
        (void)isgi_alloc_fail_at(0);
        assert_true(status == ISG_OK || (!s.source && !s.header));
    }
    assert_int_equal(status, ISG_OK);
    assert_true(n > 3);
    isg_c_source_free(&s);
    isg_model_close(m);
}

/* Numbers read back as they were, tables fill their lines, and what is too long is told. */
static void test_text(void **state)
{
    static const float numbers[] = {0.1f, 1.0f, 1e-30f, 3.4e38f, -255.0f, 16777216.0f};
    uint8_t bytes[256];
    isgi_c_text t;
    isg_error err;
    char *text, *at;
    size_t size, longest = 0;
    (void)state;
    isgi_c_text_init(&t, "a", 100000, &err);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        isgi_c_text_float(&t, numbers[i]);
        isgi_c_text_put(&t, " ");
    }
    assert_int_equal(isgi_c_text_take(&t, &text, &size), ISG_OK);
    at = text;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_true(strtof(at, &at) == numbers[i]);
        assert_memory_equal(at, "f ", 2);
        at += 2;
    }
    isg_free(text);
    isgi_c_text_init(&t, "a", 100000, &err);
    for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)i;
    isgi_c_text_bytes(&t, bytes, 256);
    assert_int_equal(isgi_c_text_take(&t, &text, &size), ISG_OK);
    at = text;
    for (int i = 0; i < 256; i++) {
        assert_int_equal(strtol(at, &at, 10), i);
        assert_int_equal(*at++, ',');
    }
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        if ((size_t)(strchr(line, '\n') - line) > longest) longest = (size_t)(strchr(line, '\n') - line);
    assert_in_range(longest, 117, 120);
    isg_free(text);
    isgi_c_text_init(&t, "a", 100, &err);
    isgi_c_text_bytes(&t, bytes, 256);
    assert_int_equal(isgi_c_text_take(&t, &text, &size), ISG_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),    cmocka_unit_test(test_selftest_numbers), cmocka_unit_test(test_pair),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_memory),        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, make_folder, clean_folder);
}
