/* SPDX-License-Identifier: Apache-2.0 */
/* insitu sim --compare: one network in five stored forms on every shipped profile, and where generation pays. */
#include <stdlib.h>
#include <string.h>

#include "tool_sim.h"

#define FORMS_MAX 8

typedef struct compare_cell {
    isg_sim_report *report; /* NULL: the machine cannot run this form */
    char reason[160];
} compare_cell;

typedef struct compare_row {
    isg_sim_profile *profile;
    compare_cell cells[FORMS_MAX];
    isg_sim_break_even generate, factored; /* against dense int8 */
    int has_generate, has_factored;
} compare_row;

typedef struct compare_table {
    const isg_sim_choice *choices;
    uint32_t choice_count, row_count;
    isg_sim_network *networks[FORMS_MAX];
    compare_row *rows;
} compare_table;

static int find_mode(const compare_table *c, isg_sim_mode mode)
{
    uint32_t i;
    for (i = 0; i < c->choice_count; i++)
        if (c->choices[i].mode == mode) return (int)i;
    return -1;
}

static int break_even(const compare_table *c, const compare_row *row, isg_sim_mode mode, uint32_t batch,
                      isg_sim_break_even *out)
{
    int with = find_mode(c, mode), without = find_mode(c, ISG_SIM_DENSE);
    isg_error err;
    if (with < 0 || without < 0 || !row->cells[with].report || !row->cells[without].report) return 0;
    return isg_sim_find_break_even(out, c->networks[with], mode, c->networks[without], ISG_SIM_DENSE, row->profile,
                                   batch, &err) == ISG_OK;
}

static int fill_row(sim_job *job, compare_table *c, compare_row *row, const char *name)
{
    isg_error err = {0};
    uint32_t i;
    isg_status status = isg_sim_profile_load(&row->profile, name, &err);
    if (status != ISG_OK) return tool_error(job->t, name, status, &err);
    for (i = 0; i < c->choice_count; i++) {
        const isg_sim_options options = {sizeof options, job->o->batch, c->choices[i].mode};
        status = isg_sim_evaluate(&row->cells[i].report, c->networks[i], row->profile, &options, &err);
        if (status == ISG_E_UNSUPPORTED)
            snprintf(row->cells[i].reason, sizeof row->cells[i].reason, "%.150s", err.message);
        else if (status != ISG_OK)
            return tool_error(job->t, name, status, &err);
    }
    row->has_generate = break_even(c, row, ISG_SIM_GENERATE, job->o->batch, &row->generate);
    row->has_factored = break_even(c, row, ISG_SIM_FACTORED, job->o->batch, &row->factored);
    return EXIT_OK;
}

static int fill_table(sim_job *job, compare_table *c)
{
    const char *const *names = NULL;
    isg_error err = {0};
    uint32_t i, count = 0;
    int code = EXIT_OK;
    isg_status status;
    c->choices = isg_sim_choices(&c->choice_count);
    if (c->choice_count > FORMS_MAX) c->choice_count = FORMS_MAX;
    for (i = 0; i < c->choice_count; i++) {
        status = isg_sim_network_from_graph(&c->networks[i], job->graph, &c->choices[i].form, &err);
        if (status != ISG_OK) return tool_error(job->t, job->path, status, &err);
        if (job->network) c->networks[i]->timesteps = job->network->timesteps;
    }
    status = isg_sim_profile_list(&names, &count, &err);
    if (status != ISG_OK) return tool_error(job->t, NULL, status, &err);
    c->rows = calloc(count ? count : 1, sizeof *c->rows);
    if (!c->rows) code = tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < count && code == EXIT_OK; i++) {
        c->row_count = i + 1;
        code = fill_row(job, c, &c->rows[i], names[i]);
    }
    isg_free((void *)(uintptr_t)names);
    return code;
}

static void clear_table(compare_table *c)
{
    uint32_t i, k;
    for (i = 0; i < c->row_count; i++) {
        for (k = 0; k < c->choice_count; k++) isg_sim_report_destroy(c->rows[i].cells[k].report);
        isg_sim_profile_destroy(c->rows[i].profile);
    }
    for (k = 0; k < c->choice_count; k++) isg_sim_network_destroy(c->networks[k]);
    free(c->rows);
}

/* The cheapest form by typical energy, or -1. */
static int winner(const compare_table *c, const compare_row *row)
{
    uint32_t i;
    int best = -1;
    for (i = 0; i < c->choice_count; i++) {
        if (!row->cells[i].report) continue;
        if (best < 0 || row->cells[i].report->total.total_pj.typical < row->cells[best].report->total.total_pj.typical)
            best = (int)i;
    }
    return best;
}

/* Energy of dense int8 over that of the least form, with every number of the machine typical, at its best and at its
 * worst: low and high are the extremes of the three. Zero where there is no such pair. */
static isg_sim_band gain(const compare_table *c, const compare_row *row, int best)
{
    isg_sim_band g = {0.0, 0.0, 0.0};
    int dense = find_mode(c, ISG_SIM_DENSE);
    const isg_sim_band *d, *b;
    double at_best, at_worst;
    if (best < 0 || dense < 0 || !row->cells[dense].report) return g;
    d = &row->cells[dense].report->total.total_pj;
    b = &row->cells[best].report->total.total_pj;
    at_best = d->low / b->low;
    at_worst = d->high / b->high;
    g.low = g.high = g.typical = d->typical / b->typical;
    if (at_best < g.low) g.low = at_best;
    if (at_best > g.high) g.high = at_best;
    if (at_worst < g.low) g.low = at_worst;
    if (at_worst > g.high) g.high = at_worst;
    return g;
}

/* The cause that shrinks most from dense int8 to the least form. */
static const char *saved_on(const compare_table *c, const compare_row *row, int best)
{
    int dense = find_mode(c, ISG_SIM_DENSE), i, most = -1;
    double saved, largest = 0.0;
    if (best < 0 || dense < 0 || !row->cells[dense].report) return "-";
    for (i = 0; i < ISG_SIM_CAUSES; i++) {
        saved =
            row->cells[dense].report->total.energy_pj[i].typical - row->cells[best].report->total.energy_pj[i].typical;
        if (saved > largest) {
            largest = saved;
            most = i;
        }
    }
    return most < 0 ? "-" : isg_sim_cause_name((isg_sim_cause)most);
}

static char *pays_text(char *dst, size_t size, int has, const isg_sim_break_even *b)
{
    if (!has)
        snprintf(dst, size, "-");
    else if (b->pays < 0)
        snprintf(dst, size, "never");
    else if (b->pays > 0)
        snprintf(dst, size, "always");
    else
        snprintf(dst, size, "%.*f pJ/bit", b->pj_per_bit < 100.0 ? 2 : 0, b->pj_per_bit);
    return dst;
}

typedef enum compare_column { COLUMN_ENERGY, COLUMN_LATENCY, COLUMN_BYTES } compare_column;

static void print_part(const compare_table *c, compare_column column, const char *title)
{
    char text[40];
    uint32_t i, k;
    printf("\n%-17s", title);
    for (k = 0; k < c->choice_count; k++) printf(" %10.10s", c->choices[k].name);
    if (column == COLUMN_ENERGY)
        printf("  %-9s %7s %16s  %-11s  %-14s %-14s", "least", "gain", "(band)", "saved on", "generate pays",
               "factored pays");
    putchar('\n');
    for (i = 0; i < c->row_count; i++) {
        const compare_row *row = &c->rows[i];
        const int best = winner(c, row);
        printf("%-17s", isg_sim_profile_name(row->profile));
        for (k = 0; k < c->choice_count; k++) {
            const isg_sim_result *t = row->cells[k].report ? &row->cells[k].report->total : NULL;
            if (!t)
                snprintf(text, sizeof text, "-");
            else if (column == COLUMN_ENERGY)
                sim_energy(text, sizeof text, t->total_pj.typical);
            else if (column == COLUMN_LATENCY)
                sim_time(text, sizeof text, t->latency_ns.typical);
            else
                tool_bytes(text, sizeof text, t->far_bytes);
            printf(" %10s", text);
        }
        if (column == COLUMN_ENERGY) {
            const isg_sim_band g = gain(c, row, best);
            snprintf(text, sizeof text, g.typical > 0.0 ? "%.4gx" : "-", g.typical);
            printf("  %-9.9s %7s", best < 0 ? "-" : c->choices[best].name, text);
            snprintf(text, sizeof text, g.typical > 0.0 ? "(%.3g..%.3g)" : "-", g.low, g.high);
            printf(" %16s  %-11s", text, saved_on(c, row, best));
            printf("  %-14s", pays_text(text, sizeof text, row->has_generate, &row->generate));
            printf(" %-14s", pays_text(text, sizeof text, row->has_factored, &row->factored));
        }
        putchar('\n');
    }
}

static void print_summary(const compare_table *c)
{
    uint32_t i, tens = 0, rows = 0;
    printf(
        "\ngain: energy of dense int8 over that of the least form, typical; the band holds the machine at its best "
        "and at its worst.\nsaved on: the cause that shrinks most. pays: energy per bit of the weights' memory above "
        "which the form needs less than dense int8.\n");
    for (i = 0; i < c->row_count; i++) {
        int best = winner(c, &c->rows[i]);
        rows += best >= 0;
        if (best >= 0 && gain(c, &c->rows[i], best).low >= 10.0) tens++;
        if (best < 0)
            printf("%s cannot run this network: %s\n", isg_sim_profile_name(c->rows[i].profile),
                   c->rows[i].cells[0].reason);
    }
    printf("the least form needs a tenth of dense int8 or less, over the whole band, on %u of %u machines\n", tens,
           rows);
}

static cJSON *json_pays(int has, const isg_sim_break_even *b)
{
    cJSON *o;
    if (!has) return cJSON_CreateNull();
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "pays", b->pays < 0 ? "never" : b->pays > 0 ? "always" : "above");
    tool_json_number(o, "pj_per_bit", b->pj_per_bit);
    tool_json_number(o, "profile_pj_per_bit", b->profile_pj_per_bit);
    tool_json_text(o, "tier", b->tier);
    return o;
}

static cJSON *json_row(const sim_job *job, const compare_table *c, const compare_row *row)
{
    sim_job local = *job;
    cJSON *o = cJSON_CreateObject(), *forms;
    int best = winner(c, row);
    uint32_t k;
    local.profile = row->profile;
    cJSON_AddItemToObject(o, "profile", sim_json_profile(row->profile));
    forms = cJSON_AddArrayToObject(o, "forms");
    for (k = 0; k < c->choice_count; k++) {
        cJSON *item = row->cells[k].report ? sim_json_report(&local, row->cells[k].report, 0) : cJSON_CreateObject();
        tool_json_text(item, "form", c->choices[k].name);
        tool_json_text(item, "title", c->choices[k].title);
        if (!row->cells[k].report) tool_json_text(item, "unsupported", row->cells[k].reason);
        cJSON_AddItemToArray(forms, item);
    }
    if (best >= 0) {
        tool_json_text(o, "least_energy", c->choices[best].name);
        cJSON_AddItemToObject(o, "gain_over_dense", sim_json_band(gain(c, row, best)));
        cJSON_AddStringToObject(o, "saved_on", saved_on(c, row, best));
    }
    cJSON_AddItemToObject(o, "generate_pays", json_pays(row->has_generate, &row->generate));
    cJSON_AddItemToObject(o, "factored_pays", json_pays(row->has_factored, &row->factored));
    return o;
}

int sim_compare(sim_job *job, cJSON **json)
{
    compare_table c = {0};
    uint32_t i;
    int code = fill_table(job, &c);
    if (code == EXIT_OK && *json) {
        cJSON *rows;
        cJSON_AddStringToObject(*json, "kind", "compare");
        rows = cJSON_AddArrayToObject(*json, "rows");
        for (i = 0; i < c.row_count; i++) cJSON_AddItemToArray(rows, json_row(job, &c, &c.rows[i]));
    }
    if (code == EXIT_OK && !job->t->json) {
        for (i = 0; i < c.choice_count; i++) printf("%-16s %s\n", c.choices[i].name, c.choices[i].title);
        print_part(&c, COLUMN_ENERGY, "energy");
        print_part(&c, COLUMN_LATENCY, "latency");
        print_part(&c, COLUMN_BYTES, "far bytes");
        print_summary(&c);
    }
    clear_table(&c);
    return code;
}
