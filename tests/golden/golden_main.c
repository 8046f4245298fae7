/* SPDX-License-Identifier: Apache-2.0 */
/* Replays a folder of golden numbers made by the authors' code: insitu-golden DIR. */
#include "golden.h"

#include <stdio.h>
#include <string.h>

typedef void (*group_fn)(gold_set *g, const cJSON *cases);

static void run(gold_set *g, const char *name, group_fn fn, const cJSON *cases)
{
    g->group_passed = g->group_failed = 0;
    if (cases) {
        fn(g, cases);
    } else {
        gold_begin(g, name, "cases");
        gold_check(g, 0, "the manifest has no such group");
        gold_end(g);
    }
    printf("%-16s %u passed, %u failed\n", name, g->group_passed, g->group_failed);
}

static void accounting(gold_set *g, const cJSON *cases)
{
    (void)cases;
    gold_group_accounting(g);
}

int main(int argc, char **argv)
{
    gold_set g;
    const cJSON *cases, *extra;
    int bad;
    if (argc != 2) {
        fprintf(stderr, "usage: insitu-golden DIR\n");
        return 2;
    }
    if (!gold_open(&g, argv[1])) return 1;
    cases = cJSON_GetObjectItem(g.manifest, "cases");
    extra = cJSON_GetObjectItem(cases, "extra");
    run(&g, "quantizer", gold_group_quantizer, cJSON_GetObjectItem(cases, "quantizer"));
    run(&g, "weightgen", gold_group_weightgen, cJSON_GetObjectItem(cases, "weightgen"));
    run(&g, "ortho", gold_group_ortho, cJSON_GetObjectItem(cases, "ortho"));
    run(&g, "svd", gold_group_svd, cJSON_GetObjectItem(cases, "svd"));
    run(&g, "kd", gold_group_kd, cJSON_GetObjectItem(cases, "kd"));
    run(&g, "grad", gold_group_grad, cJSON_GetObjectItem(cases, "grad"));
    run(&g, "radam", gold_group_radam, cJSON_GetObjectItem(extra, "radam"));
    run(&g, "input_quantizer", gold_group_input_quantizer, cJSON_GetObjectItem(extra, "input_quantizer"));
    run(&g, "projection", gold_group_projection, cJSON_GetObjectItem(extra, "projection"));
    run(&g, "block", gold_group_block, cJSON_GetObjectItem(extra, "block"));
    run(&g, "accounting", accounting, cases);
    printf("%u passed, %u failed\n", g.passed, g.failed);
    bad = g.failed > 0 || g.passed == 0;
    gold_close(&g);
    return bad;
}
