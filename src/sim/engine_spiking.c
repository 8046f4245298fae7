/* SPDX-License-Identifier: Apache-2.0 */
/* Spiking FPGAs: FireFly's dense array schedule and Spiker's serial one (RELATED sections 1.9, 1.10). */
#include "sim/cost.h"

#include <math.h>

/* array: ceil(ci / channels) ceil(taps / kernel taps) ceil(co / cols) M T cycles; zeros do not shorten it.
 * serial: one input a cycle into `cols` neurons at once: K ceil(N / cols) T cycles a row of inputs. */
static double spiking_cycles(const isgi_machine *m, const isgi_job *j)
{
    const double cols = m->key[ISGI_KEY_COLS];
    const double channels = m->has[ISGI_KEY_CHANNELS] ? m->key[ISGI_KEY_CHANNELS] : m->key[ISGI_KEY_ROWS];
    const double taps = m->has[ISGI_KEY_KERNEL_TAPS] ? m->key[ISGI_KEY_KERNEL_TAPS] : 1;
    if (m->profile->schedule == ISGI_SCHEDULE_SERIAL) return j->m * j->k * ceil(j->n / cols) * j->groups * j->timesteps;
    return ceil(j->channels / channels) * ceil(j->taps / taps) * ceil(j->n / cols) * j->groups * j->m * j->timesteps;
}

/* Energy is board power over time (static) where nothing better is known, and `synapse` pJ for each spike-driven
 * addition: measured ones where the network carries them, else as if every input fired in every step. */
void isgi_engine_spiking(isgi_tally *t, const isgi_machine *m, const isgi_job *j)
{
    const double cycles = spiking_cycles(m, j);
    const double additions = j->synaptic_ops >= 0 ? j->synaptic_ops : isgi_job_macs(j) * j->timesteps;
    t->cycles += cycles;
    t->compute_ns += cycles / m->key[ISGI_KEY_FREQUENCY];
    t->energy[ISG_SIM_E_COMPUTE] += additions * m->key[ISGI_KEY_SYNAPSE];
    t->weight_read += j->k * j->n * j->groups * j->bits_w / 8;
    /* spikes are one bit */
    t->activation_read += j->m * j->k * j->groups * j->timesteps / 8;
    t->activation_written += j->m * j->n * j->groups * j->timesteps / 8;
}
