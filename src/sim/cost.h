/* SPDX-License-Identifier: Apache-2.0 */
/* The steps between a layer and its cost: matrix jobs, engines, device formulas, and where streams live. */
#ifndef INSITU_SIM_COST_H
#define INSITU_SIM_COST_H

#include "sim/profile.h"

/* ---- jobs: a layer in one mode as matrix products (RELATED section 3.1, DESIGN section 3) ---- */

/* out[m][n] += in[m][k] * w[k][n], `groups` times. */
typedef struct isgi_job {
    double m, k, n, groups;
    double channels, taps; /* k = channels * taps */
    unsigned bits_in, bits_w;
    int generates;  /* 0: on activations; 1, 2: makes that level of the weights */
    int analog_out; /* makes weights that stay analog: they are not converted */
    int analog_in; /* what the job before made comes without conversion: its streamed inputs (level 2) or its weights */
    int ternary;
    double nonzero;
    double synaptic_ops; /* measured for this job's activations, or < 0 */
    double timesteps;
} isgi_job;
#define ISGI_MAX_JOBS 5
/* Jobs of a layer for `batch` images; returns how many. The mode must suit the layer (isgi_layer_mode). */
int isgi_layer_jobs(isgi_job jobs[ISGI_MAX_JOBS], const isg_sim_layer *l, isg_sim_mode mode, double batch,
                    double timesteps);
/* The mode that a layer can really be costed in: DENSE without factors, GENERATE where nothing is left to factor. */
isg_sim_mode isgi_layer_mode(const isg_sim_layer *l, isg_sim_mode asked);
double isgi_job_macs(const isgi_job *j);

/* ---- engines ---- */

/* What running jobs costs on an engine. Energies pJ by cause, times ns. */
typedef struct isgi_tally {
    double cycles, compute_ns, program_ns;
    double adc, dac, cell_writes;
    double energy[ISG_SIM_CAUSES];
    double weight_read, activation_read, activation_written; /* bytes through the buffers */
} isgi_tally;
void isgi_tally_add(isgi_tally *t, const isgi_tally *other, double times);

/* One job on the machine's engine. With `programmed`, its weights already are in the cells. */
void isgi_engine_job(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed);
void isgi_engine_systolic(isgi_tally *t, const isgi_machine *m, const isgi_job *j);
void isgi_engine_mrr(isgi_tally *t, const isgi_machine *m, const isgi_job *j);
void isgi_engine_crossbar(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed);
void isgi_engine_ima(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed);
void isgi_engine_opima(isgi_tally *t, const isgi_machine *m, const isgi_job *j, int programmed);
void isgi_engine_associative(isgi_tally *t, const isgi_machine *m, const isgi_job *j);
void isgi_engine_spiking(isgi_tally *t, const isgi_machine *m, const isgi_job *j);

/* Whether weights stay in cells of the engine between runs. */
int isgi_engine_has_cells(isg_sim_engine engine);
/* Whether weights go from generation to use without conversion, so that they cannot be kept. */
int isgi_engine_analog(const isg_sim_profile *p);
/* Bytes of weights that the cells hold; 0 for engines without. */
double isgi_engine_capacity(const isgi_machine *m);
/* Bytes of cells that a job's weights take (whole cells of each weight). */
double isgi_engine_cell_bytes(const isgi_machine *m, const isgi_job *j);
/* Multiply-adds a second in 1e9 operations of two each. */
double isgi_engine_peak(const isgi_machine *m);
/* Partial sums of `folds` parts for `count` outputs: the accumulator's energy, or traffic of 4 bytes through the
 * activation buffer where the profile has none. Outputs themselves are written with `bits`. */
void isgi_partial_sums(isgi_tally *t, const isgi_machine *m, double count, double folds, unsigned bits);
/* mW of light for one line of an optical engine: given, or from its loss budget with every output a branch. */
double isgi_laser_line(const isgi_machine *m);

/* Cycles of a systolic array on one m x k x n product, exact against SCALE-Sim v1 for WS and IS; OS is its lower bound
 * plus the last fold's skew, within rows + cols - 1 (RELATED section 3.2). */
double isgi_systolic_cycles(isgi_dataflow flow, double rows, double cols, double m, double k, double n);
/* Arrays that hold k x n weights of bits_w on rows x cols cells. */
double isgi_crossbar_arrays(double rows, double cols, double cell_bits, double k, double n, double bits_w);
/* Conversions of a bit-serial crossbar (RELATED section 3.2, NeuroSim style): m ceil(k/rows) n slices bits_in. */
double isgi_crossbar_conversions(double rows, double cell_bits, double m, double k, double n, double bits_w,
                                 double bits_in);

/* ---- devices ---- */

/* pJ a conversion of an ADC of `bits` at `rate` GS/s in `node` nm (survey model; RELATED section 3.3). */
double isgi_adc_energy(double bits, double rate, double node);
/* mW of one laser line: 10^((loss dB + sensitivity dBm + 10 log10 fanout)/10) / efficiency * 2^bits /
 * (1 - 10^(-extinction dB/10)) (RELATED section 3.2, after SimPhony). */
double isgi_laser_power(double loss, double sensitivity, double fanout, double bits, double extinction,
                        double efficiency);
/* mW of the optical line that CrossLight's rule asks for: dBm >= sensitivity + loss + 10 log10 lines. */
double isgi_laser_power_lines(double loss, double sensitivity, double lines);
/* Levels that crosstalk between `rings` rings of quality q, spread over fsr nm at `wavelength` nm, leaves: 1 over the
 * largest sum of d^2 / ((li - lj)^2 + d^2), d = wavelength / 2q (RELATED section 3.2). */
double isgi_ring_levels(double q, double fsr, double wavelength, int rings);
/* pJ of a 64-bit SRAM read: e(node) sqrt(bytes / 8 KiB), a fit to CACTI 7 runs at 45, 32 and 22 nm (RELATED section
 * 3.3); NaN for other nodes. */
double isgi_sram_read64(double node, double bytes);

/* ---- one layer ---- */

/* How a layer is run, the same at every corner. */
typedef struct isgi_plan {
    isg_sim_mode mode;
    unsigned notes;
    int resident;              /* its weights are loaded once and cost nothing to move in a run */
    int home[ISG_SIM_STREAMS]; /* tier of each stream after spilling */
    int activation_home;       /* tier that activations move through, or -1: they stay in their buffer */
    double passes;             /* times the layer is run over a part of its outputs */
    double weight_reads, generations, input_reads; /* how often each happens */
} isgi_plan;

typedef struct isgi_cost {
    double read[ISG_SIM_MAX_TIERS][ISG_SIM_STREAMS], written[ISG_SIM_MAX_TIERS][ISG_SIM_STREAMS];
    double generation1, generation2, macs, adc, dac, cell_writes, cycles;
    double energy[ISG_SIM_CAUSES], time[ISG_SIM_TERMS];
    double total, latency, serial;
    isg_sim_term binding;
    double load_energy, load_ns, load_cell_writes; /* once per model */
} isgi_cost;

/* Bytes of a weight stream that a layer stores in a mode. */
double isgi_stored_bytes(const isg_sim_layer *l, isg_sim_mode mode, int stream);
/* Homes of every layer's streams, nearest tier with room first, and which layers are resident. plans: one a layer, with
 * mode set. Returns the bytes resident. */
double isgi_place(isgi_plan *plans, const isg_sim_network *n, const isgi_machine *m);
/* Fills passes and repeats for weights first (or activations first) and where activations live. */
void isgi_schedule_layer(isgi_plan *plan, const isg_sim_layer *l, const isgi_machine *m, double batch,
                         int weights_first);
void isgi_cost_layer(isgi_cost *c, const isg_sim_layer *l, const isgi_plan *plan, const isgi_machine *m, double batch,
                     double timesteps);

#endif
