/* SPDX-License-Identifier: Apache-2.0 */
/* Our side of one comparison with ONNX Runtime: a seeded input, our outputs, the exports, and case.json naming them.
 * Usage: insitu-peer MODEL.onnx FOLDER */
#include <cjson/cJSON.h>
#include <insitu/insitu.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 1e-4
#define SEED UINT64_C(20260331)

static isg_error error;

static int complain(const char *path)
{
    fprintf(stderr, "insitu-peer: error: %s: %s\n", path, error.message);
    return 1;
}

static const char *in_folder(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* Normally distributed enough: the sum of four uniform numbers, unit variance. */
static float next_number(uint64_t *state)
{
    double sum = 0.0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 40) / (double)(1 << 24) - 0.5;
    }
    return (float)(sum * sqrt(3.0));
}

static isg_tensor *make_input(const isg_graph *g)
{
    const isg_value *v = &g->values[g->inputs[0]];
    int64_t dims[ISG_MAX_RANK];
    uint64_t state = SEED;
    isg_tensor *t = NULL;
    for (int32_t i = 0; i < v->rank; i++) dims[i] = v->dims[i] > 0 ? v->dims[i] : 1;
    if (v->rank < 1 || isg_tensor_create(&t, ISG_DT_F32, v->rank, dims, &error) != ISG_OK) return NULL;
    for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = next_number(&state);
    return t;
}

static int write_floats(const char *folder, const char *name, const isg_tensor *t)
{
    char path[1024];
    return isg_write_file(in_folder(path, sizeof path, folder, name), t->data, (size_t)t->count * 4, &error) == ISG_OK;
}

static int run_and_write(const isg_graph *g, const isg_tensor *x, const char *folder, const char *name)
{
    isg_tensor *y = NULL;
    int ok;
    if (isg_interp_run(g, &x, &y, &error) != ISG_OK) return 0;
    ok = write_floats(folder, name, y);
    isg_tensor_destroy(y);
    return ok;
}

/* The same through the runtime, one image. */
static int session_and_write(isg_model *m, const isg_tensor *x, const char *folder, const char *name)
{
    const isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_session *session = NULL;
    isg_rt_io io;
    isg_tensor *y = NULL;
    const float *inputs[1] = {x->data};
    float *outputs[1];
    int64_t count = 1;
    int ok = isg_rt_output(isg_model_rt(m), 0, &io) == ISG_OK;
    for (uint32_t i = 0; ok && i < io.rank; i++) count *= io.dims[i] ? io.dims[i] : 1;
    ok = ok && isg_tensor_create(&y, ISG_DT_F32, 1, &count, &error) == ISG_OK;
    ok = ok && isg_session_create(&session, m, &options, &error) == ISG_OK;
    if (ok) outputs[0] = y->data;
    ok = ok && isg_session_run(session, inputs, outputs, &error) == ISG_OK && write_floats(folder, name, y);
    isg_session_destroy(session);
    isg_tensor_destroy(y);
    return ok;
}

static int runtime_of_file(const char *path, const isg_tensor *x, const char *folder)
{
    isg_model *m = NULL;
    const int ok = isg_model_open(&m, path, &error) == ISG_OK && session_and_write(m, x, folder, "original_rt.f32");
    isg_model_close(m);
    return ok;
}

static int runtime_of_graph(const isg_graph *g, const isg_tensor *x, const char *folder)
{
    isg_model *m = NULL;
    const int ok = isg_model_from_graph(&m, g, &error) == ISG_OK && session_and_write(m, x, folder, "factored_rt.f32");
    isg_model_close(m);
    return ok;
}

/* Factors for one constant weight at 4 bits or more; the weight stays dense where no level applies. */
static int factor_weight(isg_graph *g, const isg_node *n)
{
    isg_value *w = &g->values[n->inputs[1]];
    const int64_t groups = n->op == ISG_OP_CONV ? n->attr.conv.groups : 1;
    const uint32_t co = (uint32_t)w->dims[0], ci = (uint32_t)w->dims[1];
    const isg_factor_options options = {.struct_size = sizeof options, .method = ISG_FACTOR_SVD, .seed = SEED};
    isg_factors *f = NULL;
    isg_levels levels;
    uint32_t taps = 1;
    float *hwio;
    int ok;
    if (!w->constant || w->factors || groups != 1 || (n->op == ISG_OP_GEMM && !n->attr.gemm.trans_b)) return 1;
    for (int32_t i = 2; i < w->rank; i++) taps *= (uint32_t)w->dims[i];
    levels = isg_factor_levels(ci, co, taps, 2, co / 4 ? co / 4 : 1, 0, 0);
    if (!levels.level1 && !levels.level2) return 1;
    if (isg_factors_create(&f, taps, ci, co, levels, 0, &error) != ISG_OK) return 0;
    f->basis.quant = f->u.quant = f->v.quant = (isg_quant_spec){8, ISG_QUANT_MIDTREAD, 0, 32};
    hwio = malloc((size_t)w->constant->count * sizeof *hwio);
    if (hwio) isg_weight_oihw_to_hwio(hwio, w->constant->data, co, ci, taps);
    ok = hwio && isg_factorise(f, hwio, &options, NULL, &error) == ISG_OK;
    free(hwio);
    if (!ok) {
        isg_factors_destroy(f);
        return 0;
    }
    isg_tensor_destroy(w->constant);
    w->constant = NULL;
    w->factors = f;
    return 1;
}

static int factor_graph(isg_graph *g)
{
    for (int32_t i = 0; i < g->node_count; i++)
        if ((g->nodes[i].op == ISG_OP_CONV || g->nodes[i].op == ISG_OP_GEMM) && !factor_weight(g, &g->nodes[i]))
            return 0;
    return 1;
}

static void add_run(cJSON *runs, const char *name, const char *model, const char *expected, const char *runtime)
{
    cJSON *item = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(item, "expected");
    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddStringToObject(item, "model", model);
    cJSON_AddItemToArray(files, cJSON_CreateString(expected));
    if (runtime) cJSON_AddItemToArray(files, cJSON_CreateString(runtime));
    cJSON_AddItemToArray(runs, item);
}

static int write_case(const char *folder, const char *model, const isg_tensor *x)
{
    const char *base = strrchr(model, '/');
    cJSON *root = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(root, "shape");
    cJSON *runs = cJSON_AddArrayToObject(root, "runs");
    char path[1024], *text, *absolute = realpath(model, NULL);
    int ok;
    cJSON_AddStringToObject(root, "model", base ? base + 1 : model);
    cJSON_AddNumberToObject(root, "tolerance", TOLERANCE);
    for (int32_t i = 0; i < x->rank; i++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)x->dims[i]));
    add_run(runs, "original", absolute ? absolute : model, "original.f32", "original_rt.f32");
    add_run(runs, "dense", "dense.onnx", "original.f32", NULL);
    add_run(runs, "prepared", "prepared.onnx", "original.f32", NULL);
    add_run(runs, "factored", "factored.onnx", "factored.f32", "factored_rt.f32");
    add_run(runs, "generated", "generated.onnx", "factored.f32", NULL);
    text = cJSON_Print(root);
    ok =
        text && isg_write_file(in_folder(path, sizeof path, folder, "case.json"), text, strlen(text), &error) == ISG_OK;
    free(text);
    free(absolute);
    cJSON_Delete(root);
    return ok;
}

static int export_to(const isg_graph *g, const char *folder, const char *name, isg_onnx_form form)
{
    char path[1024];
    return isg_onnx_export_file(g, in_folder(path, sizeof path, folder, name), form, &error) == ISG_OK;
}

int main(int argc, char **argv)
{
    isg_graph *g = NULL;
    isg_tensor *x = NULL;
    int ok;
    if (argc != 3) {
        fprintf(stderr, "usage: insitu-peer MODEL.onnx FOLDER\n");
        return 2;
    }
    if (isg_onnx_import_file(&g, argv[1], NULL, NULL, &error) != ISG_OK) return complain(argv[1]);
    x = make_input(g);
    ok = x && write_floats(argv[2], "input.f32", x) && run_and_write(g, x, argv[2], "original.f32") &&
         runtime_of_file(argv[1], x, argv[2]) && export_to(g, argv[2], "dense.onnx", ISG_ONNX_DENSE);
    ok = ok && isg_graph_prepare(g, &error) == ISG_OK && export_to(g, argv[2], "prepared.onnx", ISG_ONNX_DENSE);
    ok = ok && factor_graph(g) && run_and_write(g, x, argv[2], "factored.f32") && runtime_of_graph(g, x, argv[2]);
    ok = ok && export_to(g, argv[2], "factored.onnx", ISG_ONNX_FACTORED) &&
         export_to(g, argv[2], "generated.onnx", ISG_ONNX_DENSE) && write_case(argv[2], argv[1], x);
    isg_tensor_destroy(x);
    isg_graph_destroy(g);
    return ok ? 0 : complain(argv[1]);
}
