/* SPDX-License-Identifier: Apache-2.0 */
/* What insitu methods printed, as rows whose numbers the drawings can rely on. */
#ifndef INSITU_REPORT_METHODS_ROWS_H
#define INSITU_REPORT_METHODS_ROWS_H

#include "report/page.h"

#define ISGI_SECTIONS 5
extern const char *const isgi_sections[ISGI_SECTIONS]; /* what the bits of a method are: "codes", ... */

/* One method with its parameters, or one compressed file of this tool. Texts are the document's. */
typedef struct isgi_row {
    const char *text;  /* "uniform:bits=3"; the file's path */
    size_t name_bytes; /* of `text` before the parameters */
    int place;         /* in the document, from 0 */
    int family;        /* methods of one name have the same number, from 0; files -1 */
    int diverged;      /* its training was given up: measured untrained */
    int layers, rest;  /* layers; of those, in plain codes since the method has no form for them */
    int on_front;      /* no row is better in bytes or merit and as good in the other */
    double bytes, ratio;
    double file_bytes;                  /* 0: not a file */
    double bits;                        /* a weight; NaN: unknown */
    double section_bits[ISGI_SECTIONS]; /* a weight */
    double error;                       /* NaN: unknown */
    double operations;                  /* a weight; NaN: unknown */
    double accuracy;                    /* NaN where the document has none */
} isgi_row;

typedef struct isgi_rows {
    isgi_row *rows; /* by bytes; the numbers of the picture are their places from 1 */
    int count, files, families, kept;
    int labelled;                    /* accuracies were measured */
    double weights, bytes, accuracy; /* of the original */
} isgi_rows;

/* Checks and reads all that the page shows; the page has an error otherwise. Clear it in either case. */
void isgi_rows_read(isgi_rows *r, isgi_page *p, const cJSON *document);
void isgi_rows_clear(isgi_rows *r);
/* What the front weighs against bytes, more is better: accuracy, or the weight error with its sign changed. NaN: none.
 */
double isgi_row_merit(const isgi_rows *r, const isgi_row *row);
/* A number of an object within least..most, or FORMAT saying so. `where` (may be NULL) names the object. */
double isgi_need_number(isgi_page *p, const cJSON *o, const char *key, double least, double most, const char *where);

/* The picture of bytes against accuracy, or against the weight error. */
void isgi_methods_plot(isgi_page *p, const isgi_rows *r);
/* The colour of the style for a family. */
int isgi_family_colour(int family);

#endif
