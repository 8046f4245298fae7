/* SPDX-License-Identifier: Apache-2.0 */
/* What insitu methods measured, as a table, JSON or CSV; and the list of methods. */
#include "tool_methods.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CSV_NUMBERS 512 /* all of a line but its name */

static const char *row_name(const methods_row *row)
{
    return row->method ? isg_method_text(row->method) : row->path;
}

static double accuracy(const methods_result *r, uint64_t correct)
{
    return (double)correct / (double)r->images;
}

static double operations(const methods_row *row)
{
    const isg_method_cost *c = &row->report.used;
    return c->weights ? (c->multiply_adds + c->shift_adds) / (double)c->weights : NAN;
}

/* ---- text ---- */

static void print_row(const methods_result *r, const methods_row *row, int width)
{
    tool_print_name(row_name(row), strlen(row_name(row)), width);
    printf(" %9.3f %11llu %7.2f %%", row->bits_per_weight, (unsigned long long)row->bytes,
           100.0 * (double)row->bytes / (double)r->bytes);
    if (row->method)
        printf(" %9.2e %7.2f", row->report.weight_error, operations(row));
    else
        printf(" %9s %7s", "", "");
    if (r->labelled)
        printf(" %9.4f %8.4f", accuracy(r, row->correct), accuracy(r, r->correct) - accuracy(r, row->correct));
    printf("\n");
}

static void print_notes(const methods_result *r)
{
    const methods_row *first = r->rows;
    uint32_t rest = 0, kept = 0;
    if (r->labelled)
        printf("\noriginal  accuracy %.4f (%llu of %llu images%s), %llu bytes\n", accuracy(r, r->correct),
               (unsigned long long)r->correct, (unsigned long long)r->images, r->subset ? ", subset" : "",
               (unsigned long long)r->bytes);
    else
        printf("\noriginal  %llu bytes\n", (unsigned long long)r->bytes);
    if (r->tune_steps)
        printf("trained   %llu steps of %u images each, learning rate %g\n", (unsigned long long)r->tune_steps,
               r->tune_batch, r->learning_rate);
    for (uint32_t i = 0; first->method && i < first->report.layer_count; i++)
        kept += first->report.layers[i].way == ISG_METHOD_KEPT;
    if (kept) printf("kept      %u layers in float32\n", kept);
    for (uint32_t i = 0; i < r->left_out_count; i++)
        printf("left out  %s: %s\n", isg_method_text(r->left_out[i].method),
               r->left_out[i].too_large ? "weights beyond its scales" : "no form for any layer");
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->rows[i].diverged) printf("diverged  %s: not trained\n", row_name(&r->rows[i]));
    }
    for (uint32_t i = 0; i < r->count; i++, rest = 0) {
        const isg_method_report *report = &r->rows[i].report;
        for (uint32_t k = 0; k < report->layer_count; k++) rest += report->layers[k].way == ISG_METHOD_REST;
        if (rest && r->rest_bits < 32)
            printf("rest      %s: %u of %u layers in %u uniform bits\n", row_name(&r->rows[i]), rest,
                   report->layer_count, r->rest_bits);
        else if (rest)
            printf("rest      %s: %u of %u layers in float32\n", row_name(&r->rows[i]), rest, report->layer_count);
    }
}

static void print_table(const methods_result *r)
{
    int width = 28;
    for (uint32_t i = 0; i < r->count; i++)
        width = tool_name_width(width, row_name(&r->rows[i]), strlen(row_name(&r->rows[i])));
    printf("%-*s %9s %11s %9s %9s %7s%s\n", width, "method", "bits/w", "bytes", "of f32", "w error", "ops/w",
           r->labelled ? "  accuracy     drop" : "");
    for (uint32_t i = 0; i < r->count; i++) print_row(r, &r->rows[i], width);
    print_notes(r);
}

/* ---- JSON ---- */

static cJSON *json_layer(const isg_method_layer *l)
{
    static const char *const ways[] = {"method", "rest", "kept"};
    cJSON *o = cJSON_CreateObject();
    tool_json_text(o, "name", l->name);
    cJSON_AddNumberToObject(o, "co", l->shape.co);
    cJSON_AddNumberToObject(o, "ci", l->shape.ci);
    cJSON_AddNumberToObject(o, "kh", l->shape.kh);
    cJSON_AddNumberToObject(o, "kw", l->shape.kw);
    cJSON_AddStringToObject(o, "way", ways[l->way]);
    cJSON_AddNumberToObject(o, "bytes", (double)l->bytes);
    tool_json_number(o, "weight_error", l->lost == 0.0 ? 0.0 : l->lost / l->whole);
    return o;
}

static void json_method(cJSON *o, const methods_row *row)
{
    const isg_method_report *report = &row->report;
    cJSON *sections, *layers;
    tool_json_text(o, "method", isg_method_text(row->method));
    cJSON_AddNumberToObject(o, "weights", (double)report->used.weights);
    tool_json_number(o, "weight_error", report->weight_error);
    cJSON_AddNumberToObject(o, "multiply_adds", report->used.multiply_adds);
    cJSON_AddNumberToObject(o, "shift_adds", report->used.shift_adds);
    tool_json_number(o, "final_loss", row->final_loss);
    cJSON_AddBoolToObject(o, "diverged", row->diverged);
    sections = cJSON_AddObjectToObject(o, "section_bits");
    for (int i = 0; i < ISG_SECTION_COUNT; i++)
        cJSON_AddNumberToObject(sections, isg_method_section_name((isg_method_section)i), (double)report->used.bits[i]);
    layers = cJSON_AddArrayToObject(o, "layers");
    for (uint32_t i = 0; i < report->layer_count; i++) cJSON_AddItemToArray(layers, json_layer(&report->layers[i]));
}

static cJSON *json_row(const methods_result *r, const methods_row *row)
{
    cJSON *o = cJSON_CreateObject();
    if (row->method) {
        json_method(o, row);
    } else {
        tool_json_text(o, "file", row->path);
        cJSON_AddNumberToObject(o, "file_bytes", (double)row->file_bytes);
    }
    cJSON_AddNumberToObject(o, "bytes", (double)row->bytes);
    cJSON_AddNumberToObject(o, "ratio", (double)row->bytes / (double)r->bytes);
    tool_json_number(o, "bits_per_weight", row->bits_per_weight);
    if (!r->labelled) return o;
    cJSON_AddNumberToObject(o, "correct", (double)row->correct);
    cJSON_AddNumberToObject(o, "accuracy", accuracy(r, row->correct));
    return o;
}

static void json_setting(cJSON *json, const methods_result *r)
{
    char text[512];
    cJSON *tune;
    tool_json_text(json, "keep", r->keep);
    cJSON_AddNumberToObject(json, "rest_bits", r->rest_bits);
    if (!r->labelled) return;
    tool_json_text(json, "data", r->data);
    cJSON_AddStringToObject(json, "split", r->train_split ? "train" : "test");
    isg_input_spec_format(text, sizeof text, &r->original->input);
    tool_json_text(json, "input", text);
    cJSON_AddNumberToObject(json, "label_offset", r->original->label_offset);
    cJSON_AddNumberToObject(json, "images", (double)r->images);
    cJSON_AddBoolToObject(json, "subset", r->subset);
    if (!r->tune_steps) return;
    tune = cJSON_AddObjectToObject(json, "tune");
    cJSON_AddNumberToObject(tune, "steps", (double)r->tune_steps);
    cJSON_AddNumberToObject(tune, "batch", r->tune_batch);
    cJSON_AddNumberToObject(tune, "learning_rate", r->learning_rate);
    cJSON_AddNumberToObject(tune, "seed", (double)r->seed);
}

static int print_json(tool *t, const methods_result *r)
{
    cJSON *json = tool_json("methods"), *original, *methods, *files, *left_out;
    tool_json_text(json, "model", r->original->path);
    json_setting(json, r);
    original = cJSON_AddObjectToObject(json, "original");
    cJSON_AddNumberToObject(original, "weights", (double)r->weights);
    cJSON_AddNumberToObject(original, "bytes", (double)r->bytes);
    if (r->labelled) cJSON_AddNumberToObject(original, "correct", (double)r->correct);
    if (r->labelled) cJSON_AddNumberToObject(original, "accuracy", accuracy(r, r->correct));
    methods = cJSON_AddArrayToObject(json, "methods");
    files = cJSON_AddArrayToObject(json, "files");
    for (uint32_t i = 0; i < r->count; i++)
        cJSON_AddItemToArray(r->rows[i].method ? methods : files, json_row(r, &r->rows[i]));
    left_out = cJSON_AddArrayToObject(json, "left_out");
    for (uint32_t i = 0; i < r->left_out_count; i++)
        cJSON_AddItemToArray(left_out, cJSON_CreateString(isg_method_text(r->left_out[i].method)));
    return tool_json_print(t, json);
}

int methods_print(tool *t, const methods_result *r)
{
    if (t->json) return print_json(t, r);
    print_table(r);
    return EXIT_OK;
}

/* ---- CSV ---- */

static void csv_row(tool_csv *csv, const methods_result *r, const methods_row *row)
{
    char *name = tool_csv_quoted(row_name(row)), error[32] = "", ops[32] = "", hit[32] = "", numbers[CSV_NUMBERS];
    if (row->method) snprintf(error, sizeof error, "%.6g", row->report.weight_error);
    if (row->method) snprintf(ops, sizeof ops, "%.4g", operations(row));
    if (r->labelled) snprintf(hit, sizeof hit, "%.6f", accuracy(r, row->correct));
    snprintf(numbers, sizeof numbers, ",%.4f,%llu,%.6f,%s,%s,%s\n", row->bits_per_weight,
             (unsigned long long)row->bytes, (double)row->bytes / (double)r->bytes, error, ops, hit);
    tool_csv_text(csv, name);
    tool_csv_text(csv, numbers);
    free(name);
}

int methods_csv(tool *t, const methods_result *r, const char *path)
{
    tool_csv csv;
    tool_csv_open(&csv, t, path, "method,bits_per_weight,bytes,ratio,weight_error,operations_per_weight,accuracy\n");
    for (uint32_t i = 0; i < r->count; i++) csv_row(&csv, r, &r->rows[i]);
    return tool_csv_close(&csv);
}

/* ---- the list ---- */

static cJSON *json_param(const isg_method_param *p)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", p->name);
    cJSON_AddNumberToObject(o, "least", p->least);
    cJSON_AddNumberToObject(o, "most", p->most);
    cJSON_AddNumberToObject(o, "default", p->preset);
    cJSON_AddBoolToObject(o, "whole", p->whole);
    return o;
}

int methods_list(tool *t)
{
    cJSON *json = t->json ? tool_json("methods") : NULL, *list = json ? cJSON_AddArrayToObject(json, "list") : NULL;
    for (uint32_t i = 0; i < isg_method_count(); i++) {
        const isg_method_param *p;
        cJSON *o = json ? cJSON_CreateObject() : NULL, *params = o ? cJSON_AddArrayToObject(o, "parameters") : NULL;
        if (o) {
            cJSON_AddStringToObject(o, "name", isg_method_name(i));
            cJSON_AddStringToObject(o, "summary", isg_method_summary(i));
            cJSON_AddItemToArray(list, o);
        } else {
            printf("%-10s %s\n", isg_method_name(i), isg_method_summary(i));
        }
        for (uint32_t k = 0; (p = isg_method_param_at(i, k)) != NULL; k++) {
            if (o)
                cJSON_AddItemToArray(params, json_param(p));
            else
                printf("           %s=%g..%g (%g)\n", p->name, p->least, p->most, p->preset);
        }
    }
    return json ? tool_json_print(t, json) : EXIT_OK;
}
