/* SPDX-License-Identifier: Apache-2.0 */
/* The picture of methods: bytes against accuracy, or against the weight error where no accuracy was measured. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/methods_rows.h"

#define LEFT 78.0
#define RIGHT 960.0
#define TOP 24.0
#define BOTTOM 430.0
#define MARK 6.0
#define LABELS_MAX 100 /* more would hide the marks; the rest have their titles */
#define NEAR 0.05      /* accuracy below the original's that the second picture shows */

typedef struct label {
    double x, y; /* of its middle */
    double half; /* of its width */
} label;

typedef struct plot {
    const isgi_rows *r;
    isgi_log_axis x, error;   /* x: bytes of the original's */
    double least, most, step; /* of accuracy */
    label labels[LABELS_MAX];
    int label_count;
} plot;

int isgi_family_colour(int family)
{
    /* the colours of the style, those that are told apart best first */
    static const int colours[ISGI_CAUSES] = {0, 3, 2, 5, 4, 7, 9, 1, 8, 6, 10, 11};
    return colours[family % ISGI_CAUSES];
}

/* ---- axes ---- */

/* The largest of 1, 2, 5 times a power of ten that is at most v, or the smallest that is at least v. */
static double round_step(double v, int up)
{
    static const double steps[] = {1.0, 2.0, 5.0, 10.0};
    const double unit = pow(10.0, floor(log10(v)));
    int s = 0;
    while (s < 3 && (up ? steps[s] * unit < v * (1.0 - 1e-9) : steps[s + 1] * unit <= v * (1.0 + 1e-9))) s++;
    return steps[s] * unit;
}

/* An axis of decades, placed so that the pixels from..to show no more than round numbers about least..most. */
static void fit_log(isgi_log_axis *a, double least, double most, double from, double to)
{
    const double low = round_step(least / 1.05, 0), high = round_step(most * 1.05, 1);
    double scale;
    isgi_axis_fit(a, low, high);
    scale = (to - from) / log10(high / low);
    a->from = from - (log10(low) - a->low) * scale;
    a->to = to + (a->high - log10(high)) * scale;
}

static void fit_accuracy(plot *s, double least, double most)
{
    s->step = round_step(fmax(most - least, 0.001) / 5.0, 1);
    s->least = fmax(floor(least / s->step - 0.1) * s->step, 0.0);
    s->most = fmin(ceil(most / s->step + 0.1) * s->step, 1.0);
}

static double place_y(const plot *s, double v)
{
    return s->r->labelled ? BOTTOM - (v - s->least) / (s->most - s->least) * (BOTTOM - TOP)
                          : isgi_axis_place(&s->error, v);
}

/* Whether the picture has a place for the row: an error of 0 has none on a logarithmic scale. */
static int place(const plot *s, const isgi_row *row, double *x, double *y)
{
    const double v = s->r->labelled ? row->accuracy : row->error;
    if (s->r->labelled ? !(v >= s->least - 1e-9) : !(v >= 1e-30)) return 0;
    *x = isgi_axis_place(&s->x, row->ratio);
    *y = place_y(s, v);
    return 1;
}

/* Where the ticks 1, 2, 5 of each decade are, or 1 alone, or some decades alone where there are many; 0: not here. */
static double tick(const isgi_log_axis *a, double from, double to, int decade, int step)
{
    static const double steps[] = {1.0, 2.0, 5.0};
    const double decades = (to - from) / (a->to - a->from) * (a->high - a->low);
    const int every = (int)ceil(decades / 12.0);
    const double v = steps[step] * pow(10.0, decade), at = isgi_axis_place(a, v);
    if (decade % every || (step && decades > 3.0)) return 0.0;
    return at >= fmin(from, to) - 0.5 && at <= fmax(from, to) + 0.5 ? v : 0.0;
}

static void grid_line(isgi_page *p, int upright, double at, double value, const char *unit)
{
    if (upright)
        isgi_page_format(p,
                         "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"soft "
                         "small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.6g%s</text>",
                         at, at, TOP, BOTTOM, at, BOTTOM + 18.0, value, unit);
    else
        isgi_page_format(p,
                         "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"soft "
                         "small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g%s</text>",
                         LEFT, RIGHT, at, at, LEFT - 8.0, at + 4.0, value, unit);
}

static void draw_axes(isgi_page *p, const plot *s)
{
    double v;
    for (int d = s->x.low; d <= s->x.high; d++)
        for (int k = 0; k < 3; k++)
            if ((v = tick(&s->x, LEFT, RIGHT, d, k)) > 0.0) grid_line(p, 1, isgi_axis_place(&s->x, v), 100.0 * v, " %");
    for (int d = s->error.low; !s->r->labelled && d <= s->error.high; d++)
        for (int k = 0; k < 3; k++)
            if ((v = tick(&s->error, BOTTOM, TOP, d, k)) > 0.0) grid_line(p, 0, isgi_axis_place(&s->error, v), v, "");
    for (int k = 0; s->r->labelled && s->least + k * s->step < s->most + s->step / 2.0; k++)
        grid_line(p, 0, place_y(s, s->least + k * s->step), 100.0 * (s->least + k * s->step), " %");
    isgi_page_format(p,
                     "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">bytes of weights and biases, "
                     "of the original's (%%), logarithmic scale</text>",
                     (LEFT + RIGHT) / 2.0, BOTTOM + 42.0);
    isgi_page_format(p,
                     "<text class=\"soft\" transform=\"translate(16 %.1f) rotate(-90)\" text-anchor=\"middle\">%s"
                     "</text>",
                     (TOP + BOTTOM) / 2.0,
                     s->r->labelled ? "accuracy: images classified correctly (%)"
                                    : "relative weight error, logarithmic scale; lower is better");
}

static void draw_original(isgi_page *p, const plot *s)
{
    const double y = s->r->labelled ? place_y(s, s->r->accuracy) : 0.0;
    if (!s->r->labelled) return;
    isgi_page_format(p,
                     "<line class=\"lead\" stroke-dasharray=\"6 4\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                     "<text class=\"small soft halo\" x=\"%.1f\" y=\"%.1f\">original %.2f %%</text>",
                     LEFT, RIGHT, y, y, LEFT + 6.0, y - 6.0, 100.0 * s->r->accuracy);
}

/* ---- rows ---- */

/* Settings of one method, in order of bytes; a row that has no place breaks the line. */
static void draw_family(isgi_page *p, const plot *s, int family)
{
    int open = 0;
    double x, y;
    isgi_page_format(p, "<path style=\"fill:none;stroke:var(--c%d);stroke-width:1.3;stroke-opacity:.75\" d=\"M0 0",
                     isgi_family_colour(family));
    for (int i = 0; i < s->r->count; i++) {
        if (s->r->rows[i].family != family) continue;
        if (place(s, &s->r->rows[i], &x, &y)) isgi_page_format(p, "%c%.1f %.1f", open ? 'L' : 'M', x, y);
        open = place(s, &s->r->rows[i], &x, &y);
    }
    isgi_page_text(p, "\"/>");
}

/* Steps: with so many bytes, the best that a smaller row reaches. An error of 0 leaves the picture downwards. */
static void draw_front(isgi_page *p, const plot *s)
{
    int open = 0;
    double x, y;
    isgi_page_text(p, "<path class=\"roof\" style=\"stroke-opacity:.45\" d=\"M0 0");
    for (int i = 0; i < s->r->count; i++) {
        const isgi_row *row = &s->r->rows[i];
        const int placed = place(s, row, &x, &y);
        if (!row->on_front || (!placed && !(open && !s->r->labelled))) continue;
        if (!placed) {
            isgi_page_format(p, "H%.1fV%.1f", isgi_axis_place(&s->x, row->ratio), BOTTOM);
            open = 0;
            break;
        }
        isgi_page_format(p, open ? "H%.1fV%.1f" : "M%.1f %.1f", x, y);
        open = 1;
    }
    if (open) isgi_page_format(p, "H%.1f", RIGHT);
    isgi_page_text(p, "\"/>");
}

static void draw_mark(isgi_page *p, const plot *s, const isgi_row *row)
{
    const int colour = row->family < 0 ? 0 : isgi_family_colour(row->family);
    double x, y;
    if (!place(s, row, &x, &y)) return;
    if (row->family < 0)
        isgi_page_format(p,
                         "<path style=\"fill:var(--ink);stroke:var(--card);stroke-width:1.5\" d=\"M%.1f %.1fl8 8l-8 "
                         "8l-8-8z\"><title>",
                         x, y - 8.0);
    else if (row->diverged)
        isgi_page_format(p,
                         "<circle style=\"fill:var(--card);stroke:var(--c%d);stroke-width:2\" cx=\"%.1f\" "
                         "cy=\"%.1f\" r=\"%.1f\"><title>",
                         colour, x, y, MARK - 1.0);
    else
        isgi_page_format(p,
                         "<circle class=\"f%d\" style=\"stroke:var(--card)\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\">"
                         "<title>",
                         colour, x, y, MARK);
    isgi_page_escape(p, row->text);
    isgi_page_format(p, ": %.2f %% of the bytes", 100.0 * row->ratio);
    if (s->r->labelled) isgi_page_format(p, ", accuracy %.2f %%", 100.0 * row->accuracy);
    if (isfinite(row->error)) isgi_page_format(p, ", weight error %.3g", row->error);
    isgi_page_text(p, row->family < 0 ? "</title></path>" : "</title></circle>");
}

/* ---- numbers beside marks ---- */

/* How badly a number would cover other numbers and marks there. */
static int crowd(const plot *s, const label *l)
{
    int n = 0;
    double x, y;
    for (int i = 0; i < s->label_count; i++)
        n +=
            4 * (fabs(s->labels[i].x - l->x) < s->labels[i].half + l->half + 1.0 && fabs(s->labels[i].y - l->y) < 14.0);
    for (int i = 0; i < s->r->count; i++) {
        if (!place(s, &s->r->rows[i], &x, &y)) continue;
        n += fabs(x - l->x) < l->half + MARK + 1.0 && fabs(y - l->y) < 6.0 + MARK;
    }
    return n + 8 * (l->x - l->half < LEFT || l->x + l->half > RIGHT || l->y < TOP - 14.0 || l->y > BOTTOM - 8.0);
}

/* Near its mark where it covers least, trying wider circles. */
static label find_label(const plot *s, double x, double y, int number)
{
    static const double around[8][2] = {{0, -1},     {1, 0},       {-1, 0},    {0, 1},
                                        {0.8, -0.8}, {-0.8, -0.8}, {0.8, 0.8}, {-0.8, 0.8}};
    label best = {x, y, 0.0};
    int least = -1;
    for (double reach = 15.0; reach < 64.0 && least != 0; reach += 8.0)
        for (int i = 0; i < 8 && least != 0; i++) {
            const double half = number < 10 ? 4.0 : number < 100 ? 8.0 : 14.0;
            const label l = {x + around[i][0] * (reach + half / 2.0), y + around[i][1] * reach, half};
            const int n = crowd(s, &l);
            if (least >= 0 && n >= least) continue;
            least = n;
            best = l;
        }
    return best;
}

static void draw_numbers(isgi_page *p, plot *s)
{
    double x, y;
    for (int i = 0; i < s->r->count && s->label_count < LABELS_MAX; i++) {
        label l;
        if (!place(s, &s->r->rows[i], &x, &y)) continue;
        l = find_label(s, x, y, i + 1);
        s->labels[s->label_count++] = l;
        if (hypot(l.x - x, l.y - y) > 24.0)
            isgi_page_format(p, "<line class=\"lead\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, y, l.x,
                             l.y);
        isgi_page_format(p, "<text class=\"small halo\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d</text>", l.x,
                         l.y + 4.2, i + 1);
    }
}

/* ---- the picture ---- */

static void draw(isgi_page *p, plot *s)
{
    int left_out = 0;
    double x, y;
    isgi_page_format(p,
                     "<div class=\"wide\"><svg viewBox=\"0 0 1000 480\" role=\"img\" aria-label=\"bytes against "
                     "%s\">",
                     s->r->labelled ? "accuracy" : "weight error");
    draw_axes(p, s);
    draw_original(p, s);
    for (int f = 0; f < s->r->families; f++) draw_family(p, s, f);
    draw_front(p, s);
    for (int i = 0; i < s->r->count; i++) draw_mark(p, s, &s->r->rows[i]);
    draw_numbers(p, s);
    isgi_page_text(p, "</svg></div>\n");
    for (int i = 0; i < s->r->count; i++) left_out += !place(s, &s->r->rows[i], &x, &y);
    if (s->label_count == LABELS_MAX)
        isgi_page_format(p, "<p class=\"soft\">The first %d have their numbers beside them.</p>\n", LABELS_MAX);
    if (left_out)
        isgi_page_format(p, "<p class=\"soft\">Without a place here: %d, since %s.</p>\n", left_out,
                         s->r->labelled ? "their accuracy is lower" : "their weight error is 0 or was not measured");
}

static void legend_row(isgi_page *p, const isgi_row *row, int number)
{
    const size_t skip = row->name_bytes + (row->family >= 0 && row->text[row->name_bytes] == ':');
    isgi_page_format(p, " <b>%d</b> ", number);
    isgi_page_escape(p, row->family < 0 ? row->text : row->text + skip);
}

/* A line for each name, with the numbers of its settings. */
static void legend(isgi_page *p, const isgi_rows *r)
{
    isgi_page_text(p, "<div class=\"legend\" style=\"overflow-wrap:anywhere\">");
    for (int f = 0; f < r->families; f++) {
        int named = 0;
        isgi_page_format(p, "<span><i class=\"b%d\"></i>", isgi_family_colour(f));
        for (int i = 0; i < r->count; i++) {
            const isgi_row *row = &r->rows[i];
            if (row->family != f) continue;
            if (!named) isgi_page_escape_part(p, row->text, row->name_bytes);
            named = 1;
            legend_row(p, row, i + 1);
        }
        isgi_page_text(p, "</span>");
    }
    for (int i = 0; i < r->count; i++) {
        if (r->rows[i].family >= 0) continue;
        isgi_page_text(p, "<span><i style=\"background:var(--ink);transform:rotate(45deg) scale(.8)\"></i>");
        legend_row(p, &r->rows[i], i + 1);
        isgi_page_text(p, "</span>");
    }
    isgi_page_text(p, "</div>\n");
}

/* Least and most of what is drawn upwards, from `lowest` on; 0 where there is nothing to draw. */
static int range(const isgi_rows *r, double lowest, double box[2])
{
    int n = 0;
    for (int i = 0; i < r->count; i++) {
        const double v = r->labelled ? r->rows[i].accuracy : r->rows[i].error;
        if (!(v >= lowest)) continue;
        box[0] = n ? fmin(box[0], v) : v;
        box[1] = n ? fmax(box[1], v) : v;
        n++;
    }
    return n;
}

/* Where some rows lose much, those that lose little lie on each other: they get a picture of their own. */
static void draw_near(isgi_page *p, const isgi_rows *r, const plot *whole)
{
    plot s = {.r = r, .x = whole->x};
    double box[2] = {0.0, 0.0};
    const double lowest = r->accuracy - NEAR;
    const int n = range(r, lowest, box);
    if (n < 2 || n == r->count || whole->most - whole->least < 4.0 * NEAR) return;
    fit_accuracy(&s, box[0], fmax(box[1], r->accuracy));
    isgi_page_format(p,
                     "<h2>Close to the original</h2><p class=\"soft\">The same from an accuracy of %.4g %% on.</p>\n",
                     100.0 * s.least);
    draw(p, &s);
}

/* Tells of the marks that there are. */
static void caption(isgi_page *p, const isgi_rows *r)
{
    int diverged = 0;
    for (int i = 0; i < r->count; i++) diverged |= r->rows[i].diverged;
    isgi_page_text(p, "<p class=\"soft\">Circles: methods, each name in its colour and joined by a thin line");
    if (diverged) isgi_page_text(p, "; hollow where the training diverged and was given up");
    isgi_page_text(p, ". ");
    if (r->files && r->labelled)
        isgi_page_text(p, "Diamonds in black (on dark pages white): compressed files of this tool. ");
    isgi_page_text(p, "Steps: the front, on which no row is better in one and as good in the other. Numbers are those "
                      "of the legend and the table.</p>\n");
}

void isgi_methods_plot(isgi_page *p, const isgi_rows *r)
{
    plot s = {.r = r};
    double box[2] = {0.1, 1.0};
    isgi_page_format(p, "<section><h2>Bytes against %s</h2>\n", r->labelled ? "accuracy" : "weight error");
    caption(p, r);
    fit_log(&s.x, r->rows[0].ratio, r->rows[r->count - 1].ratio, LEFT, RIGHT);
    if (r->labelled) {
        (void)range(r, 0.0, box);
        fit_accuracy(&s, fmin(box[0], r->accuracy), fmax(box[1], r->accuracy));
    } else {
        isgi_page_text(p,
                       "<p>No accuracy was measured. The weight error is the sum of the squared differences over the "
                       "sum of the squared weights: lower is better, and it says little about what a network "
                       "loses.</p>\n");
        (void)range(r, 1e-30, box);
        fit_log(&s.error, box[0], box[1], BOTTOM, TOP);
    }
    draw(p, &s);
    legend(p, r);
    if (r->labelled) draw_near(p, r, &s);
    isgi_page_text(p, "</section>\n");
}
