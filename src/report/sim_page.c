/* SPDX-License-Identifier: Apache-2.0 */
/* The page of one network on one machine: figures, ways to run it, roofline, energy by layer, traffic, sources. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"

#define LEFT 190.0 /* pixels of the labels of bar charts */
#define BAR_WIDTH 690.0
#define BAR_HEIGHT 18.0
#define ROW 28.0

static unsigned causes_of(const cJSON *result)
{
    const cJSON *cause;
    unsigned used = 0;
    cJSON_ArrayForEach(cause, isgi_json_object(result, "energy_pj"))
    {
        const int i = isgi_cause(cause->string);
        if (i >= 0) used |= 1u << i;
    }
    return used;
}

/* One stacked bar at height y; `most` pJ fill the width. */
static void stacked_bar(isgi_page *p, const cJSON *result, double y, double most)
{
    const cJSON *energy = isgi_json_object(result, "energy_pj");
    double x = LEFT;
    char text[ISGI_UNIT_TEXT];
    for (int i = 0; i < ISGI_CAUSES; i++) {
        const double pj = isgi_json_band(energy, isgi_causes[i]).typical;
        const double width = most > 0.0 ? pj / most * BAR_WIDTH : 0.0;
        if (width < 0.05) continue;
        isgi_page_format(p,
                         "<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"1.5\">"
                         "<title>%s %s</title></rect>",
                         i, x, y, width > 1.6 ? width - 0.8 : width, BAR_HEIGHT, isgi_causes[i],
                         isgi_show_energy(text, pj));
        x += width;
    }
}

/* Axis of an energy chart: five grid lines with labels below. */
static void energy_axis(isgi_page *p, double top, double bottom, double most)
{
    char text[ISGI_UNIT_TEXT];
    for (int i = 0; i <= 4; i++) {
        const double x = LEFT + BAR_WIDTH * i / 4.0;
        isgi_page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x, top,
                         bottom);
        isgi_page_format(p, "<text class=\"soft small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", x,
                         bottom + 17.0, i ? isgi_show_energy(text, most * i / 4.0) : "0");
    }
}

static void shorten(char *dst, size_t size, const char *name)
{
    const size_t n = strlen(name);
    if (n < size) {
        memcpy(dst, name, n + 1);
        return;
    }
    /* the end tells layers apart, and a UTF-8 character is not cut */
    const char *tail = name + n - (size - 4);
    while (((unsigned char)*tail & 0xc0) == 0x80) tail++;
    memcpy(dst, "\xe2\x80\xa6", 3);
    memcpy(dst + 3, tail, strlen(tail) + 1);
}

static void bar_label(isgi_page *p, const char *name, double y, const char *class)
{
    char text[28];
    shorten(text, sizeof text, name);
    isgi_page_format(p, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", class, LEFT - 10.0, y + 13.5);
    isgi_page_escape(p, text);
    isgi_page_text(p, "</text>");
}

/* A network without factors costs the same in every way. */
static int ways_differ(const cJSON *ways)
{
    const isgi_band first = isgi_json_band(isgi_json_object(cJSON_GetArrayItem(ways, 0), "total"), "total_pj");
    const cJSON *way;
    cJSON_ArrayForEach(way, ways)
    {
        if (isgi_json_band(isgi_json_object(way, "total"), "total_pj").typical != first.typical) return 1;
    }
    return 0;
}

static void ways_chart(isgi_page *p, const cJSON *document)
{
    const cJSON *ways = isgi_json_list(document, "ways"), *way;
    const char *chosen = isgi_json_text(isgi_json_object(document, "result"), "mode");
    double most = 0.0, y = 8.0;
    unsigned used = 0;
    int count = 0;
    char a[ISGI_UNIT_TEXT], b[ISGI_UNIT_TEXT];
    if (!ways_differ(ways)) return;
    cJSON_ArrayForEach(way, ways)
    {
        const cJSON *total = isgi_json_object(way, "total");
        most = fmax(most, isgi_json_band(total, "total_pj").typical);
        used |= causes_of(total);
        count++;
    }
    if (!count) return;
    most = isgi_round_up(most);
    isgi_page_text(p,
                   "<section><h2>Ways to run the same stored weights</h2><p class=\"soft\">Typical energy of one run "
                   "by cause; the text gives total energy and latency. Hover a segment for its value.</p>\n");
    isgi_page_legend(p, used);
    isgi_page_format(
        p,
        "<div class=\"wide\"><svg viewBox=\"0 0 1000 %.0f\" role=\"img\" aria-label=\"energy by cause for every way\">",
        count * ROW + 40.0);
    energy_axis(p, 2.0, count * ROW + 8.0, most);
    cJSON_ArrayForEach(way, ways)
    {
        const cJSON *total = isgi_json_object(way, "total");
        const double pj = isgi_json_band(total, "total_pj").typical;
        bar_label(p, isgi_json_text(way, "mode"), y, !strcmp(isgi_json_text(way, "mode"), chosen) ? "chosen" : "soft");
        stacked_bar(p, total, y, most);
        isgi_page_format(p, "<text class=\"small\" x=\"%.1f\" y=\"%.1f\">%s, %s</text>",
                         LEFT + pj / most * BAR_WIDTH + 8.0, y + 13.5, isgi_show_energy(a, pj),
                         isgi_show_time(b, isgi_json_band(total, "latency_ns").typical));
        y += ROW;
    }
    isgi_page_text(p, "</svg></div></section>\n");
}

static void layers_chart(isgi_page *p, const cJSON *document)
{
    const cJSON *layers = isgi_json_list(isgi_json_object(document, "result"), "layers"), *layer;
    double most = 0.0, y = 8.0;
    unsigned used = 0;
    int count = 0;
    char a[ISGI_UNIT_TEXT];
    cJSON_ArrayForEach(layer, layers)
    {
        most = fmax(most, isgi_json_band(layer, "total_pj").typical);
        used |= causes_of(layer);
        count++;
    }
    if (!count) return;
    most = isgi_round_up(most);
    isgi_page_text(p, "<section><h2>Energy by layer</h2><p class=\"soft\">Mode ");
    isgi_page_escape(p, isgi_json_text(isgi_json_object(document, "result"), "mode"));
    isgi_page_text(p, "; typical values. The text gives energy, how the layer runs, and what its latency waits for."
                      "</p>\n");
    isgi_page_legend(p, used);
    isgi_page_format(p,
                     "<div class=\"wide\"><svg viewBox=\"0 0 1000 %.0f\" role=\"img\" aria-label=\"energy by cause for "
                     "every layer\">",
                     count * ROW + 40.0);
    energy_axis(p, 2.0, count * ROW + 8.0, most);
    cJSON_ArrayForEach(layer, layers)
    {
        const double pj = isgi_json_band(layer, "total_pj").typical;
        const int inside = pj / most > 0.72;
        bar_label(p, isgi_json_text(layer, "name"), y, "soft");
        stacked_bar(p, layer, y, most);
        isgi_page_format(p, "<text class=\"small\" x=\"%.1f\" y=\"%.1f\">%s", LEFT + pj / most * BAR_WIDTH + 8.0,
                         y + 13.5, isgi_show_energy(a, pj));
        if (!inside) {
            isgi_page_text(p, ", ");
            isgi_page_escape(p, isgi_json_text(layer, "mode"));
            isgi_page_text(p, ", ");
            isgi_page_escape(p, isgi_json_text(layer, "binding"));
        }
        isgi_page_text(p, "</text>");
        y += ROW;
    }
    isgi_page_text(p, "</svg></div></section>\n");
}

/* `name` comes from the document. */
static void tile(isgi_page *p, const char *value, const char *unit, const char *name)
{
    isgi_page_format(p, "<div class=\"tile\"><b>%s</b><span>%s", value, unit);
    isgi_page_escape(p, name);
    isgi_page_text(p, "</span></div>");
}

/* "energy a run (1 µJ to 2 µJ)", without brackets where the band has no width. */
static void range(char *dst, size_t size, const char *what, isgi_band b, char *(*show)(char[ISGI_UNIT_TEXT], double))
{
    char low[ISGI_UNIT_TEXT], high[ISGI_UNIT_TEXT];
    if (b.high > b.low * 1.005)
        (void)snprintf(dst, size, "%s (%s to %s)", what, show(low, b.low), show(high, b.high));
    else
        (void)snprintf(dst, size, "%s", what);
}

static void tiles(isgi_page *p, const cJSON *document)
{
    const cJSON *total = isgi_json_object(isgi_json_object(document, "result"), "total");
    const isgi_band energy = isgi_json_band(total, "total_pj"), latency = isgi_json_band(total, "latency_ns");
    char a[ISGI_UNIT_TEXT], b[ISGI_UNIT_TEXT], c[ISGI_UNIT_TEXT], line[160];
    size_t used;
    isgi_page_text(p, "<div class=\"tiles\">");
    range(line, sizeof line, "energy a run", energy, isgi_show_energy);
    tile(p, isgi_show_energy(a, energy.typical), line, "");
    range(line, sizeof line, "latency", latency, isgi_show_time);
    used = strlen(line);
    (void)snprintf(line + used, sizeof line - used, ", bound by ");
    tile(p, isgi_show_time(a, latency.typical), line, isgi_json_text(total, "binding"));
    tile(p, isgi_show_bytes(a, isgi_json_number(total, "far_bytes")), "through the memories beyond the buffers", "");
    (void)snprintf(line, sizeof line, "%.20s op/B",
                   isgi_json_number(total, "far_bytes") > 0.0
                       ? isgi_show_count(a, isgi_json_number(total, "operational_intensity"))
                       : "–");
    tile(p, line, "operations a byte moved", "");
    (void)snprintf(line, sizeof line, "to make weights; %s on activations",
                   isgi_show_count(b, isgi_json_number(total, "macs")));
    (void)snprintf(
        c, sizeof c, "%.20s MAC",
        isgi_show_count(a, isgi_json_number(total, "generation1_macs") + isgi_json_number(total, "generation2_macs")));
    tile(p, c, line, "");
    isgi_page_text(p, "</div>\n");
}

static double streams_of(const cJSON *tier, const char *stream)
{
    return isgi_json_number(isgi_json_object(tier, "read"), stream) +
           isgi_json_number(isgi_json_object(tier, "written"), stream);
}

static void traffic_table(isgi_page *p, const cJSON *document)
{
    static const char *const streams[] = {"basis", "u", "v", "weight", "scale", "mask", "bias", "activation"};
    const cJSON *total = isgi_json_object(isgi_json_object(document, "result"), "total"), *tier;
    char text[ISGI_UNIT_TEXT];
    isgi_page_text(p, "<section><h2>Bytes moved</h2><p class=\"soft\">Read and written, by memory and stream, one run."
                      "</p><div class=\"wide\"><table><tr><th>memory</th>");
    for (size_t s = 0; s < sizeof streams / sizeof *streams; s++) isgi_page_format(p, "<th>%s</th>", streams[s]);
    isgi_page_text(p, "<th>all</th></tr>\n");
    cJSON_ArrayForEach(tier, isgi_json_object(total, "traffic_bytes"))
    {
        double all = 0.0;
        isgi_page_text(p, "<tr><td>");
        isgi_page_escape(p, tier->string);
        isgi_page_text(p, "</td>");
        for (size_t s = 0; s < sizeof streams / sizeof *streams; s++) {
            const double bytes = streams_of(tier, streams[s]);
            all += bytes;
            isgi_page_format(p, "<td>%s</td>", bytes > 0.0 ? isgi_show_bytes(text, bytes) : "–");
        }
        isgi_page_format(p, "<td>%s</td></tr>\n", isgi_show_bytes(text, all));
    }
    isgi_page_text(p, "</table></div></section>\n");
}

static void band_rows(isgi_page *p, const cJSON *list, double all, char *(*show)(char[ISGI_UNIT_TEXT], double))
{
    const cJSON *item;
    char a[ISGI_UNIT_TEXT], b[ISGI_UNIT_TEXT], c[ISGI_UNIT_TEXT];
    cJSON_ArrayForEach(item, list)
    {
        const isgi_band band = isgi_json_band(list, item->string);
        isgi_page_text(p, "<tr><td>");
        isgi_page_escape(p, item->string);
        isgi_page_format(p, "</td><td>%s</td><td>%.1f %%</td><td>%s</td><td>%s</td></tr>\n", show(a, band.typical),
                         all > 0.0 ? 100.0 * band.typical / all : 0.0, show(b, band.low), show(c, band.high));
    }
}

static void band_tables(isgi_page *p, const cJSON *document)
{
    static const char head[] = "<div class=\"wide\"><table><tr><th>%s</th><th>typical</th><th>share</th><th>low</th>"
                               "<th>high</th></tr>\n";
    const cJSON *total = isgi_json_object(isgi_json_object(document, "result"), "total");
    isgi_page_text(p, "<section><h2>Energy and latency in numbers</h2><p class=\"soft\">Low and high follow from the "
                      "uncertain numbers of the profile. Terms of latency overlap in each layer, so that their shares "
                      "of the pipelined latency may exceed 100 % together.</p>");
    isgi_page_format(p, head, "energy");
    band_rows(p, isgi_json_object(total, "energy_pj"), isgi_json_band(total, "total_pj").typical, isgi_show_energy);
    isgi_page_text(p, "</table></div><br>");
    isgi_page_format(p, head, "latency");
    band_rows(p, isgi_json_object(total, "time_ns"), isgi_json_band(total, "latency_ns").typical, isgi_show_time);
    isgi_page_text(p, "</table></div></section>\n");
}

static void sources(isgi_page *p, const cJSON *document)
{
    const cJSON *numbers = isgi_json_list(isgi_json_object(document, "profile"), "numbers"), *n;
    isgi_page_text(p,
                   "<section><details><summary>Every number of the profile and its source</summary>"
                   "<div class=\"wide\"><table><tr><th>number</th><th>value</th><th class=\"left\">unit</th>"
                   "<th class=\"left\">node</th><th class=\"left\">how sure</th><th class=\"left\">source</th></tr>\n");
    cJSON_ArrayForEach(n, numbers)
    {
        const isgi_band v = isgi_json_band(n, "value");
        isgi_page_text(p, "<tr><td>");
        isgi_page_escape(p, isgi_json_text(n, "key"));
        if (v.low < v.high)
            isgi_page_format(p, "</td><td>%.6g (%.6g to %.6g)</td><td class=\"left\">", v.typical, v.low, v.high);
        else
            isgi_page_format(p, "</td><td>%.6g</td><td class=\"left\">", v.typical);
        isgi_page_escape(p, isgi_json_text(n, "unit"));
        isgi_page_text(p, "</td><td class=\"left\">");
        isgi_page_escape(p, isgi_json_text(n, "node"));
        isgi_page_text(p, "</td><td class=\"left\"><span class=\"tag\">");
        isgi_page_escape(p, isgi_json_text(n, "mark"));
        isgi_page_text(p, "</span></td><td class=\"text\">");
        isgi_page_escape(p, isgi_json_text(n, "source"));
        isgi_page_text(p, "</td></tr>\n");
    }
    isgi_page_text(p, "</table></div></details></section>\n");
}

static void notes(isgi_page *p, const cJSON *document)
{
    const cJSON *list = isgi_json_list(isgi_json_object(isgi_json_object(document, "result"), "total"), "notes"), *note;
    if (cJSON_GetArraySize(list) == 0) return;
    isgi_page_text(p, "<section><h2>Notes</h2><ul>");
    cJSON_ArrayForEach(note, list)
    {
        isgi_page_text(p, "<li>");
        if (cJSON_IsString(note)) isgi_page_escape(p, note->valuestring);
        isgi_page_text(p, "</li>");
    }
    isgi_page_text(p, "</ul></section>\n");
}

void isgi_sim_run_page(isgi_page *p, const cJSON *document)
{
    const cJSON *profile = isgi_json_object(document, "profile"), *result = isgi_json_object(document, "result");
    if (!profile) isgi_page_missing(p, "profile");
    if (!isgi_json_object(result, "total")) isgi_page_missing(p, "result");
    isgi_page_begin(p, isgi_file_name(isgi_json_text(document, "model")));
    isgi_page_text(p, "<h1>");
    isgi_page_escape(p, isgi_file_name(isgi_json_text(document, "model")));
    isgi_page_text(p, " on ");
    isgi_page_escape(p, isgi_json_text(profile, "name"));
    isgi_page_text(p, "</h1>\n<p class=\"soft\">");
    isgi_page_escape(p, isgi_json_text(profile, "title"));
    if (!strstr(isgi_json_text(profile, "title"), isgi_json_text(profile, "node"))) {
        isgi_page_text(p, ", ");
        isgi_page_escape(p, isgi_json_text(profile, "node"));
    }
    isgi_page_text(p, "; mode ");
    isgi_page_escape(p, isgi_json_text(result, "mode"));
    isgi_page_format(p, ", batch %.0f", isgi_json_number(result, "batch"));
    if (*isgi_json_text(document, "form")) {
        isgi_page_text(p, "; as if stored in form ");
        isgi_page_escape(p, isgi_json_text(document, "form"));
    }
    isgi_page_text(p, "</p>\n<p class=\"soft\">");
    isgi_page_escape(p, isgi_json_text(profile, "note"));
    isgi_page_text(p, "</p>\n");
    tiles(p, document);
    ways_chart(p, document);
    isgi_sim_roofline(p, document);
    layers_chart(p, document);
    traffic_table(p, document);
    band_tables(p, document);
    notes(p, document);
    sources(p, document);
    isgi_page_end(p, ISGI_SIM_NOTE);
}
