/* SPDX-License-Identifier: Apache-2.0 */
/* Associative processor in racetrack memory: bit-serial additions on all rows at once (RELATED section 1.4). */
#include "sim/cost.h"

#include <math.h>

/* Additions a weight costs: a ternary weight one where it is not zero; a weight of q bits one per non-zero signed
 * digit, q/3 + 1/9 on average in canonical form. */
static double additions_per_weight(const isgi_job *j)
{
    return j->ternary ? j->nonzero : j->nonzero * (j->bits_w / 3.0 + 1.0 / 9.0);
}

/* N_add = (additions - 1) a filter, less what shared sums save. An addition of m-bit words is 4 passes a bit, each one
 * compare and one write: 8 m cycles for all rows of an array, m = bits_in + ceil(log2 K) so that sums are exact. Arrays
 * work on different filters and blocks of rows side by side. A compare senses 3 columns (two operands and the carry) of
 * each row, a matching row writes 2, and both operands shift by one. */
void isgi_engine_associative(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double word = j->bits_in + ceil(log2(fmax(j->k, 2)));
    const double shared = m->has[ISGI_KEY_SHARING] ? m->key[ISGI_KEY_SHARING] : 0;
    const double adds = fmax(j->k * additions_per_weight(j) * (1 - shared) - 1, 0);
    const double blocks = ceil(j->m / m->key[ISGI_KEY_ROWS]) * j->n * j->groups;
    const double cycles = adds * 8 * word * ceil(blocks / m->key[ISGI_KEY_ARRAYS]);
    const double row_bits = adds * word * j->m * j->n * j->groups;
    t->cycles += cycles;
    t->compute_ns += cycles / m->key[ISGI_KEY_FREQUENCY];
    t->energy[ISG_SIM_E_COMPUTE] +=
        row_bits * 4 * (3 * m->key[ISGI_KEY_SEARCH] + m->key[ISGI_KEY_MATCH] * 2 * m->key[ISGI_KEY_CAM_WRITE]) +
        row_bits * 2 * m->key[ISGI_KEY_SHIFT];
    t->activation_read += j->m * j->k * j->groups * j->bits_in / 8;
    t->activation_written += j->m * j->n * j->groups * j->bits_in / 8;
    t->weight_read += j->k * j->n * j->groups * j->bits_w / 8;
}
