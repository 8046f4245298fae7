/* SPDX-License-Identifier: Apache-2.0 */
/* One side of the comparison in a process of its own: opens a model, runs it when told, reports times and memory.
 *
 * usage: bench_contender ours MODEL.isg THREADS BATCH [MODE] | bench_contender ort:LIBRARY MODEL.onnx THREADS BATCH |
 * bench_contender modes (lists the values of MODE)
 * It talks as serve.h says. */
#include <insitu/host.h>
#include <insitu/rt.h>

#include "ort_c.h"
#include "serve.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_IO 16
#define MAX_BATCH 4096 /* as of insitu bench */

typedef struct contender {
    const char *path, *mode;
    uint32_t threads, batch;
    float *input, *outputs[MAX_IO];
    uint64_t output_count; /* numbers of the first output */
    uint64_t weight_bytes;
    char version[64];
    /* ours */
    isg_file file;
    isg_rt_model model;
    isg_rt_context *ctx;
    isg_pool *pool;
    /* theirs */
    const ort_slot *api;
    ort_any session, value, result;
    char *input_name, *output_name;
    int ort;
} contender;

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_contender: error: %s: %s\n", what, why);
    return 1;
}

static float *make_input(uint64_t count)
{
    float *x = malloc((size_t)count * sizeof *x);
    for (uint64_t i = 0; x && i < count; i++) x[i] = (float)((i * 2654435761u >> 8) % 2001u) * 1e-3f - 1.0f;
    return x;
}

static uint64_t io_count(const isg_rt_io *io, uint32_t batch)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < io->rank; i++) n *= io->dims[i] ? io->dims[i] : batch;
    return n;
}

static int run_ours(contender *c)
{
    isg_error err;
    const float *const inputs[1] = {c->input};
    return isg_rt_run(c->ctx, inputs, c->outputs, &err) == ISG_OK ? 0 : fail("run", err.message);
}

static int open_ours(contender *c)
{
    const char *const path = c->path, *const mode = c->mode;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_io io;
    isg_error err = {0};
    void *workspace;
    options.batch = c->batch;
    options.mode = strcmp(mode, "int8") == 0 ? ISG_MODE_INT8 : strcmp(mode, "bf16") == 0 ? ISG_MODE_BF16 : ISG_MODE_F32;
    if (c->threads > 1) {
        if (isg_pool_create(&c->pool, c->threads, &err) != ISG_OK) return fail(path, err.message);
        options.parallel = isg_pool_parallel(c->pool);
    }
    if (isg_file_open(&c->file, path, &err) != ISG_OK ||
        isg_rt_open(&c->model, c->file.data, c->file.size, &err) != ISG_OK ||
        isg_rt_plan(&c->model, &options, &memory, &err) != ISG_OK)
        return fail(path, err.message);
    workspace = aligned_alloc(ISG_RT_ALIGNMENT, (size_t)memory.workspace_bytes);
    if (!workspace) return fail(path, "out of memory");
    if (isg_rt_context_init(&c->ctx, workspace, (size_t)memory.workspace_bytes, &c->model, &options, &err) != ISG_OK)
        return fail(path, err.message);
    c->weight_bytes = memory.weight_bytes;
    if (isg_rt_input(&c->model, 0, &io) != ISG_OK) return fail(path, "no input");
    c->input = make_input(io_count(&io, c->batch));
    for (uint32_t i = 0; i < isg_rt_output_count(&c->model); i++) {
        if (isg_rt_output(&c->model, i, &io) != ISG_OK) return fail(path, "no output");
        if (i == 0) c->output_count = io_count(&io, c->batch);
        c->outputs[i] = malloc((size_t)io_count(&io, c->batch) * sizeof(float));
    }
    snprintf(c->version, sizeof c->version, "%s", isg_rt_isa_name(c->ctx));
    return c->input ? run_ours(c) : fail(path, "out of memory");
}

#define ORT(c, type, slot) ((type *)(c)->api[slot])

static int ort_failed(contender *c, ort_status status)
{
    if (!status) return 0;
    return fail("ONNX Runtime", ORT(c, ort_get_error_message_fn, ORT_GET_ERROR_MESSAGE)(status));
}

static int run_ort(contender *c)
{
    const char *const input = c->input_name, *const output = c->output_name;
    if (c->result) ORT(c, ort_release_fn, ORT_RELEASE_VALUE)(c->result);
    c->result = NULL;
    return ort_failed(c, ORT(c, ort_run_fn, ORT_RUN)(c->session, NULL, &input, &c->value, 1, &output, 1, &c->result));
}

static int make_ort_input(contender *c)
{
    ort_any info, shape, memory;
    int64_t dims[8];
    size_t rank = 0;
    uint64_t count = 1;
    if (ort_failed(c, ORT(c, ort_index_fn, ORT_SESSION_GET_INPUT_TYPE_INFO)(c->session, 0, &info)) ||
        ort_failed(c, ORT(c, ort_get_part_fn, ORT_CAST_TYPE_INFO_TO_TENSOR_INFO)(info, &shape)) ||
        ort_failed(c, ORT(c, ort_get_size_fn, ORT_GET_DIMENSIONS_COUNT)(shape, &rank)) || rank > 8 ||
        ort_failed(c, ORT(c, ort_get_dims_fn, ORT_GET_DIMENSIONS)(shape, dims, rank)))
        return 1;
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 1) dims[i] = c->batch;
        count *= (uint64_t)dims[i];
    }
    c->input = make_input(count);
    return !c->input ||
           ort_failed(c, ORT(c, ort_create_memory_info_fn, ORT_CREATE_CPU_MEMORY_INFO)(ORT_ARENA_ALLOCATOR,
                                                                                       ORT_MEMORY_DEFAULT, &memory)) ||
           ort_failed(c, ORT(c, ort_create_tensor_fn, ORT_CREATE_TENSOR_WITH_DATA)(memory, c->input,
                                                                                   (size_t)count * sizeof(float), dims,
                                                                                   rank, ORT_ELEMENT_FLOAT, &c->value));
}

static int open_ort(contender *c)
{
    ort_any env, options, allocator;
    struct stat st;
    if (stat(c->path, &st) == 0) c->weight_bytes = (uint64_t)st.st_size;
    return ort_failed(c, ORT(c, ort_create_env_fn, ORT_CREATE_ENV)(ORT_LOG_ERROR, "bench", &env)) ||
           ort_failed(c, ORT(c, ort_create_fn, ORT_CREATE_SESSION_OPTIONS)(&options)) ||
           ort_failed(c, ORT(c, ort_set_int_fn, ORT_SET_GRAPH_OPTIMIZATION_LEVEL)(options, ORT_OPTIMIZE_ALL)) ||
           ort_failed(c, ORT(c, ort_set_int_fn, ORT_SET_INTRA_OP_THREADS)(options, (int)c->threads)) ||
           ort_failed(c, ORT(c, ort_set_int_fn, ORT_SET_INTER_OP_THREADS)(options, 1)) ||
           ort_failed(c, ORT(c, ort_create_session_fn, ORT_CREATE_SESSION)(env, c->path, options, &c->session)) ||
           ort_failed(c, ORT(c, ort_create_fn, ORT_GET_DEFAULT_ALLOCATOR)(&allocator)) ||
           ort_failed(c, ORT(c, ort_name_fn, ORT_SESSION_GET_INPUT_NAME)(c->session, 0, allocator, &c->input_name)) ||
           ort_failed(c, ORT(c, ort_name_fn, ORT_SESSION_GET_OUTPUT_NAME)(c->session, 0, allocator, &c->output_name)) ||
           make_ort_input(c) || run_ort(c);
}

/* ISO C has no conversion from an object pointer to a function pointer; POSIX promises that the bytes agree. */
static int load_ort(contender *c, const char *library)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), *symbol = handle ? dlsym(handle, "OrtGetApiBase") : NULL;
    ort_get_base_fn *get_base;
    if (!symbol) return fail(library, dlerror());
    memcpy(&get_base, &symbol, sizeof get_base);
    c->ort = 1;
    c->api = get_base()->get_api(1);
    snprintf(c->version, sizeof c->version, "%s", get_base()->version());
    return c->api ? 0 : fail(library, "no interface of version 1");
}

static const float *output_of(void *arg, uint64_t *count)
{
    contender *c = (contender *)arg;
    void *data = NULL;
    size_t n = 0;
    ort_any shape;
    *count = c->output_count;
    if (!c->ort) return c->outputs[0];
    if (ort_failed(c, ORT(c, ort_get_data_fn, ORT_GET_TENSOR_DATA)(c->result, &data)) ||
        ort_failed(c, ORT(c, ort_get_part_fn, ORT_GET_TENSOR_TYPE_AND_SHAPE)(c->result, &shape)) ||
        ort_failed(c, ORT(c, ort_get_size_fn, ORT_GET_SHAPE_ELEMENT_COUNT)(shape, &n)))
        return NULL;
    *count = n;
    return data;
}

static int run_once(void *arg)
{
    contender *c = (contender *)arg;
    return c->ort ? run_ort(c) : run_ours(c);
}

static int open_model(void *arg)
{
    contender *c = (contender *)arg;
    return c->ort ? open_ort(c) : open_ours(c);
}

int main(int argc, char **argv)
{
    const uint64_t empty = served_empty();
    contender c;
    const served s = {open_model, run_once, output_of, &c, &c.weight_bytes, c.version};
    if (argc == 2 && strcmp(argv[1], "modes") == 0) {
        puts(isg_rt_isa() & ISG_ISA_AVX512BF16 ? "f32 int8 bf16" : "f32 int8");
        return 0;
    }
    if (argc < 5) return fail("usage", "bench_contender ours|ort:LIBRARY MODEL THREADS BATCH [MODE]");
    memset(&c, 0, sizeof c);
    c.path = argv[2];
    c.threads = served_number(argv[3], 1024);
    c.batch = served_number(argv[4], MAX_BATCH);
    if (!c.threads || !c.batch) return fail("usage", "THREADS is 1..1024, BATCH 1..4096");
    c.mode = argc > 5 ? argv[5] : "f32";
    if (strncmp(argv[1], "ort:", 4) == 0 && load_ort(&c, argv[1] + 4)) return 1;
    return serve(&s, empty);
}
