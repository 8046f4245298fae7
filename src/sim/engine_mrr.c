/* SPDX-License-Identifier: Apache-2.0 */
/* Photonic micro-ring weight bank: `rows` wavelengths times `cols` outputs, one tile of weights tuned at a time
 * (RELATED section 3.2). */
#include "sim/cost.h"

#include <math.h>

/* E = w e_dac + M (R e_dac_in + C e_adc) + (R C P_ring + R P_mod + C P_detector + R P_laser) (t_prog + M/f) a tile. A
 * job that makes weights with regen_path "analog" leaves its outputs on the detectors: they are not converted, neither
 * as the inputs of level 2 nor as the weights that the next tile is tuned to. */
void isgi_engine_mrr(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double rows = m->key[ISGI_KEY_ROWS], cols = m->key[ISGI_KEY_COLS], banks = m->key[ISGI_KEY_ARRAYS];
    const double row_folds = ceil(j->k / rows), col_folds = ceil(j->n / cols);
    const double tiles = row_folds * col_folds * j->groups, turns = ceil(tiles / banks);
    const double symbol_ns = j->m / m->key[ISGI_KEY_FREQUENCY];
    const double lit_ns = tiles * (m->key[ISGI_KEY_PROGRAM_TIME] + symbol_ns);
    const double weights = j->analog_in && j->generates != 2 ? 0 : j->k * j->n * j->groups;
    const double dac = j->analog_in && j->generates == 2 ? 0 : j->m * j->k * j->groups * col_folds;
    const double adc = j->analog_out ? 0 : j->m * j->n * j->groups * row_folds;
    t->cycles += turns * j->m;
    t->compute_ns += turns * symbol_ns + m->key[ISGI_KEY_CHAIN_TIME];
    t->program_ns += turns * m->key[ISGI_KEY_PROGRAM_TIME];
    t->dac += dac + weights;
    t->adc += adc;
    t->energy[ISG_SIM_E_DAC] += dac * m->key[ISGI_KEY_DAC] + weights * m->key[ISGI_KEY_WEIGHT_DAC];
    t->energy[ISG_SIM_E_ADC] += adc * m->key[ISGI_KEY_ADC];
    t->energy[ISG_SIM_E_LASER] += rows * isgi_laser_line(m) * lit_ns;
    t->energy[ISG_SIM_E_TUNING] += (rows * cols * m->key[ISGI_KEY_RING] + rows * m->key[ISGI_KEY_MODULATOR]) * lit_ns;
    t->energy[ISG_SIM_E_DETECTOR] += cols * m->key[ISGI_KEY_DETECTOR] * lit_ns;
    t->weight_read += weights * j->bits_w / 8;
    t->activation_read += dac * j->bits_in / 8;
    if (!j->analog_out) isgi_partial_sums(t, m, j->m * j->n * j->groups, row_folds, j->bits_in);
}
