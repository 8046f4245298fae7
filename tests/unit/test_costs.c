/* SPDX-License-Identifier: Apache-2.0 */
/* Measured unit costs: the file they are kept in, and that the planner uses what it is given. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <insitu/costs.h>
#include <insitu/host.h>
#include <insitu/pack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cache.h"
#include "pack_graphs.h"
#include "temp_folder.h"

static int only_file(char path[PATH_MAX])
{
    FILE *list;
    char command[PATH_MAX + 32];
    int found;
    snprintf(command, sizeof command, "ls -d %.3000s/insitu/*", folder);
    list = popen(command, "r");
    assert_non_null(list);
    found = fgets(path, PATH_MAX, list) != NULL;
    if (found) {
        char more[8];
        path[strcspn(path, "\n")] = '\0';
        assert_null(fgets(more, sizeof more, list)); /* no temporary file is left */
    }
    pclose(list);
    return found;
}

static void assert_costs(const isg_rt_costs *c)
{
    const uint32_t all[] = {c->panel,  c->gemm,   c->weight, c->taps,      c->compose,   c->gather,
                            c->unpack, c->stream, c->cache,  c->gemm_int8, c->taps_int8, c->pass_int8};
    assert_int_equal(c->struct_size, sizeof *c);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) assert_in_range(all[i], 1, 1000000000);
}

static void test_file(void **state)
{
    isg_rt_costs first, again;
    isg_file file;
    char path[PATH_MAX], *text;
    int measured;
    size_t size;
    (void)state;
    setenv("XDG_CACHE_HOME", folder, 1);
    assert_int_equal(isg_costs_load(&first, ISG_ISA_ALL, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 1);
    assert_costs(&first);
    assert_true(only_file(path));
    assert_int_equal(isg_costs_load(&again, ISG_ISA_ALL, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 0);
    assert_memory_equal(&again, &first, sizeof first);
    /* Whatever is cut off or changed: the file is not believed, and replaced. */
    assert_int_equal(isg_file_open(&file, path, NULL), ISG_OK);
    size = file.size;
    text = malloc(size + 1);
    memcpy(text, file.data, size);
    isg_file_close(&file);
    assert_int_equal(isg_write_file(path, text, size - 1, NULL), ISG_OK);
    assert_int_equal(isg_costs_load(&again, ISG_ISA_ALL, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 1);
    text[0] ^= 1;
    assert_int_equal(isg_write_file(path, text, size, NULL), ISG_OK);
    assert_int_equal(isg_costs_load(&again, ISG_ISA_ALL, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 1);
    text[0] ^= 1;
    text[size - 2] = 'x';
    assert_int_equal(isg_write_file(path, text, size, NULL), ISG_OK);
    assert_int_equal(isg_costs_load(&again, ISG_ISA_ALL, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 1);
    assert_int_equal(isg_costs_load(&again, ISG_ISA_ALL, 1, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 1);
    assert_int_equal(isg_costs_load(&again, ISG_ISA_ALL, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 0);
    free(text);
}

/* Nowhere to keep them is no error. */
static void test_no_place(void **state)
{
    isg_rt_costs costs;
    char path[PATH_MAX], small[8];
    int measured;
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    assert_int_equal(isg_costs_load(&costs, ISG_ISA_SCALAR, 0, &measured, NULL), ISG_OK);
    assert_int_equal(measured, 1);
    assert_costs(&costs);
    setenv("XDG_CACHE_HOME", "relative", 1); /* the specification says: ignore it */
    setenv("HOME", "/home/somebody", 1);
    assert_int_equal(isgi_cache_path(path, sizeof path, "f", 0), 1);
    assert_string_equal(path, "/home/somebody/.cache/insitu/f");
    assert_int_equal(isgi_cache_path(small, sizeof small, "f", 0), 0);
    setenv("HOME", "", 1);
    assert_int_equal(isgi_cache_path(path, sizeof path, "f", 0), 0);
    setenv("XDG_CACHE_HOME", "/x", 1);
    assert_int_equal(isgi_cache_path(path, sizeof path, "f", 0), 1);
    assert_string_equal(path, "/x/insitu/f");
}

/* Roofs are rates of this machine, whatever the size asked for; a mask without instructions still has some. */
static void test_peaks(void **state)
{
    static const uint64_t sizes[] = {0, 1 << 20, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        isg_peaks p;
        assert_int_equal(isg_peaks_measure(&p, i ? ISG_ISA_ALL : ISG_ISA_SCALAR, sizes[i], NULL), ISG_OK);
        assert_int_equal(p.struct_size, sizeof p);
        assert_true(p.f32_macs > 1e6 && p.f32_macs < 1e13);
        assert_true(p.int8_macs > 1e6 && p.int8_macs < 1e13);
        assert_true(p.bytes > 1e6 && p.bytes < 1e13);
    }
}

static void test_cpu(void **state)
{
    static const char text[] = "processor\t: 0\nvendor_id\t: Maker\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: Some "
                               "CPU\ncpu MHz\t\t: 2445.4\n\nprocessor\t: 1\nmodel name\t: Other\n";
    char got[64];
    (void)state;
    assert_int_equal(isg_write_file(in_folder("cpuinfo"), text, sizeof text - 1, NULL), ISG_OK);
    assert_string_equal(isgi_cpu_description(got, sizeof got, in_folder("cpuinfo")), " Maker 25 1 Some CPU");
    assert_string_equal(isgi_cpu_description(got, sizeof got, in_folder("absent")), "unknown");
    assert_string_equal(isgi_cpu_description(got, 8, in_folder("cpuinfo")), " Maker");
}

/* The way of the layer "both", which has both levels. */
static uint32_t way_of(const isg_model *m, const isg_rt_costs *costs, uint64_t *predicted)
{
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    isg_rt_op info;
    isg_session *s;
    uint32_t way = 0;
    o.costs = costs;
    assert_int_equal(isg_session_create(&s, m, &o, NULL), ISG_OK);
    for (uint32_t i = 0; i < isg_rt_op_count(isg_session_context(s)); i++) {
        assert_int_equal(isg_rt_op_info(isg_session_context(s), i, &info), ISG_OK);
        if (info.name_bytes == 4 && memcmp(info.name, "both", 4) == 0) {
            way = info.strategy;
            *predicted = info.predicted_ns;
            assert_true(info.dense_ns > 0 && info.tasks >= 1 && info.tile_pixels >= 1);
        }
    }
    isg_session_destroy(s);
    return way;
}

static void test_planner(void **state)
{
    isg_rt_costs c = {sizeof c, 100000, 100000, 1000, 100000, 1, 1, 1, 1, 1, 1, 1, 1};
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_graph *g = everything_graph(1);
    uint64_t cheap, dear;
    isg_model *m;
    (void)state;
    assert_int_equal(isg_model_from_graph(&m, g, NULL), ISG_OK);
    c.panel = c.taps = 1000;
    assert_int_equal(way_of(m, &c, &cheap), ISG_STRATEGY_FACTORED);
    c.panel = c.taps = 100000000;
    c.gemm = 1000;
    assert_int_not_equal(way_of(m, &c, &cheap), ISG_STRATEGY_FACTORED);
    c = (isg_rt_costs){sizeof c,   1000000000, 1000000000, 1000000000, 1000000000, 1000000000, 1000000000,
                       1000000000, 1000000000, 1,          1,          1,          1};
    way_of(m, &c, &dear);
    assert_true(dear > cheap);
    c.struct_size = 4;
    o.costs = &c;
    assert_int_equal(isg_rt_plan(isg_model_rt(m), &o, &memory, NULL), ISG_E_ARG);
    isg_model_close(m);
    isg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_file), cmocka_unit_test(test_no_place),
                                       cmocka_unit_test(test_peaks), cmocka_unit_test(test_cpu),
                                       cmocka_unit_test(test_planner)};
    return cmocka_run_group_tests(tests, make_folder, clean_folder);
}
