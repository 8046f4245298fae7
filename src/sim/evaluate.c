/* SPDX-License-Identifier: Apache-2.0 */
/* A whole network on a profile: modes and schedules chosen at the typical corner, costs at all three. */
#include "sim/cost.h"

#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

enum { CORNERS = 3, TYPICAL = 1 };

typedef struct run {
    const isg_sim_network *n;
    const isg_sim_profile *p;
    isgi_machine corner[CORNERS];
    double batch, timesteps;
} run;

/* ---- what can be costed ---- */

static isg_status check_layer(const isg_sim_layer *l, const isg_sim_profile *p, isg_sim_mode mode, isg_error *err)
{
    if (!l->groups || !l->ci || !l->co || !l->taps || !l->out_pixels || !l->in_pixels || !l->weight_bits ||
        !l->activation_bits || l->weight_bits > 32 || l->activation_bits > 32 || l->co % l->groups)
        return isgi_fail(err, ISG_E_ARG, "layer %.60s: its sizes do not make a layer", l->name);
    if ((l->level1 && (!l->bi || !l->bo || !l->basis_bits || !l->u_bits)) ||
        (l->level2 && (!l->bo || !l->basis_bits || !l->v_bits)))
        return isgi_fail(err, ISG_E_ARG, "layer %.60s: factors without ranks or bits", l->name);
    if (p->engine != ISG_SIM_SPIKING) return ISG_OK;
    if (p->schedule == ISGI_SCHEDULE_SERIAL && (l->out_pixels > 1 || l->taps > 1))
        return isgi_fail(err, ISG_E_UNSUPPORTED, "layer %.60s: profile %s runs fully connected layers only", l->name,
                         p->name);
    if (mode == ISG_SIM_HALF || mode == ISG_SIM_FACTORED)
        return isgi_fail(err, ISG_E_UNSUPPORTED,
                         "layer %.60s: a spiking engine takes spikes, not the intermediate values of mode %s", l->name,
                         isg_sim_mode_name(mode));
    return ISG_OK;
}

/* ---- plans ---- */

static void start_plans(isgi_plan *plans, const isg_sim_network *n, isg_sim_mode mode)
{
    for (uint32_t i = 0; i < n->layer_count; i++) {
        const isg_sim_layer *l = &n->layers[i];
        plans[i] = (isgi_plan){.mode = isgi_layer_mode(l, mode)};
        if (!l->level1 && !l->level2 && mode != ISG_SIM_DENSE && mode != ISG_SIM_RESIDENT)
            plans[i].notes |= ISG_SIM_NOTE_NOT_FACTORED;
    }
}

/* Weights first or activations first, whichever costs less energy at the typical corner. */
static double best_schedule(isgi_plan *plan, const isg_sim_layer *l, const run *r)
{
    isgi_plan other = *plan;
    isgi_cost a, b;
    isgi_schedule_layer(plan, l, &r->corner[TYPICAL], r->batch, 1);
    isgi_cost_layer(&a, l, plan, &r->corner[TYPICAL], r->batch, r->timesteps);
    if (plan->input_reads <= 1) return a.total;
    isgi_schedule_layer(&other, l, &r->corner[TYPICAL], r->batch, 0);
    isgi_cost_layer(&b, l, &other, &r->corner[TYPICAL], r->batch, r->timesteps);
    if (b.total >= a.total) return a.total;
    *plan = other;
    return b.total;
}

/* AUTO: the cheapest mode of each layer, each judged with the whole network in that mode. */
static isg_status choose_modes(isgi_plan *plans, const run *r, isg_error *err)
{
    static const isg_sim_mode modes[] = {ISG_SIM_GENERATE, ISG_SIM_HALF, ISG_SIM_FACTORED};
    const uint32_t count = r->n->layer_count;
    const int tried = r->p->engine == ISG_SIM_SPIKING ? 1 : 3;
    isgi_plan *trial = isgi_calloc(count, sizeof *trial);
    double *best = isgi_calloc(count, sizeof *best);
    isg_sim_mode *chosen = isgi_calloc(count, sizeof *chosen);
    isg_status status = trial && best && chosen ? ISG_OK : isgi_nomem(err);
    for (int k = 0; k < tried && status == ISG_OK; k++) {
        start_plans(trial, r->n, modes[k]);
        isgi_place(trial, r->n, &r->corner[TYPICAL]);
        for (uint32_t i = 0; i < count; i++) {
            const double total = best_schedule(&trial[i], &r->n->layers[i], r);
            if (k == 0 || total < best[i]) {
                best[i] = total;
                chosen[i] = trial[i].mode;
            }
        }
    }
    start_plans(plans, r->n, ISG_SIM_AUTO);
    for (uint32_t i = 0; i < count && status == ISG_OK; i++) plans[i].mode = chosen[i];
    isg_free(trial);
    isg_free(best);
    isg_free(chosen);
    return status;
}

/* ---- results ---- */

static void put(isg_sim_band *band, int corner, double value)
{
    if (corner == 0)
        band->low = value;
    else if (corner == TYPICAL)
        band->typical = value;
    else
        band->high = value;
}

static void put_corner(isg_sim_result *o, const isgi_cost *c, int corner)
{
    for (int i = 0; i < ISG_SIM_CAUSES; i++) put(&o->energy_pj[i], corner, c->energy[i]);
    for (int i = 0; i < ISG_SIM_TERMS; i++) put(&o->time_ns[i], corner, c->time[i]);
    put(&o->total_pj, corner, c->total);
    put(&o->latency_ns, corner, c->latency);
    put(&o->serial_ns, corner, c->serial);
}

static double far_bytes(const isg_sim_result *o, const isg_sim_profile *p)
{
    double bytes = 0;
    for (int t = 0; t < (int)p->tier_count; t++) {
        for (int s = 0; s < ISG_SIM_STREAMS && t != p->weight_buffer && t != p->activation_buffer; s++)
            bytes += o->read_bytes[t][s] + o->written_bytes[t][s];
    }
    return bytes;
}

static void finish_result(isg_sim_result *o, const isg_sim_profile *p)
{
    o->far_bytes = far_bytes(o, p);
    o->intensity = o->far_bytes > 0 ? 2 * o->dense_macs / o->far_bytes : 0;
}

static void layer_result(isg_sim_result *o, isg_sim_report *report, const run *r, uint32_t index, const isgi_plan *plan)
{
    const isg_sim_layer *l = &r->n->layers[index];
    isgi_cost c;
    for (int k = 0; k < CORNERS; k++) {
        isgi_cost_layer(&c, l, plan, &r->corner[k], r->batch, r->timesteps);
        put_corner(o, &c, k);
        report->load_pj.low += k == 0 ? c.load_energy : 0;
        report->load_pj.typical += k == TYPICAL ? c.load_energy : 0;
        report->load_pj.high += k == 2 ? c.load_energy : 0;
        report->load_ns.low += k == 0 ? c.load_ns : 0;
        report->load_ns.typical += k == TYPICAL ? c.load_ns : 0;
        report->load_ns.high += k == 2 ? c.load_ns : 0;
    }
    isgi_cost_layer(&c, l, plan, &r->corner[TYPICAL], r->batch, r->timesteps);
    o->mode = plan->mode;
    o->notes = plan->notes;
    memcpy(o->read_bytes, c.read, sizeof c.read);
    memcpy(o->written_bytes, c.written, sizeof c.written);
    o->generation1 = c.generation1;
    o->generation2 = c.generation2;
    o->macs = c.macs;
    o->dense_macs = (double)l->out_pixels * r->batch * l->ci * l->taps * l->co;
    o->adc = c.adc;
    o->dac = c.dac;
    o->cell_writes = c.cell_writes;
    o->cycles = c.cycles;
    o->spikes = l->spikes > 0 ? l->spikes * r->batch : 0;
    o->synaptic_ops = l->synaptic_ops > 0 ? l->synaptic_ops * r->batch : 0;
    o->binding = c.binding;
    report->load_cell_writes += c.load_cell_writes;
    finish_result(o, r->p);
}

static void add_band(isg_sim_band *a, const isg_sim_band *b)
{
    a->low += b->low;
    a->typical += b->typical;
    a->high += b->high;
}

static void add_result(isg_sim_result *a, const isg_sim_result *b)
{
    a->notes |= b->notes;
    for (int t = 0; t < ISG_SIM_MAX_TIERS; t++) {
        for (int s = 0; s < ISG_SIM_STREAMS; s++) {
            a->read_bytes[t][s] += b->read_bytes[t][s];
            a->written_bytes[t][s] += b->written_bytes[t][s];
        }
    }
    a->generation1 += b->generation1;
    a->generation2 += b->generation2;
    a->macs += b->macs;
    a->dense_macs += b->dense_macs;
    a->adc += b->adc;
    a->dac += b->dac;
    a->cell_writes += b->cell_writes;
    a->cycles += b->cycles;
    a->spikes += b->spikes;
    a->synaptic_ops += b->synaptic_ops;
    for (int i = 0; i < ISG_SIM_CAUSES; i++) add_band(&a->energy_pj[i], &b->energy_pj[i]);
    for (int i = 0; i < ISG_SIM_TERMS; i++) add_band(&a->time_ns[i], &b->time_ns[i]);
    add_band(&a->total_pj, &b->total_pj);
    add_band(&a->latency_ns, &b->latency_ns);
    add_band(&a->serial_ns, &b->serial_ns);
}

static void total_result(isg_sim_report *report, const isg_sim_profile *p)
{
    double bound[ISG_SIM_TERMS] = {0};
    isg_sim_result *o = &report->total;
    o->mode = report->mode;
    for (uint32_t i = 0; i < report->layer_count; i++) {
        add_result(o, &report->layers[i]);
        bound[report->layers[i].binding] += report->layers[i].latency_ns.typical;
    }
    for (int i = 1; i < ISG_SIM_TERMS; i++)
        if (bound[i] > bound[o->binding]) o->binding = (isg_sim_term)i;
    finish_result(o, p);
}

static isg_status evaluate(isg_sim_report *report, const run *r, isg_error *err)
{
    const uint32_t count = r->n->layer_count;
    isgi_plan *plans = isgi_calloc(count, sizeof *plans);
    isg_status status = ISG_OK;
    if (!plans) return isgi_nomem(err);
    if (report->mode == ISG_SIM_AUTO)
        status = choose_modes(plans, r, err);
    else
        start_plans(plans, r->n, report->mode);
    for (uint32_t i = 0; i < count && status == ISG_OK; i++)
        status = check_layer(&r->n->layers[i], r->p, plans[i].mode, err);
    if (status == ISG_OK) {
        report->resident_bytes = isgi_place(plans, r->n, &r->corner[TYPICAL]);
        report->capacity_bytes = isgi_engine_capacity(&r->corner[TYPICAL]);
        for (uint32_t i = 0; i < count; i++) {
            best_schedule(&plans[i], &r->n->layers[i], r);
            layer_result(&report->layers[i], report, r, i, &plans[i]);
        }
        total_result(report, r->p);
    }
    isg_free(plans);
    return status;
}

isg_status isg_sim_evaluate(isg_sim_report **out, const isg_sim_network *n, const isg_sim_profile *p,
                            const isg_sim_options *options, isg_error *err)
{
    run r = {.n = n, .p = p};
    isg_sim_report *report;
    isg_status status;
    if (options->struct_size != sizeof *options)
        return isgi_error(err, ISG_E_ARG, "isg_sim_options: wrong struct_size", ISG_ERROR_NONE, -1);
    if (options->mode > ISG_SIM_RESIDENT || n->layer_count == 0)
        return isgi_error(err, ISG_E_ARG, "unknown mode, or a network without layers", ISG_ERROR_NONE, -1);
    for (uint32_t i = 0; i < n->layer_count; i++) ISGI_TRY(check_layer(&n->layers[i], p, ISG_SIM_DENSE, err));
    for (int k = 0; k < CORNERS; k++) isgi_machine_at(&r.corner[k], p, k);
    r.batch = options->batch ? options->batch : 1;
    r.timesteps = n->timesteps ? n->timesteps : 1;
    report = isgi_calloc(1, sizeof *report);
    if (!report) return isgi_nomem(err);
    report->layers = isgi_calloc(n->layer_count, sizeof *report->layers);
    report->layer_count = n->layer_count;
    report->tier_count = p->tier_count;
    report->batch = options->batch ? options->batch : 1;
    report->mode = options->mode;
    status = report->layers ? evaluate(report, &r, err) : isgi_nomem(err);
    if (status == ISG_OK)
        *out = report;
    else
        isg_sim_report_destroy(report);
    return status;
}

void isg_sim_report_destroy(isg_sim_report *r)
{
    if (!r) return;
    isg_free(r->layers);
    isg_free(r);
}
