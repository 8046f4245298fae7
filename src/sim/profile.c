/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, loading, checking and changing profiles, and reading their numbers. */
#include "sim/profile.h"

#include "base/error.h"
#include "host/alloc.h"
#include "host/module.h"

#include <insitu/host.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PROFILE_BYTES (1u << 20)
#define MAX_LISTED 1024
#define MAX_PATH 1024

/* ---- from text ---- */

static isg_status add_problem(isg_sim_problems *problems, const char *key, const char *reason, isg_error *err)
{
    isg_sim_problem *item = isgi_calloc(1, sizeof *item);
    if (!item) return isgi_nomem(err);
    snprintf(item->key, sizeof item->key, "%s", key);
    snprintf(item->reason, sizeof item->reason, "%s", reason);
    problems->items = item;
    problems->count = 1;
    return ISG_OK;
}

/* The JSON tree, or NULL with either a status or a problem. */
static isg_status parse_json(cJSON **root, const char *bytes, size_t size, isg_sim_problems *problems, isg_error *err)
{
    char *copy, reason[64];
    const char *end = NULL;
    isg_status status = ISG_OK;
    *root = NULL;
    if (size > MAX_PROFILE_BYTES) return add_problem(problems, "", "larger than a profile may be (1 MiB)", err);
    if (size && memchr(bytes, 0, size)) return add_problem(problems, "", "not JSON: a zero byte", err);
    copy = isgi_malloc(size + 1);
    if (!copy) return isgi_nomem(err);
    if (size) memcpy(copy, bytes, size);
    copy[size] = '\0';
    *root = cJSON_ParseWithOpts(copy, &end, 1);
    if (!*root) {
        snprintf(reason, sizeof reason, "not JSON near byte %zu", end ? (size_t)(end - copy) : 0);
        status = add_problem(problems, "", reason, err);
    }
    isg_free(copy);
    return status;
}

/* A profile from a tree that it takes over; NULL in *out where there are problems. */
static isg_status build(isg_sim_profile **out, cJSON *root, isg_sim_problems *problems, isg_error *err)
{
    isg_sim_profile *p = isgi_calloc(1, sizeof *p);
    isg_status status;
    *out = NULL;
    if (!p) {
        cJSON_Delete(root);
        return isgi_nomem(err);
    }
    status = isgi_sim_schema_read(p, root, problems, err);
    if (status == ISG_OK && problems->count == 0) {
        *out = p;
        return ISG_OK;
    }
    cJSON_Delete(root);
    isg_free(p);
    return status;
}

static isg_status first_problem(const isg_sim_problems *problems, const char *file, isg_error *err)
{
    const isg_sim_problem *first = &problems->items[0];
    char shown[96];
    isgi_escape(shown, sizeof shown, file);
    if (first->key[0]) return isgi_fail(err, ISG_E_FORMAT, "%s: %s: %s", shown, first->key, first->reason);
    return isgi_fail(err, ISG_E_FORMAT, "%s: %s", shown, first->reason);
}

/* Both the profile and its problems; whichever is not asked for (NULL) is released. */
static isg_status read_text(isg_sim_profile **out, isg_sim_problems *problems, const char *bytes, size_t size,
                            const char *file, isg_error *err)
{
    isg_sim_problems found = {0, NULL};
    isg_sim_profile *p = NULL;
    cJSON *root = NULL;
    isg_status status = parse_json(&root, bytes, size, &found, err);
    if (status == ISG_OK && root) status = build(&p, root, &found, err);
    if (status == ISG_OK && found.count) status = first_problem(&found, file, err);
    if (problems && (status == ISG_OK || status == ISG_E_FORMAT)) {
        *problems = found;
        found.items = NULL;
    }
    if (out && status == ISG_OK) {
        *out = p;
        p = NULL;
    }
    isg_sim_profile_destroy(p);
    isg_free(found.items);
    return status;
}

isg_status isg_sim_profile_parse(isg_sim_profile **out, const char *text, size_t bytes, const char *file,
                                 isg_error *err)
{
    return read_text(out, NULL, text, bytes, file, err);
}

isg_status isg_sim_profile_check_text(const char *text, size_t bytes, const char *file, isg_sim_problems *problems,
                                      isg_error *err)
{
    *problems = (isg_sim_problems){0, NULL};
    return read_text(NULL, problems, text, bytes, file, err);
}

/* ---- from files ---- */

/* Folder `index` that holds shipped profiles, "" where there is none by that number; 0 after the last. */
static int profile_folder(char folder[MAX_PATH], int index)
{
    const char *from_environment = getenv("INSITU_PROFILES");
    int fits = 1;
    switch (index) {
    case 0: fits = snprintf(folder, MAX_PATH, "%s", from_environment ? from_environment : "") < MAX_PATH; break;
    case 1: fits = isgi_beside_program(folder, MAX_PATH, "../share/insitu/profiles"); break;
    case 2: snprintf(folder, MAX_PATH, "%s", INSITU_PROFILES_SOURCE); break;
    case 3: snprintf(folder, MAX_PATH, "%s", INSITU_PROFILES_INSTALLED); break;
    default: return 0;
    }
    if (!fits) folder[0] = '\0';
    return 1;
}

static int is_path(const char *which)
{
    const size_t n = strlen(which);
    return strchr(which, '/') != NULL || (n > 5 && strcmp(which + n - 5, ".json") == 0);
}

static isg_status find_file(char path[MAX_PATH], const char *which, isg_error *err)
{
    char shown[64], folder[MAX_PATH];
    if (is_path(which)) {
        if (strlen(which) >= MAX_PATH) return isgi_fail(err, ISG_E_ARG, "the path of the profile is too long");
        snprintf(path, MAX_PATH, "%s", which);
        return ISG_OK;
    }
    for (int i = 0; profile_folder(folder, i); i++) {
        if (folder[0] && snprintf(path, MAX_PATH, "%s/%s.json", folder, which) < MAX_PATH && access(path, F_OK) == 0)
            return ISG_OK;
    }
    return isgi_fail(err, ISG_E_ARG,
                     "no profile %s (looked in INSITU_PROFILES, ../share beside the program, %.60s and %.60s)",
                     isgi_escape(shown, sizeof shown, which), INSITU_PROFILES_SOURCE, INSITU_PROFILES_INSTALLED);
}

static isg_status read_file(isg_sim_profile **out, isg_sim_problems *problems, const char *which, isg_error *err)
{
    char path[MAX_PATH];
    isg_file file;
    isg_status status;
    ISGI_TRY(find_file(path, which, err));
    ISGI_TRY(isg_file_open(&file, path, err));
    status = read_text(out, problems, file.data, file.size, path, err);
    isg_file_close(&file);
    return status;
}

isg_status isg_sim_profile_load(isg_sim_profile **out, const char *which, isg_error *err)
{
    return read_file(out, NULL, which, err);
}

isg_status isg_sim_profile_check(const char *which, isg_sim_problems *problems, isg_error *err)
{
    *problems = (isg_sim_problems){0, NULL};
    return read_file(NULL, problems, which, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

typedef char shipped_name[48];

static void list_folder(shipped_name *found, uint32_t *count, const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    if (!dir) return;
    while ((entry = readdir(dir)) != NULL && *count < MAX_LISTED) {
        const size_t n = strlen(entry->d_name);
        uint32_t i = 0;
        if (n <= 5 || n - 5 >= sizeof *found || strcmp(entry->d_name + n - 5, ".json") != 0) continue;
        memcpy(found[*count], entry->d_name, n - 5);
        found[*count][n - 5] = '\0';
        while (i < *count && strcmp(found[i], found[*count]) != 0) i++;
        if (i == *count) ++*count;
    }
    closedir(dir);
}

isg_status isg_sim_profile_list(const char *const **names, uint32_t *count, isg_error *err)
{
    shipped_name *found = isgi_calloc(MAX_LISTED, sizeof *found);
    uint32_t n = 0;
    char **list, *text, folder[MAX_PATH];
    if (!found) return isgi_nomem(err);
    for (int i = 0; profile_folder(folder, i); i++) list_folder(found, &n, folder);
    qsort(found, n, sizeof *found, by_name);
    list = isgi_calloc(1, (n + 1) * sizeof *list + n * sizeof *found);
    if (!list) {
        isg_free(found);
        return isgi_nomem(err);
    }
    text = (char *)(list + n + 1);
    if (n) memcpy(text, found, n * sizeof *found);
    for (uint32_t i = 0; i < n; i++) list[i] = text + i * sizeof *found;
    isg_free(found);
    *names = (const char *const *)list;
    *count = n;
    return ISG_OK;
}

/* ---- copies and changes ---- */

static isg_status copy_with(isg_sim_profile **out, const isg_sim_profile *p, int entry, double value, isg_error *err)
{
    isg_sim_problems found = {0, NULL};
    isg_sim_profile *copy = NULL, *changed = NULL;
    cJSON *root = cJSON_Duplicate(p->root, 1);
    isg_status status;
    if (!root) return isgi_nomem(err);
    status = build(&copy, root, &found, err);
    if (status == ISG_OK && copy && entry >= 0) {
        cJSON *number = cJSON_CreateNumber(value), *mark = cJSON_CreateString("assumed");
        cJSON *item = copy->entries[entry].item;
        root = copy->root;
        copy->root = NULL;
        isg_sim_profile_destroy(copy);
        copy = NULL;
        if (!number || !mark || !cJSON_ReplaceItemInObjectCaseSensitive(item, "value", number) ||
            !cJSON_ReplaceItemInObjectCaseSensitive(item, "mark", mark)) {
            cJSON_Delete(root);
            return isgi_nomem(err);
        }
        status = build(&changed, root, &found, err);
        copy = changed;
    }
    if (status == ISG_OK && !copy)
        status = isgi_fail(err, ISG_E_FORMAT, "%s: %s", found.items[0].key, found.items[0].reason);
    isg_free(found.items);
    if (status == ISG_OK) *out = copy;
    return status;
}

isg_status isg_sim_profile_clone(isg_sim_profile **out, const isg_sim_profile *p, isg_error *err)
{
    return copy_with(out, p, -1, 0, err);
}

isg_status isg_sim_profile_set(isg_sim_profile *p, const char *key, double value, isg_error *err)
{
    isg_sim_profile *changed = NULL;
    uint32_t i = 0;
    char shown[96];
    while (i < p->entry_count && strcmp(p->entries[i].key, key) != 0) i++;
    if (i == p->entry_count)
        return isgi_fail(err, ISG_E_ARG, "profile %s has no number %s", p->name, isgi_escape(shown, sizeof shown, key));
    ISGI_TRY(copy_with(&changed, p, (int)i, value, err));
    cJSON_Delete(p->root);
    *p = *changed;
    isg_free(changed);
    return ISG_OK;
}

void isg_sim_profile_destroy(isg_sim_profile *p)
{
    if (!p) return;
    cJSON_Delete(p->root);
    isg_free(p);
}

/* ---- reading ---- */

const char *isg_sim_profile_name(const isg_sim_profile *p)
{
    return p->name;
}

const char *isg_sim_profile_title(const isg_sim_profile *p)
{
    return p->title;
}

const char *isg_sim_profile_note(const isg_sim_profile *p)
{
    return p->note ? p->note : "";
}

const char *isg_sim_profile_node(const isg_sim_profile *p)
{
    return p->node;
}

isg_sim_engine isg_sim_profile_engine(const isg_sim_profile *p)
{
    return p->engine;
}

uint32_t isg_sim_profile_tier_count(const isg_sim_profile *p)
{
    return p->tier_count;
}

isg_status isg_sim_profile_tier(const isg_sim_profile *p, uint32_t index, isg_sim_tier *tier)
{
    isg_sim_band b[ISGI_TIER_KEYS];
    if (index >= p->tier_count) return ISG_E_ARG;
    for (int k = 0; k < ISGI_TIER_KEYS; k++) {
        const int at = p->tier_entry[index][k];
        b[k] = at < 0 ? (isg_sim_band){0, 0, 0} : p->entries[at].value;
    }
    *tier = (isg_sim_tier){.name = p->tier_names[index],
                           .bytes = b[ISGI_TIER_SIZE],
                           .read_pj_per_bit = b[ISGI_TIER_READ],
                           .write_pj_per_bit = b[ISGI_TIER_WRITE],
                           .bandwidth = b[ISGI_TIER_BANDWIDTH],
                           .leakage_mw = b[ISGI_TIER_LEAKAGE],
                           .bit_error_rate = b[ISGI_TIER_ERROR_RATE],
                           .off_chip = p->off_chip[index]};
    return ISG_OK;
}

uint32_t isg_sim_profile_number_count(const isg_sim_profile *p)
{
    return p->entry_count;
}

isg_status isg_sim_profile_number(const isg_sim_profile *p, uint32_t index, isg_sim_number *number)
{
    const isgi_sim_entry *e;
    if (index >= p->entry_count) return ISG_E_ARG;
    e = &p->entries[index];
    *number = (isg_sim_number){e->key, e->raw, e->unit, e->node, e->source, e->mark};
    return ISG_OK;
}

static double corner_of(const isgi_sim_entry *e, int corner)
{
    const int side = e->direction < 0 ? 2 - corner : corner;
    return side == 0 ? e->value.low : side == 1 ? e->value.typical : e->value.high;
}

void isgi_machine_at(isgi_machine *m, const isg_sim_profile *p, int corner)
{
    memset(m, 0, sizeof *m);
    m->profile = p;
    for (int k = 0; k < ISGI_KEYS; k++) {
        m->has[k] = p->key_entry[k] >= 0;
        if (m->has[k]) m->key[k] = corner_of(&p->entries[p->key_entry[k]], corner);
    }
    for (uint32_t t = 0; t < p->tier_count; t++) {
        for (int k = 0; k < ISGI_TIER_KEYS; k++)
            if (p->tier_entry[t][k] >= 0) m->tier[t][k] = corner_of(&p->entries[p->tier_entry[t][k]], corner);
    }
}
