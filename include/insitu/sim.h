/* SPDX-License-Identifier: Apache-2.0 */
/* The accelerator cost model: what a network, in any stored form, costs on a machine described by a profile. */
#ifndef INSITU_SIM_H
#define INSITU_SIM_H

#include <insitu/graph.h>
#include <insitu/pack.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Units everywhere: energy pJ, time ns, power mW (mW times ns is pJ), bytes B, bandwidth GB/s (B/ns), frequency GHz.
 * Counts are doubles so that no network overflows them; they are exact integers below 2^53. */

/* An uncertain number. A profile's number has low <= typical <= high. A result's low is the machine at its best (costs
 * low; bandwidths, rates and efficiencies high), its high the machine at its worst; that bounds every result because
 * each one is monotone in each number. */
typedef struct isg_sim_band {
    double low, typical, high;
} isg_sim_band;

/* ---- profiles (docs/accelerators.md; schema 1) ---- */

typedef struct isg_sim_profile isg_sim_profile;

typedef enum isg_sim_engine {
    ISG_SIM_SYSTOLIC = 0,    /* digital array, weight, input or output stationary */
    ISG_SIM_MRR = 1,         /* photonic micro-ring weight bank */
    ISG_SIM_CROSSBAR = 2,    /* ReRAM, bit slices, bit-serial inputs */
    ISG_SIM_IMA = 3,         /* PCM in-memory array in a digital cluster */
    ISG_SIM_OPIMA = 4,       /* multiply in an optical PCM main memory */
    ISG_SIM_ASSOCIATIVE = 5, /* content-addressable, bit-serial, word-parallel */
    ISG_SIM_SPIKING = 6,     /* spiking FPGA */
    ISG_SIM_ENGINES
} isg_sim_engine;
const char *isg_sim_engine_name(isg_sim_engine engine);

/* How sure a number is: read in its source, remembered, or assumed and meant to be varied. */
typedef enum isg_sim_mark { ISG_SIM_SEEN = 0, ISG_SIM_REMEMBERED = 1, ISG_SIM_ASSUMED = 2 } isg_sim_mark;
const char *isg_sim_mark_name(isg_sim_mark mark);

/* One number of a profile as it stands in the file. `key` is its path ("tiers.dram.read", "engine.rows"). */
typedef struct isg_sim_number {
    const char *key;
    isg_sim_band value;               /* in `unit` */
    const char *unit, *node, *source; /* source: the full text, not its short name in the file */
    isg_sim_mark mark;
} isg_sim_number;

#define ISG_SIM_MAX_TIERS 6
typedef struct isg_sim_tier {
    const char *name;
    isg_sim_band bytes, read_pj_per_bit, write_pj_per_bit, bandwidth, leakage_mw;
    isg_sim_band bit_error_rate; /* of a stored bit when read; 0 when the file says nothing */
    int off_chip;
} isg_sim_tier;

/* What one problem of a profile file is. */
typedef struct isg_sim_problem {
    char key[112];    /* path of the key concerned, or "" */
    char reason[160]; /* one line */
} isg_sim_problem;
typedef struct isg_sim_problems {
    uint32_t count;
    isg_sim_problem *items; /* owned; isg_free() */
} isg_sim_problems;

/* `which`: a file (it holds a '/' or ends in ".json") or the name of a shipped profile, looked up in the folder of the
 * environment variable INSITU_PROFILES, in ../share/insitu/profiles beside the running program, in the source tree the
 * library was built from, and in that folder of the install prefix it was built for.
 * Errors: ARG (no such profile; the message lists where it looked), IO, FORMAT: "FILE: KEY: REASON" of the first
 * problem. */
ISG_NODISCARD isg_status isg_sim_profile_load(isg_sim_profile **out, const char *which, isg_error *err);
/* The same from text in memory; `file` is only used in messages. */
ISG_NODISCARD isg_status isg_sim_profile_parse(isg_sim_profile **out, const char *text, size_t bytes, const char *file,
                                               isg_error *err);
/* Every problem of the file. OK with count 0: the profile is sound. FORMAT: problems->count is at least 1 and err holds
 * the first. Other errors (IO, NOMEM) leave problems empty. */
ISG_NODISCARD isg_status isg_sim_profile_check(const char *which, isg_sim_problems *problems, isg_error *err);
ISG_NODISCARD isg_status isg_sim_profile_check_text(const char *text, size_t bytes, const char *file,
                                                    isg_sim_problems *problems, isg_error *err);
/* Names of the shipped profiles, sorted. One allocation: isg_free(names). */
ISG_NODISCARD isg_status isg_sim_profile_list(const char *const **names, uint32_t *count, isg_error *err);
ISG_NODISCARD isg_status isg_sim_profile_clone(isg_sim_profile **out, const isg_sim_profile *p, isg_error *err);
void isg_sim_profile_destroy(isg_sim_profile *p); /* NULL is fine */

const char *isg_sim_profile_name(const isg_sim_profile *p);
const char *isg_sim_profile_title(const isg_sim_profile *p);
const char *isg_sim_profile_note(const isg_sim_profile *p); /* "" if none */
const char *isg_sim_profile_node(const isg_sim_profile *p);
isg_sim_engine isg_sim_profile_engine(const isg_sim_profile *p);
uint32_t isg_sim_profile_tier_count(const isg_sim_profile *p);
ISG_NODISCARD isg_status isg_sim_profile_tier(const isg_sim_profile *p, uint32_t index, isg_sim_tier *tier);
uint32_t isg_sim_profile_number_count(const isg_sim_profile *p);
ISG_NODISCARD isg_status isg_sim_profile_number(const isg_sim_profile *p, uint32_t index, isg_sim_number *number);
/* Replaces the number at `key` by one value in the unit the file uses (for sweeps); its mark becomes ASSUMED. Errors:
 * ARG naming the key, FORMAT when the profile is no longer sound with it (p is unchanged then). */
ISG_NODISCARD isg_status isg_sim_profile_set(isg_sim_profile *p, const char *key, double value, isg_error *err);

/* Most multiply-adds a second the engine can do, as 1e9 operations of two each (GOP/s), typical. */
double isg_sim_profile_peak_gops(const isg_sim_profile *p);

/* ---- networks ---- */

/* What is moved. A profile's "place" says in which tier each one lives. */
typedef enum isg_sim_stream {
    ISG_SIM_BASIS = 0,
    ISG_SIM_U = 1,
    ISG_SIM_V = 2,
    ISG_SIM_WEIGHT = 3, /* weights stored or materialised as such */
    ISG_SIM_SCALE = 4,
    ISG_SIM_MASK = 5,
    ISG_SIM_BIAS = 6,
    ISG_SIM_ACTIVATION = 7,
    ISG_SIM_STREAMS
} isg_sim_stream;
const char *isg_sim_stream_name(isg_sim_stream stream);

/* One convolution or fully connected layer. Only what a cost depends on; may also be filled in by hand. */
typedef struct isg_sim_layer {
    char name[64];
    int32_t node;                       /* in the graph that the network was made of; -1: made of none */
    uint32_t groups, ci, co, taps;      /* ci: input channels of one group; co: output channels in all */
    uint64_t in_pixels, out_pixels;     /* of one image; 1 for a fully connected layer */
    uint64_t in_elements, out_elements; /* activations read and written for one image */
    uint32_t bi, bo;                    /* ranks; 0: level off (with level 1 alone bo is co) */
    uint8_t level1, level2, depthwise;  /* as isg_weight */
    uint8_t basis_bits, u_bits, v_bits; /* per stored number of each factor; 0 where absent */
    uint8_t weight_bits;                /* of one weight, stored dense or as generated */
    uint8_t activation_bits;
    uint8_t ternary;               /* weights are -s, 0, s: additions only (associative engine) */
    double nonzero;                /* fraction of weights that are not zero, 0..1; 1 when unknown */
    double bytes[ISG_SIM_STREAMS]; /* stored in the form described (activations: 0) */
    double dense_bytes;            /* the weights alone at weight_bits, without factors */
    double spikes;                 /* input spikes of one image over all time steps; < 0 when not measured */
    double synaptic_ops;           /* spike-driven additions of one image; < 0 when not measured */
} isg_sim_layer;

typedef struct isg_sim_network {
    char name[64];
    uint32_t layer_count;
    uint32_t timesteps;    /* of the spiking engine; 0: 1 */
    isg_sim_layer *layers; /* owned */
} isg_sim_network;

/* In which form a network is assumed to be stored, without trained weights. bi = bo = 0: dense with weight_bits. */
typedef struct isg_sim_form {
    uint32_t struct_size;
    uint32_t bi, bo;      /* asked for; a layer gets what isg_factor_levels() says */
    unsigned level_flags; /* ISG_LEVELS_RULE_09 or 0 */
    uint8_t basis_bits, u_bits, v_bits;
    uint8_t weight_bits; /* of dense layers and of generated weights */
    uint8_t activation_bits;
    uint8_t scale_bits; /* one scale an output channel (dense) or a factor; 0: none */
    uint8_t bias_bits;  /* one bias an output channel; 0: none */
    uint8_t factor_fc;  /* 0: fully connected layers stay dense */
} isg_sim_form;
/* Dense int8, int8 activations, 16-bit scales, 32-bit biases. */
#define ISG_SIM_FORM_INIT                                                                                              \
    {                                                                                                                  \
        sizeof(isg_sim_form), 0, 0, 0, 0, 0, 0, 8, 8, 16, 32, 0                                                        \
    }

/* From a prepared graph: form NULL takes each weight as it is stored (factors, or dense; RAW numbers count as
 * weight_bits 8), otherwise every layer is put in that form. Layers without weights cost nothing here. Errors: ARG,
 * UNSUPPORTED (unknown spatial size; message names the node), NOMEM. */
ISG_NODISCARD isg_status isg_sim_network_from_graph(isg_sim_network **out, const isg_graph *g, const isg_sim_form *form,
                                                    isg_error *err);
/* The same from an opened .isg or .onnx model. */
ISG_NODISCARD isg_status isg_sim_network_from_model(isg_sim_network **out, const isg_model *m, const isg_sim_form *form,
                                                    isg_error *err);
/* An empty network of `layers` zeroed layers, to be filled in by hand; isg_sim_layer_finish() completes one. */
ISG_NODISCARD isg_status isg_sim_network_create(isg_sim_network **out, const char *name, uint32_t layers,
                                                isg_error *err);
/* From name, groups, ci, co, taps, in_pixels and out_pixels: everything else as `form` says. */
ISG_NODISCARD isg_status isg_sim_layer_finish(isg_sim_layer *layer, const isg_sim_form *form, isg_error *err);
void isg_sim_network_destroy(isg_sim_network *n); /* NULL is fine */

/* How the weights of a layer with factors come to the engine. */
typedef enum isg_sim_mode {
    ISG_SIM_AUTO = 0,     /* per layer the cheapest (typical energy) of generate, half and factored */
    ISG_SIM_GENERATE = 1, /* make tiles of W from the factors, use them for the whole batch, throw them away */
    ISG_SIM_HALF = 2,     /* make level 1 only, convolve to bo channels, then 1x1 with V (docs/accelerators.md) */
    ISG_SIM_FACTORED = 3, /* make nothing: 1x1 with U, depthwise with the basis, 1x1 with V */
    ISG_SIM_DENSE = 4,    /* W is stored and moved whole at weight_bits, factors or not */
    ISG_SIM_RESIDENT = 5  /* W is made once when the model is loaded and stays on the machine */
} isg_sim_mode;
const char *isg_sim_mode_name(isg_sim_mode mode);
int isg_sim_mode_parse(isg_sim_mode *mode, const char *text); /* 0 if unknown */

/* The forms that a comparison without trained weights uses: dense int8, uniform 4-bit, (2,44) 3-6-3 generated, half and
 * factored. */
typedef struct isg_sim_choice {
    const char *name, *title;
    isg_sim_form form;
    isg_sim_mode mode;
} isg_sim_choice;
const isg_sim_choice *isg_sim_choices(uint32_t *count); /* static */

/* ---- evaluation ---- */

typedef enum isg_sim_cause {                        /* of energy */
                             ISG_SIM_E_WEIGHTS = 0, /* weight streams between their tier and the chip's buffers */
                             ISG_SIM_E_ACTIVATIONS =
                                 1, /* activations to and from a tier that is not the activation buffer */
                             ISG_SIM_E_BUFFER = 2, /* on-chip buffers next to the engine */
                             ISG_SIM_E_GENERATION =
                                 3, /* all that is spent on making weights, on whichever unit makes them */
                             ISG_SIM_E_COMPUTE = 4, /* arithmetic on activations, digital or analog */
                             ISG_SIM_E_ADC = 5,
                             ISG_SIM_E_DAC = 6,
                             ISG_SIM_E_LASER = 7,
                             ISG_SIM_E_TUNING = 8,   /* rings and modulators held at their setting */
                             ISG_SIM_E_DETECTOR = 9, /* photodiodes and transimpedance amplifiers */
                             ISG_SIM_E_PROGRAM = 10, /* writing cells */
                             ISG_SIM_E_STATIC = 11,  /* leakage and board power over the latency */
                             ISG_SIM_CAUSES
} isg_sim_cause;
const char *isg_sim_cause_name(isg_sim_cause cause);

typedef enum isg_sim_term { /* of latency */
                            ISG_SIM_T_WEIGHTS = 0,
                            ISG_SIM_T_ACTIVATIONS = 1,
                            ISG_SIM_T_GENERATION = 2,
                            ISG_SIM_T_PROGRAM = 3,
                            ISG_SIM_T_COMPUTE = 4,
                            ISG_SIM_TERMS
} isg_sim_term;
const char *isg_sim_term_name(isg_sim_term term);

#define ISG_SIM_NOTE_SPILLED 1u /* a weight stream does not fit the tier it is placed in and lives further away */
#define ISG_SIM_NOTE_ACTIVATIONS_OUT 2u /* activations do not fit their buffer and move through their tier */
#define ISG_SIM_NOTE_WEIGHTS_AGAIN 4u   /* weights (or their factors) are read more than once */
#define ISG_SIM_NOTE_INPUTS_AGAIN 8u    /* activations are read more than once */
#define ISG_SIM_NOTE_NOT_RESIDENT 16u   /* asked for, but the machine is full: costed as generate or dense */
#define ISG_SIM_NOTE_REPROGRAMMED 32u   /* cells are written in every run */
#define ISG_SIM_NOTE_NOT_FACTORED 64u   /* the layer has no factors: costed dense */
#define ISG_SIM_NOTES 7
const char *isg_sim_note_text(unsigned bit); /* of one bit */

/* Of one layer, or summed over all, for the whole batch. Typical counts; bands where the profile's numbers matter. */
typedef struct isg_sim_result {
    isg_sim_mode mode; /* what was costed; total: what was asked for */
    unsigned notes;
    double read_bytes[ISG_SIM_MAX_TIERS][ISG_SIM_STREAMS]; /* per tier of the profile */
    double written_bytes[ISG_SIM_MAX_TIERS][ISG_SIM_STREAMS];
    double generation1, generation2; /* multiply-adds that make level 1 and level 2 */
    double macs;                     /* multiply-adds on activations in this mode */
    double dense_macs;               /* of the plain layer */
    double adc, dac;                 /* conversions */
    double cell_writes;
    double spikes, synaptic_ops; /* spiking engine: measured, or 0 */
    double cycles;               /* engine cycles (symbols, array jobs, passes), generation on the engine included */
    isg_sim_band energy_pj[ISG_SIM_CAUSES], total_pj;
    isg_sim_band time_ns[ISG_SIM_TERMS];
    isg_sim_band latency_ns; /* pipelined: the largest term; total: summed over layers */
    isg_sim_band serial_ns;  /* nothing overlaps: the sum of the terms */
    isg_sim_term binding;    /* the largest term (typical); total: the one that binds for the longest time */
    double far_bytes;        /* through every tier but the buffers */
    double intensity;        /* operational intensity: 2 dense_macs / far_bytes; 0 when nothing moves */
} isg_sim_result;

typedef struct isg_sim_report {
    uint32_t layer_count, tier_count, batch;
    isg_sim_mode mode;
    isg_sim_result *layers; /* owned */
    isg_sim_result total;
    /* Once per model, not per run (mode RESIDENT): making W and writing it into place. */
    isg_sim_band load_pj, load_ns;
    double load_cell_writes;
    double resident_bytes; /* weight bytes that live on the machine's chip, all layers */
    double capacity_bytes; /* what the engine's cells hold; 0 for engines without */
} isg_sim_report;

typedef struct isg_sim_options {
    uint32_t struct_size;
    uint32_t batch; /* 0: 1 */
    isg_sim_mode mode;
} isg_sim_options;

/* Errors: ARG (unknown mode, a layer that says nothing), UNSUPPORTED (the engine cannot run a layer; names it), NOMEM.
 */
ISG_NODISCARD isg_status isg_sim_evaluate(isg_sim_report **out, const isg_sim_network *n, const isg_sim_profile *p,
                                          const isg_sim_options *options, isg_error *err);
void isg_sim_report_destroy(isg_sim_report *r); /* NULL is fine */

/* Where generation begins to pay: energy per bit of the tier that weights are placed in, above which `with` costs less
 * than `without`, everything else as in the profile. Both costs are linear in it. bits_*: weight bits through that tier
 * for the batch; energy_*: what is left of the energy at 0 pJ/bit. pays: -1 never, 0 above `pj_per_bit`, 1 always. */
typedef struct isg_sim_break_even {
    double pj_per_bit, profile_pj_per_bit;
    double bits_with, bits_without, energy_with, energy_without;
    int pays;
    char tier[32];
} isg_sim_break_even;
ISG_NODISCARD isg_status isg_sim_find_break_even(isg_sim_break_even *out, const isg_sim_network *with,
                                                 isg_sim_mode mode_with, const isg_sim_network *without,
                                                 isg_sim_mode mode_without, const isg_sim_profile *p, uint32_t batch,
                                                 isg_error *err);

/* ---- the paper's Eq. 8 ---- */

typedef struct isg_sim_eq8 {
    /* given (SPEC section 10): a co x ci x k x k layer of 16-bit weights, (bi, bo, qb, qu, qv) */
    uint32_t co, ci, k, dense_bits, bi, bo, basis_bits, u_bits, v_bits;
    double dac_ps, modulation_ps, detection_ps, radius_um, light_um_per_ps, bandwidth_gb;
    /* derived as the paper prints them */
    double propagation_ps; /* 4 bi R / c + 4 bo R / c with c slowed by `slowing` */
    double generation_ps;  /* DAC + 2 (modulation + detection) + propagation */
    double memory_ratio, parameter_ratio, saved_bytes, saved_us; /* (1 - ratio) |W| over the bandwidth in GiB */
    /* derived without the two corrections that the printed numbers need */
    double slowing; /* factor on c that the printed propagation implies */
    double propagation_vacuum_ps, generation_vacuum_ps;
    double saved_decimal_us; /* with 34e9 bytes a second */
    const char *notes[4];    /* what does not fit together, NULL-terminated; static */
} isg_sim_eq8;
void isg_sim_paper_eq8(isg_sim_eq8 *eq8);

#ifdef __cplusplus
}
#endif
#endif
