/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the files of one comparison: a network dense and factored, each as .isg for us and as .onnx for the peer.
 *
 * usage: bench_models FOLDER NAME SOURCE BI BO QB QU QV   SOURCE is an .onnx file, or resnet18-cifar or resnet18-224,
 * whose weights are random (seeded): good for time and memory, not for accuracy. Writes FOLDER/NAME.dense.isg,
 * NAME.dense.onnx, NAME.factored.isg, NAME.factored.onnx. */
#include <insitu/insitu.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 2 /* of noise, for the ranges of int8 */

static isg_error error;
static uint64_t state = 20260331;

static int complain(const char *what)
{
    fprintf(stderr, "bench_models: error: %s: %s\n", what, error.message);
    return 1;
}

/* Unit variance, from four uniform numbers. */
static float next_number(void)
{
    double sum = 0.0;
    for (int i = 0; i < 4; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(state >> 40) / (double)(1 << 24) - 0.5;
    }
    return (float)(sum * sqrt(3.0));
}

static int32_t add_random(isg_graph *g, const char *name, int32_t rank, const int64_t *dims, double deviation)
{
    isg_tensor *t = NULL;
    int32_t v;
    if (isg_tensor_create(&t, ISG_DT_F32, rank, dims, &error) != ISG_OK) return -1;
    for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = (float)deviation * next_number();
    v = isg_graph_add_constant(g, name, t);
    if (v < 0) isg_tensor_destroy(t);
    return v;
}

static int32_t add_node(isg_graph *g, isg_op op, const char *name, const int32_t *inputs, int32_t count)
{
    const int32_t y = isg_graph_add_value(g, name, ISG_DT_F32, -1, NULL);
    return y < 0 || isg_graph_add_node(g, op, name, inputs, count, &y, 1) < 0 ? -1 : y;
}

static int32_t add_conv(isg_graph *g, const char *name, int32_t x, int64_t ci, int64_t co, int64_t k, int64_t stride)
{
    const int64_t dims[4] = {co, ci, k, k}, pad = k / 2;
    char text[80];
    int32_t inputs[3], y;
    isg_conv_attr *a;
    inputs[0] = x;
    snprintf(text, sizeof text, "%s.weight", name);
    inputs[1] = add_random(g, text, 4, dims, sqrt(2.0 / (double)(ci * k * k)) * 0.7);
    snprintf(text, sizeof text, "%s.bias", name);
    inputs[2] = add_random(g, text, 1, &co, 0.05);
    y = add_node(g, ISG_OP_CONV, name, inputs, 3);
    if (y < 0) return -1;
    a = &g->nodes[g->node_count - 1].attr.conv;
    a->n = 2;
    for (int i = 0; i < 2; i++) {
        a->kernel[i] = k;
        a->stride[i] = stride;
        a->dilation[i] = 1;
        a->pads[i] = a->pads[2 + i] = pad;
    }
    a->groups = 1;
    return y;
}

static int32_t add_relu(isg_graph *g, const char *name, int32_t x)
{
    char text[80];
    snprintf(text, sizeof text, "%s.relu", name);
    return add_node(g, ISG_OP_RELU, text, &x, 1);
}

static int32_t add_block(isg_graph *g, const char *name, int32_t x, int64_t ci, int64_t co, int64_t stride)
{
    char text[80];
    int32_t both[2];
    snprintf(text, sizeof text, "%s.conv1", name);
    both[0] = add_relu(g, text, add_conv(g, text, x, ci, co, 3, stride));
    snprintf(text, sizeof text, "%s.conv2", name);
    both[0] = add_conv(g, text, both[0], co, co, 3, 1);
    both[1] = x;
    snprintf(text, sizeof text, "%s.shortcut", name);
    if (ci != co) both[1] = add_conv(g, text, x, ci, co, 1, stride);
    snprintf(text, sizeof text, "%s.add", name);
    return add_relu(g, name, add_node(g, ISG_OP_ADD, text, both, 2));
}

/* ResNet-18: stages of 64, 128, 256 and 512 channels, two basic blocks each. */
static isg_graph *make_resnet18(int large)
{
    const int64_t size = large ? 224 : 32, classes = large ? 1000 : 10, input_dims[4] = {ISG_DIM_BATCH, 3, size, size};
    const int64_t fc_dims[2] = {classes, 512};
    isg_graph *g = NULL;
    int32_t x, inputs[3];
    if (isg_graph_create(&g, &error) != ISG_OK) return NULL;
    x = isg_graph_add_value(g, "input", ISG_DT_F32, 4, input_dims);
    if (x < 0 || isg_graph_add_input(g, x, &error) != ISG_OK) goto failed;
    x = add_relu(g, "stem", add_conv(g, "stem", x, 3, 64, large ? 7 : 3, large ? 2 : 1));
    if (large) {
        isg_conv_attr *a;
        x = add_node(g, ISG_OP_MAX_POOL, "pool", &x, 1);
        if (x < 0) goto failed;
        a = &g->nodes[g->node_count - 1].attr.conv;
        a->n = 2;
        for (int i = 0; i < 2; i++) {
            a->kernel[i] = 3;
            a->stride[i] = 2;
            a->dilation[i] = a->pads[i] = a->pads[2 + i] = 1;
        }
    }
    for (int stage = 0; stage < 4; stage++) {
        const int64_t co = (int64_t)64 << stage, ci = stage ? co / 2 : co;
        for (int block = 0; block < 2; block++) {
            char text[32];
            snprintf(text, sizeof text, "layer%d.%d", stage + 1, block);
            x = add_block(g, text, x, block ? co : ci, co, stage && !block ? 2 : 1);
        }
    }
    x = add_node(g, ISG_OP_GLOBAL_AVERAGE_POOL, "gap", &x, 1);
    x = add_node(g, ISG_OP_FLATTEN, "flatten", &x, 1);
    inputs[0] = x;
    inputs[1] = add_random(g, "fc.weight", 2, fc_dims, 0.05);
    inputs[2] = add_random(g, "fc.bias", 1, &classes, 0.05);
    x = add_node(g, ISG_OP_GEMM, "fc", inputs, 3);
    if (x < 0) goto failed;
    g->nodes[g->node_count - 1].attr.gemm.trans_b = 1;
    if (isg_graph_add_output(g, x, &error) == ISG_OK) return g;
failed:
    isg_graph_destroy(g);
    return NULL;
}

static int compress(isg_graph *g, char **numbers)
{
    isg_compress_options o;
    isg_compress_report report = {0};
    isg_status status;
    isg_compress_options_default(&o);
    o.bi = (uint32_t)strtoul(numbers[0], NULL, 10);
    o.bo = (uint32_t)strtoul(numbers[1], NULL, 10);
    o.bits_b = (uint8_t)strtoul(numbers[2], NULL, 10);
    o.bits_u = (uint8_t)strtoul(numbers[3], NULL, 10);
    o.bits_v = (uint8_t)strtoul(numbers[4], NULL, 10);
    o.method = ISG_FACTOR_SVD;
    o.compensate = 0;
    o.seed = 1;
    status = isg_compress(g, &o, &report, &error);
    isg_compress_report_clear(&report);
    return status == ISG_OK;
}

/* Ranges for int8 from noise: good for time, not for accuracy. */
static int calibrate(const isg_graph *g, const char *folder, const char *name, isg_activation_range **ranges,
                     uint32_t *count)
{
    const isg_value *v = &g->values[g->inputs[0]];
    const isg_input_spec input = {.identity = 1};
    int64_t dims[ISG_MAX_RANK] = {IMAGES};
    isg_tensor *x = NULL;
    isg_dataset *ds = NULL;
    char path[1024], spec[1040];
    int ok;
    for (int32_t i = 1; i < v->rank; i++) dims[i] = v->dims[i];
    if (isg_tensor_create(&x, ISG_DT_F32, v->rank, dims, &error) != ISG_OK) return 0;
    for (int64_t i = 0; i < x->count; i++) ((float *)x->data)[i] = next_number();
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    snprintf(spec, sizeof spec, "npy:%s", path);
    ok = isg_npy_write(path, x->data, v->rank, dims, &error) == ISG_OK &&
         isg_dataset_open(&ds, spec, ISG_SPLIT_TRAIN, &error) == ISG_OK &&
         isg_calibrate_activations(g, ds, &input, IMAGES, NULL, ranges, count, &error) == ISG_OK;
    isg_dataset_close(ds);
    isg_tensor_destroy(x);
    return ok;
}

static int write_form(const isg_graph *g, const char *folder, const char *name, const char *form, isg_onnx_form onnx)
{
    isg_pack_options pack = {.struct_size = sizeof pack, .raw_bits = 32, .bias_bits = 32};
    isg_activation_range *ranges = NULL;
    char path[1024];
    int ok;
    if (!calibrate(g, folder, name, &ranges, &pack.activation_count)) return 0;
    pack.activations = ranges;
    snprintf(path, sizeof path, "%s/%s.%s.isg", folder, name, form);
    ok = isg_pack_file(g, &pack, path, &error) == ISG_OK;
    isg_free(ranges);
    if (!ok) return 0;
    snprintf(path, sizeof path, "%s/%s.%s.onnx", folder, name, form);
    return isg_onnx_export_file(g, path, onnx, &error) == ISG_OK;
}

int main(int argc, char **argv)
{
    isg_graph *g = NULL;
    int ok;
    if (argc != 9) {
        fprintf(stderr, "usage: bench_models FOLDER NAME SOURCE BI BO QB QU QV\n");
        return 2;
    }
    if (strcmp(argv[3], "resnet18-cifar") == 0 || strcmp(argv[3], "resnet18-224") == 0)
        g = make_resnet18(strcmp(argv[3], "resnet18-224") == 0);
    else if (isg_onnx_import_file(&g, argv[3], NULL, NULL, &error) != ISG_OK)
        return complain(argv[3]);
    ok = g && isg_graph_prepare(g, &error) == ISG_OK && write_form(g, argv[1], argv[2], "dense", ISG_ONNX_DENSE) &&
         compress(g, argv + 4) && write_form(g, argv[1], argv[2], "factored", ISG_ONNX_FACTORED);
    isg_graph_destroy(g);
    return ok ? 0 : complain(argv[3]);
}
