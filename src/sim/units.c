/* SPDX-License-Identifier: Apache-2.0 */
/* The units that profiles may use, and the names of the model's enumerations. */
#include "sim/profile.h"

#include <string.h>

static const struct unit {
    isgi_sim_dimension dimension;
    const char *name;
    double factor;
} units[] = {
    {ISGI_DIM_ENERGY, "fJ", 1e-3},
    {ISGI_DIM_ENERGY, "pJ", 1},
    {ISGI_DIM_ENERGY, "nJ", 1e3},
    {ISGI_DIM_ENERGY, "uJ", 1e6},
    {ISGI_DIM_ENERGY_BIT, "fJ/b", 1e-3},
    {ISGI_DIM_ENERGY_BIT, "pJ/b", 1},
    {ISGI_DIM_ENERGY_BIT, "nJ/b", 1e3},
    {ISGI_DIM_ENERGY_BIT, "pJ/B", 0.125},
    {ISGI_DIM_TIME, "ps", 1e-3},
    {ISGI_DIM_TIME, "ns", 1},
    {ISGI_DIM_TIME, "us", 1e3},
    {ISGI_DIM_TIME, "ms", 1e6},
    {ISGI_DIM_POWER, "uW", 1e-3},
    {ISGI_DIM_POWER, "mW", 1},
    {ISGI_DIM_POWER, "W", 1e3},
    {ISGI_DIM_SIZE, "B", 1},
    {ISGI_DIM_SIZE, "KiB", 1024},
    {ISGI_DIM_SIZE, "MiB", 1048576},
    {ISGI_DIM_SIZE, "GiB", 1073741824},
    {ISGI_DIM_BANDWIDTH, "MB/s", 1e-3},
    {ISGI_DIM_BANDWIDTH, "GB/s", 1},
    {ISGI_DIM_FREQUENCY, "MHz", 1e-3},
    {ISGI_DIM_FREQUENCY, "GHz", 1},
    {ISGI_DIM_FREQUENCY, "MS/s", 1e-3},
    {ISGI_DIM_FREQUENCY, "GS/s", 1},
    {ISGI_DIM_RATE, "GMAC/s", 1},
    {ISGI_DIM_COUNT, "1", 1},
    {ISGI_DIM_BITS, "b", 1},
    {ISGI_DIM_RATIO, "1", 1},
    {ISGI_DIM_LOSS, "dB", 1},
    {ISGI_DIM_LEVEL, "dBm", 1},
};

double isgi_sim_unit(isgi_sim_dimension dimension, const char *unit)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].dimension == dimension && strcmp(units[i].name, unit) == 0) return units[i].factor;
    return 0;
}

const char *isgi_sim_units(isgi_sim_dimension dimension)
{
    switch (dimension) {
    case ISGI_DIM_ENERGY: return "fJ, pJ, nJ or uJ";
    case ISGI_DIM_ENERGY_BIT: return "fJ/b, pJ/b, nJ/b or pJ/B";
    case ISGI_DIM_TIME: return "ps, ns, us or ms";
    case ISGI_DIM_POWER: return "uW, mW or W";
    case ISGI_DIM_SIZE: return "B, KiB, MiB or GiB";
    case ISGI_DIM_BANDWIDTH: return "MB/s or GB/s";
    case ISGI_DIM_FREQUENCY: return "MHz, GHz, MS/s or GS/s";
    case ISGI_DIM_RATE: return "GMAC/s";
    case ISGI_DIM_BITS: return "b";
    case ISGI_DIM_LOSS: return "dB";
    case ISGI_DIM_LEVEL: return "dBm";
    case ISGI_DIM_COUNT:
    case ISGI_DIM_RATIO: return "1";
    }
    return "?";
}

/* ---- names ---- */

static const char *name_of(const char *const *names, int count, int index)
{
    return index >= 0 && index < count ? names[index] : "unknown";
}

const char *isg_sim_engine_name(isg_sim_engine engine)
{
    static const char *const names[] = {"systolic", "mrr", "crossbar", "ima", "opima", "associative", "spiking"};
    return name_of(names, ISG_SIM_ENGINES, (int)engine);
}

const char *isg_sim_mark_name(isg_sim_mark mark)
{
    static const char *const names[] = {"seen", "remembered", "assumed"};
    return name_of(names, 3, (int)mark);
}

const char *isg_sim_stream_name(isg_sim_stream stream)
{
    static const char *const names[] = {"basis", "u", "v", "weight", "scale", "mask", "bias", "activation"};
    return name_of(names, ISG_SIM_STREAMS, (int)stream);
}

const char *isg_sim_cause_name(isg_sim_cause cause)
{
    static const char *const names[] = {"weights", "activations", "buffer", "generation", "compute", "adc",
                                        "dac",     "laser",       "tuning", "detector",   "program", "static"};
    return name_of(names, ISG_SIM_CAUSES, (int)cause);
}

const char *isg_sim_term_name(isg_sim_term term)
{
    static const char *const names[] = {"weights", "activations", "generation", "program", "compute"};
    return name_of(names, ISG_SIM_TERMS, (int)term);
}

static const char *const mode_names[] = {"auto", "generate", "half", "factored", "dense", "resident"};

const char *isg_sim_mode_name(isg_sim_mode mode)
{
    return name_of(mode_names, 6, (int)mode);
}

int isg_sim_mode_parse(isg_sim_mode *mode, const char *text)
{
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *mode = (isg_sim_mode)i;
            return 1;
        }
    }
    return 0;
}

const char *isg_sim_note_text(unsigned bit)
{
    switch (bit) {
    case ISG_SIM_NOTE_SPILLED: return "a weight stream does not fit the tier it is placed in and lives further away";
    case ISG_SIM_NOTE_ACTIVATIONS_OUT: return "activations do not fit their buffer";
    case ISG_SIM_NOTE_WEIGHTS_AGAIN: return "weights or factors are read more than once";
    case ISG_SIM_NOTE_INPUTS_AGAIN: return "activations are read more than once";
    case ISG_SIM_NOTE_NOT_RESIDENT: return "weights do not fit on the machine and move in every run";
    case ISG_SIM_NOTE_REPROGRAMMED: return "cells are written in every run";
    case ISG_SIM_NOTE_NOT_FACTORED: return "no factors: costed dense";
    }
    return "unknown";
}
