/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes (docs/recipes.md): the choices per layer as JSON text, and overrides by regular expression. */
#include "compress/recipe.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"

#define RECIPE_VERSION 1
#define RECIPE_MAX_BYTES (4u << 20)
#define RECIPE_MAX_RANK 65536
#define RECIPE_KEYS 6 /* that an object can have */

static const char *const family_names[] = {"raw", "paper", "midtread", "midrise"};

/* ---- choices ---- */

isg_status isgi_choice_normalise(isg_layer_choice *choice, const isgi_layer *layer, unsigned flags, isg_error *err)
{
    const uint8_t bits[3] = {choice->bits_b, choice->bits_u, choice->bits_v};
    const uint32_t taps = layer->kh * layer->kw;
    isg_levels levels;
    for (int i = 0; i < 3; i++) {
        if (bits[i] < 1 || (bits[i] > 8 && bits[i] != 32)) {
            return isgi_fail(err, ISG_E_ARG, "layer %s: %u bits, allowed are 1 to 8 (or 32: not quantised)",
                             layer->name, bits[i]);
        }
    }
    levels = isg_factor_levels(layer->depthwise ? layer->co : layer->ci, layer->depthwise ? 1 : layer->co, taps,
                               choice->bi, choice->bo, layer->depthwise, flags);
    choice->bi = levels.level1 ? levels.bi : 0;
    choice->bo = levels.level2 ? levels.bo : 0;
    return ISG_OK;
}

/* ---- JSON ---- */

static isg_status read_number(uint32_t *out, const cJSON *item, const char *key, double low, double high,
                              isg_error *err)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high) ||
        item->valuedouble != floor(item->valuedouble)) {
        return isgi_fail(err, ISG_E_FORMAT, "recipe: \"%s\" is not a whole number from %.0f to %.0f", key, low, high);
    }
    *out = (uint32_t)item->valuedouble;
    return ISG_OK;
}

static isg_status read_bits(isg_layer_choice *choice, const cJSON *item, isg_error *err)
{
    uint32_t bits[3];
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 3) {
        return isgi_fail(err, ISG_E_FORMAT, "recipe: \"bits\" is not a list of three");
    }
    for (int i = 0; i < 3; i++) {
        ISGI_TRY(read_number(&bits[i], cJSON_GetArrayItem(item, i), "bits", 1, 32, err));
        if (bits[i] > 8 && bits[i] != 32)
            return isgi_fail(err, ISG_E_FORMAT, "recipe: %u bits, allowed are 1 to 8 or 32", bits[i]);
    }
    choice->bits_b = (uint8_t)bits[0];
    choice->bits_u = (uint8_t)bits[1];
    choice->bits_v = (uint8_t)bits[2];
    return ISG_OK;
}

static isg_status read_family(isg_layer_choice *choice, const cJSON *item, isg_error *err)
{
    for (uint8_t i = 1; cJSON_IsString(item) && i < sizeof family_names / sizeof *family_names; i++) {
        if (strcmp(item->valuestring, family_names[i]) == 0) {
            choice->family = i;
            return ISG_OK;
        }
    }
    return isgi_fail(err, ISG_E_FORMAT, "recipe: \"family\" is not paper, midtread or midrise");
}

/* An object has few known keys: where one is there twice, that is among the first. */
static isg_status keys_once(const cJSON *object, isg_error *err)
{
    const cJSON *item, *other;
    char key[64];
    int count = 0;
    cJSON_ArrayForEach(item, object)
    {
        for (other = item->next; other && count < RECIPE_KEYS; other = other->next) {
            if (strcmp(item->string, other->string) == 0)
                return isgi_fail(err, ISG_E_FORMAT, "recipe: key \"%s\" is there twice",
                                 isgi_escape(key, sizeof key, item->string));
        }
        if (++count > RECIPE_KEYS) break; /* one of them is unknown */
    }
    return ISG_OK;
}

/* One object of "layers". */
static isg_status read_layer(const char **name, isg_layer_choice *choice, int *keep, const cJSON *object,
                             isg_error *err)
{
    const cJSON *item;
    char key[64];
    int chosen = 0, bits = 0;
    *name = NULL;
    *keep = 0;
    *choice = (isg_layer_choice){0, 0, 8, 8, 8, ISG_QUANT_MIDTREAD};
    if (!cJSON_IsObject(object)) return isgi_fail(err, ISG_E_FORMAT, "recipe: an entry of \"layers\" is not an object");
    ISGI_TRY(keys_once(object, err));
    cJSON_ArrayForEach(item, object)
    {
        bits |= strcmp(item->string, "bits") == 0;
        chosen |= strcmp(item->string, "name") != 0 && strcmp(item->string, "keep") != 0;
        if (strcmp(item->string, "name") == 0 && cJSON_IsString(item))
            *name = item->valuestring;
        else if (strcmp(item->string, "keep") == 0 && cJSON_IsBool(item))
            *keep = cJSON_IsTrue(item);
        else if (strcmp(item->string, "bi") == 0)
            ISGI_TRY(read_number(&choice->bi, item, "bi", 0, RECIPE_MAX_RANK, err));
        else if (strcmp(item->string, "bo") == 0)
            ISGI_TRY(read_number(&choice->bo, item, "bo", 0, RECIPE_MAX_RANK, err));
        else if (strcmp(item->string, "bits") == 0)
            ISGI_TRY(read_bits(choice, item, err));
        else if (strcmp(item->string, "family") == 0)
            ISGI_TRY(read_family(choice, item, err));
        else
            return isgi_fail(err, ISG_E_FORMAT, "recipe: unknown or ill-typed key \"%s\"",
                             isgi_escape(key, sizeof key, item->string));
    }
    if (!*name) return isgi_fail(err, ISG_E_FORMAT, "recipe: a layer without a name");
    isgi_escape(key, sizeof key, *name);
    if (*keep && chosen)
        return isgi_fail(err, ISG_E_FORMAT, "recipe: layer %s is kept and has ranks or bits as well", key);
    if (!*keep && !bits) return isgi_fail(err, ISG_E_FORMAT, "recipe: layer %s has no \"bits\" and no \"keep\"", key);
    return ISG_OK;
}

/* The next layer of this name: the entry number k of a name means the layer number k that bears it. */
static isg_status next_layer(isgi_layer **out, isgi_layers *layers, uint8_t *seen, const char *name, isg_error *err)
{
    char shown[96];
    int known = 0;
    for (uint32_t i = 0; i < layers->count; i++) {
        if (strcmp(layers->items[i].name, name) != 0) continue;
        known = 1;
        if (seen[i]) continue;
        seen[i] = 1;
        *out = &layers->items[i];
        return ISG_OK;
    }
    isgi_escape(shown, sizeof shown, name);
    if (known) return isgi_fail(err, ISG_E_FORMAT, "recipe: layer %s is there more than once", shown);
    return isgi_fail(err, ISG_E_ARG, "recipe: the network has no layer %s", shown);
}

static isg_status walk_layers(isgi_layers *layers, uint8_t *seen, const cJSON *list, isg_error *err)
{
    const cJSON *object;
    cJSON_ArrayForEach(object, list)
    {
        isg_layer_choice choice;
        isgi_layer *layer = NULL;
        const char *name;
        int keep;
        ISGI_TRY(read_layer(&name, &choice, &keep, object, err));
        if (!layers) continue;
        ISGI_TRY(next_layer(&layer, layers, seen, name, err));
        layer->keep = keep;
        layer->choice = choice;
        if (!keep) ISGI_TRY(isgi_choice_normalise(&layer->choice, layer, 0, err));
    }
    return ISG_OK;
}

static isg_status recipe_walk(isgi_layers *layers, const cJSON *root, isg_error *err)
{
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "insitu_recipe");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "layers"), *item;
    uint8_t *seen;
    char key[64];
    isg_status status;
    if (!cJSON_IsNumber(version)) return isgi_fail(err, ISG_E_FORMAT, "recipe: no \"insitu_recipe\" version");
    if (version->valueint != RECIPE_VERSION)
        return isgi_fail(err, ISG_E_VERSION, "recipe: version %d, known is 1", version->valueint);
    if (!cJSON_IsArray(list)) return isgi_fail(err, ISG_E_FORMAT, "recipe: no list \"layers\"");
    ISGI_TRY(keys_once(root, err));
    cJSON_ArrayForEach(item, root)
    {
        if (item != version && item != list)
            return isgi_fail(err, ISG_E_FORMAT, "recipe: unknown key \"%s\"",
                             isgi_escape(key, sizeof key, item->string));
    }
    seen = isgi_calloc(layers ? layers->count + (size_t)1 : 1, 1);
    if (!seen) return isgi_nomem(err);
    status = walk_layers(layers, seen, list, err);
    isg_free(seen);
    return status;
}

static isg_status recipe_parse(isgi_layers *layers, const char *text, isg_error *err)
{
    const char *end = NULL;
    const size_t size = strlen(text);
    cJSON *root;
    isg_status status;
    if (size > RECIPE_MAX_BYTES) return isgi_fail(err, ISG_E_LIMIT, "recipe: larger than %u bytes", RECIPE_MAX_BYTES);
    root = cJSON_ParseWithOpts(text, &end, 1);
    if (!root) {
        isgi_fail(err, ISG_E_FORMAT, "recipe: not JSON near byte %zu", end ? (size_t)(end - text) : 0);
        if (err) err->offset = end ? (uint64_t)(end - text) : 0;
        return ISG_E_FORMAT;
    }
    status = recipe_walk(layers, root, err);
    cJSON_Delete(root);
    return status;
}

isg_status isgi_recipe_check(const char *text, isg_error *err)
{
    return recipe_parse(NULL, text, err);
}

isg_status isgi_recipe_apply(isgi_layers *layers, const char *text, isg_error *err)
{
    for (uint32_t i = 0; i < layers->count; i++) layers->items[i].keep = 1;
    return recipe_parse(layers, text, err);
}

static int write_layer(cJSON *list, const isgi_layer *layer)
{
    cJSON *object = cJSON_CreateObject(), *bits;
    const isg_layer_choice *c = &layer->choice;
    if (!object || !cJSON_AddItemToArray(list, object)) return 0;
    if (!cJSON_AddStringToObject(object, "name", layer->name)) return 0;
    if (layer->keep) return cJSON_AddTrueToObject(object, "keep") != NULL;
    if (!cJSON_AddNumberToObject(object, "bi", c->bi) || !cJSON_AddNumberToObject(object, "bo", c->bo)) return 0;
    bits = cJSON_AddArrayToObject(object, "bits");
    if (!bits || !cJSON_AddItemToArray(bits, cJSON_CreateNumber(c->bits_b)) ||
        !cJSON_AddItemToArray(bits, cJSON_CreateNumber(c->bits_u)) ||
        !cJSON_AddItemToArray(bits, cJSON_CreateNumber(c->bits_v))) {
        return 0;
    }
    return cJSON_AddStringToObject(object, "family", family_names[c->family & 3]) != NULL;
}

isg_status isgi_recipe_write(char **text, const isgi_layers *layers, isg_error *err)
{
    cJSON *root = cJSON_CreateObject(), *list = NULL;
    char *json = NULL;
    int ok = root && cJSON_AddNumberToObject(root, "insitu_recipe", RECIPE_VERSION);
    if (ok) list = cJSON_AddArrayToObject(root, "layers");
    ok = ok && list;
    for (uint32_t i = 0; ok && i < layers->count; i++) ok = write_layer(list, &layers->items[i]);
    if (ok) json = cJSON_PrintUnformatted(root);
    *text = json ? isgi_strdup(json) : NULL;
    cJSON_free(json);
    cJSON_Delete(root);
    return *text ? ISG_OK : isgi_nomem(err);
}

/* ---- overrides ---- */

static isg_status parse_setting(isg_layer_choice *choice, int *keep, const char *setting, uint8_t family,
                                isg_error *err)
{
    unsigned bi, bo, b, u, v;
    char shown[64];
    int used = 0;
    *keep = strcmp(setting, "keep") == 0;
    if (*keep) return ISG_OK;
    if (sscanf(setting, "bits=%3u%n", &b, &used) == 1 && setting[used] == '\0' && b >= 1 && b <= 8) {
        *choice = (isg_layer_choice){0, 0, (uint8_t)b, (uint8_t)b, (uint8_t)b, family};
        return ISG_OK;
    }
    if (setting[strspn(setting, "0123456789,")] == '\0' &&
        sscanf(setting, "%5u,%5u,%2u,%2u,%2u%n", &bi, &bo, &b, &u, &v, &used) == 5 && setting[used] == '\0' &&
        b <= 32 && u <= 32 && v <= 32) {
        *choice = (isg_layer_choice){bi, bo, (uint8_t)b, (uint8_t)u, (uint8_t)v, family};
        return ISG_OK;
    }
    return isgi_fail(err, ISG_E_ARG, "layer setting \"%s\" is not keep, bits=Q or BI,BO,QB,QU,QV",
                     isgi_escape(shown, sizeof shown, setting));
}

isg_status isgi_override_apply(isgi_layers *layers, const isg_layer_override *o, uint8_t family, uint8_t *fixed,
                               isg_error *err)
{
    isg_layer_choice choice = {0, 0, 8, 8, 8, family};
    regex_t regex;
    char shown[96];
    int keep, matches = 0;
    isg_status status = ISG_OK;
    ISGI_TRY(parse_setting(&choice, &keep, o->setting, family, err));
    if (regcomp(&regex, o->regex, REG_EXTENDED | REG_NOSUB) != 0) {
        return isgi_fail(err, ISG_E_ARG, "layer pattern \"%s\" is not a regular expression",
                         isgi_escape(shown, sizeof shown, o->regex));
    }
    for (uint32_t i = 0; i < layers->count && status == ISG_OK; i++) {
        isgi_layer *layer = &layers->items[i];
        if (regexec(&regex, layer->name, 0, NULL, 0) != 0) continue;
        matches++;
        fixed[i] = 1;
        layer->keep = keep;
        layer->choice = choice;
        if (!keep) status = isgi_choice_normalise(&layer->choice, layer, 0, err);
    }
    regfree(&regex);
    if (status == ISG_OK && !matches) {
        status = isgi_fail(err, ISG_E_ARG, "layer pattern \"%s\" matches no layer",
                           isgi_escape(shown, sizeof shown, o->regex));
    }
    return status;
}
