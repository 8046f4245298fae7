/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what insitu methods printed: every member that the page shows is there and in range, or the document is
 * refused; and says which rows are on the front. */
#include "report/methods_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/alloc.h"

#define ROWS_MAX 1024
#define COUNT_MAX 9007199254740992.0 /* whole numbers beyond 2^53 are none in JSON */
#define ERROR_MAX 1e30               /* what isgi_axis_fit() tells apart */

const char *const isgi_sections[ISGI_SECTIONS] = {"codes", "scales", "bases", "masks", "indices"};

static void missing(isgi_page *p, const char *what, const char *where)
{
    char text[160];
    (void)snprintf(text, sizeof text, "%s%s%s", what, where ? " in " : "", where ? where : "");
    isgi_page_missing(p, text);
}

double isgi_need_number(isgi_page *p, const cJSON *o, const char *key, double least, double most, const char *where)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    char text[96];
    if (cJSON_IsNumber(v) && v->valuedouble >= least && v->valuedouble <= most) return v->valuedouble;
    (void)snprintf(text, sizeof text, "%s from %g to %g", key, least, most);
    missing(p, text, where);
    return least;
}

/* NaN where the document says null: the tool knows no such number. */
static double number_or_null(isgi_page *p, const cJSON *o, const char *key, double most, const char *where)
{
    return cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, key)) ? NAN : isgi_need_number(p, o, key, 0.0, most, where);
}

static const char *need_text(isgi_page *p, const cJSON *o, const char *key, const char *where)
{
    const char *text = isgi_json_text(o, key);
    if (!*text) missing(p, key, where);
    return text;
}

static int need_bool(isgi_page *p, const cJSON *o, const char *key, const char *where)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsBool(v)) missing(p, key, where);
    return cJSON_IsTrue(v);
}

/* ---- one row ---- */

static int count_layers(isgi_page *p, const cJSON *layers, const char *way, const char *where)
{
    const cJSON *layer;
    int n = 0;
    cJSON_ArrayForEach(layer, layers)
    {
        if (!cJSON_IsObject(layer)) {
            missing(p, "sound layers", where);
            return 0;
        }
        n += !strcmp(isgi_json_text(layer, "way"), way);
    }
    return n;
}

static void read_method(isgi_rows *r, isgi_row *row, isgi_page *p, const cJSON *o, const char *where)
{
    const cJSON *sections = isgi_json_object(o, "section_bits"), *layers = isgi_json_list(o, "layers");
    const double weights = isgi_need_number(p, o, "weights", 1.0, COUNT_MAX, where);
    row->text = need_text(p, o, "method", where);
    row->name_bytes = strcspn(row->text, ":");
    row->diverged = need_bool(p, o, "diverged", where);
    row->error = number_or_null(p, o, "weight_error", ERROR_MAX, where);
    row->operations = (isgi_need_number(p, o, "multiply_adds", 0.0, COUNT_MAX, where) +
                       isgi_need_number(p, o, "shift_adds", 0.0, COUNT_MAX, where)) /
                      weights;
    if (!sections) missing(p, "section_bits", where);
    for (int i = 0; i < ISGI_SECTIONS && sections; i++)
        row->section_bits[i] = isgi_need_number(p, sections, isgi_sections[i], 0.0, COUNT_MAX, where) / weights;
    if (!layers) missing(p, "layers", where);
    row->layers = cJSON_GetArraySize(layers);
    row->rest = count_layers(p, layers, "rest", where);
    if (row->place == 0) r->kept = count_layers(p, layers, "kept", where); /* the same layers for every method */
}

static void read_file(isgi_row *row, isgi_page *p, const cJSON *o, const char *where)
{
    row->text = need_text(p, o, "file", where);
    row->name_bytes = strlen(row->text);
    row->file_bytes = isgi_need_number(p, o, "file_bytes", 1.0, COUNT_MAX, where);
    row->error = row->operations = NAN;
    row->family = -1;
}

/* Methods of one name get the number of the first of them. */
static void find_family(isgi_rows *r, isgi_row *row)
{
    for (const isgi_row *other = r->rows; other < row; other++) {
        if (other->name_bytes != row->name_bytes || memcmp(other->text, row->text, row->name_bytes)) continue;
        row->family = other->family;
        return;
    }
    row->family = r->families++;
}

static void read_list(isgi_rows *r, isgi_page *p, const cJSON *list, const char *name)
{
    const cJSON *o;
    int index = 0;
    cJSON_ArrayForEach(o, list)
    {
        isgi_row *row = &r->rows[r->count];
        char where[32];
        (void)snprintf(where, sizeof where, "%s[%d]", name, index++);
        row->place = r->count++;
        row->accuracy = NAN;
        if (!cJSON_IsObject(o)) { /* members of a list have no names to look for */
            isgi_page_missing(p, where);
            return;
        }
        if (*name == 'f')
            read_file(row, p, o, where);
        else
            read_method(r, row, p, o, where);
        row->bytes = isgi_need_number(p, o, "bytes", 1.0, COUNT_MAX, where);
        row->ratio = row->bytes / r->bytes;
        row->bits = number_or_null(p, o, "bits_per_weight", COUNT_MAX, where);
        if (r->labelled) row->accuracy = isgi_need_number(p, o, "accuracy", 0.0, 1.0, where);
        if (p->status != ISG_OK) return; /* the texts are not all there */
        if (*name == 'm') find_family(r, row);
    }
}

/* ---- all rows ---- */

double isgi_row_merit(const isgi_rows *r, const isgi_row *row)
{
    return r->labelled ? row->accuracy : -row->error;
}

static int by_bytes(const void *a, const void *b)
{
    const isgi_row *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* In order of bytes, a row is on the front if it is the best of its bytes and better than all before. */
static void find_front(isgi_rows *r)
{
    double best = -INFINITY;
    for (int i = 0, end; i < r->count; i = end) {
        double top = -INFINITY;
        for (end = i; end < r->count && r->rows[end].bytes == r->rows[i].bytes; end++)
            top = fmax(top, isgi_row_merit(r, &r->rows[end]));
        for (int k = i; k < end && top > best; k++) r->rows[k].on_front = isgi_row_merit(r, &r->rows[k]) == top;
        best = fmax(best, top);
    }
}

static void read_original(isgi_rows *r, isgi_page *p, const cJSON *document)
{
    const cJSON *original = isgi_json_object(document, "original");
    if (!original) {
        isgi_page_missing(p, "original");
        return;
    }
    r->labelled =
        cJSON_GetObjectItemCaseSensitive(original, "accuracy") || cJSON_GetObjectItemCaseSensitive(document, "data");
    r->weights = isgi_need_number(p, original, "weights", 1.0, COUNT_MAX, "original");
    r->bytes = isgi_need_number(p, original, "bytes", 1.0, COUNT_MAX, "original");
    r->accuracy = r->labelled ? isgi_need_number(p, original, "accuracy", 0.0, 1.0, "original") : NAN;
}

/* How it was measured is shown by methods_page.c straight from the document. */
static void check_setting(const isgi_rows *r, isgi_page *p, const cJSON *document)
{
    const cJSON *keep = cJSON_GetObjectItemCaseSensitive(document, "keep");
    const cJSON *tune = cJSON_GetObjectItemCaseSensitive(document, "tune");
    (void)need_text(p, document, "model", NULL);
    (void)isgi_need_number(p, document, "rest_bits", 0.0, 32.0, NULL);
    if (!cJSON_IsNull(keep) && !cJSON_IsString(keep)) isgi_page_missing(p, "keep (text or null)");
    if (!r->labelled) return;
    (void)need_text(p, document, "data", NULL);
    (void)need_text(p, document, "split", NULL);
    (void)need_text(p, document, "input", NULL);
    (void)isgi_need_number(p, document, "label_offset", -COUNT_MAX, COUNT_MAX, NULL);
    (void)isgi_need_number(p, document, "images", 1.0, COUNT_MAX, NULL);
    (void)need_bool(p, document, "subset", NULL);
    if (!tune) return;
    if (!cJSON_IsObject(tune)) {
        isgi_page_missing(p, "sound tune");
        return;
    }
    (void)isgi_need_number(p, tune, "steps", 1.0, COUNT_MAX, "tune");
    (void)isgi_need_number(p, tune, "batch", 1.0, COUNT_MAX, "tune");
    (void)isgi_need_number(p, tune, "learning_rate", 0.0, 1e30, "tune");
}

void isgi_rows_read(isgi_rows *r, isgi_page *p, const cJSON *document)
{
    const cJSON *methods = isgi_json_list(document, "methods"), *files = isgi_json_list(document, "files");
    const int method_count = cJSON_GetArraySize(methods), file_count = cJSON_GetArraySize(files);
    memset(r, 0, sizeof *r);
    if (method_count < 1) isgi_page_missing(p, "methods");
    if (!files) isgi_page_missing(p, "files");
    if (p->status == ISG_OK && (method_count > ROWS_MAX || file_count > ROWS_MAX - method_count))
        p->status = isgi_fail(p->err, ISG_E_LIMIT, "the document has more than %d methods and files", ROWS_MAX);
    read_original(r, p, document);
    check_setting(r, p, document);
    if (p->status != ISG_OK) return;
    r->rows = isgi_calloc((size_t)method_count + (size_t)file_count, sizeof *r->rows);
    if (!r->rows) {
        p->status = isgi_nomem(p->err);
        return;
    }
    r->files = file_count;
    read_list(r, p, methods, "methods");
    if (p->status == ISG_OK) read_list(r, p, files, "files");
    if (p->status != ISG_OK) return;
    qsort(r->rows, (size_t)r->count, sizeof *r->rows, by_bytes);
    find_front(r);
}

void isgi_rows_clear(isgi_rows *r)
{
    isg_free(r->rows);
    r->rows = NULL;
}
