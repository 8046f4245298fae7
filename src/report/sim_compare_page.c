/* SPDX-License-Identifier: Apache-2.0 */
/* The page of one network in several stored forms on every machine: who needs least, and where generation pays. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"

#define FORMS 5
#define LABELS 180.0
/* Colours of the style by the place of a form in the document. */
static const int form_colours[FORMS] = {10, 1, 3, 2, 4};

static double member_of(const cJSON *form, const char *member)
{
    return isgi_json_band(isgi_json_object(form, "total"), member).typical;
}

static const cJSON *form_at(const cJSON *row, int k)
{
    return cJSON_GetArrayItem(isgi_json_list(row, "forms"), k);
}

static int form_count(const cJSON *rows)
{
    const int n = cJSON_GetArraySize(isgi_json_list(cJSON_GetArrayItem(rows, 0), "forms"));
    return n < FORMS ? n : FORMS;
}

static void form_legend(isgi_page *p, const cJSON *rows)
{
    isgi_page_text(p, "<div class=\"legend\">");
    for (int k = 0; k < form_count(rows); k++) {
        const cJSON *form = form_at(cJSON_GetArrayItem(rows, 0), k);
        isgi_page_format(p, "<span><i class=\"b%d\"></i>", form_colours[k]);
        isgi_page_escape(p, isgi_json_text(form, "form"));
        isgi_page_text(p, ": ");
        isgi_page_escape(p, isgi_json_text(form, "title"));
        isgi_page_text(p, "</span>");
    }
    isgi_page_text(p, "</div>\n");
}

/* Smallest and largest ratio to the first form. */
static void ratio_range(const cJSON *rows, const char *member, double range[2])
{
    const cJSON *row;
    range[0] = range[1] = 1.0;
    cJSON_ArrayForEach(row, rows)
    {
        const double base = member_of(form_at(row, 0), member);
        for (int k = 0; k < form_count(rows) && base > 0.0; k++) {
            const double v = member_of(form_at(row, k), member) / base;
            if (!(v > 0.0)) continue;
            range[0] = fmin(range[0], v);
            range[1] = fmax(range[1], v);
        }
    }
}

static void ratio_axis(isgi_page *p, const isgi_log_axis *x, double bottom)
{
    static const double steps[] = {1.0, 2.0, 5.0};
    for (int d = x->low; d <= x->high; d++)
        for (int s = 0; s < 3; s++) {
            const double v = steps[s] * pow(10.0, d), at = isgi_axis_place(x, v);
            if (d == x->high && s) break;
            isgi_page_format(p, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"4\" y2=\"%.1f\"/>",
                             v > 0.99 && v < 1.01 ? "whisk" : "grid", at, at, bottom);
            if (s == 0 || x->high - x->low <= 4)
                isgi_page_format(p, "<text class=\"soft small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>",
                                 at, bottom + 17.0, v);
        }
}

static void dots(isgi_page *p, const cJSON *rows, const char *member, const char *title,
                 char *(*show)(char[ISGI_UNIT_TEXT], double))
{
    const double bottom = cJSON_GetArraySize(rows) * 26.0 + 8.0;
    isgi_log_axis x = {0, 0, LABELS + 16.0, 975.0};
    double range[2], y = 22.0;
    const cJSON *row;
    char text[ISGI_UNIT_TEXT];
    ratio_range(rows, member, range);
    isgi_axis_fit(&x, range[0], range[1]);
    isgi_page_format(p,
                     "<section><h2>%s against dense int8</h2><p class=\"soft\">1 is dense int8 on the same machine; "
                     "left is less. Typical values; rows of different machines are not comparable with each other."
                     "</p>\n",
                     title);
    form_legend(p, rows);
    isgi_page_format(p, "<div class=\"wide\"><svg viewBox=\"0 0 1000 %.0f\" role=\"img\" aria-label=\"%s\">",
                     bottom + 26.0, title);
    ratio_axis(p, &x, bottom);
    cJSON_ArrayForEach(row, rows)
    {
        const double base = member_of(form_at(row, 0), member);
        isgi_page_format(p, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LABELS, y + 4.0);
        isgi_page_escape(p, isgi_json_text(isgi_json_object(row, "profile"), "name"));
        isgi_page_text(p, "</text>");
        isgi_page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x.from, x.to, y,
                         y);
        if (!(base > 0.0))
            isgi_page_format(p, "<text class=\"soft small\" x=\"%.1f\" y=\"%.1f\">cannot run this network</text>",
                             x.from + 8.0, y + 4.0);
        for (int k = 0; k < form_count(rows) && base > 0.0; k++) {
            const double v = member_of(form_at(row, k), member);
            if (!(v > 0.0)) continue;
            isgi_page_format(p,
                             "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"6.5\" stroke=\"var(--card)\"><title>",
                             form_colours[k], isgi_axis_place(&x, v / base), y);
            isgi_page_escape(p, isgi_json_text(form_at(row, k), "form"));
            isgi_page_format(p, " %s (%.3g of int8)</title></circle>", show(text, v), v / base);
        }
        y += 26.0;
    }
    isgi_page_text(p, "</svg></div></section>\n");
}

static int least_form(const cJSON *row, int count, const char *member)
{
    int best = -1;
    for (int k = 0; k < count; k++) {
        const double v = member_of(form_at(row, k), member);
        if (v > 0.0 && (best < 0 || v < member_of(form_at(row, best), member))) best = k;
    }
    return best;
}

static void cells(isgi_page *p, const cJSON *row, int count, const char *member,
                  char *(*show)(char[ISGI_UNIT_TEXT], double))
{
    const int best = least_form(row, count, member);
    char text[ISGI_UNIT_TEXT];
    for (int k = 0; k < count; k++) {
        const double v = member_of(form_at(row, k), member);
        isgi_page_format(p, "<td%s>%s</td>", k == best ? " class=\"best\"" : "", v > 0.0 ? show(text, v) : "–");
    }
}

static void pays(isgi_page *p, const cJSON *row, const char *key)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(row, key);
    const char *when = isgi_json_text(o, "pays");
    if (!*when)
        isgi_page_text(p, "<td>–</td>");
    else if (strcmp(when, "above")) {
        isgi_page_text(p, "<td>");
        isgi_page_escape(p, when);
        isgi_page_text(p, "</td>");
    } else
        isgi_page_format(p, "<td>%.*f pJ/bit (has %.3g)</td>", isgi_json_number(o, "pj_per_bit") < 100.0 ? 2 : 0,
                         isgi_json_number(o, "pj_per_bit"), isgi_json_number(o, "profile_pj_per_bit"));
}

static void gain(isgi_page *p, const cJSON *row)
{
    const isgi_band g = isgi_json_band(row, "gain_over_dense");
    if (!(g.typical > 0.0)) {
        isgi_page_text(p, "<td>–</td><td>–</td>");
        return;
    }
    isgi_page_format(p, "<td>%.3g&times;", g.typical);
    if (g.high > g.low * 1.005) isgi_page_format(p, " (%.3g to %.3g)", g.low, g.high);
    isgi_page_text(p, "</td><td>");
    isgi_page_escape(p, isgi_json_text(row, "saved_on"));
    isgi_page_text(p, "</td>");
}

static void number_table(isgi_page *p, const cJSON *rows, const char *title, const char *member,
                         char *(*show)(char[ISGI_UNIT_TEXT], double), int with_pays)
{
    const int count = form_count(rows);
    const cJSON *row;
    isgi_page_format(p, "<section><h2>%s</h2><div class=\"wide\"><table><tr><th>profile</th>", title);
    for (int k = 0; k < count; k++) {
        isgi_page_text(p, "<th>");
        isgi_page_escape(p, isgi_json_text(form_at(cJSON_GetArrayItem(rows, 0), k), "form"));
        isgi_page_text(p, "</th>");
    }
    if (with_pays)
        isgi_page_text(p, "<th>gain</th><th>saved on</th><th>generate pays above</th><th>factored pays above</th>");
    isgi_page_text(p, "</tr>\n");
    cJSON_ArrayForEach(row, rows)
    {
        isgi_page_text(p, "<tr><td>");
        isgi_page_escape(p, isgi_json_text(isgi_json_object(row, "profile"), "name"));
        isgi_page_text(p, "</td>");
        cells(p, row, count, member, show);
        if (with_pays) {
            gain(p, row);
            pays(p, row, "generate_pays");
            pays(p, row, "factored_pays");
        }
        isgi_page_text(p, "</tr>\n");
    }
    isgi_page_text(p, "</table></div>");
    if (with_pays)
        isgi_page_text(
            p, "<p class=\"soft\">Gain: energy of dense int8 over the least, with the machine at its best and at its "
               "worst in brackets. Saved on: the cause that shrinks most. &ldquo;Pays above&rdquo;: energy "
               "per bit of the memory that holds the weights from which on the form needs less than dense "
               "int8, everything else as in the profile.</p>");
    isgi_page_text(p, "</section>\n");
}

void isgi_sim_compare_page(isgi_page *p, const cJSON *document)
{
    const cJSON *rows = isgi_json_list(document, "rows");
    if (form_count(rows) < 1) {
        isgi_page_missing(p, "rows");
        return;
    }
    isgi_page_begin(p, "Where in situ generation pays");
    isgi_page_text(p, "<h1>Where in situ generation pays</h1>\n<p class=\"soft\">");
    isgi_page_escape(p, isgi_json_text(document, "model"));
    isgi_page_format(p, ", batch %.0f, in %d stored forms on %d machines</p>\n", isgi_json_number(document, "batch"),
                     form_count(rows), cJSON_GetArraySize(rows));
    dots(p, rows, "total_pj", "Energy", isgi_show_energy);
    dots(p, rows, "latency_ns", "Latency", isgi_show_time);
    number_table(p, rows, "Energy of one run", "total_pj", isgi_show_energy, 1);
    number_table(p, rows, "Latency", "latency_ns", isgi_show_time, 0);
    isgi_page_end(p, ISGI_SIM_NOTE);
}
