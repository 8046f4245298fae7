/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy over a grid of ranks: a CSV of cells into one SVG heat map. */
#include <insitu/report.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/alloc.h"
#include "host/plain_numbers.h"
#include "report/page.h"

#define RANK_MAX 64
#define SVG_MAX ((size_t)16 << 20)
/* Accuracies are told apart by their errors, on a logarithmic scale, which must end somewhere. */
#define ERROR_LEAST 1e-4

#define CELL_WIDTH 84.0
#define CELL_HEIGHT 54.0
#define LEFT 78.0
#define TOP 84.0

typedef enum column { COLUMN_BI, COLUMN_BO, COLUMN_ACCURACY, COLUMN_RATIO, COLUMNS } column;
static const char *const column_names[COLUMNS] = {"bi", "bo", "accuracy", "paper_ratio"};

typedef struct cell {
    double accuracy, ratio;
    int given;
} cell;

typedef struct grid {
    cell cells[RANK_MAX + 1][RANK_MAX + 1]; /* by bi and bo, from 1 */
    int bi_most, bo_most;
    double error_least, error_most; /* 1 - accuracy, within ERROR_LEAST..1 */
} grid;

/* ---- reading ---- */

/* One line of the text, which need not end in NUL; its fields are cut one after the other. */
typedef struct reader {
    const char *p, *end;
    unsigned line;
    isg_error *err;
} reader;

/* The next field of the line in dst; 0 when the line has no more. A field that does not fit is cut, and is no number.
 */
static int next_field(reader *r, char dst[32])
{
    size_t n = 0;
    if (r->p == r->end || *r->p == '\n') return 0;
    if (*r->p == ',') r->p++;
    for (; r->p < r->end && *r->p != ',' && *r->p != '\n'; r->p++) {
        if (*r->p == '\r' || *r->p == '\0') continue;
        if (n < 31) dst[n++] = *r->p;
    }
    dst[n] = '\0';
    return 1;
}

static void next_line(reader *r)
{
    while (r->p < r->end && *r->p != '\n') r->p++;
    if (r->p < r->end) r->p++;
    r->line++;
}

static isg_status read_header(reader *r, int place[COLUMNS])
{
    char field[32];
    for (int c = 0; c < COLUMNS; c++) place[c] = -1;
    for (int i = 0; next_field(r, field); i++) {
        for (int c = 0; c < COLUMNS; c++)
            if (!strcmp(field, column_names[c])) place[c] = i;
    }
    for (int c = 0; c < COLUMNS; c++)
        if (place[c] < 0) return isgi_fail(r->err, ISG_E_FORMAT, "line 1: no column %s", column_names[c]);
    next_line(r);
    return ISG_OK;
}

static int number_of(double *value, const char *field)
{
    char *end;
    *value = strtod(field, &end);
    return end != field && *end == '\0' && isfinite(*value);
}

static isg_status add_cell(grid *g, const reader *r, const double v[COLUMNS])
{
    cell *c;
    if (!(v[COLUMN_BI] >= 1 && v[COLUMN_BI] <= RANK_MAX && v[COLUMN_BO] >= 1 && v[COLUMN_BO] <= RANK_MAX) ||
        v[COLUMN_BI] != floor(v[COLUMN_BI]) || v[COLUMN_BO] != floor(v[COLUMN_BO]))
        return isgi_fail(r->err, ISG_E_FORMAT, "line %u: ranks must be whole numbers from 1 to %d", r->line, RANK_MAX);
    if (!(v[COLUMN_ACCURACY] >= 0 && v[COLUMN_ACCURACY] <= 1 && v[COLUMN_RATIO] > 0))
        return isgi_fail(r->err, ISG_E_FORMAT, "line %u: accuracy must lie in 0..1 and paper_ratio be positive",
                         r->line);
    c = &g->cells[(int)v[COLUMN_BI]][(int)v[COLUMN_BO]];
    if (c->given)
        return isgi_fail(r->err, ISG_E_FORMAT, "line %u: a second cell for bi %.0f, bo %.0f", r->line, v[COLUMN_BI],
                         v[COLUMN_BO]);
    c->accuracy = v[COLUMN_ACCURACY];
    c->ratio = v[COLUMN_RATIO];
    c->given = 1;
    if (v[COLUMN_BI] > g->bi_most) g->bi_most = (int)v[COLUMN_BI];
    if (v[COLUMN_BO] > g->bo_most) g->bo_most = (int)v[COLUMN_BO];
    return ISG_OK;
}

static isg_status read_line(grid *g, reader *r, const int place[COLUMNS])
{
    double v[COLUMNS] = {0};
    int found = 0;
    char field[32];
    for (int i = 0; next_field(r, field); i++) {
        for (int c = 0; c < COLUMNS; c++) {
            if (place[c] != i) continue;
            if (!number_of(&v[c], field))
                return isgi_fail(r->err, ISG_E_FORMAT, "line %u: %s is no number", r->line, column_names[c]);
            found++;
        }
    }
    if (found != COLUMNS) return isgi_fail(r->err, ISG_E_FORMAT, "line %u: too few fields", r->line);
    return add_cell(g, r, v);
}

static double error_of(const cell *c)
{
    return fmin(fmax(1.0 - c->accuracy, ERROR_LEAST), 1.0);
}

static isg_status read_grid(grid *g, const char *csv, size_t bytes, isg_error *err)
{
    reader r = {csv, csv + bytes, 1, err};
    int place[COLUMNS];
    isg_status status = read_header(&r, place);
    for (; status == ISG_OK && r.p < r.end; next_line(&r))
        if (*r.p != '\n' && *r.p != '\r') status = read_line(g, &r, place);
    if (status != ISG_OK) return status;
    if (!g->bi_most) return isgi_fail(err, ISG_E_FORMAT, "no cells");
    g->error_least = 1.0;
    g->error_most = ERROR_LEAST;
    for (int bi = 1; bi <= g->bi_most; bi++)
        for (int bo = 1; bo <= g->bo_most; bo++) {
            const cell *c = &g->cells[bi][bo];
            if (!c->given) continue;
            g->error_least = fmin(g->error_least, error_of(c));
            g->error_most = fmax(g->error_most, error_of(c));
        }
    return ISG_OK;
}

/* ---- colours ---- */

/* From few right answers to many: lightness falls all the way, so that it also reads in grey. */
static const unsigned char stops[5][3] = {
    {250, 243, 221}, {190, 223, 190}, {92, 178, 178}, {41, 115, 174}, {28, 58, 126}};

static void colour(unsigned char rgb[3], double share)
{
    const double at = fmin(fmax(share, 0.0), 1.0) * 4.0;
    const int i = at >= 4.0 ? 3 : (int)at;
    for (int k = 0; k < 3; k++)
        rgb[k] = (unsigned char)(stops[i][k] + (at - i) * (stops[i + 1][k] - stops[i][k]) + 0.5);
}

/* Place of an accuracy on the scale, 0 for the worst cell, 1 for the best. */
static double share_of(const grid *g, const cell *c)
{
    const double range = log(g->error_most / g->error_least);
    return range > 1e-9 ? log(g->error_most / error_of(c)) / range : 1.0;
}

/* ---- drawing ---- */

static double x_of(int bo)
{
    return LEFT + (bo - 1) * CELL_WIDTH;
}

/* Bi grows upwards, as on any axis. */
static double y_of(const grid *g, int bi)
{
    return TOP + (g->bi_most - bi) * CELL_HEIGHT;
}

static void draw_cell(isgi_page *p, const grid *g, int bi, int bo)
{
    const cell *c = &g->cells[bi][bo];
    const double x = x_of(bo), y = y_of(g, bi);
    unsigned char rgb[3];
    const char *ink;
    if (!c->given) {
        isgi_page_format(p, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#f2f2f2\"/>\n", x + 1,
                         y + 1, CELL_WIDTH - 2, CELL_HEIGHT - 2);
        return;
    }
    colour(rgb, share_of(g, c));
    ink = rgb[0] * 0.30 + rgb[1] * 0.59 + rgb[2] * 0.11 < 118.0 ? "#fff" : "#1c1d1f";
    isgi_page_format(p,
                     "<g fill=\"%s\" text-anchor=\"middle\"><title>Bi %d, Bo %d: accuracy %.2f %%, %.2f %% of the "
                     "bytes</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                     "fill=\"#%02x%02x%02x\"/>",
                     ink, bi, bo, 100.0 * c->accuracy, 100.0 * c->ratio, x + 1, y + 1, CELL_WIDTH - 2, CELL_HEIGHT - 2,
                     rgb[0], rgb[1], rgb[2]);
    isgi_page_format(p,
                     "<text class=\"b\" x=\"%.1f\" y=\"%.1f\">%.2f</text><text class=\"s\" x=\"%.1f\" y=\"%.1f\">%.2f "
                     "%%</text></g>\n",
                     x + CELL_WIDTH / 2, y + 25, 100.0 * c->accuracy, x + CELL_WIDTH / 2, y + 42, 100.0 * c->ratio);
}

static void draw_axes(isgi_page *p, const grid *g)
{
    const double bottom = TOP + g->bi_most * CELL_HEIGHT;
    for (int bo = 1; bo <= g->bo_most; bo++)
        isgi_page_format(p, "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%d</text>", x_of(bo) + CELL_WIDTH / 2,
                         bottom + 18, bo);
    for (int bi = 1; bi <= g->bi_most; bi++)
        isgi_page_format(p, "<text text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%d</text>", LEFT - 10,
                         y_of(g, bi) + CELL_HEIGHT / 2 + 4, bi);
    isgi_page_format(p,
                     "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">Bo, basis kernels a layer</text>"
                     "<text text-anchor=\"middle\" transform=\"translate(26 %.1f) rotate(-90)\">Bi, spatial bases a "
                     "kernel</text>\n",
                     LEFT + g->bo_most * CELL_WIDTH / 2, bottom + 40, (TOP + bottom) / 2);
}

/* The scale of colours with the accuracies at its ends and between. */
static void draw_scale(isgi_page *p, const grid *g, double width)
{
    const double y = TOP + g->bi_most * CELL_HEIGHT + 62, length = width - 2 * LEFT;
    isgi_page_text(p, "<defs><linearGradient id=\"scale\">");
    for (int i = 0; i < 5; i++)
        isgi_page_format(p, "<stop offset=\"%d%%\" stop-color=\"#%02x%02x%02x\"/>", 25 * i, stops[i][0], stops[i][1],
                         stops[i][2]);
    isgi_page_format(p,
                     "</linearGradient></defs>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"14\" "
                     "fill=\"url(#scale)\"/>",
                     LEFT, y, length);
    for (int i = 0; i < 5; i++) {
        const double error = g->error_most * pow(g->error_least / g->error_most, i / 4.0);
        isgi_page_format(p, "<text class=\"s\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%.2f %%</text>",
                         LEFT + length * i / 4.0, y + 30, 100.0 * (1.0 - error));
    }
}

static void draw(isgi_page *p, const grid *g, const char *title, const char *caption)
{
    const double width = fmax(LEFT + g->bo_most * CELL_WIDTH + 24, 420), height = TOP + g->bi_most * CELL_HEIGHT + 108;
    isgi_page_format(p,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
                     "height=\"%.0f\" role=\"img\">\n<style>text{font:13px system-ui,'Segoe UI','DejaVu "
                     "Sans',sans-serif}.b{font-weight:600}.s{font-size:11.5px}.t{font-size:16px;font-weight:600}"
                     "</style>\n<title>",
                     width, height, width, height);
    isgi_page_escape(p, title);
    isgi_page_format(p, "</title>\n<rect width=\"%.0f\" height=\"%.0f\" fill=\"#fff\"/>\n<g fill=\"#1c1d1f\">", width,
                     height);
    isgi_page_format(p, "<text class=\"t\" x=\"%.0f\" y=\"30\">", LEFT);
    isgi_page_escape(p, title);
    isgi_page_format(p, "</text><text class=\"s\" x=\"%.0f\" y=\"52\">", LEFT);
    isgi_page_escape(p, caption);
    isgi_page_format(
        p,
        "</text><text class=\"s\" x=\"%.0f\" y=\"70\">bold: accuracy in %%; below: bytes against the dense "
        "network, by the paper's accounting</text>\n",
        LEFT);
    draw_axes(p, g);
    draw_scale(p, g, width);
    isgi_page_text(p, "</g>\n");
    for (int bi = 1; bi <= g->bi_most; bi++)
        for (int bo = 1; bo <= g->bo_most; bo++) draw_cell(p, g, bi, bo);
    isgi_page_text(p, "</svg>\n");
}

static isg_status make_grid(char **svg, size_t *bytes, const char *csv, size_t csv_bytes, const char *title,
                            const char *caption, isg_error *err)
{
    isgi_page p = {.status = ISG_OK, .err = err};
    grid *g = isgi_calloc(1, sizeof *g);
    isg_status status = g ? read_grid(g, csv, csv_bytes, err) : isgi_nomem(err);
    if (status != ISG_OK) {
        isg_free(g);
        return status;
    }
    isgi_buffer_init(&p.text, SVG_MAX);
    draw(&p, g, title ? title : "accuracy over ranks", caption ? caption : "");
    isg_free(g);
    if (p.status == ISG_OK) p.status = isgi_buffer_append(&p.text, "", 1, err);
    if (p.status != ISG_OK) {
        isgi_buffer_free(&p.text);
        return p.status;
    }
    *svg = isgi_buffer_take(&p.text, bytes);
    --*bytes;
    return ISG_OK;
}

isg_status isg_report_grid(char **svg, size_t *bytes, const char *csv, size_t csv_bytes, const char *title,
                           const char *caption, isg_error *err)
{
    isgi_plain_numbers plain;
    isg_status status;
    isgi_plain_numbers_begin(&plain);
    status = make_grid(svg, bytes, csv, csv_bytes, title, caption, err);
    isgi_plain_numbers_end(&plain);
    return status;
}
