/* SPDX-License-Identifier: Apache-2.0 */
/* Heterogeneous memory: where streams live, what stays on the machine, how often each is read (RELATED section 3.1). */
#include "sim/cost.h"

#include <math.h>

double isgi_stored_bytes(const isg_sim_layer *l, isg_sim_mode mode, int stream)
{
    const int factors = l->level1 || l->level2;
    if (!factors || mode != ISG_SIM_DENSE) return l->bytes[stream];
    switch (stream) {
    case ISG_SIM_WEIGHT: return l->dense_bytes;
    case ISG_SIM_BASIS:
    case ISG_SIM_U:
    case ISG_SIM_V: return 0;
    default: return l->bytes[stream];
    }
}

/* ---- homes ---- */

/* The tier `stream` is placed in, or the next one out with room that is not a buffer; the outermost takes what is left.
 */
static int home_with_room(const double *used, const isgi_machine *m, int stream, double bytes)
{
    const isg_sim_profile *p = m->profile;
    const int first = p->place[stream], last = (int)p->tier_count - 1;
    int t = first;
    while (t < last && used[t] + bytes > m->tier[t][ISGI_TIER_SIZE]) {
        do t++;
        while (t < last && (t == p->weight_buffer || t == p->activation_buffer));
    }
    return t;
}

static void place_layer(isgi_plan *plan, const isg_sim_layer *l, const isgi_machine *m, double *used)
{
    for (int s = 0; s < ISG_SIM_ACTIVATION; s++) {
        const double bytes = isgi_stored_bytes(l, plan->mode, s);
        plan->home[s] = m->profile->place[s];
        if (bytes <= 0) continue;
        plan->home[s] = home_with_room(used, m, s, bytes);
        used[plan->home[s]] += bytes;
        if (plan->home[s] != m->profile->place[s]) plan->notes |= ISG_SIM_NOTE_SPILLED;
    }
}

/* Bytes that keeping the layer's weights on the machine takes: cells for engines that have them, else the buffer. */
static double resident_need(const isg_sim_layer *l, isg_sim_mode mode, const isgi_machine *m)
{
    isgi_job jobs[ISGI_MAX_JOBS];
    double need = 0;
    int n;
    if (!isgi_engine_has_cells(m->profile->engine)) return l->dense_bytes;
    n = isgi_layer_jobs(jobs, l, mode, 1, 1);
    for (int i = 0; i < n; i++)
        if (!jobs[i].generates) need += isgi_engine_cell_bytes(m, &jobs[i]);
    return need;
}

double isgi_place(isgi_plan *plans, const isg_sim_network *n, const isgi_machine *m)
{
    const int cells = isgi_engine_has_cells(m->profile->engine);
    const double room = cells ? isgi_engine_capacity(m) : m->tier[m->profile->weight_buffer][ISGI_TIER_SIZE];
    double used[ISG_SIM_MAX_TIERS] = {0}, resident = 0;
    for (uint32_t i = 0; i < n->layer_count; i++) {
        const isg_sim_layer *l = &n->layers[i];
        isgi_plan *plan = &plans[i];
        if (cells || plan->mode == ISG_SIM_RESIDENT) {
            const double need = resident_need(l, plan->mode, m);
            plan->resident = resident + need <= room;
            if (plan->resident) {
                resident += need;
            } else {
                plan->notes |= ISG_SIM_NOTE_NOT_RESIDENT | (cells ? ISG_SIM_NOTE_REPROGRAMMED : 0);
                if (plan->mode == ISG_SIM_RESIDENT)
                    plan->mode = l->level1 || l->level2 ? ISG_SIM_GENERATE : ISG_SIM_DENSE;
            }
        }
        place_layer(plan, l, m, used);
    }
    return resident;
}

/* ---- repeats ---- */

/* A buffer that serves weights and activations is halved between them. */
static double buffer_bytes(const isgi_machine *m, int tier)
{
    const double size = m->tier[tier][ISGI_TIER_SIZE];
    return m->profile->weight_buffer == m->profile->activation_buffer ? size / 2 : size;
}

/* Weight bytes that have to be at hand while all outputs are made. */
static double working_set(const isg_sim_layer *l, isg_sim_mode mode)
{
    const double k = (double)l->ci * l->taps;
    double stored = 0;
    if (mode == ISG_SIM_DENSE) return l->dense_bytes;
    for (int s = 0; s < ISG_SIM_SCALE; s++) stored += l->bytes[s];
    if (mode == ISG_SIM_HALF && l->level1) stored += ceil(k * l->bo * l->weight_bits / 8);
    return stored;
}

static int outer_tier(const isg_sim_profile *p)
{
    int home = p->place[ISG_SIM_ACTIVATION];
    if (home != p->activation_buffer) return home;
    for (int t = home + 1; t < (int)p->tier_count; t++)
        if (t != p->weight_buffer) return t;
    return -1;
}

void isgi_schedule_layer(isgi_plan *plan, const isg_sim_layer *l, const isgi_machine *m, double batch,
                         int weights_first)
{
    const isg_sim_profile *p = m->profile;
    const double in = (double)l->in_elements * batch * l->activation_bits / 8;
    const double out = (double)l->out_elements * batch * l->activation_bits / 8;
    const double room = buffer_bytes(m, p->activation_buffer), weight_room = buffer_bytes(m, p->weight_buffer);
    const double set = working_set(l, plan->mode);
    plan->passes = plan->weight_reads = plan->generations = plan->input_reads = 1;
    plan->activation_home = in + out <= room ? -1 : outer_tier(p);
    if (plan->activation_home < 0) return;
    plan->notes |= ISG_SIM_NOTE_ACTIVATIONS_OUT;
    if (plan->resident || set <= weight_room) return;
    if (weights_first) {
        plan->input_reads = ceil(set / weight_room);
        plan->notes |= ISG_SIM_NOTE_INPUTS_AGAIN;
    } else {
        plan->passes = ceil(in / room);
        plan->weight_reads = plan->passes;
        plan->generations = l->dense_bytes <= weight_room && !isgi_engine_analog(p) ? 1 : plan->passes;
        if (plan->passes > 1) plan->notes |= ISG_SIM_NOTE_WEIGHTS_AGAIN;
    }
}
