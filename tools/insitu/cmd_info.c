/* SPDX-License-Identifier: Apache-2.0 */
/* insitu info: what a model is, layer by layer, and the sizes and ratios that are never mixed up. */
#include <string.h>

#include "tool.h"

typedef struct info_layer {
    isg_rt_op op;
    isg_weight weight;
    int has_weight;
} info_layer;

static uint64_t dense_bytes(const isg_weight *w)
{
    return (uint64_t)w->taps * w->ci * w->co * 4;
}

/* "3x3" where the window is square, else the number of taps. */
static void kernel_text(char *dst, size_t size, uint32_t taps)
{
    uint32_t k = 1;
    while (k * k < taps) k++;
    if (k * k == taps)
        snprintf(dst, size, "%ux%u", k, k);
    else
        snprintf(dst, size, "%u", taps);
}

static void bits_text(char *dst, size_t size, const isg_weight *w)
{
    size_t n = (size_t)snprintf(dst, size, "%u", w->basis.bits);
    if (w->level1)
        n += (size_t)snprintf(dst + n, size - n, ",%u", w->u.bits);
    else if (w->level2)
        n += (size_t)snprintf(dst + n, size - n, ",-");
    if (w->level2) snprintf(dst + n, size - n, ",%u", w->v.bits);
}

static void factors_text(char *dst, size_t size, const isg_weight *w)
{
    if (!w->level1 && !w->level2)
        snprintf(dst, size, "-");
    else if (!w->level2)
        snprintf(dst, size, "%u,-", w->bi);
    else if (!w->level1)
        snprintf(dst, size, "-,%u", w->bo);
    else
        snprintf(dst, size, "%u,%u", w->bi, w->bo);
}

static const char *family_name(uint8_t family)
{
    static const char *const names[] = {"raw", "paper", "midtread", "midrise"};
    return family < 4 ? names[family] : "unknown";
}

static void print_layer(const info_layer *layer, int width)
{
    const isg_weight *w = &layer->weight;
    char kernel[16], factors[32], bits[16];
    kernel_text(kernel, sizeof kernel, w->taps);
    factors_text(factors, sizeof factors, w);
    bits_text(bits, sizeof bits, w);
    tool_print_name(layer->op.name, layer->op.name_bytes, width);
    printf(" %-6s %5u x%5u %-5s %-9s %-6s %-8s %9llu %7.2f%%%s\n", layer->op.kind, w->co, w->ci, kernel, factors, bits,
           tool_strategy_name(layer->op.strategy), (unsigned long long)layer->op.weight_bytes,
           100.0 * (double)layer->op.weight_bytes / (double)dense_bytes(w),
           tool_slower_than_dense(&layer->op) ? "  slower than dense" : "");
}

static void json_layer(cJSON *list, const info_layer *layer)
{
    const isg_weight *w = &layer->weight;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToArray(list, o);
    tool_json_text_n(o, "name", layer->op.name, layer->op.name_bytes);
    cJSON_AddStringToObject(o, "kind", layer->op.kind);
    cJSON_AddStringToObject(o, "strategy", tool_strategy_name(layer->op.strategy));
    cJSON_AddNumberToObject(o, "macs", (double)layer->op.macs);
    cJSON_AddNumberToObject(o, "dense_macs", (double)layer->op.dense_macs);
    if (layer->op.weight >= 0) cJSON_AddBoolToObject(o, "slower_than_dense", tool_slower_than_dense(&layer->op));
    tool_json_dims(o, "output", layer->op.output_dims, layer->op.output_rank);
    if (!layer->has_weight) return;
    cJSON_AddNumberToObject(o, "co", w->co);
    cJSON_AddNumberToObject(o, "ci", w->ci);
    cJSON_AddNumberToObject(o, "taps", w->taps);
    cJSON_AddBoolToObject(o, "depthwise", w->depthwise);
    cJSON_AddNumberToObject(o, "bi", w->level1 ? w->bi : 0);
    cJSON_AddNumberToObject(o, "bo", w->level2 ? w->bo : 0);
    cJSON_AddNumberToObject(o, "bits_basis", w->basis.bits);
    cJSON_AddNumberToObject(o, "bits_u", w->level1 ? w->u.bits : 0);
    cJSON_AddNumberToObject(o, "bits_v", w->level2 ? w->v.bits : 0);
    cJSON_AddStringToObject(o, "quantizer", family_name(w->basis.family));
    cJSON_AddNumberToObject(o, "bytes", (double)layer->op.weight_bytes);
    cJSON_AddNumberToObject(o, "dense_bytes", (double)dense_bytes(w));
}

static void print_hash(char dst[65], const uint8_t hash[32])
{
    int i;
    for (i = 0; i < 32; i++) snprintf(dst + 2 * i, 3, "%02x", hash[i]);
}

static int hash_known(const uint8_t hash[32])
{
    int i;
    for (i = 0; i < 32; i++)
        if (hash[i]) return 1;
    return 0;
}

static void print_line(const char *label, const char *text)
{
    char shown[256];
    if (text && *text) printf("%-14s %s\n", label, tool_escape(shown, sizeof shown, text, strlen(text)));
}

static void print_meta(const tool_model *m)
{
    const isg_model_meta *meta = isg_model_get_meta(m->model);
    char text[512];
    if (m->input.given) {
        isg_input_spec_format(text, sizeof text, &m->input);
        print_line("input", text);
    } else {
        print_line("input", "not stated (verbs that feed it need --input)");
    }
    if (m->label_offset) printf("%-14s %d\n", "label offset", m->label_offset);
    if (meta->class_count) printf("%-14s %u names\n", "classes", meta->class_count);
    print_line("producer", meta->producer);
    print_line("tool version", meta->tool_version);
    print_line("licence", meta->license);
    if (hash_known(meta->source_hash)) {
        print_hash(text, meta->source_hash);
        print_line("source SHA-256", text);
    }
    if (meta->recipe && *meta->recipe) printf("%-14s %zu bytes of JSON\n", "recipe", strlen(meta->recipe));
}

static void print_io(const char *label, const isg_rt_io *io)
{
    char dims[64], name[128];
    printf("%-14s %s  %s\n", label, tool_dims(dims, sizeof dims, io->dims, io->rank),
           tool_escape(name, sizeof name, io->name, io->name_bytes));
}

static void json_io(cJSON *object, const char *key, const isg_rt_model *rt, int outputs)
{
    cJSON *list = cJSON_AddArrayToObject(object, key);
    uint32_t i, n = outputs ? isg_rt_output_count(rt) : isg_rt_input_count(rt);
    for (i = 0; i < n; i++) {
        isg_rt_io io;
        cJSON *o;
        if ((outputs ? isg_rt_output(rt, i, &io) : isg_rt_input(rt, i, &io)) != ISG_OK) continue;
        o = cJSON_CreateObject();
        tool_json_text_n(o, "name", io.name, io.name_bytes);
        tool_json_dims(o, "dims", io.dims, io.rank);
        cJSON_AddItemToArray(list, o);
    }
}

typedef struct info_totals {
    uint64_t macs, dense_macs;
    uint32_t ops, weights, factored, slower;
    tool_sizes sizes;
    isg_accounting accounting;
    int accounted;
} info_totals;

static int read_layer(info_layer *layer, const tool_model *m, isg_session *session, uint32_t op)
{
    if (isg_rt_op_info(isg_session_context(session), op, &layer->op) != ISG_OK) return 0;
    layer->has_weight = layer->op.weight >= 0 &&
                        isg_rt_weight(isg_model_rt(m->model), (uint32_t)layer->op.weight, &layer->weight) == ISG_OK;
    return 1;
}

static void add_totals(info_totals *totals, const info_layer *layer)
{
    totals->ops++;
    totals->macs += layer->op.macs;
    totals->dense_macs += layer->op.dense_macs;
    totals->weights += layer->has_weight != 0;
    totals->slower += tool_slower_than_dense(&layer->op) != 0;
    totals->factored += layer->has_weight && (layer->weight.level1 || layer->weight.level2);
}

static void print_info(const tool_model *m, isg_session *session)
{
    info_totals totals = {0};
    info_layer layer;
    uint32_t i, n = isg_rt_op_count(isg_session_context(session));
    int width = 32;
    for (i = 0; i < n; i++)
        if (read_layer(&layer, m, session, i) && layer.has_weight)
            width = tool_name_width(width, layer.op.name, layer.op.name_bytes);
    printf("%-*s %-6s %-13s %-5s %-9s %-6s %-8s %9s %8s\n", width, "layer", "kind", "   co x   ci", "kern", "bi,bo",
           "bits", "way", "bytes", "of f32");
    for (i = 0; i < n; i++) {
        if (!read_layer(&layer, m, session, i)) continue;
        add_totals(&totals, &layer);
        if (layer.has_weight) print_layer(&layer, width);
    }
    printf("\n%-14s %u operations, %u with weights, %u factored\n", "graph", totals.ops, totals.weights,
           totals.factored);
    printf("%-14s %.2f million a run (%.2f dense)\n", "multiply-adds", (double)totals.macs / 1e6,
           (double)totals.dense_macs / 1e6);
    tool_slower_note(totals.slower, 0);
}

static void print_sizes(const info_totals *totals)
{
    const isg_accounting *a = &totals->accounting;
    char text[32];
    printf("%-14s %llu bytes (%s)\n", "file", (unsigned long long)totals->sizes.file_bytes,
           tool_bytes(text, sizeof text, (double)totals->sizes.file_bytes));
    printf("%-14s %llu bytes (%s) of packed weights\n", "resident", (unsigned long long)totals->sizes.resident_bytes,
           tool_bytes(text, sizeof text, (double)totals->sizes.resident_bytes));
    printf("%-14s %llu bytes (%s) to run one item\n", "peak", (unsigned long long)totals->sizes.peak_bytes,
           tool_bytes(text, sizeof text, (double)totals->sizes.peak_bytes));
    if (!totals->accounted) return;
    printf("%-14s %llu of %llu (%.3f %%)\n", "parameters", (unsigned long long)a->params,
           (unsigned long long)a->params_full, 100.0 * a->param_ratio);
    printf("%-14s %.3f %% (memory by the paper's rules)\n", "paper ratio", 100.0 * a->paper_ratio);
    printf("%-14s %.3f %% (this file against its float32 weights)\n", "file ratio", 100.0 * a->file_ratio);
}

static int json_info(tool *t, const tool_model *m, isg_session *session, info_totals *totals)
{
    const isg_model_meta *meta = isg_model_get_meta(m->model);
    cJSON *o = tool_json("info"), *list;
    char text[512];
    info_layer layer;
    uint32_t i, n = isg_rt_op_count(isg_session_context(session));
    tool_json_text(o, "file", m->path);
    cJSON_AddStringToObject(o, "format", isg_model_is_isg(m->model) ? "isg" : "onnx");
    json_io(o, "inputs", isg_model_rt(m->model), 0);
    json_io(o, "outputs", isg_model_rt(m->model), 1);
    isg_input_spec_format(text, sizeof text, &m->input);
    tool_json_text(o, "input", m->input.given ? text : NULL);
    cJSON_AddNumberToObject(o, "label_offset", m->label_offset);
    cJSON_AddNumberToObject(o, "class_names", meta->class_count);
    tool_json_text(o, "producer", meta->producer);
    tool_json_text(o, "tool_version", meta->tool_version);
    tool_json_text(o, "license", meta->license);
    print_hash(text, meta->source_hash);
    tool_json_text(o, "source_sha256", hash_known(meta->source_hash) ? text : NULL);
    tool_json_text(o, "recipe", meta->recipe);
    list = cJSON_AddArrayToObject(o, "layers");
    for (i = 0; i < n; i++) {
        if (!read_layer(&layer, m, session, i)) continue;
        add_totals(totals, &layer);
        json_layer(list, &layer);
    }
    cJSON_AddNumberToObject(o, "macs", (double)totals->macs);
    cJSON_AddNumberToObject(o, "dense_macs", (double)totals->dense_macs);
    tool_json_sizes(o, &totals->sizes);
    if (totals->accounted) {
        cJSON_AddNumberToObject(o, "params", (double)totals->accounting.params);
        cJSON_AddNumberToObject(o, "params_full", (double)totals->accounting.params_full);
        cJSON_AddNumberToObject(o, "paper_ratio", totals->accounting.paper_ratio);
        cJSON_AddNumberToObject(o, "file_ratio", totals->accounting.file_ratio);
    }
    return tool_json_print(t, o);
}

int cmd_info(tool *t, const tool_verb *verb, int argc, char **argv)
{
    uint32_t strategy = ISG_STRATEGY_AUTO;
    const tool_option options[] = {
        {"strategy", 0, OPTION_CHOICE, &strategy, tool_strategies, "plan as if this way were forced"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {
        verb,
        "FILE",
        "FILE is a .isg or an .onnx file. Three sizes are told apart: the file, the packed weights "
        "in memory\n(resident), and everything one item needs (peak: file and workspace).\nNothing is run: "
        "--max-memory is taken and does not count.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        NULL};
    tool_model m;
    isg_session *session = NULL;
    isg_rt_options rt;
    isg_error err = {0};
    isg_status status;
    info_totals totals = {0};
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    code = tool_model_open(t, &m, argv[0], NULL, LABEL_OFFSET_UNSET);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code != EXIT_OK) goto done;
    tool_options_init(t, &rt, 1, strategy);
    rt.max_memory = 0; /* nothing is run: any size is told */
    code = tool_model_sizes(t, &m, &rt, &totals.sizes);
    if (code != EXIT_OK) goto done;
    status = isg_session_create(&session, m.model, &rt, &err);
    if (status != ISG_OK) {
        code = tool_error(t, m.path, status, &err);
        goto done;
    }
    totals.accounted = isg_model_accounting(m.model, UINT64_MAX, 0, &totals.accounting, &err) == ISG_OK;
    if (t->json) {
        code = json_info(t, &m, session, &totals);
    } else {
        print_io("takes", &m.in);
        print_io("gives", &m.out);
        print_meta(&m);
        printf("\n");
        print_info(&m, session);
        print_sizes(&totals);
    }
done:
    isg_session_destroy(session);
    tool_model_close(&m);
    return code;
}
