/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN's side of the comparison: the convolutions and fully connected layers of a dense network alone, each with its
 * activations and weights in the order that oneDNN chooses. What lies between layers is left out, and so are the
 * reorders between two orders: less than oneDNN would need for the network.
 *
 * usage: OMP_NUM_THREADS=THREADS bench_onednn f32|int8 MODEL.onnx BATCH; it talks as serve.h says, and knows no output.
 */
#include <insitu/insitu.h>

#include <oneapi/dnnl/dnnl.h>

#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LAYERS 256

typedef struct layer {
    dnnl_primitive_t run;
    dnnl_exec_arg_t args[4]; /* src, weights, bias, dst */
} layer;

static struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    layer layers[MAX_LAYERS];
    int count;
    uint64_t weight_bytes;
    int int8;
    const char *path;
    int64_t batch;
    char version[64];
} all;

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "bench_onednn: error: %s: %s\n", what, why);
    return 1;
}

/* Memory of a layer; numbers that are normal and small, so that no product is slow by what it multiplies. */
static int place(layer *l, int slot, int arg, const dnnl_memory_desc_t *md)
{
    const size_t bytes = dnnl_memory_desc_get_size(md);
    dnnl_memory_t memory;
    void *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!data || dnnl_memory_create(&memory, md, all.engine, data) != dnnl_success) return 0;
    if (md->data_type == dnnl_f32) {
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            ((float *)data)[i] = (float)((i * 2654435761u >> 8) % 2001u) * 1e-4f - 0.1f;
    } else {
        memset(data, 3, bytes);
    }
    l->args[slot] = (dnnl_exec_arg_t){arg, memory};
    if (arg == DNNL_ARG_WEIGHTS || arg == DNNL_ARG_BIAS) all.weight_bytes += bytes;
    return 1;
}

static int finish_layer(layer *l, const void *op_desc)
{
    dnnl_primitive_desc_t pd = NULL;
    int ok = dnnl_primitive_desc_create(&pd, op_desc, NULL, all.engine, NULL) == dnnl_success &&
             dnnl_primitive_create(&l->run, pd) == dnnl_success &&
             place(l, 0, DNNL_ARG_SRC, dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0)) &&
             place(l, 1, DNNL_ARG_WEIGHTS, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)) &&
             place(l, 2, DNNL_ARG_BIAS, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1)) &&
             place(l, 3, DNNL_ARG_DST, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0));
    if (pd) dnnl_primitive_desc_destroy(pd);
    return ok;
}

static int any_order(dnnl_memory_desc_t *md, int rank, const dnnl_dim_t *dims, dnnl_data_type_t type)
{
    return dnnl_memory_desc_init_by_tag(md, rank, dims, type, dnnl_format_tag_any) == dnnl_success;
}

static int describe(dnnl_memory_desc_t md[4], int rank, const dnnl_dim_t *x, int w_rank, const dnnl_dim_t *w,
                    const dnnl_dim_t *y)
{
    const dnnl_dims_t bias = {y[1]};
    return any_order(&md[0], rank, x, all.int8 ? dnnl_u8 : dnnl_f32) &&
           any_order(&md[1], w_rank, w, all.int8 ? dnnl_s8 : dnnl_f32) &&
           any_order(&md[2], 1, bias, all.int8 ? dnnl_s32 : dnnl_f32) &&
           any_order(&md[3], rank, y, all.int8 ? dnnl_u8 : dnnl_f32);
}

static int add_conv(const isg_conv_attr *a, const isg_value *x, const isg_value *weight, const isg_value *y,
                    int64_t batch)
{
    const int groups = a->groups > 1, n = 2;
    dnnl_dims_t src = {batch, x->dims[1], x->dims[2], x->dims[3]}, dst = {batch, y->dims[1], y->dims[2], y->dims[3]};
    dnnl_dims_t w, stride, dilation, before, after;
    dnnl_memory_desc_t md[4];
    dnnl_convolution_desc_t d;
    int rank = 0;
    if (groups) w[rank++] = a->groups;
    w[rank++] = weight->dims[0] / (groups ? a->groups : 1);
    for (int k = 1; k < 4; k++) w[rank++] = weight->dims[k];
    for (int k = 0; k < n; k++) {
        stride[k] = a->stride[k] > 0 ? a->stride[k] : 1;
        dilation[k] = (a->dilation[k] > 0 ? a->dilation[k] : 1) - 1;
        before[k] = a->pads[k];
        after[k] =
            (dst[k + 2] - 1) * stride[k] + (weight->dims[k + 2] - 1) * (dilation[k] + 1) + 1 - src[k + 2] - before[k];
    }
    return describe(md, 4, src, rank, w, dst) &&
           dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_auto, &md[0], &md[1],
                                                      &md[2], &md[3], stride, dilation, before,
                                                      after) == dnnl_success &&
           finish_layer(&all.layers[all.count++], &d);
}

static int add_gemm(const isg_gemm_attr *a, const isg_value *weight, int64_t batch)
{
    const int64_t inputs = weight->dims[a->trans_b ? 1 : 0], outputs = weight->dims[a->trans_b ? 0 : 1];
    dnnl_dims_t src = {batch, inputs}, w = {outputs, inputs}, dst = {batch, outputs};
    dnnl_memory_desc_t md[4];
    dnnl_inner_product_desc_t d;
    return describe(md, 2, src, 2, w, dst) &&
           dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &md[0], &md[1], &md[2], &md[3]) ==
               dnnl_success &&
           finish_layer(&all.layers[all.count++], &d);
}

static int open_layers(const char *path)
{
    isg_graph *g = NULL;
    isg_error err = {0};
    int ok = dnnl_engine_create(&all.engine, dnnl_cpu, 0) == dnnl_success &&
             dnnl_stream_create(&all.stream, all.engine, dnnl_stream_default_flags) == dnnl_success;
    if (!ok) return complain("oneDNN", "no engine");
    if (isg_onnx_import_file(&g, path, NULL, NULL, &err) != ISG_OK || isg_graph_prepare(g, &err) != ISG_OK)
        return complain(path, err.message);
    for (int32_t i = 0; ok && i < g->node_count; i++) {
        const isg_node *node = &g->nodes[i];
        const isg_value *x = &g->values[node->inputs[0]], *y = &g->values[node->outputs[0]];
        if (all.count == MAX_LAYERS) return complain(path, "too many layers");
        if (node->op == ISG_OP_CONV && x->rank == 4)
            ok = add_conv(&node->attr.conv, x, &g->values[node->inputs[1]], y, all.batch);
        else if (node->op == ISG_OP_GEMM)
            ok = add_gemm(&node->attr.gemm, &g->values[node->inputs[1]], all.batch);
        if (!ok) complain(node->name, "oneDNN has no such layer");
    }
    isg_graph_destroy(g);
    return !ok;
}

static int run_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < all.count; i++) {
        if (dnnl_primitive_execute(all.layers[i].run, all.stream, 4, all.layers[i].args) != dnnl_success)
            return complain("oneDNN", "a layer failed");
    }
    return dnnl_stream_wait(all.stream) != dnnl_success;
}

static int open_model(void *arg)
{
    return open_layers(all.path) || run_once(arg);
}

int main(int argc, char **argv)
{
    const uint64_t empty = served_empty();
    const served s = {open_model, run_once, NULL, NULL, &all.weight_bytes, all.version};
    if (argc != 4) return complain("usage", "bench_onednn f32|int8 MODEL.onnx BATCH");
    all.int8 = strcmp(argv[1], "int8") == 0;
    all.path = argv[2];
    all.batch = served_number(argv[3], 4096);
    if (!all.batch) return complain("usage", "BATCH is 1..4096");
    snprintf(all.version, sizeof all.version, "%d.%d.%d", dnnl_version()->major, dnnl_version()->minor,
             dnnl_version()->patch);
    return serve(&s, empty);
}
