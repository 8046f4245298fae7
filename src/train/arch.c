/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in architectures as graphs with random weights (Kaiming normal, fan-out, ReLU gain). */
#include <insitu/train.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The graph under construction; after the first failure every call does nothing. */
typedef struct sketch {
    isg_graph *g;
    isgi_rng rng;
    isg_status status;
    isg_error *err;
    int64_t channels, height, width; /* of the current value; height 0: a vector of `channels` */
    int32_t at, layer;
} sketch;

static int32_t add_constant(sketch *s, const char *layer, const char *suffix, int32_t rank, const int64_t *dims,
                            float fill, float std)
{
    isg_tensor *t = NULL;
    char name[96];
    int32_t v;
    if (s->status != ISG_OK) return -1;
    s->status = isg_tensor_create(&t, ISG_DT_F32, rank, dims, s->err);
    if (s->status != ISG_OK) return -1;
    for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = fill;
    if (std > 0) isgi_rng_fill_normal(&s->rng, t->data, (size_t)t->count, 0.0f, std);
    snprintf(name, sizeof name, "%s.%s", layer, suffix);
    v = isg_graph_add_constant(s->g, name, t);
    if (v < 0) {
        isg_tensor_destroy(t);
        s->status = isgi_fail(s->err, (isg_status)v, "cannot add %s", name);
    }
    return v;
}

static int32_t add_value(sketch *s, const char *name)
{
    const int64_t dims[4] = {ISG_DIM_BATCH, s->channels, s->height, s->width};
    int32_t v;
    if (s->status != ISG_OK) return -1;
    v = isg_graph_add_value(s->g, name, ISG_DT_F32, s->height ? 4 : 2, dims);
    if (v < 0) s->status = isgi_fail(s->err, (isg_status)v, "cannot add %s", name);
    return v;
}

/* Adds a node whose output has the sketch's present shape; its output becomes the current value. */
static isg_node *add_node(sketch *s, isg_op op, const char *name, const int32_t *in, int32_t count)
{
    const int32_t out = add_value(s, name);
    int32_t n;
    if (s->status != ISG_OK) return NULL;
    n = isg_graph_add_node(s->g, op, name, in, count, &out, 1);
    if (n < 0) {
        s->status = isgi_fail(s->err, (isg_status)n, "cannot add node %s", name);
        return NULL;
    }
    s->at = out;
    return &s->g->nodes[n];
}

static void add_conv(sketch *s, const char *name, int64_t co, int64_t k, int64_t stride, int64_t pad)
{
    const int64_t dims[4] = {co, s->channels, k, k};
    const int32_t in[2] = {s->at, add_constant(s, name, "weight", 4, dims, 0, sqrtf(2.0f / (float)(co * k * k)))};
    isg_node *n;
    s->height = (s->height + 2 * pad - k) / stride + 1;
    s->width = (s->width + 2 * pad - k) / stride + 1;
    s->channels = co;
    if (s->status == ISG_OK && (s->height < 1 || s->width < 1)) {
        s->status = isgi_fail(s->err, ISG_E_SHAPE, "the input is too small for layer %s", name);
    }
    n = add_node(s, ISG_OP_CONV, name, in, 2);
    if (!n) return;
    n->attr.conv.n = 2;
    n->attr.conv.groups = 1;
    for (int i = 0; i < 2; i++) {
        n->attr.conv.kernel[i] = k;
        n->attr.conv.stride[i] = stride;
        n->attr.conv.dilation[i] = 1;
        n->attr.conv.pads[i] = n->attr.conv.pads[2 + i] = pad;
    }
}

static void add_batchnorm(sketch *s, const char *conv)
{
    char name[80];
    int32_t in[5];
    isg_node *n;
    snprintf(name, sizeof name, "%s.bn", conv);
    in[0] = s->at;
    in[1] = add_constant(s, name, "gamma", 1, &s->channels, 1, 0);
    in[2] = add_constant(s, name, "beta", 1, &s->channels, 0, 0);
    in[3] = add_constant(s, name, "mean", 1, &s->channels, 0, 0);
    in[4] = add_constant(s, name, "var", 1, &s->channels, 1, 0);
    n = add_node(s, ISG_OP_BATCH_NORM, name, in, 5);
    if (n) n->attr.scalar.alpha = 1e-5f;
}

static void add_relu(sketch *s, const char *after)
{
    char name[80];
    snprintf(name, sizeof name, "%s.relu", after);
    add_node(s, ISG_OP_RELU, name, &s->at, 1);
}

static void add_block(sketch *s, const char *name, int64_t co, int64_t k, int64_t stride, int64_t pad)
{
    add_conv(s, name, co, k, stride, pad);
    add_batchnorm(s, name);
    add_relu(s, name);
}

static void add_flatten(sketch *s)
{
    const int64_t shape[2] = {0, -1}, two = 2;
    isg_tensor *t = NULL;
    int32_t in[2];
    if (s->status != ISG_OK || s->height == 0) return;
    s->status = isg_tensor_create(&t, ISG_DT_I64, 1, &two, s->err);
    if (s->status != ISG_OK) return;
    memcpy(t->data, shape, sizeof shape);
    in[0] = s->at;
    in[1] = isg_graph_add_constant(s->g, "flatten.shape", t);
    if (in[1] < 0) {
        isg_tensor_destroy(t);
        s->status = isgi_fail(s->err, (isg_status)in[1], "cannot add the flatten shape");
        return;
    }
    s->channels *= s->height * s->width;
    s->height = s->width = 0;
    add_node(s, ISG_OP_RESHAPE, "flatten", in, 2);
}

static void add_fc(sketch *s, const char *name, int64_t out, int bias)
{
    const int64_t dims[2] = {out, s->channels};
    int32_t in[3];
    isg_node *n;
    in[0] = s->at;
    in[1] = add_constant(s, name, "weight", 2, dims, 0, sqrtf(2.0f / (float)s->channels));
    if (bias) in[2] = add_constant(s, name, "bias", 1, &out, 0, 0);
    s->channels = out;
    n = add_node(s, ISG_OP_GEMM, name, in, bias ? 3 : 2);
    if (n) n->attr.gemm = (isg_gemm_attr){1.0f, 1.0f, 0, 1};
}

/* Padding 1, so that 28x28 gives 13, 11, 9 and the 3x3 average (stride 3) takes all of it: 288 features. */
static void build_fig5a(sketch *s, int64_t classes)
{
    isg_node *n;
    add_block(s, "conv1", 32, 5, 2, 1);
    add_block(s, "conv2", 32, 5, 1, 1);
    add_block(s, "conv3", 32, 5, 1, 1);
    s->height /= 3;
    s->width /= 3;
    if (s->status == ISG_OK && (s->height < 1 || s->width < 1)) {
        s->status = isgi_fail(s->err, ISG_E_SHAPE, "the input is too small for fig5a");
        return;
    }
    n = add_node(s, ISG_OP_AVERAGE_POOL, "pool", &s->at, 1);
    if (n) {
        n->attr.conv.n = 2;
        for (int i = 0; i < 2; i++) {
            n->attr.conv.kernel[i] = n->attr.conv.stride[i] = 3;
            n->attr.conv.dilation[i] = 1;
        }
    }
    add_flatten(s);
    add_fc(s, "fc", classes, 1);
}

static void add_basic(sketch *s, const char *name, int64_t co, int64_t stride)
{
    const int32_t before = s->at;
    const int64_t channels = s->channels, height = s->height, width = s->width;
    char label[48];
    int32_t in[2];
    snprintf(label, sizeof label, "%s.conv1", name);
    add_block(s, label, co, 3, stride, 1);
    snprintf(label, sizeof label, "%s.conv2", name);
    add_conv(s, label, co, 3, 1, 1);
    add_batchnorm(s, label);
    in[0] = s->at;
    in[1] = before;
    if (stride != 1 || channels != co) {
        s->at = before;
        s->channels = channels;
        s->height = height;
        s->width = width;
        snprintf(label, sizeof label, "%s.shortcut", name);
        add_conv(s, label, co, 1, stride, 0);
        add_batchnorm(s, label);
        in[1] = s->at;
    }
    snprintf(label, sizeof label, "%s.add", name);
    add_node(s, ISG_OP_ADD, label, in, 2);
    add_relu(s, name);
}

/* CIFAR form: 3x3 stem without pooling, stages of basic blocks, projection shortcuts (SPEC section 8). */
static void build_resnet(sketch *s, int64_t classes, int stages, int blocks, int64_t width)
{
    add_block(s, "stem", width, 3, 1, 1);
    for (int stage = 0; stage < stages; stage++) {
        for (int block = 0; block < blocks; block++) {
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d", stage + 1, block);
            add_basic(s, name, width << stage, stage > 0 && block == 0 ? 2 : 1);
        }
    }
    s->height = s->width = 1;
    add_node(s, ISG_OP_GLOBAL_AVERAGE_POOL, "pool", &s->at, 1);
    add_flatten(s);
    add_fc(s, "fc", classes, 0); /* without bias, SPEC section 8 */
}

static void build_mlp(sketch *s, int64_t classes)
{
    add_flatten(s);
    add_fc(s, "fc1", 256, 1);
    add_relu(s, "fc1");
    add_fc(s, "fc2", 128, 1);
    add_relu(s, "fc2");
    add_fc(s, "fc3", classes, 1);
}

const char *const *isg_arch_names(void)
{
    static const char *const names[] = {"fig5a", "resnet18", "resnet20", "mlp", NULL};
    return names;
}

isg_status isg_arch_build(isg_graph **out, const char *arch, uint32_t channels, uint32_t height, uint32_t width,
                          uint32_t classes, uint64_t seed, isg_error *err)
{
    sketch s = {.status = ISG_OK, .err = err, .channels = channels, .height = height, .width = width};
    char name[64];
    if (channels < 1 || height < 1 || width < 1 || classes < 1 || channels > 4096 || height > 65536 || width > 65536 ||
        classes > 1000000) {
        return isgi_fail(err, ISG_E_ARG, "input or number of classes out of range");
    }
    ISGI_TRY(isg_graph_create(&s.g, err));
    isgi_rng_seed(&s.rng, seed, 0);
    s.at = add_value(&s, "input");
    if (s.status == ISG_OK) s.status = isg_graph_add_input(s.g, s.at, err);
    if (strcmp(arch, "fig5a") == 0) {
        build_fig5a(&s, classes);
    } else if (strcmp(arch, "resnet18") == 0) {
        build_resnet(&s, classes, 4, 2, 64);
    } else if (strcmp(arch, "resnet20") == 0) {
        build_resnet(&s, classes, 3, 3, 16);
    } else if (strcmp(arch, "mlp") == 0) {
        build_mlp(&s, classes);
    } else {
        s.status = isgi_fail(err, ISG_E_ARG, "unknown architecture %s (fig5a, resnet18, resnet20, mlp)",
                             isgi_escape(name, sizeof name, arch));
    }
    if (s.status == ISG_OK) s.status = isg_graph_add_output(s.g, s.at, err);
    if (s.status != ISG_OK) {
        isg_graph_destroy(s.g);
        return s.status;
    }
    *out = s.g;
    return ISG_OK;
}
