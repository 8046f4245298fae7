/* SPDX-License-Identifier: Apache-2.0 */
/* The real networks of ../shared/models, packed, unpacked and run against the interpreter. */
#include <insitu/format.h>
#include <insitu/onnx.h>
#include <insitu/pack.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#define MODELS INSITU_SOURCE_DIR "/../shared/models/"

static void check_numbers(const isg_graph *g, const isg_rt_model *m, uint64_t seed)
{
    const isg_value *v = &g->values[g->inputs[0]];
    int64_t dims[ISG_MAX_RANK];
    isg_tensor *x, *want;
    size_t bytes;
    const uint8_t *golden = isg_rt_section(m, ISG_SECTION_GOLDEN, &bytes);
    float got, largest = 1.0f;
    for (int32_t i = 0; i < v->rank; i++) dims[i] = v->dims[i] == ISG_DIM_BATCH ? 1 : v->dims[i];
    assert_int_equal(isg_tensor_create(&x, ISG_DT_F32, v->rank, dims, NULL), ISG_OK);
    for (int64_t i = 0; i < x->count; i++) ((float *)x->data)[i] = isg_golden_next(&seed);
    assert_int_equal(isg_interp_run(g, (const isg_tensor *const *)&x, &want, NULL), ISG_OK);
    assert_non_null(golden);
    assert_int_equal(bytes, 16 + 4 * want->count);
    for (int64_t i = 0; i < want->count; i++) largest = fmaxf(largest, fabsf(((float *)want->data)[i]));
    for (int64_t i = 0; i < want->count; i++) {
        memcpy(&got, golden + 16 + 4 * i, sizeof got);
        assert_true(fabsf(got - ((float *)want->data)[i]) <= 1e-5f * largest);
    }
    isg_tensor_destroy(x);
    isg_tensor_destroy(want);
}

static void check_model(const char *file)
{
    const isg_pack_options o = {
        .struct_size = sizeof o, .raw_bits = 32, .bias_bits = 32, .golden = 1, .golden_seed = 3};
    char path[1024];
    isg_graph *g, *again;
    isg_rt_model rt;
    isg_model *m;
    isg_error err = {0};
    void *image, *second;
    size_t bytes, other;
    snprintf(path, sizeof path, "%s%s", MODELS, file);
    if (isg_onnx_import_file(&g, path, NULL, NULL, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    if (isg_graph_prepare(g, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    if (isg_pack_image(g, &o, &image, &bytes, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    if (isg_unpack_image(&again, image, bytes, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    if (isg_pack_image(again, &o, &second, &other, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    assert_int_equal(bytes, other);
    assert_memory_equal(image, second, bytes);
    assert_int_equal(isg_rt_open(&rt, image, bytes, NULL), ISG_OK);
    check_numbers(g, &rt, 3);
    /* An unpacked graph is prepared: preparing it again keeps it runnable. */
    if (isg_graph_prepare(again, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    check_numbers(again, &rt, 3);
    if (isg_model_open(&m, path, &err) != ISG_OK) fail_msg("%s: %s", file, err.message);
    assert_false(isg_model_is_isg(m));
    assert_int_equal(isg_model_selftest(m, NULL, NULL, NULL, NULL), ISG_E_UNSUPPORTED);
    isg_model_close(m);
    isg_graph_destroy(g);
    isg_graph_destroy(again);
    isg_free(image);
    isg_free(second);
}

static void test_models(void **state)
{
    (void)state;
    check_model("resnet8-cifar10.onnx");
    check_model("ds-cnn-kws.onnx");
    check_model("mobilenetv1-025-vww.onnx");
    check_model("mobilenetv1-025-imagenet.onnx");
    check_model("autoencoder-ad.onnx");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models)};
    const char *ci = getenv("CI");
    if (access(MODELS, R_OK) != 0 && !(ci && strcmp(ci, "true") == 0)) {
        printf("skipped: no ../shared/models\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
