/* SPDX-License-Identifier: Apache-2.0 */
/* A profile in memory, its schema, and the plain machine that one corner of its bands makes. */
#ifndef INSITU_SIM_PROFILE_H
#define INSITU_SIM_PROFILE_H

#include <insitu/sim.h>

#include <cjson/cJSON.h>

typedef enum isgi_sim_tier_key {
#define TIER(id, key, dimension, direction, needed) ISGI_TIER_##id,
#include "sim/profile_keys.def"
    ISGI_TIER_KEYS
} isgi_sim_tier_key;

typedef enum isgi_sim_key {
#define ENGINE(id, key, dimension, direction, minimum, sys, mrr, xbar, ima, opima, ap, snn) ISGI_KEY_##id,
#include "sim/profile_keys.def"
    ISGI_KEYS
} isgi_sim_key;

typedef enum isgi_sim_dimension {
    ISGI_DIM_ENERGY,     /* pJ */
    ISGI_DIM_ENERGY_BIT, /* pJ/b */
    ISGI_DIM_TIME,       /* ns */
    ISGI_DIM_POWER,      /* mW */
    ISGI_DIM_SIZE,       /* B */
    ISGI_DIM_BANDWIDTH,  /* GB/s */
    ISGI_DIM_FREQUENCY,  /* GHz */
    ISGI_DIM_RATE,       /* GMAC/s */
    ISGI_DIM_COUNT,
    ISGI_DIM_BITS,
    ISGI_DIM_RATIO,
    ISGI_DIM_LOSS, /* dB */
    ISGI_DIM_LEVEL /* dBm */
} isgi_sim_dimension;

typedef enum isgi_dataflow { ISGI_FLOW_WS = 0, ISGI_FLOW_IS = 1, ISGI_FLOW_OS = 2 } isgi_dataflow;
typedef enum isgi_generator { ISGI_GENERATOR_ENGINE = 0, ISGI_GENERATOR_UNIT = 1 } isgi_generator;
typedef enum isgi_regeneration { ISGI_REGENERATE_DIGITAL = 0, ISGI_REGENERATE_ANALOG = 1 } isgi_regeneration;
typedef enum isgi_schedule { ISGI_SCHEDULE_ARRAY = 0, ISGI_SCHEDULE_SERIAL = 1 } isgi_schedule;

#define ISGI_SIM_MAX_NUMBERS (ISGI_KEYS + ISG_SIM_MAX_TIERS * ISGI_TIER_KEYS)

/* One number: as written, and in the units of sim.h. */
typedef struct isgi_sim_entry {
    char key[80];
    isg_sim_band raw, value;
    const char *unit, *node, *source; /* inside the JSON tree */
    isg_sim_mark mark;
    int direction;
    cJSON *item;
} isgi_sim_entry;

struct isg_sim_profile {
    cJSON *root; /* owned; strings below point into it */
    const char *name, *title, *note, *node;
    isg_sim_engine engine;
    uint32_t tier_count, entry_count;
    const char *tier_names[ISG_SIM_MAX_TIERS];
    int off_chip[ISG_SIM_MAX_TIERS];
    int place[ISG_SIM_STREAMS]; /* tier of each stream */
    int weight_buffer, activation_buffer;
    isgi_dataflow dataflow;
    isgi_generator generator;
    isgi_regeneration regeneration;
    isgi_schedule schedule;
    isgi_sim_entry entries[ISGI_SIM_MAX_NUMBERS];
    int16_t key_entry[ISGI_KEYS]; /* index in entries, or -1 */
    int16_t tier_entry[ISG_SIM_MAX_TIERS][ISGI_TIER_KEYS];
};

/* Factor to the units of sim.h, or 0 when `unit` does not measure `dimension`. */
double isgi_sim_unit(isgi_sim_dimension dimension, const char *unit);
/* Units of a dimension for messages: "pJ, fJ, nJ or uJ". */
const char *isgi_sim_units(isgi_sim_dimension dimension);

/* Reads `root` into p (zeroed), appending every problem to `problems`. p takes root only when the count stays 0. */
ISG_NODISCARD isg_status isgi_sim_schema_read(isg_sim_profile *p, cJSON *root, isg_sim_problems *problems,
                                              isg_error *err);

/* The numbers of one corner (0 best, 1 typical, 2 worst) as plain doubles; absent ones are 0 and `has` says so. */
typedef struct isgi_machine {
    const isg_sim_profile *profile;
    double key[ISGI_KEYS];
    double tier[ISG_SIM_MAX_TIERS][ISGI_TIER_KEYS];
    uint8_t has[ISGI_KEYS];
} isgi_machine;
void isgi_machine_at(isgi_machine *m, const isg_sim_profile *p, int corner);

#endif
