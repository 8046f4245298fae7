/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of one layer at one corner: traffic, generation, engine, energy and time (RELATED section 3.1). */
#include "sim/cost.h"

#include <math.h>
#include <string.h>

/* What a layer's cost is put together from. */
typedef struct sum {
    isgi_cost *c;
    const isgi_machine *m;
    const isgi_plan *plan;
    double tier_ns[ISG_SIM_MAX_TIERS];
} sum;

static double read_energy(const isgi_machine *m, int tier, double bytes)
{
    return bytes * 8 * m->tier[tier][ISGI_TIER_READ];
}

static double write_energy(const isgi_machine *m, int tier, double bytes)
{
    return bytes * 8 * m->tier[tier][ISGI_TIER_WRITE];
}

/* Energy of what an engine moved through its buffers; the bytes are recorded unless c is NULL. */
static double buffer_energy(isgi_cost *c, const isgi_machine *m, const isgi_tally *t, double times)
{
    const int wb = m->profile->weight_buffer, ab = m->profile->activation_buffer;
    if (c) {
        c->read[wb][ISG_SIM_WEIGHT] += times * t->weight_read;
        c->read[ab][ISG_SIM_ACTIVATION] += times * t->activation_read;
        c->written[ab][ISG_SIM_ACTIVATION] += times * t->activation_written;
    }
    return times * (read_energy(m, wb, t->weight_read) + read_energy(m, ab, t->activation_read) +
                    write_energy(m, ab, t->activation_written));
}

/* ---- generation ---- */

/* A dedicated unit multiplies in proportion to both widths (Eyeriss and Timeloop's rule, RELATED section 3.3). */
static void generator_unit(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double width = m->key[ISGI_KEY_GENERATOR_BITS], macs = isgi_job_macs(j);
    t->energy[ISG_SIM_E_COMPUTE] += macs * m->key[ISGI_KEY_GENERATOR_MAC] * (j->bits_in / width) * (j->bits_w / width);
    t->compute_ns += macs / m->key[ISGI_KEY_GENERATOR_RATE];
    t->weight_read += (j->m * j->bits_in + j->n * j->bits_w) * j->k * j->groups / 8;
}

/* Level 1 or level 2 of the weights. Everything it costs is put down to generation. */
static void cost_generation(sum *s, const isgi_job *j, unsigned made_bits)
{
    const isgi_machine *m = s->m;
    const double times = s->plan->resident ? 1 : s->plan->generations;
    const double made = j->analog_out ? 0 : j->m * j->n * j->groups * made_bits / 8;
    isgi_cost *c = s->c;
    isgi_tally t = {0};
    double energy, ns;
    if (m->profile->generator == ISGI_GENERATOR_UNIT)
        generator_unit(&t, m, j);
    else
        isgi_engine_job(&t, m, j, 0);
    energy = buffer_energy(s->plan->resident ? NULL : c, m, &t, times);
    for (int i = 0; i < ISG_SIM_CAUSES; i++) energy += times * t.energy[i];
    energy += times * write_energy(m, m->profile->weight_buffer, made);
    ns = times * (t.compute_ns + t.program_ns);
    if (s->plan->resident) {
        c->load_energy += energy;
        c->load_ns += ns;
        return;
    }
    c->written[m->profile->weight_buffer][ISG_SIM_WEIGHT] += times * made;
    c->energy[ISG_SIM_E_GENERATION] += energy;
    c->time[ISG_SIM_T_GENERATION] += ns;
    c->adc += times * t.adc;
    c->dac += times * t.dac;
    c->cycles += times * t.cycles;
    if (j->generates == 1)
        c->generation1 += times * isgi_job_macs(j);
    else
        c->generation2 += times * isgi_job_macs(j);
}

/* ---- computing ---- */

static void cost_compute(sum *s, const isgi_job *j)
{
    const double passes = s->plan->passes;
    isgi_job part = *j;
    isgi_tally one = {0}, t = {0};
    isgi_cost *c = s->c;
    part.m = ceil(j->m / passes);
    if (j->synaptic_ops >= 0) part.synaptic_ops = j->synaptic_ops / passes;
    isgi_engine_job(&one, s->m, &part, s->plan->resident);
    isgi_tally_add(&t, &one, passes);
    for (int i = 0; i < ISG_SIM_CAUSES; i++) c->energy[i] += t.energy[i];
    c->energy[ISG_SIM_E_BUFFER] += buffer_energy(c, s->m, &t, 1);
    c->time[ISG_SIM_T_COMPUTE] += t.compute_ns;
    c->time[ISG_SIM_T_PROGRAM] += t.program_ns;
    c->macs += isgi_job_macs(j);
    c->adc += t.adc;
    c->dac += t.dac;
    c->cell_writes += t.cell_writes;
    c->cycles += t.cycles;
    if (s->plan->resident && isgi_engine_has_cells(s->m->profile->engine)) {
        isgi_tally load = {0};
        isgi_engine_job(&load, s->m, j, 0);
        c->load_energy += load.energy[ISG_SIM_E_PROGRAM];
        c->load_ns += load.program_ns;
        c->load_cell_writes += load.cell_writes;
    }
}

/* ---- traffic ---- */

static void cost_weights(sum *s, const isg_sim_layer *l)
{
    const isgi_machine *m = s->m;
    const int wb = m->profile->weight_buffer;
    isgi_cost *c = s->c;
    for (int k = 0; k < ISG_SIM_ACTIVATION; k++) {
        const double bytes = isgi_stored_bytes(l, s->plan->mode, k), moved = bytes * s->plan->weight_reads;
        const int home = s->plan->home[k];
        double energy = read_energy(m, home, bytes);
        if (bytes <= 0) continue;
        if (home != wb) energy += write_energy(m, wb, bytes);
        if (s->plan->resident) {
            c->load_energy += energy;
            c->load_ns += bytes / m->tier[home][ISGI_TIER_BANDWIDTH];
            continue;
        }
        c->read[home][k] += moved;
        if (home != wb) c->written[wb][k] += moved;
        c->energy[ISG_SIM_E_WEIGHTS] += energy * s->plan->weight_reads;
        c->time[ISG_SIM_T_WEIGHTS] += moved / m->tier[home][ISGI_TIER_BANDWIDTH];
        s->tier_ns[home] += moved / m->tier[home][ISGI_TIER_BANDWIDTH];
    }
}

static void cost_activations(sum *s, const isg_sim_layer *l, double batch)
{
    const isgi_machine *m = s->m;
    const int home = s->plan->activation_home, ab = m->profile->activation_buffer;
    const double in = (double)l->in_elements * batch * l->activation_bits / 8 * s->plan->input_reads;
    const double out = (double)l->out_elements * batch * l->activation_bits / 8;
    isgi_cost *c = s->c;
    if (home < 0) return;
    c->read[home][ISG_SIM_ACTIVATION] += in;
    c->written[home][ISG_SIM_ACTIVATION] += out;
    c->written[ab][ISG_SIM_ACTIVATION] += in;
    c->read[ab][ISG_SIM_ACTIVATION] += out;
    c->energy[ISG_SIM_E_ACTIVATIONS] +=
        read_energy(m, home, in) + write_energy(m, home, out) + write_energy(m, ab, in) + read_energy(m, ab, out);
    c->time[ISG_SIM_T_ACTIVATIONS] += (in + out) / m->tier[home][ISGI_TIER_BANDWIDTH];
    s->tier_ns[home] += (in + out) / m->tier[home][ISGI_TIER_BANDWIDTH];
}

/* ---- time ---- */

/* Everything overlaps (double buffers) but what shares a unit: streams of one tier; and on the engine computing,
 * programming, and generation where the engine generates. The binding term is the largest of the slowest unit. */
static void cost_time(sum *s)
{
    isgi_cost *c = s->c;
    const int shared = s->m->profile->generator == ISGI_GENERATOR_ENGINE;
    const double *t = c->time;
    double memory = 0, engine = t[ISG_SIM_T_COMPUTE] + t[ISG_SIM_T_PROGRAM], generation = t[ISG_SIM_T_GENERATION];
    if (shared) engine += generation;
    for (int i = 0; i < ISG_SIM_MAX_TIERS; i++) memory = fmax(memory, s->tier_ns[i]);
    c->latency = fmax(memory, fmax(engine, generation));
    c->serial = 0;
    for (int i = 0; i < ISG_SIM_TERMS; i++) c->serial += t[i];
    if (memory >= engine && memory >= generation) {
        c->binding = t[ISG_SIM_T_WEIGHTS] >= t[ISG_SIM_T_ACTIVATIONS] ? ISG_SIM_T_WEIGHTS : ISG_SIM_T_ACTIVATIONS;
    } else if (!shared && generation > engine) {
        c->binding = ISG_SIM_T_GENERATION;
    } else {
        c->binding = t[ISG_SIM_T_PROGRAM] > t[ISG_SIM_T_COMPUTE] ? ISG_SIM_T_PROGRAM : ISG_SIM_T_COMPUTE;
        if (shared && generation > t[c->binding]) c->binding = ISG_SIM_T_GENERATION;
    }
}

static void cost_static(sum *s)
{
    double power = s->m->key[ISGI_KEY_STATIC];
    isgi_cost *c = s->c;
    for (uint32_t i = 0; i < s->m->profile->tier_count; i++) power += s->m->tier[i][ISGI_TIER_LEAKAGE];
    c->energy[ISG_SIM_E_STATIC] = power * c->latency;
    c->total = 0;
    for (int i = 0; i < ISG_SIM_CAUSES; i++) c->total += c->energy[i];
}

void isgi_cost_layer(isgi_cost *c, const isg_sim_layer *l, const isgi_plan *plan, const isgi_machine *m, double batch,
                     double timesteps)
{
    isgi_job jobs[ISGI_MAX_JOBS];
    sum s = {c, m, plan, {0}};
    const int n = isgi_layer_jobs(jobs, l, plan->mode, batch, timesteps);
    const int analog = isgi_engine_analog(m->profile) && !plan->resident;
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n; i++) {
        jobs[i].analog_out = analog && jobs[i].generates;
        jobs[i].analog_in = i > 0 && jobs[i - 1].analog_out;
        if (jobs[i].generates)
            cost_generation(&s, &jobs[i], l->weight_bits);
        else
            cost_compute(&s, &jobs[i]);
    }
    cost_weights(&s, l);
    cost_activations(&s, l, batch);
    cost_time(&s);
    cost_static(&s);
}
