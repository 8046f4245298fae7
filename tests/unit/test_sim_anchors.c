/* SPDX-License-Identifier: Apache-2.0 */
/* The cost model against numbers that other tools and papers give for the same thing (RELATED section 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <insitu/sim.h>

#include "host/alloc.h"
#include "sim/cost.h"

static isg_sim_profile *load(const char *name)
{
    isg_sim_profile *p = NULL;
    isg_error err;
    if (isg_sim_profile_load(&p, name, &err) != ISG_OK) fail_msg("%s", err.message);
    return p;
}

static void check_near(const char *what, double got, double want, double relative)
{
    if (fabs(got - want) > relative * fabs(want))
        fail_msg("%s: %.9g, expected %.9g within %g", what, got, want, relative);
}

/* ---- SCALE-Sim v1, 16 x 16 ---- */

static void test_scale_sim_cycles(void **state)
{
    static const struct {
        double m, k, n;
        double os, ws, is;
    } layers[] = {{1024, 144, 16, 9247, 9648, 36288},
                  {256, 288, 32, 9232, 10944, 22752},
                  {64, 576, 64, 9231, 16128, 15984},
                  {64, 64, 128, 2063, 3584, 2800},
                  {1, 256, 100, 1796, 5296, 2112}};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        const double m = layers[i].m, k = layers[i].k, n = layers[i].n;
        const double os = isgi_systolic_cycles(ISGI_FLOW_OS, 16, 16, m, k, n);
        assert_true(isgi_systolic_cycles(ISGI_FLOW_WS, 16, 16, m, k, n) == layers[i].ws);
        assert_true(isgi_systolic_cycles(ISGI_FLOW_IS, 16, 16, m, k, n) == layers[i].is);
        assert_true(fabs(os - layers[i].os) <= 16 + 16 - 1);
        assert_true(os >= layers[i].os); /* ours charges the whole skew of the last fold */
    }
}

/* ---- NeuroSim V1.3, 22 nm ---- */

static void test_neurosim_conversions_and_energy(void **state)
{
    static const struct {
        double m, channels, taps, n, conversions, adc_pj, total_pj;
    } layers[] = {{36, 64, 9, 128, 737280, 357164, 536048},
                  {36, 128, 9, 128, 1327104, 633479, 857098},
                  {1, 1024, 1, 64, 16384, 7814, 10337}};
    isg_sim_profile *p = load("reram_neurosim22");
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const isgi_job j = {.m = layers[i].m,
                            .k = layers[i].channels * layers[i].taps,
                            .n = layers[i].n,
                            .groups = 1,
                            .channels = layers[i].channels,
                            .taps = layers[i].taps,
                            .bits_in = 8,
                            .bits_w = 8,
                            .nonzero = 1,
                            .synaptic_ops = -1,
                            .timesteps = 1};
        double total[3];
        for (int corner = 0; corner < 3; corner++) {
            isgi_machine m;
            isgi_tally t = {0};
            isgi_machine_at(&m, p, corner);
            isgi_engine_job(&t, &m, &j, 1);
            assert_true(t.adc == layers[i].conversions);
            if (corner == 1) check_near("adc energy", t.energy[ISG_SIM_E_ADC], layers[i].adc_pj, 0.03);
            total[corner] = t.energy[ISG_SIM_E_ADC] + t.energy[ISG_SIM_E_COMPUTE];
        }
        /* 3 % of slack on the band: the three layers are rounded in the source. */
        assert_true(total[0] <= layers[i].total_pj * 1.03 && total[2] >= layers[i].total_pj * 0.97);
    }
    isg_sim_profile_destroy(p);
}

/* ---- ZigZag tpu_like ---- */

#define N(value, unit)                                                                                                 \
    "{\"value\": " value ", \"unit\": \"" unit "\", \"node\": \"-\", \"source\": \"z\", \"mark\": \"seen\"}"
#define TIER_OF(name, size, read, write)                                                                               \
    "{\"name\": \"" name "\", \"size\": " N(size, "B") ", \"read\": " N(read, "pJ/b") ", \"write\": " N(               \
        write, "pJ/b") ", \"bandwidth\": " N("8", "GB/s") "}"
static const char zigzag[] =
    "{\"insitu_profile\": 1, \"name\": \"zigzag\", \"title\": \"tpu_like\", \"node\": \"unstated\","
    "\"sources\": {\"z\": \"ZigZag tpu_like\"}, \"tiers\": [" TIER_OF("w", "2097152", "0", "0") ", " TIER_OF(
        "a", "2097152", "0",
        "0") ", " TIER_OF("dram", "1e9", "10.9375",
                          "11.71875") "],"
                                      "\"place\": {\"basis\": \"dram\", \"u\": \"dram\", \"v\": \"dram\", "
                                      "\"weight\": \"dram\", \"scale\": \"dram\","
                                      "\"mask\": \"dram\", \"bias\": \"dram\", \"activation\": \"dram\"},"
                                      "\"buffers\": {\"weight\": \"w\", \"activation\": \"a\"},"
                                      "\"engine\": {\"kind\": \"systolic\", \"dataflow\": \"ws\", \"generator\": "
                                      "\"engine\", \"rows\": " N("32", "1") ", \"cols\": " N(
                                          "32",
                                          "1") ", \"frequency\": " N("1",
                                                                     "GHz") ", \"mac\": " N("0.04",
                                                                                            "pJ") ", "
                                                                                                  "\"mac_bits\":"
                                                                                                  " " N(
                                                                                                      "8",
                                                                                                      "b") ", "
                                                                                                           "\"acc"
                                                                                                           "umula"
                                                                                                           "te\":"
                                                                                                           " " N(
                                                                                                               "0",
                                                                                                               "pJ") "}"
                                                                                                                     "}";

static void test_zigzag_terms(void **state)
{
    const isg_sim_form form = {sizeof form, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0, 0};
    const isg_sim_options options = {sizeof options, 1, ISG_SIM_DENSE};
    isg_sim_profile *p = NULL;
    isg_sim_network *n = NULL;
    isg_sim_report *r = NULL;
    isg_error err;
    (void)state;
    if (isg_sim_profile_parse(&p, zigzag, strlen(zigzag), "zigzag", &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(isg_sim_network_create(&n, "one", 1, &err), ISG_OK);
    n->layers[0] = (isg_sim_layer){.name = "conv", .groups = 1, .ci = 64, .co = 64, .taps = 9};
    n->layers[0].in_pixels = n->layers[0].out_pixels = 64;
    assert_int_equal(isg_sim_layer_finish(&n->layers[0], &form, &err), ISG_OK);
    assert_int_equal(isg_sim_evaluate(&r, n, p, &options, &err), ISG_OK);
    /* 4608 words of 64 bits at 700 pJ; 2 359 296 multiply-adds at 0.04 pJ. */
    assert_true(r->total.read_bytes[2][ISG_SIM_WEIGHT] == 4608 * 8);
    assert_true(r->total.energy_pj[ISG_SIM_E_WEIGHTS].typical == 3225600);
    assert_true(r->total.macs == 2359296);
    check_near("mac energy", r->total.energy_pj[ISG_SIM_E_COMPUTE].typical, 94371.84, 1e-12);
    isg_sim_report_destroy(r);
    isg_sim_network_destroy(n);
    isg_sim_profile_destroy(p);
}

/* ---- devices ---- */

static void test_adc_survey_against_three_sources(void **state)
{
    (void)state;
    check_near("ISAAC", isgi_adc_energy(8, 1.2, 32), 1.667, 0.15);
    check_near("NeuroSim", isgi_adc_energy(5, 1, 22), 0.477, 0.15);
    check_near("SimPhony", isgi_adc_energy(8, 10, 14), 1.48, 0.15);
    check_near("8 b, 1 GS/s, 32 nm", isgi_adc_energy(8, 1, 32), 1.71, 0.005);
    check_near("6 b, 1 GS/s, 32 nm", isgi_adc_energy(6, 1, 32), 1.06, 0.005);
    check_near("4 b, 1 GS/s, 7 nm", isgi_adc_energy(4, 1, 7), 0.053, 0.01);
}

static void test_laser_and_rings(void **state)
{
    (void)state;
    check_near("SimPhony laser", isgi_laser_power(6.22, -25, 1, 4, 10, 0.2), 1.1772, 1e-4);
    check_near("ten lines", isgi_laser_power_lines(3, -20, 10), 10 * isgi_laser_power_lines(3, -20, 1), 1e-12);
    /* The stated formula with CrossLight's rings leaves 47 levels: 5 bits, not the 16 that the paper claims. */
    assert_true(isgi_ring_levels(8000, 18, 1550, 15) > 40 && isgi_ring_levels(8000, 18, 1550, 15) < 60);
    assert_true(isgi_ring_levels(16000, 18, 1550, 15) > isgi_ring_levels(8000, 18, 1550, 15));
}

static void test_sram_fit(void **state)
{
    static const double points[3][8] = {{3.16, 7.23, 13.1, 15.5, 20.3, 27.7, 41.8, 49.7},
                                        {2.17, 3.18, 5.33, 6.70, 10.3, 13.7, 18.4, 24.8},
                                        {1.40, 2.12, 3.52, 4.50, 6.98, 9.24, 12.8, 17.4}};
    static const double kib[8] = {8, 32, 64, 128, 256, 512, 1024, 2048}, nodes[3] = {45, 32, 22};
    (void)state;
    for (int node = 0; node < 3; node++)
        for (int i = 0; i < 8; i++)
            check_near("CACTI", points[node][i], isgi_sram_read64(nodes[node], kib[i] * 1024), 0.30);
    assert_true(isnan(isgi_sram_read64(14, 8192)));
}

/* ---- PCM in-memory array, MobileNetV2 ---- */

static isg_sim_layer pointwise(uint32_t ci, uint32_t co, uint32_t side)
{
    const isg_sim_form form = {sizeof form, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0};
    isg_sim_layer l = {.name = "pw", .groups = 1, .ci = ci, .co = co, .taps = 1};
    isg_error err;
    l.in_pixels = l.out_pixels = (uint64_t)side * side;
    assert_int_equal(isg_sim_layer_finish(&l, &form, &err), ISG_OK);
    return l;
}

static void test_pcm_ima(void **state)
{
    static const uint32_t blocks[7][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                          {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    isg_sim_profile *p = load("pcm_ima22");
    isg_sim_network *n = NULL;
    isg_sim_report *r = NULL;
    const isg_sim_options options = {sizeof options, 1, ISG_SIM_DENSE};
    isg_error err;
    uint32_t side = 112, ci = 32, used = 0;
    double weights = 0;
    (void)state;
    check_near("peak", isg_sim_profile_peak_gops(p), 1008, 0.001);
    assert_int_equal(isg_sim_network_create(&n, "mobilenetv2", 64, &err), ISG_OK);
    for (int b = 0; b < 7; b++) {
        for (uint32_t i = 0; i < blocks[b][2]; i++) {
            const uint32_t wide = ci * blocks[b][0];
            if (blocks[b][0] > 1) n->layers[used++] = pointwise(ci, wide, side);
            if (i == 0) side /= blocks[b][3];
            n->layers[used++] = pointwise(wide, blocks[b][1], side);
            ci = blocks[b][1];
        }
    }
    n->layers[used++] = pointwise(320, 1280, 7);
    n->layer_count = used;
    for (uint32_t i = 0; i < used; i++) weights += (double)n->layers[i].ci * n->layers[i].co;
    assert_true(ceil(weights / (256 * 256)) == 33); /* by capacity; the authors place 34 */
    if (isg_sim_evaluate(&r, n, p, &options, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_true(r->total.cycles == 50617);
    check_near("array time", r->total.time_ns[ISG_SIM_T_COMPUTE].typical, 6.58e6, 0.001);
    assert_false(r->total.notes & ISG_SIM_NOTE_NOT_RESIDENT);
    check_near("array energy", r->total.energy_pj[ISG_SIM_E_COMPUTE].typical, 51e6, 0.01);
    /* With the published 10.1 ms (the rest is depthwise, residual and streaming) the fit gives the published energy. */
    check_near("energy", r->total.energy_pj[ISG_SIM_E_COMPUTE].typical + 43 * 10.1e6, 482e6, 0.02);
    isg_sim_report_destroy(r);
    isg_sim_network_destroy(n);
    isg_sim_profile_destroy(p);
}

/* ---- spiking ---- */

static void test_firefly(void **state)
{
    isg_sim_profile *p = load("firefly300");
    isgi_machine m;
    isgi_tally t = {0};
    const isgi_job j = {.m = 32 * 32,
                        .k = 64 * 9,
                        .n = 128,
                        .groups = 1,
                        .channels = 64,
                        .taps = 9,
                        .bits_in = 8,
                        .bits_w = 8,
                        .nonzero = 1,
                        .synaptic_ops = -1,
                        .timesteps = 4};
    (void)state;
    check_near("peak", isg_sim_profile_peak_gops(p), 5529.6, 1e-12);
    isgi_machine_at(&m, p, 1);
    isgi_engine_job(&t, &m, &j, 0);
    assert_true(t.cycles == 2 * 4 * 1024 * 4); /* ceil(64/32) ceil(128/32) H W T */
    isg_sim_profile_destroy(p);
}

/* Spiker+ 784-128-10: 780 us at 100 MHz. The layers run side by side, the first one binds; 100 steps of 784 inputs. */
static void test_spiker(void **state)
{
    isg_sim_profile *p = load("spiker100");
    isgi_machine m;
    isgi_tally t = {0};
    const isgi_job j = {.m = 1,
                        .k = 784,
                        .n = 128,
                        .groups = 1,
                        .channels = 784,
                        .taps = 1,
                        .nonzero = 1,
                        .bits_in = 1,
                        .bits_w = 8,
                        .synaptic_ops = -1,
                        .timesteps = 100};
    (void)state;
    isgi_machine_at(&m, p, 1);
    isgi_engine_job(&t, &m, &j, 0);
    check_near("time", t.compute_ns, 780e3, 0.01);
    isg_sim_profile_destroy(p);
}

/* A layer run over parts of its outputs, for its weights do not fit: each measured addition is paid for once. */
static void test_measured_spikes_in_passes(void **state)
{
    const isg_sim_form form = {sizeof form, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0, 0};
    const isg_sim_options options = {sizeof options, 3, ISG_SIM_DENSE};
    isg_sim_profile *shipped = load("firefly300"), *p = NULL;
    isg_sim_network *n = NULL;
    isg_sim_report *r = NULL;
    isg_error err;
    cJSON *engine = cJSON_GetObjectItem(shipped->root, "engine");
    char *text;
    (void)state;
    cJSON_AddItemToObject(engine, "synapse", cJSON_Parse(N("0.5", "pJ")));
    cJSON_AddItemToObject(cJSON_GetObjectItem(shipped->root, "sources"), "z", cJSON_CreateString("none"));
    text = cJSON_PrintUnformatted(shipped->root);
    if (isg_sim_profile_parse(&p, text, strlen(text), "spiking", &err) != ISG_OK) fail_msg("%s", err.message);
    cJSON_free(text);
    isg_sim_profile_destroy(shipped);
    assert_int_equal(isg_sim_profile_set(p, "tiers.weights.size", 1, &err), ISG_OK);
    assert_int_equal(isg_sim_profile_set(p, "tiers.activations.size", 2, &err), ISG_OK);
    assert_int_equal(isg_sim_network_create(&n, "one", 1, &err), ISG_OK);
    n->layers[0] = (isg_sim_layer){.name = "conv", .groups = 1, .ci = 64, .co = 64, .taps = 9};
    n->layers[0].in_pixels = n->layers[0].out_pixels = 64;
    assert_int_equal(isg_sim_layer_finish(&n->layers[0], &form, &err), ISG_OK);
    n->layers[0].synaptic_ops = 1000;
    n->timesteps = 4;
    assert_int_equal(isg_sim_evaluate(&r, n, p, &options, &err), ISG_OK);
    assert_true(r->total.notes & ISG_SIM_NOTE_WEIGHTS_AGAIN);
    assert_true(r->total.synaptic_ops == 3 * 1000);
    check_near("synapses", r->total.energy_pj[ISG_SIM_E_COMPUTE].typical, 3 * 1000 * 0.5, 1e-12);
    isg_sim_report_destroy(r);
    isg_sim_network_destroy(n);
    isg_sim_profile_destroy(p);
}

/* ---- the paper's Eq. 8 ---- */

static void test_eq8(void **state)
{
    isg_sim_eq8 e;
    (void)state;
    isg_sim_paper_eq8(&e);
    check_near("generation", e.generation_ps, 545.2, 1e-3);
    check_near("propagation", e.propagation_ps, 25.2, 1e-2);
    check_near("vacuum", e.propagation_vacuum_ps, 11.2, 1e-2);
    check_near("loading", e.saved_us, 7.9, 1e-2);
    check_near("decimal loading", e.saved_decimal_us, 8.4, 1e-2);
    check_near("memory ratio", e.memory_ratio, 0.02726, 1e-3);
    check_near("parameter ratio", e.parameter_ratio, 0.1091, 1e-3);
    assert_non_null(e.notes[1]);
    assert_null(e.notes[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale_sim_cycles),
        cmocka_unit_test(test_neurosim_conversions_and_energy),
        cmocka_unit_test(test_zigzag_terms),
        cmocka_unit_test(test_adc_survey_against_three_sources),
        cmocka_unit_test(test_laser_and_rings),
        cmocka_unit_test(test_sram_fit),
        cmocka_unit_test(test_pcm_ima),
        cmocka_unit_test(test_firefly),
        cmocka_unit_test(test_spiker),
        cmocka_unit_test(test_eq8),
        cmocka_unit_test(test_measured_spikes_in_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
