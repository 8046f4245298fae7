/* SPDX-License-Identifier: Apache-2.0 */
/* The schema insitu.sim/1: energies in pJ, times in ns, bytes; every cost a band of low, typical and high. */
#include <string.h>

#include "tool_sim.h"

cJSON *sim_json_band(isg_sim_band b)
{
    cJSON *o = cJSON_CreateObject();
    tool_json_number(o, "low", b.low);
    tool_json_number(o, "typical", b.typical);
    tool_json_number(o, "high", b.high);
    return o;
}

static cJSON *json_number(const isg_sim_number *n)
{
    cJSON *o = cJSON_CreateObject();
    tool_json_text(o, "key", n->key);
    cJSON_AddItemToObject(o, "value", sim_json_band(n->value));
    tool_json_text(o, "unit", n->unit);
    tool_json_text(o, "node", n->node);
    tool_json_text(o, "source", n->source);
    cJSON_AddStringToObject(o, "mark", isg_sim_mark_name(n->mark));
    return o;
}

cJSON *sim_json_profile(const isg_sim_profile *p)
{
    cJSON *o = cJSON_CreateObject(), *tiers, *numbers;
    uint32_t i;
    tool_json_text(o, "name", isg_sim_profile_name(p));
    tool_json_text(o, "title", isg_sim_profile_title(p));
    tool_json_text(o, "node", isg_sim_profile_node(p));
    tool_json_text(o, "note", isg_sim_profile_note(p));
    cJSON_AddStringToObject(o, "engine", isg_sim_engine_name(isg_sim_profile_engine(p)));
    tool_json_number(o, "peak_gops", isg_sim_profile_peak_gops(p));
    tiers = cJSON_AddArrayToObject(o, "tiers");
    for (i = 0; i < isg_sim_profile_tier_count(p); i++) {
        isg_sim_tier tier;
        cJSON *item;
        if (isg_sim_profile_tier(p, i, &tier) != ISG_OK) continue;
        item = cJSON_CreateObject();
        tool_json_text(item, "name", tier.name);
        cJSON_AddBoolToObject(item, "off_chip", tier.off_chip);
        cJSON_AddItemToObject(item, "bandwidth_gb_s", sim_json_band(tier.bandwidth));
        cJSON_AddItemToObject(item, "read_pj_per_bit", sim_json_band(tier.read_pj_per_bit));
        cJSON_AddItemToArray(tiers, item);
    }
    numbers = cJSON_AddArrayToObject(o, "numbers");
    for (i = 0; i < isg_sim_profile_number_count(p); i++) {
        isg_sim_number number;
        if (isg_sim_profile_number(p, i, &number) == ISG_OK) cJSON_AddItemToArray(numbers, json_number(&number));
    }
    return o;
}

static void json_streams(cJSON *tier, const char *key, const double bytes[ISG_SIM_STREAMS])
{
    cJSON *o = cJSON_AddObjectToObject(tier, key);
    int s;
    for (s = 0; s < ISG_SIM_STREAMS; s++)
        if (bytes[s] > 0.0) tool_json_number(o, isg_sim_stream_name((isg_sim_stream)s), bytes[s]);
}

static void json_bands(cJSON *o, const isg_sim_result *r)
{
    cJSON *energy = cJSON_AddObjectToObject(o, "energy_pj"), *time = cJSON_AddObjectToObject(o, "time_ns");
    int i;
    for (i = 0; i < ISG_SIM_CAUSES; i++)
        if (r->energy_pj[i].high > 0.0)
            cJSON_AddItemToObject(energy, isg_sim_cause_name((isg_sim_cause)i), sim_json_band(r->energy_pj[i]));
    for (i = 0; i < ISG_SIM_TERMS; i++)
        if (r->time_ns[i].high > 0.0)
            cJSON_AddItemToObject(time, isg_sim_term_name((isg_sim_term)i), sim_json_band(r->time_ns[i]));
    cJSON_AddItemToObject(o, "total_pj", sim_json_band(r->total_pj));
    cJSON_AddItemToObject(o, "latency_ns", sim_json_band(r->latency_ns));
    cJSON_AddItemToObject(o, "serial_ns", sim_json_band(r->serial_ns));
    cJSON_AddStringToObject(o, "binding", isg_sim_term_name(r->binding));
}

cJSON *sim_json_result(const char *name, const isg_sim_result *r, const isg_sim_profile *p)
{
    cJSON *o = cJSON_CreateObject(), *notes, *traffic;
    uint32_t i;
    int bit;
    tool_json_text(o, "name", name);
    cJSON_AddStringToObject(o, "mode", isg_sim_mode_name(r->mode));
    traffic = cJSON_AddObjectToObject(o, "traffic_bytes");
    for (i = 0; i < isg_sim_profile_tier_count(p); i++) {
        isg_sim_tier tier;
        cJSON *item;
        if (isg_sim_profile_tier(p, i, &tier) != ISG_OK) continue;
        item = cJSON_AddObjectToObject(traffic, tier.name);
        json_streams(item, "read", r->read_bytes[i]);
        json_streams(item, "written", r->written_bytes[i]);
    }
    tool_json_number(o, "far_bytes", r->far_bytes);
    tool_json_number(o, "generation1_macs", r->generation1);
    tool_json_number(o, "generation2_macs", r->generation2);
    tool_json_number(o, "macs", r->macs);
    tool_json_number(o, "dense_macs", r->dense_macs);
    tool_json_number(o, "adc_conversions", r->adc);
    tool_json_number(o, "dac_conversions", r->dac);
    tool_json_number(o, "cell_writes", r->cell_writes);
    tool_json_number(o, "spikes", r->spikes);
    tool_json_number(o, "synaptic_ops", r->synaptic_ops);
    tool_json_number(o, "cycles", r->cycles);
    json_bands(o, r);
    tool_json_number(o, "operational_intensity", r->intensity);
    notes = cJSON_AddArrayToObject(o, "notes");
    for (bit = 0; bit < ISG_SIM_NOTES; bit++)
        if (r->notes & (1u << bit)) cJSON_AddItemToArray(notes, cJSON_CreateString(isg_sim_note_text(1u << bit)));
    return o;
}

cJSON *sim_json_report(const sim_job *job, const isg_sim_report *r, int layers)
{
    cJSON *o = cJSON_CreateObject(), *list, *load;
    uint32_t l;
    cJSON_AddStringToObject(o, "mode", isg_sim_mode_name(r->mode));
    cJSON_AddNumberToObject(o, "batch", r->batch);
    cJSON_AddItemToObject(o, "total", sim_json_result("total", &r->total, job->profile));
    load = cJSON_AddObjectToObject(o, "load");
    cJSON_AddItemToObject(load, "energy_pj", sim_json_band(r->load_pj));
    cJSON_AddItemToObject(load, "time_ns", sim_json_band(r->load_ns));
    tool_json_number(load, "cell_writes", r->load_cell_writes);
    tool_json_number(o, "resident_bytes", r->resident_bytes);
    tool_json_number(o, "capacity_bytes", r->capacity_bytes);
    if (!layers) return o;
    list = cJSON_AddArrayToObject(o, "layers");
    for (l = 0; l < r->layer_count; l++)
        cJSON_AddItemToArray(list, sim_json_result(job->network->layers[l].name, &r->layers[l], job->profile));
    return o;
}
