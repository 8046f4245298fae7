/* SPDX-License-Identifier: Apache-2.0 */
/* PCM in-memory arrays in a digital cluster: one array job at a time, depthwise layers on a digital engine (RELATED
 * section 1.8). */
#include "sim/cost.h"

#include <math.h>

static void ima_depthwise(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double macs = isgi_job_macs(j);
    t->compute_ns += macs / m->key[ISGI_KEY_DEPTHWISE_RATE];
    t->energy[ISG_SIM_E_COMPUTE] += macs * m->key[ISGI_KEY_DEPTHWISE_MAC];
    t->activation_read += j->m * j->k * j->groups * j->bits_in / 8;
    t->activation_written += j->m * j->n * j->groups * j->bits_in / 8;
    t->weight_read += j->k * j->n * j->groups * j->bits_w / 8;
}

/* jobs = M arrays; E = e_mac per multiply-add (active rows and columns only), t = jobs t_job. The arrays' converters
 * are inside both numbers. */
void isgi_engine_ima(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed)
{
    const double rows = m->key[ISGI_KEY_ROWS], cols = m->key[ISGI_KEY_COLS];
    const double slices = ceil(j->bits_w / m->key[ISGI_KEY_CELL_BITS]), width = m->key[ISGI_KEY_MAC_BITS];
    const double col_arrays = ceil(j->n * slices / cols), row_arrays = ceil(j->k / rows);
    const double steps = ceil(j->bits_in / width), jobs = j->m * row_arrays * col_arrays * j->groups * steps;
    if (j->groups > 1 && j->n == 1) {
        ima_depthwise(t, m, j);
        return;
    }
    t->cycles += jobs;
    t->compute_ns += jobs * m->key[ISGI_KEY_JOB_TIME];
    t->adc += j->m * j->n * slices * row_arrays * j->groups * steps;
    t->dac += j->m * j->k * col_arrays * j->groups * steps;
    t->energy[ISG_SIM_E_COMPUTE] += isgi_job_macs(j) * slices * steps * m->key[ISGI_KEY_MAC];
    t->activation_read += j->m * j->k * j->groups * col_arrays * j->bits_in / 8;
    isgi_partial_sums(t, m, j->m * j->n * j->groups, row_arrays, j->bits_in);
    if (programmed) return;
    t->cell_writes += j->k * j->n * slices * j->groups;
    t->energy[ISG_SIM_E_PROGRAM] += j->k * j->n * slices * j->groups * m->key[ISGI_KEY_CELL_WRITE];
    t->program_ns += j->k * col_arrays * j->groups * m->key[ISGI_KEY_PROGRAM_TIME];
    t->weight_read += j->k * j->n * j->groups * j->bits_w / 8;
}
