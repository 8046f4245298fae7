/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's Eq. 8 with its own numbers, and where they do not fit together (SPEC section 10). */
#include <insitu/sim.h>

/* tau_gen = tau_DAC + 2 (tau_mod + tau_oe) + 4 bi R / c + 4 bo R / c, against 2 (1 - r_m) |W| / BW of loading; the
 * example is a 128 x 128 x 3 x 3 kernel of 16 bits with (2, 40, 4, 4, 4). */
void isg_sim_paper_eq8(isg_sim_eq8 *e)
{
    static const char *const notes[] = {
        "propagation: 4 (bi + bo) R with R = 20 um takes 11.2 ps at the speed of light in vacuum; the printed 25.2 ps "
        "needs light slowed by 2.25, which the paper does not state",
        "loading: the printed 7.9 us needs 34 GB/s read as 34 * 2^30 bytes a second; with 34e9 it is 8.4 us",
        "the example compares one pass through the generator with loading a whole kernel: how many passes "
        "bo ci k k values take is not in Eq. 8",
    };
    *e = (isg_sim_eq8){.co = 128,
                       .ci = 128,
                       .k = 3,
                       .dense_bits = 16,
                       .bi = 2,
                       .bo = 40,
                       .basis_bits = 4,
                       .u_bits = 4,
                       .v_bits = 4,
                       .dac_ps = 400,
                       .modulation_ps = 50,
                       .detection_ps = 10,
                       .radius_um = 20,
                       .light_um_per_ps = 299.792458,
                       .bandwidth_gb = 34,
                       .slowing = 2.25};
    const double taps = (double)e->k * e->k, weights = (double)e->co * e->ci * taps;
    const double basis = (double)e->bo * e->bi * taps, u = (double)e->bo * e->ci * e->bi, v = (double)e->co * e->bo;
    const double bytes = weights * e->dense_bits / 8;
    const double fixed = e->dac_ps + 2 * (e->modulation_ps + e->detection_ps);
    e->propagation_vacuum_ps = 4 * (e->bi + e->bo) * e->radius_um / e->light_um_per_ps;
    e->propagation_ps = e->propagation_vacuum_ps * e->slowing;
    e->generation_ps = fixed + e->propagation_ps;
    e->generation_vacuum_ps = fixed + e->propagation_vacuum_ps;
    e->parameter_ratio = (basis + u + v) / weights;
    e->memory_ratio = (basis * e->basis_bits + u * e->u_bits + v * e->v_bits) / (weights * e->dense_bits);
    e->saved_bytes = (1 - e->memory_ratio) * bytes;
    e->saved_us = e->saved_bytes / (e->bandwidth_gb * 1073741824.0) * 1e6;
    e->saved_decimal_us = e->saved_bytes / (e->bandwidth_gb * 1e9) * 1e6;
    for (int i = 0; i < 3; i++) e->notes[i] = notes[i];
}
