/* SPDX-License-Identifier: Apache-2.0 */
/* insitu sim: what a network, in any stored form, costs on an accelerator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool_sim.h"

static int list_profiles(tool *t)
{
    const char *const *names = NULL;
    cJSON *json = NULL, *list = NULL;
    isg_error err = {0};
    uint32_t i, count = 0;
    isg_status status = isg_sim_profile_list(&names, &count, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    if (t->json) {
        json = tool_json("sim");
        cJSON_AddStringToObject(json, "kind", "list");
        list = cJSON_AddArrayToObject(json, "profiles");
    }
    for (i = 0; i < count && status == ISG_OK; i++) {
        isg_sim_profile *p = NULL;
        status = isg_sim_profile_load(&p, names[i], &err);
        if (status != ISG_OK) break;
        if (list)
            cJSON_AddItemToArray(list, sim_json_profile(p));
        else
            printf("%-18s %-12s %-10s %s\n", isg_sim_profile_name(p), isg_sim_engine_name(isg_sim_profile_engine(p)),
                   isg_sim_profile_node(p), isg_sim_profile_title(p));
        isg_sim_profile_destroy(p);
    }
    isg_free((void *)(uintptr_t)names);
    if (status != ISG_OK) {
        cJSON_Delete(json);
        return tool_error(t, NULL, status, &err);
    }
    return json ? tool_json_print(t, json) : EXIT_OK;
}

/* Every problem on stdout, the first one as the error. */
static int check_profile(tool *t, const char *which)
{
    isg_sim_problems problems = {0};
    isg_error err = {0};
    isg_status status = isg_sim_profile_check(which, &problems, &err);
    char key[160], reason[200], shown[300];
    uint32_t i;
    int code = EXIT_OK;
    if (status == ISG_OK || problems.count) {
        cJSON *json = t->json ? tool_json("sim") : NULL, *list = NULL;
        if (json) {
            cJSON_AddStringToObject(json, "kind", "check");
            tool_json_text(json, "file", which);
            cJSON_AddBoolToObject(json, "ok", status == ISG_OK);
            list = cJSON_AddArrayToObject(json, "problems");
        } else if (status == ISG_OK) {
            printf("%s: ok\n", tool_escape(shown, sizeof shown, which, strlen(which)));
        }
        for (i = 0; i < problems.count; i++) {
            const isg_sim_problem *p = &problems.items[i];
            if (list) {
                cJSON *o = cJSON_CreateObject();
                tool_json_text(o, "key", p->key);
                tool_json_text(o, "reason", p->reason);
                cJSON_AddItemToArray(list, o);
            } else {
                const char *place = *p->key ? p->key : which; /* no key: the file as a whole */
                printf("%s: %s\n", tool_escape(key, sizeof key, place, strlen(place)),
                       tool_escape(reason, sizeof reason, p->reason, strlen(p->reason)));
            }
        }
        if (json) code = tool_json_print(t, json);
    }
    isg_free(problems.items);
    if (status != ISG_OK) code = tool_error(t, NULL, status, &err);
    return code;
}

static cJSON *json_eq8(const isg_sim_eq8 *e)
{
    cJSON *json = tool_json("sim"), *notes;
    int i;
    cJSON_AddStringToObject(json, "kind", "paper-eq8");
    tool_json_number(json, "dac_ps", e->dac_ps);
    tool_json_number(json, "modulation_ps", e->modulation_ps);
    tool_json_number(json, "detection_ps", e->detection_ps);
    tool_json_number(json, "radius_um", e->radius_um);
    tool_json_number(json, "light_um_per_ps", e->light_um_per_ps);
    tool_json_number(json, "bandwidth_gb_s", e->bandwidth_gb);
    tool_json_number(json, "propagation_ps", e->propagation_ps);
    tool_json_number(json, "generation_ps", e->generation_ps);
    tool_json_number(json, "memory_ratio", e->memory_ratio);
    tool_json_number(json, "parameter_ratio", e->parameter_ratio);
    tool_json_number(json, "saved_bytes", e->saved_bytes);
    tool_json_number(json, "saved_us", e->saved_us);
    tool_json_number(json, "slowing", e->slowing);
    tool_json_number(json, "propagation_vacuum_ps", e->propagation_vacuum_ps);
    tool_json_number(json, "generation_vacuum_ps", e->generation_vacuum_ps);
    tool_json_number(json, "saved_decimal_us", e->saved_decimal_us);
    notes = cJSON_AddArrayToObject(json, "notes");
    for (i = 0; i < 4 && e->notes[i]; i++) cJSON_AddItemToArray(notes, cJSON_CreateString(e->notes[i]));
    return json;
}

static int print_eq8(tool *t)
{
    isg_sim_eq8 e;
    int i;
    isg_sim_paper_eq8(&e);
    if (t->json) return tool_json_print(t, json_eq8(&e));
    printf(
        "the paper's Eq. 8: a %u x %u x %u x %u layer of %u-bit weights, (Bi, Bo, qb, qu, qv) = (%u, %u, %u, %u, %u)\n"
        "\n",
        e.co, e.ci, e.k, e.k, e.dense_bits, e.bi, e.bo, e.basis_bits, e.u_bits, e.v_bits);
    printf("generation  DAC %.0f ps + 2 x (modulation %.0f ps + detection %.0f ps) + propagation %.1f ps = %.1f ps\n",
           e.dac_ps, e.modulation_ps, e.detection_ps, e.propagation_ps, e.generation_ps);
    printf("loading     memory ratio %.5f: %.1f KiB less at %.0f GiB/s = %.1f us\n", e.memory_ratio,
           e.saved_bytes / 1024.0, e.bandwidth_gb, e.saved_us);
    printf("parameters  %.4f of the dense layer's (%.0f %% fewer conversions by DACs)\n\n", e.parameter_ratio,
           100.0 * (1.0 - e.parameter_ratio));
    printf("with light at vacuum speed: propagation %.1f ps, generation %.1f ps; with 34e9 B/s: %.1f us\n",
           e.propagation_vacuum_ps, e.generation_vacuum_ps, e.saved_decimal_us);
    for (i = 0; i < 4 && e.notes[i]; i++) printf("note        %s\n", e.notes[i]);
    return EXIT_OK;
}

/* "dense8", "dense4" or BI,BO,QB,QU,QV. */
static int parse_form(tool *t, sim_options *o)
{
    const isg_sim_form fresh = ISG_SIM_FORM_INIT;
    unsigned bi, bo, b, u, v, bits;
    int used = 0;
    o->form = fresh;
    if (!o->form_text) return EXIT_OK;
    o->has_form = 1;
    if (sscanf(o->form_text, "dense%u%n", &bits, &used) == 1 && !o->form_text[used] && bits >= 1 && bits <= 16) {
        o->form.weight_bits = (uint8_t)bits;
        return EXIT_OK;
    }
    used = 0;
    if (sscanf(o->form_text, "%u,%u,%u,%u,%u%n", &bi, &bo, &b, &u, &v, &used) == 5 && used && !o->form_text[used] &&
        bi <= 4096 && bo <= 65536 && b >= 1 && b <= 16 && u >= 1 && u <= 16 && v >= 1 && v <= 16) {
        o->form.bi = bi;
        o->form.bo = bo;
        o->form.basis_bits = (uint8_t)b;
        o->form.u_bits = (uint8_t)u;
        o->form.v_bits = (uint8_t)v;
        return EXIT_OK;
    }
    return tool_usage_error(t, "option --form: denseBITS or BI,BO,QB,QU,QV expected");
}

/* Options that would change nothing. */
static int check_given(tool *t, const sim_options *o)
{
    static const char *const one_machine[] = {"profile", "mode", "form", "sweep", "detail", NULL};
    static const char *const one_run[] = {"mode", "form", "sweep", "detail", "batch", "snn", NULL};
    static const char *const images[] = {"limit", "input", NULL};
    int code = EXIT_OK;
    if (o->compare) code = tool_refuse(t, one_machine, "does not go with --compare");
    if (code == EXIT_OK && o->inject) code = tool_refuse(t, one_run, "does not go with --inject");
    if (code == EXIT_OK && !o->data) code = tool_refuse(t, images, "needs --data");
    if (code == EXIT_OK && !o->data) code = tool_snn_refuse(t, "needs --snn and --data");
    return code;
}

/* --list, --check and --paper-eq8 look at no network. */
static int check_alone(tool *t, const char *verb_option, int files)
{
    static const char *const network[] = {
        "profile",          "mode",  "batch", "form",  "sweep", "detail",     "compare", "html",      "ber",
        "inject",           "snn",   "data",  "input", "limit", "percentile", "initial", "per-layer", "calibration",
        "calibration-data", "shape", NULL};
    static const char *const alone[] = {"list", "check", "paper-eq8", NULL};
    char rule[80];
    int k, count = 0;
    for (k = 0; alone[k]; k++) count += tool_given(t, alone[k]);
    if (count > 1) return tool_usage_error(t, "--list, --check and --paper-eq8 exclude each other");
    if (files) return tool_usage_error(t, "--%s looks at no model", verb_option);
    snprintf(rule, sizeof rule, "does not go with --%s", verb_option);
    return tool_refuse(t, network, rule);
}

static int check_options(tool *t, sim_options *o, int files)
{
    int code = parse_form(t, o);
    if (code == EXIT_OK) code = check_given(t, o);
    if (code != EXIT_OK) return code;
    o->mode = ISG_SIM_AUTO;
    if (o->mode_text && !isg_sim_mode_parse(&o->mode, o->mode_text))
        return tool_usage_error(t, "option --mode: none of auto, generate, half, factored, dense, resident");
    if (o->batch < 1 || o->batch > 1000000) return tool_usage_error(t, "option --batch: 1 to 1000000");
    if (o->limit < 1) return tool_usage_error(t, "option --limit: at least 1");
    if (o->ber && !o->inject) return tool_usage_error(t, "--ber needs --inject OUT.isg");
    if (o->inject && !o->ber) return tool_usage_error(t, "--inject needs --ber STREAM=RATE,...");
    if (o->data && !o->snn.steps) return tool_usage_error(t, "--data needs --snn T");
    if (files != 1) return tool_usage_error(t, "MODEL expected (see insitu sim --help)");
    if (!o->profile && !o->compare && !o->inject)
        return tool_usage_error(t, "--profile, --compare or --inject is needed (--list names the profiles)");
    if (o->inject && (o->compare || o->html))
        return tool_usage_error(t, "--inject goes with neither --compare nor --html");
    return EXIT_OK;
}

/* A file, or arch:NAME, a built-in architecture at its CIFAR-10 size (costs do not depend on weights). */
static int open_graph(sim_job *job)
{
    isg_error err = {0};
    isg_status status;
    if (strncmp(job->path, "arch:", 5)) return tool_graph_open(job->t, &job->graph, job->path);
    status = isg_arch_build(&job->graph, job->path + 5, 3, 32, 32, 10, job->t->seed, &err);
    if (status == ISG_E_ARG) return tool_usage_error(job->t, "%s", err.message);
    if (status == ISG_OK) status = isg_graph_prepare(job->graph, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(job->t, job->path, status, &err);
}

static int open_job(sim_job *job)
{
    isg_error err = {0};
    isg_status status;
    int code;
    if (job->o->profile) {
        status = isg_sim_profile_load(&job->profile, job->o->profile, &err);
        if (status == ISG_E_ARG) return tool_usage_error(job->t, "%s", err.message);
        if (status != ISG_OK) return tool_error(job->t, NULL, status, &err);
    }
    code = open_graph(job);
    if (code == EXIT_OK) code = tool_shape_check(job->t);
    if (code != EXIT_OK) return code;
    status = isg_sim_network_from_graph(&job->network, job->graph, job->o->has_form ? &job->o->form : NULL, &err);
    if (status != ISG_OK) return tool_error(job->t, job->path, status, &err);
    return job->o->snn.steps ? sim_measure_spikes(job) : EXIT_OK;
}

/* Evaluates the asked mode and, for comparison, every other way to run the same file. */
static int evaluate_all(sim_job *job, isg_sim_report *reports[], uint32_t *count)
{
    static const isg_sim_mode ways[] = {ISG_SIM_DENSE,    ISG_SIM_GENERATE, ISG_SIM_HALF,
                                        ISG_SIM_FACTORED, ISG_SIM_RESIDENT, ISG_SIM_AUTO};
    isg_sim_options options = {sizeof options, job->o->batch, job->o->mode};
    isg_error err = {0};
    isg_status status = isg_sim_evaluate(&reports[0], job->network, job->profile, &options, &err);
    uint32_t i;
    if (status != ISG_OK) return tool_error(job->t, job->path, status, &err);
    *count = 1;
    for (i = 0; i < sizeof ways / sizeof *ways; i++) {
        options.mode = ways[i];
        if (isg_sim_evaluate(&reports[*count], job->network, job->profile, &options, &err) == ISG_OK) ++*count;
    }
    return EXIT_OK;
}

static cJSON *json_start(const sim_job *job)
{
    cJSON *json = tool_json("sim");
    tool_json_text(json, "tool_version", ISG_VERSION_STRING);
    tool_json_text(json, "model", job->path);
    if (job->o->form_text) tool_json_text(json, "form", job->o->form_text);
    cJSON_AddNumberToObject(json, "batch", job->o->batch);
    return json;
}

static int run_profile(sim_job *job, cJSON *json)
{
    isg_sim_report *reports[8] = {NULL};
    const isg_sim_report *shown[8];
    cJSON *ways;
    uint32_t count = 0, i;
    int code = evaluate_all(job, reports, &count);
    for (i = 0; i < job->o->sweeps.count && code == EXIT_OK; i++) code = sim_check_sweep(job, job->o->sweeps.items[i]);
    if (code == EXIT_OK && json) {
        cJSON_AddStringToObject(json, "kind", "run");
        cJSON_AddItemToObject(json, "profile", sim_json_profile(job->profile));
        cJSON_AddItemToObject(json, "result", sim_json_report(job, reports[0], 1));
        ways = cJSON_AddArrayToObject(json, "ways");
        for (i = 1; i < count; i++) cJSON_AddItemToArray(ways, sim_json_report(job, reports[i], 0));
        if (job->snn) {
            cJSON_AddItemToObject(json, "snn", job->snn);
            job->snn = NULL;
        }
    }
    if (code == EXIT_OK && !job->t->json) {
        char text[32], shown_path[300];
        printf("model      %s, %u layers, %s multiply-adds an image%s%s\n",
               tool_escape(shown_path, sizeof shown_path, job->path, strlen(job->path)), job->network->layer_count,
               sim_count(text, sizeof text, reports[0]->total.dense_macs / job->o->batch),
               job->o->form_text ? ", form " : "", job->o->form_text ? job->o->form_text : "");
        sim_print_profile(job->profile);
        printf("mode       %s, batch %u\n", isg_sim_mode_name(job->o->mode), job->o->batch);
        sim_print_report(job, reports[0]);
        if (job->o->detail) sim_print_detail(job, reports[0]);
        for (i = 1; i < count; i++) shown[i - 1] = reports[i];
        sim_print_ways(job, shown, count - 1);
    }
    for (i = 0; i < job->o->sweeps.count && code == EXIT_OK; i++)
        code = sim_sweep(job, job->o->sweeps.items[i], job->t->json ? json : NULL);
    for (i = 0; i < count; i++) isg_sim_report_destroy(reports[i]);
    return code;
}

static int run_job(sim_job *job)
{
    const sim_options *o = job->o;
    cJSON *json = NULL;
    int code = open_job(job);
    if (code == EXIT_OK && (job->t->json || o->html)) json = json_start(job);
    if (code == EXIT_OK && o->compare) {
        code = sim_compare(job, &json);
    } else if (code == EXIT_OK && o->inject) {
        if (json) cJSON_AddStringToObject(json, "kind", "inject");
        code = sim_inject(job, json);
    } else if (code == EXIT_OK) {
        code = run_profile(job, json);
    }
    if (code == EXIT_OK && o->html) code = sim_write_html(job->t, o->html, json);
    if (code == EXIT_OK && job->t->json)
        code = tool_json_print(job->t, json);
    else
        cJSON_Delete(json);
    cJSON_Delete(job->snn);
    isg_sim_network_destroy(job->network);
    isg_sim_profile_destroy(job->profile);
    isg_graph_destroy(job->graph);
    return code;
}

int cmd_sim(tool *t, const tool_verb *verb, int argc, char **argv)
{
    sim_options o = {.batch = 1, .limit = 100, .label_offset = LABEL_OFFSET_UNSET, .snn = SNN_OPTIONS_INIT};
    const char *check = NULL;
    const tool_option options[] = {
        {"profile", 'p', OPTION_TEXT, &o.profile, "NAME|FILE", "the machine: a shipped profile or a .json file"},
        {"mode", 'm', OPTION_TEXT, &o.mode_text, "auto|generate|half|factored|dense|resident",
         "how layers with factors run (default auto: per layer the one with the least energy)"},
        {"batch", 'b', OPTION_U32, &o.batch, "N", "images a run (default 1)"},
        {"form", 'f', OPTION_TEXT, &o.form_text, "denseBITS|BI,BO,QB,QU,QV",
         "cost the network as if stored like this (default: as the file is)"},
        {"sweep", 's', OPTION_LIST, &o.sweeps, "KEY=A,B,...", "repeat with a number of the profile, or batch, changed"},
        SHAPE_OPTION_ROW(t),
        {"detail", 0, OPTION_FLAG, &o.detail, NULL,
         "per layer also bytes by memory and stream, energy by cause, and conversions"},
        {"compare", 0, OPTION_FLAG, &o.compare, NULL, "five forms of the network on every shipped profile"},
        {"html", 0, OPTION_TEXT, &o.html, "FILE", "write a self-contained page with roofline and energy breakdown"},
        {"list", 0, OPTION_FLAG, &o.list, NULL, "list the shipped profiles"},
        {"check", 0, OPTION_TEXT, &check, "NAME|FILE", "list every problem of a profile"},
        {"paper-eq8", 0, OPTION_FLAG, &o.eq8, NULL, "the paper's latency example (Eq. 8), recomputed"},
        {"ber", 0, OPTION_TEXT, &o.ber, "STREAM=RATE,...|profile",
         "bit error rates of basis, u, v, weight, scale, bias or all; profile: of the tiers they live in"},
        {"inject", 0, OPTION_TEXT, &o.inject, "OUT.isg",
         "write the .isg MODEL with bits flipped at these rates (--seed)"},
        SNN_OPTION_ROWS(o.snn),
        {"data", 'd', OPTION_TEXT, &o.data, "KIND:PATH", "--snn: measure spikes on these images"},
        {"input", 'i', OPTION_TEXT, &o.input, "SPEC", "--data: input contract (default: the file's own)"},
        {"limit", 'n', OPTION_U64, &o.limit, "N", "--data: images to measure on (default 100)"},
    };
    const tool_usage usage = {
        verb,
        "[MODEL]",
        "MODEL is a .isg or .onnx file or arch:NAME (fig5a, resnet18, resnet20, mlp at CIFAR-10's size). Every number "
        "of a profile\nnames its source; uncertain ones are bands, and so are the results (docs/accelerators.md).",
        options,
        OPTION_COUNT(options),
        0,
        1,
        "max-memory"};
    sim_job job = {.t = t, .o = &o};
    const char *inputs[2];
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (o.list || check || o.eq8) {
        code = check_alone(t, o.list ? "list" : check ? "check" : "paper-eq8", files);
        if (code != EXIT_OK) return code;
        return o.list ? list_profiles(t) : check ? check_profile(t, check) : print_eq8(t);
    }
    code = check_options(t, &o, files);
    if (code != EXIT_OK) return code;
    job.path = argv[0];
    inputs[0] = job.path;
    inputs[1] = o.profile;
    if ((o.data || o.inject) && tool_is_pipe(job.path))
        return tool_usage_error(t, "MODEL needs to be a file, which --%s reads twice", o.data ? "data" : "inject");
    code = tool_check_output(t, o.html, inputs, 2, o.data);
    if (code == EXIT_OK) code = tool_check_output(t, o.inject, inputs, 2, o.data);
    if (code != EXIT_OK) return code;
    return run_job(&job);
}
