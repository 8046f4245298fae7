/* SPDX-License-Identifier: Apache-2.0 */
/* What insitu sensitivity measured, and how it is told: a table, JSON, CSV. */
#include "tool_sensitivity.h"

#include <stdlib.h>
#include <string.h>

#define CSV_NUMBERS 512 /* all of a line but its name */

double sensitivity_drop(const sensitivity_result *r, const sensitivity_row *row)
{
    return r->labelled ? ((double)r->correct - (double)row->correct) / (double)r->images : 0.0;
}

static double accuracy(const sensitivity_result *r, uint64_t correct)
{
    return (double)correct / (double)r->images;
}

static int costs_more(const sensitivity_row *a, const sensitivity_row *b)
{
    if (a->correct != b->correct) return a->correct < b->correct;
    return tool_sums_snr(&a->sums) < tool_sums_snr(&b->sums);
}

const sensitivity_row *sensitivity_worst(const sensitivity_result *r)
{
    const sensitivity_row *worst = r->rows;
    uint32_t i;
    for (i = 1; i < r->count; i++)
        if (costs_more(&r->rows[i], worst)) worst = &r->rows[i];
    return worst;
}

/* Insertion keeps equal rows in the order of the network. NULL where memory is short. */
static const sensitivity_row **ordered(const sensitivity_result *r)
{
    const sensitivity_row **list = malloc(r->count * sizeof *list);
    uint32_t i, k;
    for (i = 0; list && i < r->count; i++) {
        for (k = i; r->by_worst && k > 0 && costs_more(&r->rows[i], list[k - 1]); k--) list[k] = list[k - 1];
        list[k] = &r->rows[i];
    }
    return list;
}

/* ---- text ---- */

static void print_row(const sensitivity_result *r, const sensitivity_row *row, uint64_t bytes, int width)
{
    char ranks[24] = "", bits[16] = "", errors[32];
    const isg_layer_report *l = row->layer;
    const char *name = l ? l->name : "all, from the file";
    if (l) {
        tool_layer_ranks(ranks, sizeof ranks, l);
        tool_layer_bits(bits, sizeof bits, l);
        snprintf(errors, sizeof errors, "%9.2e %9.2e", l->weight_error, row->output_error);
    } else {
        snprintf(errors, sizeof errors, "%9s %9s", "", "");
    }
    tool_print_name(name, strlen(name), width);
    printf(" %-9s %-6s %9llu %s %8.2f %9.6f", ranks, bits, (unsigned long long)bytes, errors, tool_sums_snr(&row->sums),
           tool_sums_cosine(&row->sums));
    if (r->labelled) printf(" %9.4f %8.4f", accuracy(r, row->correct), sensitivity_drop(r, row));
    printf("\n");
}

static void print_worst(const sensitivity_result *r)
{
    const sensitivity_row *worst = sensitivity_worst(r);
    printf("worst     ");
    tool_print_name(worst->layer->name, strlen(worst->layer->name), 0);
    printf(": ");
    if (r->labelled)
        printf("accuracy %.4f alone (drop %.4f), SNR %.2f dB\n", accuracy(r, worst->correct),
               sensitivity_drop(r, worst), tool_sums_snr(&worst->sums));
    else
        printf("SNR %.2f dB alone\n", tool_sums_snr(&worst->sums));
}

static int print_table(tool *t, const sensitivity_result *r)
{
    const sensitivity_row **list = ordered(r);
    uint64_t bytes = 0;
    uint32_t i;
    int width = 32;
    if (!list) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < r->count; i++) width = tool_name_width(width, list[i]->layer->name, strlen(list[i]->layer->name));
    printf("%-*s %-9s %-6s %9s %9s %9s %8s %9s%s\n", width, "layer, compressed alone", "bi,bo", "bits", "bytes",
           "w error", "out error", "SNR dB", "cosine", r->labelled ? "  accuracy     drop" : "");
    for (i = 0; i < r->count; i++) {
        print_row(r, list[i], list[i]->layer->bytes, width);
        bytes += list[i]->layer->bytes;
    }
    print_row(r, &r->whole, bytes, width);
    if (r->labelled)
        printf("\noriginal  accuracy %.4f (%llu of %llu images%s)\n", accuracy(r, r->correct),
               (unsigned long long)r->correct, (unsigned long long)r->images, r->subset ? ", subset" : "");
    else
        printf("\ninputs    %llu%s\n", (unsigned long long)r->images,
               !r->data    ? " of random numbers"
               : r->subset ? ", subset"
                           : "");
    print_worst(r);
    free(list);
    return EXIT_OK;
}

/* ---- JSON ---- */

static void json_row(cJSON *o, const sensitivity_result *r, const sensitivity_row *row)
{
    tool_json_number(o, "snr_db", tool_sums_snr(&row->sums));
    tool_json_number(o, "cosine", tool_sums_cosine(&row->sums));
    cJSON_AddNumberToObject(o, "same_argmax", (double)row->sums.same_argmax / (double)row->sums.items);
    if (!r->labelled) return;
    cJSON_AddNumberToObject(o, "correct", (double)row->correct);
    cJSON_AddNumberToObject(o, "accuracy", accuracy(r, row->correct));
    cJSON_AddNumberToObject(o, "drop", sensitivity_drop(r, row));
}

static void json_inputs(cJSON *json, const sensitivity_result *r)
{
    char text[512];
    tool_json_text(json, "data", r->data);
    if (r->data) {
        cJSON_AddStringToObject(json, "split", r->train_split ? "train" : "test");
        isg_input_spec_format(text, sizeof text, &r->original->input);
        tool_json_text(json, "input", text);
        cJSON_AddNumberToObject(json, "label_offset", r->original->label_offset);
    } else {
        cJSON_AddNumberToObject(json, "seed", (double)r->seed);
    }
    cJSON_AddNumberToObject(json, "images", (double)r->images);
    cJSON_AddBoolToObject(json, "subset", r->subset);
}

static int print_json(tool *t, const sensitivity_result *r, int missed)
{
    const sensitivity_row **list = ordered(r);
    cJSON *json, *layers;
    uint32_t i;
    if (!list) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    json = tool_json("sensitivity");
    tool_json_text(json, "original", r->original->path);
    tool_json_text(json, "file", r->compressed->path);
    cJSON_AddNumberToObject(json, "file_bytes", (double)isg_model_file_bytes(r->compressed->model));
    json_inputs(json, r);
    if (r->labelled) cJSON_AddNumberToObject(json, "original_accuracy", accuracy(r, r->correct));
    json_row(json, r, &r->whole);
    if (r->max_drop >= 0.0) cJSON_AddNumberToObject(json, "max_drop", r->max_drop);
    cJSON_AddBoolToObject(json, "ok", !missed);
    tool_json_text(json, "worst", sensitivity_worst(r)->layer->name);
    layers = cJSON_AddArrayToObject(json, "layers");
    for (i = 0; i < r->count; i++) {
        cJSON *o = tool_json_layer(list[i]->layer);
        cJSON_ReplaceItemInObjectCaseSensitive(o, "output_error", cJSON_CreateNumber(list[i]->output_error));
        json_row(o, r, list[i]);
        cJSON_AddItemToArray(layers, o);
    }
    free(list);
    return tool_json_print(t, json);
}

int sensitivity_print(tool *t, const sensitivity_result *r, int missed)
{
    return t->json ? print_json(t, r, missed) : print_table(t, r);
}

/* ---- CSV ---- */

static void csv_row(tool_csv *csv, const sensitivity_result *r, const sensitivity_row *row)
{
    const isg_layer_report *l = row->layer;
    char *name = tool_csv_quoted(l->name), numbers[CSV_NUMBERS], measured[64] = ",,";
    if (r->labelled)
        snprintf(measured, sizeof measured, ",%.6f,%.6f", accuracy(r, row->correct), sensitivity_drop(r, row));
    snprintf(numbers, sizeof numbers, ",%u,%u,%u,%u,%u,%u,%u,%u,%u,%u,%llu,%llu,%.6g,%.6g,%.3f,%.8f%s\n", l->co, l->ci,
             l->kh, l->kw, l->groups, l->choice.bi, l->choice.bo, l->choice.bits_b, l->choice.bits_u, l->choice.bits_v,
             (unsigned long long)l->bytes, (unsigned long long)l->bytes_full, l->weight_error, row->output_error,
             tool_sums_snr(&row->sums), tool_sums_cosine(&row->sums), measured);
    tool_csv_text(csv, name);
    tool_csv_text(csv, numbers);
    free(name);
}

int sensitivity_csv(tool *t, const sensitivity_result *r, const char *path)
{
    const sensitivity_row **list = ordered(r);
    tool_csv csv;
    if (!list) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    tool_csv_open(&csv, t, path,
                  "layer,co,ci,kh,kw,groups,bi,bo,bits_basis,bits_u,bits_v,bytes,dense_bytes,weight_error,"
                  "output_error,snr_db,cosine,accuracy,drop\n");
    for (uint32_t i = 0; i < r->count; i++) csv_row(&csv, r, list[i]);
    free(list);
    return tool_csv_close(&csv);
}
