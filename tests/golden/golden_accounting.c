/* SPDX-License-Identifier: Apache-2.0 */
/* Group accounting: parameters and bytes of whole ResNets by SPEC section 9, exact. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NET, CLASSES, BASE_IN, BASE_OUT, QB, QU, QV, W_BIT, SETTINGS };

typedef struct account {
    char layer[64];
    const char *kind;
    uint32_t in, out, k, bo;
    int level1, level2;
    double full, params, bytes;
} account;

typedef struct network {
    account *rows;
    size_t count;
    double full, params, bytes;
} network;

/* A row from the library's own levels and counts. */
static void add_conv(network *n, const char *const *setting, const char *name, uint32_t in, uint32_t out, uint32_t k)
{
    account *a = &n->rows[n->count++];
    const uint32_t bi = (uint32_t)strtoul(setting[BASE_IN], NULL, 10),
                   bo = (uint32_t)strtoul(setting[BASE_OUT], NULL, 10);
    const isg_levels l = isg_factor_levels(in, out, k * k, bi, bo, 0, ISG_LEVELS_RULE_09);
    isg_factors *f = NULL;
    snprintf(a->layer, sizeof a->layer, "%s", name);
    a->kind = "conv";
    a->in = in;
    a->out = out;
    a->k = k;
    a->full = (double)in * out * k * k;
    a->level1 = l.level1;
    a->level2 = l.level2;
    if (isg_factors_create(&f, k * k, in, out, l, 0, NULL) != ISG_OK) return;
    a->bo = l.bo;
    a->params = (double)isg_factors_params(f);
    f->basis.quant = (isg_quant_spec){(uint8_t)strtoul(setting[QB], NULL, 10), ISG_QUANT_PAPER, 0, 32};
    f->u.quant = (isg_quant_spec){(uint8_t)strtoul(setting[QU], NULL, 10), ISG_QUANT_PAPER, 0, 32};
    f->v.quant = (isg_quant_spec){(uint8_t)strtoul(setting[QV], NULL, 10), ISG_QUANT_PAPER, 0, 32};
    a->bytes = l.level1 || l.level2 ? (double)isg_factors_code_bits(f) / 8 : 4 * a->full;
    isg_factors_destroy(f);
}

static void add_plain(network *n, const char *kind, const char *name, uint32_t in, uint32_t out, double params,
                      double bytes)
{
    account *a = &n->rows[n->count++];
    snprintf(a->layer, sizeof a->layer, "%s", name);
    a->kind = kind;
    a->in = in;
    a->out = out;
    a->full = a->params = params;
    a->bytes = bytes;
}

static void add_bn(network *n, const char *name, uint32_t channels)
{
    add_plain(n, "bn", name, channels, channels, 2.0 * channels, 8.0 * channels);
}

static void add_block(network *n, const char *const *s, const char *name, uint32_t in, uint32_t width, uint32_t out,
                      int bottleneck, int shortcut)
{
    char layer[64];
    const uint32_t width_of[4] = {in, width, bottleneck ? width : out, out};
    for (int i = 1; i <= 2 + bottleneck; i++) {
        const uint32_t k = bottleneck && i != 2 ? 1 : 3;
        snprintf(layer, sizeof layer, "%s.conv%d", name, i);
        add_conv(n, s, layer, width_of[i - 1], width_of[i], k);
        snprintf(layer, sizeof layer, "%s.bn%d", name, i);
        add_bn(n, layer, width_of[i]);
    }
    if (!shortcut) return;
    snprintf(layer, sizeof layer, "%s.shortcut.0", name);
    add_conv(n, s, layer, in, out, 1);
    snprintf(layer, sizeof layer, "%s.shortcut.1", name);
    add_bn(n, layer, out);
}

/* CIFAR-style ResNet-18, -34 or -50 (SPEC section 8); 0 for another name. */
static int build(network *n, const char *const *s)
{
    static const int blocks18[4] = {2, 2, 2, 2}, blocks34[4] = {3, 4, 6, 3};
    const int bottleneck = !strcmp(s[NET], "ResNet50"), small = !strcmp(s[NET], "ResNet18");
    const int *blocks = small ? blocks18 : blocks34;
    const uint32_t classes = (uint32_t)strtoul(s[CLASSES], NULL, 10);
    uint32_t in = 64;
    n->count = 0;
    if (!bottleneck && !small && strcmp(s[NET], "ResNet34") != 0) return 0;
    add_conv(n, s, "conv1", 3, 64, 3);
    add_bn(n, "bn1", 64);
    for (int stage = 0; stage < 4; stage++) {
        const uint32_t width = 64u << stage, out = bottleneck ? 4 * width : width;
        for (int b = 0; b < blocks[stage]; b++) {
            char name[32];
            snprintf(name, sizeof name, "layer%d.%d", stage + 1, b);
            add_block(n, s, name, in, width, out, bottleneck, b == 0 && (stage > 0 || in != out));
            in = out;
        }
    }
    add_plain(n, "fc", "linear", in, classes, (double)in * classes, (double)in * classes * strtod(s[W_BIT], NULL) / 8);
    n->full = n->params = n->bytes = 0;
    for (size_t i = 0; i < n->count; i++) {
        n->full += n->rows[i].full;
        n->params += n->rows[i].params;
        n->bytes += n->rows[i].bytes;
    }
    return 1;
}

/* Splits a line at tabs; returns the columns found. */
static size_t split(char *line, const char **column, size_t limit)
{
    size_t n = 0;
    for (char *p = line; p && n < limit;) {
        char *tab = strchr(p, '\t');
        column[n++] = p;
        if (tab) *tab++ = '\0';
        p = tab;
    }
    return n;
}

static int same_setting(const char *const *a, const char *const *b)
{
    for (int i = 0; i < SETTINGS; i++) {
        if (!a[i] || strcmp(a[i], b[i]) != 0) return 0;
    }
    return 1;
}

static void check_row(gold_set *g, const network *n, size_t index, const char *const *c)
{
    const account *a = &n->rows[index];
    const double expected[9] = {a->in,     a->out,    a->k,    a->level1 || a->level2 ? a->level2 ? a->bo : a->out : 0,
                                a->level1, a->level2, a->full, a->params,
                                a->bytes};
    if (index >= n->count) {
        gold_check(g, 0, "more layers than the architecture has");
        return;
    }
    gold_check(g, !strcmp(c[8], a->layer) && !strcmp(c[9], a->kind), c[8]);
    for (int i = 0; i < 9; i++) gold_number_close(g, c[8], expected[i], strtod(c[10 + i], NULL), 0);
}

static void setting_label(char *dst, size_t size, const char *what, const char *const *c)
{
    snprintf(dst, size, "%s/%s-%s-%s-%s-%s-%s-%s-w%s", what, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);
}

static void check_layers(gold_set *g, network *n, char *text)
{
    const char *setting[SETTINGS] = {0}, *c[19];
    size_t index = 0;
    int open = 0;
    char *save = NULL, label[128];
    (void)strtok_r(text, "\r\n", &save);
    for (char *line = strtok_r(NULL, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        if (split(line, c, 19) < 19) continue;
        if (!same_setting(setting, c)) {
            if (open) gold_check(g, index == n->count, "fewer layers than the architecture has");
            if (open) gold_end(g);
            memcpy(setting, c, sizeof setting);
            setting_label(label, sizeof label, "layers", c);
            gold_begin(g, "accounting", label);
            gold_check(g, build(n, setting), "unknown architecture");
            index = 0;
            open = 1;
        }
        check_row(g, n, index++, c);
    }
    if (open) gold_check(g, index == n->count, "fewer layers than the architecture has");
    if (open) gold_end(g);
}

static void check_totals(gold_set *g, network *n, char *text)
{
    const char *c[14];
    char *save = NULL, label[128];
    (void)strtok_r(text, "\r\n", &save);
    for (char *line = strtok_r(NULL, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        if (split(line, c, 14) < 14) continue;
        setting_label(label, sizeof label, "total", c);
        gold_begin(g, "accounting", label);
        gold_check(g, build(n, c), "unknown architecture");
        gold_number_close(g, "params_full", n->full, strtod(c[8], NULL), 0);
        gold_number_close(g, "params", n->params, strtod(c[9], NULL), 0);
        gold_number_close(g, "bytes_full_fp32", n->full * 4, strtod(c[10], NULL), 0);
        gold_number_close(g, "bytes", n->bytes, strtod(c[11], NULL), 0);
        gold_number_close(g, "param_ratio", n->params / n->full, strtod(c[12], NULL), 1e-9);
        gold_number_close(g, "memory_ratio", n->bytes / n->full / 4, strtod(c[13], NULL), 1e-9);
        gold_end(g);
    }
}

void gold_group_accounting(gold_set *g)
{
    network n = {0};
    size_t size;
    char *layers = gold_read(g, "accounting_layers.tsv", &size), *totals = gold_read(g, "accounting_totals.tsv", &size);
    n.rows = calloc(256, sizeof *n.rows);
    if (layers && totals) {
        check_layers(g, &n, layers);
        check_totals(g, &n, totals);
    } else {
        gold_begin(g, "accounting", "tables");
        gold_check(g, 0, "accounting_layers.tsv or accounting_totals.tsv is missing");
        gold_end(g);
    }
    free(n.rows);
}
