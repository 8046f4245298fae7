/* SPDX-License-Identifier: Apache-2.0 */
/* ReRAM crossbars: weights in slices of cell_bits, inputs bit by bit, shared ADCs (RELATED section 3.2, NeuroSim
 * style).
 */
#include "sim/cost.h"

#include <math.h>

double isgi_crossbar_arrays(double rows, double cols, double cell_bits, double k, double n, double bits_w)
{
    return ceil(k / rows) * ceil(n * ceil(bits_w / cell_bits) / cols);
}

double isgi_crossbar_conversions(double rows, double cell_bits, double m, double k, double n, double bits_w,
                                 double bits_in)
{
    return m * ceil(k / rows) * n * ceil(bits_w / cell_bits) * bits_in;
}

static void crossbar_program(isgi_tally *t, const isgi_machine *m, const isgi_job *j, double slices)
{
    const double cells = j->k * j->n * slices * j->groups;
    const double row_writes = j->k * ceil(j->n * slices / m->key[ISGI_KEY_COLS]) * j->groups;
    t->cell_writes += cells;
    t->energy[ISG_SIM_E_PROGRAM] += cells * m->key[ISGI_KEY_CELL_WRITE];
    t->program_ns += row_writes * m->key[ISGI_KEY_PROGRAM_TIME]; /* one row of one array at a time */
    t->weight_read += j->k * j->n * j->groups * j->bits_w / 8;
}

void isgi_engine_crossbar(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed)
{
    const double rows = m->key[ISGI_KEY_ROWS], cols = m->key[ISGI_KEY_COLS];
    const double slices = ceil(j->bits_w / m->key[ISGI_KEY_CELL_BITS]), columns = j->n * slices;
    const double arrays =
        isgi_crossbar_arrays(rows, cols, m->key[ISGI_KEY_CELL_BITS], j->k, j->n, j->bits_w) * j->groups;
    const double conversions =
        isgi_crossbar_conversions(rows, m->key[ISGI_KEY_CELL_BITS], j->m, j->k, j->n, j->bits_w, j->bits_in) *
        j->groups;
    const double drives = j->m * j->k * j->bits_in * ceil(columns / cols) * j->groups;
    const double digitise_ns = fmin(columns, cols) / m->key[ISGI_KEY_ADC_RATE];
    const double steps = j->m * j->bits_in * ceil(arrays / m->key[ISGI_KEY_ARRAYS]);
    t->cycles += steps;
    t->compute_ns += steps * fmax(m->key[ISGI_KEY_READ_TIME], digitise_ns);
    t->adc += conversions;
    t->dac += drives;
    t->energy[ISG_SIM_E_ADC] += conversions * m->key[ISGI_KEY_ADC];
    t->energy[ISG_SIM_E_DAC] += drives * m->key[ISGI_KEY_DAC];
    t->energy[ISG_SIM_E_COMPUTE] += isgi_job_macs(j) * slices * j->bits_in * m->key[ISGI_KEY_CELL_READ] +
                                    conversions * (m->key[ISGI_KEY_ACCUMULATE] + m->key[ISGI_KEY_OVERHEAD]);
    t->activation_read += j->m * j->k * j->groups * ceil(columns / cols) * j->bits_in / 8;
    t->activation_written += j->m * j->n * j->groups * j->bits_in / 8;
    if (!programmed) crossbar_program(t, m, j, slices);
}
