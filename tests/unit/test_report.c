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

#define METHOD(text, diverged, error, ways, bits, size, hit)                                                           \
    "{\"method\":\"" text "\",\"weights\":1000,\"weight_error\":" #error                                               \
    ",\"multiply_adds\":2500,\"shift_adds\":500,\"final_loss\":null,\"diverged\":" #diverged                           \
    ",\"section_bits\":{\"codes\":" #bits ",\"scales\":100,\"bases\":0,\"masks\":50,\"indices\":0},"                   \
    "\"layers\":[{\"name\":\"a\",\"way\":\"kept\"},{\"name\":\"b\",\"way\":\"" ways "\"}],\"bytes\":" #size            \
    ",\"ratio\":0.5,\"bits_per_weight\":4.125" hit "}"
#define HIT(accuracy) ",\"correct\":5,\"accuracy\":" #accuracy
#define METHODS(setting, hit, hit8, hit4, hit1, hit0, hit_file)                                                        \
    "{\"schema\":\"insitu.methods/1\",\"model\":\"dir/<net>.onnx\",\"keep\":\"^<first>$\",\"rest_bits\":8," setting    \
    "\"original\":{\"weights\":1000,\"bytes\":4000" hit                                                                \
    "},\"methods\":[" METHOD("uniform:bits=8", false, 5.5e-05, "method", 8000, 1000, hit8) "," METHOD(                 \
        "uniform:bits=4", false, 0.0125, "method", 4000, 500,                                                          \
        hit4) "," METHOD("<m>:a=1,b=2", true, 0.25, "rest", 1000, 200,                                                 \
                         hit1) "," METHOD("binary", false, 0.5, "method", 1000, 200,                                   \
                                          hit0) "],\"files\":[{\"file\":\"of/"                                         \
                                                "<ours>.isg\",\"file_bytes\":1500,\"bytes\":400,\"ratio\":0.1,"        \
                                                "\"bits_per_weight\":3.0625" hit_file "}]}"

static const char methods_document[] =
    METHODS("\"data\":\"cifar10:<dir>\",\"split\":\"test\",\"input\":\"scale=1\",\"label_offset\":0,\"images\":1234,"
            "\"subset\":true,\"tune\":{\"steps\":77,\"batch\":16,\"learning_rate\":0.002},",
            HIT(0.9), HIT(0.9), HIT(0.85), HIT(0.6), HIT(0.5), HIT(0.8625));
static const char weights_document[] = METHODS("", "", "", "", "", "", "");

static const char *const all_documents[] = {run_document, compare_document, methods_document, weights_document};
#define DOCUMENTS ((int)(sizeof all_documents / sizeof *all_documents))

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

static void test_methods_page(void **unused)
{
    (void)unused;
    char *html = page_of(methods_document), *again = page_of(methods_document);
    check_self_contained(html);
    has(html, "<h1>&lt;net&gt;.onnx stored by rival methods</h1>");
    has(html, "3 methods in 4 settings, beside 1 compressed file of this tool");
    has(html, "accuracy: images classified correctly (%)");
    has(html, ">original 90.00 %</text>");
    assert_int_equal(count_of(html, "<svg"), 3); /* all, close to the original, where the bits go */
    has(html, "Without a place here: 2, since their accuracy is lower.");
    /* the marks of two pictures: two methods in the second */
    assert_int_equal(count_of(html, "<circle"), 4 + 2);
    assert_int_equal(count_of(html, "<circle style=\"fill:var(--card)"), 1);
    assert_int_equal(count_of(html, ">of/&lt;ours&gt;.isg: 10.00 % of the bytes, accuracy 86.25 %</title></path>"), 2);
    /* 200 bytes at 60 %, the file at 86.25 %, 1000 bytes at 90 %; not 500 bytes at 85 %, nor 200 at 50 % */
    assert_int_equal(count_of(html, "<td class=\"best\">yes</td>"), 3);
    assert_int_equal(count_of(html, "<td class=\"soft\">no</td>"), 2);
    has(html, "<td>4.125</td><td>1000</td><td>25.00 %</td><td>5.5e-05</td><td>3.00</td><td>90.00 %</td><td>0.00</td>"
              "<td class=\"best\">yes");
    has(html, "<td>3.062</td><td>400</td><td>10.00 %</td><td>–</td><td>–</td><td>86.25 %</td><td>3.75</td>");
    has(html, "file of this tool, 1.50 kB on disk");
    has(html, "training diverged: untrained");
    has(html, "1 of 2 layers plain");
    has(html, "</i>&lt;m&gt; <b>1</b> a=1,b=2</span>");
    has(html, "</i>uniform <b>4</b> bits=4 <b>5</b> bits=8</span>");
    has(html, "cifar10:&lt;dir&gt;");
    has(html, "1234 <span class=\"tag\">subset</span>");
    has(html, "77 steps of 16 images each against the original, learning rate 0.002");
    has(html, "1, by the expression ^&lt;first&gt;$");
    has(html, "in uniform codes of 8 bits");
    has(html, "<title>codes 8.000 bits a weight</title>");
    has(html, ">8.15</text>");
    has_not(html, "modelled");
    assert_string_equal(html, again);
    isg_free(html);
    isg_free(again);
}

/* Without data the weight error takes the place of accuracy. */
static void test_methods_without_accuracy(void **unused)
{
    (void)unused;
    char *html = page_of(weights_document);
    check_self_contained(html);
    has(html, "No accuracy was measured.");
    has(html, "lower is better</text>");
    has(html, "Without a place here: 1, since their weight error is 0 or was not measured.");
    has(html, "none: weights alone were compared");
    has_not(html, "<th>accuracy</th>");
    has_not(html, ">original 9");
    assert_int_equal(count_of(html, "<svg"), 2);
    assert_int_equal(count_of(html, "<circle"), 4);
    assert_int_equal(count_of(html, "<td class=\"best\">yes</td>"), 3);
    isg_free(html);
}

/* Member "a.1.b" of a tree, and what holds it. */
static cJSON *member_at(cJSON *tree, const char *path, cJSON **parent)
{
    while (tree && *path) {
        const size_t n = strcspn(path, ".");
        char key[32] = "";
        assert_true(n < sizeof key);
        memcpy(key, path, n);
        *parent = tree;
        tree =
            cJSON_IsArray(tree) ? cJSON_GetArrayItem(tree, (int)strtol(key, NULL, 10)) : cJSON_GetObjectItem(tree, key);
        path += n + (path[n] == '.');
    }
    return tree;
}

/* The page of methods with one member replaced by `value` (NULL: gone): FORMAT naming `word`, or a page where it is
 * NULL. */
static void changed(const char *path, const char *value, const char *word)
{
    cJSON *tree = cJSON_Parse(methods_document), *parent = NULL, *member = member_at(tree, path, &parent);
    char *text;
    assert_non_null(member);
    if (value && member->string)
        assert_true(cJSON_ReplaceItemInObjectCaseSensitive(parent, member->string, cJSON_CreateRaw(value)));
    else if (value)
        assert_true(cJSON_ReplaceItemViaPointer(parent, member, cJSON_CreateRaw(value)));
    else
        cJSON_Delete(cJSON_DetachItemViaPointer(parent, member));
    text = cJSON_PrintUnformatted(tree);
    assert_non_null(text);
    if (word) {
        refused(text, word);
    } else {
        char *html = page_of(text);
        check_self_contained(html);
        isg_free(html);
    }
    cJSON_free(text);
    cJSON_Delete(tree);
}

static void test_methods_numbers(void **unused)
{
    (void)unused;
    static const char *const numbers[] = {"rest_bits",
                                          "images",
                                          "original.weights",
                                          "original.bytes",
                                          "original.accuracy",
                                          "methods.1.weights",
                                          "methods.1.weight_error",
                                          "methods.1.multiply_adds",
                                          "methods.1.shift_adds",
                                          "methods.1.section_bits.codes",
                                          "methods.3.section_bits.indices",
                                          "methods.1.bytes",
                                          "methods.1.bits_per_weight",
                                          "methods.3.accuracy",
                                          "files.0.file_bytes",
                                          "files.0.bytes",
                                          "files.0.bits_per_weight",
                                          "files.0.accuracy",
                                          "tune.steps",
                                          "tune.batch",
                                          "tune.learning_rate"};
    static const char *const no_numbers[] = {NULL, "-1", "1e17", "1e999", "\"8\"", "[]", "true"};
    static const char *const positive[] = {
        "images",          "original.weights", "original.bytes",     "methods.0.weights",
        "methods.0.bytes", "files.0.bytes",    "files.0.file_bytes", "tune.steps"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (size_t k = 0; k < sizeof no_numbers / sizeof *no_numbers; k++) {
            const char *dot = strrchr(numbers[i], '.'), *name = dot ? dot + 1 : numbers[i];
            const int wide = !strcmp(name, "weight_error") || !strcmp(name, "learning_rate");
            changed(numbers[i], no_numbers[k], wide && k == 2 ? NULL : name);
        }
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++) changed(positive[i], "0", "from 1 to");
}

static void test_methods_members(void **unused)
{
    (void)unused;
    static const char *const others[] = {"model",
                                         "keep",
                                         "data",
                                         "split",
                                         "input",
                                         "subset",
                                         "original",
                                         "methods",
                                         "files",
                                         "methods.2.method",
                                         "methods.2.diverged",
                                         "methods.2.section_bits",
                                         "methods.2.layers",
                                         "files.0.file"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *dot = strrchr(others[i], '.'), *name = dot ? dot + 1 : others[i];
        changed(others[i], NULL, name);
        changed(others[i], "7", name);
        changed(others[i], !strcmp(name, "section_bits") ? "[]" : "{}", name);
    }
    changed("label_offset", NULL, "label_offset");
    changed("label_offset", "-1", NULL);
    changed("tune", NULL, NULL);
    changed("tune", "[]", "tune");
    changed("keep", "null", NULL);
    changed("methods", "[]", "methods");
    changed("files", "[]", NULL);
    changed("methods.1", "7", "methods[1]");
    changed("methods.1.layers", "[7]", "layers in methods[1]");
    changed("methods.1.weight_error", "null", NULL);
    changed("methods.1.bits_per_weight", "null", NULL);
    changed("methods.1.method", "\"\"", "method in methods[1]");
    changed("methods.1.method", "\":\"", NULL);
}

/* Every place of a picture, in pixels. */
static void check_places(const char *html)
{
    static const char *const names[] = {" x=\"", " y=\"", " x1=\"", " y2=\"", " cx=\"", " cy=\"", " width=\""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (const char *at = strstr(html, names[i]); at; at = strstr(at + 1, names[i])) {
            const double v = strtod(at + strlen(names[i]), NULL);
            if (!(v >= -10.0 && v <= 1100.0)) fail_msg("%.40s", at);
        }
}

/* Numbers at the ends of what is taken stay in the picture. */
static void test_methods_extremes(void **unused)
{
    (void)unused;
    static const char *const documents[] = {
        METHODS("", "", "", "", "", "", ""),
        "{\"schema\":\"insitu.methods/1\",\"model\":\"m\",\"keep\":null,\"rest_bits\":32,\"original\":{\"weights\":1,"
        "\"bytes\":9007199254740992},\"files\":[],\"methods\":[" METHOD(
            "a", false, 1e-300, "rest", 0, 1,
            "") "," METHOD("a", false, 1e30, "rest", 9007199254740992, 9007199254740992,
                           "") "," METHOD("b", false, 1e-30, "rest", 1, 7, "") "," METHOD("c", false, 0, "rest", 1, 8,
                                                                                          "") "]}",
        "{\"schema\":\"insitu.methods/1\",\"model\":\"m\",\"keep\":null,\"rest_bits\":32,\"original\":{\"weights\":1,"
        "\"bytes\":1},\"files\":[],\"methods\":[" METHOD("a", false, 0, "kept", 0, 9007199254740992, "") "]}",
        "{\"schema\":\"insitu.methods/"
        "1\",\"model\":\"m\",\"keep\":null,\"rest_bits\":32,\"data\":\"d\",\"split\":\"test\","
        "\"input\":\"i\",\"label_offset\":0,\"images\":1,\"subset\":false,\"original\":{\"weights\":1,\"bytes\":4,"
        "\"accuracy\":1},\"files\":[],\"methods\":[" METHOD("a", false, null, "kept", 0, 4, HIT(1)) "]}",
        "{\"schema\":\"insitu.methods/"
        "1\",\"model\":\"m\",\"keep\":null,\"rest_bits\":32,\"data\":\"d\",\"split\":\"test\","
        "\"input\":\"i\",\"label_offset\":0,\"images\":1,\"subset\":false,\"original\":{\"weights\":1,\"bytes\":4,"
        "\"accuracy\":0},\"files\":[],\"methods\":[" METHOD("a", false, null, "kept", 0, 4, HIT(0)) "]}"};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        char *html = page_of(documents[i]);
        check_self_contained(html);
        check_places(html);
        isg_free(html);
    }
}

/* As many rows as are taken, all in one place, and one more. */
static void test_many_methods(void **unused)
{
    (void)unused;
    for (int count = 1024; count <= 1025; count++) {
        cJSON *tree = cJSON_Parse(methods_document), *methods = cJSON_GetObjectItem(tree, "methods");
        char *text, *html = NULL;
        size_t bytes;
        while (cJSON_GetArraySize(methods) + 1 < count)
            assert_true(cJSON_AddItemToArray(methods, cJSON_Duplicate(cJSON_GetArrayItem(methods, 0), 1)));
        text = cJSON_PrintUnformatted(tree);
        assert_non_null(text);
        assert_int_equal(isg_report_html(&html, &bytes, text, strlen(text), NULL),
                         count == 1024 ? ISG_OK : ISG_E_LIMIT);
        if (count == 1024) check_self_contained(html);
        isg_free(html);
        cJSON_free(text);
        cJSON_Delete(tree);
    }
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
    refused("{\"schema\":\"insitu.methods/1\"}", "methods");
    refused("{\"schema\":\"insitu.methods/1\",\"list\":[]}", "methods");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"run\"}", "profile");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"run\",\"profile\":{},\"result\":3}", "result");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"compare\",\"rows\":[]}", "rows");
    refused("{\"schema\":\"insitu.sim/1\",\"kind\":\"compare\",\"rows\":{\"a\":7}}", "rows");
}

/* A document cut anywhere, or with any one byte changed, gives a page or an error. */
static void test_damaged_documents(void **unused)
{
    (void)unused;
    for (int d = 0; d < DOCUMENTS; d++) {
        const size_t n = strlen(all_documents[d]);
        char *copy = malloc(n + 1);
        for (size_t i = 0; i < n; i++) {
            char *html = NULL;
            size_t bytes;
            memcpy(copy, all_documents[d], n + 1);
            copy[i] = (char)(i % 3 == 0 ? '9' : i % 3 == 1 ? '"' : '}');
            if (isg_report_html(&html, &bytes, copy, n, NULL) == ISG_OK) isg_free(html);
            if (isg_report_html(&html, &bytes, all_documents[d], i, NULL) == ISG_OK) isg_free(html);
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
    for (int d = 0; d < DOCUMENTS; d++)
        for (int i = 0, more = 1; more; i++) {
            cJSON *tree = cJSON_Parse(all_documents[d]);
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
    for (int d = 0; d < DOCUMENTS; d++)
        for (int repeat = 1; repeat <= 100; repeat *= 100) {
            cJSON *tree = cJSON_Parse(all_documents[d]);
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
    for (int d = 0; d < DOCUMENTS; d++) {
        int worked = 0;
        for (uint64_t n = 1; !worked && n < 2000; n++) {
            char *html = NULL;
            size_t bytes;
            isg_status status;
            (void)isgi_alloc_fail_at(n);
            status = isg_report_html(&html, &bytes, all_documents[d], strlen(all_documents[d]), NULL);
            worked = isgi_alloc_fail_at(0) < n && status == ISG_OK;
            if (!worked) assert_int_equal(status, ISG_E_NOMEM);
            if (status == ISG_OK) isg_free(html);
        }
        assert_true(worked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_page),
        cmocka_unit_test(test_compare_page),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_documents),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_grid_scale),
        cmocka_unit_test(test_damaged_grids),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_wrong_kinds),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_methods_page),
        cmocka_unit_test(test_methods_without_accuracy),
        cmocka_unit_test(test_methods_numbers),
        cmocka_unit_test(test_methods_members),
        cmocka_unit_test(test_methods_extremes),
        cmocka_unit_test(test_many_methods),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
