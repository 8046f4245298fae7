/* SPDX-License-Identifier: Apache-2.0 */
/* insitu bench: latency as medians in one run against a baseline, time per layer, memory. */
#include <insitu/format.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define WARM_UP 3
#define MAX_RUNS 100000
#define PROFILE_RUNS 20

typedef struct bench_options {
    const char *baseline;
    uint32_t runs, batch, strategy;
    int plan, recalibrate;
    isg_rt_costs costs; /* of this machine, with --plan; so are the roofs */
    isg_peaks peaks;
} bench_options;

typedef struct bench_side {
    tool_model m;
    isg_session *session;
    float **inputs, **outputs;
    uint32_t input_count, output_count, batch;
    uint32_t mode;      /* isg_mode */
    double *times;      /* [runs], milliseconds */
    double microjoules; /* of all processors, over the runs whose counters did not start again */
    uint32_t energy_runs;
    double median, p90;
    tool_sizes sizes;
    double *layer_ms; /* [ops][profiling runs], sorted when they are over */
    uint64_t layer_start;
    uint32_t ops, layer_runs, layer_run; /* ops 0: the run warms up */
} bench_side;

static void profile_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    bench_side *side = user;
    uint64_t now = isg_host_nanoseconds();
    (void)ctx;
    if (!done)
        side->layer_start = now;
    else if (op < side->ops)
        /* a batch may come in parts */
        side->layer_ms[(size_t)op * side->layer_runs + side->layer_run] += (double)(now - side->layer_start) * 1e-6;
}

static float **make_buffers(const isg_rt_model *rt, uint32_t count, int outputs, uint32_t batch)
{
    float **list = calloc(count ? count : 1, sizeof *list);
    uint32_t i;
    for (i = 0; list && i < count; i++) {
        isg_rt_io io;
        uint64_t n, k;
        if ((outputs ? isg_rt_output(rt, i, &io) : isg_rt_input(rt, i, &io)) != ISG_OK) return list;
        n = tool_io_count(&io) * batch;
        list[i] = calloc((size_t)n, sizeof **list);
        if (!list[i]) return list;
        for (k = 0; !outputs && k < n; k++) list[i][k] = (float)((k * 2654435761u >> 8) % 2001u) * 1e-3f - 1.0f;
    }
    return list;
}

static int buffers_ready(float **list, uint32_t count)
{
    uint32_t i;
    if (!list) return 0;
    for (i = 0; i < count; i++)
        if (!list[i]) return 0;
    return 1;
}

static void free_buffers(float **list, uint32_t count)
{
    uint32_t i;
    for (i = 0; list && i < count; i++) free(list[i]);
    free(list);
}

static int make_session(tool *t, bench_side *side, const bench_options *o, int profile, isg_session **session)
{
    isg_rt_options options;
    isg_error err = {0};
    isg_status status;
    int code;
    tool_options_init(t, &options, side->batch, o->strategy);
    options.mode = side->mode;
    if (tool_threads(t) > 1) {
        if (!tool_pool(t)) return EXIT_RUNTIME;
        options.parallel = isg_pool_parallel(t->pool);
    }
    if (o->plan) options.costs = &o->costs;
    if (profile) {
        options.hook = profile_hook;
        options.hook_user = side;
        options.hook_timing = 1;
    }
    code = tool_model_sizes(t, &side->m, &options, &side->sizes);
    if (code != EXIT_OK) return code;
    status = isg_session_create(session, side->m.model, &options, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(t, side->m.path, status, &err);
}

/* A baseline is as a rule the network that the file was made of, which has no ranges to compute in int8 by. */
static uint32_t mode_of(tool *t, const bench_side *side, int baseline)
{
    size_t bytes;
    if (!baseline || t->mode != ISG_MODE_INT8 ||
        isg_rt_section(isg_model_rt(side->m.model), ISG_SECTION_ACTIVATIONS, &bytes))
        return t->mode;
    tool_note(t, "%s has no ranges for int8: it runs in f32", side->m.path);
    return ISG_MODE_F32;
}

static int side_open(tool *t, bench_side *side, const char *path, const bench_options *o, int baseline)
{
    const isg_rt_model *rt;
    int code = tool_model_open(t, &side->m, path, NULL, LABEL_OFFSET_UNSET);
    if (code != EXIT_OK) return code;
    if (side->m.fixed_batch && o->batch > 1)
        return tool_usage_error(t, "option --batch: %s has a fixed batch", side->m.path);
    side->batch = side->m.fixed_batch ? 1 : o->batch;
    side->mode = mode_of(t, side, baseline);
    code = make_session(t, side, o, 0, &side->session);
    if (code != EXIT_OK) return code;
    rt = isg_model_rt(side->m.model);
    side->input_count = isg_rt_input_count(rt);
    side->output_count = isg_rt_output_count(rt);
    side->inputs = make_buffers(rt, side->input_count, 0, side->batch);
    side->outputs = make_buffers(rt, side->output_count, 1, side->batch);
    side->times = calloc(o->runs, sizeof *side->times);
    if (!buffers_ready(side->inputs, side->input_count) || !buffers_ready(side->outputs, side->output_count) ||
        !side->times)
        return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    return EXIT_OK;
}

static void side_close(bench_side *side)
{
    free_buffers(side->inputs, side->input_count);
    free_buffers(side->outputs, side->output_count);
    free(side->times);
    free(side->layer_ms);
    isg_session_destroy(side->session);
    tool_model_close(&side->m);
}

static int run_once(tool *t, bench_side *side, isg_session *session, double *milliseconds)
{
    isg_error err = {0};
    uint64_t start = isg_host_nanoseconds();
    isg_status status = isg_session_run(session, (const float *const *)side->inputs, side->outputs, &err);
    *milliseconds = (double)(isg_host_nanoseconds() - start) * 1e-6;
    if (status == ISG_OK && tool_cancelled()) status = ISG_E_CANCELLED;
    return status == ISG_OK ? EXIT_OK : tool_error(t, side->m.path, status, &err);
}

/* The same with the energy that the processors took meanwhile, where the machine tells. */
static int run_measured(tool *t, bench_side *side, double *milliseconds)
{
    const uint64_t before = isg_host_microjoules();
    const int code = run_once(t, side, side->session, milliseconds);
    const uint64_t after = isg_host_microjoules();
    if (before == 0 || after < before) return code;
    side->microjoules += (double)(after - before);
    side->energy_runs++;
    return code;
}

static int by_time(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double middle(const double *sorted, uint32_t n)
{
    return n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
}

static void summarise(bench_side *side, uint32_t runs)
{
    qsort(side->times, runs, sizeof *side->times, by_time);
    side->median = middle(side->times, runs);
    side->p90 = side->times[(runs * 9 + 9) / 10 - 1];
}

/* Both sides take turns, so that whatever else the machine does hits both. */
static int measure(tool *t, bench_side *sides, int count, const bench_options *o)
{
    uint32_t i;
    int s, code;
    double ms;
    for (i = 0; i < o->runs + WARM_UP; i++) {
        for (s = 0; s < count; s++) {
            code = i < WARM_UP ? run_once(t, &sides[s], sides[s].session, &ms) : run_measured(t, &sides[s], &ms);
            if (code != EXIT_OK) return code;
            if (i >= WARM_UP) sides[s].times[i - WARM_UP] = ms;
        }
        tool_progress(t, "bench", i + 1, o->runs + WARM_UP, "");
    }
    for (s = 0; s < count; s++) summarise(&sides[s], o->runs);
    return EXIT_OK;
}

static double layer_median(const bench_side *side, uint32_t op)
{
    return middle(side->layer_ms + (size_t)op * side->layer_runs, side->layer_runs);
}

static double layer_mean(const bench_side *side, uint32_t op)
{
    double sum = 0.0;
    uint32_t i;
    for (i = 0; i < side->layer_runs; i++) sum += side->layer_ms[(size_t)op * side->layer_runs + i];
    return sum / side->layer_runs;
}

/* Time per layer comes from runs of its own: reading the clock around each layer would blur the medians. */
static int profile(tool *t, bench_side *side, const bench_options *o)
{
    isg_session *session = NULL;
    uint32_t ops, k;
    double ms;
    int code = make_session(t, side, o, 1, &session);
    if (code != EXIT_OK) return code;
    ops = isg_rt_op_count(isg_session_context(session));
    side->layer_runs = o->runs < PROFILE_RUNS ? o->runs : PROFILE_RUNS;
    side->layer_ms = calloc((size_t)ops * side->layer_runs + 1, sizeof *side->layer_ms);
    if (!side->layer_ms) code = tool_error(t, NULL, ISG_E_NOMEM, NULL);
    if (code == EXIT_OK) code = run_once(t, side, session, &ms);
    side->ops = ops;
    for (side->layer_run = 0; code == EXIT_OK && side->layer_run < side->layer_runs; side->layer_run++)
        code = run_once(t, side, session, &ms);
    for (k = 0; code == EXIT_OK && k < ops; k++)
        qsort(side->layer_ms + (size_t)k * side->layer_runs, side->layer_runs, sizeof *side->layer_ms, by_time);
    isg_session_destroy(session);
    return code;
}

static void print_side(const char *label, const bench_side *side)
{
    char shown[200], resident[32], peak[32];
    printf("%-9s %10.3f %10.3f  %11s %11s  %s\n", label, side->median, side->p90,
           tool_bytes(resident, sizeof resident, (double)side->sizes.resident_bytes),
           tool_bytes(peak, sizeof peak, (double)side->sizes.peak_bytes),
           tool_escape(shown, sizeof shown, side->m.path, strlen(side->m.path)));
}

static void print_energy(const char *label, const bench_side *side)
{
    if (side->energy_runs)
        printf("%-9s %10.3f mJ a run, of the whole machine's processors\n", label,
               side->microjoules * 1e-3 / side->energy_runs);
}

static void json_side(cJSON *o, const bench_side *side)
{
    tool_json_text(o, "file", side->m.path);
    cJSON_AddStringToObject(o, "mode", tool_mode_name(side->mode));
    tool_json_number(o, "median_ms", side->median);
    tool_json_number(o, "p90_ms", side->p90);
    tool_json_number(o, "millijoules", side->energy_runs ? side->microjoules * 1e-3 / side->energy_runs : NAN);
    tool_json_sizes(o, &side->sizes);
    cJSON_AddNumberToObject(o, "workspace_bytes", (double)side->sizes.workspace_bytes);
}

/* An operation with those that it does besides; 0 if another one does it. */
static int read_op(const bench_side *side, uint32_t i, isg_rt_op *op)
{
    const isg_rt_context *ctx = isg_session_context(side->session);
    isg_rt_op next;
    if (isg_rt_op_info(ctx, i, op) != ISG_OK || op->fused) return 0;
    for (i++; i < side->ops && isg_rt_op_info(ctx, i, &next) == ISG_OK && next.fused; i++) {
        op->macs += next.macs;
        op->dense_macs += next.dense_macs;
        op->weight_bytes += next.weight_bytes;
        op->predicted_ns += next.predicted_ns;
        op->dense_ns += next.dense_ns;
        memcpy(op->output_dims, next.output_dims, sizeof op->output_dims);
    }
    return 1;
}

/* Measured time of the layer of the same name in the baseline; below 0: it has none. */
static double baseline_ms(const bench_side *other, const isg_rt_op *op)
{
    uint32_t i;
    for (i = 0; other && i < other->ops && op->name_bytes; i++) {
        isg_rt_op theirs;
        if (!read_op(other, i, &theirs)) continue;
        if (theirs.name_bytes == op->name_bytes && !memcmp(theirs.name, op->name, op->name_bytes) &&
            theirs.dense_macs == op->dense_macs)
            return layer_median(other, i);
    }
    return -1.0;
}

static void json_layer(tool *t, cJSON *list, const isg_rt_op *op, const bench_side *side, uint32_t i, double other_ms,
                       double bound_ms)
{
    cJSON *o = cJSON_CreateObject();
    tool_json_text_n(o, "name", op->name, op->name_bytes);
    cJSON_AddStringToObject(o, "kind", op->kind);
    cJSON_AddStringToObject(o, "strategy", tool_strategy_name(op->strategy));
    tool_json_number(o, "mean_ms", layer_mean(side, i));
    tool_json_number(o, "median_ms", layer_median(side, i));
    if (other_ms >= 0.0) tool_json_number(o, "baseline_ms", other_ms);
    if (bound_ms > 0.0) tool_json_number(o, "roofline_ms", bound_ms);
    cJSON_AddNumberToObject(o, "macs", (double)op->macs);
    cJSON_AddNumberToObject(o, "bytes", tool_layer_bytes(op));
    cJSON_AddItemToArray(list, o);
    if (op->weight < 0) return;
    cJSON_AddStringToObject(o, "mode", tool_mode_name(op->mode));
    cJSON_AddNumberToObject(o, "tile_pixels", op->tile_pixels);
    cJSON_AddNumberToObject(o, "tile_rows", op->tile_rows);
    cJSON_AddNumberToObject(o, "tasks", op->tasks);
    cJSON_AddNumberToObject(o, "threads", tool_layer_threads(op, tool_threads(t)));
    tool_json_number(o, "predicted_ms", tool_predicted_ms(op, tool_threads(t)));
    tool_json_number(o, "predicted_dense_ms", (double)op->dense_ns * 1e-6);
    cJSON_AddBoolToObject(o, "slower_than_dense", tool_slower_than_dense(op));
}

static void print_layer(const isg_rt_op *op, int width, double ms)
{
    printf("  ");
    tool_print_name(op->name, op->name_bytes, width);
    printf(" %-16s %-9s %-4s %9.3f ms %8.2f GMAC/s\n", op->kind,
           op->weight >= 0 ? tool_strategy_name(op->strategy) : "", op->weight >= 0 ? tool_mode_name(op->mode) : "", ms,
           ms > 0.0 ? (double)op->macs / ms * 1e-6 : 0.0);
}

static int name_width(const bench_side *side, int plan)
{
    int width = plan ? 32 : 36;
    for (uint32_t i = 0; i < side->ops; i++) {
        isg_rt_op op;
        size_t bytes;
        const char *name;
        if (!read_op(side, i, &op)) continue;
        name = tool_plan_name(&op, &bytes);
        width = tool_name_width(width, name, bytes);
    }
    return width;
}

static void report_layers(tool *t, const bench_side *side, const bench_side *other, const bench_options *o, cJSON *list)
{
    uint32_t i, slower = 0;
    double all_ms = 0.0, all_bound_ms = 0.0;
    const int width = name_width(side, o->plan);
    if (!list && o->plan) tool_plan_head(width);
    for (i = 0; i < side->ops; i++) {
        isg_rt_op op;
        double theirs, bound = 0.0;
        if (!read_op(side, i, &op)) continue;
        theirs = baseline_ms(other, &op);
        if (o->plan) bound = tool_bound_ms(&op, &o->peaks, tool_threads(t));
        all_ms += layer_median(side, i);
        all_bound_ms += bound;
        slower += tool_slower_than_dense(&op) != 0;
        if (list)
            json_layer(t, list, &op, side, i, theirs, bound);
        else if (o->plan)
            tool_plan_line(&op, width, tool_threads(t), layer_median(side, i), theirs, bound);
        else
            print_layer(&op, width, layer_median(side, i));
    }
    if (list) return;
    if (o->plan) {
        printf("all layers %.4f ms, roofline %.4f ms: %.2f times; a core does %.1f GMAC/s of f32, %.1f of int8, "
               "%.1f of bf16, and reads %.1f GB/s\n",
               all_ms, all_bound_ms, all_ms / all_bound_ms, o->peaks.f32_macs * 1e-9, o->peaks.int8_macs * 1e-9,
               o->peaks.bf16_macs * 1e-9, o->peaks.bytes * 1e-9);
    }
    tool_slower_note(slower, o->plan);
}

static int report(tool *t, const bench_side *sides, int count, const bench_options *o, const double load[3])
{
    const char *isa = isg_rt_isa_name(isg_session_context(sides[0].session));
    cJSON *json, *other;
    if (!t->json) {
        printf("batch %u, %u threads, %s, median of %u runs after %d to warm up, load average %.2f %.2f %.2f\n",
               sides[0].batch, tool_threads(t), isa, o->runs, WARM_UP, load[0], load[1], load[2]);
        printf("%-9s %10s %10s  %11s %11s\n", "", "median ms", "p90 ms", "resident", "peak");
        print_side("model", &sides[0]);
        if (count > 1) print_side("baseline", &sides[1]);
        print_energy("model", &sides[0]);
        if (count > 1) print_energy("baseline", &sides[1]);
        if (count > 1) printf("speed-up over the baseline: %.2f\n", sides[1].median / sides[0].median);
        printf("layers:\n");
        report_layers(t, &sides[0], count > 1 ? &sides[1] : NULL, o, NULL);
        return EXIT_OK;
    }
    json = tool_json("bench");
    json_side(json, &sides[0]);
    cJSON_AddNumberToObject(json, "batch", sides[0].batch);
    cJSON_AddNumberToObject(json, "threads", tool_threads(t));
    cJSON_AddStringToObject(json, "isa", isa);
    cJSON_AddNumberToObject(json, "runs", o->runs);
    other = cJSON_AddArrayToObject(json, "load_average");
    cJSON_AddItemToArray(other, cJSON_CreateNumber(load[0]));
    cJSON_AddItemToArray(other, cJSON_CreateNumber(load[1]));
    cJSON_AddItemToArray(other, cJSON_CreateNumber(load[2]));
    if (count > 1) {
        json_side(cJSON_AddObjectToObject(json, "baseline"), &sides[1]);
        tool_json_number(json, "speedup", sides[1].median / sides[0].median);
    }
    cJSON_AddStringToObject(json, "costs", o->plan ? "machine" : "built-in");
    if (o->plan) {
        other = cJSON_AddObjectToObject(json, "peaks_a_core");
        tool_json_number(other, "f32_macs_per_second", o->peaks.f32_macs);
        tool_json_number(other, "int8_macs_per_second", o->peaks.int8_macs);
        tool_json_number(other, "bf16_macs_per_second", o->peaks.bf16_macs);
        tool_json_number(other, "bytes_per_second", o->peaks.bytes);
    }
    report_layers(t, &sides[0], count > 1 ? &sides[1] : NULL, o, cJSON_AddArrayToObject(json, "layers"));
    return tool_json_print(t, json);
}

static int calibrate(tool *t, bench_options *o)
{
    isg_error err = {0};
    int measured = 0;
    const isg_status status = isg_costs_load(&o->costs, t->isa_mask, o->recalibrate, &measured, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    if (measured) tool_note(t, "measured the costs of this machine for the planner");
    return EXIT_OK;
}

/* Right after the layers: clocks change while others work. */
static int measure_peaks(tool *t, const bench_side *side, bench_options *o)
{
    isg_error err = {0};
    const isg_status status = isg_peaks_measure(&o->peaks, t->isa_mask, side->sizes.peak_bytes, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(t, NULL, status, &err);
}

int cmd_bench(tool *t, const tool_verb *verb, int argc, char **argv)
{
    bench_options o = {.runs = 20, .batch = 1};
    const tool_option options[] = {
        {"baseline", 0, OPTION_TEXT, &o.baseline, "OTHER",
         "a second .isg or .onnx file, measured in turns with the first"},
        {"runs", 'n', OPTION_U32, &o.runs, "N", "measured runs (default 20)"},
        {"batch", 'b', OPTION_U32, &o.batch, "N", "items a run (default 1)"},
        {"strategy", 0, OPTION_CHOICE, &o.strategy, tool_strategies, "force a way to execute factored layers"},
        {"mode", 0, OPTION_CHOICE, &t->mode, tool_modes, "numbers to compute in; int8 needs a calibrated file"},
        SHAPE_OPTION_ROW(t),
        {"plan", 0, OPTION_FLAG, &o.plan, NULL,
         "plan with this machine's measured costs; show tiles, predictions and roofline"},
        {"recalibrate", 0, OPTION_FLAG, &o.recalibrate, NULL, "with --plan: measure the costs again"},
    };
    const tool_usage usage = {
        verb,
        "FILE",
        "Threads share the work inside each layer. Memory is the plan's: packed weights (resident), and\n"
        "the file with the workspace (peak). Without --plan the planner uses its built-in costs; those that --plan\n"
        "measures are kept under $XDG_CACHE_HOME/insitu or ~/.cache/insitu. A layer that does the next one in passing\n"
        "(an addition, a depthwise convolution, a max pool) stands for both. Tiles and tasks are those of the images\n"
        "that go at a time.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        NULL};
    bench_side sides[2] = {{.m = {0}}, {.m = {0}}};
    double load[3] = {0, 0, 0};
    int files, count, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (o.runs < 1 || o.runs > MAX_RUNS) return tool_usage_error(t, "option --runs: must be in 1..%d", MAX_RUNS);
    if (o.batch < 1 || o.batch > 4096) return tool_usage_error(t, "option --batch: must be in 1..4096");
    if (o.recalibrate && !o.plan) return tool_usage_error(t, "option --recalibrate needs --plan");
    count = o.baseline ? 2 : 1;
    code = o.plan ? calibrate(t, &o) : EXIT_OK;
    if (code != EXIT_OK) return code;
    if (getloadavg(load, 3) != 3) memset(load, 0, sizeof load);
    code = side_open(t, &sides[0], argv[0], &o, 0);
    if (code == EXIT_OK && o.baseline) code = side_open(t, &sides[1], o.baseline, &o, 1);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = measure(t, sides, count, &o);
    if (code == EXIT_OK) code = profile(t, &sides[0], &o);
    if (code == EXIT_OK && o.plan) code = measure_peaks(t, &sides[0], &o);
    if (code == EXIT_OK && o.baseline && o.plan) code = profile(t, &sides[1], &o);
    if (code == EXIT_OK) code = report(t, sides, count, &o, load);
    side_close(&sides[0]);
    side_close(&sides[1]);
    return code;
}
