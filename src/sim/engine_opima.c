/* SPDX-License-Identifier: Apache-2.0 */
/* Multiplication inside an optical PCM main memory: modulated inputs times the cells' transmission, operands cut in
 * pieces of cell_bits (RELATED section 1.6; every constant of it is an assumption). */
#include "sim/cost.h"

#include <math.h>

/* ceil(bits_in / cell) ceil(bits_w / cell) passes; the pieces of a weight lie in neighbouring columns. */
void isgi_engine_opima(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed)
{
    const double rows = m->key[ISGI_KEY_ROWS], cols = m->key[ISGI_KEY_COLS], cell = m->key[ISGI_KEY_CELL_BITS];
    const double slices = ceil(j->bits_w / cell), steps = ceil(j->bits_in / cell), columns = j->n * slices;
    const double row_folds = ceil(j->k / rows), col_folds = ceil(columns / cols);
    const double tiles = row_folds * col_folds * j->groups;
    const double symbol_ns = j->m * steps / m->key[ISGI_KEY_FREQUENCY], turns = ceil(tiles / m->key[ISGI_KEY_ARRAYS]);
    const double dac = j->m * steps * j->k * j->groups * col_folds;
    const double adc = j->m * steps * columns * j->groups * row_folds, lit_ns = tiles * symbol_ns;
    t->cycles += turns * j->m * steps;
    t->compute_ns += turns * symbol_ns + m->key[ISGI_KEY_CHAIN_TIME];
    t->adc += adc;
    t->dac += dac;
    t->energy[ISG_SIM_E_ADC] += adc * m->key[ISGI_KEY_ADC];
    t->energy[ISG_SIM_E_DAC] += dac * m->key[ISGI_KEY_DAC];
    t->energy[ISG_SIM_E_LASER] += rows * isgi_laser_line(m) * lit_ns;
    t->energy[ISG_SIM_E_TUNING] += rows * m->key[ISGI_KEY_MODULATOR] * lit_ns;
    t->energy[ISG_SIM_E_DETECTOR] += cols * m->key[ISGI_KEY_DETECTOR] * lit_ns;
    t->energy[ISG_SIM_E_COMPUTE] += isgi_job_macs(j) * slices * steps * m->key[ISGI_KEY_CELL_READ];
    t->activation_read += j->m * j->k * j->groups * col_folds * j->bits_in / 8;
    isgi_partial_sums(t, m, j->m * j->n * j->groups, row_folds * slices * steps, j->bits_in);
    if (programmed) return;
    t->cell_writes += j->k * columns * j->groups;
    t->energy[ISG_SIM_E_PROGRAM] += j->k * columns * j->groups * m->key[ISGI_KEY_CELL_WRITE];
    t->program_ns += j->k * col_folds * j->groups * m->key[ISGI_KEY_PROGRAM_TIME];
    t->weight_read += j->k * j->n * j->groups * j->bits_w / 8;
}
