/* SPDX-License-Identifier: Apache-2.0 */
/* The roofline: work a second against operations a byte, for every layer and every way to run the network. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page.h"

typedef struct roof {
    double peak, bandwidth; /* GOP/s, GB/s */
    const char *memory;
    isgi_log_axis x, y;
} roof;

static double tier_traffic(const cJSON *document, const char *name)
{
    const cJSON *total = isgi_json_object(isgi_json_object(document, "result"), "total"), *way, *stream;
    const cJSON *tier = isgi_json_object(isgi_json_object(total, "traffic_bytes"), name);
    static const char *const directions[] = {"read", "written"};
    double sum = 0.0;
    for (int d = 0; d < 2; d++) {
        way = isgi_json_object(tier, directions[d]);
        cJSON_ArrayForEach(stream, way) sum += cJSON_IsNumber(stream) ? stream->valuedouble : 0.0;
    }
    return sum;
}

/* The memory whose line is drawn: off the chip if anything moves there, else the slowest that is used. */
static void find_memory(roof *r, const cJSON *document)
{
    const cJSON *tier;
    int outside = 0;
    cJSON_ArrayForEach(tier, isgi_json_list(isgi_json_object(document, "profile"), "tiers"))
    {
        const char *name = isgi_json_text(tier, "name");
        const double speed = isgi_json_band(tier, "bandwidth_gb_s").typical;
        const int off = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tier, "off_chip"));
        if (!(speed > 0.0) || tier_traffic(document, name) <= 0.0 || (outside && !off)) continue;
        if ((off && !outside) || r->bandwidth <= 0.0 || speed < r->bandwidth) {
            r->bandwidth = speed;
            r->memory = name;
        }
        outside |= off;
    }
}

/* Operations a byte and GOP/s of a result; 0 when nothing moves. */
static int point_of(const cJSON *result, double *intensity, double *speed)
{
    const double ns = isgi_json_band(result, "latency_ns").typical;
    *intensity = isgi_json_number(result, "operational_intensity");
    *speed = ns > 0.0 ? 2.0 * isgi_json_number(result, "dense_macs") / ns : 0.0;
    return *intensity > 0.0 && *speed > 0.0;
}

static void extend(const cJSON *result, double box[4])
{
    double x, y;
    if (!point_of(result, &x, &y)) return;
    box[0] = fmin(box[0], x);
    box[1] = fmax(box[1], x);
    box[2] = fmin(box[2], y);
    box[3] = fmax(box[3], y);
}

static void fit_axes(roof *r, const cJSON *document)
{
    const double ridge = r->bandwidth > 0.0 ? r->peak / r->bandwidth : 1.0;
    double box[4] = {ridge / 4.0, ridge * 4.0, r->peak / 10.0, r->peak * 1.3};
    const cJSON *item;
    cJSON_ArrayForEach(item, isgi_json_list(isgi_json_object(document, "result"), "layers")) extend(item, box);
    cJSON_ArrayForEach(item, isgi_json_list(document, "ways")) extend(isgi_json_object(item, "total"), box);
    r->x.from = 78.0;
    r->x.to = 960.0;
    r->y.from = 430.0;
    r->y.to = 16.0;
    isgi_axis_fit(&r->x, box[0], box[1]);
    isgi_axis_fit(&r->y, box[2], box[3]);
}

static void tick(char *dst, size_t size, int decade)
{
    if (decade >= -3 && decade <= 5)
        (void)snprintf(dst, size, "%.*f", decade < 0 ? -decade : 0, pow(10.0, decade));
    else
        (void)snprintf(dst, size, "1e%d", decade);
}

static void draw_axes(isgi_page *p, const roof *r)
{
    char text[32];
    for (int d = r->x.low; d <= r->x.high; d++) {
        const double x = isgi_axis_place(&r->x, pow(10.0, d));
        tick(text, sizeof text, d);
        isgi_page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x, r->y.to,
                         r->y.from);
        isgi_page_format(p, "<text class=\"soft small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", x,
                         r->y.from + 18.0, text);
    }
    for (int d = r->y.low; d <= r->y.high; d++) {
        const double y = isgi_axis_place(&r->y, pow(10.0, d));
        tick(text, sizeof text, d);
        isgi_page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", r->x.from,
                         r->x.to, y, y);
        isgi_page_format(p, "<text class=\"soft small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                         r->x.from - 8.0, y + 4.0, text);
    }
    isgi_page_format(
        p,
        "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">operations of the plain network "
        "a byte moved (OP/B)</text>",
        (r->x.from + r->x.to) / 2.0, r->y.from + 42.0);
    isgi_page_format(p,
                     "<text class=\"soft\" transform=\"translate(18 %.1f) rotate(-90)\" text-anchor=\"middle\">speed "
                     "reached (GOP/s)</text>",
                     (r->y.from + r->y.to) / 2.0);
}

/* Up the memory's slope to the ridge, then flat at the peak. */
static void draw_roof(isgi_page *p, const roof *r)
{
    const double left = pow(10.0, r->x.low), right = pow(10.0, r->x.high), bottom = pow(10.0, r->y.low);
    const double ridge = r->bandwidth > 0.0 ? r->peak / r->bandwidth : left;
    const double y = isgi_axis_place(&r->y, r->peak);
    double x0 = left, y0 = r->bandwidth * left, xm;
    if (y0 < bottom && r->bandwidth > 0.0) {
        x0 = bottom / r->bandwidth;
        y0 = bottom;
    }
    if (r->bandwidth > 0.0 && ridge > left)
        isgi_page_format(p, "<path class=\"roof\" d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1f\"/>", isgi_axis_place(&r->x, x0),
                         isgi_axis_place(&r->y, y0), isgi_axis_place(&r->x, ridge), y, r->x.to, y);
    else
        isgi_page_format(p, "<path class=\"roof\" d=\"M%.1f %.1fL%.1f %.1f\"/>", r->x.from, y, r->x.to, y);
    isgi_page_format(p, "<text class=\"halo\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">peak %.*f GOP/s</text>",
                     r->x.to - 6.0, y - 8.0, r->peak < 10.0 ? 2 : 0, r->peak);
    if (!(r->bandwidth > 0.0) || ridge <= left || ridge >= right) return;
    xm = sqrt(x0 * ridge);
    isgi_page_format(
        p, "<text text-anchor=\"middle\" transform=\"translate(%.1f %.1f) rotate(%.1f)\">", isgi_axis_place(&r->x, xm),
        isgi_axis_place(&r->y, xm * r->bandwidth) - 10.0,
        -atan2((r->y.from - r->y.to) / (r->y.high - r->y.low), (r->x.to - r->x.from) / (r->x.high - r->x.low)) *
            57.29578);
    isgi_page_escape(p, r->memory);
    isgi_page_format(p, " %.4g GB/s</text>", r->bandwidth);
}

static int draw_layers(isgi_page *p, const roof *r, const cJSON *document)
{
    const cJSON *layer;
    int left_out = 0;
    double x, y;
    cJSON_ArrayForEach(layer, isgi_json_list(isgi_json_object(document, "result"), "layers"))
    {
        if (!point_of(layer, &x, &y)) {
            left_out++;
            continue;
        }
        isgi_page_format(p, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"><title>", isgi_axis_place(&r->x, x),
                         isgi_axis_place(&r->y, y));
        isgi_page_escape(p, isgi_json_text(layer, "name"));
        isgi_page_format(p, ": %.3g OP/B, %.3g GOP/s, ", x, y);
        isgi_page_escape(p, isgi_json_text(layer, "mode"));
        isgi_page_text(p, ", bound by ");
        isgi_page_escape(p, isgi_json_text(layer, "binding"));
        isgi_page_text(p, "</title></circle>");
    }
    return left_out;
}

#define WAYS_MAX 16
#define DOTS_MAX 256
typedef struct placed {
    double x, y, lx, ly; /* the diamond; the left end of its label's baseline */
    int side;            /* of the diamond: -1 left, 0 above or below, 1 right */
    const char *name;
} placed;

/* What labels keep clear of. */
typedef struct obstacles {
    placed ways[WAYS_MAX];
    double dots[DOTS_MAX][2];
    int way_count, dot_count;
} obstacles;

#define LABEL_WIDTH 62.0
#define LABEL_HEIGHT 16.0

static int over(double x, double y, const placed *w)
{
    return x > w->lx - 9.0 && x < w->lx + LABEL_WIDTH + 9.0 && y > w->ly - 20.0 && y < w->ly + 10.0;
}

static int label_is_free(const obstacles *o, int self)
{
    const placed *w = &o->ways[self];
    for (int i = 0; i < o->dot_count; i++)
        if (over(o->dots[i][0], o->dots[i][1], w)) return 0;
    for (int i = 0; i < o->way_count; i++) {
        if (over(o->ways[i].x, o->ways[i].y, w)) return 0;
        if (i < self && fabs(o->ways[i].lx - w->lx) < LABEL_WIDTH && fabs(o->ways[i].ly - w->ly) < LABEL_HEIGHT)
            return 0;
    }
    return 1;
}

/* Near its diamond where nothing else stands, trying wider circles. */
static void place_label(obstacles *o, int self)
{
    static const double around[8][2] = {{1, 0}, {-1, 0}, {0, -1}, {0, 1}, {1, -1}, {1, 1}, {-1, -1}, {-1, 1}};
    placed *w = &o->ways[self];
    for (double reach = 14.0; reach < 120.0; reach += 8.0)
        for (int i = 0; i < 8; i++) {
            w->side = (int)around[i][0];
            w->lx = w->x + w->side * reach - (1 - w->side) * LABEL_WIDTH / 2.0;
            w->ly = w->y + around[i][1] * (reach + 6.0) + 4.5;
            if (label_is_free(o, self)) return;
        }
}

static void collect_obstacles(obstacles *o, const roof *r, const cJSON *document)
{
    const cJSON *item;
    double x, y;
    cJSON_ArrayForEach(item, isgi_json_list(isgi_json_object(document, "result"), "layers"))
    {
        if (o->dot_count == DOTS_MAX || !point_of(item, &x, &y)) continue;
        o->dots[o->dot_count][0] = isgi_axis_place(&r->x, x);
        o->dots[o->dot_count++][1] = isgi_axis_place(&r->y, y);
    }
    cJSON_ArrayForEach(item, isgi_json_list(document, "ways"))
    {
        placed *w = &o->ways[o->way_count];
        if (!strcmp(isgi_json_text(item, "mode"), "auto") || !point_of(isgi_json_object(item, "total"), &x, &y))
            continue;
        if (o->way_count == WAYS_MAX) break;
        w->x = isgi_axis_place(&r->x, x);
        w->y = isgi_axis_place(&r->y, y);
        w->name = isgi_json_text(item, "mode");
        o->way_count++;
    }
}

/* Whole-network totals as diamonds with labels. */
static void draw_ways(isgi_page *p, const roof *r, const cJSON *document)
{
    static const char *const anchors[3] = {"end", "middle", "start"};
    obstacles o = {.way_count = 0};
    collect_obstacles(&o, r, document);
    for (int i = 0; i < o.way_count; i++) place_label(&o, i);
    for (int i = 0; i < o.way_count; i++) {
        const placed *w = &o.ways[i];
        const double near = w->lx + (1 - w->side) * LABEL_WIDTH / 2.0, across = w->ly - 4.5;
        if (hypot(near - w->x, across - w->y) > 24.0)
            isgi_page_format(p, "<line class=\"lead\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", w->x, w->y,
                             near, across);
    }
    for (int i = 0; i < o.way_count; i++) {
        const placed *w = &o.ways[i];
        isgi_page_format(p, "<path class=\"mark\" d=\"M%.1f %.1fl8 8l-8 8l-8-8z\"/>", w->x, w->y - 8.0);
        isgi_page_format(p, "<text class=\"halo\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                         w->lx + (1 - w->side) * LABEL_WIDTH / 2.0, w->ly, anchors[w->side + 1]);
        isgi_page_escape(p, w->name);
        isgi_page_text(p, "</text>");
    }
}

void isgi_sim_roofline(isgi_page *p, const cJSON *document)
{
    roof r = {0};
    int left_out;
    r.peak = isgi_json_number(isgi_json_object(document, "profile"), "peak_gops");
    r.memory = "";
    if (!(r.peak > 0.0) ||
        isgi_json_number(isgi_json_object(isgi_json_object(document, "result"), "total"), "far_bytes") <= 0.0)
        return;
    find_memory(&r, document);
    fit_axes(&r, document);
    isgi_page_text(p, "<section><h2>Roofline</h2><p class=\"soft\">Circles: layers in the chosen mode (hover for the "
                      "name). Diamonds: the whole network in every way. Work is counted as the plain network's, so a "
                      "way that needs fewer multiply-adds may rise above the roof.</p>\n"
                      "<div class=\"wide\"><svg viewBox=\"0 0 1000 480\" role=\"img\" aria-label=\"roofline\">");
    draw_axes(p, &r);
    draw_roof(p, &r);
    left_out = draw_layers(p, &r, document);
    draw_ways(p, &r, document);
    isgi_page_text(p, "</svg></div>");
    if (left_out)
        isgi_page_format(p, "<p class=\"soft\">%d layers move no bytes beyond the buffers and have no place here.</p>",
                         left_out);
    isgi_page_text(p, "</section>\n");
}
