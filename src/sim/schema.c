/* SPDX-License-Identifier: Apache-2.0 */
/* The profile schema: every key, unit and rule, and a line for every way in which a file breaks it. */
#include "sim/profile.h"

#include "base/error.h"
#include "host/alloc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_PROBLEMS 64
#define MAX_NAME 31

static const struct tier_rule {
    const char *key;
    isgi_sim_dimension dimension;
    int direction, needed;
} tier_rules[] = {
#define TIER(id, key, dimension, direction, needed) {key, ISGI_DIM_##dimension, direction, needed},
#include "sim/profile_keys.def"
};

enum { ABSENT = '_', OPTIONAL = 'O', REQUIRED = 'R' };
static const struct engine_rule {
    const char *key;
    isgi_sim_dimension dimension;
    int direction;
    double minimum;
    char use[ISG_SIM_ENGINES + 1]; /* a letter an engine */
} engine_rules[] = {
#define ENGINE(id, key, dimension, direction, minimum, sys, mrr, xbar, ima, opima, ap, snn)                            \
    {key, ISGI_DIM_##dimension, direction, minimum, #sys #mrr #xbar #ima #opima #ap #snn},
#include "sim/profile_keys.def"
};

typedef struct reader {
    isg_sim_profile *p;
    isg_sim_problems *problems;
    const cJSON *sources, *companions;
    isg_status status; /* NOMEM once memory ran out */
} reader;

static void problem(reader *r, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void problem(reader *r, const char *key, const char *format, ...)
{
    isg_sim_problem *items, *item;
    va_list args;
    if (r->problems->count >= MAX_PROBLEMS || r->status != ISG_OK) return;
    items =
        isgi_realloc(r->problems->items, r->problems->count * sizeof *items, (r->problems->count + 1) * sizeof *items);
    if (!items) {
        r->status = ISG_E_NOMEM;
        return;
    }
    r->problems->items = items;
    item = &items[r->problems->count++];
    isgi_escape(item->key, sizeof item->key, key);
    va_start(args, format);
    vsnprintf(item->reason, sizeof item->reason, format, args);
    va_end(args);
}

static int listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0) return 1;
    return 0;
}

/* Unknown and repeated keys of an object. `prefix` is its path, "" at the top. */
static void check_keys(reader *r, const cJSON *object, const char *prefix, const char *const *known)
{
    const cJSON *item, *other;
    char key[160];
    cJSON_ArrayForEach(item, object)
    {
        snprintf(key, sizeof key, "%s%s%.100s", prefix, *prefix ? "." : "", item->string);
        if (known && !listed(known, item->string)) problem(r, key, "unknown key");
        for (other = object->child; other != item; other = other->next) {
            if (strcmp(other->string, item->string) == 0) {
                problem(r, key, "given twice");
                break;
            }
        }
    }
}

/* A string member; NULL and a problem when it is missing (if needed), empty or not a string. */
static const char *text(reader *r, const cJSON *object, const char *prefix, const char *name, int needed)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    char key[128];
    snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", name);
    if (!item) {
        if (needed) problem(r, key, "missing");
        return NULL;
    }
    if (!cJSON_IsString(item) || !item->valuestring[0]) {
        problem(r, key, "not a text");
        return NULL;
    }
    return item->valuestring;
}

/* One of a list of words; the first when the member is absent and not needed; -1 with a problem. */
static int word(reader *r, const cJSON *object, const char *prefix, const char *name, const char *const *words,
                int needed)
{
    const char *value = text(r, object, prefix, name, needed);
    char key[128], all[128] = "", shown[48];
    if (!value) return needed ? -1 : 0;
    for (int i = 0; words[i]; i++) {
        const size_t used = strlen(all);
        if (strcmp(words[i], value) == 0) return i;
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", words[i]);
    }
    snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", name);
    problem(r, key, "\"%s\" is none of %s", isgi_escape(shown, sizeof shown, value), all);
    return -1;
}

/* ---- numbers ---- */

static int is_cmos(const char *node)
{
    const char *at = strstr(node, "nm");
    return at != NULL;
}

static void check_node(reader *r, const char *key, const char *node)
{
    const cJSON *item;
    char shown[48];
    if (strcmp(node, "-") == 0 || (r->p->node && strcmp(node, r->p->node) == 0)) return;
    cJSON_ArrayForEach(item, r->companions)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, node) == 0) return;
    }
    problem(r, key, "node \"%s\" is neither the profile's nor a companion: numbers of different nodes do not mix",
            isgi_escape(shown, sizeof shown, node));
}

/* A number or three ascending ones; 0 with a problem. */
static int read_band(reader *r, const char *key, const cJSON *value, int direction, isg_sim_band *band)
{
    double v[3];
    if (!value) {
        problem(r, key, "has no value");
        return 0;
    }
    if (cJSON_IsNumber(value)) {
        v[0] = v[1] = v[2] = value->valuedouble;
    } else if (cJSON_IsArray(value) && cJSON_GetArraySize(value) == 3) {
        for (int i = 0; i < 3; i++) {
            const cJSON *one = cJSON_GetArrayItem(value, i);
            v[i] = cJSON_IsNumber(one) ? one->valuedouble : NAN;
        }
        if (direction == 0) {
            problem(r, key, "is structural and cannot be a band");
            return 0;
        }
    } else {
        problem(r, key, "the value is neither a number nor [low, typical, high]");
        return 0;
    }
    if (!isfinite(v[0]) || !isfinite(v[1]) || !isfinite(v[2])) {
        problem(r, key, "the value is not finite");
        return 0;
    }
    if (!(v[0] <= v[1] && v[1] <= v[2])) {
        problem(r, key, "the band does not ascend");
        return 0;
    }
    *band = (isg_sim_band){v[0], v[1], v[2]};
    return 1;
}

/* What every number carries besides its value; 0 with a problem. */
static int read_origin(reader *r, const cJSON *object, isgi_sim_entry *e)
{
    static const char *const marks[] = {"seen", "remembered", "assumed", NULL};
    const char *source = text(r, object, e->key, "source", 1);
    const int mark = word(r, object, e->key, "mark", marks, 1);
    const cJSON *full;
    char shown[48];
    e->node = text(r, object, e->key, "node", 1);
    if (e->node) check_node(r, e->key, e->node);
    if (!source || mark < 0 || !e->node) return 0;
    e->mark = (isg_sim_mark)mark;
    full = cJSON_GetObjectItemCaseSensitive(r->sources, source);
    if (!cJSON_IsString(full) || !full->valuestring[0]) {
        problem(r, e->key, "source \"%s\" is not in \"sources\"", isgi_escape(shown, sizeof shown, source));
        return 0;
    }
    e->source = full->valuestring;
    return 1;
}

typedef struct number_rule {
    isgi_sim_dimension dimension;
    int direction;
    double minimum;
} number_rule;

/* Reads the number at `key` and appends it. Returns its index or -1 with a problem. */
static int read_number(reader *r, cJSON *object, const char *key, const number_rule *rule)
{
    static const char *const known[] = {"value", "unit", "node", "source", "mark", "comment", NULL};
    isgi_sim_entry *e = &r->p->entries[r->p->entry_count];
    double factor;
    char shown[32];
    memset(e, 0, sizeof *e);
    snprintf(e->key, sizeof e->key, "%s", key);
    e->direction = rule->direction;
    e->item = object;
    if (!cJSON_IsObject(object)) {
        problem(r, key, "not an object with value, unit, node, source and mark");
        return -1;
    }
    check_keys(r, object, key, known);
    e->unit = text(r, object, key, "unit", 1);
    if (!read_origin(r, object, e) || !e->unit) return -1;
    factor = isgi_sim_unit(rule->dimension, e->unit);
    if (factor == 0) {
        problem(r, key, "unit \"%s\" is not %s", isgi_escape(shown, sizeof shown, e->unit),
                isgi_sim_units(rule->dimension));
        return -1;
    }
    if (!read_band(r, key, cJSON_GetObjectItemCaseSensitive(object, "value"), rule->direction, &e->raw)) return -1;
    e->value = (isg_sim_band){e->raw.low * factor, e->raw.typical * factor, e->raw.high * factor};
    if (e->value.low < 0 && rule->minimum >= 0) {
        problem(r, key, "%g %s is negative", e->raw.low, e->unit);
        return -1;
    }
    if (e->value.low < rule->minimum || e->value.high > 1e18) {
        problem(r, key, "%g %s is out of range", e->value.low < rule->minimum ? e->raw.low : e->raw.high, e->unit);
        return -1;
    }
    if ((rule->dimension == ISGI_DIM_COUNT || rule->dimension == ISGI_DIM_BITS || rule->dimension == ISGI_DIM_SIZE) &&
        (e->value.typical != floor(e->value.typical) || (rule->dimension == ISGI_DIM_BITS && e->value.high > 32) ||
         (rule->dimension == ISGI_DIM_COUNT && e->value.high > 1e9))) {
        problem(r, key, "%g is not a whole number of a sensible size", e->raw.typical);
        return -1;
    }
    if (rule->dimension == ISGI_DIM_RATIO && e->value.high > 1) {
        problem(r, key, "%g is above 1", e->raw.high);
        return -1;
    }
    return (int)r->p->entry_count++;
}

/* ---- sections ---- */

static int valid_name(const char *s)
{
    const size_t n = strlen(s);
    return n > 0 && n <= MAX_NAME && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static void read_tier(reader *r, cJSON *object)
{
    static const char *const known[] = {"name",      "off_chip", "size",           "read",    "write",
                                        "bandwidth", "leakage",  "bit_error_rate", "comment", NULL};
    isg_sim_profile *p = r->p;
    const uint32_t index = p->tier_count;
    const cJSON *flag;
    const char *name;
    char prefix[48], key[80];
    snprintf(prefix, sizeof prefix, "tiers[%u]", index);
    name = text(r, object, prefix, "name", 1);
    if (!name) return;
    if (!valid_name(name)) {
        problem(r, prefix, "the name is not a to z, 0 to 9 and _");
        return;
    }
    for (uint32_t i = 0; i < index; i++)
        if (strcmp(p->tier_names[i], name) == 0) problem(r, prefix, "a second tier of the same name");
    p->tier_names[index] = name;
    p->tier_count++;
    snprintf(prefix, sizeof prefix, "tiers.%s", name);
    check_keys(r, object, prefix, known);
    flag = cJSON_GetObjectItemCaseSensitive(object, "off_chip");
    if (flag && !cJSON_IsBool(flag)) problem(r, prefix, "off_chip is neither true nor false");
    p->off_chip[index] = cJSON_IsTrue(flag);
    for (int k = 0; k < ISGI_TIER_KEYS; k++) {
        const number_rule rule = {tier_rules[k].dimension, tier_rules[k].direction,
                                  k == ISGI_TIER_BANDWIDTH ? 1e-9 : 0};
        cJSON *number = cJSON_GetObjectItemCaseSensitive(object, tier_rules[k].key);
        snprintf(key, sizeof key, "%s.%s", prefix, tier_rules[k].key);
        if (number)
            p->tier_entry[index][k] = (int16_t)read_number(r, number, key, &rule);
        else if (tier_rules[k].needed)
            problem(r, key, "missing");
    }
}

static void read_tiers(reader *r)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(r->p->root, "tiers"), *object;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1) {
        problem(r, "tiers", "not a list of at least one tier, nearest first");
        return;
    }
    if (cJSON_GetArraySize(list) > ISG_SIM_MAX_TIERS) {
        problem(r, "tiers", "more than %d", ISG_SIM_MAX_TIERS);
        return;
    }
    cJSON_ArrayForEach(object, list)
    {
        if (cJSON_IsObject(object))
            read_tier(r, object);
        else
            problem(r, "tiers", "an entry is not an object");
    }
}

static int tier_named(const isg_sim_profile *p, const char *name)
{
    for (uint32_t i = 0; i < p->tier_count; i++)
        if (strcmp(p->tier_names[i], name) == 0) return (int)i;
    return -1;
}

/* A member that names a tier; -1 with a problem. */
static int read_place(reader *r, const cJSON *object, const char *prefix, const char *name)
{
    const char *value = text(r, object, prefix, name, 1);
    int tier;
    char key[96], shown[48];
    if (!value) return -1;
    tier = tier_named(r->p, value);
    snprintf(key, sizeof key, "%s.%s", prefix, name);
    if (tier < 0) problem(r, key, "there is no tier \"%s\"", isgi_escape(shown, sizeof shown, value));
    return tier;
}

static void read_places(reader *r)
{
    static const char *const streams[] = {"basis", "u", "v", "weight", "scale", "mask", "bias", "activation", NULL};
    static const char *const buffers[] = {"weight", "activation", NULL};
    const cJSON *place = cJSON_GetObjectItemCaseSensitive(r->p->root, "place");
    const cJSON *buffer = cJSON_GetObjectItemCaseSensitive(r->p->root, "buffers");
    if (!cJSON_IsObject(place)) {
        problem(r, "place", "not an object that names the tier of each stream");
    } else {
        check_keys(r, place, "place", streams);
        for (int i = 0; i < ISG_SIM_STREAMS; i++) r->p->place[i] = read_place(r, place, "place", streams[i]);
    }
    if (!cJSON_IsObject(buffer)) {
        problem(r, "buffers", "not an object that names the tiers next to the engine");
    } else {
        check_keys(r, buffer, "buffers", buffers);
        r->p->weight_buffer = read_place(r, buffer, "buffers", "weight");
        r->p->activation_buffer = read_place(r, buffer, "buffers", "activation");
    }
}

static void engine_words(reader *r, const cJSON *engine)
{
    static const char *const flows[] = {"ws", "is", "os", NULL};
    static const char *const generators[] = {"engine", "unit", NULL};
    static const char *const paths[] = {"digital", "analog", NULL};
    static const char *const schedules[] = {"array", "serial", NULL};
    isg_sim_profile *p = r->p;
    const int is_systolic = p->engine == ISG_SIM_SYSTOLIC, is_mrr = p->engine == ISG_SIM_MRR;
    const int flow = word(r, engine, "engine", "dataflow", flows, is_systolic);
    const int generator = word(r, engine, "engine", "generator", generators, 1);
    const int path = word(r, engine, "engine", "regen_path", paths, is_mrr);
    const int schedule = word(r, engine, "engine", "schedule", schedules, p->engine == ISG_SIM_SPIKING);
    p->dataflow = (isgi_dataflow)(flow < 0 ? 0 : flow);
    p->generator = (isgi_generator)(generator < 0 ? 0 : generator);
    p->regeneration = (isgi_regeneration)(path < 0 ? 0 : path);
    p->schedule = (isgi_schedule)(schedule < 0 ? 0 : schedule);
    if (generator == ISGI_GENERATOR_ENGINE && !is_systolic && !is_mrr)
        problem(r, "engine.generator", "this engine cannot make weights itself: \"unit\"");
}

/* Members that only some engines know. */
static void check_engine_words(reader *r, const cJSON *engine)
{
    static const struct {
        const char *key;
        isg_sim_engine engine;
    } only[] = {{"dataflow", ISG_SIM_SYSTOLIC}, {"regen_path", ISG_SIM_MRR}, {"schedule", ISG_SIM_SPIKING}};
    char key[48];
    for (size_t i = 0; i < sizeof only / sizeof *only; i++) {
        snprintf(key, sizeof key, "engine.%s", only[i].key);
        if (r->p->engine != only[i].engine && cJSON_GetObjectItemCaseSensitive(engine, only[i].key))
            problem(r, key, "unknown key of engine %s", isg_sim_engine_name(r->p->engine));
    }
}

static int word_key(const char *key)
{
    static const char *const words[] = {"kind", "dataflow", "generator", "regen_path", "schedule", "comment", NULL};
    return listed(words, key);
}

static void check_engine_keys(reader *r, const cJSON *engine)
{
    const cJSON *item;
    char key[160];
    check_keys(r, engine, "engine", NULL);
    cJSON_ArrayForEach(item, engine)
    {
        int known = word_key(item->string);
        for (int k = 0; k < ISGI_KEYS && !known; k++)
            known = strcmp(engine_rules[k].key, item->string) == 0 && engine_rules[k].use[r->p->engine] != ABSENT;
        snprintf(key, sizeof key, "engine.%.100s", item->string);
        if (!known) problem(r, key, "unknown key of engine %s", isg_sim_engine_name(r->p->engine));
    }
}

static void read_engine(reader *r)
{
    static const char *const kinds[] = {"systolic", "mrr", "crossbar", "ima", "opima", "associative", "spiking", NULL};
    cJSON *engine = cJSON_GetObjectItemCaseSensitive(r->p->root, "engine");
    int kind;
    char key[80];
    if (!cJSON_IsObject(engine)) {
        problem(r, "engine", "not an object");
        return;
    }
    kind = word(r, engine, "engine", "kind", kinds, 1);
    if (kind < 0) return;
    r->p->engine = (isg_sim_engine)kind;
    check_engine_keys(r, engine);
    check_engine_words(r, engine);
    engine_words(r, engine);
    for (int k = 0; k < ISGI_KEYS; k++) {
        const number_rule rule = {engine_rules[k].dimension, engine_rules[k].direction, engine_rules[k].minimum};
        cJSON *number = cJSON_GetObjectItemCaseSensitive(engine, engine_rules[k].key);
        snprintf(key, sizeof key, "engine.%s", engine_rules[k].key);
        if (number && engine_rules[k].use[kind] != ABSENT)
            r->p->key_entry[k] = (int16_t)read_number(r, number, key, &rule);
        else if (!number && engine_rules[k].use[kind] == REQUIRED)
            problem(r, key, "missing");
    }
}

/* ---- rules between numbers ---- */

static double size_of(const isg_sim_profile *p, int tier)
{
    const int16_t at = tier >= 0 ? p->tier_entry[tier][ISGI_TIER_SIZE] : -1;
    return at < 0 ? -1 : p->entries[at].value.typical;
}

static double count_of(const isg_sim_profile *p, isgi_sim_key key)
{
    return p->key_entry[key] < 0 ? -1 : p->entries[p->key_entry[key]].value.typical;
}

/* Engines that take weights from a buffer need one tile of rows x cols bytes there, and a row of inputs beside it. */
static void check_tile(reader *r)
{
    const isg_sim_profile *p = r->p;
    const double rows = count_of(p, ISGI_KEY_ROWS), cols = count_of(p, ISGI_KEY_COLS);
    const double weights = size_of(p, p->weight_buffer), activations = size_of(p, p->activation_buffer);
    char key[80];
    if (rows < 0 || cols < 0) return;
    if ((p->engine == ISG_SIM_SYSTOLIC || p->engine == ISG_SIM_MRR) && weights >= 0 && weights < rows * cols) {
        snprintf(key, sizeof key, "tiers.%s.size", p->tier_names[p->weight_buffer]);
        problem(r, key, "%.0f bytes are too small for one tile of %.0f x %.0f weights", weights, rows, cols);
    }
    if (activations >= 0 && activations < rows + cols) {
        snprintf(key, sizeof key, "tiers.%s.size", p->tier_names[p->activation_buffer]);
        problem(r, key, "%.0f bytes are too small for one tile of %.0f inputs and %.0f outputs", activations, rows,
                cols);
    }
}

static void check_together(reader *r)
{
    static const struct {
        isgi_sim_key id;
        const char *key;
    } budget[] = {{ISGI_KEY_LOSS, "engine.loss"},
                  {ISGI_KEY_SENSITIVITY, "engine.sensitivity"},
                  {ISGI_KEY_EXTINCTION, "engine.extinction"},
                  {ISGI_KEY_LASER_BITS, "engine.laser_bits"},
                  {ISGI_KEY_EFFICIENCY, "engine.efficiency"}},
      unit[] = {{ISGI_KEY_GENERATOR_RATE, "engine.generator_rate"},
                {ISGI_KEY_GENERATOR_MAC, "engine.generator_mac"},
                {ISGI_KEY_GENERATOR_BITS, "engine.generator_bits"}};
    const isg_sim_profile *p = r->p;
    const int optical = p->engine == ISG_SIM_MRR || p->engine == ISG_SIM_OPIMA;
    const int direct = p->key_entry[ISGI_KEY_LASER] >= 0;
    for (size_t i = 0; i < sizeof budget / sizeof *budget && optical; i++) {
        if (direct && p->key_entry[budget[i].id] >= 0)
            problem(r, budget[i].key, "engine.laser gives the laser's power already");
        if (!direct && p->key_entry[budget[i].id] < 0)
            problem(r, budget[i].key, "missing (a laser needs engine.laser or its whole loss budget)");
    }
    for (size_t i = 0; i < sizeof unit / sizeof *unit && p->generator == ISGI_GENERATOR_UNIT; i++)
        if (p->key_entry[unit[i].id] < 0) problem(r, unit[i].key, "missing (engine.generator is \"unit\")");
    check_tile(r);
}

static void read_head(reader *r)
{
    static const char *const known[] = {"insitu_profile", "name",  "title", "note",    "node",   "companions",
                                        "sources",        "tiers", "place", "buffers", "engine", NULL};
    isg_sim_profile *p = r->p;
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(p->root, "insitu_profile"), *item;
    check_keys(r, p->root, "", known);
    if (!cJSON_IsNumber(version) || version->valuedouble != 1) problem(r, "insitu_profile", "not 1, the known version");
    p->name = text(r, p->root, "", "name", 1);
    if (p->name && !valid_name(p->name)) problem(r, "name", "not a to z, 0 to 9 and _, at most %d", MAX_NAME);
    p->title = text(r, p->root, "", "title", 1);
    p->note = text(r, p->root, "", "note", 0);
    p->node = text(r, p->root, "", "node", 1);
    r->sources = cJSON_GetObjectItemCaseSensitive(p->root, "sources");
    r->companions = cJSON_GetObjectItemCaseSensitive(p->root, "companions");
    if (!cJSON_IsObject(r->sources)) problem(r, "sources", "not an object of short name and full text");
    if (r->companions && !cJSON_IsArray(r->companions)) problem(r, "companions", "not a list");
    cJSON_ArrayForEach(item, r->companions)
    {
        if (!cJSON_IsString(item))
            problem(r, "companions", "an entry is not a text");
        else if (is_cmos(item->valuestring))
            problem(r, "companions", "a second CMOS node: numbers of different nodes do not mix");
    }
}

isg_status isgi_sim_schema_read(isg_sim_profile *p, cJSON *root, isg_sim_problems *problems, isg_error *err)
{
    reader r = {p, problems, NULL, NULL, ISG_OK};
    p->root = root;
    p->weight_buffer = p->activation_buffer = -1;
    for (int k = 0; k < ISGI_KEYS; k++) p->key_entry[k] = -1;
    for (int i = 0; i < ISG_SIM_STREAMS; i++) p->place[i] = -1;
    for (int t = 0; t < ISG_SIM_MAX_TIERS; t++)
        for (int k = 0; k < ISGI_TIER_KEYS; k++) p->tier_entry[t][k] = -1;
    if (!cJSON_IsObject(root)) {
        problem(&r, "", "not a JSON object");
    } else {
        read_head(&r);
        read_tiers(&r);
        read_places(&r);
        read_engine(&r);
        check_together(&r);
    }
    if (r.status != ISG_OK || problems->count) p->root = NULL;
    if (r.status != ISG_OK) return isgi_nomem(err);
    return ISG_OK;
}
