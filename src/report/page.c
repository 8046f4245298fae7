/* SPDX-License-Identifier: Apache-2.0 */
/* Text, style and units of pages. */
#include "report/page.h"

#include <insitu/report.h>
#include <insitu/version.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"
#include "host/plain_numbers.h"

#define PAGE_MAX ((size_t)64 << 20)

/* Names as in the cost model; colours c0.. of the style follow this order. */
const char *const isgi_causes[ISGI_CAUSES] = {"weights", "activations", "buffer", "generation", "compute", "adc",
                                              "dac",     "laser",       "tuning", "detector",   "program", "static"};

static const char style[] =
    ":root{--bg:#fbfbfa;--card:#fff;--ink:#1c1d1f;--soft:#5b5f66;--line:#d9dadd;--grid:#ececee;--accent:#1f5fbf;"
    "--c0:#2b6cb8;--c1:#7cb0e4;--c2:#2a9d8f;--c3:#e07b1a;--c4:#6b4fa3;--c5:#c23b5a;--c6:#e79aae;--c7:#d4a70d;"
    "--c8:#8a9a2b;--c9:#a9743f;--c10:#4d5a66;--c11:#a7adb5}"
    "@media (prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1d2024;--ink:#e8e9eb;--soft:#a2a7af;--line:#3a3f46;"
    "--grid:#2a2e34;--accent:#7fb1f5;--c0:#5b9be6;--c1:#a9cdf2;--c2:#4cc3b4;--c3:#f29a48;--c4:#a68be0;--c5:#ea6d8a;"
    "--c6:#f3b9c7;--c7:#e6c449;--c8:#b4c455;--c9:#cc9a68;--c10:#8796a5;--c11:#6c737c}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"
    "'Segoe UI','DejaVu Sans',sans-serif}main{max-width:1080px;margin:0 auto;padding:28px 24px 60px}"
    "h1{font-size:25px;line-height:1.25;margin:0 0 4px}h2{font-size:18px;margin:0 0 2px}p{margin:4px 0 12px}"
    ".soft{color:var(--soft)}section{background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "padding:18px 20px;margin:18px 0}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;margin:18px 0}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}"
    ".tile b{display:block;font-size:23px;font-weight:600}.tile span{color:var(--soft);font-size:13px}"
    "svg{display:block;width:100%;height:auto;overflow:visible}svg text{font:13px system-ui,-apple-system,'Segoe UI',"
    "'DejaVu Sans',sans-serif;fill:var(--ink)}svg .soft{fill:var(--soft)}svg .small{font-size:12px}"
    ".grid{stroke:var(--grid);stroke-width:1}.axis{stroke:var(--line);stroke-width:1}"
    ".roof{stroke:var(--ink);stroke-width:2;fill:none}.dot{fill:var(--accent);fill-opacity:.55;stroke:var(--card)}"
    ".halo{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}.lead{stroke:var(--soft);"
    "stroke-width:1}.mark{fill:var(--c3);stroke:var(--card);stroke-width:1.5}.whisk{stroke:var(--ink);stroke-width:1.5;"
    "fill:none}"
    ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:6px 0 10px;font-size:13px}"
    ".legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}"
    "table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}"
    "th,td{padding:5px 10px 5px 0;text-align:right;border-bottom:1px solid var(--grid);vertical-align:top}"
    "th{font-weight:600;color:var(--soft)}th:first-child,td:first-child{text-align:left}td.left,th.left{text-align:"
    "left}"
    ".wide{overflow-x:auto}.wide "
    "svg{min-width:760px}td{white-space:nowrap}td.text{white-space:normal;text-align:left;min-width:220px}summary{"
    "cursor:pointer;font-weight:600}.best{font-weight:700;color:var(--accent)}"
    ".tag{border:1px solid var(--line);border-radius:9px;padding:0 7px;font-size:12px;color:var(--soft);white-space:"
    "nowrap}";

void isgi_page_text(isgi_page *p, const char *text)
{
    if (p->status == ISG_OK) p->status = isgi_buffer_append(&p->text, text, strlen(text), p->err);
}

void isgi_page_format(isgi_page *p, const char *format, ...)
{
    va_list args;
    uint8_t *room;
    int n;
    if (p->status != ISG_OK) return;
    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    p->status = n < 0 ? isgi_fail(p->err, ISG_E_INTERNAL, "a line of the page has no length")
                      : isgi_buffer_extend(&p->text, (size_t)n + 1, &room, p->err);
    if (p->status != ISG_OK) return;
    va_start(args, format);
    (void)vsnprintf((char *)room, (size_t)n + 1, format, args);
    va_end(args);
    p->text.size--; /* without the NUL */
}

void isgi_page_escape(isgi_page *p, const char *text)
{
    isgi_page_escape_part(p, text, strlen(text));
}

void isgi_page_escape_part(isgi_page *p, const char *text, size_t bytes)
{
    for (const char *end = text + bytes; text < end; text++) {
        const char one[2] = {*text, '\0'};
        switch (*text) {
        case '<': isgi_page_text(p, "&lt;"); break;
        case '>': isgi_page_text(p, "&gt;"); break;
        case '&': isgi_page_text(p, "&amp;"); break;
        case '"': isgi_page_text(p, "&quot;"); break;
        case '\'': isgi_page_text(p, "&#39;"); break;
        default: isgi_page_text(p, (unsigned char)*text < 0x20 ? " " : one); break;
        }
    }
}

void isgi_page_begin(isgi_page *p, const char *title)
{
    isgi_page_text(p, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                      "content=\"width=device-width,initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light "
                      "dark\">\n<title>");
    isgi_page_escape(p, title);
    isgi_page_text(p, "</title>\n<style>");
    isgi_page_text(p, style);
    for (int i = 0; i < ISGI_CAUSES; i++)
        isgi_page_format(p, ".f%d{fill:var(--c%d)}.b%d{background:var(--c%d)}", i, i, i, i);
    isgi_page_text(p, "</style></head>\n<body><main>\n");
}

void isgi_page_end(isgi_page *p, const char *note)
{
    isgi_page_format(p, "<p class=\"soft\">Made by insitu " ISG_VERSION_STRING ". %s</p>\n</main></body></html>\n",
                     note);
}

void isgi_page_missing(isgi_page *p, const char *what)
{
    if (p->status == ISG_OK) p->status = isgi_fail(p->err, ISG_E_FORMAT, "the document has no %s", what);
}

double isgi_json_number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? v->valuedouble : 0.0;
}

const char *isgi_json_text(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

const cJSON *isgi_json_list(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsArray(v) ? v : NULL;
}

const cJSON *isgi_json_object(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsObject(v) ? v : NULL;
}

isgi_band isgi_json_band(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    const isgi_band b = {isgi_json_number(v, "low"), isgi_json_number(v, "typical"), isgi_json_number(v, "high")};
    return b;
}

static char *scaled(char dst[ISGI_UNIT_TEXT], double value, const char *const *units, int count)
{
    int u = 0;
    while (u + 1 < count && fabs(value) >= 999.5) {
        value /= 1000.0;
        u++;
    }
    (void)snprintf(dst, ISGI_UNIT_TEXT, "%.*f%s",
                   fabs(value) >= 99.95 || value == 0.0 ? 0
                   : fabs(value) >= 9.995               ? 1
                                                        : 2,
                   value, units[u]);
    return dst;
}

char *isgi_show_energy(char dst[ISGI_UNIT_TEXT], double pj)
{
    static const char *const units[] = {" pJ", " nJ", " µJ", " mJ", " J", " kJ"};
    return scaled(dst, pj, units, 6);
}

char *isgi_show_time(char dst[ISGI_UNIT_TEXT], double ns)
{
    static const char *const units[] = {" ns", " µs", " ms", " s"};
    return scaled(dst, ns, units, 4);
}

char *isgi_show_bytes(char dst[ISGI_UNIT_TEXT], double bytes)
{
    static const char *const units[] = {" B", " kB", " MB", " GB", " TB"};
    return scaled(dst, bytes, units, 5);
}

char *isgi_show_count(char dst[ISGI_UNIT_TEXT], double n)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    return scaled(dst, n, units, 6);
}

const char *isgi_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

double isgi_round_up(double value)
{
    static const double steps[] = {1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0};
    double unit;
    if (!(value > 0.0)) return 1.0;
    unit = pow(10.0, floor(log10(value)));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * unit >= value) return steps[i] * unit;
    return 10.0 * unit;
}

void isgi_axis_fit(isgi_log_axis *a, double least, double most)
{
    if (!(least > 0.0) || !(most >= least)) {
        a->low = 0;
        a->high = 1;
        return;
    }
    a->low = (int)floor(log10(fmax(least, 1e-30)) + 1e-9);
    a->high = (int)ceil(log10(fmin(most, 1e30)) - 1e-9);
    if (a->high <= a->low) a->high = a->low + 1;
}

double isgi_axis_place(const isgi_log_axis *a, double value)
{
    const double share = (log10(value) - a->low) / (a->high - a->low);
    return a->from + share * (a->to - a->from);
}

int isgi_cause(const char *name)
{
    for (int i = 0; i < ISGI_CAUSES; i++)
        if (!strcmp(name, isgi_causes[i])) return i;
    return -1;
}

void isgi_page_legend(isgi_page *p, unsigned used)
{
    isgi_page_text(p, "<div class=\"legend\">");
    for (int i = 0; i < ISGI_CAUSES; i++)
        if (used & (1u << i)) isgi_page_format(p, "<span><i class=\"b%d\"></i>%s</span>", i, isgi_causes[i]);
    isgi_page_text(p, "</div>\n");
}

static isg_status make_page(char **html, size_t *bytes, const char *json, size_t json_bytes, isg_error *err)
{
    cJSON *document = cJSON_ParseWithLength(json, json_bytes);
    isgi_page p = {.status = ISG_OK, .err = err};
    const char *schema = isgi_json_text(document, "schema"), *kind = isgi_json_text(document, "kind");
    if (!document) return isgi_fail(err, ISG_E_FORMAT, "report: the input is not JSON");
    isgi_buffer_init(&p.text, PAGE_MAX);
    if (!strcmp(schema, "insitu.methods/1"))
        isgi_methods_page(&p, document);
    else if (strcmp(schema, "insitu.sim/1"))
        p.status = isgi_fail(err, ISG_E_FORMAT, "report: schema is neither insitu.sim/1 nor insitu.methods/1");
    else if (!strcmp(kind, "run"))
        isgi_sim_run_page(&p, document);
    else if (!strcmp(kind, "compare"))
        isgi_sim_compare_page(&p, document);
    else
        p.status = isgi_fail(err, ISG_E_FORMAT, "report: kind is neither run nor compare");
    if (p.status == ISG_OK) p.status = isgi_buffer_append(&p.text, "", 1, err);
    cJSON_Delete(document);
    if (p.status != ISG_OK) {
        isgi_buffer_free(&p.text);
        return p.status;
    }
    *html = isgi_buffer_take(&p.text, bytes);
    --*bytes;
    return ISG_OK;
}

isg_status isg_report_html(char **html, size_t *bytes, const char *json, size_t json_bytes, isg_error *err)
{
    isgi_plain_numbers plain;
    isg_status status;
    isgi_plain_numbers_begin(&plain);
    status = make_page(html, bytes, json, json_bytes, err);
    isgi_plain_numbers_end(&plain);
    return status;
}
