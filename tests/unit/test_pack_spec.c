/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's reading of an image against the second decoder (tests/spec), which knows docs/format.md only. */
#include <insitu/pack.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>

#include "host/alloc.h"
#include "kernels/kernels.h"
#include "pack_graphs.h"
#include "rt/gen.h"
#include "rt/view.h"

static char path[512];

static FILE *decode(const char *arguments)
{
    char command[1200];
    FILE *f;
    snprintf(command, sizeof command, "python3 %s/tests/spec/isg_decode.py %s '%s'", INSITU_SOURCE_DIR, arguments,
             path);
    f = popen(command, "r");
    assert_non_null(f);
    return f;
}

/* Dense W of weight `index` by the runtime's own generation. */
static float *generated(const isg_rt_model *m, uint32_t index, isg_weight *w)
{
    const isgk_table *k;
    static isgk_table table;
    float *dense, *scratch;
    isgk_table_init(&table, 0);
    k = &table;
    assert_int_equal(isg_rt_weight(m, index, w), ISG_OK);
    dense = isgi_malloc((size_t)w->taps * w->ci * w->co * sizeof *dense);
    scratch = isgi_malloc((isgi_gen_scratch_floats(w, w->taps * w->ci) + 1) * sizeof *scratch);
    isgi_gen_rows(k, dense, w, 0, w->taps * w->ci, scratch);
    isg_free(scratch);
    return dense;
}

static void check_rows(FILE *f, const isg_rt_model *m, uint32_t index)
{
    isg_weight w;
    float *dense = generated(m, index, &w);
    for (uint32_t r = 0; r < w.taps * w.ci; r++) {
        char word[8];
        assert_int_equal(fscanf(f, "%7s", word), 1);
        assert_string_equal(word, "row");
        for (uint32_t c = 0; c < w.co; c++) {
            const double got = dense[(size_t)r * w.co + c];
            double want;
            assert_int_equal(fscanf(f, "%lf", &want), 1);
            /* The decoder sums in binary64, the runtime in binary32. */
            if (!(fabs(got - want) <= 4e-6 * fmax(1.0, fabs(want)))) {
                fail_msg("weight %u row %u column %u: %.9g, the specification says %.9g", index, r, c, got, want);
            }
        }
    }
    isg_free(dense);
}

static void check_weight(FILE *f, const char *line, const isg_rt_model *m, uint32_t *seen)
{
    unsigned i, taps, ci, co, level1, level2, depthwise;
    isg_weight w;
    assert_int_equal(sscanf(line, "weight %u %u %u %u %u %u %u", &i, &taps, &ci, &co, &level1, &level2, &depthwise), 7);
    assert_int_equal(i, *seen);
    assert_int_equal(isg_rt_weight(m, i, &w), ISG_OK);
    assert_int_equal(w.taps, taps);
    assert_int_equal(w.ci, ci);
    assert_int_equal(w.co, co);
    assert_int_equal(w.level1, level1);
    assert_int_equal(w.level2, level2);
    assert_int_equal(w.depthwise, depthwise);
    check_rows(f, m, i);
    (*seen)++;
}

static void check_op(const char *line, const isg_rt_context *ctx, const isgi_model *m, isgi_cursor *c, uint32_t *seen)
{
    char kind[32], name[128], *at;
    unsigned number;
    int weight, vector, used;
    isg_rt_op info;
    isgi_shape shape;
    isgi_op op;
    const uint32_t own = m->inputs + m->constants + *seen;
    assert_int_equal(sscanf(line, "op %u %31s %127s %d %d in%n", &number, kind, name, &weight, &vector, &used), 5);
    assert_int_equal(isg_rt_op_info(ctx, *seen, &info), ISG_OK);
    isgi_view_tensor(m, own, &shape, NULL);
    assert_int_equal(isgi_view_read_op(c, own, shape.rank, &op, NULL), ISG_OK);
    assert_int_equal(op.kind, number);
    assert_int_equal(strlen(name), info.name_bytes);
    assert_memory_equal(name, info.name, info.name_bytes);
    if (op.kind == ISG_KIND_CONV || op.kind == ISG_KIND_FC) assert_int_equal(info.weight, weight);
    assert_int_equal(op.vector, vector);
    at = (char *)line + used;
    for (uint32_t k = 0; k < op.input_count; k++) assert_int_equal(strtol(at, &at, 10), isgi_op_input(m, &op, k));
    assert_int_equal(strncmp(at, " out ", 5), 0);
    at += 5;
    for (uint32_t k = 0; k < info.output_rank; k++) {
        const long dim = strtol(at, &at, 10);
        assert_int_equal(dim ? dim : 1, info.output_dims[k]);
    }
    assert_int_equal(strncmp(at, " act ", 5), 0);
    assert_int_equal(strtol(at + 5, &at, 10), op.act.kind);
    (*seen)++;
}

static void test_second_decoder(void **state)
{
    static char line[1 << 16];
    isg_pack_options o = {.struct_size = sizeof o, .raw_bits = 16, .bias_bits = 16, .golden = 1, .golden_seed = 5};
    uint32_t weights = 0, ops = 0;
    isg_graph *g = everything_graph(11);
    isg_error err = {0};
    isg_session *s;
    isg_model *m;
    isgi_cursor c;
    FILE *f;
    (void)state;
    if (isg_pack_file(g, &o, path, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(isg_model_open(&m, path, NULL), ISG_OK);
    assert_int_equal(isg_session_create(&s, m, NULL, NULL), ISG_OK);
    c = isgi_view_ops(isgi_model_of_const(isg_model_rt(m)));
    f = decode("--weights");
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "op ", 3) == 0) {
            check_op(line, isg_session_context(s), isgi_model_of_const(isg_model_rt(m)), &c, &ops);
        } else if (strncmp(line, "weight ", 7) == 0) {
            check_weight(f, line, isg_model_rt(m), &weights);
        }
    }
    assert_int_equal(pclose(f), 0);
    assert_int_equal(weights, isg_rt_weight_count(isg_model_rt(m)));
    assert_int_equal(ops, isg_rt_op_count(isg_session_context(s)));
    isg_session_destroy(s);
    isg_model_close(m);
    isg_graph_destroy(g);
}

/* Both decoders refuse the file whose byte is changed anywhere. */
static void test_damage(void **state)
{
    uint64_t random = 99;
    isg_file file;
    uint8_t *copy;
    size_t bytes;
    (void)state;
    assert_int_equal(isg_file_open(&file, path, NULL), ISG_OK);
    bytes = file.size;
    copy = isgi_malloc(bytes);
    memcpy(copy, file.data, bytes);
    isg_file_close(&file);
    for (int i = 0; i < 6; i++) {
        const size_t at = (size_t)((isg_golden_next(&random) * 0.5f + 0.5f) * (float)bytes) % bytes;
        isg_rt_model m;
        char line[256];
        FILE *f;
        copy[at] ^= 0x10;
        assert_int_equal(isg_write_file(path, copy, bytes, NULL), ISG_OK);
        assert_int_not_equal(isg_rt_open(&m, copy, bytes, NULL), ISG_OK);
        f = decode("2>/dev/null");
        while (fgets(line, sizeof line, f)) continue;
        assert_int_not_equal(pclose(f), 0);
        copy[at] ^= 0x10;
    }
    isg_free(copy);
}

static int make_path(void **state)
{
    int fd;
    (void)state;
    snprintf(path, sizeof path, "%s/insitu-spec-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_second_decoder), cmocka_unit_test(test_damage)};
    const char *ci = getenv("CI");
    FILE *f = popen("python3 -c 'print(1)' 2>/dev/null", "r");
    const int found = f && fgetc(f) == '1';
    if (f) pclose(f);
    if (!found && !(ci && strcmp(ci, "true") == 0)) {
        printf("skipped: no python3\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
