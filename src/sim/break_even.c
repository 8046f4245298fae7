/* SPDX-License-Identifier: Apache-2.0 */
/* Where generation begins to pay: the energy per bit of the weights' memory at which two ways cost the same. */
#include "sim/profile.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static double tier_bits(const isg_sim_report *r, uint32_t tier)
{
    double bytes = 0;
    for (int s = 0; s < ISG_SIM_STREAMS; s++) bytes += r->total.read_bytes[tier][s];
    return 8 * bytes;
}

/* The tier that the weights of `r` mostly come from; where none move, the one that they are placed in. */
static uint32_t weight_tier(const isg_sim_report *r, const isg_sim_profile *p)
{
    const int placed = p->place[ISG_SIM_WEIGHT];
    double most = 0;
    uint32_t best = (uint32_t)placed;
    for (int t = 0; t < (int)r->tier_count; t++) {
        double bytes = 0;
        if (t != placed && (t == p->weight_buffer || t == p->activation_buffer)) continue;
        for (int s = 0; s < ISG_SIM_ACTIVATION; s++) bytes += r->total.read_bytes[t][s];
        if (bytes > most) {
            most = bytes;
            best = (uint32_t)t;
        }
    }
    return best;
}

/* E(e) = E0 + bits e for each way, E0 the rest of its energy; equal where e = (E0' - E0) / (bits - bits'). */
isg_status isg_sim_find_break_even(isg_sim_break_even *out, const isg_sim_network *with, isg_sim_mode mode_with,
                                   const isg_sim_network *without, isg_sim_mode mode_without, const isg_sim_profile *p,
                                   uint32_t batch, isg_error *err)
{
    isg_sim_options options = {sizeof options, batch, mode_with};
    isg_sim_report *a = NULL, *b = NULL;
    isg_sim_break_even result = {0};
    isg_sim_tier tier;
    uint32_t at;
    double saved;
    isg_status status = isg_sim_evaluate(&a, with, p, &options, err);
    if (status != ISG_OK) goto done;
    options.mode = mode_without;
    status = isg_sim_evaluate(&b, without, p, &options, err);
    if (status != ISG_OK) goto done;
    at = weight_tier(b, p);
    status = isg_sim_profile_tier(p, at, &tier);
    if (status != ISG_OK) goto done;
    snprintf(result.tier, sizeof result.tier, "%s", tier.name);
    result.profile_pj_per_bit = tier.read_pj_per_bit.typical;
    result.bits_with = tier_bits(a, at);
    result.bits_without = tier_bits(b, at);
    result.energy_with = a->total.total_pj.typical - result.bits_with * result.profile_pj_per_bit;
    result.energy_without = b->total.total_pj.typical - result.bits_without * result.profile_pj_per_bit;
    saved = result.bits_without - result.bits_with;
    if (saved > 0) {
        result.pj_per_bit = (result.energy_with - result.energy_without) / saved;
        result.pays = result.pj_per_bit <= 0;
    } else {
        result.pays = saved == 0 && result.energy_with < result.energy_without ? 1 : -1;
    }
    if (result.pj_per_bit < 0) result.pj_per_bit = 0;
    *out = result;
done:
    isg_sim_report_destroy(a);
    isg_sim_report_destroy(b);
    return status;
}
