/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a golden folder, and counting checks. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct gold_blob {
    char name[128];
    char *data;
    size_t size;
    struct gold_blob *next;
} gold_blob;

char *gold_read(gold_set *g, const char *name, size_t *size)
{
    char path[1024];
    gold_blob *b;
    FILE *f;
    long end;
    for (b = g->blobs; b; b = b->next) {
        if (!strcmp(b->name, name)) {
            *size = b->size;
            return b->data;
        }
    }
    snprintf(path, sizeof path, "%s/%s", g->dir, name);
    f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    end = ftell(f);
    rewind(f);
    b = calloc(1, sizeof *b);
    b->data = calloc((size_t)end + 1, 1);
    b->size = fread(b->data, 1, (size_t)end, f);
    fclose(f);
    snprintf(b->name, sizeof b->name, "%s", name);
    b->next = g->blobs;
    g->blobs = b;
    *size = b->size;
    return b->data;
}

/* "8,4,3,3" or "-". */
static void parse_shape(gold_tensor *t, const char *text)
{
    t->rank = 0;
    while (*text >= '0' && *text <= '9' && t->rank < 8) {
        char *end;
        t->dims[t->rank++] = (size_t)strtoull(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}

static int parse_line(gold_set *g, char *line)
{
    char *column[6], *save = NULL;
    gold_tensor t = {0};
    size_t size, offset;
    const char *data;
    int n = 0;
    for (char *p = strtok_r(line, "\t\r", &save); p && n < 6; p = strtok_r(NULL, "\t\r", &save)) column[n++] = p;
    if (n < 6) return 0;
    offset = (size_t)strtoull(column[3], NULL, 10);
    t.count = (size_t)strtoull(column[4], NULL, 10);
    parse_shape(&t, column[5]);
    data = gold_read(g, column[1], &size);
    if (!data || offset > size || t.count > (size - offset) / 4 || offset % 4) return 0;
    if (strcmp(column[2], "f32") != 0 && strcmp(column[2], "i32") != 0) return 0;
    t.name = column[0];
    t.data = data + offset;
    g->tensors[g->tensor_count++] = t;
    return 1;
}

int gold_open(gold_set *g, const char *dir)
{
    size_t size, lines = 0;
    char *text, *save = NULL;
    memset(g, 0, sizeof *g);
    g->dir = dir;
    text = gold_read(g, "manifest.json", &size);
    g->manifest = text ? cJSON_Parse(text) : NULL;
    if (!g->manifest) {
        fprintf(stderr, "%s: no readable manifest.json\n", dir);
        return 0;
    }
    text = gold_read(g, "index.tsv", &size);
    if (!text) {
        fprintf(stderr, "%s: no index.tsv\n", dir);
        return 0;
    }
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    g->tensors = calloc(lines + 1, sizeof *g->tensors);
    (void)strtok_r(text, "\n", &save);
    for (char *line = strtok_r(NULL, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (!parse_line(g, line)) {
            fprintf(stderr, "%s: index.tsv: bad line for %s\n", dir, line);
            return 0;
        }
    }
    return 1;
}

void gold_close(gold_set *g)
{
    cJSON_Delete(g->manifest);
    free(g->tensors);
    while (g->blobs) {
        gold_blob *next = g->blobs->next;
        free(g->blobs->data);
        free(g->blobs);
        g->blobs = next;
    }
}

const gold_tensor *gold_find(gold_set *g, const cJSON *c, const char *key)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(c, key);
    if (!cJSON_IsString(name)) return NULL;
    for (size_t i = 0; i < g->tensor_count; i++) {
        if (!strcmp(g->tensors[i].name, name->valuestring)) return &g->tensors[i];
    }
    return NULL;
}

const gold_tensor *gold_get(gold_set *g, const cJSON *c, const char *key)
{
    const gold_tensor *t = gold_find(g, c, key);
    if (!t) gold_check(g, 0, key);
    return t;
}

const float *gold_f32(const gold_tensor *t)
{
    return t->data;
}

double gold_number(const cJSON *c, const char *key, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(c, key);
    if (cJSON_IsBool(item)) return cJSON_IsTrue(item);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

void gold_begin(gold_set *g, const char *group, const char *name)
{
    snprintf(g->label, sizeof g->label, "%s/%s", group, name ? name : "?");
    g->case_checks = 0;
}

void gold_end(gold_set *g)
{
    if (g->case_checks) {
        g->failed++;
        g->group_failed++;
    } else {
        g->passed++;
        g->group_passed++;
    }
}

void gold_check(gold_set *g, int ok, const char *what)
{
    if (ok) return;
    g->case_checks++;
    printf("FAIL %s: %s\n", g->label, what);
}

void gold_close_to(gold_set *g, const char *what, const float *a, const float *b, size_t n, double tolerance,
                   double least)
{
    double top = least, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)b[i]));
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) {
            worst = isnan(d) ? INFINITY : d;
            at = i;
        }
    }
    if (worst <= tolerance * top) return;
    g->case_checks++;
    printf("FAIL %s: %s[%zu] is %.9g, expected %.9g (tolerance %.3g)\n", g->label, what, at, (double)a[at],
           (double)b[at], tolerance * top);
}

void gold_number_close(gold_set *g, const char *what, double a, double b, double tolerance)
{
    if (fabs(a - b) <= tolerance) return;
    g->case_checks++;
    printf("FAIL %s: %s is %.12g, expected %.12g\n", g->label, what, a, b);
}
