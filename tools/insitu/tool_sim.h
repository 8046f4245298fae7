/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of insitu sim: printing, JSON, comparison over profiles, sweeps, bit errors, measured spikes. */
#ifndef INSITU_TOOL_SIM_H
#define INSITU_TOOL_SIM_H

#include "tool.h"
#include "tool_snn.h"

typedef struct sim_options {
    const char *profile, *mode_text, *form_text, *html, *ber, *inject, *data, *input;
    option_list sweeps;
    uint32_t batch;
    uint64_t limit;
    int32_t label_offset;
    int list, eq8, compare, detail;
    snn_options snn;
    isg_sim_mode mode;
    isg_sim_form form;
    int has_form;
} sim_options;

/* What the verb looks at. graph is NULL when a bad model ended it. */
typedef struct sim_job {
    tool *t;
    const sim_options *o;
    const char *path; /* of the model, or "arch:NAME" */
    isg_graph *graph;
    isg_sim_network *network;
    isg_sim_profile *profile;
    cJSON *snn; /* what was measured with --snn --data, or NULL */
} sim_job;

/* "12.3 uJ" from pJ, "4.56 us" from ns, "1.23 M" of a count. Each returns dst. */
char *sim_energy(char *dst, size_t size, double pj);
char *sim_time(char *dst, size_t size, double ns);
char *sim_count(char *dst, size_t size, double n);

void sim_print_profile(const isg_sim_profile *p);
void sim_print_report(const sim_job *job, const isg_sim_report *r);
/* Per layer: bytes by memory and stream, energy by cause, conversions. */
void sim_print_detail(const sim_job *job, const isg_sim_report *r);
void sim_print_ways(const sim_job *job, const isg_sim_report *const reports[], uint32_t count);

cJSON *sim_json_band(isg_sim_band b);
cJSON *sim_json_profile(const isg_sim_profile *p);
cJSON *sim_json_result(const char *name, const isg_sim_result *r, const isg_sim_profile *p);
cJSON *sim_json_report(const sim_job *job, const isg_sim_report *r, int layers);

/* The model of one number at several values: KEY=A,B,C with KEY "batch" or a profile's number. */
/* Whether sim_sweep() would succeed; else it has said why not. */
int sim_check_sweep(sim_job *job, const char *text);
int sim_sweep(sim_job *job, const char *text, cJSON *json);
/* The five forms of a network on every shipped profile. */
int sim_compare(sim_job *job, cJSON **json);
/* Writes a copy of the model with bit errors. */
int sim_inject(sim_job *job, cJSON *json);
/* Runs the network with spikes on --data and hands the counts to the cost model. */
int sim_measure_spikes(sim_job *job);
/* Writes the HTML page of a result. */
int sim_write_html(tool *t, const char *path, const cJSON *json);

#endif
