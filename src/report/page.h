/* SPDX-License-Identifier: Apache-2.0 */
/* A page being written: escaped text, numbers with units, charts in one coordinate system of pixels. */
#ifndef INSITU_REPORT_PAGE_H
#define INSITU_REPORT_PAGE_H

#include <cjson/cJSON.h>
#include <insitu/status.h>

#include "host/buffer.h"

/* After the first failure nothing more is written and `status` stays. */
typedef struct isgi_page {
    isgi_buffer text;
    isg_status status;
    isg_error *err;
} isgi_page;

void isgi_page_text(isgi_page *p, const char *text); /* as it is */
void isgi_page_escape(isgi_page *p, const char *text);
void isgi_page_escape_part(isgi_page *p, const char *text, size_t bytes);
/* As it is too: a %s takes text of ours only. Whatever comes from a document goes through isgi_page_escape(). */
void isgi_page_format(isgi_page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void isgi_page_begin(isgi_page *p, const char *title);
/* `note` is a sentence of ours on what the numbers are. */
void isgi_page_end(isgi_page *p, const char *note);
#define ISGI_SIM_NOTE "Costs are modelled, not measured; what the model leaves out is in docs/accelerators.md."
/* FORMAT naming what the document lacks. */
void isgi_page_missing(isgi_page *p, const char *what);

/* Members of a document; 0, "" or NULL where there are none. */
double isgi_json_number(const cJSON *o, const char *key);
const char *isgi_json_text(const cJSON *o, const char *key);
const cJSON *isgi_json_list(const cJSON *o, const char *key);   /* an array: its items have no names */
const cJSON *isgi_json_object(const cJSON *o, const char *key); /* each of its members has one */
/* o.key.typical, .low, .high */
typedef struct isgi_band {
    double low, typical, high;
} isgi_band;
isgi_band isgi_json_band(const cJSON *o, const char *key);

#define ISGI_UNIT_TEXT 32
/* "12.3 µJ" from pJ, "4.5 ms" from ns, "1.2 MB", "3.4 G". */
char *isgi_show_energy(char dst[ISGI_UNIT_TEXT], double pj);
char *isgi_show_time(char dst[ISGI_UNIT_TEXT], double ns);
char *isgi_show_bytes(char dst[ISGI_UNIT_TEXT], double bytes);
char *isgi_show_count(char dst[ISGI_UNIT_TEXT], double n);
const char *isgi_file_name(const char *path);
/* A round number at least as large, where a linear axis may end. */
double isgi_round_up(double value);

/* A logarithmic axis: decades low..high (powers of ten) over pixels from..to. */
typedef struct isgi_log_axis {
    int low, high;
    double from, to;
} isgi_log_axis;
/* The decades that hold the positive numbers least..most, at least one. */
void isgi_axis_fit(isgi_log_axis *a, double least, double most);
double isgi_axis_place(const isgi_log_axis *a, double value);

/* Energy causes in the order of stacked bars; the number of one by name, or -1. */
#define ISGI_CAUSES 12
extern const char *const isgi_causes[ISGI_CAUSES];
int isgi_cause(const char *name);
/* A legend of the causes that are set in `used`. */
void isgi_page_legend(isgi_page *p, unsigned used);

void isgi_sim_run_page(isgi_page *p, const cJSON *document);
void isgi_sim_compare_page(isgi_page *p, const cJSON *document);
void isgi_methods_page(isgi_page *p, const cJSON *document);
void isgi_sim_roofline(isgi_page *p, const cJSON *document);

#endif
