/* SPDX-License-Identifier: Apache-2.0 */
/* Report pages: self-contained, escaped, the numbers of the document on them, refusals, failing memory. */
#include <cjson/cJSON.h>
#include <insitu/report.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#include "host/alloc.h"

#define BAND(v) "{\"low\":" #v ",\"typical\":" #v ",\"high\":" #v "}"
#define RESULT(name, mode, energy, latency, ops)                                                                       \
    "{\"name\":\"" name "\",\"mode\":\"" mode                                                                          \
    "\",\"traffic_bytes\":{\"dram\":{\"read\":{\"basis\":1500},\"written\":{}}},\"far_bytes\":1500,"                   \
    "\"generation1_macs\":10,\"generation2_macs\":20,\"macs\":3000000,\"dense_macs\":3000000,"                         \
    "\"energy_pj\":{\"weights\":" BAND(1000) ",\"laser\":" BAND(energy) "},\"time_ns\":{\"compute\":" BAND(            \
        latency) "},\"total_pj\":" BAND(energy) ",\"latency_ns\":" BAND(latency) ",\"binding\":\"compute\","           \
                                                                                 "\"operational_intensity\":" #ops     \
                                                                                 ",\"notes\":[\"a <note>\"]}"
#define WAY(mode, energy) "{\"mode\":\"" mode "\",\"batch\":1,\"total\":" RESULT("total", mode, energy, 5000, 800) "}"
#define PROFILE                                                                                                        \
    "{\"name\":\"machine_a\",\"title\":\"a <machine> & more\",\"node\":\"22 nm\",\"note\":\"\",\"peak_gops\":1000,"    \
    "\"tiers\":[{\"name\":\"dram\",\"off_chip\":true,\"bandwidth_gb_s\":" BAND(                                        \
        10) "}],\"numbers\":[{\"key\":"                                                                                \
            "\"engine.rows\",\"value\":" BAND(                                                                         \
                32) ",\"unit\":\"1\",\"node\":\"-\",\"source\":\"a book\",\"mark\":\"seen\"}]}"

static const char run_document[] =
    "{\"schema\":\"insitu.sim/1\",\"kind\":\"run\",\"model\":\"dir/<net>.isg\",\"batch\":1,\"profile\":" PROFILE
    ",\"result\":{\"mode\":\"factored\",\"batch\":1,\"total\":" RESULT(
        "total", "factored", 7250000, 5000,
        800) ",\"layers\":[" RESULT("conv\\\"1", "factored", 4000000, 2000,
                                    90) "," RESULT("fc", "dense", 3250000, 3000,
                                                   2) "]},\"ways\":[" WAY("dense", 99000000) "," WAY("factored",
                                                                                                     7250000) "]}";

static const char compare_document[] =
    "{\"schema\":\"insitu.sim/1\",\"kind\":\"compare\",\"model\":\"net\",\"batch\":1,\"rows\":[{\"profile\":" PROFILE
    ",\"forms\":[{\"form\":\"int8\",\"title\":\"dense\",\"total\":" RESULT(
        "total", "dense", 9000, 50,
        2) "},{\"form\":\"factored\",\"title\":\"none\",\"total\":" RESULT("total", "factored", 600, 40,
                                                                           2) "}],\"least_energy\":\"factored\","
                                                                              "\"saved_on\":\"weights\",\"gain_over_"
                                                                              "dense\":" BAND(15) ",\"generate_pays\":{"
                                                                                                  "\"pays\":\"above\","
                                                                                                  "\"pj_per_bit\":1.25,"
                                                                                                  "\"profile_pj_per_"
                                                                                                  "bit\":8,\"tier\":"
                                                                                                  "\"dram\"},"
                                                                                                  "\"factored_pays\":"
                                                                                                  "null}]}";

static char *page_of(const char *document)
{
    char *html = NULL;
    size_t bytes = 0;
    isg_error err = {0};
    if (isg_report_html(&html, &bytes, document, strlen(document), &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(strlen(html), bytes);
    return html;
}

static void has(const char *html, const char *text)
{
    if (!strstr(html, text)) fail_msg("page does not hold '%s'", text);
}

static void has_not(const char *html, const char *text)
{
    if (strstr(html, text)) fail_msg("page holds '%s'", text);
}

static int count_of(const char *html, const char *text)
{
    int n = 0;
    for (html = strstr(html, text); html; html = strstr(html + 1, text)) n++;
    return n;
}

static void check_self_contained(const char *html)
{
    has(html, "<!DOCTYPE html>");
    has(html, "</html>");
    has(html, "prefers-color-scheme:dark");
    has_not(html, "http:");
    has_not(html, "https:");
    has_not(html, "<script");
    has_not(html, "src=");
    has_not(html, "href=");
    has_not(html, "url(");
    has_not(html, "nan");
    has_not(html, "inf\"");
    assert_int_equal(count_of(html, "<svg"), count_of(html, "</svg>"));
    assert_int_equal(count_of(html, "<section"), count_of(html, "</section>"));
    assert_int_equal(count_of(html, "<table"), count_of(html, "</table>"));
}

static void test_run_page(void **unused)
{
    (void)unused;
    char *html = page_of(run_document), *again = page_of(run_document);
    check_self_contained(html);
    has(html, "&lt;net&gt;.isg on machine_a");
    has_not(html, "<net>");
    has(html, "a &lt;machine&gt; &amp; more, 22 nm");
    has(html, "a &lt;note&gt;");
    has(html, "conv&quot;1");
    has(html, "7.25 µJ");
    has(html, "99.0 µJ, 5.00 µs");
    has(html, "1.50 kB");
    has(html, "peak 1000 GOP/s");
    has(html, "dram 10 GB/s");
    has(html, "engine.rows");
    has(html, "a book");
    assert_int_equal(count_of(html, "<circle class=\"dot\""), 2);
    assert_int_equal(count_of(html, "class=\"mark\""), 2);
    assert_string_equal(html, again);
    isg_free(html);
    isg_free(again);
}

static void test_compare_page(void **unused)
{
    (void)unused;
    char *html = page_of(compare_document);
    check_self_contained(html);
    has(html, "<td class=\"best\">600 pJ</td>");
    has(html, "9.00 nJ");
    has(html, "15&times;");
    has(html, "1.25 pJ/bit (has 8)");
    isg_free(html);
}

static void refused(const char *document, const char *word)
{
    char *html = NULL;
    size_t bytes;
    isg_error err = {0};
    assert_int_equal(isg_report_html(&html, &bytes, document, strlen(document), &err), ISG_E_FORMAT);
    assert_null(html);
    if (!strstr(err.message, word)) fail_msg("message: %s", err.message);
}

static void test_refusals(void **unused)
{
    (void)unused;
    refused("", "JSON");
    refused("[", "JSON");
    refused("{}", "schema");
    refused("[1,2]", "schema");
    refused("{\"schema\":\"insitu.eval/1\",\"kind\":\"run\"}", "schema");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"list\"}", "kind");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"run\"}", "profile");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"run\",\"profile\":{},\"result\":3}", "result");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"compare\",\"rows\":[]}", "rows");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"compare\",\"rows\":{\"a\":7}}", "rows");
}

/* A document cut anywhere, or with any one byte changed, gives a page or an error. */
static void test_damaged_documents(void **unused)
{
    (void)unused;
    const char *documents[2] = {run_document, compare_document};
    for (int d = 0; d < 2; d++) {
        const size_t n = strlen(documents[d]);
        char *copy = malloc(n + 1);
        for (size_t i = 0; i < n; i++) {
            char *html = NULL;
            size_t bytes;
            memcpy(copy, documents[d], n + 1);
            copy[i] = (char)(i % 3 == 0 ? '9' : i % 3 == 1 ? '"' : '}');
            if (isg_report_html(&html, &bytes, copy, n, NULL) == ISG_OK) isg_free(html);
            if (isg_report_html(&html, &bytes, documents[d], i, NULL) == ISG_OK) isg_free(html);
        }
        free(copy);
    }
}

/* The `index`-th list or object below `node` becomes the other of the two; 0 when there are no more. */
static int exchange(cJSON *node, int *index)
{
    cJSON *child;
    if (cJSON_IsArray(node) || cJSON_IsObject(node)) {
        if ((*index)-- == 0) {
            node->type = cJSON_IsArray(node) ? cJSON_Object : cJSON_Array; /* a list is printed without the names */
            return 1;
        }
    }
    cJSON_ArrayForEach(child, node)
    {
        if (exchange(child, index)) return 1;
    }
    return 0;
}

/* Lists where objects belong and the other way round. */
static void test_wrong_kinds(void **unused)
{
    (void)unused;
    const char *documents[2] = {run_document, compare_document};
    for (int d = 0; d < 2; d++)
        for (int i = 0, more = 1; more; i++) {
            cJSON *tree = cJSON_Parse(documents[d]);
            int index = i;
            char *text, *html = NULL;
            size_t bytes;
            more = exchange(tree, &index);
            text = cJSON_PrintUnformatted(tree);
            assert_non_null(text);
            if (isg_report_html(&html, &bytes, text, strlen(text), NULL) == ISG_OK) isg_free(html);
            cJSON_free(text);
            cJSON_Delete(tree);
        }
}

/* Every text below `node` becomes `text`, and so does the name of every memory. */
static void replace_texts(cJSON *node, const char *text)
{
    cJSON *child, *dram = cJSON_DetachItemFromObject(node, "dram");
    if (dram) cJSON_AddItemToObject(node, text, dram);
    cJSON_ArrayForEach(child, node)
    {
        if (!cJSON_IsString(child))
            replace_texts(child, text);
        else if (!child->string || (strcmp(child->string, "schema") && strcmp(child->string, "kind")))
            assert_non_null(cJSON_SetValuestring(child, text));
    }
}

/* Nothing of a document becomes markup, and no length of a text cuts any. */
static void test_hostile_texts(void **unused)
{
    (void)unused;
    static const char *const tags[] = {"text", "title", "span", "td", "div", "svg", "b", "h1", "p"};
    static const char image[] = "<img/onerror='x'>\"&";
    const char *documents[2] = {run_document, compare_document};
    for (int d = 0; d < 2; d++)
        for (int repeat = 1; repeat <= 100; repeat *= 100) {
            cJSON *tree = cJSON_Parse(documents[d]);
            char hostile[100 * sizeof image] = "", *document, *html;
            for (int i = 0; i < repeat; i++) memcpy(hostile + (size_t)i * strlen(image), image, sizeof image);
            replace_texts(tree, hostile);
            document = cJSON_PrintUnformatted(tree);
            assert_non_null(document);
            html = page_of(document);
            check_self_contained(html);
            has_not(html, "<img");
            has_not(html, "onerror='");
            has(html, "&lt;img/onerror=&#39;x&#39;&gt;&quot;&amp;");
            for (size_t t = 0; t < sizeof tags / sizeof *tags; t++) {
                char plain[16], with[16], close[16];
                (void)snprintf(plain, sizeof plain, "<%s>", tags[t]);
                (void)snprintf(with, sizeof with, "<%s ", tags[t]);
                (void)snprintf(close, sizeof close, "</%s>", tags[t]);
                assert_int_equal(count_of(html, plain) + count_of(html, with), count_of(html, close));
            }
            isg_free(html);
            cJSON_free(document);
            cJSON_Delete(tree);
        }
}

static const char cells[] = "bo,bi,note,paper_ratio,accuracy\n1,1,x,0.06,0.5\r\n2,1,,0.07,0.75\n\n2,2,y,0.08,0.875";

static isg_status picture(char **svg, const char *csv, size_t n, isg_error *err)
{
    size_t bytes = 0;
    const isg_status status = isg_report_grid(svg, &bytes, csv, n, "t <1>", "a & b", err);
    if (status == ISG_OK) assert_int_equal(strlen(*svg), bytes);
    return status;
}

static void test_grid(void **unused)
{
    (void)unused;
    char *svg = NULL;
    isg_error err = {0};
    if (picture(&svg, cells, strlen(cells), &err) != ISG_OK) fail_msg("%s", err.message);
    has(svg, "<svg xmlns=");
    has(svg, "t &lt;1&gt;");
    has(svg, "a &amp; b");
    has(svg, "Bi 1, Bo 2: accuracy 75.00 %, 7.00 % of the bytes");
    has(svg, "#faf3dd\"/><text class=\"b\" x=\"120.0\""); /* the worst cell has the first colour, the best the last */
    has(svg, "#1c3a7e\"/><text class=\"b\" x=\"204.0\"");
    has(svg, "fill=\"#f2f2f2\""); /* bi 2, bo 1 is missing */
    isg_free(svg);
}

/* Errors are halved from cell to cell, so the one between has the middle of the scale; one cell alone is no division.
 */
static void test_grid_scale(void **unused)
{
    (void)unused;
    static const char one[] = "bi,bo,accuracy,paper_ratio\n1,1,1,1\n";
    char *svg = NULL;
    assert_int_equal(picture(&svg, cells, strlen(cells), NULL), ISG_OK);
    has(svg, ">75.00 %</text>");
    has(svg, "fill=\"#5cb2b2\"");
    isg_free(svg);
    assert_int_equal(picture(&svg, one, strlen(one), NULL), ISG_OK);
    assert_null(strstr(svg, "nan"));
    isg_free(svg);
}

static void test_damaged_grids(void **unused)
{
    (void)unused;
    const size_t n = strlen(cells);
    char copy[sizeof cells];
    for (size_t i = 0; i < n; i++) {
        char *svg = NULL;
        isg_error err = {0};
        memcpy(copy, cells, sizeof copy);
        copy[i] = (char)(i % 4 == 0 ? '9' : i % 4 == 1 ? ',' : i % 4 == 2 ? '\n' : '\0');
        if (picture(&svg, copy, n, &err) == ISG_OK)
            isg_free(svg);
        else
            assert_int_equal(err.status, ISG_E_FORMAT);
        if (picture(&svg, cells, i, NULL) == ISG_OK) isg_free(svg);
    }
    for (uint64_t k = 1; k < 8; k++) {
        char *svg = NULL;
        isg_status status;
        (void)isgi_alloc_fail_at(k);
        status = picture(&svg, cells, n, NULL);
        if (isgi_alloc_fail_at(0) >= k) assert_int_equal(status, ISG_E_NOMEM);
        if (status == ISG_OK) isg_free(svg);
    }
}

static void test_every_allocation_may_fail(void **unused)
{
    (void)unused;
    int worked = 0;
    for (uint64_t n = 1; !worked && n < 2000; n++) {
        char *html = NULL;
        size_t bytes;
        isg_status status;
        (void)isgi_alloc_fail_at(n);
        status = isg_report_html(&html, &bytes, run_document, strlen(run_document), NULL);
        worked = isgi_alloc_fail_at(0) < n && status == ISG_OK;
        if (!worked) assert_int_equal(status, ISG_E_NOMEM);
        if (status == ISG_OK) isg_free(html);
    }
    assert_true(worked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_page),      cmocka_unit_test(test_compare_page),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_damaged_documents),
        cmocka_unit_test(test_grid),          cmocka_unit_test(test_grid_scale),
        cmocka_unit_test(test_damaged_grids), cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_wrong_kinds),   cmocka_unit_test(test_hostile_texts),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
