/* SPDX-License-Identifier: Apache-2.0 */
/* What is common to engines: which one runs a job, what its cells hold, its peak, its partial sums and laser. */
#include "sim/cost.h"

#include <math.h>

void isgi_tally_add(isgi_tally *t, const isgi_tally *other, double times)
{
    t->cycles += times * other->cycles;
    t->compute_ns += times * other->compute_ns;
    t->program_ns += times * other->program_ns;
    t->adc += times * other->adc;
    t->dac += times * other->dac;
    t->cell_writes += times * other->cell_writes;
    for (int i = 0; i < ISG_SIM_CAUSES; i++) t->energy[i] += times * other->energy[i];
    t->weight_read += times * other->weight_read;
    t->activation_read += times * other->activation_read;
    t->activation_written += times * other->activation_written;
}

void isgi_partial_sums(isgi_tally *t, const isgi_machine *m, double count, double folds, unsigned bits)
{
    const double again = count * (folds - 1);
    t->activation_written += count * bits / 8;
    if (m->has[ISGI_KEY_ACCUMULATE]) {
        t->energy[ISG_SIM_E_COMPUTE] += again * m->key[ISGI_KEY_ACCUMULATE];
    } else {
        t->activation_written += again * 4;
        t->activation_read += again * 4;
    }
}

double isgi_laser_line(const isgi_machine *m)
{
    if (m->has[ISGI_KEY_LASER]) return m->key[ISGI_KEY_LASER];
    return isgi_laser_power(m->key[ISGI_KEY_LOSS], m->key[ISGI_KEY_SENSITIVITY], m->key[ISGI_KEY_COLS],
                            m->key[ISGI_KEY_LASER_BITS], m->key[ISGI_KEY_EXTINCTION], m->key[ISGI_KEY_EFFICIENCY]);
}

void isgi_engine_job(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed)
{
    switch (m->profile->engine) {
    case ISG_SIM_SYSTOLIC: isgi_engine_systolic(t, m, j); break;
    case ISG_SIM_MRR: isgi_engine_mrr(t, m, j); break;
    case ISG_SIM_CROSSBAR: isgi_engine_crossbar(t, m, j, programmed); break;
    case ISG_SIM_IMA: isgi_engine_ima(t, m, j, programmed); break;
    case ISG_SIM_OPIMA: isgi_engine_opima(t, m, j, programmed); break;
    case ISG_SIM_ASSOCIATIVE: isgi_engine_associative(t, m, j); break;
    case ISG_SIM_SPIKING: isgi_engine_spiking(t, m, j); break;
    case ISG_SIM_ENGINES: break;
    }
}

int isgi_engine_has_cells(isg_sim_engine engine)
{
    return engine == ISG_SIM_CROSSBAR || engine == ISG_SIM_IMA || engine == ISG_SIM_OPIMA;
}

int isgi_engine_analog(const isg_sim_profile *p)
{
    return p->engine == ISG_SIM_MRR && p->generator == ISGI_GENERATOR_ENGINE &&
           p->regeneration == ISGI_REGENERATE_ANALOG;
}

double isgi_engine_capacity(const isgi_machine *m)
{
    if (!isgi_engine_has_cells(m->profile->engine)) return 0;
    return m->key[ISGI_KEY_ARRAYS] * m->key[ISGI_KEY_ROWS] * m->key[ISGI_KEY_COLS] * m->key[ISGI_KEY_CELL_BITS] / 8;
}

double isgi_engine_cell_bytes(const isgi_machine *m, const isgi_job *j)
{
    const double cell = m->key[ISGI_KEY_CELL_BITS];
    if (m->profile->engine == ISG_SIM_IMA && j->groups > 1 && j->n == 1) return 0; /* on the digital engine */
    return j->k * j->n * j->groups * ceil(j->bits_w / cell) * cell / 8;
}

double isgi_engine_peak(const isgi_machine *m)
{
    const double array = m->key[ISGI_KEY_ROWS] * m->key[ISGI_KEY_COLS], f = m->key[ISGI_KEY_FREQUENCY];
    const double slices = m->key[ISGI_KEY_CELL_BITS] > 0 ? ceil(8 / m->key[ISGI_KEY_CELL_BITS]) : 1;
    switch (m->profile->engine) {
    case ISG_SIM_SYSTOLIC: return 2 * array * f;
    case ISG_SIM_MRR: return 2 * array * f * m->key[ISGI_KEY_ARRAYS];
    case ISG_SIM_CROSSBAR: /* 8-bit operands */
        return 2 * array / slices * m->key[ISGI_KEY_ARRAYS] /
               (8 * fmax(m->key[ISGI_KEY_READ_TIME], m->key[ISGI_KEY_COLS] / m->key[ISGI_KEY_ADC_RATE]));
    case ISG_SIM_IMA: return 2 * array / m->key[ISGI_KEY_JOB_TIME];                            /* one array at a time */
    case ISG_SIM_OPIMA: return 2 * array * f * m->key[ISGI_KEY_ARRAYS] / (slices * slices);    /* 8-bit operands */
    case ISG_SIM_ASSOCIATIVE: return m->key[ISGI_KEY_ROWS] * m->key[ISGI_KEY_ARRAYS] * f / 64; /* 8-bit additions */
    case ISG_SIM_SPIKING: return 2 * array * f;
    case ISG_SIM_ENGINES: break;
    }
    return 0;
}

double isg_sim_profile_peak_gops(const isg_sim_profile *p)
{
    isgi_machine m;
    isgi_machine_at(&m, p, 1);
    return isgi_engine_peak(&m);
}
