/* SPDX-License-Identifier: Apache-2.0 */
/* Digital systolic array: weight, input and output stationary (RELATED section 3.2; cycles checked against SCALE-Sim
 * v1).
 */
#include "sim/cost.h"

#include <math.h>

/* Sum of (fixed + used columns) over the folds of `n` columns on an array of `cols`. */
static double column_folds(double n, double cols, double fixed)
{
    const double whole = floor(n / cols), rest = n - whole * cols;
    return whole * (fixed + cols) + (rest > 0 ? fixed + rest : 0);
}

double isgi_systolic_cycles(isgi_dataflow flow, double rows, double cols, double m, double k, double n)
{
    const double last_row = fmod(m - 1, rows) + 1, last_col = fmod(n - 1, cols) + 1;
    switch (flow) {
    case ISGI_FLOW_WS: return ceil(k / rows) * column_folds(n, cols, m + 2 * rows);
    case ISGI_FLOW_IS: return ceil(k / rows) * column_folds(m, cols, n + 2 * rows - 1);
    case ISGI_FLOW_OS: return ceil(m / rows) * ceil(n / cols) * k + last_row + last_col - 1;
    }
    return 0;
}

/* Operands through the buffers, each once per fold that uses it. */
static void systolic_buffers(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double rows = m->key[ISGI_KEY_ROWS], cols = m->key[ISGI_KEY_COLS];
    const double in = j->m * j->k * j->groups * j->bits_in / 8, w = j->k * j->n * j->groups * j->bits_w / 8;
    double folds = ceil(j->k / rows);
    switch (m->profile->dataflow) {
    case ISGI_FLOW_WS:
        t->activation_read += in * ceil(j->n / cols);
        t->weight_read += w;
        break;
    case ISGI_FLOW_IS:
        t->activation_read += in;
        t->weight_read += w * ceil(j->m / cols);
        break;
    case ISGI_FLOW_OS:
        t->activation_read += in * ceil(j->n / cols);
        t->weight_read += w * ceil(j->m / rows);
        folds = 1;
        break;
    }
    isgi_partial_sums(t, m, j->m * j->n * j->groups, folds, j->bits_in);
}

/* An array of fixed width spends a whole multiply-add on narrow operands and several on wide ones. */
void isgi_engine_systolic(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double width = m->key[ISGI_KEY_MAC_BITS];
    const double steps = ceil(j->bits_in / width) * ceil(j->bits_w / width);
    const double cycles =
        steps * j->groups *
        isgi_systolic_cycles(m->profile->dataflow, m->key[ISGI_KEY_ROWS], m->key[ISGI_KEY_COLS], j->m, j->k, j->n);
    t->cycles += cycles;
    t->compute_ns += cycles / m->key[ISGI_KEY_FREQUENCY];
    t->energy[ISG_SIM_E_COMPUTE] += isgi_job_macs(j) * steps * m->key[ISGI_KEY_MAC];
    systolic_buffers(t, m, j);
}
