/* SPDX-License-Identifier: Apache-2.0 */
/* The page of one network stored by rival methods: bytes against accuracy, every row, how it was measured, and where
 * the bits go. */
#include <insitu/memory.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/methods_rows.h"

#define LEFT 320.0 /* pixels of the labels of bars */
#define BAR_WIDTH 590.0
#define BAR_HEIGHT 18.0
#define ROW 28.0
#define POINT 0.01 /* of accuracy */

static const int section_colours[ISGI_SECTIONS] = {0, 3, 2, 4, 5};

/* ---- figures ---- */

/* Long lists of parameters may break after a comma, paths after a slash. */
static void breakable(isgi_page *p, const char *text)
{
    while (*text) {
        const size_t whole = strlen(text), part = strcspn(text, ",/");
        const size_t n = part < whole ? part + 1 : whole;
        isgi_page_escape_part(p, text, n);
        if (n < whole) isgi_page_text(p, "<wbr>");
        text += n;
    }
}

static void tile(isgi_page *p, const char *value, const char *name)
{
    isgi_page_format(p, "<div class=\"tile\"><b>%s</b><span>%s</span></div>", value, name);
}

static void tiles(isgi_page *p, const isgi_rows *r)
{
    char text[ISGI_UNIT_TEXT];
    const isgi_row *least = NULL;
    isgi_page_text(p, "<div class=\"tiles\">");
    tile(p, isgi_show_bytes(text, r->bytes), "weights and biases of the original, in float32");
    tile(p, isgi_show_count(text, r->weights), "weights");
    if (r->labelled) {
        (void)snprintf(text, sizeof text, "%.2f %%", 100.0 * r->accuracy);
        tile(p, text, "accuracy of the original");
    }
    for (int i = 0; i < r->count && !least; i++)
        if (r->accuracy - r->rows[i].accuracy <= POINT) least = &r->rows[i]; /* never without accuracies */
    if (least) {
        isgi_page_format(p,
                         "<div class=\"tile\" style=\"overflow-wrap:anywhere\"><b>%.2f %%</b><span>of the bytes: the "
                         "smallest that loses at most a point of accuracy, ",
                         100.0 * least->ratio);
        breakable(p, least->text);
        isgi_page_text(p, "</span></div>");
    }
    isgi_page_text(p, "</div>\n");
}

/* ---- table ---- */

static void cell(isgi_page *p, const char *format, double v) __attribute__((format(printf, 2, 0)));
static void cell(isgi_page *p, const char *format, double v)
{
    char text[64];
    if (isfinite(v))
        (void)snprintf(text, sizeof text, format, v);
    else
        (void)snprintf(text, sizeof text, "–");
    isgi_page_format(p, "<td>%s</td>", text);
}

static void table_row(isgi_page *p, const isgi_rows *r, int i)
{
    const isgi_row *row = &r->rows[i];
    char text[ISGI_UNIT_TEXT];
    isgi_page_format(p, "<tr><td>%d</td><td class=\"text\" style=\"overflow-wrap:anywhere\">", i + 1);
    breakable(p, row->text);
    if (row->family < 0)
        isgi_page_format(p, " <span class=\"tag\">file of this tool, %s on disk</span>",
                         isgi_show_bytes(text, row->file_bytes));
    if (row->diverged) isgi_page_text(p, " <span class=\"tag\">training diverged: untrained</span>");
    if (row->rest) isgi_page_format(p, " <span class=\"tag\">%d of %d layers plain</span>", row->rest, row->layers);
    isgi_page_text(p, "</td>");
    cell(p, "%.3f", row->bits);
    cell(p, "%.0f", row->bytes);
    cell(p, "%.2f %%", 100.0 * row->ratio);
    cell(p, "%.3g", row->error);
    cell(p, "%.2f", row->operations);
    if (r->labelled) {
        cell(p, "%.2f %%", 100.0 * row->accuracy);
        cell(p, "%.2f", 100.0 * (r->accuracy - row->accuracy));
    }
    isgi_page_text(p, row->on_front ? "<td class=\"best\">yes</td></tr>\n" : "<td class=\"soft\">no</td></tr>\n");
}

static void table(isgi_page *p, const isgi_rows *r, const cJSON *document)
{
    isgi_page_text(p, "<section><h2>All rows</h2><p class=\"soft\">By bytes, which are those of weights, biases and "
                      "other constants of all layers. Bits a weight count the layers that a method has a form for");
    for (int i = 0, told = 0; i < r->count && !told; i++) {
        told = r->rows[i].rest > 0;
        if (told && isgi_json_number(document, "rest_bits") < 32.0)
            isgi_page_format(p, "; plain layers are the others, in %.0f uniform bits",
                             isgi_json_number(document, "rest_bits"));
        else if (told)
            isgi_page_text(p, "; plain layers are the others, in float32");
    }
    isgi_page_text(p, ". Weight error: squared differences over squared weights. Operations: multiply-adds and "
                      "shift-adds to make a weight from its bits.</p><div class=\"wide\"><table><tr><th>no.</th>"
                      "<th class=\"left\">method</th><th>bits a weight</th><th>bytes</th><th>of the original</th>"
                      "<th>weight error</th><th>operations a weight</th>");
    if (r->labelled) isgi_page_text(p, "<th>accuracy</th><th>drop (points)</th>");
    isgi_page_text(p, "<th>on the front</th></tr>\n");
    for (int i = 0; i < r->count; i++) table_row(p, r, i);
    isgi_page_text(p, "</table></div></section>\n");
}

/* ---- how it was measured ---- */

static void begin_fact(isgi_page *p, const char *name)
{
    isgi_page_format(p, "<tr><td>%s</td><td class=\"text\" style=\"overflow-wrap:anywhere\">", name);
}

static void text_fact(isgi_page *p, const char *name, const cJSON *document, const char *key)
{
    begin_fact(p, name);
    isgi_page_escape(p, isgi_json_text(document, key));
    isgi_page_text(p, "</td></tr>\n");
}

static void data_facts(isgi_page *p, const cJSON *document)
{
    const cJSON *tune = isgi_json_object(document, "tune");
    text_fact(p, "data", document, "data");
    text_fact(p, "split", document, "split");
    begin_fact(p, "images");
    isgi_page_format(p, "%.0f%s</td></tr>\n", isgi_json_number(document, "images"),
                     cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(document, "subset"))
                         ? " <span class=\"tag\">subset</span>"
                         : ", the whole set");
    text_fact(p, "input", document, "input");
    begin_fact(p, "output of class 0");
    isgi_page_format(p, "%.0f</td></tr>\n", isgi_json_number(document, "label_offset"));
    begin_fact(p, "training");
    if (tune)
        isgi_page_format(p,
                         "%.0f steps of %.0f images each against the original, learning rate %g, the same for every "
                         "method</td></tr>\n",
                         isgi_json_number(tune, "steps"), isgi_json_number(tune, "batch"),
                         isgi_json_number(tune, "learning_rate"));
    else
        isgi_page_text(p, "none</td></tr>\n");
}

static void setting(isgi_page *p, const isgi_rows *r, const cJSON *document)
{
    const double rest = isgi_json_number(document, "rest_bits");
    isgi_page_text(p,
                   "<section><h2>How it was measured</h2><p class=\"soft\">Every weight was made again from the bytes "
                   "that are counted.");
    if (r->files && isgi_json_object(document, "tune"))
        isgi_page_text(p, " The training is that of the methods; files of this tool are measured as they are.");
    isgi_page_text(p, "</p><div class=\"wide\"><table>\n");
    text_fact(p, "model", document, "model");
    if (r->labelled)
        data_facts(p, document);
    else {
        begin_fact(p, "data");
        isgi_page_text(p, "none: weights alone were compared</td></tr>\n");
    }
    begin_fact(p, "layers kept in float32");
    isgi_page_format(p, "%d", r->kept);
    if (*isgi_json_text(document, "keep")) isgi_page_text(p, ", by the expression ");
    isgi_page_escape(p, isgi_json_text(document, "keep"));
    isgi_page_text(p, "</td></tr>\n");
    begin_fact(p, "layers that a method has no form for");
    if (rest < 32.0)
        isgi_page_format(p, "in uniform codes of %.0f bits</td></tr>\n", rest);
    else
        isgi_page_text(p, "in float32</td></tr>\n");
    isgi_page_text(p, "</table></div></section>\n");
}

/* ---- where the bits go ---- */

static double bits_of(const isgi_row *row)
{
    double sum = 0.0;
    for (int i = 0; i < ISGI_SECTIONS; i++) sum += row->section_bits[i];
    return sum;
}

/* The beginning names the method; a UTF-8 character is not cut. */
static void bar_label(isgi_page *p, const char *text, int number, double y)
{
    char label[44];
    size_t n = strlen(text);
    if (n >= sizeof label) {
        for (n = sizeof label - 4; n && ((unsigned char)text[n] & 0xc0) == 0x80;) n--;
        memcpy(label, text, n);
        memcpy(label + n, "\xe2\x80\xa6", 4);
    } else {
        memcpy(label, text, n + 1);
    }
    isgi_page_format(p, "<text class=\"soft small\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 10.0, y + 13.5);
    isgi_page_escape(p, label);
    isgi_page_format(p, " (%d)</text>", number);
}

static void bar(isgi_page *p, const isgi_row *row, double y, double most)
{
    double x = LEFT;
    for (int i = 0; i < ISGI_SECTIONS; i++) {
        const double width = row->section_bits[i] / most * BAR_WIDTH;
        if (width < 0.05) continue;
        isgi_page_format(p,
                         "<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"1.5\"><title>"
                         "%s %.3f bits a weight</title></rect>",
                         section_colours[i], x, y, width > 1.6 ? width - 0.8 : width, BAR_HEIGHT, isgi_sections[i],
                         row->section_bits[i]);
        x += width;
    }
    isgi_page_format(p, "<text class=\"small\" x=\"%.1f\" y=\"%.1f\">%.2f</text>", x + 8.0, y + 13.5, bits_of(row));
}

static void section_legend(isgi_page *p)
{
    static const char *const told[ISGI_SECTIONS] = {"numbers of few bits: weights, coefficients",
                                                    "what codes are multiplied with", "numbers that weights share",
                                                    "which numbers there are", "places, patterns, orders"};
    isgi_page_text(p, "<div class=\"legend\">");
    for (int i = 0; i < ISGI_SECTIONS; i++)
        isgi_page_format(p, "<span><i class=\"b%d\"></i>%s: %s</span>", section_colours[i], isgi_sections[i], told[i]);
    isgi_page_text(p, "</div>\n");
}

static void bars(isgi_page *p, const isgi_rows *r)
{
    double most = 0.0, y = 8.0;
    const double bottom = (r->count - r->files) * ROW + 8.0;
    for (int i = 0; i < r->count; i++) most = fmax(most, bits_of(&r->rows[i]));
    most = isgi_round_up(most);
    isgi_page_text(p,
                   "<section><h2>Where the bits go</h2><p class=\"soft\">Bits a weight of the layers that the method "
                   "stores in its own form");
    if (r->files) isgi_page_text(p, "; files of this tool do not tell");
    isgi_page_text(p, ". Hover a segment for its value.</p>\n");
    section_legend(p);
    isgi_page_format(p,
                     "<div class=\"wide\"><svg viewBox=\"0 0 1000 %.0f\" role=\"img\" aria-label=\"bits a weight by "
                     "what they are\">",
                     bottom + 54.0);
    for (int i = 0; i <= 4; i++) {
        const double x = LEFT + BAR_WIDTH * i / 4.0;
        isgi_page_format(
            p,
            "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"2\" y2=\"%.1f\"/><text class=\"soft small\" "
            "x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g</text>",
            x, x, bottom, x, bottom + 17.0, most * i / 4.0);
    }
    isgi_page_format(p, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">bits a weight</text>",
                     LEFT + BAR_WIDTH / 2.0, bottom + 40.0);
    for (int i = 0; i < r->count; i++) {
        if (r->rows[i].family < 0) continue;
        bar_label(p, r->rows[i].text, i + 1, y);
        bar(p, &r->rows[i], y, most);
        y += ROW;
    }
    isgi_page_text(p, "</svg></div></section>\n");
}

/* ---- the page ---- */

static void head(isgi_page *p, const isgi_rows *r, const cJSON *document)
{
    const char *name = isgi_file_name(isgi_json_text(document, "model"));
    isgi_page_begin(p, name);
    isgi_page_text(p, "<h1>");
    isgi_page_escape(p, name);
    isgi_page_format(p, " stored by rival methods</h1>\n<p class=\"soft\">%d method%s in %d setting%s", r->families,
                     r->families == 1 ? "" : "s", r->count - r->files, r->count - r->files == 1 ? "" : "s");
    if (r->files) isgi_page_format(p, ", beside %d compressed file%s of this tool", r->files, r->files == 1 ? "" : "s");
    isgi_page_text(p, "</p>\n");
}

void isgi_methods_page(isgi_page *p, const cJSON *document)
{
    isgi_rows r;
    isgi_rows_read(&r, p, document);
    if (p->status == ISG_OK) {
        head(p, &r, document);
        tiles(p, &r);
        isgi_methods_plot(p, &r);
        table(p, &r, document);
        setting(p, &r, document);
        bars(p, &r);
        isgi_page_end(p, "Sizes and accuracies were measured, by the settings above.");
    }
    isgi_rows_clear(&r);
}
